"""Contracts on a patient's course: continuation, instalments, milestones, three parties, one outcome.

What is set here is the contract, from what a cohort's course makes it cost; each patient's payment is settled
on the site's signed facts (`mechanisms`). Source: payment.md 2.2, 2.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from fedvalue.errors import PaymentError
from fedvalue.payment.decision_findings import Result
from fedvalue.payment.kinds.case import Case, Expected, Kind, Take, result
from fedvalue.payment.known import Known, KnownDraws
from fedvalue.payment.mechanisms.expected_instalments import ExpectedNet, expected_net, months_needed
from fedvalue.payment.mechanisms.instalments import Schedule
from fedvalue.payment.mechanisms.milestones import Milestone, MilestoneTerms
from fedvalue.payment.mechanisms.one_off import OneOffTerms
from fedvalue.payment.mechanisms.three_party import ThreePartyTerms
from fedvalue.payment.mechanisms.underlying import Derived, Draws, Floats


def schedule(case: Case) -> Schedule:
    """Return the contract with its payment values in force, or as proposed.

    Raises:
      PaymentError: months out of order, more instalments than months, a currency or a party that is none.
    """
    return Schedule(
        contract=case.standard.name,
        currency=case.currency,
        months=tuple(case.numbered("month")),
        amounts=tuple(case.numbered("instalment")),
        clawback_share=case.amount("clawback_share"),
        clawback_window=case.amount("clawback_window"),
        grace_months=case.amount("grace_months"),
        unknown_policy="pay" if case.word("unknown_policy") == "pay" else "withhold",
        clawback_bearer=case.word("clawback_bearer"),  # type: ignore[arg-type]  # the schedule checks it
    )


def _months(case: Case) -> tuple[str, ...]:
    return tuple(str(month) for month in months_needed(schedule(case)))


def _expected(case: Case) -> ExpectedNet:
    months = _months(case)
    index = [case.draws.names.index(f"survival@{month}") for month in months]
    curve = Draws(
        months, case.draws.center[index], case.draws.sampling[:, index], case.draws.privacy[:, index],
        case.draws.evidence_id,
    )  # fmt: skip
    rate = case.amount("yearly_discount") if "yearly_discount" in case.standard.amounts else Decimal(0)
    return expected_net(schedule(case), curve, yearly_discount=rate)


def _instalments(case: Case) -> Mapping[str, Known]:
    found, price = _expected(case), float(schedule(case).price)
    last = max(_months(case), key=Decimal)
    net = found.net
    relative = Derived(
        net.value / price,
        net.draws / price,
        net.sampling_variance / price**2,
        net.privacy_variance / price**2,
    )
    return {
        "event_free": case.known[f"survival@{last}"],
        "expected_gross": KnownDraws(found.gross),
        "expected_clawback": KnownDraws(found.clawback),
        "expected_net": KnownDraws(net),
        "net_share": KnownDraws(relative),
    }


def _instalment_results(case: Case) -> tuple[Result, ...]:
    found, money = _expected(case), f"{case.currency} per patient"
    curve = [
        result(f"event-free at month {month}", "probability", _column(case, f"survival@{month}"))
        for month in _months(case)
    ]
    return (
        *curve,
        result("expected instalments", money, found.gross),
        result("expected clawback", money, found.clawback),
        result("expected net payment", money, found.net),
    )


def _column(case: Case, name: str) -> Derived:
    return case.through(lambda take: take(name))


def _instalment_money(case: Case) -> tuple[Expected, ...]:
    terms, found = schedule(case), _expected(case)
    return (
        Expected("instalments", terms.bearer, terms.payee, found.gross),
        Expected("clawback", terms.clawback_bearer, terms.bearer, found.clawback),
    )


def _check_schedule(case: Case) -> None:
    schedule(case)


INSTALMENTS = Kind(
    check=_check_schedule,
    months=_months,
    derive=_instalments,
    results=_instalment_results,
    expect=_instalment_money,
)


def _milestone_terms(case: Case) -> MilestoneTerms:
    numbers = zip(case.numbered("month"), case.numbered("on_pass"), case.numbered("on_fail"), strict=True)
    return MilestoneTerms(
        contract=case.standard.name,
        currency=case.currency,
        price=case.amount("price"),
        upfront=case.amount("upfront"),
        milestones=tuple(
            Milestone(f"milestone_{i}", "event_free", month, on_pass, on_fail)
            for i, (month, on_pass, on_fail) in enumerate(numbers, start=1)
        ),
        grace_months=case.amount("grace_months"),
        unknown_policy="passed" if case.word("unknown_policy") == "passed" else "failed",
    )


def _check_milestones(case: Case) -> None:
    terms = _milestone_terms(case)
    if wrong := {m.name for m in terms.milestones} ^ case.standard.quantities.keys():
        raise PaymentError(f"milestones and quantities differ: {sorted(wrong)}", where=terms.contract)


def _milestone_parts(case: Case) -> tuple[Derived, Derived]:
    terms = _milestone_terms(case)
    price, upfront = float(terms.price), float(terms.upfront)
    on_pass, on_fail = (
        [float(getattr(m, side)) for m in terms.milestones] for side in ("on_pass", "on_fail")
    )

    def passed(take: Take) -> Floats:
        return np.clip(np.stack([take(m.name) for m in terms.milestones]), 0.0, 1.0)

    paid = case.through(lambda take: price * (upfront + np.asarray(on_pass) @ passed(take)))
    rebate = case.through(lambda take: price * (np.asarray(on_fail) @ (1 - passed(take))))
    return paid, rebate


def _milestones(case: Case) -> Mapping[str, Known]:
    paid, rebate = _milestone_parts(case)
    return {"expected_net": KnownDraws(less(paid, rebate)), "expected_rebate": KnownDraws(rebate)}


def less(one: Derived, other: Derived) -> Derived:
    """Return the difference of two quantities of the same draws; its variances are those of the draws.

    The share of the noise is taken from the two parts, which move with the same quantities.
    """
    draws = one.draws - other.draws
    whole = float(np.var(draws))
    parts = one.privacy_variance + other.privacy_variance
    all_parts = parts + one.sampling_variance + other.sampling_variance
    privacy = whole * parts / all_parts if all_parts > 0 else 0.0
    return Derived(one.value - other.value, draws, whole - privacy, privacy)


def _milestone_money(case: Case) -> tuple[Expected, ...]:
    paid, rebate = _milestone_parts(case)
    return (
        Expected("upfront and milestones", "fund", "manufacturer", paid),
        Expected("rebates", "manufacturer", "fund", rebate),
    )


MILESTONES = Kind(check=_check_milestones, derive=_milestones, expect=_milestone_money)


def _check_three_party(case: Case) -> None:
    ThreePartyTerms(
        case.standard.name, case.currency, case.amount("price"), case.amount("patient_share"),
        case.amount("refund_share"), case.amount("window_months"),
        refund_to=case.word("refund_to"),  # type: ignore[arg-type]  # the terms check both words
        insurer=case.word("insurer"),  # type: ignore[arg-type]
    )  # fmt: skip


def _refund(case: Case) -> Derived:
    refund = case.number("price") * case.number("refund_share")
    return case.through(lambda take: refund * np.clip(take("relapse"), 0.0, 1.0))


def _three_party(case: Case) -> Mapping[str, Known]:
    price = case.number("price")
    refund = _refund(case)
    net = Derived(
        price - refund.value, price - refund.draws, refund.sampling_variance, refund.privacy_variance
    )
    return {"expected_refund": KnownDraws(refund), "expected_net": KnownDraws(net)}


def _three_party_money(case: Case) -> tuple[Expected, ...]:
    return (Expected("refund", "manufacturer", case.word("insurer"), _refund(case)),)


THREE_PARTY = Kind(check=_check_three_party, derive=_three_party, expect=_three_party_money)


def _check_one_off(case: Case) -> None:
    OneOffTerms(
        case.standard.name, case.currency, case.amount("provider_reward"), case.amount("patient_credit"),
        int(case.amount("confirm_days")), int(case.amount("deadline_days")),
    )  # fmt: skip


def _one_off_payment(case: Case) -> Derived:
    each = case.number("provider_reward") + case.number("patient_credit")
    return case.through(lambda take: each * np.clip(take("reached"), 0.0, 1.0))


ONE_OFF = Kind(
    check=_check_one_off,
    derive=lambda case: {"expected_payment": KnownDraws(_one_off_payment(case))},
    expect=lambda case: (
        Expected("reward and credit", "fund", "hospital and patient", _one_off_payment(case)),
    ),
)


def _check_continuation(case: Case) -> None:
    if case.word("continues") == "response_only" and "clinical" not in case.standard.needs:
        raise PaymentError(
            "CR or PR only is a term that needs the clinical role's signature", where=case.standard.name,
            do="say needs: [clinical] in the standard, or continues: no_progression",
        )  # fmt: skip


CONTINUATION = Kind(check=_check_continuation)
