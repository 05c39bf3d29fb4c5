"""``kind = "training"``: what the rounds of a training ask, and where their sums lead.

A round of ``dp_fedsgd`` releases the sum of the clipped gradients of those patients who were drawn, at public
parameters. Divided by a public number it is the mean gradient, and the server's optimiser takes a step. A
round of ``fedavg_local`` releases the sum of where the hospitals' own steps led, from the same public
parameters. Numeric features are scaled by released moments, so that no hospital scales by its own.

What a hospital computes needs a network and secret randomness and is not here: it is a `Learner`. What the
coordinator concludes is arithmetic on released sums, so whoever holds them finds the same model.

Abadi, M., and others. Deep learning with differential privacy. CCS 2016, algorithm 1. McMahan, H. B., and
others. Communication-efficient learning of deep networks from decentralized data. AISTATS 2017. Parameters
are averaged over the last rounds: Polyak, B., Juditsky, A., SIAM Journal on Control and Optimization 30
(1992).
"""

from __future__ import annotations

import math
from base64 import b64encode
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Ask, Drawn, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion, Released, Series, Stratum, TrainedModel
from fedvalue.analyses.groups import EVERYBODY
from fedvalue.analyses.row_sums import row_sums
from fedvalue.analyses.server_step import Begin, ReferenceOptimiser
from fedvalue.analyses.training_rows import COUNTS, Scaled, Target, moments, scaled_of
from fedvalue.errors import TooFewSites
from fedvalue.privacy.release import Block
from fedvalue.study.architectures import Architecture, Inputs, layers
from fedvalue.study.questions.training import Training as Question

Array = NDArray[np.float64]

GRID = 2.0**24
"""Parameters travel as multiples of ``1 / GRID``: the last bit of a machine's arithmetic does not matter."""

LARGEST_PARAMETER = 2.0**20
"""Where parameters are clamped: a training that runs away stays a training of finite numbers."""

MOMENTS_WEIGHT = Fraction(9, 10)
"""Share of the moments in the scaling release; the counts have the rest."""


