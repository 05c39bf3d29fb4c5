"""Linear regression from one release: ``X'X``, ``X'y`` and ``y'y``.

Outcome and columns run from -1 to 1 over their public clips. The coefficients solve ``X'X b = X'y``. Their
sampling covariance is ``s^2 (X'X)^-1``; their privacy covariance ``(X'X)^-1 (V_y + V_x(b)) (X'X)^-1`` holds
the noise of ``X'y`` and of ``X'X b`` (delta method, our derivation). Without noise both are those of
statsmodels' OLS on the pooled patients, unless a clip or ``row_bound`` bites.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import newton
from fedvalue.analyses.analysis import Ask, Scaling, SumOf, Terms
from fedvalue.analyses.coefficients import Model, stratum
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.design import Design, packed, packed_size, unpacked
from fedvalue.analyses.estimate import Conclusion, Released
from fedvalue.analyses.groups import EVERYBODY
from fedvalue.analyses.newton import Fitted
from fedvalue.analyses.outcome import COUNTS, Outcome, counts_of
from fedvalue.analyses.row_sums import row_sums
from fedvalue.privacy.release import Block

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LinearModel:
    """The analysis ``kind = "regression"`` without a link.

    Attributes:
      outcome: A numeric variable.
      design: On what.
      prediction: True for coefficients without intervals.
      chosen: Sentence about who chose the model.
    """

    outcome: Outcome
    design: Design
    prediction: bool = False
    chosen: str = ""

    @property
    def label(self) -> str:
        """Unique in the study."""
        kind = "prediction" if self.prediction else "regression"
        return ":".join((kind, self.outcome.name, "linear", *(c.name for c in self.design.covariates)))

    @property
    def _middle(self) -> tuple[float, float]:
        """Middle and half width of the outcome's clip."""
        low, high = self.outcome.clip or (0.0, 1.0)
        return (low + high) / 2, (high - low) / 2

    def rounds(self) -> tuple[Ask, ...]:
        """One release of the second moments of columns and outcome, and of who counts."""
        p, longest = len(self.design.names), self.design.longest
        blocks = (
            Block("curvature", packed_size(p), longest**2, counting=False),
            Block("score", p, longest, counting=False),
            Block("square", 1, Fraction(1), counting=False),
            Block("counts", len(COUNTS), Fraction(1), counting=True),
        )
        return (Ask("moments", blocks, tuple(Fraction(n, 10) for n in (5, 3, 1, 1))),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Sum the patients' products; who lacks the outcome or a variable adds to a count only."""
        middle, half = self._middle

        def rows(part: slice) -> dict[str, Array]:
            matrix, weights, known = self.design.rows(cohort, part)
            values, has = self.outcome.values(cohort, part)
            counted = known & has
            weight, y = weights * counted, (values - middle) / half
            return {
                "curvature": packed(matrix, weight),
                "score": matrix * (weight * y)[:, None],
                "square": (weight * y**2)[:, None],
                "counts": counts_of(values, counted),
            }

        return row_sums(cohort.patients, rows, ask, scaling)

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Solve the normal equations."""
        told = sum_of(self.rounds()[0])
        counts, (middle, half), p = told["counts"], self._middle, len(self.design.names)
        patients = float(counts.values[:2].sum())
        gram = unpacked(told["curvature"].values, p)
        noise = told["curvature"].variance
        lifted = newton.lifted(gram, noise if self.prediction else 0.0)
        inverse = np.linalg.inv(lifted).astype(np.float64)
        score = told["score"].values
        beta: Array = inverse @ score
        ratio = newton.noise_ratio(gram, noise)
        residual = float(told["square"].values[0] - 2 * beta @ score + beta @ gram @ beta)
        degrees = max(patients - p, 1.0)
        squared = float(beta @ beta)
        spread = told["square"].variance + 4 * squared * told["score"].variance + squared**2 * noise
        privacy = newton.surrogate_privacy(inverse, beta, told["score"].variance, noise)
        fitted = Fitted(beta, gram, privacy, ratio, 0.0, 0.0)
        model = Model(
            name=EVERYBODY, columns=self.design.names, fitted=fitted, patients=patients,
            patients_variance=2 * counts.variance, to_units=self.design.to_units(), unit=self.outcome.unit,
            scale=half, shift=middle, dispersion=max(residual, 0.0) / degrees,
            dispersion_variance=spread / degrees**2, intervals=not self.prediction,
        )  # fmt: skip
        sizes = {
            name: Released(value=float(v), noise_variance=counts.variance)
            for name, v in zip(COUNTS, counts.values, strict=True)
        }
        found = stratum(model, terms)
        found = found.model_copy(update={"released": {**found.released, **sizes}})
        notes = [self.chosen] if self.chosen else []
        if self.design.row_bound is not None:
            notes.append("Rows of the model longer than the study's row_bound count with less weight.")
        return Conclusion(
            label=self.label, kind="regression", endpoint=self.outcome.name, by=(), strata=(found,),
            notes=(*notes, "Patients with an unknown value are left out."),
        )  # fmt: skip
