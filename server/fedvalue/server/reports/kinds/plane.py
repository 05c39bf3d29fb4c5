"""Mean cost against mean effect of each group, with the region that holds both means with 95 % probability.

The ellipse is that of a bivariate normal distribution with the covariance of both means, by sampling and by
privacy noise together: ``(x - m)' S^-1 (x - m) <= 5.991``, the 95 % quantile of chi-square on 2 degrees.

van Hout, B. A., Al, M. J., Gordon, G. S., Rutten, F. F. H. Costs, effects and C/E-ratios alongside a clinical
trial. Health Economics 3 (1994) 309-319.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.estimate import Estimate, Joint, Stratum
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Figure, Pieces, Table, circle, drawn, path
from fedvalue.server.reports.formats import interval, quantity
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.payment import chart
from fedvalue.server.reports.wording import Words

CHI_SQUARE_95 = 5.991464547107979
POINTS = 60
Pair = tuple[Stratum, Estimate, Estimate, NDArray[np.float64]]


def figure(shown: Sequence[Stratum], title: Words, names: Names, name: str) -> Figure | None:
    """Draw the groups whose cost and effect are known together; None where there are none."""
    voice, pairs = names.voice, [pair for stratum in shown if (pair := _pair(stratum)) is not None]
    if not pairs:
        return None
    rows = tuple(
        (
            names.group(stratum.name),
            quantity(effect.value, effect.unit, voice),
            interval(effect.lower, effect.upper, effect.unit, voice),
            quantity(cost.value, cost.unit, voice),
            interval(cost.lower, cost.upper, cost.unit, voice),
        )
        for stratum, cost, effect, _ in pairs
    )
    told = (voice("figure.effect_axis"), voice("figure.cost_axis"))
    head = (voice("table.group"), told[0], voice("table.interval"), told[1], voice("table.interval"))
    some = pairs[: len(look.STROKES)]
    return Figure(
        voice("figure.plane"),
        drawn(voice, lambda size: _pieces(some, names, size), name=name, title=title,
              description=voice("described.lines_alt", n=str(len(pairs)), what=title)),
        Table(title, head, rows),
    )  # fmt: skip


def _pair(stratum: Stratum) -> Pair | None:
    joint = stratum.joint
    if joint is None or len(joint.names) != 2 or not set(joint.names) <= set(stratum.estimates):
        return None
    cost, effect = (stratum.estimates[key] for key in joint.names)
    return stratum, cost, effect, _covariance(joint)


def _covariance(joint: Joint) -> NDArray[np.float64]:
    """Of cost and effect, shape ``(2, 2)``, no eigenvalue below 0."""
    values, vectors = np.linalg.eigh(np.array(joint.sampling) + np.array(joint.privacy))
    found: NDArray[np.float64] = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return found


def _region(pair: Pair) -> tuple[list[float], list[float]]:
    """Effects and costs around the 95 % region."""
    _, cost, effect, covariance = pair
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(CHI_SQUARE_95 * np.maximum(values, 0.0))
    angles = np.linspace(0.0, 2 * math.pi, POINTS)
    around = root @ np.vstack([np.cos(angles), np.sin(angles)])
    return (effect.value + around[1]).tolist(), (cost.value + around[0]).tolist()


def _pieces(pairs: Sequence[Pair], names: Names, size: Size) -> Pieces:
    voice = names.voice
    entries = [
        chart.Entry(names.group(pair[0].name), color=look.stroke(i).color, dash=look.stroke(i).dash)
        for i, pair in enumerate(pairs)
    ]
    height, parts = chart.key(voice, size, entries)
    regions = [_region(pair) for pair in pairs]
    xs = [x for region in regions for x in region[0]]
    ys = [y for region in regions for y in region[1]]
    rooms = [0.06 * (max(v) - min(v)) for v in (xs, ys)]
    area = chart.frame(
        size, (min(xs) - rooms[0], max(xs) + rooms[0]), (min(ys) - rooms[1], max(ys) + rooms[1]),
        top=height + 30, height=300,
    )  # fmt: skip
    unit = pairs[0][2].unit
    across: list[chart.Tick] = [
        (v, quantity(v, unit, voice) if unit == "probability" else short)
        for v, short in chart.labels(chart.ticks(area.x.start, area.x.end, 5))
    ]
    up = chart.labels(chart.ticks(area.y.start, area.y.end, 6))
    parts += chart.axes(
        voice, area, across, up, across_title=voice("figure.effect_axis"), up_title=voice("figure.cost_axis")
    )
    for i, (pair, region) in enumerate(zip(pairs, regions, strict=True)):
        style = look.stroke(i)
        around = f"{chart.points(*region, area)}Z"
        parts.append(
            path(around, fill=style.color, color=style.color, dash=style.dash, width=1.6, opacity=0.12)
        )
        place = area.x(pair[2].value), area.y(pair[1].value)
        parts.append(circle(*place, 4.5, style.color, look.PAPER, 1.4))
    return area.bottom + 48, parts
