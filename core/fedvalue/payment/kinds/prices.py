"""Prices and their terms: items, bundles, tilts, uplifts, renegotiation, and payment outside the DRG.

An amount that a consequence sets is a term, or computed here exactly from terms and the payer's own figures;
an estimate becomes an amount of a standard only where a mechanism says so, once, rounded to the fen.
Source: payment.md 2.7, 2.13, points 12 and 13.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np

from fedvalue.errors import PaymentError
from fedvalue.payment.decision import Outcome
from fedvalue.payment.decision_findings import Result
from fedvalue.payment.kinds.case import Case, Expected, Kind, kept
from fedvalue.payment.kinds.panels import money_of
from fedvalue.payment.known import KnownDraws
from fedvalue.payment.mechanisms.carve_out import years_after
from fedvalue.payment.mechanisms.exact import count, fen
from fedvalue.payment.mechanisms.facility_tilt import Corridor, factors, neutral, standards
from fedvalue.payment.mechanisms.innovation_fund import InnovationTerms
from fedvalue.payment.mechanisms.item_price import ItemTerms
from fedvalue.payment.mechanisms.renegotiation import RenegotiationTerms, renegotiated
from fedvalue.payment.mechanisms.technology import Bounds, uplifted
from fedvalue.payment.mechanisms.underlying import Derived
from fedvalue.payment.mechanisms.vehicles import ExclusionPayment, OutpatientBundle, with_coefficient
from fedvalue.payment.mechanisms.weights import relative_weights


def _check_item(case: Case) -> None:
    ItemTerms(
        case.standard.name,
        case.word("code"),
        case.currency,
        case.amount("cap"),
        case.amount("patient_share"),
        case.amount("insurer_share"),
        "hospital" if case.word("excess") == "hospital" else "patient",
    )


def _patient_pays(case: Case) -> Derived:
    cap, own, second = (case.number(name) for name in ("cap", "patient_share", "insurer_share"))
    beyond = 1.0 if case.word("excess") == "patient" else 0.0
    return case.through(
        lambda take: (
            own * (1 - second) * np.minimum(take("charge"), cap)
            + beyond * np.maximum(take("charge") - cap, 0.0)
        )
    )


def _at_charge(case: Case, outcome: Outcome) -> Mapping[str, Decimal]:
    del outcome
    return {"at_charge": money_of(case.known["charge"].value)}


def _item_money(case: Case) -> tuple[Expected, ...]:
    return (Expected("patient's part of the mean charge", "patient", "hospital", _patient_pays(case)),)


ITEM = Kind(
    check=_check_item,
    derive=lambda case: {"patient_pays": KnownDraws(_patient_pays(case))},
    compute=_at_charge,
    expect=_item_money,
)


def _from_costs(case: Case, outcome: Outcome) -> Mapping[str, Decimal]:
    """Return the payer's mean cost of a finished bundle, with the loading, at most the cap."""
    del outcome
    mean = case.statement().costs().group(case.word("group")).mean
    return {
        "from_costs": fen(min(mean * (1 + Fraction(case.amount("loading"))), Fraction(case.amount("cap"))))
    }


def _bundle_results(case: Case) -> tuple[Result, ...]:
    group = case.statement().costs().group(case.word("group"))
    text = f"{group.cases:,} finished bundles on the payer's own lists"
    return (
        Result(
            name="mean cost", unit=f"{case.currency} per bundle", value=kept(float(group.mean)), text=text
        ),
    )


BUNDLE = Kind(compute=_from_costs, results=_bundle_results)


def _tilted(case: Case, outcome: Outcome) -> Mapping[str, Decimal]:
    del outcome
    corridor = Corridor(case.amount("least_tilt"), case.amount("most_tilt"))
    by_level = factors(case.family("tilt"), corridor)
    if case.word("neutral") == "yes":
        volumes = {level: count(int(case.figure(f"volume_{level}")), level) for level in by_level}
        by_level = neutral(by_level, volumes)
    return {f"tilted_{level}": paid for level, paid in standards(case.amount("standard"), by_level).items()}


TILT = Kind(compute=_tilted)


