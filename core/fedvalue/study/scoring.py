"""A trained model as public numbers in a study file: which columns it reads, its layers, what comes out.

Every allowed architecture is, at prediction, a stack of dense layers over a row of numbers: an embedding of a
coded column is a dense layer over its levels. So one form holds them all, an officer who approves the study
approves exactly these numbers, and a site needs nothing but arithmetic to score its rows.
"""

from __future__ import annotations

import hashlib
import math
import operator
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, Self

import numpy as np
import rfc8785
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fedvalue.study.cohort import Variable
from fedvalue.study.model import Level, Name, Part

Array = NDArray[np.float64]
Layer = tuple[Array, Array]
"""Weights, shape ``(out, in)``, and biases, shape ``(out,)``."""

Activation = Literal["relu", "tanh", "silu"]
Link = Literal["logistic", "hazard", "hazard_cloglog", "identity", "log"]

MAX_COLUMNS = 500
MAX_WIDTH = 512
MAX_NUMBERS = 60_000
"""Most numbers of a model: as text they fit a study file."""


def _absent(value: object) -> bool:
    return value is None


class Column(Part):
    """One number of a model's row.

    Attributes:
      variable: The study's variable.
      level: 1 where the variable has this level, else 0. Or:
      unknown: 1 where the value is not known, else 0. Or:
      unseen: 1 where nobody looked, at this variable or at any of ``also``: not tested or not known. Or none
        of these, for a numeric variable: its value, clipped to the public range, less ``center``, over
        ``scale``; 0 where it is not known.
      also: Further variables of the same gene.
      center: Of a number, in its unit.
      scale: Of a number, above 0.
    """

    variable: Name
    level: Level | None = None
    unknown: bool = False
    unseen: bool = Field(default=False, exclude_if=operator.not_)
    also: tuple[Name, ...] = Field(default=(), strict=False, exclude_if=operator.not_)
    center: float = 0.0
    scale: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        told = (self.center, self.scale) != (0.0, 1.0)
        if (self.level is not None) + self.unknown + self.unseen + told > 1:
            raise ValueError("a column is a level, an unknown, an unseen or a number with center and scale")
        if self.also and not self.unseen:
            raise ValueError("also goes with unseen")
        return self

    @property
    def name(self) -> str:
        """``age``, ``egfr=mutated``, ``age unknown`` or ``egfr not looked at``."""
        if self.unseen:
            return f"{' '.join((self.variable, *self.also))} not looked at"
        if self.unknown:
            return f"{self.variable} unknown"
        return self.variable if self.level is None else f"{self.variable}={self.level}"


