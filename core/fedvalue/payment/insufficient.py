"""What insufficient evidence leads to: a reason, two remedies, and dates that end the waiting.

Insufficient evidence is an answer, not an error: the current standard is kept, the payer learns what would
resolve it, and the question comes back on a day that is fixed now. Where privacy noise is the obstacle the
remedy is a larger cohort, a coarser group or more privacy budget, never a lower price; budget is granted by
the sites' data officers and cannot be bought.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

from fedvalue.analyses.estimate import Reason, Stratum
from fedvalue.payment.decision import Insufficient, PatientsRemedy, PrivacyRemedy
from fedvalue.payment.operating import Rulebook, assurance, patients_needed
from fedvalue.payment.outcome_linked import Counts, Posterior
from fedvalue.privacy import accounting

WANTED_ASSURANCE = 0.8
"""Probability of a conclusive answer that the first remedy aims at."""

NOISE_TARGET = 0.25
"""V_dp / V_s that the second remedy aims at."""

NOISE_DOMINATES = 0.5
"""V_dp / V above which privacy is the reason."""

MANY_MISSING = 0.2
"""Share of missing outcomes, counted as failures, above which they are the reason."""

MAX_EPSILON = 20.0
"""Largest epsilon of a study."""

GRANTED = "the sites' data officers decide on it, and a payer cannot buy it"


@dataclass(frozen=True, slots=True)
class Clock:
    """Days that insufficient evidence fixes.

    Attributes:
      review_on: Day on which the question is asked again.
      sunset: Day from which the current standard may no longer be kept for lack of evidence.
    """

    review_on: date
    sunset: date


@dataclass(frozen=True, slots=True)
class Budgeted:
    """The privacy budget that a study had.

    Attributes:
      epsilon: Of the whole study.
      delta: Of the whole study.
      patient_cap: Public bound on the patients of all sites, the largest cohort there can be.
    """

    epsilon: float
    delta: float
    patient_cap: int


def undecided(
    book: Rulebook,
    counts: Counts,
    believed: Posterior,
    *,
    missing_share: float,
    budget: Budgeted,
    clock: Clock,
) -> Insufficient:
    """Explain an estimate that decides nothing.

    Args:
      book: The rule at work.
      counts: The released figures.
      believed: What they say of theta.
      missing_share: Released share of missing outcomes that count as failures, 0 where none do.
      budget: What the study spent.
      clock: Review and sunset.
    """
    reason = _reason(believed, missing_share)
    today = max(round(counts.total.value), 1)
    return Insufficient(
        reason=reason,
        text=TEXTS[reason],
        more_patients=_more_patients(book, counts, believed, today, budget.patient_cap),
        more_privacy=_more_privacy(book, counts, believed, today, budget),
        review_on=clock.review_on,
        sunset=clock.sunset,
    )


def too_few(*, minimum: int, released: float | None, clock: Clock) -> Insufficient:
    """Explain a group with fewer released patients than study or standard ask for.

    Args:
      minimum: Smallest released number of patients that counts.
      released: Released patients of the group, if known.
      clock: Review and sunset.
    """
    return Insufficient(
        reason="sampling",
        text=f"Fewer released patients than the {minimum:,} that are asked for.",
        more_patients=PatientsRemedy(
            patients=minimum,
            more=None if released is None else max(minimum - round(released), 0),
            assurance=None,
            text=f"At least {minimum:,} patients in this group are asked for; they may still decide nothing.",
        ),
        more_privacy=PrivacyRemedy(
            sigma=None, epsilon=None, text="Patients are missing; less privacy noise would not help."
        ),
        review_on=clock.review_on,
        sunset=clock.sunset,
    )


def not_estimable(stratum: Stratum, *, minimum: int, released: float | None, clock: Clock) -> Insufficient:
    """Explain a group whose noise is too large for an estimate.

    Args:
      stratum: The group, with what its analysis says would do.
      minimum: Smallest released number of patients that counts.
      released: Released patients of the group, if known.
      clock: Review and sunset.
    """
    reason, remedy = stratum.reason or "privacy", stratum.remedy
    epsilon = None if remedy is None else remedy.epsilon
    patients = None if remedy is None or remedy.patients is None else max(math.ceil(remedy.patients), minimum)
    more = None if patients is None or released is None else max(patients - round(released), 0)
    return Insufficient(
        reason=reason,
        text=TEXTS[reason],
        more_patients=PatientsRemedy(
            patients=patients,
            more=more,
            assurance=None,
            text="No number of patients can be given."
            if patients is None
            else f"An estimate needs about {patients:,} patients in this group; it may still decide nothing.",
        ),
        more_privacy=PrivacyRemedy(
            sigma=None,
            epsilon=epsilon,
            text="No study epsilon up to 20 would do with today's patients."
            if epsilon is None
            else f"A study epsilon of about {epsilon:.2g} would give an estimate; {GRANTED}.",
        ),
        review_on=clock.review_on,
        sunset=clock.sunset,
    )


def _reason(believed: Posterior, missing_share: float) -> Reason:
    whole = believed.sampling_variance + believed.privacy_variance
    if believed.privacy_variance > NOISE_DOMINATES * whole:
        return "privacy"
    return "missingness" if missing_share > MANY_MISSING else "sampling"


def _more_patients(
    book: Rulebook, counts: Counts, believed: Posterior, today: int, patient_cap: int
) -> PatientsRemedy:
    found = patients_needed(
        book, believed, from_patients=today, noise_variance=book.noise_variance(counts),
        wanted=WANTED_ASSURANCE, at_most=patient_cap,
    )  # fmt: skip
    if found is None:
        return PatientsRemedy(
            patients=None,
            more=None,
            assurance=None,
            text="What is believed today lies so near the threshold that no cohort up to the study's patient "
            "cap would probably decide.",
        )
    patients, reached = found
    return PatientsRemedy(
        patients=patients,
        more=max(patients - today, 0),
        assurance=round(reached, 3),
        text=f"About {patients:,} patients in this group would be conclusive with probability {reached:.2f}, "
        "at today's noise.",
    )


def _more_privacy(
    book: Rulebook, counts: Counts, believed: Posterior, today: int, budget: Budgeted
) -> PrivacyRemedy:
    mean = believed.mean
    sampling = mean * (1 - mean) / today
    noise = (1 - mean) ** 2 * counts.success.noise_variance + mean**2 * counts.other.noise_variance
    privacy = noise / today**2
    now = math.sqrt(counts.success.noise_variance)
    if privacy <= NOISE_TARGET * sampling:
        return PrivacyRemedy(
            sigma=round(now, 3),
            epsilon=None,
            assurance=None,
            text="Privacy noise is already small beside the sampling error; less of it would change little.",
        )
    shrink = NOISE_TARGET * sampling / privacy
    reached = assurance(book, believed, today, shrink * book.noise_variance(counts))
    rho = accounting.rho_units_for(budget.epsilon, budget.delta)
    epsilon = accounting.epsilon(math.ceil(rho / shrink), budget.delta)
    price = f"Study epsilon {epsilon:.2g}" if epsilon <= MAX_EPSILON else "More than study epsilon 20"
    return PrivacyRemedy(
        sigma=round(math.sqrt(shrink) * now, 3),
        epsilon=round(epsilon, 6) if epsilon <= MAX_EPSILON else None,
        assurance=round(reached, 3),
        text=f"{price} would bring the noise to a quarter of the sampling variance; today's patients would "
        f"then be conclusive with probability {reached:.2f}; {GRANTED}.",
    )


TEXTS: dict[Reason, str] = {
    "sampling": "Too few patients to tell on which side of the threshold the outcome lies.",
    "privacy": "Privacy noise is the larger part of the uncertainty. The remedy is a larger cohort, a "
    "coarser group or more privacy budget; this is no ground for a lower price.",
    "missingness": "More than a fifth of the outcomes are missing and count as failures.",
    "heterogeneity": "The sites differ too much for one answer.",
    "model": "The answer depends on how it is modelled.",
}
