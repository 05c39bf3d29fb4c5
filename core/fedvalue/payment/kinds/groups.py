"""DRG sub-groups: the payer's exact costs, a split that the grouper sees, and evidence where it is molecular.

Two forms, told apart by the payer's statement:

* the closed year is grouped with the sub-groups in place of the ADRG: weights are exact, and the draws show
what
  another year of the same kind would be (`split.moment_draws`), V_dp = 0;
* the statement has ``cells``: visible groups that the mutation splits, and the standard's quantities
  ``share_<cell>__<subgroup>`` give the split, with both variances (`molecular`). Costs stay exact.

The derived quantity ``all_conditions`` is 1 in a draw in which every criterion holds. Where a sub-group
names no field that a grouper sees, nothing is decided: the four vehicles are offered. Source: payment.md
2.5, points 12, 13.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np

from fedvalue.errors import PaymentError
from fedvalue.payment.decision import Outcome
from fedvalue.payment.decision_findings import Refused, Result, Vehicle
from fedvalue.payment.held import HeldSubgroup
from fedvalue.payment.kinds.case import Case, Kind, kept, result
from fedvalue.payment.known import Known, KnownDraws
from fedvalue.payment.mechanisms.case_costs import PayerHeld
from fedvalue.payment.mechanisms.molecular import share_name, subgroup_moments, subgroup_weights
from fedvalue.payment.mechanisms.split import (
    Moments,
    SplitCriteria,
    condition_probabilities,
    conditions,
    moment_draws,
    riv,
)
from fedvalue.payment.mechanisms.subgroup import OFFERED
from fedvalue.payment.mechanisms.underlying import Derived, Draws
from fedvalue.payment.mechanisms.weight_error import weight_estimates
from fedvalue.payment.mechanisms.weights import relative_weights

RUNS = 2_000
"""Draws of the criteria: each is a whole table, and .90 has a Monte-Carlo error of .007."""

PLACES = 4
"""Decimals of a published weight."""


def _criteria(case: Case) -> SplitCriteria:
    return SplitCriteria(
        minimum_cases=int(case.amount("minimum_cases")),
        minimum_share=case.amount("minimum_share"),
        relative_difference=case.amount("relative_difference"),
        absolute_difference=case.amount("absolute_difference"),
        minimum_riv=case.amount("minimum_riv"),
        maximum_cv=case.amount("maximum_cv"),
        currency=case.statement().costs().currency,
    )


def _subgroups(case: Case) -> tuple[HeldSubgroup, ...]:
    found, adrg = case.statement().statement.subgroups, case.word("adrg")
    if len(found) < 2 or sum(s.rest for s in found) > 1:
        raise PaymentError("two sub-groups or more, at most one of them the rest", where=adrg)
    if moved := [s.group for s in found if not s.group.startswith(adrg)]:
        raise PaymentError(
            f"{moved[0]} is not of this ADRG", where=adrg, do="ADRGs are national and read-only: refine one"
        )
    wanted = {name.removeprefix("weight_") for name in case.standard.payment if name.startswith("weight_")}
    if wanted != {s.name for s in found}:
        raise PaymentError(
            f"the standard pays {sorted(wanted)}, the statement proposes {sorted(s.name for s in found)}",
            where=adrg,
        )
    for subgroup in found:
        subgroup.subgroup()
    return found


def _check(case: Case) -> None:
    subgroups = _subgroups(case)
    taken: dict[tuple[str, str], str] = {}
    for subgroup in subgroups:
        for code in subgroup.field.codes if subgroup.field else ():
            key = (subgroup.field.kind if subgroup.field else "", code)
            if key in taken:
                raise PaymentError(
                    f"overlapping windows: {code} leads to {taken[key]} and to {subgroup.group}",
                    where=case.word("adrg"),
                )
            taken[key] = subgroup.group
    _criteria(case)


def _refuse(case: Case) -> Refused | None:
    unseen = tuple(s.label for s in _subgroups(case) if s.field is None and not s.rest)
    if not unseen:
        return None
    return Refused(
        reason=f"No field of a settlement list identifies {', '.join(unseen)}: a grouper cannot see it.",
        unidentified=unseen,
        vehicles=tuple(Vehicle(name=name, text=text) for name, text in OFFERED),
    )


def _cells(case: Case) -> PayerHeld:
    """Return the closed year of the cells alone; their books were closed with the whole."""
    whole, cells = case.statement().costs(), set(case.statement().statement.cells.values())
    groups = tuple(g for g in whole.groups if g.group in cells)
    if {g.group for g in groups} != cells:
        raise PaymentError("a cell is no group of the closed year", where=case.word("adrg"))
    total = sum((g.total for g in groups), Decimal(0))
    cases = sum(g.cases for g in groups)
    zero = Decimal("0.00")
    return PayerHeld(
        whole.year,
        whole.currency,
        whole.grouping_version,
        whole.price_list,
        groups,
        0,
        zero,
        zero,
        0,
        zero,
        cases,
        total,
    )


def _shares(case: Case) -> Draws:
    """Return the draws of the split as `molecular` names them, cut to `RUNS`."""
    cells, names = case.statement().statement.cells, [s.name for s in _subgroups(case)]
    wanted = [
        (f"share_{cell}__{name}", share_name(group, name)) for cell, group in cells.items() for name in names
    ]
    if absent := [have for have, _ in wanted if have not in case.draws.names]:
        raise PaymentError(f"the evidence gives no {absent[0]}", where=case.word("adrg"))
    index = [case.draws.names.index(have) for have, _ in wanted]
    return Draws(
        tuple(name for _, name in wanted), case.draws.center[index], case.draws.sampling[:RUNS, index],
        case.draws.privacy[:RUNS, index], case.draws.evidence_id,
    )  # fmt: skip


def _molecular(case: Case) -> bool:
    return bool(case.statement().statement.cells)


def _moments(case: Case) -> tuple[Sequence[Moments], Sequence[Sequence[Moments]]]:
    """Return the sub-groups' moments at the estimates, and by draw."""
    if _molecular(case):
        shares, names = _shares(case), tuple(s.name for s in _subgroups(case))
        still = np.zeros((2, len(shares.names)))
        center = Draws(shares.names, shares.center, still, still, shares.evidence_id)
        costs = _cells(case)
        return subgroup_moments(costs, center, names)[0], subgroup_moments(costs, shares, names)
    costs = case.statement().costs()
    groups = [costs.group(s.group) for s in _subgroups(case)]
    rng = np.random.default_rng([case.seed, 13])
    exact = [Moments(Fraction(g.cases), g.mean, g.variance) for g in groups]
    return exact, moment_draws(groups, runs=RUNS, rng=rng)


