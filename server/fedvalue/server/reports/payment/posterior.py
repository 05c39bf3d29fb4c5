"""What is believed of a quantity against its threshold: a density, each side of it in its own color."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from markupsafe import Markup

from fedvalue.payment.economics.joint import Floats
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Anchor, Figure, Pieces, Table, drawn, hatch, line, path, text
from fedvalue.server.reports.formats import probability
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.payment.chart import Entry, Frame, axes, frame, key, points, short, ticks
from fedvalue.server.reports.wording import Voice, Words

BINS = 60
"""Steps of the density between the draws' 0.1 % and 99.9 % points."""


def figure(
    draws: Floats,
    threshold: float,
    voice: Voice,
    name: str,
    *,
    what: Words,
    shown: Callable[[float], Words],
    at_least: bool = True,
    recorded: float | None = None,
) -> Figure:
    """Draw draws of a quantity, noise counted, against a threshold.

    Args:
      draws: Shape ``(runs,)``.
      threshold: In the same unit.
      voice: Languages.
      name: Unique on the page.
      what: The quantity in words.
      shown: Writes a value with its unit.
      at_least: True where values from the threshold on meet it.
      recorded: The probability of meeting it that a decision rests on; None to count the draws.
    """
    counted = float(np.mean(draws >= threshold if at_least else draws <= threshold))
    met = counted if recorded is None else recorded
    low, middle, high = (float(q) for q in np.quantile(draws, [0.025, 0.5, 0.975]))
    title = voice("posterior.title", what=what)
    words: dict[str, Words] = {
        "what": what,
        "p": probability(met),
        "tau": shown(threshold),
        "low": shown(low),
        "high": shown(high),
        "middle": shown(middle),
    }
    rows = (
        (voice("posterior.median"), shown(middle)),
        (voice("posterior.interval"), voice("estimate.range", low=shown(low), high=shown(high))),
        (voice("posterior.threshold"), shown(threshold)),
        (voice("posterior.met"), probability(met)),
    )
    return Figure(
        voice("posterior.caption", **words),
        drawn(
            voice,
            lambda size: _pieces(draws, threshold, at_least, shown, voice, size, name),
            name=name,
            title=title,
            description=voice("posterior.alt", **words),
        ),
        Table(title, (voice("table.quantity"), voice("table.value")), rows),
    )


def _pieces(
    draws: Floats,
    threshold: float,
    at_least: bool,
    shown: Callable[[float], Words],
    voice: Voice,
    size: Size,
    name: str,
) -> Pieces:
    pattern = f"{name}-{size.name}-other"
    used, parts = key(
        voice,
        size,
        [
            Entry(voice("posterior.key_met"), fill=look.MET_TINT, color=look.MET),
            Entry(voice("posterior.key_not"), fill=f"url(#{pattern})", color=look.NOT_MET),
        ],
    )
    parts.insert(0, hatch(pattern, "#ecc3b4", look.NOT_MET_TINT))
    first, last = (float(q) for q in np.quantile(draws, [0.001, 0.999]))
    across = (min(first, threshold), max(last, threshold))
    room = 0.04 * (across[1] - across[0] or 1.0)
    across = (across[0] - room, across[1] + room)
    heights, edges = np.histogram(draws, bins=BINS, range=across)
    smooth = np.convolve(heights, [0.25, 0.5, 0.25], mode="same")
    middles = (edges[:-1] + edges[1:]) / 2
    area = frame(size, across, (0.0, 1.08 * float(smooth.max() or 1.0)), top=used + 30, height=210, left=10)
    for side, fill, color in (
        (middles >= threshold, look.MET_TINT, look.MET),
        (middles < threshold, f"url(#{pattern})", look.NOT_MET),
    ):
        if not at_least:
            fill, color = (
                (f"url(#{pattern})", look.NOT_MET) if color == look.MET else (look.MET_TINT, look.MET)
            )
        if side.sum() > 1:
            parts += _side(middles[side].tolist(), smooth[side].tolist(), area, fill, color)
    labels = [
        (v, short(v) if max(map(abs, across)) >= 1000 else shown(v)) for v in ticks(*across, size.ticks - 1)
    ]
    parts += axes(voice, area, labels, [])
    at = area.x(threshold)
    anchor: Anchor = "start" if at < (area.x.left + area.x.right) / 2 else "end"
    parts += [
        line(at, area.bottom, at, area.y.right - 4, look.INK, 2, "6 3"),
        text(
            voice,
            at + (6 if anchor == "start" else -6),
            area.y.right + 4,
            voice("posterior.tau", tau=shown(threshold)),
            anchor=anchor,
            size=look.SMALL,
            bold=True,
            halo=True,
        ),
    ]
    return area.bottom + 28, parts


def _side(xs: list[float], heights: list[float], area: Frame, fill: str, color: str) -> list[Markup]:
    outline = points([xs[0], *xs, xs[-1]], [0.0, *heights, 0.0], area)
    return [path(outline + "Z", fill=fill), path(points(xs, heights, area), color=color, width=2)]
