"""Contracts about one patient: continuation, instalments, milestones, three parties, one-off payments."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.errors import PaymentError, SignatureInvalid
from fedvalue.payment.mechanisms.continuation import (
    Assessment,
    ContinuationTerms,
    Method,
    MilestoneCounts,
    Requirement,
    Status,
    Therapy,
    Verdict,
    continues,
    milestone_counts,
    response_only_term,
)
from fedvalue.payment.mechanisms.escrow import Bond, secured
from fedvalue.payment.mechanisms.expected_instalments import expected_net, months_needed, non_increasing
from fedvalue.payment.mechanisms.hba1c import ControlTerms, ControlYear, settle_control
from fedvalue.payment.mechanisms.instalments import Course, Schedule, Tie, settle_instalments
from fedvalue.payment.mechanisms.milestones import (
    Measurement,
    Milestone,
    MilestoneFacts,
    MilestoneTerms,
    reached,
    settle_milestones,
)
from fedvalue.payment.mechanisms.one_off import OneOffTerms, Reversal, settle_one_off
from fedvalue.payment.mechanisms.three_party import (
    RefundTo,
    Relapse,
    ThreePartyTerms,
    settle_three_party,
)
from fedvalue.payment.mechanisms.underlying import Draws
from fedvalue.study.signature import Signature, sign
from tests.statements import KEY, certain, stated

D = Decimal
UNHURRIED = settings(deadline=None, max_examples=60)  # shared cores make single examples slow
METHODS: tuple[Method, ...] = ("recist", "clinician")
DEFAULT = ContinuationTerms("contract 1", 183, 28, 30, "no_progression_no_intolerance", "stop", METHODS)


def therapy(*seen: tuple[int, Status, Method], **events: int) -> Therapy:
    return Therapy(
        tuple(Assessment(*a) for a in seen),
        events.get("progression"),
        events.get("intolerance"),
        events.get("death"),
        400,
    )


def response_only(signature: Signature | None) -> ContinuationTerms:
    asked: Requirement = "response_only"
    return ContinuationTerms("contract 1", 183, 28, 30, asked, "stop", METHODS, signature)


@pytest.mark.parametrize(
    ("facts", "verdict", "reason"),
    [
        (therapy((180, "CR", "recist")), "continue", "CR"),
        (therapy((180, "SD", "recist")), "continue", "SD"),
        (therapy((211, "PR", "clinician")), "continue", "PR"),
        (therapy((180, "PD", "recist")), "stop", "progression"),
        (therapy((90, "PD", "recist"), (180, "SD", "recist")), "stop", "progression"),
        (therapy((180, "SD", "recist"), intolerance=150), "stop", "intolerance"),
        (therapy((180, "SD", "recist"), progression=100), "stop", "progression"),
        (therapy(death=60), "stop", "death"),
        (therapy((180, "NE", "recist"), (190, "SD", "recist")), "continue", "SD"),
    ],
)
def test_the_default_continues_unless_progression_or_intolerance(
    facts: Therapy, verdict: Verdict, reason: str
) -> None:
    found = continues(DEFAULT, stated(facts), today=220)
    assert (found.verdict, found.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("today", "verdict", "reason"),
    [(211, "hold", "not_due"), (212, "hold", "unknown"), (241, "hold", "unknown"), (242, "stop", "unknown")],
)
def test_an_unknown_status_is_held_to_the_end_of_grace(today: int, verdict: Verdict, reason: str) -> None:
    # due 183 + window 28 = 211; + grace 30 = 241. An assessment by report text does not count here.
    found = continues(
        DEFAULT, stated(therapy((180, "NE", "recist"), (185, "CR", "report_text"))), today=today
    )
    assert (found.verdict, found.reason) == (verdict, reason)


def test_response_only_needs_the_clinical_role_over_that_very_term() -> None:
    with pytest.raises(PaymentError, match="the clinical role has not signed"):
        response_only(None)
    with pytest.raises(PaymentError, match="the clinical role has not signed"):
        response_only(sign(response_only_term("contract 1", 183), KEY, "payer"))
    with pytest.raises(SignatureInvalid):
        response_only(sign(response_only_term("contract 1", 90), KEY, "clinical"))
    terms = response_only(sign(response_only_term("contract 1", 183), KEY, "clinical"))
    assert continues(terms, stated(therapy((180, "SD", "recist"))), today=220).verdict == "stop"
    assert continues(terms, stated(therapy((180, "PR", "recist"))), today=220).verdict == "continue"


def test_only_counts_by_method_leave_the_site() -> None:
    facts = [
        therapy((180, "CR", "recist")),
        therapy((180, "SD", "clinician")),
        therapy((180, "PR", "clinician")),
        therapy((180, "PD", "recist")),
        therapy(death=20),
        therapy(),
    ]
    verdicts = [continues(DEFAULT, stated(f), today=220) for f in facts]
    assert milestone_counts(verdicts) == MilestoneCounts(
        6, (("clinician", 2), ("recist", 1)), (("none", 1), ("recist", 1)), 1
    )


def test_hypoglycaemia_that_was_not_looked_for_earns_nothing() -> None:
    terms = ControlTerms("contract 1", "CNY", D(1200), D(200), D("0.10"), D("7.0"), 4)
    result = settle_control(terms, stated(ControlYear(D("6.5"), False, 3)))
    assert result.net("hospital") == 1080
    assert "too few glucose tests" in result.notes[0]
    assert settle_control(terms, stated(ControlYear(None, False, 9))).net("hospital") == 1080


def schedule(**changes: object) -> Schedule:
    terms: dict[str, object] = {
        "contract": "contract 1",
        "currency": "CNY",
        "months": (D(1), D(3), D(6), D(12)),
        "amounts": (D("250.01"), D("250.02"), D("250.03"), D("250.04")),
        "clawback_share": D("0.50"),
        "clawback_window": D(12),
        "grace_months": D(2),
        "unknown_policy": "withhold",
    }
    return Schedule(**{**terms, **changes})  # type: ignore[arg-type]  # terms by name


def test_an_unknown_outcome_holds_the_instalment_and_then_the_policy_decides() -> None:
    facts = stated(Course(None, None, D(5)))
    held = settle_instalments(schedule(), facts, today=D(8))
    assert held.held == ("instalment of month 6: the outcome is not known yet",)
    assert held.net("manufacturer") == D("500.03")
    assert settle_instalments(schedule(), facts, today=D(9)).net("manufacturer") == D("500.03")
    assert not settle_instalments(schedule(), facts, today=D(9)).held
    paying = schedule(unknown_policy="pay")
    assert settle_instalments(paying, facts, today=D(9)).net("manufacturer") == D("750.06")


@pytest.mark.parametrize(("tie", "net"), [("event_first", "250.02"), ("payment_first", "375.03")])
def test_an_event_on_the_due_day_counts_as_the_contract_says(tie: Tie, net: str) -> None:
    # event_first: two instalments 500.03, half back is 250.015 -> 250.02 claws; net 250.01.
    result = settle_instalments(schedule(tie=tie), stated(Course(D(6), None, D(6))), today=D(12))
    paid = {"event_first": D("500.03"), "payment_first": D("750.06")}[tie]
    back = {"event_first": D("250.02"), "payment_first": D("375.03")}[tie]
    assert result.amount("clawback") == back
    assert result.net("manufacturer") == paid - back
    assert back == D(net)


def test_the_manufacturer_bears_the_clawback_and_the_hospital_only_in_words() -> None:
    facts = stated(Course(D(5), None, D(5)))
    claw = settle_instalments(schedule(), facts, today=D(12)).transfers[-1]
    assert (claw.name, claw.bearer, claw.payee) == ("clawback", "manufacturer", "fund")
    assert settle_instalments(schedule(), facts, today=D(12)).net("hospital") == 0
    worded = settle_instalments(schedule(clawback_bearer="hospital"), facts, today=D(12))
    assert worded.net("hospital") == -D("250.02")


@UNHURRIED
@given(st.one_of(st.none(), st.integers(0, 30)), st.one_of(st.none(), st.integers(0, 30)), st.integers(0, 30))
def test_the_net_payment_lies_between_nothing_and_the_price_and_never_falls_with_a_later_event(
    event: int | None, adverse: int | None, today: int
) -> None:
    def net(event_month: int | None) -> Decimal:
        facts = Course(
            None if event_month is None else D(event_month), None if adverse is None else D(adverse), D(30)
        )
        return settle_instalments(schedule(), stated(facts), today=D(today)).net("manufacturer")

    assert 0 <= net(event) <= schedule().price
    if event is not None and today == 30:
        assert net(event + 1) >= net(event)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"months": (D(1), D(3), D(3), D(12))}, "overlapping windows"),
        ({"amounts": (D(1),)}, "a month and an amount"),
        ({"amounts": (D(-1),) * 4}, "negative"),
        ({"currency": "RMB"}, "unknown currency"),
        ({"unknown_policy": None}, "missing unknown policy"),
        ({"clawback_share": D("1.5")}, "no share"),
    ],
)
def test_a_schedule_that_says_nonsense_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(PaymentError, match=message):
        schedule(**changes)


def survival(runs: int, privacy: float) -> Draws:
    rng = np.random.default_rng(5)
    shape = (runs, 4)
    return Draws(
        ("1", "3", "6", "12"),
        np.array([0.95, 0.88, 0.80, 0.70]),
        rng.normal(0, 0.02, shape),
        rng.normal(0, 1, shape) * privacy,
        "ev-1",
    )


def test_expected_net_keeps_its_two_variances_apart() -> None:
    # Monte Carlo of 4,000: variances within a tenth of each other's scale.
    quiet, noisy = (
        expected_net(schedule(), survival(4000, 0.0)).net,
        expected_net(schedule(), survival(4000, 0.03)).net,
    )
    assert quiet.privacy_variance == 0.0
    assert noisy.sampling_variance == quiet.sampling_variance
    assert noisy.privacy_variance > quiet.sampling_variance
    assert noisy.value == quiet.value


def test_draws_that_rise_are_projected_on_falling_curves() -> None:
    # .6, .8 pool to .7, .7; values outside [0, 1] are cut
    projected = non_increasing(np.array([[0.9, 0.6, 0.8], [1.2, 0.5, -0.1]]))
    np.testing.assert_allclose(projected, [[0.9, 0.7, 0.7], [1.0, 0.5, 0.0]])


def test_discounting_lowers_the_gross_payment_and_needs_the_window_month() -> None:
    terms = schedule(months=(D(1), D(3)), amounts=(D(100), D(100)), clawback_window=D(12))
    assert months_needed(terms) == (D(1), D(3), D(12))
    s = certain(("1", "3", "12"), [0.9, 0.8, 0.5])
    plain = expected_net(terms, s)
    # gross 100 (.9 + .8); clawback .5 (100 (.9 - .8) + 200 (.8 - .5)) = 35
    assert plain.gross.value == pytest.approx(170.0)
    assert plain.clawback.value == pytest.approx(35.0)
    assert expected_net(terms, s, yearly_discount=D("0.05")).gross.value == pytest.approx(
        100 * (0.9 * 1.05 ** (-1 / 12) + 0.8 * 1.05 ** (-3 / 12))
    )
    with pytest.raises(PaymentError, match="give it at months 1, 3, 12"):
        expected_net(terms, certain(("1", "3"), [0.9, 0.8]))


PFS = Milestone("PFS 6 months", "lasted", D(6), D(0), D("0.20"))
RELAPSE = Milestone("relapse within 2 years", "event_free", D(24), D(0), D("0.50"))
WALKING = Milestone("walking at 3 years", "function", D(36), D("0.60"), D(0), D(2))


@pytest.mark.parametrize(
    ("milestone", "facts", "result"),
    [
        (PFS, MilestoneFacts(D("5.9"), D("5.9")), "failed"),
        (PFS, MilestoneFacts(D(6), D(6)), "passed"),
        (PFS, MilestoneFacts(None, D("5.9")), "unknown"),
        (RELAPSE, MilestoneFacts(D(24), D(24)), "failed"),
        (RELAPSE, MilestoneFacts(D("24.1"), D(30)), "passed"),
        (WALKING, MilestoneFacts(None, D(40), (Measurement(D(38), True),)), "passed"),
        (WALKING, MilestoneFacts(None, D(40), (Measurement(D("33.9"), True),)), "unknown"),
        (WALKING, MilestoneFacts(D(20), D(20)), "failed"),
        (
            WALKING,
            MilestoneFacts(None, D(40), (Measurement(D(35), False), Measurement(D("36.5"), True))),
            "passed",
        ),
    ],
)
def test_milestones_are_read_as_their_ends_say(
    milestone: Milestone, facts: MilestoneFacts, result: str
) -> None:
    assert reached(milestone, facts) == result


def milestones(*agreed: Milestone, upfront: str) -> MilestoneTerms:
    return MilestoneTerms("contract 1", "CNY", D("100000.00"), D(upfront), agreed, D(1), "failed")


def test_forty_percent_upfront_and_sixty_on_walking() -> None:
    terms = milestones(WALKING, upfront="0.40")
    walking = MilestoneFacts(None, D(36), (Measurement(D(36), True),))
    result = settle_milestones(terms, stated(walking), today=D(36))
    assert [(t.name, t.amount) for t in result.transfers] == [
        ("upfront", D("40000.00")),
        ("walking at 3 years", D("60000.00")),
    ]


def test_progression_before_six_months_pays_a_fifth_back_and_names_the_manufacturer() -> None:
    result = settle_milestones(milestones(PFS, upfront="1"), stated(MilestoneFacts(D(4), D(4))), today=D(6))
    back = result.transfers[-1]
    assert (back.bearer, back.payee, back.amount) == ("manufacturer", "fund", D("20000.00"))
    held = settle_milestones(milestones(PFS, upfront="1"), stated(MilestoneFacts(None, D(4))), today=D(6))
    assert held.held == ("PFS 6 months: the outcome is not known yet",)
    late = settle_milestones(milestones(PFS, upfront="1"), stated(MilestoneFacts(None, D(4))), today=D(8))
    assert late.amount("PFS 6 months") == 20000


def test_nobody_pays_back_more_than_was_received_and_shares_do_not_exceed_the_price() -> None:
    result = settle_milestones(
        milestones(RELAPSE, upfront="0.30"), stated(MilestoneFacts(D(3), D(3))), today=D(24)
    )
    assert result.net("manufacturer") == 0
    with pytest.raises(PaymentError, match="more than the price"):
        milestones(WALKING, upfront="0.50")


def three_party(refund_to: RefundTo) -> ThreePartyTerms:
    return ThreePartyTerms("contract 1", "CNY", D("1000000.01"), D("0.30"), D("0.50"), D(24), refund_to)


def test_a_relapse_within_two_years_refunds_both_payers_in_proportion() -> None:
    # 1,000,000.01: patient 300,000.00, insurer 700,000.01; half back is 500,000.005 -> .01, as 30 : 70
    result = settle_three_party(three_party("pro_rata"), stated(Relapse(D(24), D(24))))
    refunds = [(t.payee, t.amount) for t in result.transfers if t.name == "refund"]
    assert refunds == [("patient", D("150000.00")), ("insurer", D("350000.01"))]
    assert result.amount("price") == D("1000000.01")
    assert result.net("patient") + result.net("insurer") + result.net("manufacturer") == 0


def test_without_relapse_nothing_is_refunded_and_an_open_window_is_held() -> None:
    assert settle_three_party(three_party("insurer"), stated(Relapse(D(25), D(25)))).amount("refund") == 0
    assert settle_three_party(three_party("insurer"), stated(Relapse(None, D(24)))).held == ()
    assert settle_three_party(three_party("insurer"), stated(Relapse(None, D(23)))).held
    whole = settle_three_party(three_party("insurer"), stated(Relapse(D(1), D(2))))
    assert [t.payee for t in whole.transfers if t.name == "refund"] == ["insurer"]
    with pytest.raises(PaymentError, match="after the last month known"):
        settle_three_party(three_party("insurer"), stated(Relapse(D(3), D(2))))


ONE_OFF = OneOffTerms("contract 1", "CNY", D(3000), D(500), 90, 365)


@pytest.mark.parametrize(
    ("facts", "today", "hospital", "patient", "held"),
    [
        (Reversal(100, 190, False), 200, 3000, 500, False),
        (Reversal(100, 189, False), 200, 0, 0, True),
        (Reversal(100, None, False), 466, 0, 0, False),
        (Reversal(100, 190, True), 200, 0, 0, False),
        (Reversal(None, None, False), 200, 0, 0, False),
    ],
)
def test_one_outcome_is_confirmed_and_paid_once(
    facts: Reversal, today: int, hospital: int, patient: int, held: bool
) -> None:
    result = settle_one_off(ONE_OFF, stated(facts), today=today)
    assert result.net("hospital") == hospital
    assert result.net("patient") == patient
    assert bool(result.held) == held


@UNHURRIED
@given(st.integers(0, 40000).map(lambda n: D(n).scaleb(-2)))
def test_a_bond_pays_what_a_bankrupt_manufacturer_owes_and_names_the_loss(balance: Decimal) -> None:
    # an event at month 5 claws back half of 500.03: 250.02
    owed = settle_instalments(schedule(), stated(Course(D(5), None, D(5))), today=D(12))
    assert secured(owed, Bond(balance, False)).settlement == owed
    found = secured(owed, Bond(balance, True))
    from_bond = sum((t.amount for t in found.settlement.transfers if t.bearer == "escrow"), D(0))
    lost = sum((t.amount for t in found.uncovered), D(0))
    assert from_bond + lost == D("250.02")
    assert from_bond + found.bond.balance == balance
    assert found.settlement.net("hospital") == 0
