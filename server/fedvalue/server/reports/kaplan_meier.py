"""Kaplan-Meier curves by group, stepped on the released grid only, with banded numbers at risk.

A group whose noise is too large has no curve: its refusal stands in its place, with what would do. Where a
curve ends before the horizon, its end is marked and nothing is drawn past it.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import chain

from markupsafe import Markup

from fedvalue.analyses.estimate import Conclusion, Curve, Stratum
from fedvalue.evidence.display import banded
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
    rect,
    text,
    text_width,
    time_ticks,
    wrapped,
)
from fedvalue.server.reports.formats import interval, percent, quantity, whole
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.wording import Phrase, Voice, joined, sentences

TABLE_ROWS = 60
"""Longest data table of one group: a daily grid is thinned to about as many days, the last one kept."""

TEXT_LINE = 17.0


def figure(conclusion: Conclusion, horizon: float, names: Names, name: str) -> Figure:
    """Draw the curves of one analysis.

    The curve of everybody is drawn where there are no groups or no group has a curve; it is in the table
    in any case.

    Args:
      conclusion: Of a ``kaplan_meier`` analysis.
      horizon: End of follow-up that was looked at, in days.
      names: Words for groups and outcomes.
      name: Unique on the page.
    """
    voice, shown = names.voice, _shown(conclusion)
    title = names.analysis(conclusion)
    told = joined([names.group(s.name) + voice("punctuation.colon") + _summary(s, names) for s in shown], " ")
    some = any(s.curve is not None for s in shown)
    return Figure(
        voice("survival.caption" if some else "survival.caption_refused"),
        drawn(
            voice, lambda size: _pieces(shown, horizon, names, size), name=name, title=title, description=told
        ),
        _table(conclusion, title, names),
    )


def _shown(conclusion: Conclusion) -> tuple[Stratum, ...]:
    groups = tuple(s for s in conclusion.strata if s.name not in ("all", "unknown"))
    everybody = tuple(s for s in conclusion.strata if s.name == "all")
    if any(s.curve is not None for s in groups):
        return groups
    return (*groups, *everybody) or conclusion.strata


def _summary(stratum: Stratum, names: Names) -> Phrase:
    """Return the median with its interval and where the curve ends, or the refusal."""
    voice, curve = names.voice, stratum.curve
    if curve is None:
        return names.refusal(stratum)
    median = stratum.estimates.get("median")
    if median is None:
        told = voice("survival.no_median")
    else:
        ends = interval(median.lower, median.upper, median.unit, voice)
        told = voice("survival.median", value=quantity(median.value, median.unit, voice), ends=ends)
    return told if curve.ends is None else sentences(told, voice("survival.ends", day=whole(curve.ends)))


def _pieces(shown: tuple[Stratum, ...], horizon: float, names: Names, size: Size) -> Pieces:
    parts: list[Markup] = []
    y = 4.0
    for i, stratum in enumerate(shown):
        y = _key(parts, stratum, i, y, names, size)
    curves = [(i, s, s.curve) for i, s in enumerate(shown) if s.curve is not None]
    if not curves:
        return y + 4, parts
    top = y + 16
    bottom = top + (230 if size.narrow else 310)
    x = Axis(0.0, horizon, 40.0 if size.narrow else 170.0, size.width - 18)
    up = Axis(0.0, 1.0, bottom, top)
    ticks = _frame(parts, x, up, horizon, names.voice, size)
    for i, _, curve in curves:
        parts.append(path(_ribbon(curve, x, up), fill=look.stroke(i).color, opacity=0.16))
    for i, _, curve in curves:
        style = look.stroke(i)
        parts.append(
            path(_steps(curve.days, curve.survival, x, up), color=style.color, dash=style.dash, width=2.4)
        )
        if curve.ends is not None:
            at, level = x(curve.ends), up(curve.survival[-1] if curve.survival else 1.0)
            parts += [
                line(at, level - 11, at, level + 11, style.color, 2.4),
                circle(at, level, 4.5, look.PAPER, style.color, 2.4),
            ]
    return _risk_table(parts, curves, ticks, bottom + 64, (x, names, size)), parts


def _risk_table(
    parts: list[Markup],
    curves: list[tuple[int, Stratum, Curve]],
    ticks: list[float],
    y: float,
    where: tuple[Axis, Names, Size],
) -> float:
    """Add the banded numbers at risk beneath the ticks; return the bottom."""
    x, names, size = where
    parts.append(text(names.voice, 0, y, names.voice("survival.at_risk"), size=look.SMALL, bold=True))
    for i, stratum, curve in curves:
        y += 21
        room = size.width - 60 if size.narrow else x.left - 66
        parts += [
            *_sample(i, 0, y - 4),
            text(names.voice, 34, y, fitted(names.group(stratum.name), room, look.SMALL), size=look.SMALL),
        ]
        if size.narrow:
            y += 16
        for tick in ticks:
            shown = _at_risk(curve, tick)
            half = text_width(shown, look.SMALL) / 2
            at = min(max(x(tick), half), size.width - half)
            parts.append(text(names.voice, at, y, shown, anchor="middle", size=look.SMALL, color=look.MUTED))
    return y + 10


def _key(parts: list[Markup], stratum: Stratum, position: int, y: float, names: Names, size: Size) -> float:
    """Add the group's line of the key at ``y``; return where the next begins."""
    voice, label = names.voice, names.group(stratum.name)
    if stratum.curve is not None:
        parts += [
            *_sample(position, 0, y + 10),
            text(voice, 34, y + 14, fitted(label, size.width - 40), bold=True),
        ]
        y += TEXT_LINE + 1
        for words in wrapped(_summary(stratum, names), size.width - 48):
            parts.append(text(voice, 34, y + 13, words))
            y += TEXT_LINE
        return y + 7
    lines = wrapped(_summary(stratum, names), size.width - 34)
    height = TEXT_LINE * (len(lines) + 1) + 16
    parts += [
        rect(0, y, size.width, height, look.INSUFFICIENT_TINT),
        rect(0, y, 4, height, look.INSUFFICIENT),
        text(voice, 16, y + 20, fitted(label, size.width - 30), bold=True),
    ]
    for i, words in enumerate(lines, start=1):
        parts.append(text(voice, 16, y + 20 + TEXT_LINE * i, words))
    return y + height + 10


