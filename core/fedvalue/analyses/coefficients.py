"""A fitted model as a stratum: coefficients in the variables' own units, their ratios, and joint errors.

A table is refused, with what would do, where the curvature is too noisy to invert, the dispersion too noisy
to scale an interval, or the search did not settle (perfect separation, columns that repeat one another).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import newton
from fedvalue.analyses.analysis import Terms
from fedvalue.analyses.design import INTERCEPT
from fedvalue.analyses.estimate import Estimate, Joint, Reason, Released, Remedy, Stratum
from fedvalue.analyses.newton import Fitted

Array = NDArray[np.float64]
Z95 = 1.959963984540054
TOO_NOISY = 1 / 3
SETTLED = 2e-3
"""Largest last step without noise, in coefficients of columns between -1 and 1."""
RESTLESS = 5.0
"""Standard errors by which the last round may differ from the mean of all, beyond the root of p."""


@dataclass(frozen=True, slots=True)
class Model:
    """One fitted model.

    Attributes:
      name: Of its stratum.
      columns: Names of the coefficients, length p.
      fitted: None where the search could not start: a mean was not above 0.
      patients: Released number of patients it was fitted on.
      patients_variance: Noise variance of that number.
      to_units: Carries coefficients to the variables' own units, shape ``(p, p)``.
      unit: Unit of a coefficient.
      ratio: What the exponential of a coefficient is; empty for none.
      scale: Multiplies every coefficient.
      shift: Added to the intercept then.
      dispersion: Factor of the sampling covariance.
      dispersion_variance: Noise variance of it.
      intervals: False for coefficients that are only for scoring.
    """

    name: str
    columns: tuple[str, ...]
    fitted: Fitted | None
    patients: float
    patients_variance: float
    to_units: Array
    unit: str
    ratio: str = ""
    scale: float = 1.0
    shift: float = 0.0
    dispersion: float = 1.0
    dispersion_variance: float = 0.0
    intervals: bool = True


def stratum(model: Model, terms: Terms) -> Stratum:
    """Return the model's coefficients, or why there are none."""
    released = {"patients": Released(value=model.patients, noise_variance=model.patients_variance)}
    least = len(model.columns) if terms.exact else max(terms.min_patients, len(model.columns))
    unsure = not terms.exact and math.sqrt(model.patients_variance) > model.patients / 3
    if unsure:  # nobody may be there: the solution of noise alone is no model
        share = math.sqrt(model.patients_variance) / max(model.patients, 1e-300)
        return Stratum(
            name=model.name, status="not_estimable", reason="privacy", released=released,
            remedy=terms.remedy(share if 0 < share < 1 / 2 else math.inf, model.patients),
        )  # fmt: skip
    if model.patients < least:
        return Stratum(name=model.name, status="below_minimum", reason="sampling", released=released)
    refusal = _refusal(model, terms)
    if refusal is not None or model.fitted is None:
        reason, remedy = refusal or ("privacy", None)
        return Stratum(
            name=model.name, status="not_estimable", reason=reason, remedy=remedy, released=released
        )
    fitted, carry = model.fitted, model.scale * model.to_units
    values = carry @ fitted.coefficients
    values[0] += model.shift if model.columns[0] == INTERCEPT else 0.0
    information = newton.lifted(fitted.information, 0.0)
    sampling = carry @ (model.dispersion * np.linalg.inv(information)) @ carry.T
    privacy = carry @ fitted.privacy @ carry.T
    estimates: dict[str, Estimate] = {}
    for i, name in enumerate(model.columns):
        estimates[name] = _estimate(
            float(values[i]), sampling[i, i], privacy[i, i], model.unit, model.intervals
        )
    if model.ratio:
        for i, name in enumerate(model.columns):
            if name != INTERCEPT and abs(values[i]) < newton.FARTHEST:
                estimates[f"{model.ratio} of {name}"] = _ratio(estimates[name])
    joint = Joint(names=model.columns, sampling=_rows(sampling), privacy=_rows(privacy))
    return Stratum(
        name=model.name, status="estimated", released=released, estimates=estimates,
        joint=joint if model.intervals else None,
    )  # fmt: skip


def _refusal(model: Model, terms: Terms) -> tuple[Reason, Remedy | None] | None:
    fitted = model.fitted
    if fitted is None:
        return "privacy", None
    if terms.exact:
        unsettled = not np.isfinite(fitted.coefficients).all() or fitted.restless > SETTLED
        unsettled |= bool(np.abs(fitted.coefficients).max() >= newton.FARTHEST / 2)
        return ("model", None) if unsettled or fitted.noise_ratio > TOO_NOISY else None
    if not model.intervals:
        return None
    # the dispersion is a sum over patients: its noise falls with their number, as that of the curvature does
    ratio = max(fitted.noise_ratio, fitted.scatter / math.sqrt(max(model.patients, 1.0)))
    if model.dispersion_variance > 0:
        of_dispersion = math.sqrt(model.dispersion_variance) / max(model.dispersion, 1e-300)
        ratio = max(ratio, of_dispersion)
    if ratio > TOO_NOISY:
        return "privacy", terms.remedy(ratio, model.patients)
    if fitted.restless > RESTLESS + math.sqrt(len(model.columns)):
        return "model", None
    return None


def _estimate(value: float, sampling: float, privacy: float, unit: str, intervals: bool) -> Estimate:
    sampling, privacy = max(float(sampling), 0.0), max(float(privacy), 0.0)
    half = Z95 * math.sqrt(sampling + privacy)
    return Estimate(
        value=value, unit=unit, lower=value - half if intervals else None,
        upper=value + half if intervals else None, sampling_variance=sampling, privacy_variance=privacy,
    )  # fmt: skip


def _ratio(log: Estimate) -> Estimate:
    """The exponential of a coefficient, its interval carried over."""
    value = math.exp(log.value)
    return Estimate(
        value=value, unit="ratio",
        lower=None if log.lower is None else math.exp(max(log.lower, -700.0)),
        upper=None if log.upper is None or log.upper > 700 else math.exp(log.upper),
        sampling_variance=_carried(log, log.sampling_variance),
        privacy_variance=_carried(log, log.privacy_variance),
    )  # fmt: skip


def _carried(log: Estimate, variance: float) -> float:
    """The variance of the exponential, at most 1e300: a ratio may be as large as no float's square is."""
    return math.exp(min(2 * log.value + math.log(variance), 690.0)) if variance > 0 else 0.0


def _rows(matrix: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in ((matrix + matrix.T) / 2).tolist())
