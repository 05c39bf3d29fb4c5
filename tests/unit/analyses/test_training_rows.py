"""Who counts in a training, and how numbers are scaled: by hand, and whatever the rows hold."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvalue.analyses.analysis import NoisyBlock
from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.training_rows import FEWEST, Scaled, Target, moments, scaled_of
from fedvalue.study.architectures import Inputs, Numeric

NAN, INF = float("nan"), float("inf")
AGE = Inputs((Numeric("age", (20.0, 100.0), flagged=False),), (), ())


def months() -> KaplanMeierByGroup:
    """Three intervals of thirty days."""
    return KaplanMeierByGroup("os", Groups((), ()), (0.0, 30.0, 60.0, 90.0), True)


def released(**blocks: list[float]) -> Mapping[str, NoisyBlock]:
    return {
        name: NoisyBlock(np.array(values, dtype=np.int64), Fraction(1), 0.0)
        for name, values in blocks.items()
    }


def test_a_missing_binary_outcome_counts_as_failure_or_not_at_all() -> None:
    cohort = Cohort(4, binary={"back": BinaryOutcome(np.array([1, 0, -1, 7]))})
    strict, lenient = Target("back", "binary"), Target("back", "binary", missing_fails=True)
    assert strict.values(cohort).tolist() == [1, 0, -1, -1]
    assert strict.known(cohort).tolist() == [True, True, False, False]
    assert lenient.values(cohort).tolist() == [1, 0, 0, 0]
    assert lenient.known(cohort).all()


def test_an_outcome_that_a_hospital_does_not_have_is_missing_for_everybody() -> None:
    cohort = Cohort(2)
    for target in (Target("y", "binary"), Target("y", "number"), Target("y", "time", curves=months())):
        assert not target.known(cohort).any()


def test_a_number_is_known_if_it_is_finite_also_below_nothing() -> None:
    cohort = Cohort(4, numbers={"cost": np.array([-5.0, 0.0, NAN, INF])})
    assert Target("cost", "number").known(cohort).tolist() == [True, True, False, False]


def test_intervals_of_a_time_by_hand() -> None:
    # an event on day 45 falls into the second interval; whoever leaves on day 45 without it was seen through
    # the first only; on day 60, the end of the second, through both; before day 30 through none; after the
    # horizon through all three; a time that is not known counts nowhere
    exits, events = [45.0, 45.0, 60.0, 10.0, 400.0, NAN], [1, 0, 0, 0, 0, 1]
    outcome = SurvivalOutcome(np.zeros(6), np.array(exits), np.array(events))
    target = Target("os", "time", curves=months())
    first, last, happened = target.intervals(Cohort(6, survival={"os": outcome}))
    assert last.tolist() == [1, 0, 1, -1, 2, -1]
    assert happened.tolist() == [1, 0, 0, -1, 0, -1]
    assert first[last >= 0].tolist() == [0, 0, 0, 0]
    assert target.known(Cohort(6, survival={"os": outcome})).tolist() == [
        True,
        True,
        True,
        False,
        True,
        False,
    ]


def test_rows_of_the_moments_by_hand() -> None:
    ages = np.array([60.0, 100.0, 500.0, NAN, 20.0])
    known = np.array([True, True, True, True, False])
    found = moments(AGE, Cohort(5, numbers={"age": ages}), slice(0, 5), known)
    # 60 is the middle of the clip; 100 and what is beyond are 1; unknown, or without an outcome: nothing
    assert found.tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0]]


@given(st.lists(st.floats(), min_size=1, max_size=20))
def test_no_row_is_longer_than_its_bound_whatever_it_holds(ages: list[float]) -> None:
    cohort = Cohort(len(ages), numbers={"age": np.array(ages)})
    found = moments(AGE, cohort, slice(0, len(ages)), np.ones(len(ages), dtype=bool))
    assert (np.square(found).sum(axis=1) <= 3.0).all()


def test_a_feature_that_a_hospital_does_not_have_gives_rows_of_nothing() -> None:
    assert not moments(AGE, Cohort(3), slice(0, 3), np.ones(3, dtype=bool)).any()


def test_centers_and_spreads_by_hand() -> None:
    # 50 people whose x adds up to 10 and x squared to 20: mean 0.2, variance 0.4 - 0.04 = 0.36; the middle of
    # the clip is 60 and half of it 40: center 60 + 40 x 0.2 = 68, spread 40 x 0.6 = 24
    assert scaled_of(AGE, released(moments=[50, 10, 20], counts=[50, 0])) == Scaled((68.0,), (24.0,))


@pytest.mark.parametrize("sums", [[FEWEST - 1, 3, 3], [0, 0, 0], [-4, 9, 9]])
def test_with_too_few_values_a_feature_is_scaled_by_its_public_clip(sums: list[float]) -> None:
    assert scaled_of(AGE, released(moments=sums, counts=[50, 0])) == Scaled((60.0,), (40.0,))
    assert scaled_of(AGE, None) == Scaled((60.0,), (40.0,))


@given(st.tuples(*[st.integers(-(10**9), 10**9)] * 3))
def test_whatever_noise_does_centers_stay_in_the_clip_and_spreads_above_nothing(
    sums: tuple[int, ...],
) -> None:
    found = scaled_of(AGE, released(moments=[float(s) for s in sums], counts=[50, 0]))
    assert 20.0 <= found.centers[0] <= 100.0
    assert 0.0 < found.spreads[0] <= 40.0