def _uplifted(case: Case, outcome: Outcome) -> Mapping[str, Decimal]:
    bounds = Bounds(case.amount("least_uplift"), case.amount("most_uplift"))
    bounds.check(case.amount("uplift"), "efficacy uplift")
    if outcome != "met":
        return {}
    raised = uplifted(
        case.amount("standard"),
        case.amount("uplift"),
        bounds,
        effect=outcome,
        evidence_id=case.draws.evidence_id,
    )
    return {"uplifted": raised}


UPLIFT = Kind(compute=_uplifted)


def _renegotiation_terms(case: Case) -> RenegotiationTerms:
    bar = next((c.threshold for c in case.standard.criteria if c.of == "fall"), None)
    if bar is None:
        raise PaymentError("renegotiation is triggered by the fall", where=case.standard.name)
    return RenegotiationTerms(
        trigger=case.amount(bar),
        p_met=case.number("p_met"),
        pass_through=Fraction(case.amount("pass_parts")) / Fraction(case.amount("pass_of")),
        floor=case.amount("floor"),
        notice_days=int(case.amount("notice_days")),
    )


def _check_renegotiation(case: Case) -> None:
    terms = _renegotiation_terms(case)
    if case.amount("effective_after") < terms.notice_days:
        raise PaymentError("new values would start before the notice is over", where=case.standard.name)


def _passed_through(case: Case, outcome: Outcome) -> Mapping[str, Decimal]:
    if outcome != "met":
        return {}
    agreed = case.figure("agreed_fall")
    new = renegotiated(_renegotiation_terms(case), case.amount("standard"), agreed, decided=case.on)
    return {"passed_through": new.standard}


RENEGOTIATION = Kind(check=_check_renegotiation, compute=_passed_through)


def _check_innovation(case: Case) -> None:
    bar = case.standard.criteria[0].threshold
    InnovationTerms(
        case.standard.name, "CNY", case.amount("levy"), case.amount(bar), case.number("p_met"),
        case.number("p_not"), int(case.amount("term")),
    )  # fmt: skip


def _last_day(case: Case) -> tuple[Result, ...]:
    starts = case.on + timedelta(days=int(case.amount("effective_after")))
    last = years_after(starts, int(case.amount("term"))) - timedelta(days=1)
    return (Result(name="last day of the term, if met", unit="days", value=None, text=last.isoformat()),)


INNOVATION = Kind(check=_check_innovation, results=_last_day)
CARVE_OUT = Kind(results=_last_day)


def _check_exclusion(case: Case) -> None:
    starts = case.on + timedelta(days=int(case.amount("effective_after")))
    expires = years_after(starts, int(case.amount("term"))) - timedelta(days=1)
    ExclusionPayment(
        case.standard.name, case.word("code"), case.currency, case.amount("unit_price"),
        case.amount("fund_share"), starts, expires, expires.year + 1,
    )  # fmt: skip


EXCLUSION = Kind(check=_check_exclusion, results=_last_day)


def _coefficients(case: Case, outcome: Outcome) -> Mapping[str, Decimal]:
    del outcome
    weights = relative_weights(case.statement().costs())
    marked = int(case.figure("marked"))
    adrg = case.word("adrg")
    new = with_coefficient(weights, adrg, marked, case.amount("coefficient"))
    places = Decimal(1).scaleb(-6)
    return {
        "marked_weight": Decimal(repr(float(new.of(f"{adrg}+")))).quantize(places),
        "rest_weight": Decimal(repr(float(new.of(adrg)))).quantize(places),
    }


COEFFICIENT = Kind(compute=_coefficients)


def _check_outpatient(case: Case) -> None:
    OutpatientBundle(case.currency, *(case.amount(part) for part in ("test", "drug", "monitoring")))


def _outpatient_results(case: Case) -> tuple[Result, ...]:
    bundle = OutpatientBundle(case.currency, *(case.amount(part) for part in ("test", "drug", "monitoring")))
    unit = f"{case.currency} per patient"
    return (Result(name="price of the outpatient bundle", unit=unit, value=float(bundle.price)),)


OUTPATIENT = Kind(check=_check_outpatient, results=_outpatient_results)
