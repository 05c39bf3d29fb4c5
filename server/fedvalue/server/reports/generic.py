"""Figures of analyses that have none of their own: estimates with their intervals, and lines.

Estimates of one unit share an axis, one row a group and estimate; a group without estimates has its refusal
in its place. Each named line of the groups has a figure of its own, with its ribbon of pointwise intervals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup

from fedvalue.analyses.estimate import Conclusion, Estimate, Series, Stratum
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
    path,
    text,
)
from fedvalue.server.reports.formats import interval, quantity
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.payment import chart
from fedvalue.server.reports.wording import Phrase, Words, joined

OWN = frozenset({"proportion", "kaplan_meier"})
"""Kinds that the report draws elsewhere."""

ASIDE = frozenset({"missing", "at the lower end of the clip", "at the upper end of the clip", "trimmed"})
"""Estimates that qualify others: they stand in the table of all estimates, not in a figure."""

MOST_UNITS = 6
TABLE_ROWS = 40
"""Longest data table of one line: a finer one is thinned, its last point kept."""
MOST_LINES = len(look.STROKES)
ROW = 34.0
_MONTHS = re.compile(r"months from (\d{4})-(\d{2})")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a figure of intervals.

    Attributes:
      label: Group and estimate.
      found: The estimate, None where there is none.
      refusal: Why there is none, in a few words.
    """

    label: Phrase
    found: Estimate | None
    refusal: Phrase | None


def figures(conclusion: Conclusion, names: Names, name: str) -> tuple[Figure, ...]:
    """Return the figures of one analysis: intervals by unit, then lines by name.

    Args:
      conclusion: Of any kind.
      names: Words.
      name: Unique on the page.
    """
    shown = tuple(s for s in conclusion.strata if s.name != "unknown")
    named = {
        e.unit
        for s in shown
        for key, e in s.estimates.items()
        if key not in ASIDE and not e.unit.endswith("^2")
    }
    units = sorted(named, key=lambda unit: (unit == "ratio", unit == "probability", unit))
    found = [
        intervals(conclusion, shown, unit, names, f"{name}-unit-{i}")
        for i, unit in enumerate(units[:MOST_UNITS] or [""])
    ]
    keys = sorted({key for s in shown for key in s.series}, key=natural)
    found += [lines(shown, key, names, f"{name}-line-{i}") for i, key in enumerate(keys)]
    return tuple(found)


def intervals(
    conclusion: Conclusion, shown: tuple[Stratum, ...], unit: str, names: Names, name: str
) -> Figure:
    """Draw all estimates of one unit with their intervals, and why some groups have none.

    Args:
      conclusion: Gives the title.
      shown: Its groups.
      unit: Of the estimates.
      names: Words.
      name: Unique on the page.
    """
    rows, voice = _rows(shown, unit, names), names.voice
    title = names.analysis(conclusion)
    table = tuple(
        (row.label, row.refusal or "\u2013", "\u2013")
        if row.found is None
        else (
            row.label, quantity(row.found.value, unit, voice),
            interval(row.found.lower, row.found.upper, unit, voice),
        )
        for row in rows
    )  # fmt: skip
    told = joined([row[0] + voice("punctuation.colon") + row[1] for row in table if row[0]], "; ")
    return Figure(
        voice("described.intervals"),
        drawn(voice, lambda size: _interval_pieces(rows, unit, names, size), name=name, title=title,
              description=told),
        Table(title, tuple(voice(f"table.{key}") for key in ("figure", "estimate", "interval")), table),
    )  # fmt: skip


def _rows(shown: tuple[Stratum, ...], unit: str, names: Names) -> tuple[Row, ...]:
    """Return one estimate of all groups after the other, then the groups without any."""
    keys = {key for s in shown for key, e in s.estimates.items() if e.unit == unit and key not in ASIDE}
    rows = []
    for key in sorted(keys, key=natural):
        for stratum in shown:
            if (found := stratum.estimates.get(key)) is not None and found.unit == unit:
                words = {"group": names.group(stratum.name), "estimate": names.estimate(key)}
                rows.append(Row(names.voice("variance.row", **words), found, None))
    rows += [Row(names.group(s.name), None, names.refusal_short(s)) for s in shown if s.status != "estimated"]
    return tuple(rows)


def natural(key: str) -> tuple[tuple[bool, float, str], ...]:
    """Sort numbers inside a name as numbers: the names of a package have no order of their own."""
    parts = re.split(r"(\d+(?:\.\d+)?)", key)
    return tuple((i % 2 == 0, float(p) if i % 2 else 0.0, p) for i, p in enumerate(parts))


