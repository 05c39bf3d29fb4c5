"""Regression of an outcome with a link: logistic, Poisson, Gamma, and two-part cost models.

A patient adds a bounded row ``r x`` to the score and ``h x x'`` to the curvature (`design`, `families`); the
coordinator solves (`newton`). ``answer = "prediction"`` stops after the first release: for a logistic model
the quadratic surrogate, biased towards 0 but nearly as good a score. ``answer = "coefficients"`` goes on and
gives intervals from the model's information and the noise. Poisson and Gamma intervals carry the Pearson
dispersion, a Poisson model's at least 1. `linear` has the model without a link.

Without noise coefficients, dispersion and standard errors are those of maximum likelihood on the pooled
patients (statsmodels' GLM with ``scale="X2"``), unless a clip, ``row_bound`` or ``largest_ratio`` bites.
Two-part: Duan, N. et al. A comparison of alternative models for the demand for medical care. Journal of
Business and Economic Statistics 1 (1983) 115-126.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import newton
from fedvalue.analyses.analysis import Ask, NoisyBlock, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.coefficients import Model, stratum
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.design import Design, packed, packed_size, unpacked
from fedvalue.analyses.estimate import Conclusion, Released
from fedvalue.analyses.families import Family, predictor
from fedvalue.analyses.groups import EVERYBODY
from fedvalue.analyses.newton import Search, Told
from fedvalue.analyses.outcome import COUNTS, Outcome, counts_of
from fedvalue.analyses.row_sums import row_sums
from fedvalue.privacy.release import Block

Array = NDArray[np.float64]
SMALL = Fraction(1, 10)
"""Weight of a block of counts or of a dispersion beside a score's 1."""


@dataclass(frozen=True, slots=True)
class ModelPart:
    """One model of a question; a two-part cost model has two.

    Attributes:
      name: Prefix of its blocks, and its stratum; empty for the only one.
      family: The model.
      outcome: ``value``: the outcome, over its largest; ``any``: whether it is above 0.
      who: Whom it is fitted on: everybody, or who has an outcome above 0.
    """

    name: str
    family: Family
    outcome: Literal["value", "any"] = "value"
    who: Literal["everybody", "above 0"] = "everybody"


