"""D1 to D5 and the brakes, named in a standard file: what each answers, and what it refuses."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from fedvalue.errors import EvidenceOfAnother, PaymentError, WindowsOverlap
from fedvalue.evidence import documents
from fedvalue.payment import standard_file
from fedvalue.payment.cli_decision import decision_lines
from fedvalue.payment.deciding import decide, looks_of
from fedvalue.payment.decision import Decision
from fedvalue.payment.proposal import propose
from fedvalue.payment.replay import replay
from fedvalue.payment.standard_file import StandardFile
from fedvalue.server.reports import page
from tests.unit.evidence.sealed import key, package, study
from tests.unit.payment.kinds.sources import decided, increment

NAME = "lung/egfr_tki_outcome_linked"
DAY = date(2026, 12, 1)
SOURCE = "source: {title: Example, place: chosen, status: chosen}"


def parameter(name: str, unit: str, amount: str) -> str:
    value = f'      - {{starts: 2021-01-01, amount: "{amount}", {SOURCE}}}\n'
    return f"  {name}:\n    unit: {unit}\n    values:\n" + value


def standard(rule: str = "D1", extra: str = "", *parameters: str, name: str = NAME) -> StandardFile:
    """An example under another rule, with more parameters."""
    text = standard_file.read(name).raw.decode()
    text = text.replace("decision_rule: D1\n", f"decision_rule: {rule}\n{extra}")
    text = text.replace("\nrule:\n", "\nrule:\n" + "".join(parameters), 1)
    return standard_file.parse(text.encode(), where="my.yaml")


LOSSES = (
    parameter("loss_over", "CNY per patient", "3000.00"),
    parameter("loss_under", "CNY per patient", "1000.00"),
)
BENEFIT = (
    parameter("unit_value", "CNY per patient", "100000.00"), parameter("patients_now", "patients", "500"),
    parameter("patients_later", "patients", "2000"), parameter("switching_cost", "CNY", "100000.00"),
    parameter("reversal_cost", "CNY", "50000.00"), parameter("data_cost", "CNY", "200000.00"),
    parameter("data_factor", "ratio", "2"),
)  # fmt: skip


def decision(counts: tuple[float, float, float], file: StandardFile, **kw: object) -> Decision:
    return decide(package(counts, exact=True), file, DAY, **kw)  # type: ignore[arg-type]  # keywords of decide


def test_d4_denies_what_wastes_three_times_as_much() -> None:
    # L_over = 3 L_under asks for z >= .436 (L_over [phi(c) - c Phi(-c)] = L_under [phi(c) + c Phi(c)]);
    # the posterior of 31 of 100 has z = (32 / 102 - .30) / .046 = .30, that of 40 has z = 2.1.
    file = standard("D4", "", *LOSSES)
    assert decision((31.0, 62.0, 7.0), file).outcome == "not_met"
    assert decision((40.0, 55.0, 5.0), file).outcome == "met"
    kind = decision((40.0, 55.0, 5.0), file).rule
    assert (kind.name, kind.levels["loss_over"]) == ("D4", Decimal("3000.00"))


def test_d4_with_equal_losses_answers_at_the_middle() -> None:
    even = (
        parameter("loss_over", "CNY per patient", "1.00"),
        parameter("loss_under", "CNY per patient", "1.00"),
    )
    file = standard("D4", "", *even)
    assert decision((33.0, 60.0, 7.0), file).outcome == "met"
    assert decision((26.0, 68.0, 6.0), file).outcome == "not_met"


def test_d4_beyond_a_tolerable_loss_is_insufficient_evidence() -> None:
    file = standard("D4", "", *LOSSES, parameter("tolerable_loss", "CNY per patient", "1.00"))
    made = decision((33.0, 60.0, 7.0), file)
    assert made.outcome == "insufficient_evidence"
    assert made.insufficient is not None


def test_d3_chooses_the_path_with_the_highest_expected_net_benefit() -> None:
    file = standard("D3", "reversible: true\n", *BENEFIT)
    assert decision((60.0, 35.0, 5.0), file).outcome == "met"
    assert decision((10.0, 85.0, 5.0), file).outcome == "not_met"
    made = decision((60.0, 35.0, 5.0), file)
    assert made.worth is not None
    assert made.worth.path == "adopt"
    # m (N + N') - S with m = 100,000 x (posterior mean - .30), 61 / 102 - .30 = .29803922.
    assert made.worth.worth["adopt"] == pytest.approx(100_000 * (61 / 102 - 0.30) * 2500 - 100_000, rel=1e-6)
    near = decision((31.0, 64.0, 5.0), file)
    assert near.outcome == "insufficient_evidence"
    assert near.worth is not None
    assert near.worth.path in ("provisional", "only_in_research")


def test_d3_beside_d1_says_what_to_do_meanwhile() -> None:
    file = standard("D1", "reversible: false\n", *BENEFIT)
    made = decision((31.0, 64.0, 5.0), file)
    assert made.outcome == "insufficient_evidence"
    assert made.worth is not None
    assert "provisional" not in made.worth.worth


LOOKS = "looks: [2026-06-01, 2026-12-01, 2027-06-01]\n"
SPENT = (parameter("alpha", "probability", "0.10"), parameter("planned_information", "information", "3000"))


def look(number: int, day: date, counts: tuple[float, float, float], before: Decision | None) -> Decision:
    file = standard("D5", LOOKS, *SPENT)
    asked = study()
    asked = asked.model_copy(
        update={"study": asked.study.model_copy(update={"id": f"egfr-response-{number}"})}
    )
    evidence = package(counts, of=asked, exact=True)
    looks = () if before is None else looks_of(before, file)
    made = decide(evidence, file, day, looks=looks, key=key("payer"))
    replay(made, evidence, file)
    return made


def test_d5_answers_once_over_its_looks_and_each_reads_new_patients() -> None:
    # First look: 34 of 100 against .30, V_s = .21 / 100, z = .04 / .0458 = .87: too little so early.
    first = look(1, DAY.replace(month=6), (34.0, 60.0, 6.0), None)
    assert first.outcome == "insufficient_evidence"
    assert first.sequence is not None
    assert first.sequence.z == pytest.approx(0.04 / np.sqrt(0.21 / 100), abs=1e-4)
    assert first.sequence.bound > 2
    assert first.what_would_change == ("The next registered look is from 2026-12-01 on; 2 of 3 are left.",)
    second = look(2, DAY, (230.0, 250.0, 20.0), first)
    assert second.outcome == "met"
    assert second.sequence is not None
    assert [x.study_id for x in second.sequence.looks] == ["egfr-response-1", "egfr-response-2"]
    assert propose(second, key("payer")) is not None


def test_d5_refuses_the_same_patients_an_early_look_and_one_after_its_answer() -> None:
    first = look(1, DAY.replace(month=6), (34.0, 60.0, 6.0), None)
    with pytest.raises(EvidenceOfAnother, match="counts its patients twice"):
        look(1, DAY, (34.0, 60.0, 6.0), first)
    with pytest.raises(PaymentError, match="is not registered"):
        look(1, DAY.replace(month=3), (34.0, 60.0, 6.0), None)
    done = look(2, DAY, (230.0, 250.0, 20.0), first)
    with pytest.raises(PaymentError, match="already answered met"):
        look(3, date(2027, 6, 1), (230.0, 250.0, 20.0), done)


@pytest.mark.parametrize("counts", [(60.0, 35.0, 5.0), (31.0, 64.0, 5.0), (8.0, 87.0, 5.0)])
@pytest.mark.parametrize(
    ("rule", "extra", "parameters"),
    [
        ("D3", "reversible: true\n", BENEFIT),
        ("D4", "", LOSSES),
        ("D5", "looks: [2026-06-01, 2027-12-01]\n", SPENT),
    ],
)
def test_the_report_and_the_command_line_tell_any_rule(
    rule: str, extra: str, parameters: tuple[str, ...], counts: tuple[float, float, float], tmp_path: Path
) -> None:
    file, evidence = standard(rule, extra, *parameters), package(counts, exact=True)
    made = decide(evidence, file, DAY)
    page.write(evidence, (made,), tmp_path / "report.html", "both")
    assert (tmp_path / "report.html").stat().st_size > 1000
    for language in ("en", "zh"):
        assert any(rule in line for line in decision_lines(made, language, file.standard))


@pytest.mark.parametrize("rule", ["D1", "D2", "D3", "D4", "D5"])
def test_a_standard_on_criteria_names_any_rule(rule: str) -> None:
    more = {
        "D3": ("reversible: true", BENEFIT), "D4": ("", LOSSES),
        "D5": ("looks: [2026-06-01, 2027-12-01]", SPENT),
    }.get(rule, ("", ()))  # fmt: skip
    file = standard(rule, more[0] + "\n" if more[0] else "", *more[1], name="lung/targeted_therapy_icer_gate")
    assert file.standard.decision_rule == rule
    stratum = increment(10_000, 0.9)
    changes = ("decision_rule: D1", "decision_rule: " + rule + ("\n" + more[0] if more[0] else ""))
    inside = ("\nrule:\n", "\nrule:\n" + "".join(more[1]))
    if rule == "D3":
        inside = (inside[0], inside[1].replace('amount: "100000.00"', 'amount: "1.00"'))
    made = decided(
        "lung/targeted_therapy_icer_gate", {"cost": stratum, "effect": stratum}, None, changes, inside
    )
    assert made.outcome == "met"
    assert made.rule.name == rule


BRAKE = (
    parameter("p_change", "probability", "0.90"), parameter("p_reverse", "probability", "0.95"),
    parameter("reversal_window", "days", "365"), parameter("minimum_interval", "days", "183"),
)  # fmt: skip


def changed_before(counts: tuple[float, float, float], *, on: str, share: str, more: str = "") -> Decision:
    """A decision after ``reimbursement_share`` moved from 1 to ``share`` on a day."""
    text = standard_file.read(NAME).raw.decode()
    i = text.index("place: full reimbursement until assessment")
    line_end = text.index("\n", i)
    step = f'\n      - {{starts: {on}, amount: "{share}", {SOURCE}}}'
    text = text[:line_end] + step + text[line_end:]
    text = text.replace("\nrule:\n", "\nrule:\n" + "".join(BRAKE) + more, 1)
    return decide(package(counts, exact=True), standard_file.parse(text.encode(), where="my.yaml"), DAY)


def test_a_change_too_soon_waits() -> None:
    # New values would start on 2027-01-30; the last change was 60 days before: 183 are asked for.
    made = changed_before((60.0, 35.0, 5.0), on="2026-12-01", share="0.50")
    assert made.outcome == "met"
    assert made.standard_after is None
    assert made.action == "keep_current_standard"
    assert {row.because for row in made.held_back if row.because} == {("interval",)}
    assert any("holds the change back" in warning for warning in made.warnings)


def test_reversing_a_change_needs_more_than_making_it() -> None:
    # P(theta >= .30 | 36 of 100) = .909: enough to change, not enough to go back within a year.
    made = changed_before((36.0, 60.0, 4.0), on="2026-05-01", share="0.50")
    assert made.outcome == "met"
    assert made.standard_after is None
    assert {row.because for row in made.held_back if row.because} == {("hysteresis",)}
    again = changed_before((40.0, 56.0, 4.0), on="2026-05-01", share="0.50")
    assert again.standard_after is not None
    assert changed_before((36.0, 60.0, 4.0), on="2025-05-01", share="0.50").standard_after is not None


def test_a_cap_and_credibility_make_a_change_smaller() -> None:
    # 1.00 -> 0.00 wanted; a tenth of 1.00 at most.
    cap = (parameter("change_cap", "share", "0.10"), parameter("cap_period", "days", "365"))
    file = standard("D1", "capped: [reimbursement_share]\n", *cap)
    made = decide(package((20.0, 70.0, 8.0)), file, DAY)
    assert made.standard_after is not None
    assert made.standard_after["reimbursement_share"].amount == Decimal("0.9000")
    assert made.standard_after["charity_share"].amount == 1
    # Z = .05^2 / (.05^2 + V): with V near .0021 about half of the way.
    prior = parameter("prior_sd", "probability", "0.05")
    followed = standard("D1", "followed: [reimbursement_share]\n", prior)
    half = decide(package((20.0, 70.0, 8.0)), followed, DAY)
    assert half.standard_after is not None
    assert 0.3 < half.standard_after["reimbursement_share"].amount < 0.7
    row = next(r for r in half.held_back if r.value == "reimbursement_share")
    assert row.because == ("credibility",)
    assert 0.3 < row.weight < 0.7


@pytest.mark.parametrize(
    ("rule", "extra", "parameters", "message"),
    [
        ("D3", "", BENEFIT, "reversible"),
        ("D5", "", SPENT, "looks: D5 registers"),
        ("D1", LOOKS, (), "looks: D5 registers"),
        ("D4", "", (), "takes exactly"),
        ("D1", "", LOSSES, "takes exactly"),
        ("D1", "", BRAKE[:2], "stand together or not at all"),
        ("D1", "capped: [bonus]\n", (), "capped: a change cap names"),
        ("D1", "capped: [bonuses]\n", (), "bonuses is no payment value"),
        ("D6", "", (), "decision_rule"),
    ],
)  # fmt: skip
def test_a_rule_that_leaves_something_open_is_refused(
    rule: str, extra: str, parameters: tuple[str, ...], message: str
) -> None:
    with pytest.raises(PaymentError, match=message):
        standard(rule, extra, *parameters)


def test_looks_out_of_order_are_refused_by_name() -> None:
    with pytest.raises(WindowsOverlap, match="in order"):
        standard("D5", "looks: [2026-12-01, 2026-06-01]\n", *SPENT)


def test_a_decision_without_anything_new_is_written_as_before() -> None:
    # Fields that came later are not written where they say nothing: an older decision keeps its identity.
    made = decision((60.0, 35.0, 5.0), standard_file.read(NAME))
    written = documents.content(made)
    assert not {"criteria", "worth", "held_back", "sequence", "needs", "held_digest"} & written.keys()
    assert written["rule"].keys() == {"name", "p_met", "p_not"}
    assert "per" not in written["money"][0]