def _derive(case: Case) -> Mapping[str, Known]:
    exact, draws = _moments(case)
    criteria = _criteria(case)
    held = np.array([float(all(conditions(groups, criteria).values())) for groups in draws])
    whole = float(np.var(held))
    noise = _noise_share(case)
    now = float(all(conditions(exact, criteria).values()))
    return {"all_conditions": KnownDraws(Derived(now, held, whole * (1 - noise), whole * noise))}


def _noise_share(case: Case) -> float:
    """Return which part of the split's variance is privacy noise, 0 where the grouper sees the split."""
    if not _molecular(case):
        return 0.0
    found = subgroup_weights(_cells(case), _shares(case), tuple(s.name for s in _subgroups(case))).values()
    privacy, whole = (sum(f(d) for d in found) for f in (_privacy, _whole))
    return privacy / whole if whole > 0 else 0.0


def _privacy(derived: Derived) -> float:
    return derived.privacy_variance


def _whole(derived: Derived) -> float:
    return derived.privacy_variance + derived.sampling_variance


def _weights(case: Case) -> dict[str, Fraction]:
    """Return the exact weight of every sub-group, over the whole case mix of the closed year."""
    costs = case.statement().costs()
    if not _molecular(case):
        found = relative_weights(costs)
        return {s.name: found.of(s.group) for s in _subgroups(case)}
    center, _ = _moments(case)
    return {s.name: Fraction(m.mean) / costs.mean for s, m in zip(_subgroups(case), center, strict=True)}


