"""Contracts on a panel of people: capitation, risk tiers, yearly bundles, quality, savings.

A standard's targets are set from the underlying rates of a region; each institution's year is settled on its
own exact figures. Several targets are met jointly, over draws, and not as a product of their probabilities.

Risk tiers: a tier's base is ``mean_base`` times a coefficient that averages 1 over the payer's own enrolment,

    raw_t = cost_t / mean cost,    r*_t = 1 + Z_t (raw_t - 1),    Z_t = tau^2 / (tau^2 + V_s + V_dp),

normalised again, and divided to the fen so that tiering moves no budget. Source: payment.md 2.4, 2.8, 2.12.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from statistics import NormalDist

import numpy as np

from fedvalue.analyses.estimate import Estimate
from fedvalue.errors import PaymentError
from fedvalue.payment.decision import Outcome
from fedvalue.payment.decision_findings import Result
from fedvalue.payment.kinds.case import Case, Expected, Kind, Take, kept, result
from fedvalue.payment.known import Z95, Known, KnownDraws
from fedvalue.payment.mechanisms.bands import AnnualBundleTerms, BandFactor, TierAmounts
from fedvalue.payment.mechanisms.exact import fen
from fedvalue.payment.mechanisms.prepaid import PrepaidTerms
from fedvalue.payment.mechanisms.risk_adjustment import Credible, credible, payments
from fedvalue.payment.mechanisms.shared_savings import SavingsTerms
from fedvalue.payment.mechanisms.underlying import Derived, Floats
from fedvalue.payment.money import FEN


def _capitation(case: Case) -> Mapping[str, Known]:
    if not {"admissions", "expected_admissions"} <= set(case.draws.names):
        return {}
    reduced = case.through(
        lambda take: 1 - take("admissions") / np.maximum(take("expected_admissions"), 1e-12)
    )
    return {"reduction": KnownDraws(reduced)}


def _tier_coefficients(case: Case) -> tuple[Credible, dict[str, int]]:
    tiers = [name.removeprefix("cost_") for name in case.standard.quantities if name.startswith("cost_")]
    people = {tier: int(case.figure(f"people_{tier}")) for tier in tiers}
    whole = sum(people.values())
    if not tiers or whole <= 0:
        raise PaymentError(
            "risk tiers need cost_<tier> from evidence and people_<tier> from the payer",
            where=case.standard.name,
            do="name both as quantities of the standard",
        )
    estimates = {}
    for tier in tiers:
        estimates[tier] = _estimate(case.through(_relative(tier, people)))
    between = case.number("between_sd") ** 2
    return credible(estimates, people, between_variance=between), people


def _relative(tier: str, people: Mapping[str, int]) -> Callable[[Take], Floats]:
    """Return the function of the draws that is a tier's cost over the mean member's."""
    whole = sum(people.values())

    def relative(take: Take) -> Floats:
        costs = np.stack([n * take(f"cost_{t}") for t, n in people.items()]).sum(axis=0)
        return np.asarray(take(f"cost_{tier}") * whole / np.maximum(costs, 1e-12), dtype=np.float64)

    return relative


def _estimate(found: Derived) -> Estimate:
    value, sampling, privacy = kept(found.value), kept(found.sampling_variance), kept(found.privacy_variance)
    half = Z95 * (sampling + privacy) ** 0.5
    return Estimate(
        value=value, unit="ratio", lower=value - half, upper=value + half, sampling_variance=sampling,
        privacy_variance=privacy,
    )  # fmt: skip


def _has_tiers(case: Case) -> bool:
    return "mean_base" in case.standard.amounts


def _tier_bases(case: Case, outcome: Outcome) -> Mapping[str, Decimal]:
    del outcome
    if not _has_tiers(case):
        return {}
    found, _ = _tier_coefficients(case)
    return {f"risk_{p.cell}": p.each for p in payments(case.amount("mean_base"), found.coefficients)}


def _tier_results(case: Case) -> tuple[Result, ...]:
    if not _has_tiers(case):
        return ()
    found, people = _tier_coefficients(case)
    paid = payments(case.amount("mean_base"), found.coefficients)
    rows = []
    for cell in paid:
        exact = found.coefficients.of(cell.cell)
        rows += [
            Result(name=f"risk coefficient of {cell.cell}", unit="coefficient", value=kept(float(exact))),
            Result(
                name=f"credibility of {cell.cell}", unit="share", value=kept(found.credibility[cell.cell]),
                text=f"{found.privacy_share[cell.cell]:.0%} of what is left out is privacy noise",
            ),
            Result(
                name=f"total of {cell.cell}", unit=case.currency, value=float(cell.total),
                text=f"{cell.people:,} members; {cell.odd:,} of them are paid {cell.each_odd}",
            ),
        ]  # fmt: skip
    whole = sum((cell.total for cell in paid), Decimal(0))
    neutral = whole - case.amount("mean_base") * sum(people.values())
    rows.append(
        Result(
            name="tiering moves the budget by",
            unit=case.currency,
            value=float(neutral),
            text=f"{neutral:.2f}",
        )
    )
    return tuple(rows)


def _check_capitation(case: Case) -> None:
    if case.amount("penalty") > 1:
        raise PaymentError("a penalty takes off at most the whole", where=case.standard.name)


CAPITATION = Kind(check=_check_capitation, derive=_capitation, compute=_tier_bases, results=_tier_results)


def _amounts(case: Case) -> TierAmounts:
    return TierAmounts(
        case.amount("bonus_from"), case.amount("bonus"), case.amount("penalty_below"), case.amount("penalty"),
        dead_band="neutral",
    )  # fmt: skip


def _check_tiered(case: Case) -> None:
    _amounts(case)


def _addition(case: Case) -> Derived:
    terms = _amounts(case)
    bonus, penalty = float(terms.bonus), float(terms.penalty)
    top, bottom = float(terms.bonus_from), float(terms.penalty_below)
    return case.through(lambda take: bonus * (take("control") >= top) - penalty * (take("control") < bottom))


TIERED = Kind(
    check=_check_tiered,
    derive=lambda case: {"expected_addition": KnownDraws(_addition(case))},
    expect=lambda case: (
        Expected("bonus less penalty at the region's rate", "fund", "hospital", _addition(case)),
    ),
)


def _band(case: Case) -> BandFactor:
    return BandFactor(
        case.amount("full_from"), case.amount("full"), case.amount("low_below"), case.amount("low"),
        gap=case.word("gap"),  # type: ignore[arg-type]  # the band checks it
    )  # fmt: skip


def _check_bundle(case: Case) -> None:
    AnnualBundleTerms(
        case.standard.name, case.currency, case.amount("price"), _band(case),
        missing="fail" if case.word("missing") == "fail" else "exclude",
    )  # fmt: skip


def _bundle_factor(case: Case) -> Derived:
    band = _band(case)
    full, low = float(band.full), float(band.low)
    top, bottom = float(band.full_from), float(band.low_below)
    between = {"hold_full": full, "hold_low": low}.get(band.gap)

    def factor(rate: Floats) -> Floats:
        slope = low + (rate - bottom) / max(top - bottom, 1e-12) * (full - low)
        middle = slope if between is None else np.full_like(rate, between)
        return np.asarray(np.where(rate >= top, full, np.where(rate < bottom, low, middle)))

    return case.through(lambda take: factor(take("control")))


def _bundle_payment(case: Case) -> Derived:
    found, price = _bundle_factor(case), case.number("price")
    return Derived(
        price * found.value, price * found.draws, price**2 * found.sampling_variance,
        price**2 * found.privacy_variance,
    )  # fmt: skip


ANNUAL_BUNDLE = Kind(
    check=_check_bundle,
    derive=lambda case: {
        "expected_factor": KnownDraws(_bundle_factor(case)),
        "expected_payment": KnownDraws(_bundle_payment(case)),
    },
    expect=lambda case: (Expected("bundle at the region's rate", "fund", "hospital", _bundle_payment(case)),),
)


def _check_quality(case: Case) -> None:
    if not case.family("base"):
        raise PaymentError("a bonus for quality without a base", where=case.standard.name)


QUALITY = Kind(check=_check_quality)


def _check_prepaid(case: Case) -> None:
    PrepaidTerms(
        case.standard.name, case.currency, case.amount("per_head"), case.amount("quality_floor"),
        case.amount("deficit_share"), missing="fail" if case.word("missing") == "fail" else "exclude",
    )  # fmt: skip


def _surplus(case: Case) -> Derived:
    price = case.number("per_head")
    return case.through(lambda take: 1 - take("cost_per_head") / price)


def _from_cost(case: Case, outcome: Outcome) -> Mapping[str, Decimal]:
    del outcome
    return {"from_cost": money_of(case.known["cost_per_head"].value)}


def money_of(value: float) -> Decimal:
    """Return an estimate as an amount of a standard, to the fen and at least 0; from here on it is exact."""
    return max(Decimal(repr(kept(value))).quantize(FEN, rounding=ROUND_HALF_UP), Decimal("0.00"))


PREPAID = Kind(
    check=_check_prepaid, derive=lambda case: {"surplus_rate": KnownDraws(_surplus(case))}, compute=_from_cost
)


def _check_savings(case: Case) -> None:
    SavingsTerms(
        case.standard.name, case.currency, case.amount("benchmark"), Fraction(case.amount("minimum_rate")),
        case.amount("shared"), case.amount("cap"), case.amount("loss_share"),
    )  # fmt: skip


def _savings(case: Case) -> Derived:
    benchmark = case.number("benchmark")
    return case.through(lambda take: 1 - take("spend") / benchmark)


def _guard_rate(case: Case, outcome: Outcome) -> Mapping[str, Decimal]:
    """Return MSR' = z sqrt(V_s + V_dp) / benchmark, at most 1, to four decimals, upwards."""
    del outcome
    z = NormalDist().inv_cdf(case.number("p_met"))
    spend = case.known["spend"]
    rate = z * (spend.sampling_variance + spend.privacy_variance) ** 0.5 / case.number("benchmark")
    return {"guard_rate": Decimal(min(int(np.ceil(kept(rate) * 10**4)), 10**4)).scaleb(-4)}


