"""What would resolve an estimate that decides nothing: patients, or less noise, for a normal quantity.

With n released patients today, V_s falls as 1 / n and the noise of a mean as 1 / n^2. A study of n'
patients has V' = V_s n / n' + V_dp (n / n')^2; its estimate is believed to lie around today's m with
variance V + V', and it is conclusive where it passes the rule's turning points at V'. Assurance is that
probability over today's belief. The part of V_s that is how far sites differ, where a standard reads what a
new site may expect, stays what it is. Where a quantity has no number of patients behind it, only ratios are
known, and the remedy says so.

O'Hagan, A., Stevens, J. W., Campbell, M. J. Assurance in clinical trial design. Pharmaceutical Statistics 4
(2005) 187-201. The noise term is our derivation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy import special

from fedvalue.analyses.estimate import Reason
from fedvalue.payment.decision import Insufficient, PatientsRemedy, PrivacyRemedy
from fedvalue.payment.decision_findings import Direction
from fedvalue.payment.insufficient import (
    GRANTED,
    MANY_MISSING,
    MAX_EPSILON,
    NOISE_DOMINATES,
    NOISE_TARGET,
    TEXTS,
    WANTED_ASSURANCE,
    Budgeted,
    Clock,
)
from fedvalue.payment.known import KnownNormal, reading
from fedvalue.payment.rules import DecisionRule
from fedvalue.privacy import accounting

_HALVINGS = 60
DIFFERING = 0.5
"""Share of the variance from which on the sites' differences are the reason."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A rule at work on one bar.

    Attributes:
      rule: The rule.
      threshold: tau.
      direction: On which side of it the bar is met.
    """

    rule: DecisionRule
    threshold: float
    direction: Direction

    def turns(self, sampling: float, privacy: float) -> tuple[float | None, float | None]:
        """Return the estimates at which the answer turns to *met* and to *not met*; None where it never does.

        Args:
          sampling: V_s.
          privacy: V_dp.
        """
        up = 1.0 if self.direction == "at_least" else -1.0
        sd = math.sqrt(sampling + privacy)
        reach = 40 * sd if sd > 0 else max(abs(self.threshold), 1.0)

        def answers(estimate: float) -> str:
            return self.rule.answer(
                reading(KnownNormal(estimate, sampling, privacy), self.threshold, self.direction)
            )

        def turn(wanted: str, way: float) -> float | None:
            inside, outside = self.threshold + way * reach, self.threshold - way * reach
            if answers(inside) != wanted:
                return None
            for _ in range(_HALVINGS):
                middle = (inside + outside) / 2
                inside, outside = (middle, outside) if answers(middle) == wanted else (inside, middle)
            return inside

        return turn("met", up), turn("not_met", -up)

    def probability_met(self, truth: float, sampling: float, privacy: float) -> float:
        """Return the probability of *met* when theta is ``truth``, between 0 and 1."""
        met, _ = self.turns(sampling, privacy)
        return self._beyond(truth, met, math.sqrt(sampling + privacy), met_side=True)

    def conclusive(self, mean: float, variance: float, sampling: float, privacy: float) -> float:
        """Return the probability of a conclusive answer at these variances, over a normal belief of theta.

        Args:
          mean: Of the belief.
          variance: Of the belief.
          sampling: V_s of the planned study.
          privacy: V_dp of it.
        """
        met, not_met = self.turns(sampling, privacy)
        sd = math.sqrt(variance + sampling + privacy)
        found = self._beyond(mean, met, sd, met_side=True) + self._beyond(mean, not_met, sd, met_side=False)
        return min(found, 1.0)

    def _beyond(self, mean: float, turn: float | None, sd: float, *, met_side: bool) -> float:
        if turn is None:
            return 0.0
        distance = (mean - turn) if (self.direction == "at_least") == met_side else (turn - mean)
        return float(special.ndtr(distance / sd)) if sd > 0 else float(distance >= 0)


def undecided_normal(
    bar: Bar,
    known: KnownNormal,
    *,
    patients: float | None,
    missing_share: float,
    budget: Budgeted,
    clock: Clock,
) -> Insufficient:
    """Explain an estimate that decides nothing.

    Args:
      bar: The rule at work on the bar that is nearest.
      known: The estimate.
      patients: Released patients behind it; None for a quantity without.
      missing_share: Of the outcomes, where the missing count as failures.
      budget: What the study had.
      clock: Review and sunset.
    """
    reason = _reason(known, missing_share)
    return Insufficient(
        reason=reason,
        text=TEXTS[reason],
        more_patients=_patients(bar, known, patients, budget.patient_cap),
        more_privacy=_privacy(bar, known, budget),
        review_on=clock.review_on,
        sunset=clock.sunset,
    )


def _reason(known: KnownNormal, missing_share: float) -> Reason:
    whole = known.sampling_variance + known.privacy_variance
    if known.privacy_variance > NOISE_DOMINATES * whole:
        return "privacy"
    if known.between_variance > DIFFERING * whole:
        return "heterogeneity"
    return "missingness" if missing_share > MANY_MISSING else "sampling"


def _assurance(bar: Bar, known: KnownNormal, factor: float, noise: float = 1.0) -> float:
    """Return the assurance of a study ``factor`` times as large with ``noise`` times the noise variance."""
    variance = known.sampling_variance + known.privacy_variance
    within = known.sampling_variance - known.between_variance
    return bar.conclusive(
        known.value,
        variance,
        known.between_variance + within / factor,
        noise * known.privacy_variance / factor**2,
    )


def _patients(bar: Bar, known: KnownNormal, patients: float | None, cap: int) -> PatientsRemedy:
    if known.between_variance > DIFFERING * (known.sampling_variance + known.privacy_variance):
        return PatientsRemedy(
            patients=None, more=None, assurance=None,
            text="More patients at the same sites do not change how far sites differ; more sites, or a "
            "standard for each kind of site, would.",
        )  # fmt: skip
    most = 1000.0 if patients is None else cap / max(patients, 1.0)
    factor = _smallest(lambda f: _assurance(bar, known, f), most)
    if factor is None:
        return PatientsRemedy(
            patients=None, more=None, assurance=None,
            text="What is believed today lies so near the threshold that no cohort up to the study's patient "
            "cap would probably decide.",
        )  # fmt: skip
    reached = _assurance(bar, known, factor)
    if patients is None:
        return PatientsRemedy(
            patients=None, more=None, assurance=round(reached, 3),
            text=f"About {factor:.1f} times as much data would be conclusive with probability {reached:.2f}, "
            "at today's noise.",
        )  # fmt: skip
    needed = math.ceil(factor * patients)
    return PatientsRemedy(
        patients=needed, more=max(needed - round(patients), 0), assurance=round(reached, 3),
        text=f"About {needed:,} patients in this group would be conclusive with probability {reached:.2f}, "
        "at today's noise.",
    )  # fmt: skip


def _smallest(reached: Callable[[float], float], most: float) -> float | None:
    few = many = 1.0
    while reached(many) < WANTED_ASSURANCE:
        if many >= most:
            return None
        few, many = many, min(2 * many, most)
    while many / few > 1.01:
        middle = math.sqrt(few * many)
        few, many = (few, middle) if reached(middle) >= WANTED_ASSURANCE else (middle, many)
    return many


def _privacy(bar: Bar, known: KnownNormal, budget: Budgeted) -> PrivacyRemedy:
    if known.privacy_variance <= NOISE_TARGET * known.sampling_variance:
        return PrivacyRemedy(
            sigma=None, epsilon=None, assurance=None,
            text="Privacy noise is already small beside the sampling error; less of it would change little.",
        )  # fmt: skip
    shrink = NOISE_TARGET * known.sampling_variance / known.privacy_variance
    if shrink <= 0:
        return PrivacyRemedy(
            sigma=None,
            epsilon=None,
            assurance=None,
            text="No study epsilon up to 20 would do with today's patients.",
        )
    reached = _assurance(bar, known, 1.0, shrink)
    rho = accounting.rho_units_for(budget.epsilon, budget.delta)
    epsilon = accounting.epsilon(math.ceil(rho / shrink), budget.delta)
    price = f"Study epsilon {epsilon:.2g}" if epsilon <= MAX_EPSILON else "More than study epsilon 20"
    return PrivacyRemedy(
        sigma=None,
        epsilon=round(epsilon, 6) if epsilon <= MAX_EPSILON else None,
        assurance=round(reached, 3),
        text=f"{price} would bring the noise to a quarter of the sampling variance; today's patients would "
        f"then be conclusive with probability {reached:.2f}; {GRANTED}.",
    )