def _published(case: Case) -> tuple[dict[str, Decimal], Fraction]:
    """Return weights to four decimals, and the factor of the rate with which rounding moves no money."""
    exact = _weights(case)
    center, _ = _moments(case)
    rounded = {name: Decimal(round(value * 10**PLACES)).scaleb(-PLACES) for name, value in exact.items()}
    cases = [Fraction(m.cases) for m in center]
    whole = sum((n * w for n, w in zip(cases, exact.values(), strict=True)), Fraction(0))
    paid = sum((n * Fraction(w) for n, w in zip(cases, rounded.values(), strict=True)), Fraction(0))
    return rounded, whole / paid


def _compute(case: Case, outcome: Outcome) -> Mapping[str, Decimal]:
    if outcome != "met":
        return {}
    return {f"split_{name}": weight for name, weight in _published(case)[0].items()}


def _results(case: Case) -> tuple[Result, ...]:
    exact, draws = _moments(case)
    criteria = _criteria(case)
    holds, likely = conditions(exact, criteria), condition_probabilities(draws, criteria)
    rows = [*_weight_rows(case, exact)]
    rows += [
        Result(
            name=f"P({name.replace('_', ' ')})", unit="probability", value=kept(likely[name]),
            text="holds at the estimates" if holds[name] else "does not hold at the estimates",
        )
        for name in holds
    ]  # fmt: skip
    factor = _published(case)[1]
    rows += [
        Result(name="reduction in variance", unit="share", value=kept(float(riv(exact)))),
        Result(name="rate factor for rounded weights", unit="coefficient", value=kept(float(factor))),
    ]
    if (channels := case.statement().statement.channels) is not None:
        inside, outside = channels.inpatient, channels.outpatient + channels.dual_channel
        note = (
            "most of it lies outside the ward: an outpatient bundle fits better" if outside > inside else None
        )
        rows.append(Result(name="cost outside the ward", unit=case.currency, value=float(outside), text=note))
    return tuple(rows)


def _weight_rows(case: Case, exact: Sequence[Moments]) -> list[Result]:
    names = tuple(s.name for s in _subgroups(case))
    if _molecular(case):
        costs, cells = case.statement().costs(), _cells(case)
        scale = float(cells.mean / costs.mean)
        found = subgroup_weights(cells, _shares(case), names)
        return [
            result(
                f"weight of {name}",
                "relative weight",
                Derived(
                    d.value * scale,
                    d.draws * scale,
                    d.sampling_variance * scale**2,
                    d.privacy_variance * scale**2,
                ),
                text=f"about {float(m.cases):,.0f} cases",
            )
            for (name, d), m in zip(found.items(), exact, strict=True)
        ]
    estimates = weight_estimates(case.statement().costs())
    rows = []
    for subgroup, m in zip(_subgroups(case), exact, strict=True):
        e = estimates[subgroup.group]
        rows.append(
            Result(
                name=f"weight of {subgroup.name}",
                unit="relative weight",
                value=kept(e.value),
                lower=None if e.lower is None else kept(e.lower),
                upper=None if e.upper is None else kept(e.upper),
                sampling_variance=kept(e.sampling_variance),
                privacy_variance=0.0,
                text=f"{int(m.cases):,} cases of {subgroup.group}",
            )
        )
    return rows


SUBGROUPS = Kind(check=_check, refuse=_refuse, derive=_derive, compute=_compute, results=_results)
