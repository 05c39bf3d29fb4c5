"""Forest plots: one row an estimate, its interval on a common axis, and the line of no effect.

Ratios stand on a logarithmic axis around 1, differences on a straight one around 0. A row without an estimate
says why in its place; an end of an interval that does not exist, or lies off the axis, has no mark.

Lewis, S., Clarke, M. Forest plots: trying to see the wood and the trees. BMJ 322 (2001) 1479-1480.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fedvalue.analyses.estimate import Estimate
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import (
    Axis,
    Figure,
    Pieces,
    Table,
    circle,
    drawn,
    fitted,
    line,
    rect,
    text,
)
from fedvalue.server.reports.formats import interval, number, percent, quantity, spread
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.payment import chart
from fedvalue.server.reports.wording import Phrase, Voice, Words, joined, phrase

WIDEST = 64.0
"""Largest ratio that the axis shows; one beyond lies at its end and stands in the table."""

LOG_TICKS = (
    (0.02, 0.1, 0.5, 1.0, 2.0, 10.0, 50.0),
    (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0),
    (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0),
)
NARROW = 2.5
"""Below so many times from end to end, round values of a straight axis stand on a logarithmic one."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
      label: What it is.
      found: The estimate, None where there is none.
      refusal: Why there is none, in a few words.
      aside: True for a row that qualifies the others: its mark is hollow.
    """

    label: Words
    found: Estimate | None
    refusal: Words = ""
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Forest:
    """What is drawn.

    Attributes:
      rows: From top to bottom.
      log: True for ratios.
      reference: Where the line of no effect stands, None for no line.
      band: Ends of a shaded band, such as where a new hospital is expected; None for none.
      axis: What stands on the axis.
    """

    rows: tuple[Row, ...]
    log: bool = False
    reference: float | None = 0.0
    band: tuple[float, float] | None = None
    axis: Words = ""

    def at(self, value: float) -> float:
        """Return where a value stands on the axis."""
        return math.log(min(max(value, 1 / WIDEST), WIDEST)) if self.log else value

    def ends(self) -> tuple[float, float]:
        """Return first and last position of the axis."""
        values = [v for row in self.rows if row.found for v in _known(row.found)]
        values += [v for v in (self.reference, *(self.band or ())) if v is not None]
        places = [self.at(v) for v in values if not self.log or v > 0] or [0.0]
        low, high = min(places), max(places)
        room = 0.04 * (high - low) or 0.5
        return low - room, high + room


def figure(forest: Forest, title: Words, voice: Voice, name: str, *, caption: Words) -> Figure:
    """Draw the rows.

    Args:
      forest: Rows and axis.
      title: Of the drawing.
      voice: Languages.
      name: Unique on the page.
      caption: What it shows and how to read it.
    """
    table = tuple(
        (row.label, row.refusal or "\u2013", "\u2013")
        if row.found is None
        else (
            row.label, quantity(row.found.value, row.found.unit, voice),
            interval(row.found.lower, row.found.upper, row.found.unit, voice),
        )
        for row in forest.rows
    )  # fmt: skip
    told = joined([phrase(row[0]) + voice("punctuation.colon") + row[1] for row in table], "; ")
    head = tuple(voice(f"table.{key}") for key in ("figure", "estimate", "interval"))
    return Figure(
        caption,
        drawn(voice, lambda size: _pieces(forest, voice, size), name=name, title=title, description=told),
        Table(title, head, table),
    )


def _known(found: Estimate) -> list[float]:
    return [v for v in (found.lower, found.value, found.upper) if v is not None]


def _pieces(forest: Forest, voice: Voice, size: Size) -> Pieces:
    start, end = forest.ends()
    step, bar = (36.0, 25.0) if size.narrow else (27.0, 11.0)
    left, right = (8.0, size.width - 8) if size.narrow else (0.40 * size.width, 0.70 * size.width)
    x, bottom = Axis(start, end, left, right), 6 + step * len(forest.rows)
    parts: list[Markup] = []
    if forest.band is not None:
        low, high = (x(forest.at(v)) for v in forest.band)
        parts.append(rect(low, 2, high - low, bottom, look.PANEL, border=look.HAIRLINE))
    if forest.reference is not None:
        at = x(forest.at(forest.reference))
        parts.append(line(at, 2, at, bottom + 4, look.MUTED, 1.2, "4 3"))
    for i, row in enumerate(forest.rows):
        parts += _row(row, forest, x, 6 + i * step, bar, voice, size)
    parts.append(line(left, bottom + 4, right, bottom + 4, look.MUTED, 1.2))
    for value, place in _ticks(forest, start, end, 5 if size.narrow else 6):
        parts += [
            line(x(place), bottom + 4, x(place), bottom + 10, look.MUTED, 1),
            text(voice, x(place), bottom + 24, value, anchor="middle", size=look.SMALL, color=look.MUTED),
        ]
    middle = (left + right) / 2
    parts.append(
        text(voice, middle, bottom + 43, forest.axis, anchor="middle", size=look.SMALL, color=look.MUTED)
    )
    return bottom + (52 if forest.axis else 32), parts


def _row(row: Row, forest: Forest, x: Axis, y: float, bar: float, voice: Voice, size: Size) -> list[Markup]:
    told, share = _told(row, voice), (0.55, 0.45) if size.narrow else (0.39, 0.29)
    parts = [
        text(voice, 0, y + 13, fitted(row.label, share[0] * size.width, look.SMALL), size=look.SMALL),
        text(voice, size.width, y + 13, fitted(told, share[1] * size.width, look.SMALL), anchor="end",
             size=look.SMALL, bold=row.found is not None and not row.aside),
    ]  # fmt: skip
    if row.found is None:
        return parts
    at, color = y + bar, look.MUTED if row.aside else look.SAMPLING
    ends = [None if v is None or (forest.log and v <= 0) else v for v in (row.found.lower, row.found.upper)]
    low, high = (
        side if v is None else x(forest.at(v)) for v, side in zip(ends, (x.left, x.right), strict=True)
    )
    if row.found.lower is not None or row.found.upper is not None:
        parts.append(line(low, at, high, at, color, 2.4))
        parts += [
            line(place, at - 4, place, at + 4, color, 2)
            for place, v in ((low, ends[0]), (high, ends[1]))
            if v is not None and x.left < place < x.right
        ]
    place = x(forest.at(row.found.value))
    if row.aside:
        parts.append(circle(place, at, 4, look.PAPER, color, 1.6))
    else:
        parts.append(rect(place - 4, at - 4, 8, 8, color, border=look.PAPER))
    return parts


def _told(row: Row, voice: Voice) -> Phrase:
    """Return the value with its interval, the unit once."""
    if (found := row.found) is None:
        return phrase(row.refusal)
    points = found.unit == "difference of probabilities"
    value = spread(found.value, "probability", voice) if points else quantity(found.value, found.unit, voice)
    if found.lower is None and found.upper is None:
        return value
    if found.lower is None or found.upper is None or found.unit == "probability":
        ends = interval(found.lower, found.upper, found.unit, voice)
    else:
        low, high = (
            f"{100 * v:.1f}".replace("-", "\u2212") if points else number(v, 3)
            for v in (found.lower, found.upper)
        )
        ends = voice("estimate.range", low=low, high=high)
    return voice("figure.with_interval", value=value, interval=ends)


def _ticks(forest: Forest, start: float, end: float, most: int) -> list[tuple[Words, float]]:
    if not forest.log:
        shares = all(row.found.unit == "probability" for row in forest.rows if row.found)
        told = chart.labels(chart.ticks(start, end, most))
        return [(percent(v) if shares else short, v) for v, short in told]
    low, high = math.exp(start), math.exp(end)
    inside: Sequence[float] = chart.ticks(low, high, most)
    if high / low > NARROW:
        chosen = [[v for v in values if low <= v <= high] for values in LOG_TICKS]
        inside = max((found for found in chosen if len(found) <= most + 1), key=len, default=inside)
    return [(Phrase.same(f"{v:g}"), math.log(v)) for v in inside]