@dataclass(frozen=True, slots=True)
class RegressionModel:
    """The analysis ``kind = "regression"`` with a link.

    Attributes:
      outcome: What is modelled.
      design: On what.
      parts: One model, or the two of a two-part cost model.
      prediction: True to stop after the first release.
      chosen: Sentence about who chose the model.
    """

    outcome: Outcome
    design: Design
    parts: tuple[ModelPart, ...]
    prediction: bool = False
    chosen: str = ""

    @property
    def label(self) -> str:
        """Unique in the study."""
        kind = "prediction" if self.prediction else "regression"
        model = "two_part" if len(self.parts) > 1 else self.parts[0].family.name
        return ":".join((kind, self.outcome.name, model, *(c.name for c in self.design.covariates)))

    def rounds(self) -> tuple[Ask, ...]:
        """The start; then scores at public coefficients, some with curvatures."""
        last = 1 if self.prediction else max(part.family.rounds for part in self.parts)
        return tuple(self._ask(number, last) for number in range(1, last + 1))

    def _ask(self, number: int, last: int) -> Ask:
        p, longest, one = len(self.design.names), self.design.longest, Fraction(1)
        blocks: list[tuple[Block, Fraction]] = []
        for part in self.parts:
            residual = Fraction(part.family.start_residual) if number == 1 else one
            blocks.append((Block(f"{part.name}score", p, longest * residual**2, counting=False), one))
            if number == 1 or number in part.family.curved or (part.family.curved and number == last):
                blocks.append(
                    (Block(f"{part.name}curvature", packed_size(p), longest**2, counting=False), one)
                )
            if part.family.disperses and number >= part.family.kept_from:
                blocks.append((Block(f"{part.name}pearson", 1, one, counting=False), SMALL))
        if number == 1:
            blocks.append((Block("counts", len(COUNTS), one, counting=True), SMALL))
        whole = sum((share for _, share in blocks), start=Fraction(0))
        weights = tuple(share / whole for _, share in blocks)
        public = 0 if number == 1 else p * len(self.parts)
        return Ask(f"round_{number}", tuple(block for block, _ in blocks), weights, public)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Sum the patients' rows; who lacks the outcome or a variable adds to a count only."""
        asked = {block.name for block in ask.blocks}
        public = np.array(ask.public).reshape(len(self.parts), -1) if ask.public else None

        def rows(part: slice) -> dict[str, Array]:
            matrix, weights, known = self.design.rows(cohort, part)
            values, has = self.outcome.values(cohort, part)
            counted = known & has
            found = {"counts": counts_of(values, counted)} if "counts" in asked else {}
            for number, model in enumerate(self.parts):
                mine = counted & (values > 0) if model.who == "above 0" else counted
                y = (
                    values / self.outcome.largest
                    if model.outcome == "value"
                    else (values > 0).astype(np.float64)
                )
                weight = weights * mine
                at = None if public is None else public[number]
                found |= _rows(model, asked, matrix, weight, y, at)
            return found

        return row_sums(cohort.patients, rows, ask, scaling)

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Search for the coefficients, round by round, and say what they are."""
        asks = self.rounds()
        first = sum_of(asks[0])
        searches = [self._begin(part, first) for part in self.parts]
        pearson: list[list[NoisyBlock]] = [[] for _ in self.parts]
        for ask in asks[1:]:
            going = [search for search in searches if search is not None]
            if len(going) < len(searches):
                break
            released = sum_of(ask.given(float(b) for search in going for b in search.at))
            for number, part in enumerate(self.parts):
                searches[number] = newton.step(going[number], self._told(part, released))
                if f"{part.name}pearson" in released:
                    pearson[number].append(released[f"{part.name}pearson"])
        counts = first["counts"]
        strata = tuple(
            stratum(self._model(part, search, first, told, counts, terms), terms)
            for part, search, told in zip(self.parts, searches, pearson, strict=True)
        )
        sizes = {
            name: Released(value=float(v), noise_variance=counts.variance)
            for name, v in zip(COUNTS, counts.values, strict=True)
        }
        head = strata[0].model_copy(update={"released": {**strata[0].released, **sizes}})
        return Conclusion(
            label=self.label, kind="regression", endpoint=self.outcome.name, by=(),
            strata=(head, *strata[1:]), notes=self._notes(),
        )  # fmt: skip

    def _begin(self, part: ModelPart, first: NoisySum) -> Search | None:
        """The first step: None where a mean is not above 0, so that it has no logarithm."""
        curvature, family = first[f"{part.name}curvature"], part.family
        gram, weight = unpacked(curvature.values, len(self.design.names)), family.start_weight
        score = first[f"{part.name}score"].values
        solved = np.linalg.solve(newton.lifted(gram, curvature.variance), score).astype(np.float64)
        if family.link == "logit":
            return newton.begin(solved / weight, gram * weight, curvature.variance * weight**2)
        if not solved[0] > 0:
            return None
        slopes = np.clip(solved[1:] / solved[0], -2.0, 2.0)
        start = np.concatenate([[math.log(solved[0])], slopes])
        return newton.begin(start, gram, curvature.variance)

    def _told(self, part: ModelPart, released: NoisySum) -> Told:
        family = part.family
        score, curvature = released[f"{part.name}score"], released.get(f"{part.name}curvature")
        g, variance = score.values * family.largest, score.variance * family.largest**2
        if curvature is None:
            return Told(g, variance)
        weight = family.largest_weight
        matrix = unpacked(curvature.values, len(self.design.names)) * weight
        return Told(g, variance, matrix, curvature.variance * weight**2)

    def _model(
        self, part: ModelPart, search: Search | None, first: NoisySum, pearson: list[NoisyBlock],
        counts: NoisyBlock, terms: Terms,
    ) -> Model:  # fmt: skip
        family, names = part.family, self.design.names
        cells = 1 if part.who == "above 0" else 2
        patients = float(counts.values[2 - cells : 2].sum())
        fitted: newton.Fitted | None = None
        if search is not None and self.prediction:
            fitted = _surrogate(search, first[f"{part.name}score"].variance)
        elif search is not None and search.told:  # without, the other part of the model could not go on
            fitted = newton.finish(search, exact=terms.exact, kept_from=family.kept_from)
        dispersion, variance = 1.0, 0.0
        if family.disperses and pearson:
            used = pearson[-1:] if terms.exact else pearson
            size = family.largest_pearson / max(patients - len(names), 1.0)
            found = size * float(np.mean([block.values[0] for block in used]))
            dispersion = max(found, family.least_dispersion)
            variance = size**2 * float(np.mean([block.variance for block in used])) / len(used)
        return Model(
            name=part.name.strip() or EVERYBODY, columns=names, fitted=fitted, patients=patients,
            patients_variance=cells * counts.variance, to_units=self.design.to_units(), unit=family.unit,
            ratio=family.ratio, shift=math.log(self.outcome.largest) if family.link == "log" else 0.0,
            dispersion=dispersion, dispersion_variance=variance, intervals=not self.prediction,
        )  # fmt: skip

    def _notes(self) -> tuple[str, ...]:
        notes = [self.chosen] if self.chosen else []
        if self.prediction:
            notes.append("For scoring only: these coefficients are biased and have no intervals.")
        if self.design.row_bound is not None:
            notes.append("Rows of the model longer than the study's row_bound count with less weight.")
        return (*notes, "Patients with an unknown value are left out.")


def _rows(
    model: ModelPart, asked: set[str], matrix: Array, weight: Array, outcome: Array, at: Array | None
) -> dict[str, Array]:
    """One model's rows; after the start each divided by its largest value."""
    family, found = model.family, {}
    if at is None:
        residual, curved = family.start(outcome), np.ones_like(outcome)
    else:
        eta = predictor(matrix, at)
        residual, curved = family.residual(outcome, eta), family.weight(eta)
        if f"{model.name}pearson" in asked:
            found[f"{model.name}pearson"] = (weight * family.pearson(outcome, eta))[:, None]
    found[f"{model.name}score"] = matrix * (weight * residual)[:, None]
    if f"{model.name}curvature" in asked:
        found[f"{model.name}curvature"] = packed(matrix, weight * curved)
    return found


def _surrogate(search: Search, score: float) -> newton.Fitted:
    """The fit after one release, with its privacy covariance."""
    lifted = newton.lifted(search.curvature, search.curvature_variance)
    inverse = np.linalg.inv(lifted).astype(np.float64)
    privacy = newton.surrogate_privacy(inverse, search.at, score, search.curvature_variance)
    return newton.Fitted(search.at, search.curvature, privacy, 0.0, 0.0, 0.0)
