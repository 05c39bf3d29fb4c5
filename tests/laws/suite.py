"""The laws that every analysis obeys. A new analysis gets a class that inherits this one."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fedvalue.analyses.analysis import Analysis, Ask, NoisyBlock, NoisySum, Scaling, Terms
from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome, pool
from fedvalue.analyses.estimate import Conclusion
from fedvalue.planning.plan import EXACT_GAMMA
from fedvalue.privacy.accounting import rho_units_for
from fedvalue.privacy.release import LOG2_SCALE, Block, Scales, scales
from tests.laws.conftest import draw_cohort

PAIRS = 2_000
"""Neighbouring pairs a law test draws; the issue of the private sum draws 10,000."""


def planned(
    ask: Ask, epsilon: float, *, honest_shares: int, sites_per_patient: int = 1, rounds: int = 1
) -> tuple[Scaling, Scales, int]:
    """Scale one of ``rounds`` asks with a whole study's ``epsilon`` at delta 1e-6; return its rho too."""
    rho = rho_units_for(epsilon, 1e-6) // rounds
    blocks = tuple(
        Block(b.name, b.dimension, b.bound_squared, b.counting, int(rho * weight))
        for b, weight in zip(ask.blocks, ask.weights, strict=True)
    )
    found = scales(blocks, honest_shares=honest_shares, sites_per_patient=sites_per_patient)
    return {b.name: g for b, g in zip(blocks, found.gammas, strict=True)}, found, rho


def without_noise(analysis: Analysis, cohorts: list[Cohort]) -> Conclusion:
    """Conclude from the exact sum over sites."""

    def sum_of(ask: Ask) -> NoisySum:
        scaling = {block.name: EXACT_GAMMA for block in ask.blocks}
        parts = [analysis.contribution(cohort, ask, scaling) for cohort in cohorts]
        totals = {b.name: np.sum([part[b.name] for part in parts], axis=0) for b in ask.blocks}
        return {name: NoisyBlock(total, EXACT_GAMMA, 0.0) for name, total in totals.items()}

    return analysis.conclude(sum_of, Terms(1, rho_units_for(1.0, 1e-6), 1e-6, exact=True))


def with_noise(
    analysis: Analysis,
    cohort: Cohort,
    epsilon: float,
    rng: np.random.Generator,
    *,
    sites: int = 6,
    honest_shares: int = 4,
    shared: bool = False,
) -> Conclusion:
    """Conclude from a noisy sum; Gaussian noise stands in for the discrete one, which has its own tests.

    ``shared``: the rounds share ``epsilon``, as a plan has it; else each has it whole.
    """
    rounds = len(analysis.rounds()) if shared else 1

    def sum_of(ask: Ask) -> NoisySum:
        scaling, _, _ = planned(ask, epsilon, honest_shares=honest_shares, rounds=rounds)
        exact = analysis.contribution(cohort, ask, scaling)
        variance = sites * 4.0**LOG2_SCALE
        return {
            b.name: NoisyBlock(
                exact[b.name] + np.rint(rng.normal(0.0, variance**0.5, b.dimension)).astype(np.int64),
                scaling[b.name],
                variance,
            )
            for b in ask.blocks
        }

    return analysis.conclude(sum_of, Terms(20, rho_units_for(epsilon, 1e-6), 1e-6))


def rows(cohort: Cohort, keep: np.ndarray) -> Cohort:
    """Return the patients ``keep`` names, by position."""
    return Cohort(
        len(keep),
        {k: v[keep] for k, v in cohort.categories.items()},
        {k: v[keep] for k, v in cohort.numbers.items()},
        {k: BinaryOutcome(v.status[keep]) for k, v in cohort.binary.items()},
        {k: SurvivalOutcome(v.entry[keep], v.exit[keep], v.event[keep]) for k, v in cohort.survival.items()},
        cohort.lost,
        cohort.places[keep],
    )


def asked(ask: Ask, rng: np.random.Generator) -> Ask:
    """Return the ask with whatever public numbers a coordinator might send."""
    scale = 10.0 ** rng.integers(-3, 15)
    return ask.given(rng.normal(0.0, scale, ask.public_size).clip(-1e15, 1e15))


class AnalysisLaws:
    """Inherit and define ``analyses``.

    Attributes:
      PAIRS: Neighbouring pairs to draw for each ask; fewer where a contribution is slow, because
        ``make prove KEY=neighbours`` draws 10,000 for every kind.
    """

    PAIRS = PAIRS

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        """The analysis in every form that a study can ask for."""
        raise pytest.UsageError("a law class defines its analyses")

    def test_pooled_contributions_are_the_contribution_of_the_pooled_patients(
        self, analyses: list[Analysis], rng: np.random.Generator
    ) -> None:
        cohorts = [draw_cohort(rng, int(n), 0.3) for n in (0, 1, 3, 50, 200)]
        for analysis in analyses:
            for ask in (asked(ask, rng) for ask in analysis.rounds()):
                scaling, _, _ = planned(ask, 1.0, honest_shares=3)
                parts = [analysis.contribution(cohort, ask, scaling) for cohort in cohorts]
                whole = analysis.contribution(pool(cohorts), ask, scaling)
                for block in ask.blocks:
                    total = sum(part[block.name] for part in parts)
                    np.testing.assert_array_equal(total, whole[block.name])
                    assert whole[block.name].shape == (block.dimension,)
                    assert whole[block.name].dtype == np.int64

    @pytest.mark.parametrize("hostile", [0.0, 1.0])
    def test_one_patient_moves_the_integer_sum_by_at_most_the_declared_bound(
        self, analyses: list[Analysis], rng: np.random.Generator, hostile: float
    ) -> None:
        for analysis in analyses:
            for ask in analysis.rounds():
                scaling, found, _ = planned(
                    ask, float(rng.choice([0.5, 1, 8])), honest_shares=int(rng.integers(1, 9))
                )
                drawn = 0
                while drawn < self.PAIRS:
                    ask = asked(ask, rng)
                    cohort = draw_cohort(rng, int(rng.integers(1, 12)), hostile)
                    more = analysis.contribution(cohort, ask, scaling)
                    for leaver in range(cohort.patients):  # each in turn: a pair costs one contribution
                        without = rows(cohort, np.delete(np.arange(cohort.patients), leaver))
                        less = analysis.contribution(without, ask, scaling)
                        moved = 0
                        for block in ask.blocks:
                            squared = sum(int(v) ** 2 for v in more[block.name] - less[block.name])
                            assert squared <= scaling[block.name] ** 2 * block.bound_squared
                            moved += squared
                        assert moved <= found.patient_bound_squared
                    drawn += cohort.patients

    def test_the_shares_of_the_budget_add_to_one(self, analyses: list[Analysis]) -> None:
        for analysis in analyses:
            for ask in analysis.rounds():
                assert sum(ask.weights, Fraction(0)) == 1

    def test_a_site_without_the_variables_contributes_vectors_of_the_planned_shape(
        self, analyses: list[Analysis], rng: np.random.Generator
    ) -> None:
        for analysis in analyses:
            for ask in (asked(ask, rng) for ask in analysis.rounds()):
                scaling, _, _ = planned(ask, 1.0, honest_shares=3)
                empty = analysis.contribution(Cohort(7), ask, scaling)
                assert {name: v.shape for name, v in empty.items()} == {
                    b.name: (b.dimension,) for b in ask.blocks
                }
