"""Where the uncertainty of each estimate comes from: sampling and privacy noise, as one stacked bar."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from fedvalue.analyses.estimate import Conclusion
from fedvalue.payment.decision import Decision
from fedvalue.server.reports import generic, look
from fedvalue.server.reports.drawing import (
    Figure,
    Pieces,
    Table,
    drawn,
    fitted,
    hatch,
    rect,
    text,
    text_width,
)
from fedvalue.server.reports.formats import percent, spread
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.wording import Phrase, Voice

TOP, THICK = 34.0, 17.0


@dataclass(frozen=True, slots=True)
class Share:
    """One estimate's error budget.

    Attributes:
      label: Group and estimate.
      unit: Of the estimate.
      sampling: V_s, in squared units.
      privacy: V_dp, in squared units.
    """

    label: Phrase
    unit: str
    sampling: float
    privacy: float

    @property
    def private(self) -> float | None:
        """V_dp / (V_s + V_dp), or None where there is no variance at all."""
        total = self.sampling + self.privacy
        return self.privacy / total if total > 0 else None


def shares(
    conclusions: tuple[Conclusion, ...], decisions: tuple[Decision, ...], names: Names
) -> tuple[Share, ...]:
    """Return one row per decision (its posterior), then one per estimate of every group of every analysis."""
    voice, rows = names.voice, []
    for decision in decisions:
        if decision.finding is not None:
            label = voice("variance.deciding", group=names.group(decision.question.stratum))
            finding = decision.finding
            rows.append(Share(label, "probability", finding.sampling_variance, finding.privacy_variance))
    for conclusion in conclusions:
        for stratum in conclusion.strata:
            if stratum.name == "unknown":
                continue
            listed = list(stratum.estimates.items())
            # an analysis without a figure of its own may have dozens of estimates: its first stands for it
            for name, found in listed if conclusion.kind in generic.OWN else listed[:1]:
                label = voice("variance.row", group=names.group(stratum.name), estimate=names.estimate(name))
                rows.append(Share(label, found.unit, found.sampling_variance, found.privacy_variance))
    return tuple(rows)


def figure(rows: tuple[Share, ...], voice: Voice, name: str) -> Figure | None:
    """Draw the rows; None where there is no estimate at all."""
    if not rows:
        return None
    title = voice("variance.title")
    worst = max(
        (row for row in rows if row.private is not None), key=lambda row: row.private or 0.0, default=rows[0]
    )
    told = voice("variance.alt", share=percent(worst.private or 0.0), label=worst.label)
    table = tuple(
        (
            row.label,
            spread((row.sampling + row.privacy) ** 0.5, row.unit, voice),
            spread(row.sampling**0.5, row.unit, voice),
            spread(row.privacy**0.5, row.unit, voice),
            "\u2013" if row.private is None else percent(row.private),
        )
        for row in rows
    )
    head = tuple(
        voice(f"table.{key}") for key in ("estimate", "se", "se_sampling", "se_privacy", "privacy_share")
    )
    return Figure(
        voice("variance.caption"),
        drawn(voice, lambda size: _pieces(rows, voice, size, name), name=name, title=title, description=told),
        Table(title, head, table),
    )


def _pieces(rows: tuple[Share, ...], voice: Voice, size: Size, name: str) -> Pieces:
    left, right = (0.0, size.width) if size.narrow else (270.0, size.width - 140)
    height = 46.0 if size.narrow else 27.0
    pattern = f"{name}-{size.name}-privacy"
    parts: list[Markup] = [hatch(pattern, "#b87c00", look.PRIVACY)]
    second = left + (130 if size.narrow else 170)
    for at, fill, key in (
        (left, look.SAMPLING, "variance.sampling"),
        (second, f"url(#{pattern})", "variance.privacy"),
    ):
        parts += [rect(at, 4, 16, 12, fill), text(voice, at + 22, 14.5, voice(key), size=look.SMALL)]
    for i, row in enumerate(rows):
        top = TOP + height * i
        bar, label_y = (top + 19, top + 13) if size.narrow else (top, top + 13)
        side = voice("variance.side", se=spread((row.sampling + row.privacy) ** 0.5, row.unit, voice))
        room = size.width - 10 - max(text_width(words, look.SMALL) for words in (side.en, side.zh))
        label = fitted(row.label, room if size.narrow else left - 16, look.SMALL)
        parts.append(text(voice, 0, label_y, label, size=look.SMALL))
        if size.narrow:
            parts.append(text(voice, right, label_y, side, anchor="end", size=look.SMALL, color=look.MUTED))
        else:
            parts.append(text(voice, right + 12, label_y, side, size=look.SMALL, color=look.MUTED))
        parts += _bar(row, left, right, bar, pattern, voice)
    return TOP + height * len(rows), parts


def _bar(row: Share, left: float, right: float, top: float, pattern: str, voice: Voice) -> list[Markup]:
    if row.private is None:
        return [rect(left, top, right - left, THICK, look.PANEL, border=look.HAIRLINE)]
    cut = left + (1 - row.private) * (right - left)
    parts = [
        rect(left, top, cut - left, THICK, look.SAMPLING),
        rect(cut, top, right - cut, THICK, f"url(#{pattern})"),
    ]
    for start, end, share, color in (
        (left, cut, 1 - row.private, look.PAPER),
        (cut, right, row.private, look.INK),
    ):
        if end - start > 40:
            words = text(
                voice,
                (start + end) / 2,
                top + 12.5,
                percent(share),
                anchor="middle",
                size=11.5,
                color=color,
                bold=True,
            )
            if color == look.INK:
                parts.append(rect((start + end) / 2 - 22, top + 2, 44, THICK - 4, look.PRIVACY))
            parts.append(words)
    return parts
