"""The site half of a training: who is drawn, and what leaves of their gradients.

Torch is loaded when the first round of a training is answered, and by nothing else at a site. Which patients
are drawn is as secret as the noise: it comes from the same source, is used once and kept nowhere.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Analysis, Ask, Learner, Scaling
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.training import Training
from fedvalue.errors import OutputError, PrivacyError, SiteFault
from fedvalue.planning.planned import LARGEST_UPDATE, PlannedRelease
from fedvalue.privacy import sampled
from fedvalue.privacy.randomness import NoiseSource
from fedvalue.study.architectures import Inputs

if TYPE_CHECKING:
    from fedvalue.strategies.training.models.network import Rows

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


def learner_of(release: PlannedRelease, noise: NoiseSource, *, keep: Path | None = None) -> Learner | None:
    """Return what trains for a release; None where nobody is drawn for it.

    Args:
      release: The planned release.
      noise: Draws patients, and the noise of a site's own steps.
      keep: Folder of the study at this site, where a personal head stays; None keeps none.
    """
    if release.drawn is None:
        return None
    return SiteLearner(release, noise, keep)


@dataclass(frozen=True, slots=True)
class SiteLearner:
    """Trains for one release at one site.

    Attributes:
      release: The planned release; its scales are what the ledger was charged for.
      noise: Draws patients, and the noise of a site's own steps.
      keep: Where a personal head stays.
    """

    release: PlannedRelease
    noise: NoiseSource = field(repr=False)
    keep: Path | None = None

    def contribution(
        self, analysis: Analysis, cohort: Cohort, ask: Ask, scaling: Scaling, step_gamma: Fraction | None
    ) -> dict[str, Integers]:
        """Return the integer sum of a round; see `fedvalue.analyses.analysis.Learner`.

        Raises:
          PrivacyError: the analysis is no training, or this machine's products are not fit for one. No
            refusal depends on patients.
          SiteFault: what trains is not installed here.
        """
        if not isinstance(analysis, Training):
            raise PrivacyError("patients are drawn for a training alone", where=analysis.label)
        size, columns = analysis.size, len(analysis.inputs.numeric)
        public = np.array(ask.public)
        centers, spreads = public[size : size + columns], public[size + columns :]
        inputs = analysis.inputs.scaled(tuple(centers.tolist()), tuple(spreads.tolist()))
        block = ask.blocks[0].name
        gamma = scaling[block]
        if analysis.question.local is None:
            return {block: self._gradient(analysis, inputs, public[:size], cohort, gamma)}
        found = self._update(analysis, inputs, public[:size], cohort, step_gamma or Fraction(1))
        # steps that public settings let run away overflow, and what is no number is none for anybody
        inside = np.clip(np.nan_to_num(found), -LARGEST_UPDATE, LARGEST_UPDATE)
        return {block: np.rint(inside * float(gamma)).astype(np.int64)}

    def _gradient(
        self, training: Training, inputs: Inputs, parameters: Array, cohort: Cohort, gamma: Fraction
    ) -> Integers:
        with _installed():
            from fedvalue.strategies.training.models import clipped
        drawn = drawn_of(self.noise, cohort.patients, training.question.rate)
        rows = rows_of(training, cohort).take(drawn)
        clip = float(training.question.clip)
        # that this sum is exact enough was settled by the plan, with the public cap: nothing here may refuse
        total = clipped.gradient_sum(training.architecture, inputs, parameters, rows, clip)
        return clipped.quantised(total, float(gamma))

    def _update(
        self, training: Training, inputs: Inputs, parameters: Array, cohort: Cohort, gamma: Fraction
    ) -> Array:
        with _installed():
            from fedvalue.strategies.training.models import clipped
            from fedvalue.strategies.training.models import local as steps
        question, local = training.question, training.question.local
        if local is None:
            raise PrivacyError("the training takes no steps at a site", where=training.label)
        # the multiplier that the plan's scale has by the steps' own formula, and a hair more noise
        bound = clipped.patient_bound(float(gamma), float(question.clip), len(parameters)) - 2
        multiplier = float(sampled.multiplier_squared(max(bound, 1) ** 2, honest_shares=1)) ** 0.5
        plan = steps.LocalPlan(
            steps=local.steps, sampling_rate=float(question.rate),
            denominator=float(question.rate) * local.patients, clip_norm=float(question.clip),
            noise_multiplier=multiplier, learning_rate=local.rate, proximal=local.mu,
            personal_head=local.personal_head,
        )  # fmt: skip
        source: NoiseSource | steps.UnsafeFloatNoise = self.noise
        if self.release.exact:
            # a simulation without noise: floating-point noise too small to be seen stands for none
            seed = int(self.noise.words(1)[0] >> np.uint64(33))
            source, plan = steps.UnsafeFloatNoise(seed), replace(plan, noise_multiplier=1e-12)
        elif steps.step_scale(plan, len(parameters)) > gamma:
            raise PrivacyError("a step would move more than the plan charges", where=self.release.label)
        head = self._head(training)
        made = steps.local_steps(
            training.architecture, inputs, parameters, rows_of(training, cohort), plan, source, head
        )
        if local.personal_head:
            self._keep_head(training, made.head)
        return made.update

    def _place(self, training: Training) -> Path | None:
        return None if self.keep is None else self.keep / f"head-{training.question.name}.npy"

    def _head(self, training: Training) -> Array | None:
        place = self._place(training)
        if place is None or training.question.local is None or not training.question.local.personal_head:
            return None
        try:
            return np.asarray(np.load(place, allow_pickle=False), dtype=np.float64)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise SiteFault("the personal head cannot be read") from error

    def _keep_head(self, training: Training, head: Array) -> None:
        place = self._place(training)
        if place is None:
            return
        try:
            number, name = tempfile.mkstemp(dir=place.parent, prefix=".head")
            with os.fdopen(number, "wb") as file:
                np.save(file, head)
            Path(name).replace(place)
        except OSError as error:
            raise OutputError(
                f"the personal head cannot be kept: {error.strerror}", where=str(place)
            ) from error


def drawn_of(noise: NoiseSource, patients: int, rate: Fraction) -> Integers:
    """Draw each patient with probability q, rounded down to a multiple of 2^-64; return who was drawn.

    Args:
      noise: Whose words nobody else can repeat.
      patients: How many there are.
      rate: q, above 0 and at most 1.
    """
    if rate == 1:
        return np.arange(patients, dtype=np.int64)
    below = rate * 2**64
    chosen = noise.words(patients) < np.uint64(below.numerator // below.denominator)
    return np.flatnonzero(chosen).astype(np.int64)


def rows_of(training: Training, cohort: Cohort) -> Rows:
    """Return a site's patients as a network takes them; what is not known is marked, never an error."""
    from fedvalue.strategies.training.models.network import Rows

    n, inputs = cohort.patients, training.inputs
    unknown, none = np.full(n, np.nan), np.full(n, -1, dtype=np.int64)
    numeric = [cohort.numbers.get(column.name, unknown) for column in inputs.numeric]
    coded = [cohort.categories.get(column.name, none) for column in inputs.coded]
    # levels of a variant are mutated, wild type, not tested: 1, 0, nobody looked
    variants = [
        np.where((codes := cohort.categories.get(name, none)) == 0, 1, np.where(codes == 1, 0, -1))
        for _, names in training.genes
        for name in names
    ]
    columns = (
        np.column_stack(numeric) if numeric else np.zeros((n, 0)),
        np.column_stack(coded).astype(np.int64) if coded else np.zeros((n, 0), dtype=np.int64),
        np.column_stack(variants).astype(np.int64) if variants else np.zeros((n, 0), dtype=np.int64),
    )
    if training.target.kind == "time":
        entry, last, event = training.target.intervals(cohort)
        return Rows(*columns, interval=last, event=event, entry=entry)
    return Rows(*columns, outcome=training.target.values(cohort))


@contextmanager
def _installed() -> Iterator[None]:
    """Refuse in the site's own words where torch is not there."""
    try:
        yield
    except ImportError as error:
        raise SiteFault("this site cannot train: fedvalue[train] is not installed") from error
