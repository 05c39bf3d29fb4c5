"""Predictions against what came true, and whether acting on them does more good than harm.

Calibration: observed shares by bin against the mean prediction; on the dotted line predictions come true.
Decision curve: net benefit of treating whoever's risk is above a threshold, beside treating everybody and
nobody (Vickers, Elkin. Medical Decision Making 26 (2006) 565-574).
"""

from __future__ import annotations

from fedvalue.analyses.estimate import Series, Stratum
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Figure, Pieces, Table, circle, drawn, line, path
from fedvalue.server.reports.formats import interval, number, percent, quantity
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.payment import chart
from fedvalue.server.reports.wording import Words

OBSERVED = "observed by predicted risk"
ACTING, EVERYBODY = "net benefit", "net benefit of treating everybody"
MOST = len(look.STROKES)


def calibration(shown: tuple[Stratum, ...], names: Names, name: str, *, key: str = OBSERVED) -> Figure | None:
    """Draw observed against predicted shares of each group; None where no group has any.

    Args:
      shown: Groups.
      names: Words.
      name: Unique on the page.
      key: Of the series: shares of patients, or risks by a horizon.
    """
    voice, some = names.voice, _with(shown, key)
    if not some:
        return None
    title = names.estimate(key)
    return Figure(
        voice("figure.calibration"),
        drawn(voice, lambda size: _calibration(some[:MOST], names, size), name=name, title=title,
              description=voice("described.lines_alt", n=str(len(some)), what=title)),
        _table(some, title, names),
    )  # fmt: skip


def decision_curve(shown: tuple[Stratum, ...], names: Names, name: str) -> Figure | None:
    """Draw the net benefit of acting on the prediction; None where no group has one."""
    voice, some = names.voice, _with(shown, ACTING)
    if not some:
        return None
    title = names.estimate(ACTING)
    return Figure(
        voice("figure.decision_curve"),
        drawn(voice, lambda size: _decision(shown, names, size), name=name, title=title,
              description=voice("described.lines_alt", n=str(len(some)), what=title)),
        _table(some, title, names),
    )  # fmt: skip


def _with(shown: tuple[Stratum, ...], key: str) -> list[tuple[Stratum, Series]]:
    return [(s, s.series[key]) for s in shown if key in s.series and s.series[key].x]


def _table(some: list[tuple[Stratum, Series]], title: Words, names: Names) -> Table:
    voice = names.voice
    rows = tuple(
        (
            names.group(stratum.name), percent(x), quantity(value, series.unit, voice),
            interval(series.lower[i], series.upper[i], series.unit, voice) if series.lower else "\u2013",
        )
        for stratum, series in some
        for i, (x, value) in enumerate(zip(series.x, series.values, strict=True))
    )  # fmt: skip
    head = tuple(voice(f"table.{word}") for word in ("group", "place", "estimate", "interval"))
    return Table(title, head, rows)


def _calibration(some: list[tuple[Stratum, Series]], names: Names, size: Size) -> Pieces:
    voice = names.voice
    entries = [
        chart.Entry(names.group(s.name), color=look.stroke(i).color, dash=look.stroke(i).dash)
        for i, (s, _) in enumerate(some)
    ]
    entries.append(chart.Entry(voice("calibration.perfect"), color=look.MUTED, dash="2 3"))
    height, parts = chart.key(voice, size, entries)
    most = min(1.0, 1.1 * max(v for _, s in some for v in (*s.x, *s.values, *s.upper)))
    area = chart.frame(size, (0.0, most), (0.0, most), top=height + 30, height=330)
    steps = [(v, percent(v)) for v in chart.ticks(0.0, most, 6)]
    parts += chart.axes(
        voice,
        area,
        steps,
        steps,
        across_title=voice("calibration.axis"),
        up_title=voice("calibration.axis_up"),
    )
    parts.append(line(area.x(0.0), area.y(0.0), area.x(most), area.y(most), look.MUTED, 1.4, "2 3"))
    for i, (_, series) in enumerate(some):
        style = look.stroke(i)
        parts.append(path(chart.points(series.x, series.values, area), color=style.color, dash=style.dash))
        for j, (x, y) in enumerate(zip(series.x, series.values, strict=True)):
            if series.lower:
                low, high = area.y(series.lower[j]), area.y(series.upper[j])
                parts.append(line(area.x(x), low, area.x(x), high, style.color, 1.4))
            parts.append(circle(area.x(x), area.y(y), 3.5, style.color, look.PAPER, 1))
    return area.bottom + 48, parts


def _decision(shown: tuple[Stratum, ...], names: Names, size: Size) -> Pieces:
    voice = names.voice
    some, all_treated = _with(shown, ACTING)[:MOST], _with(shown, EVERYBODY)
    all_treated = [pair for pair in all_treated if pair[0].name == "all"] or all_treated[:1]
    entries = [
        chart.Entry(names.group(s.name), color=look.stroke(i).color, dash=look.stroke(i).dash)
        for i, (s, _) in enumerate(some)
    ]
    entries += [
        chart.Entry(voice("figure.treat_everybody", group=names.group(s.name)), color=look.MUTED, dash="7 3")
        for s, _ in all_treated
    ]
    entries.append(chart.Entry(voice("figure.treat_nobody"), color=look.INK))
    height, parts = chart.key(voice, size, entries)
    ys = [v for _, s in some for v in (*s.values, *s.lower, *s.upper)]
    high = max(0.02, *ys)
    low = max(min(0.0, *ys), -0.5 * high)  # treating everybody falls without end: half the height is enough
    xs = [x for _, s in some for x in s.x]
    area = chart.frame(size, (min(xs), max(xs)), (low, high), top=height + 30, height=300)
    parts += chart.axes(
        voice, area, [(v, percent(v)) for v in chart.ticks(min(xs), max(xs), 6)],
        [(v, number(v, 2)) for v in chart.ticks(low, high, 6)],
        across_title=names.unit(some[0][1].x_unit), up_title=names.unit(some[0][1].unit),
    )  # fmt: skip
    parts.append(line(area.x.left, area.y(0.0), area.x.right, area.y(0.0), look.INK, 1.4))
    for _, series in all_treated:
        parts.append(
            path(chart.points(series.x, series.values, area), color=look.MUTED, dash="7 3", width=1.6)
        )
    for i, (_, series) in enumerate(some):
        style = look.stroke(i)
        if series.lower:
            ribbon = chart.ribbon(series.x, series.lower, series.upper, area)
            parts.append(path(ribbon, fill=style.color, opacity=0.12))
        parts.append(
            path(chart.points(series.x, series.values, area), color=style.color, dash=style.dash, width=2.4)
        )
    return area.bottom + 48, parts
