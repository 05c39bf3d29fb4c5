"""Love plot: standardised differences of the covariates between the arms, before and after weighting.

Up to a tenth of a standard deviation a difference is usually taken for balanced: the dashed lines.

Austin, P. C. Balance diagnostics for comparing the distribution of baseline covariates between treatment
groups in propensity-score matched samples. Statistics in Medicine 28 (2009) 3083-3107.
"""

from __future__ import annotations

from markupsafe import Markup

from fedvalue.analyses.estimate import Estimate, Stratum
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Axis, Figure, Pieces, Table, circle, drawn, fitted, line, text
from fedvalue.server.reports.formats import interval, quantity
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.payment import chart
from fedvalue.server.reports.wording import Words, joined

BALANCED = 0.1
ROW = 24.0
BEFORE, AFTER = "before: ", "after: "


def figure(stratum: Stratum, names: Names, name: str) -> Figure | None:
    """Draw the balance of a treatment effect; None where it was lost in the noise.

    Args:
      stratum: The one called ``balance``.
      names: Words.
      name: Unique on the page.
    """
    voice, pairs = names.voice, _pairs(stratum)
    if not pairs:
        return None
    rows: list[tuple[Words, ...]] = []
    for column, found in pairs:
        told: list[Words] = [names.column(column)]
        for one in found:
            told += (
                ["\u2013", "\u2013"]
                if one is None
                else [quantity(one.value, one.unit, voice), interval(one.lower, one.upper, one.unit, voice)]
            )
        rows.append(tuple(told))
    title = names.group(stratum.name)
    head = (voice("table.figure"), voice("figure.before"), voice("table.interval"), voice("figure.after"),
            voice("table.interval"))  # fmt: skip
    read = joined([joined([row[0], row[1], row[3]]) for row in rows], "; ")
    return Figure(
        voice("figure.balance"),
        drawn(voice, lambda size: _pieces(pairs, names, size), name=name, title=title, description=read),
        Table(title, head, tuple(rows)),
    )


def _pairs(stratum: Stratum) -> list[tuple[str, tuple[Estimate | None, Estimate | None]]]:
    columns = [key.removeprefix(BEFORE) for key in stratum.estimates if key.startswith(BEFORE)]
    return [
        (column, (stratum.estimates[BEFORE + column], stratum.estimates.get(AFTER + column)))
        for column in columns
    ]


def _pieces(
    pairs: list[tuple[str, tuple[Estimate | None, Estimate | None]]], names: Names, size: Size
) -> Pieces:
    voice = names.voice
    height, parts = _key(names, size)
    values = [abs(one.value) for _, found in pairs for one in found if one is not None]
    most = max(0.25, 1.1 * max(values))
    x = Axis(-most, most, (0.42 if size.narrow else 0.36) * size.width, size.width - 14)
    top, bottom = height + 8, height + 8 + ROW * len(pairs)
    for value, dash in ((0.0, ""), (-BALANCED, "4 3"), (BALANCED, "4 3")):
        parts.append(line(x(value), top, x(value), bottom + 4, look.MUTED, 1.2, dash))
    for i, (column, (before, after)) in enumerate(pairs):
        y = top + ROW * i + ROW / 2
        parts.append(
            text(voice, 0, y + 4, fitted(names.column(column), x.left - 10, look.SMALL), size=look.SMALL)
        )
        if before is not None and after is not None:
            parts.append(line(x(before.value), y, x(after.value), y, look.HAIRLINE, 2))
        if before is not None:
            parts.append(circle(x(before.value), y, 4.5, look.PAPER, look.STROKES[1].color, 1.8))
        if after is not None:
            parts.append(circle(x(after.value), y, 4.5, look.SAMPLING, look.PAPER, 1.2))
    parts.append(line(x.left, bottom + 4, x.right, bottom + 4, look.MUTED, 1.2))
    for value in chart.ticks(-most, most, 5):
        parts += [
            line(x(value), bottom + 4, x(value), bottom + 10, look.MUTED, 1),
            text(voice, x(value), bottom + 24, chart.short(value), anchor="middle", size=look.SMALL,
                 color=look.MUTED),
        ]  # fmt: skip
    middle = (x.left + x.right) / 2
    parts.append(
        text(voice, middle, bottom + 43, names.unit("standard deviations"), anchor="middle",
             size=look.SMALL, color=look.MUTED)
    )  # fmt: skip
    return bottom + 50, parts


def _key(names: Names, size: Size) -> tuple[float, list[Markup]]:
    voice, y = names.voice, 12.0
    parts = [
        circle(6, y, 4.5, look.PAPER, look.STROKES[1].color, 1.8),
        text(voice, 16, y + 4, voice("figure.before"), size=look.SMALL),
        circle(size.width / 2, y, 4.5, look.SAMPLING, look.PAPER, 1.2),
        text(voice, size.width / 2 + 10, y + 4, voice("figure.after"), size=look.SMALL),
    ]
    return 24.0, parts
