"""What the coordinator concludes: numbers whose uncertainty is never dropped.

Sampling variance and privacy variance are separate fields from here to the decision.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Reason = Literal["sampling", "privacy", "missingness", "heterogeneity", "model"]


class Value(BaseModel):
    """Frozen, strict base of everything that goes into an evidence package."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Released(Value):
    """One released coordinate: final, noise and all.

    Attributes:
      value: The noisy value, in the quantity's own unit; may be negative.
      noise_variance: Variance of its privacy noise, assuming honest noise of every site that answered.
    """

    value: float
    noise_variance: float = Field(ge=0)


class Estimate(Value):
    """One number with its error budget.

    Attributes:
      value: The estimate.
      unit: Its unit: ``probability``, ``days``, ...
      lower: Lower end of the 95 % interval.
      upper: Upper end of the 95 % interval.
      sampling_variance: V_s.
      privacy_variance: V_dp, known from the mechanism.
    """

    value: float
    unit: str
    lower: float | None
    upper: float | None
    sampling_variance: float = Field(ge=0)
    privacy_variance: float = Field(ge=0)


class Curve(Value):
    """A survival curve on its grid, up to where it ends.

    Attributes:
      days: Right edges of the intervals, in days, shape ``(k,)``; the curve starts at 1 on day 0.
      survival: S(days), clamped to [0, 1] and non-increasing for display.
      lower: Lower ends of pointwise 95 % intervals.
      upper: Upper ends.
      at_risk: Released noisy number at risk at the start of each interval.
      sampling_variance: Variance of ``survival`` by Greenwood's formula.
      privacy_variance: Variance of ``survival`` that the noise adds.
      ends: Day past which the noise on the number at risk is too large, or None if it reaches the horizon.
    """

    days: tuple[float, ...]
    survival: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    at_risk: tuple[float, ...]
    sampling_variance: tuple[float, ...]
    privacy_variance: tuple[float, ...]
    ends: float | None = None


class Series(Value):
    """A line over something: a calibration curve, a histogram, months, thresholds.

    Attributes:
      x: Where, in increasing order, shape ``(k,)``.
      x_unit: Unit of ``x``: ``days``, ``months``, ``predicted probability``, ``CNY``, ...
      values: The line, shape ``(k,)``.
      unit: Unit of ``values``.
      lower: Lower ends of pointwise 95 % intervals; empty where there are none.
      upper: Upper ends.
      sampling_variance: V_s of each value; empty where there is none.
      privacy_variance: V_dp of each value.
    """

    x: tuple[float, ...]
    x_unit: str
    values: tuple[float, ...]
    unit: str
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()
    sampling_variance: tuple[float, ...] = ()
    privacy_variance: tuple[float, ...] = ()


class Joint(Value):
    """How the errors of a stratum's named estimates go together, each kind apart.

    Attributes:
      names: Of the estimates, length k; each is in `Stratum.estimates`.
      sampling: Covariance by sampling, shape ``(k, k)``, symmetric, in the product of the units.
      privacy: Covariance by privacy noise, shape ``(k, k)``.
    """

    names: tuple[str, ...]
    sampling: tuple[tuple[float, ...], ...]
    privacy: tuple[tuple[float, ...], ...]


class Remedy(Value):
    """What would make an estimate possible.

    Attributes:
      epsilon: Study epsilon that would do with today's patients, or None if no epsilon up to 20 would.
      patients: Patients in this stratum that would do at today's epsilon, or None if unknown.
    """

    epsilon: float | None
    patients: float | None


class Stratum(Value):
    """The conclusion for one group.

    Attributes:
      name: ``egfr=mutated``, several joined by ``, ``; ``all`` for everybody; ``unknown`` where a level is.
      status: ``estimated``; ``below_minimum``: fewer released patients than the study reports;
        ``not_estimable``: the noise is too large at this budget.
      reason: Why there is no estimate.
      remedy: What would do.
      released: The released coordinates (counts) behind the estimates.
      estimates: Named estimates.
      curve: Survival curve, for time-to-event analyses.
      series: Other lines, by name.
      joint: How the errors of the estimates go together, where an analysis says so; without it they are
        taken as independent.
    """

    name: str
    status: Literal["estimated", "below_minimum", "not_estimable"]
    reason: Reason | None = None
    remedy: Remedy | None = None
    released: dict[str, Released] = {}
    estimates: dict[str, Estimate] = {}
    curve: Curve | None = None
    series: dict[str, Series] = {}
    joint: Joint | None = None


class TrainedModel(Value):
    """A model that hospitals trained together, as public numbers.

    Attributes:
      name: As the study calls it.
      architecture: Of the registry, with its public choices.
      centers: What counts as 0 for each numeric feature, in its unit, in the order of the inputs.
      spreads: What counts as 1.
      parameters: Base64 of d little-endian float64, in the order of `fedvalue.study.architectures.layers`.
      rounds: Rounds behind it.
      rounds_planned: Rounds that the study planned.
      private: False where it was trained without noise (`Unsafe`).
    """

    name: str
    architecture: dict[str, JsonValue]
    centers: tuple[float, ...]
    spreads: tuple[float, ...]
    parameters: str
    rounds: int = Field(ge=1)
    rounds_planned: int = Field(ge=1)
    private: bool = True


class Conclusion(Value):
    """What one analysis of a study concludes.

    Attributes:
      label: Unique in the study, such as ``proportion:response_6m:egfr``.
      kind: Kind of analysis.
      endpoint: The endpoint's name.
      by: Variables that define the groups.
      strata: Groups in the order of the study's levels, then ``unknown``, then ``all``.
      notes: Sentences about method and limits.
      model: What was trained; None but for a training.
    """

    label: str
    kind: str
    endpoint: str
    by: tuple[str, ...]
    strata: tuple[Stratum, ...]
    notes: tuple[str, ...] = ()
    model: TrainedModel | None = Field(default=None, exclude_if=lambda value: value is None)

    def stratum(self, name: str) -> Stratum:
        """Return the group called ``name``.

        Raises:
          KeyError: there is no such group.
        """
        for stratum in self.strata:
            if stratum.name == name:
                return stratum
        raise KeyError(name)