def _sample(position: int, x: float, y: float) -> list[Markup]:
    style = look.stroke(position)
    return [
        rect(x, y - 6, 27, 12, style.color + "29"),
        line(x, y, x + 27, y, style.color, 2.4, style.dash),
    ]


def _frame(parts: list[Markup], x: Axis, up: Axis, horizon: float, voice: Voice, size: Size) -> list[float]:
    """Add axes and grid; return the ticks of the time axis in days."""
    for level in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts += [
            line(x.left, up(level), x.right, up(level), look.HAIRLINE, 1),
            text(
                voice,
                x.left - 6,
                up(level) + 4,
                f"{100 * level:g}%",
                anchor="end",
                size=look.SMALL,
                color=look.MUTED,
            ),
        ]
    unit, steps = time_ticks(horizon, size.ticks)
    for step in steps:
        at = x(step * unit)
        parts += [
            line(at, up(0), at, up(0) + 5, look.MUTED, 1),
            text(voice, at, up(0) + 19, f"{step:g}", anchor="middle", size=look.SMALL, color=look.MUTED),
        ]
    parts += [
        line(x.left, up(0), x.right, up(0), look.MUTED, 1.2),
        text(
            voice,
            (x.left + x.right) / 2,
            up(0) + 38,
            voice("survival.months" if unit > 1 else "survival.days"),
            anchor="middle",
            size=look.SMALL,
            color=look.MUTED,
        ),
    ]
    return [step * unit for step in steps]


def _corners(xs: tuple[float, ...], values: tuple[float, ...], first: float) -> list[tuple[float, float]]:
    """Return the corners of a step function that starts at ``first`` on day 0 and changes at ``xs`` only.

    Runs of equal values are drawn as one step, so that a daily grid stays a small file.
    """
    corners, before = [(0.0, first)], first
    for at, value in zip(xs, values, strict=True):
        if value != before:
            corners += [(at, before), (at, value)]
            before = value
    if xs:
        corners.append((xs[-1], before))
    return corners


def _points(corners: list[tuple[float, float]], x: Axis, up: Axis) -> str:
    return "L".join(f"{x(a):.1f} {up(b):.1f}" for a, b in corners)


def _steps(xs: tuple[float, ...], values: tuple[float, ...], x: Axis, up: Axis) -> str:
    return "M" + _points(_corners(xs, values, 1.0), x, up)


def _ribbon(curve: Curve, x: Axis, up: Axis) -> str:
    above = _corners(curve.days, curve.upper, 1.0)
    below = _corners(curve.days, curve.lower, 1.0)
    return "M" + _points(above, x, up) + "L" + _points(below[::-1], x, up) + "Z"


def _at_risk(curve: Curve, day: float) -> str:
    """Return the band of the number at risk as the interval around ``day`` begins, or a dot without one."""
    position = bisect_right(curve.days, day + 1e-6)
    return (
        banded(curve.at_risk[position]).replace("-", "\u2013") if position < len(curve.at_risk) else "\u00b7"
    )


def _table(conclusion: Conclusion, title: Phrase, names: Names) -> Table:
    head = tuple(
        names.voice(f"table.{key}")
        for key in ("group", "day", "survival", "interval", "at_risk", "se_sampling", "se_privacy")
    )
    rows = chain.from_iterable(_table_rows(s, names) for s in conclusion.strata)
    return Table(title, head, tuple(rows))


def _table_rows(stratum: Stratum, names: Names) -> list[tuple[Phrase | str, ...]]:
    label, curve, voice = names.group(stratum.name), stratum.curve, names.voice
    if curve is None or not curve.days:
        return [(label, "\u2013", names.refusal(stratum), *("\u2013",) * 4)]
    every = -(-len(curve.days) // TABLE_ROWS)
    kept = sorted({*range(every - 1, len(curve.days), every), len(curve.days) - 1})
    return [
        (
            label,
            f"{curve.days[i]:g}" if every == 1 else f"{curve.days[i]:.0f}",
            percent(curve.survival[i]),
            interval(curve.lower[i], curve.upper[i], "probability", voice),
            banded(curve.at_risk[i]),
            percent(curve.sampling_variance[i] ** 0.5),
            percent(curve.privacy_variance[i] ** 0.5),
        )
        for i in kept
    ]
