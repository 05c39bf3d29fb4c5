"""Laws of payment decisions: what must not change them, from patients to the answer."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from fedvalue.analyses.analysis import NoisyBlock, NoisySum
from fedvalue.analyses.estimate import Conclusion
from fedvalue.payment import standard_file
from fedvalue.payment.deciding import uses_of
from fedvalue.payment.deciding_criteria import answer
from fedvalue.payment.insufficient import Budgeted
from fedvalue.payment.readings import Sources
from fedvalue.planning.concluding import conclude_all
from fedvalue.planning.plan import PlannedRelease, plan_on
from fedvalue.secure_sum.thresholds import thresholds
from proofs.end_to_end import DAY, Columns, World, cohort_of, rows_of
from proofs.end_to_end_worlds import worlds

WORLDS = {world.name: world for world in worlds()}


def exactly(world: World, columns: Columns, site: np.ndarray) -> tuple[Conclusion, ...]:
    """Conclusions without noise, from patients dealt to sites."""
    sites = int(site.max()) + 1
    roster = hashlib.sha256(b"law").hexdigest()
    plan = plan_on(world.study, thresholds(sites, colluding=1, dropouts=1), roster, unsafe_exact=True)
    cohorts = [cohort_of(world.study, rows_of(columns, site == k)) for k in range(sites)]

    def opened(release: PlannedRelease, public: bytes) -> NoisySum:
        total = np.sum([release.contribution(cohort, public) for cohort in cohorts], axis=0)
        return {n: NoisyBlock(total[where], gamma, 0.0) for n, (where, gamma) in release.slices().items()}

    return conclude_all(plan, opened)


@pytest.mark.parametrize("name", ["cart_instalments", "lung_icer_gate"])
def test_splitting_a_site_in_two_changes_no_decision(name: str) -> None:
    world = WORLDS[name]
    rng = np.random.default_rng(5)
    columns = world.draw(rng, world.truths[0].planted)
    site = rng.integers(0, 6, len(next(iter(columns.values()))))
    split = np.where((site == 5) & (rng.random(len(site)) < 0.5), 6, site)
    whole, parted = exactly(world, columns, site), exactly(world, columns, split)
    assert whole == parted
    payment = world.study.payments[0]
    file = standard_file.read(payment.standard)
    found = [
        answer(
            file, Sources(c, uses_of(payment, file.standard), "ev-law", 6), DAY,
            budget=Budgeted(3.0, 1e-6, 100_000), minimum=50,
        )
        for c in (whole, parted)
    ]  # fmt: skip
    assert found[0] == found[1]


def test_the_same_patients_in_another_order_are_decided_alike() -> None:
    world = WORLDS["lung_icer_gate"]
    rng = np.random.default_rng(6)
    columns = world.draw(rng, world.truths[0].planted)
    site = rng.integers(0, 6, 1_600)
    order = rng.permutation(1_600)
    turned = {name: column[order] for name, column in columns.items()}
    assert exactly(world, columns, site) == exactly(world, turned, site[order])
