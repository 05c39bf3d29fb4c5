"""From sealed evidence to an approved, dated value: mechanisms on curves, panels, treatment effects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fedvalue.cli import main
from fedvalue.errors import EvidenceOfAnother, EvidenceOfTooFewSites, PaymentError
from fedvalue.evidence import documents
from fedvalue.evidence.package import EvidencePackage
from fedvalue.payment import held, standard_file
from fedvalue.payment.deciding import decide
from fedvalue.payment.decision import Decision
from fedvalue.payment.proposal import Proposal, approve, countersign, load_proposal, propose
from fedvalue.payment.replay import replay
from fedvalue.study.keys import make_key
from tests.unit.evidence.sealed import key
from tests.unit.payment.kinds.packages import (
    CAR_T,
    GATE,
    PANEL,
    arms,
    members,
    sealed_from,
    study,
    survivors,
)
from tests.unit.payment.kinds.sources import DAY, changed, figures

CAPITATION = "diabetes/capitation_risk_tiers"
FIGURES = figures(
    CAPITATION,
    expected_admissions=("0.20", "probability"),
    people_low=("6000", "patients"),
    people_medium=("3000", "patients"),
    people_high=("1000", "patients"),
)


def evidence(body: str) -> EvidencePackage:
    rng = np.random.default_rng(7)
    cohort = {
        CAR_T: lambda: survivors(900, 0.7, rng),
        PANEL: lambda: members(6000, 0.66, 0.14, rng),
        GATE: lambda: arms(4000, 60_000, 0.45, rng),
    }[body]()
    return sealed_from(study(body), cohort)


KINDS = [
    ("blood/car_t_instalments", CAR_T, None, {"instalment_1": "93250.00"}),
    (CAPITATION, PANEL, FIGURES, {"bonus": "0.10"}),
    ("lung/targeted_therapy_icer_gate", GATE, None, {"listed_share": "0.70"}),
]


@pytest.mark.parametrize(("name", "body", "statement", "expected"), KINDS)
def test_every_command_works_for_the_mechanism(
    name: str, body: str, statement: str | None, expected: dict[str, str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def run(*words: object) -> str:
        assert main([str(word) for word in words]) == 0
        return capsys.readouterr().out

    documents.write(evidence(body), tmp_path / "evidence.json")
    make_key(tmp_path / "payer.pem")
    with_held: list[object] = []
    if statement is not None:
        (tmp_path / "held.yaml").write_text(statement)
        run("payment", "sign-held", tmp_path / "held.yaml", "--key", tmp_path / "payer.pem", "--name", "fund")
        with_held = ["--held", tmp_path / "held.yaml"]
    day, signed = ("--on", "2026-12-01"), ("--key", tmp_path / "payer.pem")
    package, folder = tmp_path / "evidence.json", tmp_path / "standards"
    told = run("payment", "decide", package, *day, *signed, "--out", tmp_path, *with_held)
    assert "MET: " in told
    chinese = run("payment", "decide", package, *day, *with_held, "--language", "zh")
    assert "结论         达标: " in chinese
    plain = json.loads(run("payment", "decide", package, *day, *with_held, "--json"))
    assert plain["outcome"] == "met"
    assert plain["criteria"]
    again = run("payment", "replay", tmp_path / "decision.json", package, *with_held)
    assert "bit for bit" in again
    proposed = run(
        "payment", "propose", tmp_path / "decision.json", *signed, "--out", tmp_path / "again.json"
    )
    assert name in proposed
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "proposal.json").read_bytes()
    approval = ("--standards", folder, *signed, "--on", "2026-12-02")
    approved = json.loads(run("payment", "approve", tmp_path / "proposal.json", *approval, "--json"))
    assert {k: approved["values"][k] for k in expected} == expected
    assert (
        expected.items()
        <= {
            v["name"]: v["amount"]
            for v in json.loads(run("payment", "history", name, "--standards", folder, "--json"))["values"]
        }.items()
    )
    assert "来源" in run("payment", "history", name, "--standards", folder, "--language", "zh")
    shown = run("payment", "show", name, "--standards", folder, "--on", "2027-03-01")
    assert "approved on evidence ev-" in shown
    file = folder / f"{name}.yaml"
    differs = json.loads(run("payment", "diff", name, file, "--on", "2027-03-01", "--json"))["differences"]
    assert all("approved on evidence" in row["after"]["source"] for row in differs)
    assert (
        "变化" in run("payment", "diff", name, file, "--on", "2027-03-01", "--language", "zh") or not differs
    )


def made(
    name: str, body: str, statement: str | None = None
) -> tuple[EvidencePackage, Decision, held.Held | None]:
    package = evidence(body)
    figures_held = None if statement is None else held.parse(statement.encode(), where="held.yaml")
    decision = decide(package, standard_file.read(name), DAY, key=key("payer"), held=figures_held)
    return package, decision, figures_held


def test_a_proposal_holds_what_the_committee_must_see() -> None:
    _, decision, _ = made("lung/targeted_therapy_icer_gate", GATE)
    proposal = propose(decision, key("payer"))
    assert proposal is not None
    assert proposal.before["listed_share"].amount == 0
    assert (proposal.rule, proposal.probability) == (decision.rule, decision.joint_probability)
    assert proposal.money[0].change_per_100 > 0
    assert proposal.bias == decision.bias


def test_a_decision_is_made_again_only_with_the_payers_figures_that_it_read() -> None:
    package, decision, figures_held = made(CAPITATION, PANEL, FIGURES)
    file = standard_file.read(CAPITATION)
    assert replay(decision, package, file, figures_held).decision_id == decision.decision_id
    with pytest.raises(PaymentError, match="read the payer's statement 'closed year'"):
        replay(decision, package, file)
    other = held.parse(FIGURES.replace("6000", "6001").encode(), where="held.yaml")
    with pytest.raises(PaymentError, match="read the payer's statement"):
        replay(decision, package, file, other)


def test_a_standard_that_reads_the_payers_figures_asks_for_them() -> None:
    with pytest.raises(PaymentError, match="from the payer's own figures"):
        decide(evidence(PANEL), standard_file.read(CAPITATION), DAY)
    other = held.parse(FIGURES.replace(CAPITATION, "another/standard").encode(), where="held.yaml")
    with pytest.raises(EvidenceOfAnother, match="the payer's figures are for"):
        decide(evidence(PANEL), standard_file.read(CAPITATION), DAY, held=other)


def test_evidence_of_another_mechanism_group_or_unit_is_refused() -> None:
    gate = standard_file.read("lung/targeted_therapy_icer_gate")
    with pytest.raises(EvidenceOfAnother, match="not this standard"):
        decide(evidence(CAR_T), gate, DAY)
    body = GATE.replace('mechanism = "icer_gate"', 'mechanism = "suspension"')
    package = sealed_from(study(body), arms(2000, 60_000, 0.45, np.random.default_rng(1)))
    with pytest.raises(EvidenceOfAnother, match="a standard of suspension"):
        decide(package, gate, DAY)
    other = changed("lung/targeted_therapy_icer_gate", ("    unit: QALY\n", "    unit: LYG\n"))
    with pytest.raises(EvidenceOfAnother, match="estimated in QALY"):
        decide(evidence(GATE), other, DAY)


def test_fewer_sites_than_the_standard_demands_are_refused_by_name() -> None:
    source = "source: {title: Example, place: chosen, status: chosen}"
    value = f"      - {{starts: 2026-01-01, amount: 5, {source}}}\n"
    sites = "\nrule:\n  minimum_sites:\n    unit: sites\n    values:\n" + value
    file = changed("lung/targeted_therapy_icer_gate", ("\nrule:\n", sites))
    with pytest.raises(EvidenceOfTooFewSites, match="3 sites answered, the standard demands 5"):
        decide(evidence(GATE), file, DAY)


def test_a_role_that_a_standard_needs_signs_before_anybody_approves(tmp_path: Path) -> None:
    file = changed(
        "lung/targeted_therapy_icer_gate", ("decision_rule: D1\n", "needs: [clinical]\ndecision_rule: D1\n")
    )
    folder = tmp_path / "standards"
    (folder / "lung").mkdir(parents=True)
    (folder / f"{file.standard.name}.yaml").write_bytes(file.raw)
    decision = decide(evidence(GATE), file, DAY, key=key("payer"))
    proposal = propose(decision, key("payer"))
    assert proposal is not None
    assert proposal.needs == ("clinical",)
    with pytest.raises(PaymentError, match="not signed by: clinical"):
        approve(proposal, folder, key("payer"), on=DAY)
    with pytest.raises(PaymentError, match="no ethics"):
        countersign(proposal, key("committee"), "ethics")
    signed = countersign(proposal, key("committee"), "clinical")
    with pytest.raises(PaymentError, match="clinical has signed already"):
        countersign(signed, key("committee"), "clinical")
    assert _kept(signed, tmp_path).proposal_id == proposal.proposal_id
    assert approve(signed, folder, key("payer"), on=DAY).values["listed_share"] > 0


def _kept(proposal: Proposal, folder: Path) -> Proposal:
    documents.write(proposal, folder / "proposal.json")
    return load_proposal(folder / "proposal.json")


def test_nothing_to_propose_is_said_and_is_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = sealed_from(study(CAR_T), survivors(60, 0.55, np.random.default_rng(3)))
    decision = decide(package, standard_file.read("blood/car_t_instalments"), DAY, key=key("payer"))
    assert decision.outcome == "insufficient_evidence"
    documents.write(decision, tmp_path / "decision.json")
    make_key(tmp_path / "payer.pem")
    words = ["payment", "propose", str(tmp_path / "decision.json"), "--key", str(tmp_path / "payer.pem")]
    assert main(words) == 0
    assert "nothing to propose" in capsys.readouterr().out
    assert not (tmp_path / "proposal.json").exists()
