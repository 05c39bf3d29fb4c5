"""Whole studies over real machines: every party a process with TLS, keys and a home of its own.

Five hospitals run once for all tests here: the EGFR study is asked of all of them, a training of three.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fedvalue.analyses.training import Training
from fedvalue.evidence import sealing
from fedvalue.evidence.chain import verify_chain
from fedvalue.evidence.package import EvidencePackage
from fedvalue.planning.plan import make_plan
from fedvalue.simulation import SiteFolders, office_work, run
from fedvalue.simulation.machines import Machines
from fedvalue.simulation.three_sites import RUN_SECONDS, Steps, running
from fedvalue.study.file import load
from fedvalue.study.identity.signed_roster import read_signed_roster
from fedvalue.synthetic.studies import demo_study
from fedvalue.synthetic.world import World
from fedvalue.synthetic.worlds import demo_world
from tests.outbound.watch import attempts, watched

DEVIATIONS = 5.0
"""Two answers differ by the noise of both; of thirty compared, one differs by more in 10^5 runs."""

ROUNDS = 3


def five_sites() -> World:
    world = demo_world()
    return World(
        hospitals=world.hospitals[:5], mutated=world.mutated, wild_type=world.wild_type,
        not_tested=world.not_tested, share_mutated=world.share_mutated,
    )  # fmt: skip


def released(evidence: EvidencePackage) -> dict[tuple[str, str, str], tuple[float, float]]:
    """Return every estimate with the variance that privacy gave it."""
    return {
        (conclusion.label, stratum.name, name): (estimate.value, estimate.privacy_variance)
        for conclusion in evidence.conclusions
        for stratum in conclusion.strata
        for name, estimate in stratum.estimates.items()
        if estimate.privacy_variance > 0
    }


@dataclass(frozen=True, slots=True)
class Federation:
    """Five hospitals that run.

    Attributes:
      folder: Of everything.
      machines: The processes.
      outbound: Where attempts to leave this machine are written down.
    """

    folder: Path
    machines: Machines
    outbound: Path

    def answer(self, study: Path, name: str, roster: Path | None = None) -> EvidencePackage:
        """Run a study by the coordinator's command, and return its evidence."""
        out = self.folder / name
        self.machines.run(*self.machines.study_command(study, out, roster=roster), seconds=RUN_SECONDS)
        return sealing.load(out / "evidence.json")

    def charges(self, evidence: EvidencePackage) -> list[int]:
        """Return for how many releases of a study each site's ledger was charged, in the roster's order."""
        papers = self.machines.papers
        found = [office_work.told("site", "ledger", papers.home(site))["debits"] for site in papers.sites]
        return [sum(debit["body"]["study"] == evidence.study_hash for debit in debits) for debits in found]


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory, warm_commands: Path) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("five")
    with running(
        folder, {"egfr": demo_study()}, Steps(lambda line: None), world=five_sites(), seed=3,
        admits_sampled=True, extra=watched({}, folder / "outbound.log"), flwr=str(warm_commands / "flwr"),
    ) as machines:  # fmt: skip
        yield Federation(folder, machines, folder / "outbound.log")


@pytest.mark.timeout(600)
def test_five_hospitals_as_processes_give_the_evidence_that_they_give_in_one(
    federation: Federation, tmp_path: Path
) -> None:
    study = federation.folder / "study" / "egfr.toml"
    evidence = federation.answer(study, "egfr")
    links = [link.name for link in verify_chain(evidence)]
    assert links[:3] == ["study", "study signature", "roster"]
    assert not evidence.simulation
    assert evidence.unsafe == ()
    assert all(len(release.answered) == 5 for release in evidence.releases)
    assert federation.charges(evidence) == [len(evidence.releases)] * 5
    assert attempts(federation.outbound) == []

    here = run(study, SiteFolders(federation.folder / "hospitals"), out=tmp_path / "in-process")
    ours, theirs = released(evidence), released(here.evidence)
    assert len(ours) >= 6
    # what is only just estimable at this budget may be refused in one of two runs, by the noise
    assert len(set(ours) ^ set(theirs)) <= 0.2 * len(set(ours) | set(theirs))
    for name in set(ours) & set(theirs):
        (value, variance), (other, its) = ours[name], theirs[name]
        assert math.isclose(value, other, abs_tol=DEVIATIONS * math.sqrt(variance + its)), name


@pytest.mark.timeout(600)
def test_three_of_the_hospitals_train_a_model_over_streams_while_the_others_are_not_asked(
    federation: Federation, repository: Path
) -> None:
    papers = federation.machines.papers
    three = papers.sites[:3]
    roster, study = federation.folder / "three.toml", federation.folder / "study" / "training.toml"
    office_work.sign_roster(papers, three, roster)
    text = (repository / "docs" / "examples" / "model" / "training.toml").read_text(encoding="utf-8")
    for old, new in (("min_sites = 5", "min_sites = 3"), ("rounds = 12", f"rounds = {ROUNDS}")):
        assert old in text
        text = text.replace(old, new)
    study.write_text(text, encoding="utf-8")
    office_work.approve_all(papers, study, roster=roster, sites=three)  # while the sites run

    evidence = federation.answer(study, "training", roster)
    verify_chain(evidence)  # follows every round again, by arithmetic alone
    assert not evidence.simulation
    assert evidence.unsafe == ()
    assert [release.answered for release in evidence.releases] == [tuple(sorted(three))] * (1 + ROUNDS)
    conclusion = evidence.conclusions[0]
    assert conclusion.notes[0] == f"{ROUNDS} of {ROUNDS} rounds were released and paid for."
    plan = make_plan(load(study), read_signed_roster(roster).roster())
    assert isinstance(plan.analyses[0], Training)
    assert conclusion.model is not None
    assert federation.charges(evidence) == [1 + ROUNDS] * 3 + [0, 0]
    assert (federation.folder / "training" / "coordinator.log").read_text().count("session joined") == 3
    assert attempts(federation.outbound) == []
