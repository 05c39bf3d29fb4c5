"""Coordinator half of a treatment effect: means, difference, ratio, E-value, overlap, balance.

The interval carries sampling, the noise of the effect's own sums, and the noise of both nuisance models
through the released slopes: ``J Sigma J'``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import newton
from fedvalue.analyses.analysis import NoisySum, Terms
from fedvalue.analyses.arms import Arms, Response
from fedvalue.analyses.balance import Weighted, balance, negative_controls
from fedvalue.analyses.design import Design
from fedvalue.analyses.empirical_null import EmpiricalNull
from fedvalue.analyses.estimate import Conclusion, Estimate, Joint, Released, Series, Stratum
from fedvalue.analyses.evalue import of_difference, of_ratio, within_arms
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.newton import Search
from fedvalue.analyses.score import Z95, refused, share
from fedvalue.analyses.subgroup_effects import Slopes, subgroup_strata

Array = NDArray[np.float64]
TOO_NOISY = 1 / 3
UNSETTLED = 1e-3
"""Largest last step of the propensity model without noise."""

MEANS = ("mean if treated", "mean if control")
MEASURED_ONLY = "Adjusted for the covariates that are named; what is not measured is not adjusted for."


@dataclass(frozen=True, slots=True)
class Fit:
    """The nuisance models.

    Attributes:
      propensity: The search for its coefficients.
      treated: Coefficients of the outcome among treated, shape ``(p,)``.
      control: Among controls.
      gram_treated: ``x x'`` summed over treated, shape ``(p, p)``.
      gram_control: Over controls.
    """

    propensity: Search
    treated: Array
    control: Array
    gram_treated: Array
    gram_control: Array


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was released, with what it was asked about; see `TreatmentEffectAnalysis`."""

    label: str
    response: Response
    design: Design
    largest: float
    groups: tuple[Groups, ...]
    together: bool
    controls: tuple[str, ...]
    arms: Arms
    protocol: tuple[str, ...]
    start: NoisySum
    effect: NoisySum
    fit: Fit

    @property
    def patients(self) -> Released:
        """Who counts."""
        cells = self.effect["cells"]
        return Released(value=float(cells.values[:2].sum()), noise_variance=2 * cells.variance)


@dataclass(frozen=True, slots=True)
class Means:
    """Both means on the public range, with their covariances.

    Attributes:
      values: If everybody had been treated, and if nobody had, shape ``(2,)``.
      sampling: Shape ``(2, 2)``.
      privacy: Shape ``(2, 2)``.
    """

    values: Array
    sampling: Array
    privacy: Array


def concluded(found: Found, terms: Terms) -> Conclusion:
    """Return the conclusion, or why there is none."""
    counts = found.start["counts"]
    stated = {
        name: Released(value=float(v), noise_variance=counts.variance)
        for name, v in zip(("control", "treated", "left out"), counts.values, strict=True)
    }
    stated["patients"] = found.patients
    refusals = [refused(EVERYBODY, stated[key], terms, stated) for key in ("patients", "treated", "control")]
    refusal = next((each for each in refusals if each is not None), None) or _unfit(found, terms, stated)
    strata = _strata(found, stated) if refusal is None else (refusal,)
    return Conclusion(
        label=found.label, kind="treatment_effect", endpoint=found.response.name, by=(), strata=strata,
        notes=(*found.protocol, MEASURED_ONLY),
    )  # fmt: skip


def _unfit(found: Found, terms: Terms, stated: dict[str, Released]) -> Stratum | None:
    """Refuse where a nuisance model cannot be told from noise, or does not settle."""
    search, gram = found.fit.propensity, found.start["gram"].variance
    ratio = max(
        newton.noise_ratio(search.curvature, search.curvature_variance),
        *(newton.noise_ratio(matrix, gram) for matrix in (found.fit.gram_treated, found.fit.gram_control)),
    )
    if terms.exact:
        last = float(np.abs(search.at - search.asked_at[-1]).max())
        if math.isfinite(ratio) and last <= UNSETTLED:
            return None
        return Stratum(name=EVERYBODY, status="not_estimable", reason="model", released=stated)
    if ratio <= TOO_NOISY:
        return None
    reason, remedy = ("privacy", terms.remedy(ratio, found.patients.value))
    return Stratum(name=EVERYBODY, status="not_estimable", reason=reason, remedy=remedy, released=stated)


