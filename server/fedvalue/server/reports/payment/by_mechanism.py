"""Figures that one mechanism's decision brings along: made from what the decision recorded, nothing else.

Net benefit: the recorded variances of cost, effect and net benefit give their covariance, and with it the
acceptability curve, the value of information and the plane. Instalments: recorded survival and amounts give
the ladder. Sub-groups: recorded weights with their intervals against 1, the average of all cases, and how
each goes from the weight in force to the one proposed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from fedvalue.payment.decision import Decision
from fedvalue.payment.decision_findings import Result
from fedvalue.payment.economics.information import evpi, resolving
from fedvalue.payment.economics.joint import Covariance, Increment
from fedvalue.payment.economics.net_benefit import Acceptability, net_benefits
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Axis, Figure, Pieces, Table, circle, drawn, fitted, line, text
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.payment import acceptability, costs, ladder, plane
from fedvalue.server.reports.payment.chart import ticks
from fedvalue.server.reports.wording import Phrase, Voice

_INB = re.compile(r"INB at ([0-9,.]+)")
_MONTH = re.compile(r"event-free at month ([0-9.]+)")
_WEIGHT = re.compile(r"weight of (.+)")
POINTS = 60
DRAWS = 2_000


def figures(decision: Decision, voice: Voice, name: str) -> tuple[Figure, ...]:
    """Return the figures of a decision's mechanism; none where it recorded nothing to draw.

    Args:
      decision: The decision.
      voice: Languages.
      name: Unique on the page.
    """
    found: list[Figure] = []
    if (benefit := increment_of(decision)) is not None:
        found += _net_benefit(*benefit, voice, name)
    if decision.mechanism == "instalments":
        found += _ladder(decision, voice, name)
    if weights := [
        (m[1], r) for r in decision.results if (m := _WEIGHT.fullmatch(r.name)) and r.lower is not None
    ]:
        found.append(_weights(weights, voice, f"{name}-weights"))
        found += _waterfalls(decision, weights, voice, name)
    return tuple(found)


def increment_of(decision: Decision) -> tuple[Increment, tuple[float, ...], str] | None:
    """Return recorded cost and effect with their covariances, the recorded k, and the currency.

    Var(INB at k) = k^2 V_E - 2 k C + V_C gives the covariance C, for sampling and for noise alike.
    """
    by_name = {result.name: result for result in decision.results}
    cost, effect = by_name.get("incremental cost"), by_name.get("incremental effect")
    benefits = {float(m[1].replace(",", "")): r for r in decision.results if (m := _INB.fullmatch(r.name))}
    if cost is None or effect is None or not benefits or cost.value is None or effect.value is None:
        return None
    k = max(benefits)

    def covariance(part: str) -> Covariance:
        c, e, whole = (float(getattr(result, part)) for result in (cost, effect, benefits[k]))
        limit = (c * e) ** 0.5
        return Covariance(c, e, min(max((k * k * e + c - whole) / (2 * k), -limit), limit))

    found = Increment(
        cost.value, effect.value, covariance("sampling_variance"), covariance("privacy_variance")
    )
    return found, tuple(sorted(benefits)), cost.unit[:3]


def _net_benefit(
    both: Increment, asked: tuple[float, ...], currency: str, voice: Voice, name: str
) -> list[Figure]:
    grid = np.linspace(asked[-1] / POINTS, 1.6 * asked[-1], POINTS)
    benefits = net_benefits(both, grid.tolist())
    chance = np.array([each.probability for each in benefits])
    mean = np.array([each.mean for each in benefits])
    options = ("today", "new")
    best = tuple("new" if value > 0 else "today" for value in mean)
    found = Acceptability(
        grid=grid,
        options=options,
        ceac=np.column_stack([1 - chance, chance]),
        expected=np.column_stack([np.zeros(POINTS), mean]),
        best=best,
        ceaf=np.where(mean > 0, chance, 1 - chance),
    )
    parts = [resolving(each) for each in benefits]
    worth = {"perfect": [evpi(each) for each in benefits]}
    worth |= {kind: [part[kind] for part in parts] for kind in ("privacy", "sampling") if kind in parts[0]}
    # a seed of its own: the page draws the same points each time it is written
    rng = np.random.default_rng(8)
    drawn_ = rng.multivariate_normal(
        [both.cost, both.effect],
        [[both.covariance.cost, both.covariance.cross], [both.covariance.cross, both.covariance.effect]],
        DRAWS,
    )
    return [
        acceptability.figure(found, voice, f"{name}-ceac", currency=currency, marks=asked),
        acceptability.information(grid.tolist(), worth, voice, f"{name}-evpi", currency=currency),
        plane.figure(drawn_[:, 0], drawn_[:, 1], asked[-1], voice, f"{name}-plane", currency=currency),
    ]


def _ladder(decision: Decision, voice: Voice, name: str) -> list[Figure]:
    curve = {float(m[1]): r for r in decision.results if (m := _MONTH.fullmatch(r.name))}
    net = next((r for r in decision.results if r.name == "expected net payment"), None)
    amounts = [
        (int(key.removeprefix("instalment_")), value)
        for key, value in decision.standard_before.items()
        if key.startswith("instalment_")
    ]
    if (
        net is None
        or net.value is None
        or net.lower is None
        or net.upper is None
        or len(curve) < len(amounts)
    ):
        return []
    months = sorted(curve)
    due = [curve[month] for month in months[: len(amounts)]]
    rungs = ladder.Rungs(
        months=tuple(months[: len(amounts)]),
        amounts=tuple(float(value.amount) for _, value in sorted(amounts)),
        likely=tuple(r.value or 0.0 for r in due),
        low=tuple(r.lower or 0.0 for r in due),
        high=tuple(r.upper or 0.0 for r in due),
        net=(net.value, net.lower, net.upper),
        window=months[-1],
        currency=net.unit[:3],
    )
    return [ladder.drawn_rungs(rungs, voice, f"{name}-ladder")]


def _waterfalls(
    decision: Decision, weights: Sequence[tuple[str, Result]], voice: Voice, name: str
) -> list[Figure]:
    """From the weight in force over the one computed to the one proposed, for each sub-group."""
    after = decision.standard_after or {}
    return [
        costs.waterfall(
            (
                (voice("waterfall.before"), float(decision.standard_before[key].amount)),
                (voice("waterfall.computed"), found.value),
                (voice("waterfall.after"), float(after[key].amount)),
            ),
            voice,
            f"{name}-waterfall-{number}",
            group=group,
        )
        for number, (group, found) in enumerate(weights, start=1)
        if found.value is not None and (key := f"weight_{group}") in after and key in decision.standard_before
    ]


def _weights(found: list[tuple[str, Result]], voice: Voice, name: str) -> Figure:
    title = voice("weights.title")
    rows = tuple(
        (
            group,
            f"{r.value or 0.0:.4f}",
            voice("estimate.range", low=f"{r.lower or 0.0:.4f}", high=f"{r.upper or 0.0:.4f}"),
        )
        for group, r in found
    )

    def pieces(size: Size) -> Pieces:
        ends = [1.0, *(value for _, r in found for value in (r.lower or 0.0, r.upper or 0.0))]
        room = 0.12 * (max(ends) - min(ends) or 0.1)
        x = Axis(min(ends) - room, max(ends) + room, 90.0 if size.narrow else 200.0, size.width - 16)
        bottom = 20 + 38.0 * len(found)
        parts = [line(x(1.0), 6, x(1.0), bottom, look.MUTED, 1.4, "7 3")]
        for i, (group, r) in enumerate(found):
            y = 28 + 38.0 * i
            low, high, value = x(r.lower or 0.0), x(r.upper or 0.0), x(r.value or 0.0)
            label = fitted(Phrase.same(group), x.left - 12, look.SMALL)
            parts += [
                text(voice, 0, y + 4, label, size=look.SMALL, bold=True),
                line(low, y, high, y, look.INK, 2.2),
                line(low, y - 6, low, y + 6, look.INK, 1.6),
                line(high, y - 6, high, y + 6, look.INK, 1.6),
                circle(value, y, 5, look.ACCENT, look.PAPER, 1.5),
                text(
                    voice, value, y - 10, f"{r.value or 0.0:.3f}", anchor="middle", size=look.SMALL, halo=True
                ),
            ]
        for value in ticks(x.start, x.end, size.ticks - 2):
            parts += [
                line(x(value), bottom, x(value), bottom + 5, look.MUTED),
                text(
                    voice,
                    x(value),
                    bottom + 19,
                    f"{value:g}",
                    anchor="middle",
                    size=look.SMALL,
                    color=look.MUTED,
                ),
            ]
        parts.append(line(x.left, bottom, x.right, bottom, look.MUTED, 1.2))
        return bottom + 28, parts

    told = voice("weights.alt", groups=", ".join(f"{group} {r.value or 0.0:.3f}" for group, r in found))
    head = tuple(voice(f"table.{key}") for key in ("group", "weight", "interval"))
    return Figure(
        voice("weights.caption"),
        drawn(voice, pieces, name=name, title=title, description=told),
        Table(title, head, rows),
    )
