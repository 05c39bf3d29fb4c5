"""Proposal and approval: software proposes, people add a dated value, and nothing earlier changes."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from fedvalue.errors import EvidenceError, OutputError, PaymentError, SignatureInvalid
from fedvalue.evidence import documents
from fedvalue.evidence.chain import Following, verify_chain
from fedvalue.payment import standard_file
from fedvalue.payment.deciding import decide
from fedvalue.payment.proposal import Proposal, approve, check_approvals, load_proposal, propose
from fedvalue.payment.replay import replay
from fedvalue.study.signature import public_hex
from tests.unit.evidence.sealed import key, package

NAME = "lung/egfr_tki_outcome_linked"
DAY = date(2026, 12, 1)


def proposed(
    counts: tuple[float, float, float] = (60.0, 70.0, 10.0), *, simulation: bool = False
) -> Proposal:
    made = decide(package(counts, simulation=simulation), standard_file.read(NAME), DAY, key=key("payer"))
    proposal = propose(made, key("payer"))
    assert proposal is not None
    return proposal


@pytest.fixture
def standards(tmp_path: Path) -> Path:
    """A folder of standards in which the bonus was approved."""
    approve(proposed(), tmp_path, key("approver"), on=date(2026, 12, 20))
    return tmp_path


def test_an_approval_adds_a_dated_value_with_the_evidence_as_source(standards: Path) -> None:
    file = standard_file.read(NAME, standards)
    value = file.standard.history("bonus").on(date(2027, 1, 30), "bonus")
    assert value.amount == Decimal(10000)
    assert value.source.evidence_id == package().evidence_id
    assert value.source.published == date(2026, 12, 20)
    check_approvals(file, trusted=frozenset({public_hex(key("approver"))}))


def test_what_it_paid_before_stays_the_same(standards: Path) -> None:
    before, after = standard_file.read(NAME), standard_file.read(NAME, standards)
    for day in (date(2021, 1, 1), date(2026, 3, 1), date(2027, 1, 29)):
        assert before.standard.in_force(day) == after.standard.in_force(day)
    assert after.raw.startswith(before.raw)
    assert after.at_version(before.version).standard == before.standard


def test_the_decision_replays_after_its_own_approval(standards: Path) -> None:
    made = decide(package(), standard_file.read(NAME), DAY, key=key("payer"))
    again = replay(made, package(), standard_file.read(NAME, standards))
    assert again.decision_id == made.decision_id


def test_the_chain_reaches_the_approved_standard(standards: Path) -> None:
    made = decide(package(), standard_file.read(NAME), DAY, key=key("payer"))
    links = verify_chain(
        package(),
        following=Following(
            decisions=(documents.content(made),),
            proposals=(documents.content(proposed()),),
            standards=(standard_file.read(NAME, standards).raw,),
        ),
    )
    assert links[-1].text.endswith("values were added since")


def test_a_second_approval_is_appended_after_the_first(standards: Path) -> None:
    file = standard_file.read(NAME, standards)
    made = decide(package((20.0, 70.0, 8.0)), file, date(2027, 6, 1), key=key("payer"))
    later = propose(made, key("payer"))
    assert later is not None
    approve(later, standards, key("approver"), on=date(2027, 6, 20))
    now = standard_file.read(NAME, standards)
    assert [value.amount for value in now.standard.history("reimbursement_share").values] == [1, 1, 0]
    assert now.standard.in_force(date(2027, 8, 1))["charity_share"].amount == 1
    assert now.raw.startswith(file.raw)
    assert now.at_version(file.version).version == file.version


def test_an_answer_that_changes_nothing_proposes_nothing() -> None:
    made = decide(package((42.0, 70.0, 8.0)), standard_file.read(NAME), DAY, key=key("payer"))
    assert made.outcome == "insufficient_evidence"
    assert propose(made, key("payer")) is None


def test_an_unsigned_decision_proposes_nothing() -> None:
    with pytest.raises(PaymentError, match="unsigned decision"):
        propose(decide(package(), standard_file.read(NAME), DAY), key("payer"))


def test_simulated_evidence_is_approved_only_expressly_and_stays_marked(tmp_path: Path) -> None:
    proposal = proposed(simulation=True)
    with pytest.raises(PaymentError, match="simulated evidence"):
        approve(proposal, tmp_path, key("approver"), on=DAY)
    approve(proposal, tmp_path, key("approver"), on=DAY, unsafe_simulation=True)
    file = standard_file.read(NAME, tmp_path)
    assert file.standard.approved[0].simulation
    assert "simulation" in file.standard.in_force(date(2027, 3, 1))["bonus"].source


def test_a_proposal_is_approved_once(standards: Path) -> None:
    with pytest.raises(PaymentError, match="approved already"):
        approve(proposed(), standards, key("approver"), on=date(2026, 12, 21))


def test_a_standard_that_changed_since_the_decision_is_not_touched(standards: Path) -> None:
    raw = standard_file.read(NAME, standards).raw
    with pytest.raises(PaymentError, match="changed since the decision"):
        approve(proposed((70.0, 60.0, 10.0)), standards, key("approver"), on=date(2026, 12, 21))
    assert standard_file.read(NAME, standards).raw == raw


def test_values_of_the_past_are_not_approved(tmp_path: Path) -> None:
    with pytest.raises(PaymentError, match="which is past"):
        approve(proposed(), tmp_path, key("approver"), on=date(2027, 1, 31))


def test_a_changed_proposal_is_refused(tmp_path: Path) -> None:
    forged = proposed().model_copy(update={"values": {"bonus": Decimal(99999)}})
    with pytest.raises(EvidenceError, match="proposal_id"):
        approve(forged, tmp_path, key("approver"), on=DAY)
    documents.write(forged, tmp_path / "proposal.json")
    with pytest.raises(EvidenceError, match="proposal_id"):
        load_proposal(tmp_path / "proposal.json")


def edited(standards: Path, old: str, new: str) -> bytes:
    text = standard_file.read(NAME, standards).raw.decode()
    assert old in text
    return text.replace(old, new).encode()


def test_history_that_was_edited_after_an_approval_is_refused(standards: Path) -> None:
    with pytest.raises(PaymentError, match="edited after it was approved"):
        standard_file.parse(edited(standards, 'amount: "0.30"', 'amount: "0.20"'), where="x")


def test_an_approved_amount_that_was_edited_fails_its_signature(standards: Path) -> None:
    file = standard_file.parse(edited(standards, "bonus: '10000'", "bonus: '90000'"), where="x")
    with pytest.raises(SignatureInvalid, match="does not match"):
        check_approvals(file)


def test_an_approval_by_somebody_else_is_refused(standards: Path) -> None:
    with pytest.raises(SignatureInvalid, match="not trusted"):
        check_approvals(standard_file.read(NAME, standards), trusted=frozenset({"0" * 64}))


def test_an_approval_that_would_change_the_past_is_refused(standards: Path) -> None:
    with pytest.raises(PaymentError, match="would change the past"):
        standard_file.parse(edited(standards, "starts: 2027-01-30", "starts: 2020-01-30"), where="x")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "lung").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match="cannot be written"):
        approve(proposed(), tmp_path, key("approver"), on=DAY)
