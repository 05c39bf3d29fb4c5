"""Numbers that a coordinator chooses, as large as they are allowed, against the bound of one patient.

Every analysis sums rows that are clipped one by one, so public numbers change what is asked and never how
far a patient reaches; but only if no patient's row depends on who stands beside it, to the last bit. A
matrix product rounds by position: with coefficients near 1e15 that cancel, the absence of one patient moved
the predictors of others by .25 and more, and the sum by more than the bound.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Ask
from fedvalue.analyses.cohort import BinaryOutcome, Cohort
from fedvalue.analyses.design import Covariate, Design
from fedvalue.analyses.families import Family, Gamma, Logistic, Poisson, predictor
from fedvalue.analyses.outcome import Outcome
from fedvalue.analyses.regression import ModelPart, RegressionModel
from fedvalue.planning.plan import MOST_PUBLIC

COLUMNS = 20
PATIENTS = 101
FAMILIES: tuple[tuple[Family, Outcome], ...] = (
    (Logistic(), Outcome("response", None)),
    (Poisson(cap=20.0, largest_pearson=10.0), Outcome("visits", (0.0, 20.0))),
    (Gamma(cap=1e5, largest=5.0), Outcome("cost", (0.0, 1e5))),
)


def cancelling(rng: np.random.Generator, row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients as large as any may be, whose predictor of one row is nothing but rounding."""
    found = rng.uniform(-1.0, 1.0, len(row)) * MOST_PUBLIC / len(row)
    found[0] = -float(row[1:] @ found[1:]) / row[0]
    return found


def patients(rng: np.random.Generator) -> Cohort:
    """Rows at the corners of the clip, where they are longest."""
    return Cohort(
        PATIENTS,
        numbers={f"x{i}": rng.choice([-1.0, 1.0, 0.3], PATIENTS) for i in range(COLUMNS)}
        | {"visits": rng.poisson(3.0, PATIENTS) * 1.0, "cost": rng.gamma(2.0, 900.0, PATIENTS)},
        binary={"response": BinaryOutcome(rng.integers(0, 2, PATIENTS))},
    )


def some(cohort: Cohort, keep: NDArray[np.int64]) -> Cohort:
    return Cohort(
        len(keep),
        numbers={name: values[keep] for name, values in cohort.numbers.items()},
        binary={name: BinaryOutcome(values.status[keep]) for name, values in cohort.binary.items()},
    )


@pytest.mark.parametrize("columns", [1, 2, 3, 7, 8, 9, 16, 31, 64])
def test_a_predictor_does_not_depend_on_who_stands_beside_a_row(columns: int) -> None:
    rng = np.random.default_rng(columns)
    for _ in range(20):
        rows = rng.choice([-1.0, 1.0, 0.3], (int(rng.integers(2, 90)), columns))
        b = cancelling(rng, rows[-1])
        whole = predictor(rows, b)
        for start in (1, 2, 3, len(rows) // 2, len(rows) - 1):
            np.testing.assert_array_equal(whole[start:], predictor(rows[start:], b))
        np.testing.assert_array_equal(whole, predictor(np.asfortranarray(rows), b))


@pytest.mark.parametrize(
    ("family", "outcome"), FAMILIES, ids=lambda given: str(getattr(given, "name", given))
)
def test_coefficients_that_cancel_do_not_let_one_patient_move_another(
    family: Family, outcome: Outcome
) -> None:
    rng = np.random.default_rng(1)
    covariates = tuple(Covariate(f"x{i}", (-1.0, 1.0)) for i in range(COLUMNS))
    model = RegressionModel(outcome, Design(covariates), (ModelPart("", family),))
    gamma = Fraction(2**20)
    for ask in model.rounds()[1:3]:
        scaling = {block.name: gamma for block in ask.blocks}
        cohort = patients(rng)
        last = np.array([1.0] + [cohort.numbers[f"x{i}"][-1] for i in range(COLUMNS)])
        asked: Ask = ask.given(cancelling(rng, last).tolist())
        everybody = model.contribution(cohort, asked, scaling)
        alone = [model.contribution(some(cohort, np.array([i])), asked, scaling) for i in range(PATIENTS)]
        for block in ask.blocks:
            rows = np.array([one[block.name] for one in alone], dtype=object)
            np.testing.assert_array_equal(everybody[block.name], rows.sum(axis=0).astype(np.int64))
            lengths = (rows**2).sum(axis=1)
            assert max(lengths) <= gamma**2 * block.bound_squared
