"""The whole EGFR study over real machines: every party a process with TLS, keys and a home of its own."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from fedvalue.evidence.chain import verify_chain
from fedvalue.evidence.package import EvidencePackage
from fedvalue.simulation import SiteFolders, run
from fedvalue.simulation.three_sites import run_processes
from fedvalue.synthetic.studies import demo_study
from fedvalue.synthetic.world import World
from fedvalue.synthetic.worlds import demo_world
from tests.outbound.watch import attempts, watched

DEVIATIONS = 5.0
"""Two answers differ by the noise of both; of thirty compared, one differs by more in 10^5 runs."""


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


@pytest.mark.timeout(600)
def test_five_hospitals_as_processes_give_the_evidence_that_they_give_in_one(
    tmp_path: Path, warm_commands: Path
) -> None:
    outbound = tmp_path / "outbound.log"
    found = run_processes(
        tmp_path / "federation", lambda line: None, world=five_sites(), study=demo_study(), seed=3,
        extra=watched({}, outbound), flwr=str(warm_commands / "flwr"),
    )  # fmt: skip
    evidence = found.evidence
    links = [link.name for link in verify_chain(evidence)]
    assert links[:3] == ["study", "study signature", "roster"]
    assert not evidence.simulation
    assert evidence.unsafe == ()
    assert all(len(release.answered) == 5 for release in evidence.releases)
    assert set(found.charges.values()) == {len(evidence.releases)}
    assert attempts(outbound) == []

    study = tmp_path / "study.toml"
    study.write_bytes(demo_study())
    here = run(study, SiteFolders(tmp_path / "federation" / "hospitals"), out=tmp_path / "in-process")
    ours, theirs = released(evidence), released(here.evidence)
    assert len(ours) >= 6
    # what is only just estimable at this budget may be refused in one of two runs, by the noise
    assert len(set(ours) ^ set(theirs)) <= 0.2 * len(set(ours) | set(theirs))
    for name in set(ours) & set(theirs):
        (value, variance), (other, its) = ours[name], theirs[name]
        assert math.isclose(value, other, abs_tol=DEVIATIONS * math.sqrt(variance + its)), name