@dataclass(frozen=True, slots=True)
class Training:
    """One training of a study.

    Attributes:
      question: As the study asks it.
      inputs: What the model reads, not scaled yet.
      target: The outcome.
      genes: Each gene with the features that are its variants.
      begin: Makes the server's optimiser.
    """

    question: Question
    inputs: Inputs
    target: Target
    genes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    begin: Begin = ReferenceOptimiser

    @property
    def label(self) -> str:
        """Unique in the study."""
        return f"training:{self.question.name}"

    @property
    def architecture(self) -> Architecture:
        """The architecture that the study names."""
        return self.question.architecture

    @property
    def size(self) -> int:
        """d, numbers of the model."""
        return sum(layer.size for layer in layers(self.architecture, self.inputs))

    @property
    def shared(self) -> NDArray[np.bool_]:
        """Which numbers of the model leave a site, shape ``(d,)``: all but those of a personal head."""
        local = self.question.local
        personal = local is not None and local.personal_head
        parts = [
            np.full(one.size, not (personal and one.head)) for one in layers(self.architecture, self.inputs)
        ]
        return np.concatenate(parts)

    @property
    def drawn(self) -> Drawn:
        """How patients enter a round."""
        return Drawn(self.question.rate, 0 if self.question.local is None else self.question.local.steps)

    def rounds(self) -> tuple[Ask, ...]:
        """The moments, where features are scaled by them; then the rounds, all alike."""
        moments_ask = (self._moments(),) if self.question.scaling == "moments" else ()
        return (*moments_ask, *(self._round(number) for number in range(1, self.question.rounds + 1)))

    def _moments(self) -> Ask:
        count = Block("counts", len(COUNTS), Fraction(1), counting=True)
        share = Fraction(str(self.question.scaling_share))
        columns = len(self.inputs.numeric)
        if not columns:
            return Ask("moments", (count,), (Fraction(1),), share=share)
        block = Block("moments", 3 * columns, Fraction(3 * columns), counting=False)
        return Ask("moments", (block, count), (MOMENTS_WEIGHT, 1 - MOMENTS_WEIGHT), share=share)

    def _round(self, number: int) -> Ask:
        name = "gradient" if self.question.local is None else "update"
        block = Block(name, self.size, self.question.clip**2, counting=False, summed=True)
        public = self.size + 2 * len(self.inputs.numeric)
        return Ask(f"round_{number}", (block,), (Fraction(1),), public, drawn=self.drawn)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """The sums of the moments, over patients with an outcome; a round's is a `Learner`'s."""
        everybody = self.target.known(cohort)

        def rows(part: slice) -> dict[str, Array]:
            known = everybody[part]
            found = {"counts": np.column_stack((known, ~known)).astype(np.float64)}
            if self.inputs.numeric:
                found["moments"] = moments(self.inputs, cohort, part, known)
            return found

        return row_sums(cohort.patients, rows, ask, scaling)

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Follow the rounds as far as they were released, and give the model."""
        asks = list(self.rounds())
        first = sum_of(asks.pop(0)) if self.question.scaling == "moments" else None
        scaled = scaled_of(self.inputs, first)
        patients, released = self._patients(first)
        path = [start(self.architecture, self.inputs, self.question.seed)]
        norms: list[float] = []
        optimiser, ended = self.begin(self.question.optimiser), False
        for ask in asks if patients is not None else []:
            try:
                found = sum_of(ask.given([*path[-1], *scaled.centers, *scaled.spreads]))
            except TooFewSites:
                ended = True
                break
            direction = self._direction(found, patients or 1.0)
            norms.append(float(np.linalg.norm(direction)))
            path.append(on_grid(optimiser.step(path[-1], direction)))
        return self._conclusion(path, norms, scaled, released, terms, ended=ended)

    def _patients(self, first: NoisySum | None) -> tuple[float | None, dict[str, Released]]:
        """What sums are divided by, less the sampling rate; None where too few were released to go on."""
        if first is None:
            return float(self.question.patients or 1), {}
        block = first["counts"]
        told = {
            name: Released(value=float(value), noise_variance=block.variance)
            for name, value in zip(COUNTS, block.values, strict=True)
        }
        if self.question.patients is not None:
            return float(self.question.patients), told
        known = float(block.values[0])
        return (known if known >= 1 else None), told

    def _direction(self, found: NoisySum, patients: float) -> Array:
        """Where a round leads: minus the mean gradient, or the mean update of the sites that answered."""
        if self.question.local is not None:
            block = found["update"]
            return np.where(self.shared, block.values / max(block.shares, 1), 0.0)
        return -found["gradient"].values / (float(self.question.rate) * patients)

    def _conclusion(
        self, path: list[Array], norms: list[float], scaled: Scaled, released: dict[str, Released],
        terms: Terms, *, ended: bool,
    ) -> Conclusion:  # fmt: skip
        done, planned = len(norms), self.question.rounds
        last = max(1, math.ceil(self.question.average * done))
        parameters = on_grid(np.mean(path[-last:], axis=0)) if done else path[0]
        trained = done > 0 and bool(np.all(np.abs(parameters) < LARGEST_PARAMETER))
        notes = [f"{done} of {planned} rounds were released and paid for."]
        if ended:
            notes.append("The training ended early: too few hospitals answered the next round.")
        if last > 1:
            notes.append(f"The model is the mean of the parameters of the last {last} rounds.")
        if not trained:
            notes.append("There is no model: the rounds led nowhere.")
        stratum = Stratum(
            name=EVERYBODY, status="estimated" if trained else "not_estimable", released=released,
            reason=None if trained else "privacy", series=_norms(norms),
        )  # fmt: skip
        return Conclusion(
            label=self.label, kind="training", endpoint=self.question.outcome, by=(), strata=(stratum,),
            notes=tuple(notes), model=self._model(parameters, scaled, done, terms) if trained else None,
        )  # fmt: skip

    def _model(self, parameters: Array, scaled: Scaled, done: int, terms: Terms) -> TrainedModel:
        shape: dict[str, Any] = self.architecture.model_dump(mode="json")
        return TrainedModel(
            name=self.question.name, architecture=shape, rounds=done, rounds_planned=self.question.rounds,
            centers=scaled.centers, spreads=scaled.spreads, private=not terms.exact,
            parameters=b64encode(parameters.astype("<f8").tobytes()).decode(),
        )  # fmt: skip


def start(architecture: Architecture, inputs: Inputs, seed: int) -> Array:
    """Return the public parameters that a training starts from, shape ``(d,)``.

    Layers with a fan-in are uniform with variance ``1 / fan-in`` (LeCun, Bottou, Orr, Muller, Efficient
    BackProp, 1998, section 4.6), the others start at their public value.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for layer in layers(architecture, inputs):
        if layer.fan_in:
            reach = (3.0 / layer.fan_in) ** 0.5
            parts.append(rng.uniform(-reach, reach, layer.size))
        else:
            parts.append(np.full(layer.size, layer.start))
    return on_grid(np.concatenate(parts))


def on_grid(parameters: Array) -> Array:
    """Return the nearest parameters that travel; what is not a number is 0."""
    finite = np.nan_to_num(parameters, nan=0.0, posinf=LARGEST_PARAMETER, neginf=-LARGEST_PARAMETER)
    found: Array = np.rint(np.clip(finite, -LARGEST_PARAMETER, LARGEST_PARAMETER) * GRID) / GRID + 0.0
    return found


def _norms(norms: list[float]) -> dict[str, Series]:
    """How long each round's step direction was, noise and all: free, for it was released."""
    if not norms:
        return {}
    x = tuple(float(number) for number in range(1, len(norms) + 1))
    return {"direction": Series(x=x, x_unit="rounds", values=tuple(norms), unit="length")}
