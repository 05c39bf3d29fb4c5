"""Score rows with a model of public numbers: dense layers in numpy, float64, nothing else installed.

Rows do not see each other, down to the last bit. A value that is not known is 0 in its own column and 1 in
the column that says so; a site that lacks a whole block of variables therefore scores its patients with the
block unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fedvalue.analyses.cohort import Cohort
from fedvalue.study.cohort import NOT_TESTED, Variable
from fedvalue.study.scoring import Activation, Column, Layer, Link, ScoringModel

Array = NDArray[np.float64]
ROWS = 8_192
"""Patients that are scored at a time."""


class Prediction(Protocol):
    """What predicts; a score in the records, published coefficients, or a network."""

    @property
    def name(self) -> str:
        """Short name."""

    def values(self, cohort: Cohort) -> Array:
        """Return what is predicted for each patient, NaN where it is unknown, shape ``(n,)``."""


@dataclass(frozen=True, slots=True)
class Field:
    """What is public about one variable of a model.

    Attributes:
      clip: Public range of a numeric variable.
      levels: Levels of the other kind.
    """

    clip: tuple[float, float] | None
    levels: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A scoring model and what is public about the variables it reads.

    Attributes:
      columns: Of a row.
      layers: First to last.
      activation: As in `ScoringModel`.
      skip: As in `ScoringModel`.
      link: As in `ScoringModel`.
      reach: As in `ScoringModel`.
      amounts: As in `ScoringModel`.
      fields: By variable.
      digest: Eight hexadecimal digits that tell it from another model.
    """

    columns: tuple[Column, ...]
    layers: tuple[Layer, ...]
    activation: Activation
    skip: bool
    link: Link
    reach: float
    amounts: tuple[float, float] | None
    fields: Mapping[str, Field]
    digest: str

    @classmethod
    def of(cls, model: ScoringModel, variables: Mapping[str, Variable]) -> Network:
        """Return the network of a study's model.

        Args:
          model: Its public numbers.
          variables: Of the study; the model's are among them.
        """
        fields = {
            name: Field(variables[name].clip, tuple(variables[name].levels)) for name in model.variables
        }
        return cls(
            model.columns, model.layers, model.activation, model.skip, model.link, model.reach,
            model.amounts, fields, model.digest[:8],
        )  # fmt: skip

    @property
    def name(self) -> str:
        """Short name."""
        return f"model-{self.digest}"

    def rows(self, cohort: Cohort) -> Array:
        """Return the columns of every patient, shape ``(n, k)``."""
        return np.column_stack([self._column(column, cohort) for column in self.columns])

    def outputs(self, rows: Array) -> Array:
        """Return what comes out of the last layer, shape ``(n, outputs)``.

        Args:
          rows: Columns, shape ``(n, k)``.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            flowing = rows
            for layer in self.layers[:-1]:
                flowing = _ACTIVATIONS[self.activation](_through(layer, flowing))
            return _through(self.layers[-1], np.hstack([flowing, rows]) if self.skip else flowing)

    def values(self, cohort: Cohort) -> Array:
        """Return what is predicted for each patient, NaN where arithmetic has no answer, shape ``(n,)``."""
        rows = self.rows(cohort)
        parts = [
            predicted(self.outputs(rows[start : start + ROWS]), self.link)
            for start in range(0, cohort.patients, ROWS)
        ]
        found = np.concatenate([np.zeros(0), *parts])
        if self.amounts is not None:
            found = np.clip(found, *self.amounts)
        return np.where(np.isfinite(found), found, np.nan)

    def _column(self, column: Column, cohort: Cohort) -> Array:
        if column.unseen:
            names = (column.variable, *column.also)
            return _flag(np.all([~self._seen(name, cohort) for name in names], axis=0))
        field = self.fields[column.variable]
        if field.clip is not None:
            values = cohort.numbers.get(column.variable, np.full(cohort.patients, np.nan))
            known = np.isfinite(values)
            if column.unknown:
                return _flag(~known)
            far = self.reach or np.inf
            inside = np.clip(np.where(known, values, column.center), *field.clip)
            scaled = np.clip((inside - column.center) / column.scale, -far, far)
            return np.asarray(np.where(known, scaled, 0.0), dtype=np.float64)
        code = cohort.categories.get(column.variable, np.full(cohort.patients, -1))
        known = (code >= 0) & (code < len(field.levels))
        if column.unknown:
            return _flag(~known)
        return _flag(code == field.levels.index(column.level or ""))

    def _seen(self, name: str, cohort: Cohort) -> NDArray[np.bool_]:
        """Tell whose variable was looked at."""
        levels = self.fields[name].levels
        code = cohort.categories.get(name, np.full(cohort.patients, -1))
        tested = [i for i, level in enumerate(levels) if level != NOT_TESTED]
        return np.isin(code, tested)


def _flag(where: NDArray[np.bool_]) -> Array:
    return where.astype(np.float64)


def _through(layer: Layer, rows: Array) -> Array:
    """Apply a layer, one input column after the other.

    A matrix product may add in another order for another number of rows, and then a patient who is removed
    would move the last bit of others; these sums are the same for a row whoever stands beside it.
    """
    weights, biases = layer
    found = np.tile(biases, (len(rows), 1))
    for i in range(rows.shape[1]):
        found += rows[:, i, None] * weights[:, i]
    return found


def _silu(x: Array) -> Array:
    return np.asarray(x * special.expit(x), dtype=np.float64)


def _tanh(x: Array) -> Array:
    return np.asarray(np.tanh(x), dtype=np.float64)


def _relu(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0.0), dtype=np.float64)


_ACTIVATIONS: Mapping[Activation, Callable[[Array], Array]] = {
    "relu": _relu, "tanh": _tanh, "silu": _silu,
}  # fmt: skip


def predicted(outputs: Array, link: Link) -> Array:
    """Return what is predicted, shape ``(n,)``: a probability, or an amount.

    Args:
      outputs: Of the last layer, shape ``(n, outputs)``.
      link: As in `ScoringModel`. The probability of an event in any interval is ``1 - prod(1 - h)``, summed
        as logarithms.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if link == "logistic":
            return np.asarray(special.expit(outputs[:, 0]), dtype=np.float64)
        if link == "hazard":  # log(1 - expit(z)) is log_expit(-z)
            return np.asarray(-np.expm1(special.log_expit(-outputs).sum(axis=1)), dtype=np.float64)
        if link == "hazard_cloglog":
            return np.asarray(-np.expm1(-np.exp(outputs).sum(axis=1)), dtype=np.float64)
        found = np.exp(outputs[:, 0]) if link == "log" else outputs[:, 0]
        return np.asarray(found, dtype=np.float64)
