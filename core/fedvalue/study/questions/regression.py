"""``kind = "regression"``: how an outcome goes with several variables at once."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from fedvalue.study.endpoints import Binary
from fedvalue.study.model import Name
from fedvalue.study.questions.question import Measured, Question

Family = Literal["linear", "logistic", "poisson", "gamma", "two_part"]

COUNTED = frozenset(
    {"count", "counts", "visits", "tests", "admissions", "stays", "events", "procedures", "prescriptions"}
)
"""Units of numeric variables that count things; the rule then chooses a Poisson model."""

MAX_COLUMNS = 60
"""Most columns of one model: past it the noise of the curvature drowns the answer at any budget."""

_CURRENCY = re.compile(r"[A-Z]{3}")

_MODELS = {
    "linear": "a linear model",
    "logistic": "a logistic model",
    "poisson": "a Poisson model (log link)",
    "gamma": "a Gamma model (log link)",
    "two_part": "a two-part cost model (logistic for any, Gamma for the amount)",
}


class Regression(Question):
    """A regression of one outcome on several variables.

    Attributes:
      outcome: A binary endpoint or a numeric variable.
      covariates: Variables of the model; those with levels are compared with their first level.
      family: The model. Left out, a rule on public facts chooses: `chosen`.
      answer: ``coefficients`` for a table with intervals (several releases), ``prediction`` for a score from
        one release.
      row_bound: Longest row of the model matrix, with an intercept of 1 and every numeric variable between -1
        and 1 over its clip: longer rows count with less weight. Left out, every row counts fully.
      largest_ratio: Gamma and two_part: an amount above ``1 + largest_ratio`` times its prediction counts as
        that. Poisson: so many times the clip is the largest squared Pearson residual that counts.
    """

    kind: Literal["regression"]
    outcome: Name
    covariates: tuple[Name, ...] = Field(strict=False, min_length=1, max_length=MAX_COLUMNS)
    family: Family | None = None
    answer: Literal["coefficients", "prediction"] = "coefficients"
    row_bound: float | None = Field(default=None, ge=1, le=10)
    largest_ratio: float = Field(default=10.0, ge=1, le=1000)

    def chosen(self, measured: Measured) -> Family:
        """Return the model: as stated, or by rule.

        A binary endpoint gets a logistic model; money (an ISO 4217 unit) a two-part model where its clip
        starts at 0 and a Gamma model above; a count (its unit is one of `COUNTED`) a Poisson model; any other
        number a linear one.

        Raises:
          ValueError: ``outcome`` is neither, or the stated model does not fit it.
        """
        if isinstance(measured.endpoints.get(self.outcome), Binary):
            if self.family not in (None, "logistic"):
                raise ValueError(f"family = {self.family!r} does not fit a binary outcome; use logistic")
            return "logistic"
        if self.outcome in measured.endpoints:
            raise ValueError(f"outcome = {self.outcome!r} is a time; use kind = 'cox'")
        low, _ = measured.number(self.outcome, "outcome")
        unit = measured.variables[self.outcome].unit or ""
        if self.family is not None:
            if self.family == "logistic":
                raise ValueError("family = 'logistic' needs a binary endpoint as outcome")
            if self.family != "linear" and low < 0:
                raise ValueError(f"family = {self.family!r} needs an outcome whose clip starts at 0 or above")
            return self.family
        if _CURRENCY.fullmatch(unit) and low >= 0:
            return "two_part" if low == 0 else "gamma"
        return "poisson" if unit in COUNTED and low >= 0 else "linear"

    def require_fits(self, measured: Measured) -> None:
        """Check outcome, model and covariates."""
        require_covariates(self.covariates, measured)
        if self.outcome in self.covariates:
            raise ValueError(f"covariates hold the outcome {self.outcome!r}")
        if self.chosen(measured) == "two_part" and self.answer == "prediction":
            raise ValueError("answer = 'prediction' takes one model; state family = 'gamma' or 'linear'")

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        family = self.chosen(measured)
        why = "as the study states" if self.family is not None else "chosen by rule from the kind of outcome"
        what = (
            "coefficients with intervals"
            if self.answer == "coefficients"
            else "a score for prediction, without intervals"
        )
        return (
            f"How {self.outcome} goes with {', '.join(self.covariates)} together: {_MODELS[family]}, {why}; "
            f"{what}; patients with an unknown value are left out"
        )


def require_covariates(covariates: tuple[str, ...], measured: Measured) -> None:
    """Check the variables of a model.

    Raises:
      ValueError: one is none or stands there twice, or together they make more than `MAX_COLUMNS` columns.
    """
    if len(set(covariates)) != len(covariates):
        raise ValueError("covariates name a variable twice")
    columns = 1
    for name in covariates:
        if name not in measured.variables:
            raise ValueError(f"covariates: {name!r} is no variable; there are {sorted(measured.variables)}")
        variable = measured.variables[name]
        columns += len(variable.levels) - 1 if variable.categorical else 1
        if variable.categorical and len(variable.levels) < 2:
            raise ValueError(f"covariates: {name!r} has one level only")
    if columns > MAX_COLUMNS:
        raise ValueError(f"covariates make {columns} columns; at most {MAX_COLUMNS} are allowed")