def _ends(rows: tuple[Row, ...], unit: str) -> tuple[float, float]:
    if unit == "probability":
        return 0.0, 1.0
    values = [v for row in rows if row.found is not None for v in _known(row.found)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    low = 0.0 if 0 < low < high / 2 else low
    room = 0.03 * (high - low)
    return (low if low == 0 else low - room, high + room) if high > low else (low - 0.5, high + 0.5)


def _known(found: Estimate) -> list[float]:
    return [v for v in (found.lower, found.value, found.upper) if v is not None]


def _interval_pieces(rows: tuple[Row, ...], unit: str, names: Names, size: Size) -> Pieces:
    voice, ends = names.voice, _ends(rows, unit)
    x = Axis(*ends, 10.0, size.width - 24)
    parts: list[Markup] = []
    y = 4.0
    for row in rows:
        told: Words = row.refusal or "" if row.found is None else quantity(row.found.value, unit, voice)
        parts += [
            text(voice, 0, y + 13, fitted(row.label, size.width * 0.68, look.SMALL), size=look.SMALL),
            text(voice, size.width, y + 13, fitted(told, size.width * 0.32, look.SMALL), anchor="end",
                 size=look.SMALL, bold=row.found is not None),
        ]  # fmt: skip
        if row.found is not None:
            parts += _bar(row.found, x, y + 23)
        y += ROW
    for value, short in chart.labels(chart.ticks(*ends, size.ticks)):
        label = quantity(value, unit, voice) if unit == "probability" else short
        parts += [
            line(x(value), y + 2, x(value), y + 8, look.MUTED, 1),
            text(voice, x(value), y + 22, label, anchor="middle", size=look.SMALL, color=look.MUTED),
        ]
    parts.append(line(x.left, y + 2, x.right, y + 2, look.MUTED, 1.2))
    return y + 30, parts


def _bar(found: Estimate, x: Axis, y: float) -> list[Markup]:
    """Return the interval with its ends marked; an end that does not exist has no mark."""
    low = x.left if found.lower is None else x(found.lower)
    high = x.right if found.upper is None else x(found.upper)
    parts = [line(low, y, high, y, look.SAMPLING, 3)]
    parts += [
        line(at, y - 5, at, y + 5, look.SAMPLING, 2)
        for at, end in ((low, found.lower), (high, found.upper))
        if end is not None
    ]
    return [*parts, circle(x(found.value), y, 4.5, look.SAMPLING, look.PAPER, 1.5)]


def lines(shown: tuple[Stratum, ...], key: str, names: Names, name: str) -> Figure:
    """Draw one line of each group that has it.

    Args:
      shown: The groups.
      key: Of the line.
      names: Words.
      name: Unique on the page.
    """
    voice = names.voice
    drawings = [(i, s, s.series[key]) for i, s in enumerate(shown) if key in s.series]
    title = names.estimate(key)
    rows = []
    for _, stratum, series in drawings:
        every = -(-len(series.values) // TABLE_ROWS)
        for i in sorted({*range(0, len(series.values), every), len(series.values) - 1}):
            value = series.values[i]
            rows.append(
                (
                    names.group(stratum.name), place(series, series.x[i]),
                    quantity(value, series.unit, voice),
                    interval(series.lower[i], series.upper[i], series.unit, voice)
                    if series.lower else "\u2013",
                )
            )  # fmt: skip
    head = tuple(voice(f"table.{word}") for word in ("group", "place", "estimate", "interval"))
    some = drawings[:MOST_LINES]
    told = voice("described.lines_alt", n=str(len(drawings)), what=title)
    return Figure(
        voice("described.lines", what=title),
        drawn(voice, lambda size: _line_pieces(some, names, size), name=name, title=title, description=told),
        Table(title, head, tuple(rows)),
    )


def place(series: Series, x: float) -> str:
    """Return a value of the line's axis: a calendar month, or the number as it is."""
    if (found := _MONTHS.fullmatch(series.x_unit)) is None:
        return f"{x:g}"
    month = int(found[1]) * 12 + int(found[2]) - 1 + int(x)
    return f"{month // 12}-{month % 12 + 1:02d}"


def _line_pieces(drawings: list[tuple[int, Stratum, Series]], names: Names, size: Size) -> Pieces:
    voice, first = names.voice, drawings[0][2]
    entries = [
        chart.Entry(names.group(s.name), color=look.stroke(i).color, dash=look.stroke(i).dash)
        for i, s, _ in drawings
    ]
    height, parts = chart.key(voice, size, entries)
    xs = [x for _, _, series in drawings for x in series.x]
    ys = [v for _, _, s in drawings for v in (*s.values, *s.lower, *s.upper)]
    low, high = (0.0, 1.0) if first.unit == "probability" else (min(0.0, *ys), max(ys))
    area = chart.frame(size, (min(xs), max(xs)), (low, high), top=height + 30)
    across = [
        (x, Phrase.same(place(first, x)) if _MONTHS.fullmatch(first.x_unit) else chart.short(x))
        for x in chart.ticks(area.x.start, area.x.end, size.ticks)
    ]
    up = [
        (v, quantity(v, first.unit, voice) if first.unit == "probability" else short)
        for v, short in chart.labels(chart.ticks(area.y.start, area.y.end, 6))
    ]
    unit = "" if first.unit == "probability" else names.unit(first.unit)
    parts += chart.axes(
        voice, area, across, up, across_title=names.unit(first.x_unit), up_title=unit, zero=True
    )
    for i, _, series in drawings:
        if series.lower:
            drawn_area = chart.ribbon(series.x, series.lower, series.upper, area)
            parts.append(path(drawn_area, fill=look.stroke(i).color, opacity=0.16))
    for i, _, series in drawings:
        style = look.stroke(i)
        parts.append(
            path(chart.points(series.x, series.values, area), color=style.color, dash=style.dash, width=2.4)
        )
    return area.bottom + 46, parts