class ScoringModel(Part):
    """A stack of dense layers over columns.

    Attributes:
      columns: What a row holds, in order.
      hidden: Widths of the hidden layers; empty for a linear model.
      activation: After each hidden layer.
      skip: Whether the last layer also takes the columns themselves, behind what the hidden layers give.
      reach: A scaled number counts from minus this to this; 0 for as far as its clip goes.
      outputs: Numbers that come out: 1, or the intervals of a survival model.
      link: ``logistic``: the probability is the logistic function of the one output. ``hazard``: the logistic
        function of each output is the probability of the event in an interval with none before it, and
        the predicted probability is that of an event in any of them. ``hazard_cloglog``: the same with
        ``1 - exp(-exp(output))``. ``identity``, ``log``: the output, or e to its power, is an amount.
      amounts: Range that predicted amounts are moved into, for ``identity`` and ``log``.
      numbers: Layer after layer, weights row by row, then biases: base64 of little-endian float64.
    """

    columns: tuple[Column, ...] = Field(strict=False, min_length=1, max_length=MAX_COLUMNS)
    hidden: tuple[int, ...] = Field(default=(), strict=False, max_length=6)
    activation: Activation = "relu"
    skip: bool = Field(default=False, exclude_if=operator.not_)
    reach: float = Field(default=0.0, ge=0)
    outputs: int = Field(default=1, ge=1, le=200)
    link: Link = "logistic"
    amounts: tuple[float, float] | None = Field(default=None, strict=False, exclude_if=_absent)
    numbers: str = Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=11 * MAX_NUMBERS)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if any(not 1 <= width <= MAX_WIDTH for width in self.hidden):
            raise ValueError(f"a hidden layer is 1 to {MAX_WIDTH} wide")
        if self.amounts is not None and (self.predicts_probability or not self.amounts[0] < self.amounts[1]):
            raise ValueError("amounts are [lowest, highest], for a model that predicts an amount")
        if not self.timed and self.outputs != 1:
            raise ValueError(f"link = {self.link!r} has one output")
        if self.skip and not self.hidden:
            raise ValueError("skip goes past hidden layers")
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError("a column stands there twice")
        try:
            raw = b64decode(self.numbers, validate=True)
        except (Base64Error, ValueError):
            raise ValueError("numbers are base64 of little-endian float64") from None
        wanted = sum(rows * (columns + 1) for rows, columns in self._shapes)
        if len(raw) != 8 * wanted:
            raise ValueError(f"numbers hold {len(raw) / 8:g} numbers, these layers have {wanted}")
        if b64encode(raw).decode() != self.numbers or not np.isfinite(np.frombuffer(raw, "<f8")).all():
            raise ValueError("numbers are finite, and have one spelling")
        return self

    @property
    def _shapes(self) -> tuple[tuple[int, int], ...]:
        *inner, last = pairwise((len(self.columns), *self.hidden, self.outputs))
        wide = last[0] + (len(self.columns) if self.skip else 0)
        return (*((after, before) for before, after in inner), (last[1], wide))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, first to last."""
        values = np.frombuffer(b64decode(self.numbers), "<f8").astype(np.float64)
        found, at = [], 0
        for rows, columns in self._shapes:
            weights = values[at : at + rows * columns].reshape(rows, columns)
            at += rows * columns
            found.append((weights, values[at : at + rows]))
            at += rows
        return tuple(found)

    @property
    def timed(self) -> bool:
        """True where each output is the hazard of an interval."""
        return self.link.startswith("hazard")

    @property
    def predicts_probability(self) -> bool:
        """True where what comes out is a probability."""
        return self.timed or self.link == "logistic"

    @property
    def linear(self) -> bool:
        """True where the model is coefficients: one layer, one output."""
        return not self.hidden and self.outputs == 1

    @property
    def coefficients(self) -> dict[str, float]:
        """Of a linear model: ``intercept``, then one number a column, on the column's own scale.

        Raises:
          ValueError: the model is not linear.
        """
        if not self.linear:
            raise ValueError("only a linear model has coefficients")
        ((weights, biases),) = self.layers
        named = {column.name: float(w) for column, w in zip(self.columns, weights[0], strict=True)}
        return {"intercept": float(biases[0]), **named}

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, 64 hexadecimal digits."""
        return hashlib.sha256(rfc8785.dumps(self.model_dump(mode="json"))).hexdigest()

    @property
    def variables(self) -> tuple[str, ...]:
        """Variables that are read, in the order of the columns."""
        return tuple(dict.fromkeys(v for column in self.columns for v in (column.variable, *column.also)))

    def require_reads(self, known: dict[str, Variable]) -> None:
        """Check the columns against a study's variables.

        Raises:
          ValueError: a variable that is not there, or a level that it has not.
        """
        for column in self.columns:
            for name in (column.variable, *column.also):
                if name not in known:
                    raise ValueError(f"model: {name!r} is no variable; there are {sorted(known)}")
                if column.unseen and not known[name].levels:
                    raise ValueError(f"model: {name} has no levels, so nobody looks at it")
            variable = known[column.variable]
            if column.level is not None and column.level not in variable.levels:
                raise ValueError(f"model: {column.variable} has no level {column.level!r}")
            if column.level is None and not (column.unknown or column.unseen) and variable.clip is None:
                raise ValueError(f"model: {column.variable} is no number; name its level, or unknown")


def packed(layers: Sequence[Layer], *, skip: bool = False) -> str:
    """Return the `ScoringModel.numbers` of some layers.

    Args:
      layers: Weights, shape ``(out, in)``, and biases, shape ``(out,)``, first to last.
      skip: As in `ScoringModel`.

    Raises:
      ValueError: a number is not finite, or two layers do not fit.
    """
    given = [len(biases) for _, biases in layers[:-1]]
    if skip and given:
        given[-1] += layers[0][0].shape[1]
    if [weights.shape[1] for weights, _ in layers[1:]] != given:
        raise ValueError("a layer takes as many numbers as the one before it gives")
    parts = [part for weights, biases in layers for part in (np.ravel(weights), np.ravel(biases))]
    values = np.concatenate(parts).astype("<f8")
    if not np.isfinite(values).all():
        raise ValueError("a number of the model is not finite")
    if math.prod(values.shape) > MAX_NUMBERS:
        raise ValueError(f"the model has more than {MAX_NUMBERS} numbers")
    return b64encode(values.tobytes()).decode()
