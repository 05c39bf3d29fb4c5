"""From evidence to a decision: each answer, the insufficient-evidence contract, and every refusal."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from fedvalue.errors import EvidenceError, ParameterNotInForce, PaymentError, SignatureInvalid
from fedvalue.evidence import documents
from fedvalue.payment import standard_file
from fedvalue.payment.deciding import decide
from fedvalue.payment.decision import Decision, load_decision
from fedvalue.payment.outcome_linked import Counts, Prior, posterior
from fedvalue.payment.replay import replay
from fedvalue.payment.standard_file import StandardFile
from fedvalue.privacy import accounting
from fedvalue.study.signature import public_hex
from tests.unit.evidence.sealed import key, package, study

NAME = "lung/egfr_tki_outcome_linked"
STANDARD = standard_file.read(NAME)
DAY = date(2026, 12, 1)


def standard(*changes: tuple[str, str]) -> StandardFile:
    """The example with some lines changed."""
    text = STANDARD.raw.decode()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return standard_file.parse(text.encode(), where="changed.yaml")


def decision(
    counts: tuple[float, float, float] = (60.0, 70.0, 10.0), *, epsilon: float = 8.0, **kw: Any
) -> Decision:
    return decide(package(counts, of=study(epsilon=epsilon), **kw), STANDARD, DAY)


def test_met_proposes_the_bonus_and_says_what_it_costs() -> None:
    # Before: 1.00 x 120,000 + 0. After: 1.00 x 120,000 + 10,000. Per 100 patients: 100 x 10,000.
    made = decision()
    assert (made.outcome, made.action) == ("met", "keep_full_reimbursement_and_pay_bonus")
    flows = {flow.name: flow for flow in made.money}
    assert (flows["bonus"].before, flows["bonus"].after) == (Decimal("0.00"), Decimal("10000.00"))
    assert flows["bonus"].change_per_100 == Decimal("1000000.00")
    assert flows["reimbursement"].change == 0
    assert flows["bonus"].bearer == "health insurance fund"
    assert "charity" not in flows
    assert made.standard_before["bonus"].amount == 0
    assert made.standard_after is not None
    assert made.standard_after["bonus"].amount == Decimal("10000")
    assert (made.effective_from, made.appeal_until) == (date(2027, 1, 30), date(2026, 12, 31))
    assert made.insufficient is None


def test_not_met_moves_the_cost_to_the_aid_programme_and_debits_no_hospital() -> None:
    made = decision((20.0, 70.0, 8.0))
    assert (made.outcome, made.action) == ("not_met", "exit_to_charity_route")
    flows = {flow.name: flow for flow in made.money}
    assert flows["reimbursement"].change_per_100 == Decimal("-12000000.00")
    assert flows["charity"].change == Decimal("120000.00")
    assert all(flow.bearer != "hospital" for flow in made.money)


def test_an_answer_without_noise_is_that_of_the_beta_distribution() -> None:
    made = decision((36.0, 60.0, 4.0), exact=True)
    assert made.finding is not None
    assert made.finding.probability == pytest.approx(0.90926, abs=1e-6)
    assert made.outcome == "met"
    assert made.finding.privacy_share == 0
    assert decision((24.0, 70.0, 6.0), exact=True).outcome == "insufficient_evidence"


def test_the_noise_of_every_cell_enters_the_probability() -> None:
    made, evidence = decision((42.0, 70.0, 8.0)), package((42.0, 70.0, 8.0))
    released = evidence.conclusions[0].strata[0].released
    rest = released["failure"].model_copy(
        update={"value": 78.0, "noise_variance": 2 * released["success"].noise_variance}
    )
    # The ring's scale is a whole number, so 42 is released as 42 to a few millionths.
    expected = posterior(Counts(released["success"], rest), Prior()).at_least(0.30)
    assert made.finding is not None
    assert made.finding.probability == pytest.approx(expected, abs=1e-4)


def test_excluding_the_missing_asks_another_question() -> None:
    file = standard(("  missing: non_response", "  missing: exclude"))
    excluded = decide(package((42.0, 70.0, 8.0), of=study(missing="exclude")), file, DAY)
    counted = decision((42.0, 70.0, 8.0))
    assert excluded.finding is not None
    assert counted.finding is not None
    assert excluded.finding.total.value == pytest.approx(112, abs=1e-3)
    assert excluded.finding.probability > counted.finding.probability


def test_insufficient_evidence_keeps_the_standard_and_names_both_remedies_and_two_days() -> None:
    made = decision((42.0, 70.0, 8.0))
    lacking = made.insufficient
    assert made.outcome == "insufficient_evidence"
    assert (made.standard_after, made.effective_from, made.money) == (None, None, ())
    assert lacking is not None
    assert lacking.reason == "sampling"
    assert lacking.more_patients.patients is not None
    assert lacking.more_patients.patients > 120
    assert lacking.more_patients.assurance is not None
    assert lacking.more_patients.assurance >= 0.8
    assert (lacking.review_on, lacking.sunset) == (date(2027, 6, 2), date(2028, 11, 30))


def test_when_noise_is_the_larger_part_the_reason_is_privacy_and_nobody_cuts_a_price() -> None:
    made = decision((42.0, 70.0, 8.0), epsilon=0.5)
    lacking = made.insufficient
    assert made.finding is not None
    assert made.finding.privacy_share > 0.5
    assert lacking is not None
    assert lacking.reason == "privacy"
    assert "no ground for a lower price" in lacking.text
    assert "cannot buy it" in lacking.more_privacy.text
    # sigma* and epsilon by hand: V_s = p(1-p)/n, V_dp = ((1-p)^2 + 2 p^2) v / n^2; target V_dp = V_s / 4
    p, v, n = made.finding.estimate, made.finding.success.noise_variance, 120
    shrink = 0.25 * p * (1 - p) * n / (((1 - p) ** 2 + 2 * p**2) * v)
    assert lacking.more_privacy.sigma == pytest.approx((shrink * v) ** 0.5, abs=2e-3)
    rho = accounting.rho_units_for(0.5, 1e-6)
    assert lacking.more_privacy.epsilon == pytest.approx(
        accounting.epsilon(int(rho / shrink), 1e-6), rel=2e-3
    )


def test_many_missing_outcomes_are_the_reason_when_they_are_a_fifth() -> None:
    made = decision((42.0, 38.0, 40.0))
    assert made.insufficient is not None
    assert made.insufficient.reason == "missingness"


def test_fewer_patients_than_the_standard_asks_for_are_insufficient_and_never_met() -> None:
    made = decision((30.0, 8.0, 2.0))
    assert made.outcome == "insufficient_evidence"
    assert made.finding is None
    assert made.insufficient is not None
    assert made.insufficient.text == "Fewer released patients than the 50 that are asked for."
    assert (made.insufficient.more_patients.patients, made.insufficient.more_patients.more) == (50, 10)


def test_a_group_below_the_study_minimum_is_insufficient_not_an_error() -> None:
    made = decision((6.0, 4.0, 0.0))
    assert made.outcome == "insufficient_evidence"
    assert made.insufficient is not None
    assert made.insufficient.reason == "sampling"


def test_a_group_too_noisy_to_estimate_is_insufficient_for_privacy() -> None:
    made = decision((120.0, 90.0, 20.0), epsilon=0.1)
    assert made.outcome == "insufficient_evidence"
    assert made.finding is None
    assert made.insufficient is not None
    assert made.insufficient.reason == "privacy"
    assert made.insufficient.more_patients.patients is not None
    assert made.insufficient.more_privacy.epsilon is not None


def test_released_successes_below_zero_are_used_and_said() -> None:
    made = decision((-9.0, 150.0, 10.0), epsilon=0.5)
    assert made.outcome == "not_met"
    assert any("outside 0 to 100 %" in warning for warning in made.warnings)


def test_a_threshold_that_cannot_bite_is_said_and_the_margin_printed() -> None:
    made = decision()
    assert made.reference is not None
    assert (made.reference.value, made.reference.margin) == (Decimal("0.65"), Decimal("0.35"))
    assert made.reference.probability_met > 0.99
    assert any(warning.startswith("The threshold cannot bite") for warning in made.warnings)


def test_a_threshold_near_its_reference_can_bite() -> None:
    made = decide(package(), standard(('amount: "0.65"', 'amount: "0.36"')), DAY)
    assert made.reference is not None
    assert 0.1 < made.reference.probability_met < 0.99
    assert not any(warning.startswith("The threshold cannot bite") for warning in made.warnings)


def test_at_most_is_met_by_a_low_share() -> None:
    file = standard(("direction: at_least", "direction: at_most"), ('amount: "0.65"', 'amount: "0.10"'))
    made = decide(package((20.0, 70.0, 8.0)), file, DAY)
    assert made.outcome == "met"
    assert made.reference is not None
    assert made.reference.margin == Decimal("0.20")
    assert "at most" in made.what_would_change[0]


def test_the_guard_band_rule_can_be_chosen() -> None:
    file = standard(("decision_rule: D1", "decision_rule: D2"))
    assert decide(package(), file, DAY).outcome == "met"
    assert decide(package((42.0, 70.0, 8.0)), file, DAY).outcome == "insufficient_evidence"
    assert decide(package((20.0, 70.0, 8.0)), file, DAY).rule.name == "D2"


def test_what_would_change_names_the_turns() -> None:
    met, other = decision().what_would_change
    assert met.startswith("A released share of at least ")
    assert "keeps the answer met" in met
    assert "would be not met" in other


def test_simulation_and_lowered_protection_are_stamped_and_said() -> None:
    made = decision(simulation=True, exact=True, clear_sum=True)
    assert made.simulation
    assert made.unsafe == ("clear_sum", "no_noise")
    assert made.warnings[0] == "The evidence is a simulation: it binds nobody."
    assert any("no privacy noise" in warning for warning in made.warnings)


def test_a_signed_decision_is_read_back_checked_and_made_again_bit_for_bit(tmp_path: Any) -> None:
    evidence = package()
    signed = decide(evidence, STANDARD, DAY, key=key("payer"))
    documents.write(signed, tmp_path / "decision.json")
    read = load_decision(tmp_path / "decision.json")
    assert read == signed
    again = replay(read, evidence, STANDARD)
    assert again.decision_id == signed.decision_id
    assert documents.canonical(again, without=frozenset({"signatures"})) == documents.canonical(
        signed, without=frozenset({"signatures"})
    )


def test_money_is_decimal_from_end_to_end() -> None:
    for flow in decision().money:
        assert all(
            type(amount) is Decimal for amount in (flow.before, flow.after, flow.change, flow.change_per_100)
        )
    assert '"after":"10000.00"' in documents.canonical(decision()).decode()


# What is refused, each by name.


def test_evidence_of_another_standard_is_refused() -> None:
    with pytest.raises(PaymentError, match="not this standard"):
        decide(package(of=study(standard="lung/another_one")), STANDARD, DAY)


def test_evidence_whose_conclusions_are_not_those_of_its_sums_is_refused() -> None:
    evidence = package()
    kept = evidence.conclusions[0].model_copy(update={"strata": evidence.conclusions[0].strata[1:]})
    for conclusions in ((kept,), ()):
        with pytest.raises(EvidenceError, match="conclusion"):
            decide(package(conclusions=conclusions), STANDARD, DAY)


@pytest.mark.parametrize("day", [date(2025, 12, 31), date(2028, 1, 1)])
def test_evidence_outside_its_dates_is_refused(day: date) -> None:
    with pytest.raises(EvidenceError, match="holds from 2026-01-01 to 2027-12-31"):
        decide(package(), STANDARD, day)


def test_evidence_on_its_first_and_last_day_is_accepted() -> None:
    evidence = package(valid=(DAY, DAY))
    assert decide(evidence, STANDARD, DAY).outcome == "met"


def test_evidence_changed_after_it_was_signed_is_refused() -> None:
    forged = package().model_copy(update={"data_vocabulary_version": "2"})
    with pytest.raises(EvidenceError, match="not that of the content"):
        decide(forged, STANDARD, DAY)


def test_evidence_with_a_signature_over_something_else_is_refused() -> None:
    forged = package().model_copy(update={"signatures": package(simulation=True).signatures})
    with pytest.raises(SignatureInvalid):
        decide(forged, STANDARD, DAY)


def test_evidence_of_another_coordinator_is_refused() -> None:
    expected = public_hex(key("coordinator"))
    assert decide(package(), STANDARD, DAY, coordinator_key=expected).outcome == "met"
    with pytest.raises(EvidenceError, match="another key"):
        decide(package(coordinator="somebody"), STANDARD, DAY, coordinator_key=expected)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"missing": "exclude"}, "counts missing outcomes as exclude, the standard as non_response"),
        ({"day": 365}, "looks at day 365, the standard at day 183"),
        ({"method": "report_text"}, "assessed by report_text"),
    ],
)
def test_evidence_that_measures_otherwise_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(PaymentError, match=message):
        decide(package(of=study(**changed)), STANDARD, DAY)


def test_a_day_without_a_value_of_the_standard_is_refused() -> None:
    later = standard_file.parse(STANDARD.raw.replace(b"2021-01-01", b"2027-01-01"), where="later.yaml")
    with pytest.raises(ParameterNotInForce):
        decide(package(), later, DAY)


def test_settling_is_refused_by_type() -> None:
    with pytest.raises(PaymentError, match="no business of an estimate"):
        standard(("purpose: set", "purpose: settle"))
    with pytest.raises(ValueError, match="purpose"):
        Decision.model_validate({**decision().model_dump(), "purpose": "settle"})


def test_a_replay_with_another_standard_evidence_or_answer_is_refused() -> None:
    evidence = package()
    made = decide(evidence, STANDARD, DAY)
    with pytest.raises(PaymentError, match="never had the version"):
        replay(made, evidence, standard(('amount: "0.30"', 'amount: "0.20"')))
    with pytest.raises(PaymentError, match="other evidence"):
        replay(made, package((61.0, 70.0, 10.0)), STANDARD)
    with pytest.raises(PaymentError, match="differs in outcome"):
        replay(made.model_copy(update={"outcome": "not_met"}), evidence, STANDARD)
    with pytest.raises(PaymentError, match="is about other/standard"):
        replay(made.model_copy(update={"standard": "other/standard"}), evidence, STANDARD)
