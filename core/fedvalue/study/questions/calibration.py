"""``kind = "calibration"``: whether predicted risks come true, rank patients, and are worth acting on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from fedvalue.study.model import Name
from fedvalue.study.questions.question import Measured, Question, groups_in_words

INTERCEPT = "intercept"


class Calibration(Question):
    """Calibration by bin of predicted risk, the area under the ROC curve and the decision curve, by group.

    Attributes:
      outcome: A binary endpoint.
      score: A numeric variable between 0 and 1: each patient's predicted probability. Or:
      coefficients: Of a published logistic model, by term: ``intercept``, numeric variables, and levels
        written ``variable=level``; the levels that are not named have 0.
      by: Variables with levels, such as protected attributes: each group is assessed by itself.
      bins: Bins of predicted risk of one width; thresholds of the decision curve are their edges.
    """

    kind: Literal["calibration"]
    outcome: Name
    score: Name | None = None
    coefficients: dict[str, float] | None = Field(default=None, min_length=1, max_length=100)
    by: tuple[Name, ...] = Field(default=(), strict=False)
    bins: int = Field(default=10, ge=2, le=50)

    @model_validator(mode="after")
    def _one_prediction(self) -> Self:
        if (self.score is None) == (self.coefficients is None):
            raise ValueError("give score or coefficients, one of them")
        return self

    def require_fits(self, measured: Measured) -> None:
        """Check outcome, prediction and groups."""
        measured.binary(self.outcome, "outcome")
        measured.require_groups(self.by)
        if self.score is not None:
            require_score(self.score, measured)
        require_coefficients(self.coefficients or {}, measured)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        del measured
        source = f"the score {self.score}" if self.score else "a published model"
        return (
            f"Whether the risk of {self.outcome} predicted by {source} comes true in {self.bins} bins, how "
            f"well it ranks patients, and what acting on it brings{groups_in_words(self.by)}"
        )


def require_score(score: str, measured: Measured) -> None:
    """Check a variable that holds a predicted probability.

    Raises:
      ValueError: it is no number, or its clip leaves [0, 1].
    """
    low, high = measured.number(score, "score")
    if low < 0 or high > 1:
        raise ValueError(f"score = {score!r} has the clip [{low:g}, {high:g}]; it lies in [0, 1]")


def require_coefficients(coefficients: Mapping[str, float], measured: Measured) -> None:
    """Check the terms of a published model.

    Raises:
      ValueError: one names no numeric variable and no level.
    """
    for term in coefficients:
        name, _, level = term.partition("=")
        if term == INTERCEPT:
            continue
        if not level:
            measured.number(name, "coefficients")
        elif level not in measured.levels(name, "coefficients"):
            raise ValueError(f"coefficients: {name} has no level {level!r}")
