"""Lines that belong on one axis: a series beside what was expected, and means before and after a change."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from fedvalue.analyses.estimate import Estimate, Series, Stratum
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Figure, Pieces, Table, circle, drawn, line, path, text
from fedvalue.server.reports.formats import interval, quantity
from fedvalue.server.reports.generic import place
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.payment import chart
from fedvalue.server.reports.payment.chart import Frame
from fedvalue.server.reports.wording import Phrase, joined

Named = tuple[str, Series]


def together(
    stratum: Stratum, keys: Sequence[str], names: Names, name: str, *, mark: float | None
) -> Figure | None:
    """Draw several lines of one group on one axis; None where it has none of them.

    Args:
      stratum: The group.
      keys: Of its series; the first is drawn with its points.
      names: Words.
      name: Unique on the page.
      mark: Where something changed, in the unit of the axis; None for nothing.
    """
    voice, some = names.voice, [(key, stratum.series[key]) for key in keys if key in stratum.series]
    if not some:
        return None
    title = (
        names.group(stratum.name) + voice("punctuation.colon") + joined([names.estimate(k) for k, _ in some])
    )
    rows = tuple(
        (
            names.estimate(key), place(series, x), quantity(value, series.unit, voice),
            interval(series.lower[i], series.upper[i], series.unit, voice) if series.lower else "\u2013",
        )
        for key, series in some
        for i, (x, value) in enumerate(zip(series.x, series.values, strict=True))
    )  # fmt: skip
    head = tuple(voice(f"table.{word}") for word in ("figure", "place", "estimate", "interval"))
    return Figure(
        voice("figure.together" if mark is None else "figure.together_marked"),
        drawn(voice, lambda size: _together(some, mark, names, size), name=name, title=title,
              description=voice("described.lines_alt", n=str(len(some)), what=title)),
        Table(title, head, rows),
    )  # fmt: skip


def _together(some: list[Named], mark: float | None, names: Names, size: Size) -> Pieces:
    voice, first = names.voice, some[0][1]
    entries = [
        chart.Entry(names.estimate(key), color=look.stroke(i).color, dash=look.stroke(i).dash)
        for i, (key, _) in enumerate(some)
    ]
    height, parts = chart.key(voice, size, entries)
    xs = [x for _, series in some for x in series.x]
    ys = [v for _, s in some for v in (*s.values, *s.lower, *s.upper)]
    area = chart.frame(size, (min(xs), max(xs)), _ends(ys, first.unit), top=height + 30)
    parts += _axes(area, first, names, size)
    if mark is not None:
        at = area.x(mark)
        parts.append(line(at, area.y.right, at, area.bottom, look.INK, 1.2, "4 3"))
        parts.append(
            text(voice, at + 5, area.y.right + 11, voice("figure.change"), size=look.SMALL, color=look.MUTED,
                 halo=True)
        )  # fmt: skip
    for i, (_, series) in enumerate(some):
        style = look.stroke(i)
        if series.lower:
            ribbon = chart.ribbon(series.x, series.lower, series.upper, area)
            parts.append(path(ribbon, fill=style.color, opacity=0.14))
        parts.append(
            path(chart.points(series.x, series.values, area), color=style.color, dash=style.dash, width=2.4)
        )
        if i == 0 and len(series.x) <= 60:
            parts += [
                circle(area.x(x), area.y(y), 3, style.color, look.PAPER, 1)
                for x, y in zip(series.x, series.values, strict=True)
            ]
    return area.bottom + 46, parts


def _ends(ys: list[float], unit: str) -> tuple[float, float]:
    return (0.0, 1.0) if unit == "probability" else (min(0.0, *ys), max(ys))


def _axes(area: Frame, first: Series, names: Names, size: Size) -> list[Markup]:
    voice = names.voice
    across: list[chart.Tick] = [
        (x, Phrase.same(place(first, x))) for x in chart.ticks(area.x.start, area.x.end, size.ticks)
    ]
    return chart.axes(
        voice, area, across, _up(area, first.unit, names), across_title=names.unit(first.x_unit),
        up_title="" if first.unit == "probability" else names.unit(first.unit), zero=True,
    )  # fmt: skip


def _up(area: Frame, unit: str, names: Names) -> list[chart.Tick]:
    return [
        (v, quantity(v, unit, names.voice) if unit == "probability" else short)
        for v, short in chart.labels(chart.ticks(area.y.start, area.y.end, 6))
    ]


Ends = tuple[Estimate, Estimate]


def before_after(groups: Sequence[tuple[str, Ends]], names: Names, name: str) -> Figure:
    """Draw means before and after a change, and where the first group would be with the second's.

    Args:
      groups: Name of the group where the change applies and of the one compared, with both means.
      names: Words.
      name: Unique on the page.
    """
    voice = names.voice
    title = joined([names.column(group) for group, _ in groups])
    rows = tuple(
        (names.column(group), voice(f"figure.{when}_change"), quantity(one.value, one.unit, voice),
         interval(one.lower, one.upper, one.unit, voice))
        for group, ends in groups
        for when, one in zip(("before", "after"), ends, strict=True)
    )  # fmt: skip
    head = tuple(voice(f"table.{word}") for word in ("group", "place", "estimate", "interval"))
    return Figure(
        voice("figure.before_after"),
        drawn(voice, lambda size: _before_after(groups, names, size), name=name, title=title,
              description=voice("described.lines_alt", n=str(len(groups)), what=title)),
        Table(title, head, rows),
    )  # fmt: skip


def _before_after(groups: Sequence[tuple[str, Ends]], names: Names, size: Size) -> Pieces:
    voice = names.voice
    entries = [
        chart.Entry(names.column(group), color=look.stroke(i).color, dash=look.stroke(i).dash)
        for i, (group, _) in enumerate(groups)
    ]
    expected: tuple[float, float] | None = None
    if len(groups) == 2:
        (start, _), (other, later) = groups[0][1], groups[1][1]
        expected = (start.value, start.value + later.value - other.value)
        entries.append(chart.Entry(voice("figure.without_change"), color=look.MUTED, dash="2 3"))
    height, parts = chart.key(voice, size, entries)
    values = [
        v for _, ends in groups for one in ends for v in (one.value, one.lower, one.upper) if v is not None
    ]
    values += [] if expected is None else list(expected)
    unit = groups[0][1][0].unit
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.5
    area = chart.frame(size, (-0.25, 1.25), (low - room, high + room), top=height + 30)
    across: list[chart.Tick] = [(0.0, voice("figure.before_change")), (1.0, voice("figure.after_change"))]
    up = "" if unit == "probability" else names.unit(unit)
    parts += chart.axes(voice, area, across, _up(area, unit, names), up_title=up)
    if expected is not None:
        parts.append(path(chart.points((0.0, 1.0), expected, area), color=look.MUTED, dash="2 3", width=1.8))
    for i, (_, ends) in enumerate(groups):
        style = look.stroke(i)
        ys_of = [one.value for one in ends]
        parts.append(
            path(chart.points((0.0, 1.0), ys_of, area), color=style.color, dash=style.dash, width=2.4)
        )
        for x, one in zip((0.0, 1.0), ends, strict=True):
            if one.lower is not None and one.upper is not None:
                at = area.x(x) + 4 * i
                parts.append(line(at, area.y(one.lower), at, area.y(one.upper), style.color, 1.6))
            parts.append(circle(area.x(x), area.y(one.value), 4, style.color, look.PAPER, 1.2))
    return area.bottom + 46, parts
