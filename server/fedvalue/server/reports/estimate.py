"""The estimate of every group with its interval, against the threshold and its guard band."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from fedvalue.analyses.estimate import Conclusion, Stratum
from fedvalue.payment.decision import Decision
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import (
    Axis,
    Figure,
    Pieces,
    Table,
    circle,
    drawn,
    fitted,
    hatch,
    line,
    rect,
    text,
    wrapped,
)
from fedvalue.server.reports.formats import interval, level, percent, spread
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.wording import Phrase, Voice, Words

TOP = 34.0


@dataclass(frozen=True, slots=True)
class Row:
    """One group.

    Attributes:
      label: Its name.
      value: Estimate in [0, 1], None where there is none.
      lower: Lower end of the 95 % interval.
      upper: Upper end.
      refusal: Why there is no estimate.
      deciding: True for the group that the decision rests on.
    """

    label: Phrase
    value: float | None
    lower: float
    upper: float
    refusal: Phrase | None
    deciding: bool


def figure(decision: Decision, conclusion: Conclusion | None, names: Names, name: str) -> Figure:
    """Draw the deciding group first, with the other groups of the same analysis below for comparison.

    Args:
      decision: The decision, whose posterior mean and credible interval stand for the deciding group.
      conclusion: The analysis it rests on, or None to draw the deciding group alone.
      names: Words for groups.
      name: Unique on the page.
    """
    voice, rows = names.voice, _rows(decision, conclusion, names)
    threshold = float(decision.question.threshold)
    guard = decision.finding.guard_band if decision.finding is not None else None
    words: dict[str, Words] = {
        "tau": level(threshold),
        "group": rows[0].label,
        "g": spread(guard or 0.0, "probability", voice),
    }
    title = voice("estimate.title")
    first = rows[0]
    told = first.refusal or voice(
        "estimate.alt",
        value=percent(first.value or 0.0),
        ends=interval(first.lower, first.upper, "probability", voice),
        **words,
    )
    table = tuple(
        (
            row.label,
            row.refusal or percent(row.value or 0.0),
            "\u2013" if row.value is None else interval(row.lower, row.upper, "probability", voice),
        )
        for row in rows
    )
    return Figure(
        voice("estimate.caption" if guard is not None else "estimate.caption_no_guard", **words),
        drawn(
            voice,
            lambda size: _pieces(rows, threshold, guard, voice, size, name),
            name=name,
            title=title,
            description=told,
        ),
        Table(title, (voice("table.group"), voice("table.estimate"), voice("table.interval")), table),
    )


def _rows(decision: Decision, conclusion: Conclusion | None, names: Names) -> tuple[Row, ...]:
    finding, chosen = decision.finding, decision.question.stratum
    strata = conclusion.strata if conclusion is not None else ()
    mine = next((s for s in strata if s.name == chosen), None)
    label = names.group(chosen)
    if finding is not None:
        first = Row(label, finding.estimate, finding.lower, finding.upper, None, True)
    else:
        first = Row(
            label,
            None,
            0.0,
            1.0,
            names.refusal_short(mine) if mine else names.voice("refusal.no_estimate"),
            True,
        )
    others = [_other(s, names) for s in strata if s.name != chosen and s.name != "unknown"]
    return (first, *others)


def _other(stratum: Stratum, names: Names) -> Row:
    label, found = names.group(stratum.name), stratum.estimates.get("proportion")
    if found is None:
        return Row(label, None, 0.0, 1.0, names.refusal_short(stratum), False)
    low, high = (0.0 if found.lower is None else found.lower), (1.0 if found.upper is None else found.upper)
    return Row(label, found.value, low, high, None, False)


def _axis(
    rows: tuple[Row, ...], threshold: float, guard: float, left: float, right: float
) -> tuple[Axis, float]:
    """Return an axis that holds everything that is drawn, out to whole steps, and its step."""
    drawn_rows = [row for row in rows if row.value is not None]
    low = min([threshold - guard, *(row.lower for row in drawn_rows)])
    high = max([threshold + guard, *(row.upper for row in drawn_rows)])
    step = next((s for s in (0.02, 0.05, 0.1, 0.2) if high - low <= 6 * s), 0.25)
    start, end = step * math.floor(low / step - 0.2), step * math.ceil(high / step + 0.2)
    return Axis(max(0.0, start), min(1.0, end), left, right), step


def _pieces(
    rows: tuple[Row, ...], threshold: float, guard: float | None, voice: Voice, size: Size, name: str
) -> Pieces:
    left, right = (14.0, size.width - 14) if size.narrow else (210.0, size.width - 166)
    height = 52.0 if size.narrow else 38.0
    x, step = _axis(rows, threshold, guard or 0.0, left, right)
    bottom = TOP + height * len(rows) + 6
    parts: list[Markup] = []
    if guard:
        band = f"{name}-{size.name}-guard"
        low, high = x(threshold - guard), x(threshold + guard)
        parts += [
            hatch(band, "#f0dfae", look.INSUFFICIENT_TINT),
            rect(low, TOP, high - low, bottom - TOP, f"url(#{band})"),
        ]
    for i in range(round((x.end - x.start) / step) + 1):
        tick = x.start + i * step
        parts += [
            line(x(tick), TOP, x(tick), bottom),
            text(
                voice,
                x(tick),
                bottom + 17,
                f"{100 * tick:.3g}%",
                anchor="middle",
                size=look.SMALL,
                color=look.MUTED,
            ),
        ]
    middle = min(max(x(threshold), 70), size.width - 70)
    parts += [
        line(x(threshold), TOP - 6, x(threshold), bottom, look.INK, 1.8, "5 3"),
        text(
            voice,
            middle,
            TOP - 13,
            voice("estimate.threshold", tau=level(threshold)),
            anchor="middle",
            size=look.SMALL,
            bold=True,
        ),
    ]
    for i, row in enumerate(rows):
        parts += _row(row, TOP + 4 + height * i, height, x, voice, size)
    return bottom + 26, parts


def _row(row: Row, top: float, height: float, x: Axis, voice: Voice, size: Size) -> list[Markup]:
    color = look.INK if row.deciding else look.MUTED
    thick = 4.0 if row.deciding else 2.0
    room = size.width * 0.45 if size.narrow else x.left - 22
    name_y, bar_y = (top + 15, top + 32) if size.narrow else (top + height / 2 + 4, top + height / 2)
    parts = [
        text(
            voice, x.left if size.narrow else 4, name_y, fitted(row.label, room), bold=row.deciding, halo=True
        )
    ]
    if row.value is None:
        lines = wrapped(row.refusal or "", x.right - x.left - 8, look.SMALL)[:2]
        first = bar_y if size.narrow else bar_y + 4 - 7 * (len(lines) - 1)
        return parts + [
            text(voice, x.left + 4, first + 14 * i, words, size=look.SMALL, color=look.MUTED, halo=True)
            for i, words in enumerate(lines)
        ]
    low, high = x(row.lower), x(row.upper)
    parts += [
        line(low, bar_y, high, bar_y, color, thick),
        line(low, bar_y - 6, low, bar_y + 6, color, 2),
        line(high, bar_y - 6, high, bar_y + 6, color, 2),
        circle(
            x(row.value),
            bar_y,
            6.5 if row.deciding else 5,
            look.ACCENT if row.deciding else look.PAPER,
            color,
        ),
    ]
    told = voice(
        "estimate.with_interval",
        value=percent(row.value),
        ends=interval(row.lower, row.upper, "probability", voice),
    )
    if size.narrow:
        return [
            *parts,
            text(voice, x.right, name_y, told, anchor="end", size=look.SMALL, bold=row.deciding, halo=True),
        ]
    return [*parts, text(voice, x.right + 12, name_y, told, size=look.SMALL, bold=row.deciding)]
