"""What a rule that sets reads: an underlying quantity with its two uncertainties, kept apart.

A draw is ``center + sampling deviation + privacy deviation``. The two deviations are separate arrays up to
the decision, so that every function of them can say how much of its variance the privacy noise makes. A
realised figure of one institution is refused here: a standard is not set by who happened to be measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.estimate import Estimate
from fedvalue.errors import PaymentError, PurposeMixed

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Draws:
    """Joint draws of k named quantities.

    Attributes:
      names: Of the quantities, length k.
      center: Their estimates, shape ``(k,)``.
      sampling: Deviations by sampling, shape ``(runs, k)``.
      privacy: Deviations by privacy noise, shape ``(runs, k)``; zeros where a payer holds the exact figures.
      evidence_id: The evidence they come from.
    """

    names: tuple[str, ...]
    center: Floats
    sampling: Floats
    privacy: Floats
    evidence_id: str

    def __post_init__(self) -> None:
        k = len(self.names)
        if len(set(self.names)) != k or self.center.shape != (k,):
            raise PaymentError("draws need one name and one center each", where=self.evidence_id)
        if self.sampling.shape != self.privacy.shape or self.sampling.shape[1:] != (k,):
            raise PaymentError("deviations by sampling and by noise have one shape", where=self.evidence_id)
        if not all(np.isfinite(x).all() for x in (self.center, self.sampling, self.privacy)):
            raise PaymentError("a draw is not finite", where=self.evidence_id)

    @property
    def total(self) -> Floats:
        """Draws with both uncertainties, shape ``(runs, k)``."""
        return np.asarray(self.center + self.sampling + self.privacy, dtype=np.float64)

    def column(self, name: str) -> Floats:
        """Return the draws of one quantity, shape ``(runs,)``.

        Raises:
          PaymentError: there is no such quantity.
        """
        if name not in self.names:
            raise PaymentError(f"the draws hold no {name}", where=self.evidence_id)
        return self.total[:, self.names.index(name)]

    def through(self, function: Callable[[Floats], Floats]) -> Derived:
        """Return a function of the quantities with its separate variances.

        Args:
          function: From shape ``(runs, k)`` to ``(runs,)``, row by row.
        """
        value = float(function(self.center[None, :])[0])
        draws = function(self.total)
        sampled = float(np.var(function(self.center + self.sampling)))
        return Derived(value, draws, sampled, max(float(np.var(draws)) - sampled, 0.0))


@dataclass(frozen=True, slots=True)
class Derived:
    """One derived quantity.

    Attributes:
      value: At the estimates.
      draws: With both uncertainties, shape ``(runs,)``.
      sampling_variance: V_s, with the noise left out.
      privacy_variance: What the noise adds to it.
    """

    value: float
    draws: Floats
    sampling_variance: float
    privacy_variance: float

    def probability(self, holds: Callable[[Floats], NDArray[np.bool_]]) -> float:
        """Return the share of draws for which a condition holds, between 0 and 1."""
        return float(np.mean(holds(self.draws)))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the equal-tailed interval of the draws."""
        low, high = np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


def draws_of(
    estimates: Mapping[str, Estimate], *, runs: int, evidence_id: str, rng: np.random.Generator
) -> Draws:
    """Draw independent normal deviations for estimates with known moments.

    Correlated quantities need draws of their own analysis; independence here is an assumption of the caller.

    Args:
      estimates: By name.
      runs: Number of draws, at least 2.
      evidence_id: The evidence they come from.
      rng: Source of randomness.

    Raises:
      PurposeMixed: a value is no estimate.
      PaymentError: fewer than two draws.
    """
    if runs < 2:
        raise PaymentError("fewer than two draws show no variance", where=evidence_id)
    for name, estimate in estimates.items():
        underlying(estimate, name)
    sampling, privacy = (
        rng.standard_normal((runs, len(estimates))) * np.sqrt(variances)
        for variances in (
            [e.sampling_variance for e in estimates.values()],
            [e.privacy_variance for e in estimates.values()],
        )
    )
    center = np.array([e.value for e in estimates.values()], dtype=np.float64)
    return Draws(tuple(estimates), center, sampling, privacy, evidence_id)


def underlying(value: object, name: str) -> None:
    """Refuse anything but an estimate or draws where a standard is set.

    Raises:
      PurposeMixed: a realised figure, or a bare number that says nothing of its uncertainty.
    """
    if not isinstance(value, (Estimate, Draws)):
        raise PurposeMixed(
            f"{name} is a {type(value).__name__}, and a standard is set from an estimate with its variances",
            where=name,
            do="use an Estimate or Draws; realised figures settle, they do not set",
        )
