"""Whether a risk model may pay: calibration gates, judged with the noise of the released bins counted.

A model feeds tiers, coefficients or capitation only where, on binned predicted and observed figures,

    O / E in 0.9 ... 1.1 overall and in the last quarter, in 0.8 ... 1.2 in each group of 200 people or more,
    recalibration slope b in 0.9 ... 1.1,   logit P(event) = a + b logit(prediction),
    discrimination with its interval and between-site heterogeneity I^2 are reported (whatever they are).

Each gate is met where P(inside) >= p_met, not met where P(above) or P(below) >= 1 - p_not, else insufficient
evidence: a figure that noise spreads over both sides shows nothing, though little of it lies inside. One gate
not met closes all, one undecided leaves all undecided. Groups below the minimum are named, not judged.

Uncertainty: events of a bin of n people vary as a binomial; released figures carry Gaussian noise of known
variance. Both are drawn and stay apart. a and b solve the score equations of the binned logistic model by
Newton's method, one row of draws at a time, so a noised count below zero needs no clipping.

Source: payment.md 2.9; Cox, D. R. Two further applications of a model for binary regression. Biometrika 45
(1958) 562-565 (slope and intercept).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy import special

from fedvalue.analyses.estimate import Estimate, Released
from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.underlying import Draws, Floats, underlying

Verdict = Literal["met", "not_met", "insufficient_evidence"]
EVERYBODY, LAST_QUARTER = "all", "last quarter"
SLOPE = "slope"

View = Literal["released", "sampled", "noised"]
VIEWS: tuple[View, ...] = ("released", "sampled", "noised")

_STEPS = 8
"""Newton steps: from slope 1 they converge to 1e-9 for any slope between a half and two."""


class Bin(NamedTuple):
    """Released figures of people with similar predictions.

    Attributes:
      people: Number of people.
      predicted: Sum of their predicted probabilities.
      observed: Number of their events.
    """

    people: Released
    predicted: Released
    observed: Released


@dataclass(frozen=True, slots=True)
class GateTerms:
    """What is demanded.

    Attributes:
      overall: Largest distance of O / E from 1, overall and in the last quarter.
      group: The same in a protected group.
      slope: Largest distance of the slope from 1.
      minimum_people: Released people from which a group is judged.
      p_met: Probability demanded, above a half.
      p_not: A gate is not met where one minus this lies on one side of it; below a half.
    """

    overall: float
    group: float
    slope: float
    minimum_people: int
    p_met: float
    p_not: float

    def __post_init__(self) -> None:
        if not all(0 < x < 1 for x in (self.overall, self.group, self.slope)):
            raise PaymentError("a gate is a distance from 1 between 0 and 1", where="calibration")
        if not 0 < self.p_not < 0.5 < self.p_met < 1:
            raise PaymentError("0 < p_not < 0.5 < p_met < 1", where="calibration")


class Judged(NamedTuple):
    """One gate.

    Attributes:
      name: ``slope``, or the group whose O / E it is.
      value: At the released figures.
      lower: Lower end of its 95 % interval, noise counted.
      upper: Upper end.
      inside: P(within the gate).
      verdict: What that says.
    """

    name: str
    value: float
    lower: float
    upper: float
    inside: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Gate:
    """What the gates say together.

    Attributes:
      outcome: Whether the model may pay.
      judged: Each gate.
      small: Groups that are too small to judge.
      missing: What was not reported.
      discrimination: As reported.
      heterogeneity: I^2 between sites, as reported.
    """

    outcome: Verdict
    judged: tuple[Judged, ...]
    small: tuple[str, ...]
    missing: tuple[str, ...]
    discrimination: Estimate | None
    heterogeneity: Estimate | None


def calibration_draws(
    groups: Mapping[str, Sequence[Bin]], *, runs: int, evidence_id: str, rng: np.random.Generator
) -> Draws:
    """Draw the slope over everybody, and O / E of each group.

    Args:
      groups: Bins by group; ``all`` must be there.
      runs: Draws, at least 2.
      evidence_id: The evidence they come from.
      rng: Source of randomness.

    Raises:
      PaymentError: no bins of everybody, fewer than two draws or bins, or a bin whose released people or
        prediction leave no probability between 0 and 1: merge it with its neighbor.
    """
    if EVERYBODY not in groups or runs < 2:
        raise PaymentError("calibration needs the bins of everybody, and two draws", where=evidence_id)
    names, columns = [SLOPE, *groups], list[list[Floats]]()
    for name, bins in groups.items():
        drawn = _Drawn.of(bins, runs, rng, where=f"{evidence_id}: {name}")
        if name == EVERYBODY:
            columns.insert(0, [_slope(drawn.figures(view)) for view in VIEWS])
        columns.append([_ratio(drawn.figures(view)) for view in VIEWS])
    center = np.array([float(c[0][0]) for c in columns])
    sampled, both = (np.stack([c[i] for c in columns], axis=1) for i in (1, 2))
    return Draws(tuple(names), center, sampled - center, both - sampled, evidence_id)


def gate(
    terms: GateTerms,
    calibration: Draws,
    people: Mapping[str, Released],
    *,
    discrimination: Estimate | None,
    heterogeneity: Estimate | None,
) -> Gate:
    """Judge every gate.

    Args:
      terms: What is demanded.
      calibration: From `calibration_draws`.
      people: Released people of each group.
      discrimination: Such as an AUC with its interval; None where nobody reported it.
      heterogeneity: I^2 of the sites' O / E; None where nobody reported it.

    Raises:
      PurposeMixed: figures without their variances.
    """
    underlying(calibration, "calibration")
    judged, small = [], []
    for name in calibration.names:
        special_one = name in (SLOPE, EVERYBODY, LAST_QUARTER)
        if not special_one and people[name].value < terms.minimum_people:
            small.append(name)
            continue
        reach = terms.slope if name == SLOPE else terms.overall if special_one else terms.group
        judged.append(_judge(name, calibration, reach, terms))
    reported = {
        "the last quarter": LAST_QUARTER in calibration.names,
        "discrimination with its interval": discrimination is not None and discrimination.lower is not None,
        "heterogeneity between sites": heterogeneity is not None,
    }
    missing = tuple(name for name, there in reported.items() if not there)
    verdicts = {each.verdict for each in judged}
    outcome: Verdict = "met"
    if "not_met" in verdicts:
        outcome = "not_met"
    elif missing or "insufficient_evidence" in verdicts:
        outcome = "insufficient_evidence"
    return Gate(outcome, tuple(judged), tuple(small), missing, discrimination, heterogeneity)


def _judge(name: str, calibration: Draws, reach: float, terms: GateTerms) -> Judged:
    draws = calibration.column(name)
    inside = float(np.mean(np.abs(draws - 1) <= reach))
    low, high = np.quantile(draws, [0.025, 0.975])
    verdict: Verdict = "insufficient_evidence"
    if inside >= terms.p_met:
        verdict = "met"
    elif max(float(np.mean(draws > 1 + reach)), float(np.mean(draws < 1 - reach))) >= 1 - terms.p_not:
        verdict = "not_met"
    value = float(calibration.center[calibration.names.index(name)])
    return Judged(name, value, float(low), float(high), inside, verdict)


class _Figures(NamedTuple):
    """People, predictions and events, each of shape ``(runs, bins)``."""

    people: Floats
    predicted: Floats
    observed: Floats


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Released figures of one group with deviations; shapes ``(bins,)`` and ``(runs, bins)``."""

    released: tuple[Floats, Floats, Floats]
    sampling: Floats
    noise: tuple[Floats, Floats, Floats]

    @classmethod
    def of(cls, bins: Sequence[Bin], runs: int, rng: np.random.Generator, *, where: str) -> _Drawn:
        if len(bins) < 2:
            raise PaymentError("one bin shows no slope", where=where, do="release at least two")
        people, predicted, observed = (
            np.array([r.value for r in column]) for column in zip(*bins, strict=True)
        )
        if (people < 1).any() or (predicted <= 0).any() or (predicted >= people).any():
            raise PaymentError("a bin has no probability between 0 and 1", where=where, do="merge bins")
        p = predicted / people
        noise = tuple(
            rng.standard_normal((runs, len(bins))) * np.sqrt([r.noise_variance for r in column])
            for column in zip(*bins, strict=True)
        )
        sampling = rng.standard_normal((runs, len(bins))) * np.sqrt(people * p * (1 - p))
        return cls((people, predicted, observed), sampling, (noise[0], noise[1], noise[2]))

    def figures(self, view: View) -> _Figures:
        """Return the figures as released, drawn by sampling alone, or drawn with the noise too."""
        if view == "released":
            return _Figures(*(figure[None, :] for figure in self.released))
        people, predicted, observed = (
            figure + deviation * (view == "noised")
            for figure, deviation in zip(self.released, self.noise, strict=True)
        )
        people = np.maximum(people, 1.0)
        share = np.clip(predicted / people, 1e-4, 1 - 1e-4)
        return _Figures(people, share * people, observed + self.sampling)


def _ratio(figures: _Figures) -> Floats:
    ratio = figures.observed.sum(axis=1) / figures.predicted.sum(axis=1)
    return np.asarray(ratio, dtype=np.float64)


def _slope(figures: _Figures) -> Floats:
    x = special.logit(figures.predicted / figures.people)
    a, b = np.zeros(len(x)), np.ones(len(x))
    for _ in range(_STEPS):
        p = special.expit(a[:, None] + b[:, None] * x)
        weight, left = figures.people * p * (1 - p), figures.observed - figures.people * p
        s0, s1, s2 = weight.sum(axis=1), (weight * x).sum(axis=1), (weight * x * x).sum(axis=1)
        u0, u1 = left.sum(axis=1), (left * x).sum(axis=1)
        determinant = np.maximum(s0 * s2 - s1 * s1, 1e-9)
        # A draw whose noise drowns its counts has no solution; it stops at a bound, far outside any gate.
        a = np.clip(a + np.clip((s2 * u0 - s1 * u1) / determinant, -2, 2), -8, 8)
        b = np.clip(b + np.clip((s0 * u1 - s1 * u0) / determinant, -1, 1), -4, 4)
    return np.asarray(b, dtype=np.float64)
