"""``kind = "treatment_effect"``: what a treatment does, as a trial would have measured it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fedvalue.study.cohort import Cohort
from fedvalue.study.endpoints import Binary, TimeToEvent
from fedvalue.study.model import Duration, Line, Name, Part, duration_days, window_days
from fedvalue.study.questions.question import Measured, Question
from fedvalue.study.questions.regression import require_covariates

FEWEST_CONTROLS, MOST_CONTROLS = 20, 50
"""Negative controls: fewer say little about their spread, more take the budget."""


MOST_LEVELS = 20
"""Levels of all subgroup variables together: each costs the budget of all."""


class Grace(Part):
    """Patients have some time after day zero to start; until then they belong to both arms.

    Attributes:
      start: Numeric variable with the day on which the treatment was started, unknown for never.
      within: How long there is to start.
    """

    start: Name
    within: Duration


class Trial(Part):
    """The target trial: what a randomised trial of the same question would have laid down.

    Attributes:
      eligibility: Who could have been enrolled, in a sentence; `[cohort]` holds it in codes.
      time_zero: ``index``: eligibility, assignment and follow-up begin on the index day.
      active_comparator: True: both arms start a treatment on day zero; the cohort's index is a drug.
      new_user: True: nobody had the drug before; the cohort excludes earlier records of one.
      grace: For strategies that leave time to start.
    """

    eligibility: Line = Field(min_length=1)
    time_zero: Literal["index"] = "index"
    active_comparator: bool = False
    new_user: bool = False
    grace: Grace | None = None

    def require_cohort(self, cohort: Cohort) -> None:
        """Check what is stated against the selection.

        Raises:
          ValueError: the selection does not do it.
        """
        if self.active_comparator and cohort.index.first != "drug":
            raise ValueError("trial.active_comparator needs cohort.index = { first = 'drug', ... }")
        washed_out = any(one.drug and window_days(one.within)[1] < 0 for one in cohort.exclude)
        if self.new_user and not washed_out:
            raise ValueError(
                "trial.new_user needs cohort.exclude = [{ drug = [...], within = '-Nd..-1d' }]: "
                "earlier users of the drug have to be left out"
            )


class TreatmentEffect(Question):
    """The effect of one treatment against another on a share, a mean, or the restricted mean time.

    Attributes:
      outcome: A binary endpoint, a numeric variable, or a time-to-event endpoint (restricted mean time).
      treatment: Variable whose levels are the arms; none with ``trial.grace``.
      treated: Its level of interest.
      control: Its level to compare with.
      covariates: What is adjusted for; with ``trial.grace`` variables with levels only.
      trial: The target trial.
      largest_influence: K: a patient's influence value above K times the range of the outcome counts as that.
      subgroups: Variables with levels in which the effect is also stated.
      multiplicity: ``bonferroni``: all subgroup statements together err in 5 % at most; ``none``: each.
      negative_controls: 20 to 50 binary endpoints that the treatment cannot change: they show what is left
        of confounding, and widen the interval by it.
    """

    kind: Literal["treatment_effect"]
    outcome: Name
    treatment: Name | None = None
    treated: str | None = None
    control: str | None = None
    covariates: tuple[Name, ...] = Field(strict=False, min_length=1, max_length=30)
    trial: Trial
    largest_influence: float = Field(default=3.0, ge=1, le=20)
    subgroups: tuple[Name, ...] = Field(default=(), strict=False, max_length=5)
    multiplicity: Literal["bonferroni", "none"] = "bonferroni"
    negative_controls: tuple[Name, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _arms(self) -> Self:
        arms = (self.treatment, self.treated, self.control)
        if self.trial.grace is not None:
            if any(arms) or self.subgroups or self.negative_controls:
                raise ValueError(
                    "with trial.grace the arms are to start in time and not to; leave out treatment, "
                    "treated, control, subgroups and negative_controls"
                )
            return self
        if not all(arms):
            raise ValueError("give treatment, treated and control, or trial.grace")
        if self.treated == self.control:
            raise ValueError("treated and control are the same level")
        count = len(self.negative_controls)
        if count and not FEWEST_CONTROLS <= count <= MOST_CONTROLS:
            raise ValueError(f"{count} negative_controls; give {FEWEST_CONTROLS} to {MOST_CONTROLS}, or none")
        return self

    def require_fits(self, measured: Measured) -> None:
        """Check arms, outcome, covariates, subgroups and negative controls."""
        require_covariates(self.covariates, measured)
        if self.outcome in self.covariates:
            raise ValueError(f"covariates hold the outcome {self.outcome!r}")
        if self.trial.grace is not None:
            measured.time_to_event(self.outcome, "outcome")
            measured.number(self.trial.grace.start, "trial.grace.start")
            measured.require_groups(self.covariates, "covariates")
            edges = measured.time_to_event(self.outcome).edges
            if edges[1] - edges[0] > 1:
                raise ValueError(
                    f"trial.grace needs grid = '1 day' of {self.outcome}: a clone is censored on one day"
                )
            if duration_days(self.trial.grace.within) >= edges[-1]:
                raise ValueError("trial.grace.within reaches the end of follow-up")
            return
        levels = measured.levels(self.treatment or "", "treatment")
        for key, level in (("treated", self.treated), ("control", self.control)):
            if level not in levels:
                raise ValueError(
                    f"{key} = {level!r} is no level of {self.treatment}; there are {list(levels)}"
                )
        if self.treatment in self.covariates:
            raise ValueError(f"covariates hold the treatment {self.treatment!r}")
        if not isinstance(measured.endpoints.get(self.outcome), Binary | TimeToEvent):
            measured.number(self.outcome, "outcome")
        if sum(len(measured.levels(name, "subgroups")) for name in self.subgroups) > MOST_LEVELS:
            raise ValueError(f"subgroups have more than {MOST_LEVELS} levels together")
        for name in self.negative_controls:
            measured.binary(name, "negative_controls")
        for names, key in ((self.subgroups, "subgroups"), (self.negative_controls, "negative_controls")):
            if len(set(names)) != len(names):
                raise ValueError(f"{key} names one twice")

    def require_cohort(self, cohort: Cohort) -> None:
        """Check the target trial against the selection."""
        self.trial.require_cohort(cohort)

    def times(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the outcome, which may be no time, with the variables that compare or adjust in it."""
        return ((self.outcome, (*([self.treatment] if self.treatment else []), *self.covariates)),)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        if (grace := self.trial.grace) is not None:
            arms = f"starting within {grace.within} against not starting (clone, censor, weight by strata)"
        else:
            arms = f"{self.treatment}={self.treated} against {self.control} (doubly robust)"
        design = [
            word
            for word, stated in (
                ("new users", self.trial.new_user),
                ("active comparator", self.trial.active_comparator),
            )
            if stated
        ]
        extra = f"; also by {', '.join(self.subgroups)} ({self.multiplicity})" if self.subgroups else ""
        if self.negative_controls:
            extra += f"; {len(self.negative_controls)} negative controls"
        del measured
        return (
            f"The effect on {self.outcome} of {arms}, adjusted for {', '.join(self.covariates)}; "
            f"target trial: {self.trial.eligibility}{''.join(f', {word}' for word in design)}{extra}"
        )