def nuisance_covariance(found: Found) -> tuple[Array, Array, Array]:
    """Return the privacy covariances of the propensity, treated and control coefficients."""
    fit, outcome, gram = found.fit, found.start["outcome"].variance, found.start["gram"].variance
    inverse = _inverse(fit.propensity.curvature, fit.propensity.curvature_variance)
    propensity = inverse @ inverse * fit.propensity.told[-1].score_variance
    models = [  # of treated, then of control
        newton.surrogate_privacy(_inverse(matrix, gram), coefficients, outcome, gram)
        for matrix, coefficients in ((fit.gram_treated, fit.treated), (fit.gram_control, fit.control))
    ]
    return propensity, models[0], models[1]


def _inverse(matrix: Array, noise: float) -> Array:
    return np.asarray(np.linalg.inv(newton.lifted(matrix, noise)), dtype=np.float64)


def means(found: Found, slopes: Slopes) -> Means:
    """Return both means with their errors."""
    n, k = found.patients.value, found.largest
    block = found.effect["influence"]
    values = block.values * k / n
    powers = (found.effect["squares"].values / n + 1) / 2 * k**2
    spread = np.maximum(powers[:2] - values**2, 1e-12)
    apart = max(4 * float(powers[2]) - float(values[0] - values[1]) ** 2, 1e-12)
    together = float(spread.sum() - apart) / 2
    edge = math.sqrt(float(spread[0] * spread[1]))  # noise may say more than a correlation can be
    together = min(max(together, -edge), edge)
    sampling = np.array([[spread[0], together], [together, spread[1]]]) / n
    direct = np.eye(2) * block.variance * (k / n) ** 2
    direct = direct + np.outer(values, values) * found.patients.noise_variance / n**2
    return Means(values, sampling, direct + slopes.of_means())


def _strata(found: Found, stated: dict[str, Released]) -> tuple[Stratum, ...]:
    slopes = Slopes.of(found.effect["slopes"].values / found.patients.value, nuisance_covariance(found))
    both, response = means(found, slopes), found.response
    estimates = {"effect": _effect(both, response)}
    low, span = response.low, response.span
    for i, name in enumerate(MEANS):
        estimates[name] = normal(
            low + span * float(both.values[i]), span**2 * float(both.sampling[i, i]),
            span**2 * float(both.privacy[i, i]), response.unit,
        )  # fmt: skip
    weighted = Weighted.of(found.effect["weighted"], len(found.design.names))
    strata = [balance(found.design, found.fit.gram_treated, found.fit.gram_control,
                      found.start["gram"].variance, weighted)]  # fmt: skip
    null: EmpiricalNull | None = None
    if found.controls:
        stratum, null = negative_controls(found.controls, found.effect["controls"], weighted)
        strata.append(stratum)
    estimates |= _ratios(both, response, null)
    if (evalue := _evalue(estimates, found)) is not None:
        estimates["E-value"] = evalue
    cells = found.effect["cells"]
    estimates["influence values clipped"] = share(
        float(cells.values[1]), found.patients.value, cells.variance, inside=1, cells=2
    )
    series, outside = _overlap(found)
    if outside is not None:
        estimates["propensity below 10% or above 90%"] = outside
    scale = span**2
    joint = Joint(
        names=MEANS, sampling=tuple(map(tuple, (scale * both.sampling).tolist())),
        privacy=tuple(map(tuple, (scale * both.privacy).tolist())),
    )  # fmt: skip
    head = Stratum(
        name=EVERYBODY, status="estimated", released=stated, estimates=estimates, series=series, joint=joint
    )
    return (head, *subgroup_strata(found.groups, found.effect, found.largest, span, difference_unit(response),
                                   slopes, together=found.together), *strata)  # fmt: skip


