"""Public groups: every patient in exactly one, whatever the row holds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.groups import Groups
from tests.agreement import study

TWO = Groups(("egfr", "sex"), (("mutated", "wild type", "not tested"), ("female", "male")))


def test_without_variables_there_is_one_group_of_everybody() -> None:
    assert Groups((), ()).names == ("all",)
    assert Groups((), ()).index(Cohort(3)).tolist() == [0, 0, 0]


def test_groups_are_every_combination_in_the_order_of_the_levels_and_then_the_unknown() -> None:
    assert TWO.names == (
        "egfr=mutated, sex=female", "egfr=mutated, sex=male",
        "egfr=wild type, sex=female", "egfr=wild type, sex=male",
        "egfr=not tested, sex=female", "egfr=not tested, sex=male",
        "unknown",
    )  # fmt: skip
    pairs = list(itertools.product(range(3), range(2)))
    cohort = Cohort(6, {"egfr": np.array([a for a, _ in pairs]), "sex": np.array([b for _, b in pairs])})
    assert TWO.index(cohort).tolist() == [0, 1, 2, 3, 4, 5]


@settings(deadline=None)
@given(rows=st.lists(st.tuples(st.integers(-(2**40), 2**40) | st.integers(-1, 3),
                               st.integers(-(2**40), 2**40) | st.integers(-1, 2)), max_size=20))  # fmt: skip
def test_whatever_a_row_holds_it_is_in_the_group_of_its_levels_or_unknown(
    rows: list[tuple[int, int]],
) -> None:
    columns = np.array(rows, dtype=np.int64).reshape(len(rows), 2)
    found = TWO.index(Cohort(len(rows), {"egfr": columns[:, 0], "sex": columns[:, 1]}))
    for (egfr, sex), group in zip(rows, found, strict=True):
        public = 0 <= egfr < 3 and 0 <= sex < 2
        assert group == (2 * egfr + sex if public else 6)


@pytest.mark.parametrize("there", [{}, {"sex": np.array([0, 1])}])
def test_a_variable_that_a_site_lacks_makes_its_patients_unknown(there: dict[str, np.ndarray]) -> None:
    assert TWO.index(Cohort(2, there)).tolist() == [6, 6]


def test_the_groups_of_a_study_have_its_levels() -> None:
    variables = study().variables
    assert Groups.of(("egfr", "sex"), variables) == TWO
    assert Groups.of((), variables) == Groups((), ())
