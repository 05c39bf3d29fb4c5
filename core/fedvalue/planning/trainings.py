"""What a training will cost and how loud its rounds are, from public numbers alone.

Nobody can tell in advance how well a model will predict; how much noise its rounds carry can be told exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedvalue.analyses.training import Training
from fedvalue.planning.plan import Plan, PlannedRelease
from fedvalue.privacy import accounting, sampled
from fedvalue.privacy.accounting import NOTHING
from fedvalue.privacy.release import LOG2_SCALE


@dataclass(frozen=True, slots=True)
class TrainingProspect:
    """What to expect of one training.

    Attributes:
      label: Of the training.
      size: d, numbers of the model.
      rounds: At most.
      rate: Probability with which a patient enters a step.
      multiplier: z: standard deviation of the noise over the most that one person moves a sum.
      noise: Standard deviation of the noise in each number of a step's mean gradient, over the clip, with
        every site answering.
      epsilon: Number of rounds to the epsilon of the whole study if the training ended there.
    """

    label: str
    size: int
    rounds: int
    rate: float
    multiplier: float
    noise: float
    epsilon: Mapping[int, float]


def trainings_of(plan: Plan, patients: float) -> tuple[TrainingProspect, ...]:
    """Return what to expect of each training of a plan; nothing of a plan without noise.

    Args:
      plan: The plan.
      patients: Assumed patients of all sites together, for sums that are divided by a released number.
    """
    if plan.exact:
        return ()
    return tuple(_one(plan, one, patients) for one in plan.analyses if isinstance(one, Training))


def _one(plan: Plan, training: Training, patients: float) -> TrainingProspect:
    rounds = [release for release in plan.releases if _is_of(release, training)]
    others = [release for release in plan.releases if not _is_of(release, training)]
    first, question = rounds[0], training.question
    shares = 1 if first.local else first.scales.honest_shares
    z2 = sampled.multiplier_squared(first.scales.charged_bound_squared, honest_shares=shares)
    gamma = float(first.step_gamma or first.scales.gammas[0])
    if question.local is None:
        everybody, divided = plan.thresholds.sites, float(question.patients or max(patients, 1.0))
    else:
        everybody, divided = 1, float(question.local.patients)
    noise = everybody**0.5 * 2.0**LOG2_SCALE / gamma / (divided * float(question.rate)) / question.clip_norm
    rest = sum((release.price() for release in others), NOTHING)
    steps = sorted({max(1, len(rounds) * part // 4) for part in (1, 2, 3, 4)})
    return TrainingProspect(
        training.label, training.size, len(rounds), float(question.rate), float(z2) ** 0.5, noise,
        {
            number: accounting.epsilon_of(
                sampled.times(rest + sampled.times(first.price(), number), plan.attempts), plan.terms.delta
            )
            for number in steps
        },
    )  # fmt: skip


def _is_of(release: PlannedRelease, training: Training) -> bool:
    return release.drawn is not None and release.parts[0].analysis.label == training.label