def normal(value: float, sampling: float, privacy: float, unit: str, z: float = Z95) -> Estimate:
    """Return an estimate with a normal interval."""
    half = z * math.sqrt(sampling + privacy)
    return Estimate(
        value=value, unit=unit, lower=value - half, upper=value + half, sampling_variance=sampling,
        privacy_variance=privacy,
    )  # fmt: skip


def difference_unit(response: Response) -> str:
    """Return the unit of a difference of the outcome."""
    return "difference of probabilities" if response.unit == "probability" else response.unit


def _effect(both: Means, response: Response) -> Estimate:
    contrast, scale = np.array([1.0, -1.0]), response.span**2
    return normal(
        response.span * float(contrast @ both.values), scale * float(contrast @ both.sampling @ contrast),
        scale * float(contrast @ both.privacy @ contrast), difference_unit(response),
    )  # fmt: skip


def _ratios(both: Means, response: Response, null: EmpiricalNull | None) -> dict[str, Estimate]:
    """The ratio of the means, raw and calibrated; nothing where a mean is not above 0 for certain."""
    values = response.low + response.span * both.values
    sampling, privacy = response.span**2 * both.sampling, response.span**2 * both.privacy
    if (values <= 3 * np.sqrt(np.diag(sampling + privacy))).any():
        return {}
    gradient = np.array([1.0, -1.0]) / values
    log, s, v = math.log(values[0] / values[1]), gradient @ sampling @ gradient, gradient @ privacy @ gradient
    found = {"ratio": _exponential(log, float(s), float(v))}
    if null is not None:
        spread = null.spread**2 + null.bias_variance
        found["ratio, calibrated by negative controls"] = _exponential(
            log - null.bias, float(s) + spread, float(v)
        )
    return found


def _exponential(log: float, sampling: float, privacy: float) -> Estimate:
    half, value = Z95 * math.sqrt(sampling + privacy), math.exp(log)
    return Estimate(
        value=value, unit="ratio", lower=math.exp(log - half), upper=math.exp(log + half),
        sampling_variance=value**2 * sampling, privacy_variance=value**2 * privacy,
    )  # fmt: skip


def _evalue(estimates: dict[str, Estimate], found: Found) -> Estimate | None:
    """The E-value of the ratio of shares, or of the difference in standard deviations of the outcome."""
    if found.response.unit == "probability":
        known = estimates.get("ratio")
        return None if known is None else of_ratio(known)
    patients = (float(found.fit.gram_control[0, 0]), float(found.fit.gram_treated[0, 0]))
    deviation = within_arms(
        found.start, patients, found.start["gram"].variance, len(found.design.names), found.response.range
    )
    return None if deviation is None else of_difference(estimates["effect"], found.response.span, *deviation)


def _overlap(found: Found) -> tuple[dict[str, Series], Estimate | None]:
    """Propensities by tenth in each arm, and the share outside 10 to 90 %."""
    block = found.effect["overlap"]
    table = block.values.reshape(2, -1)
    bins = table.shape[1]
    middles = tuple((i + 0.5) / bins for i in range(bins))
    series = {}
    for name, counts in zip(("controls by propensity", "treated by propensity"), table, strict=True):
        whole = float(counts.sum())
        if whole <= 0:
            continue
        shares = [share(float(v), whole, block.variance, inside=1, cells=bins) for v in counts]
        series[name] = Series(
            # without an interval: the tenth of a patient turns with the fitted model, whose error is large
            x=middles, x_unit="propensity", values=tuple(s.value for s in shares), unit="probability",
            sampling_variance=tuple(s.sampling_variance for s in shares),
            privacy_variance=tuple(s.privacy_variance for s in shares),
        )  # fmt: skip
    total = float(table.sum())
    if total <= 0:
        return series, None
    ends = float(table[:, [0, -1]].sum())
    return series, share(ends, total, block.variance, inside=4, cells=2 * bins)
