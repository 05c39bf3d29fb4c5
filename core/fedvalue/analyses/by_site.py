"""A mean or share at each site in one release, with a block of numbers per site.

A patient touches the numbers of its own site only: one cell of {known, missing}, y and ``2 y^2 - 1`` with y
scaled to [-1, 1], each block with the bound 1, whatever the number of sites. What comes out are noisy values
of single sites, so a site answers only if its policy says ``release_site_values``. `between_sites` has the
random effects. No sums of sites are released beside: they follow from these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import tally
from fedvalue.analyses.analysis import Ask, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.between_sites import BetweenSites, between_sites
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion, Estimate, Released, Stratum
from fedvalue.analyses.groups import EVERYBODY
from fedvalue.analyses.moments import chebyshev
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.score import Z95, inside, refused
from fedvalue.privacy.release import Block

WEIGHTS = {"patients": Fraction(35, 100), "first": Fraction(45, 100), "second": Fraction(20, 100)}
PUBLISHED = "Noisy values of single hospitals are published; each of them allows it."


NEW_HOSPITAL = "prediction for a new hospital"
BETWEEN_HOSPITALS = "standard deviation between hospitals"


@dataclass(frozen=True, slots=True)
class MeansBySite:
    """The analysis ``kind = "by_site"``.

    Attributes:
      quantity: What is averaged.
      sites: Ids of the sites in the roster's order.
    """

    quantity: Quantity
    sites: tuple[str, ...]

    @property
    def label(self) -> str:
        """Unique in the study."""
        return f"by_site:{self.quantity.name}"

    def rounds(self) -> tuple[Ask, ...]:
        """One release."""
        width = {"patients": 2}
        blocks = tuple(
            Block(name, len(self.sites) * width.get(name, 1), Fraction(1), counting=name == "patients")
            for name in WEIGHTS
        )
        return (Ask("sites", blocks, tuple(WEIGHTS.values())),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients in its own numbers; rows of no site on the roster count nowhere."""
        del ask
        count, place = len(self.sites), cohort.places
        placed = (place >= 0) & (place < count)
        values = self.quantity.values(cohort)
        known = np.isfinite(values)
        y, at = self.quantity.scaled(values), np.where(known & placed, place, -1)
        return {
            "patients": tally.counts(
                np.where(placed, 2 * np.where(placed, place, 0) + ~known, -1), 2 * count, scaling["patients"]
            ),
            "first": tally.sums(y, at, count, scaling["first"]),
            "second": tally.sums(chebyshev(y, 2), at, count, scaling["second"]),
        }

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Say what each site has, how far they differ and what a new one may expect."""
        released = sum_of(self.rounds()[0])
        strata = [self._site(i, name, released, terms) for i, name in enumerate(self.sites)]
        told = [stratum.estimates["mean"] for stratum in strata if stratum.status == "estimated"]
        values = np.array([e.value for e in told])
        variances = np.array([max(e.sampling_variance + e.privacy_variance, 1e-18) for e in told])
        whole = between_sites(values, variances)
        strata = _leave_one_out(strata, values, variances)
        return Conclusion(
            label=self.label, kind="by_site", endpoint=self.quantity.name, by=(),
            strata=(self._everybody(whole, told), *strata), notes=(PUBLISHED,),
        )  # fmt: skip

    def _site(self, i: int, name: str, released: NoisySum, terms: Terms) -> Stratum:
        counts, q = released["patients"], self.quantity
        n, missing = (
            Released(value=float(v), noise_variance=counts.variance) for v in counts.values[2 * i : 2 * i + 2]
        )
        stated = {"patients": n, "missing": missing}
        if (refusal := refused(name, n, terms, stated)) is not None:
            return refusal
        first, second = released["first"], released["second"]
        y = float(first.values[i]) / n.value
        power = (float(second.values[i]) / n.value + 1) / 2
        sampling = max(power - y**2, 1 / n.value) / n.value
        privacy = (first.variance + y**2 * n.noise_variance) / n.value**2
        half = Z95 * q.half * math.sqrt(sampling + privacy)
        # noise may carry it out of the public range
        value, lower, upper = inside(q.middle + q.half * y, half, q.low, q.high)
        mean = Estimate(
            value=value, unit=q.unit, lower=lower, upper=upper,
            sampling_variance=q.half**2 * sampling, privacy_variance=q.half**2 * privacy,
        )  # fmt: skip
        return Stratum(name=name, status="estimated", released=stated, estimates={"mean": mean})

    def _everybody(self, whole: BetweenSites | None, told: list[Estimate]) -> Stratum:
        if whole is None:
            return Stratum(name=EVERYBODY, status="not_estimable", reason="heterogeneity")
        q = self.quantity
        privacy = float(whole.weights**2 @ np.array([e.privacy_variance for e in told]))
        sampling = max(whole.variance - privacy, 0.0)

        def around(half: float) -> tuple[float, float]:
            return inside(whole.mean, half, q.low, q.high)[1:]

        (low, high), (least, most) = around(whole.half), around(whole.prediction)
        estimates = {
            "mean over hospitals": Estimate(
                value=whole.mean, unit=q.unit, lower=low, upper=high, sampling_variance=sampling,
                privacy_variance=privacy,
            ),
            NEW_HOSPITAL: Estimate(
                value=whole.mean, unit=q.unit, lower=least, upper=most,
                sampling_variance=sampling + whole.between**2, privacy_variance=privacy,
            ),
            BETWEEN_HOSPITALS: Estimate(
                value=whole.between, unit=q.unit, lower=whole.between_low, upper=whole.between_high,
                sampling_variance=((whole.between_high - whole.between_low) / (2 * Z95)) ** 2,
                privacy_variance=0.0,
            ),
        }  # fmt: skip
        return Stratum(name=EVERYBODY, status="estimated", estimates=estimates)


def _leave_one_out(
    strata: list[Stratum], values: NDArray[np.float64], variances: NDArray[np.float64]
) -> list[Stratum]:
    """Add to each site's stratum the mean over the others."""
    at, found = 0, []
    for stratum in strata:
        if stratum.status != "estimated":
            found.append(stratum)
            continue
        others = between_sites(np.delete(values, at), np.delete(variances, at))
        at += 1
        if others is None:
            found.append(stratum)
            continue
        without = Estimate(
            value=others.mean, unit=stratum.estimates["mean"].unit, lower=others.mean - others.half,
            upper=others.mean + others.half, sampling_variance=others.variance, privacy_variance=0.0,
        )  # fmt: skip
        estimates = {**stratum.estimates, "mean over the other hospitals": without}
        found.append(stratum.model_copy(update={"estimates": estimates}))
    return found
