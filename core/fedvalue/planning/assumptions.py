"""What is assumed of patients before a study is asked: public numbers, and made-up patients drawn from them.

Nothing here comes from a hospital. Whoever plans states what is known from the literature or the registry;
what is left out is taken as spread evenly. The patients that are drawn have no effects in them: they are
there to show how wide an interval will be, not where it will lie.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.errors import StudyInvalid
from fedvalue.study.cohort import Variable
from fedvalue.study.endpoints import Binary, TimeToEvent
from fedvalue.study.model import Duration, Name, Part, duration_days
from fedvalue.study.questions.question import Measured
from fedvalue.study.schema import Study
from fedvalue.study.toml import load_toml

PATIENTS_PER_SITE = 1_000
"""Patients of one site, where nothing is stated."""

MOST_PATIENTS = 1_000_000
_SPREAD = 4.0
"""Concentration of the Beta distribution of a number inside its clip."""

_NONE = 0.1
"""Share of patients without any of an amount of money whose clip starts at 0."""

_DELAY = 0.15
"""Mean delay until a genomic report, over the length of follow-up."""


class Assumptions(Part):
    """Public assumptions; every one of them may be left out.

    Attributes:
      patients: Of all sites together, in the cohort; left out: 1,000 a site, at most ``patient_cap``.
      missing: Share of values that are unknown, in each variable and endpoint.
      difference: What the study should be able to tell: a difference of so much in a probability, and of
        this share of the value in everything else.
      shares: Variable to the shares of its levels, in their order, together at most 1; the rest is unknown.
      rates: Binary endpoint to its probability.
      means: Numeric variable to its mean, inside its clip.
      medians: Time-to-event endpoint to the median time to its first event.
      none: Amount of money whose clip starts at 0 to the share of patients with none; left out: a tenth.
    """

    patients: int | None = Field(default=None, ge=10, le=MOST_PATIENTS)
    missing: float = Field(default=0.05, ge=0, le=0.9)
    difference: float = Field(default=0.1, gt=0, le=1)
    shares: dict[Name, Annotated[tuple[float, ...], Field(strict=False)]] = {}
    rates: dict[Name, float] = {}
    means: dict[Name, float] = {}
    medians: dict[Name, Duration] = {}
    none: dict[Name, Annotated[float, Field(ge=0, lt=1)]] = {}

    @model_validator(mode="after")
    def _probabilities(self) -> Self:
        for name, shares in self.shares.items():
            if min(shares, default=0.0) < 0 or sum(shares) > 1 + 1e-9:
                raise ValueError(f"shares.{name}: shares are 0 or more and add to 1 at most")
        for name, rate in self.rates.items():
            if not 0 <= rate <= 1:
                raise ValueError(f"rates.{name}: a probability lies between 0 and 1")
        return self

    def require_fits(self, study: Study) -> None:
        """Check every name against the study.

        Raises:
          StudyInvalid: a name that the study does not measure so, or a value outside its public range.
        """
        try:
            self._fit(study.measured)
        except ValueError as error:
            raise StudyInvalid(
                str(error), where="assumptions", do="name what the study measures, or leave it out"
            ) from error

    def _fit(self, measured: Measured) -> None:
        for name, shares in self.shares.items():
            levels = measured.levels(name, "shares")
            if len(shares) != len(levels):
                raise ValueError(f"shares.{name}: {len(shares)} shares for the levels {list(levels)}")
        for name in self.rates:
            measured.binary(name, "rates")
        for name, mean in self.means.items():
            low, high = measured.number(name, "means")
            if not low < mean < high:
                raise ValueError(f"means.{name}: {mean:g} does not lie inside the clip {low:g} to {high:g}")
        for name in self.medians:
            measured.time_to_event(name, "medians")
        for name in self.none:
            if measured.number(name, "none")[0] != 0:
                raise ValueError(f"none.{name}: an amount of 0 does not lie inside its clip")

    def patients_of(self, study: Study, sites: int) -> int:
        """Return how many patients are assumed."""
        cap = min(study.privacy.patient_cap, MOST_PATIENTS)
        return min(self.patients or PATIENTS_PER_SITE * sites, cap)


def load_assumptions(path: Path) -> Assumptions:
    """Read a file of assumptions.

    Raises:
      StudyInvalid: unreadable, not TOML, an unknown key or a value out of range.
    """
    return load_toml(
        path,
        Assumptions,
        failure=StudyInvalid,
        what="the file of assumptions",
        do="see docs/study-file.md, Planning",
    )


def draw(study: Study, assumed: Assumptions, patients: int, rng: np.random.Generator) -> Cohort:
    """Draw made-up patients of everything that a study measures.

    Args:
      study: The study.
      assumed: What is assumed.
      patients: How many.
      rng: Draws.
    """
    categories, numbers, binary, survival = {}, {}, {}, {}
    for name, variable in sorted(study.variables.items()):
        if variable.categorical:
            categories[name] = _levels(name, variable, assumed, patients, rng)
        else:
            numbers[name] = _numbers(name, variable, assumed, patients, rng)
    for name, endpoint in sorted(study.endpoints.items()):
        if isinstance(endpoint, Binary):
            status = (rng.random(patients) < assumed.rates.get(name, 0.5)).astype(np.int64)
            binary[name] = BinaryOutcome(np.where(rng.random(patients) < assumed.missing, -1, status))
        else:
            survival[name] = _times(name, endpoint, assumed, patients, rng)
    return Cohort(patients, categories, numbers, binary, survival)


def _levels(
    name: str, variable: Variable, assumed: Assumptions, patients: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    count = len(variable.levels)
    known = (1 - assumed.missing) / count
    shares = np.array(assumed.shares.get(name, (known,) * count))
    drawn = np.searchsorted(np.cumsum(shares), rng.random(patients), side="right")
    return np.where(drawn < count, drawn, -1).astype(np.int64)


def _numbers(
    name: str, variable: Variable, assumed: Assumptions, patients: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    low, high = variable.clip or (0.0, 1.0)
    share = assumed.none.get(name, _NONE if variable.claims is not None and low == 0 else 0.0)
    # the mean is that of everybody, those with none among them
    middle = min((assumed.means.get(name, low + (high - low) / 3) - low) / (high - low) / (1 - share), 0.99)
    values = low + (high - low) * rng.beta(_SPREAD * middle, _SPREAD * (1 - middle), patients)
    if share:
        values = np.where(rng.random(patients) < share, 0.0, values)
    return np.where(rng.random(patients) < assumed.missing, np.nan, values)


def _times(
    name: str, endpoint: TimeToEvent, assumed: Assumptions, patients: int, rng: np.random.Generator
) -> SurvivalOutcome:
    """Exponential times; follow-up ends evenly between half of the horizon and its end."""
    last = endpoint.edges[-1]
    median = duration_days(assumed.medians[name]) if name in assumed.medians else last / 2
    times = np.ceil(rng.exponential(median / np.log(2), patients))
    stop = np.ceil(rng.uniform(last / 2, last, patients))
    delayed = endpoint.entry != "origin"
    entry = np.floor(rng.exponential(_DELAY * last, patients)) * (rng.random(patients) < 0.5) * delayed
    kind = rng.integers(1, len(endpoint.events) + 1, patients)
    event = np.where(times <= stop, kind, 0)
    unknown = rng.random(patients) < assumed.missing
    return SurvivalOutcome(entry, np.minimum(times, stop), np.where(unknown, -1, event).astype(np.int64))
