"""The cost-effectiveness plane: draws of one comparison with the line of k, or options with a frontier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedvalue.payment.economics.frontier import Placed
from fedvalue.payment.economics.joint import Floats
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Figure, Pieces, Table, circle, drawn, element, line, path, text
from fedvalue.server.reports.formats import number, percent
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.payment.chart import axes, frame, points, short, ticks
from fedvalue.server.reports.wording import Phrase, Voice, Words

DRAWN = 400
"""Points that are drawn; shares are of all of them."""

QUADRANTS = ("more_dearer", "more_cheaper", "less_cheaper", "less_dearer")


def figure(cost: Floats, effect: Floats, k: float, voice: Voice, name: str, *, currency: str) -> Figure:
    """Draw increments of cost and effect, and the line k.

    Args:
      cost: Draws of the difference in cost, shape ``(runs,)``.
      effect: Draws of the difference in effect, in QALYs, shape ``(runs,)``.
      k: Willingness to pay per QALY.
      voice: Languages.
      name: Unique on the page.
      currency: Of cost and k.
    """
    shares = {
        "more_dearer": float(np.mean((effect > 0) & (cost > 0))),
        "more_cheaper": float(np.mean((effect > 0) & (cost <= 0))),
        "less_cheaper": float(np.mean((effect <= 0) & (cost <= 0))),
        "less_dearer": float(np.mean((effect <= 0) & (cost > 0))),
    }
    below = float(np.mean(k * effect > cost))
    title = voice("plane.title")
    rows = [(voice(f"plane.{quadrant}"), percent(shares[quadrant])) for quadrant in QUADRANTS]
    rows.append((voice("plane.below", k=short(k)), percent(below)))
    words: dict[str, Words] = {"k": short(k), "p": percent(below), "n": number(len(cost), 6)}
    return Figure(
        voice("plane.caption", **words),
        drawn(
            voice,
            lambda size: _pieces(cost, effect, k, voice, size, currency),
            name=name,
            title=title,
            description=voice("plane.alt", **words),
        ),
        Table(title, (voice("table.quadrant"), voice("table.share")), tuple(rows)),
    )


def _pieces(cost: Floats, effect: Floats, k: float, voice: Voice, size: Size, currency: str) -> Pieces:
    shown = slice(None, None, max(1, len(cost) // DRAWN))
    reach = [1.15 * max(float(np.max(np.abs(values[shown]))), 1e-9) for values in (effect, cost)]
    across = (min(-0.25 * reach[0], 1.15 * float(effect.min())), reach[0])
    up = (min(-0.25 * reach[1], 1.15 * float(cost.min())), reach[1])
    area = frame(size, across, up, top=26, height=320)
    parts = axes(
        voice,
        area,
        [(v, number(v, 3)) for v in ticks(*across, size.ticks - 1)],
        [(v, short(v)) for v in ticks(*up, 6)],
        across_title=voice("plane.axis"),
        up_title=voice("plane.axis_up", currency=currency),
        zero=True,
    )
    parts.append(line(area.x(0.0), area.bottom, area.x(0.0), area.y.right, look.MUTED, 1.2))
    dots = [
        circle(area.x(float(e)), area.y(float(c)), 2, look.SAMPLING)
        for c, e in zip(cost[shown], effect[shown], strict=True)
    ]
    group = dots[0].__class__("").join(dots)
    parts.append(element("g", group, fill_opacity="0.45"))
    ends = [(e, k * e) for e in np.linspace(*across, 200).tolist() if up[0] <= k * e <= up[1]]
    if len(ends) > 1:
        parts.append(
            path(points([e for e, _ in ends], [c for _, c in ends], area), color=look.NOT_MET, dash="7 3")
        )
        label = voice("plane.line", k=short(k))
        parts.append(
            text(
                voice,
                area.x(ends[-1][0]) - 6,
                area.y(ends[-1][1]) + 16,
                label,
                anchor="end",
                size=look.SMALL,
                color=look.NOT_MET,
                bold=True,
                halo=True,
            )
        )
    parts.append(
        circle(area.x(float(effect.mean())), area.y(float(cost.mean())), 6, look.PRIVACY, look.INK, 1.5)
    )
    return area.bottom + 48, parts


def frontier(placed: Sequence[Placed], voice: Voice, name: str, *, currency: str) -> Figure:
    """Draw options by effect and cost, and the efficiency frontier through those worth paying for at some k.

    Args:
      placed: From `fedvalue.payment.economics.frontier.frontier`.
      voice: Languages.
      name: Unique on the page.
      currency: Of cost.
    """
    title = voice("frontier.title")
    kept = [p for p in placed if p.standing == "frontier"]
    head = tuple(voice(f"table.{column}") for column in ("option", "cost", "effect", "standing", "ratio"))
    rows = tuple(
        (
            p.option.name,
            number(p.option.cost, 7),
            number(p.option.effect, 7),
            voice(f"frontier.{p.standing.lower()}"),
            "\u2013" if p.ratio is None else number(p.ratio, 6),
        )
        for p in placed
    )

    def pieces(size: Size) -> Pieces:
        effects, costs = [p.option.effect for p in placed], [p.option.cost for p in placed]
        room = (0.12 * (max(effects) - min(effects)) or 1.0, 0.12 * (max(costs) - min(costs)) or 1.0)
        across = (min(effects) - room[0], max(effects) + 2 * room[0])
        up = (min(costs) - room[1], max(costs) + room[1])
        area = frame(size, across, up, top=26, height=280)
        parts = axes(
            voice,
            area,
            [(v, number(v, 3)) for v in ticks(*across, size.ticks - 1)],
            [(v, short(v)) for v in ticks(*up, 6)],
            across_title=voice("frontier.axis"),
            up_title=voice("frontier.axis_up", currency=currency),
        )
        if len(kept) > 1:
            ordered = sorted(kept, key=lambda p: p.option.cost)
            line_ = points([p.option.effect for p in ordered], [p.option.cost for p in ordered], area)
            parts.append(path(line_, color=look.SAMPLING, width=2.4))
        for p in placed:
            on = p.standing == "frontier"
            at = area.x(p.option.effect), area.y(p.option.cost)
            parts += [
                circle(*at, 5.5, look.SAMPLING if on else look.PAPER, look.SAMPLING if on else look.MUTED),
                text(voice, at[0] + 10, at[1] + 4, Phrase.same(p.option.name), size=look.SMALL, halo=True),
            ]
        return area.bottom + 48, parts

    told = voice("frontier.alt", on=", ".join(p.option.name for p in kept), n=str(len(placed)))
    return Figure(
        voice("frontier.caption"),
        drawn(voice, pieces, name=name, title=title, description=told),
        Table(title, head, rows, frozenset({3})),
    )
