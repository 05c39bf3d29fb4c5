"""The model matrix: variables between -1 and 1, coded so that one patient's row is short.

A numeric variable runs from -1 to 1 over its public clip. A variable with L levels becomes L - 1 columns,
one for each level after the first, less 1/L: the coefficients are those against the first level, and the
squared length of a row falls from 1 to ``1 - 1/L - 1/L^2`` (1/4 for two levels). The intercept is 1.
A patient with an unknown value in any column is left out and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import Cohort
from fedvalue.study.cohort import Variable

Array = NDArray[np.float64]
INTERCEPT = "intercept"


@dataclass(frozen=True, slots=True)
class Covariate:
    """One variable of a model.

    Attributes:
      name: Of the variable.
      clip: Public range of a numeric variable, else None.
      levels: Public levels of a categorical one; the first is what the others are compared with.
    """

    name: str
    clip: tuple[float, float] | None
    levels: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns."""
        return (self.name,) if self.clip else tuple(f"{self.name}={level}" for level in self.levels[1:])

    @property
    def less(self) -> float | None:
        """What is taken from the column of a level, 1 / L; None for a number."""
        return None if self.clip else 1 / len(self.levels)

    @property
    def longest(self) -> Fraction:
        """Largest squared length of its part of a row."""
        if self.clip:
            return Fraction(1)
        count = len(self.levels)
        return 1 - Fraction(1, count) - Fraction(1, count**2)


@dataclass(frozen=True, slots=True)
class Design:
    """The columns of a model.

    Attributes:
      covariates: Its variables.
      intercept: True where the first column is 1.
      row_bound: Longest row that counts fully; None for every row.
    """

    covariates: tuple[Covariate, ...]
    intercept: bool = True
    row_bound: float | None = None

    @classmethod
    def of(
        cls, names: tuple[str, ...], variables: Mapping[str, Variable], *, intercept: bool = True,
        row_bound: float | None = None,
    ) -> Design:  # fmt: skip
        """Return the design of a study's variables ``names``."""
        found = tuple(Covariate(name, variables[name].clip, tuple(variables[name].levels)) for name in names)
        return cls(found, intercept, row_bound)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, length p."""
        columns = tuple(column for covariate in self.covariates for column in covariate.columns)
        return (INTERCEPT, *columns) if self.intercept else columns

    @property
    def longest(self) -> Fraction:
        """R^2, the largest squared length of a weighted row."""
        whole = sum((c.longest for c in self.covariates), start=Fraction(int(self.intercept)))
        return whole if self.row_bound is None else min(whole, Fraction(self.row_bound) ** 2)

    def rows(self, cohort: Cohort, part: slice) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Return model rows, their weights and who counts, for some patients.

        The weight ``min(1, R^2 / |x|^2)`` depends on the row alone, so a weighted estimating equation has the
        same solution as the unweighted one where the model holds (Mallows weights: Carroll, Pederson 1993,
        JRSS B 55, 693-706).

        Args:
          cohort: The site's rows.
          part: Which of them.

        Returns:
          Rows, shape ``(n, p)``, zeros where a patient does not count; weights in (0, 1], shape ``(n,)``; and
          who counts, shape ``(n,)``.
        """
        n = len(range(*part.indices(cohort.patients)))
        known = np.ones(n, dtype=bool)
        columns: list[Array] = [np.ones(n)] if self.intercept else []
        for covariate in self.covariates:
            if covariate.clip:
                values = cohort.numbers.get(covariate.name)
                raw = np.full(n, np.nan) if values is None else values[part]
                known &= np.isfinite(raw)
                low, high = covariate.clip
                inside = np.clip(np.where(np.isfinite(raw), raw, low), low, high)
                columns.append(np.clip((inside - low) / (high - low) * 2 - 1, -1.0, 1.0))
                continue
            count = len(covariate.levels)
            codes = cohort.categories.get(covariate.name)
            code = np.full(n, -1) if codes is None else codes[part]
            known &= (code >= 0) & (code < count)
            columns += [(code == level).astype(np.float64) - 1 / count for level in range(1, count)]
        matrix = np.column_stack(columns) if columns else np.zeros((n, 0))
        matrix[~known] = 0.0
        weights = np.ones(n)
        if self.row_bound is not None:
            squared = np.square(matrix).sum(axis=1)
            weights = np.minimum(1.0, self.row_bound**2 / np.maximum(squared, 1e-300))
        return matrix, weights, known

    def to_units(self) -> Array:
        """Return the matrix that carries coefficients to the variables' own units, shape ``(p, p)``."""
        names = self.names
        matrix = np.eye(len(names))
        at = int(self.intercept)
        for covariate in self.covariates:
            if covariate.clip:
                low, high = covariate.clip
                half = (high - low) / 2
                matrix[at, at] = 1 / half
                if self.intercept:
                    matrix[0, at] = -(low + high) / (2 * half)
                at += 1
                continue
            for _ in covariate.columns:
                if self.intercept:
                    matrix[0, at] = -1 / len(covariate.levels)
                at += 1
        return matrix


def packed_size(columns: int) -> int:
    """Return how many numbers hold a symmetric matrix of that many columns."""
    return columns * (columns + 1) // 2


@lru_cache(maxsize=64)
def _triangle(columns: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Rows, columns and factors of the upper triangle."""
    first, second = np.triu_indices(columns)
    parts = first, second, np.where(first == second, 1.0, np.sqrt(2.0))
    for part in parts:
        part.flags.writeable = False
    return parts


def packed(rows: Array, weights: Array) -> Array:
    """Return ``w x x'`` of each row as a vector, shape ``(n, p (p + 1) / 2)``.

    It is as long as the matrix: the upper triangle, off-diagonal entries times the square root of 2.
    """
    first, second, factor = _triangle(rows.shape[1])
    product: Array = rows[:, first] * rows[:, second] * (weights[:, None] * factor)
    return product


def unpacked(values: Array, columns: int) -> Array:
    """Return the symmetric matrix of a sum of `packed` rows, shape ``(p, p)``."""
    first, second, factor = _triangle(columns)
    matrix = np.zeros((columns, columns))
    matrix[first, second] = values / factor
    matrix[second, first] = matrix[first, second]
    return matrix


def noise_times(coefficients: Array, variance: float) -> Array:
    """Return the covariance of ``Z b`` where Z is `unpacked` noise of variance v a number.

    ``v / 2 (|b|^2 I + b b')``, our derivation: diagonal entries of Z have variance v, the others v/2.
    """
    squared = float(coefficients @ coefficients)
    result: Array = (
        variance / 2 * (squared * np.eye(len(coefficients)) + np.outer(coefficients, coefficients))
    )
    return result


def noise_size(columns: int, variance: float) -> float:
    """Return about how large the largest eigenvalue of `unpacked` noise is: ``sqrt(2 p v)``.

    Twice the square root of p times the standard deviation of an off-diagonal entry (Wigner 1958).
    """
    return float(np.sqrt(2.0 * columns * variance))
