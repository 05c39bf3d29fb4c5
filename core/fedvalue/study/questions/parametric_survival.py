"""``kind = "parametric_survival"``: a survival curve with a shape, to look past the end of follow-up."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedvalue.study.model import Duration, Name, duration_days
from fedvalue.study.questions.question import Measured, Question, entry_in_words, groups_in_words

_SHAPES = {
    "exponential": "a constant hazard",
    "weibull": "a Weibull hazard",
    "piecewise": "a hazard that is constant between breaks",
}


class ParametricSurvival(Question):
    """Parametric survival by group, for extrapolation.

    Attributes:
      endpoint: A time-to-event endpoint.
      model: ``exponential``, ``weibull`` or ``piecewise`` (a constant hazard between breaks).
      by: Variables with levels.
      breaks: Where a piecewise hazard may change, increasing, inside the follow-up.
      at: Times at which survival is stated; they may lie past the follow-up.
      horizon: Mean survival time is stated up to here; left out: up to the end of the follow-up.
    """

    kind: Literal["parametric_survival"]
    endpoint: Name
    model: Literal["exponential", "weibull", "piecewise"]
    by: tuple[Name, ...] = Field(default=(), strict=False)
    breaks: tuple[Duration, ...] = Field(default=(), strict=False, max_length=20)
    at: tuple[Duration, ...] = Field(default=(), strict=False)
    horizon: Duration | None = None

    def require_fits(self, measured: Measured) -> None:
        """Check endpoint, groups, breaks and horizon."""
        last = measured.time_to_event(self.endpoint).edges[-1]
        measured.require_groups(self.by)
        if (self.model == "piecewise") != bool(self.breaks):
            raise ValueError("breaks are for model = 'piecewise', which needs them")
        days = [duration_days(one) for one in self.breaks]
        if days != sorted(set(days)) or (days and days[-1] >= last):
            raise ValueError("breaks increase and lie before the endpoint's until")
        if self.horizon is not None and duration_days(self.horizon) < last:
            raise ValueError("horizon is not before the endpoint's until")

    def times(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the endpoint and the variables that say from when a patient counts."""
        return ((self.endpoint, self.by),)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        endpoint = measured.time_to_event(self.endpoint)
        entry = entry_in_words(self.endpoint, self.by, measured)
        past = f", extrapolated to {self.horizon}" if self.horizon is not None else ""
        return (
            f"Survival without {' or '.join(endpoint.events)} with {_SHAPES[self.model]}, fitted over "
            f"{endpoint.until}{past}{groups_in_words(self.by)}; patients count from {entry}"
        )