SAVINGS = Kind(
    check=_check_savings,
    derive=lambda case: {"savings_rate": KnownDraws(_savings(case))},
    compute=_guard_rate,
)


def _raised(case: Case, outcome: Outcome) -> Mapping[str, Decimal]:
    del outcome
    return {"raised": fen(Fraction(case.amount("standard")) * (1 + Fraction(case.amount("uplift"))))}


NEXT = Kind(compute=_raised)


def _cells(case: Case) -> Credible:
    cells = [name.removeprefix("raw_") for name in case.standard.quantities if name.startswith("raw_")]
    people = {cell: int(case.figure(f"people_{cell}")) for cell in cells}
    estimates = {}
    for cell in cells:
        at = case.draws.names.index(f"raw_{cell}")
        estimates[cell] = _estimate(case.draws.through(lambda rows, at=at: rows[:, at]))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    return credible(estimates, people, between_variance=case.number("between_sd") ** 2)


def _spread(case: Case) -> Derived:
    cells = [name for name in case.standard.quantities if name.startswith("raw_")]
    return case.through(
        lambda take: (
            np.max([take(cell) for cell in cells], axis=0) - np.min([take(cell) for cell in cells], axis=0)
        )
    )


def _coefficients(case: Case, outcome: Outcome) -> Mapping[str, Decimal]:
    del outcome
    found = _cells(case).coefficients
    return {f"credible_{cell}": Decimal(repr(round(float(found.of(cell)), 6))) for cell in found.groups}


def _cell_results(case: Case) -> tuple[Result, ...]:
    found = _cells(case)
    rows = [result("largest less smallest coefficient", "ratio", _spread(case))]
    for paid in payments(case.amount("base"), found.coefficients):
        rows.append(  # noqa: PERF401  (a comprehension of this size reads worse)
            Result(
                name=f"coefficient of {paid.cell}",
                unit="coefficient",
                value=kept(float(found.coefficients.of(paid.cell))),
                text=f"{paid.people:,} people, {paid.total:,} in all; "
                f"credibility {found.credibility[paid.cell]:.3f}",
            )
        )
    return tuple(rows)


RISK = Kind(
    derive=lambda case: {"spread": KnownDraws(_spread(case))}, compute=_coefficients, results=_cell_results
)
