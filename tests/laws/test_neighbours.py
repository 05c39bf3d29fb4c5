"""Neighbouring patients for every analysis of the catalogue, a hundred pairs each.

`make prove KEY=neighbours` draws 10,000. The seeds are fixed; a law has no error rate.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Learner
from fedvalue.analyses.cohort import Cohort
from fedvalue.planning.plan import PlannedRelease, plan_on
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.study.schema import KINDS, Study
from proofs import neighbours
from proofs.keys import neighbours as proof
from proofs.neighbour_forms import FORMS, TOGETHER, study

PAIRS = 120


def test_every_kind_of_analysis_has_neighbouring_patients() -> None:
    # a new kind of analysis writes its forms down in proofs/neighbour_forms.py
    assert proof.without_forms(KINDS) == []
    assert all(forms for forms in FORMS.values())
    with pytest.raises(LookupError, match="no neighbouring patients"):
        study("palmistry", 0)


@pytest.mark.parametrize("kind", [*(kind for kind in KINDS if kind not in proof.ELSEWHERE), TOGETHER])
def test_no_patient_moves_a_release_by_more_than_is_charged(kind: str) -> None:
    for form in range(forms := proof.forms_of(kind)):
        pairs = PAIRS // (4 if kind == TOGETHER else forms)  # that one asks every kind at once
        for row in proof.compared(kind, form, pairs=pairs)["rows"]:
            assert (row["over"], row["failed"]) == (0, 0), row["first"]
            assert 0 < row["largest"] <= 1


@dataclass(frozen=True, slots=True)
class Twice(PlannedRelease):
    """A release that counts some patients twice: those of the first group's first cell."""

    def contribution(
        self, cohort: Cohort, public: bytes = b"", learner: Learner | None = None
    ) -> NDArray[np.int64]:
        total = PlannedRelease.contribution(self, cohort, public)
        total[0] *= 2
        return total


def planned(asked: Study) -> PlannedRelease:
    return plan_on(asked, thresholds(5), "0" * 64).releases[0]


def test_a_patient_who_counts_twice_is_caught() -> None:
    asked = study("proportion", 1)
    release = planned(asked)
    wrong = Twice(release.label, release.parts, release.blocks, release.scales, release.exact)
    found = neighbours.compare(asked, wrong, 400, 1)
    assert found.over > 0
    assert found.largest == pytest.approx(4.0)
    assert "of its bound" in found.first


def test_a_bound_that_is_one_unit_too_small_is_caught() -> None:
    asked = study("proportion", 0)
    release = planned(asked)
    (gamma,) = release.scales.gammas
    short = replace(release.scales, gammas=(gamma,), patient_bound_squared=int(gamma) ** 2 - 1)
    assert neighbours.compare(asked, replace(release, scales=short), 50, 1).over > 0


def test_a_row_that_raises_or_warns_is_counted_as_a_failure() -> None:
    class Raises(Twice):
        def contribution(
            self, cohort: Cohort, public: bytes = b"", learner: Learner | None = None
        ) -> NDArray[np.int64]:
            warnings.warn("overflow", RuntimeWarning, stacklevel=1)
            return PlannedRelease.contribution(self, cohort, public)

    asked = study("proportion", 0)
    release = planned(asked)
    wrong = Raises(release.label, release.parts, release.blocks, release.scales, release.exact)
    found = neighbours.compare(asked, wrong, 5, 1)
    assert (found.failed, found.over) == (5, 0)
    assert "overflow" in found.first


def test_rows_are_drawn_for_everything_that_is_measured_and_some_are_hostile() -> None:
    asked = study(TOGETHER, 0)
    rng = np.random.default_rng(1)
    cohort = neighbours.draw(asked, rng, np.ones(500, dtype=bool))
    assert set(cohort.categories) | set(cohort.numbers) == set(asked.variables)
    assert set(cohort.binary) | set(cohort.survival) == set(asked.endpoints)
    for values in (*cohort.numbers.values(), *(o.exit for o in cohort.survival.values())):
        assert np.isnan(values).any()
        assert np.isinf(values).any()
    for name, outcome in cohort.survival.items():
        edges = asked.measured.time_to_event(name).edges
        assert np.isin(outcome.exit, edges).any()
    less = neighbours.rows(cohort, np.delete(np.arange(500), 3))
    assert less.patients == 499
    np.testing.assert_array_equal(less.categories["sex"], np.delete(cohort.categories["sex"], 3))


def test_squared_lengths_are_exact_where_an_int64_would_overflow() -> None:
    assert neighbours.squared(np.array([3, 0, -4])) == 25
    assert neighbours.squared(np.array([2**40, -(2**40), 1])) == 2**81 + 1
    assert neighbours.squared(np.array([-(2**63)])) == 2**126
    assert neighbours.squared(np.zeros(0, dtype=np.int64)) == 0


def test_the_release_of_all_kinds_has_blocks_of_different_scales() -> None:
    release = planned(study(TOGETHER, 0))
    assert len(release.parts) == len(FORMS) + 1  # and the diagnostics
    assert len(release.blocks) >= len(FORMS)
    assert len(set(release.scales.gammas)) > 1
    assert release.scales.patient_bound_squared == sum(
        int(Fraction(gamma**2 * block.bound_squared))
        for block, gamma in zip(release.blocks, release.scales.gammas, strict=True)
    )
