"""Neighbouring data sets: does one patient ever move a release by more than is charged for the patient?

A pair is a site's cohort with one patient and without. Everybody's rows are drawn for whatever a study
measures, some as an honest table holds them and some as no honest table does: not a number, infinite, huge,
denormal, exactly on an edge of the grid or one step beside it, codes of no level. Both go through the planned
release, all of its blocks together, with public numbers that a coordinator might have sent; the difference
of the two integer vectors is held against the bound exactly. One pair in five has the patient at two or three
sites, with different rows at each, against the bound of so many sites.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.errors import FedValueError
from fedvalue.planning.plan import MOST_PUBLIC, PlannedRelease
from fedvalue.study.endpoints import Binary, TimeToEvent
from fedvalue.study.schema import Study

DRAWN = ("patients", "categories", "numbers", "binary", "survival", "lost", "site")
"""The fields of a cohort that are drawn here."""

FLOATS = (
    np.nan, np.inf, -np.inf, 1.7976931348623157e308, -1e300, 1e300, 5e-324, -5e-324, 1e-9, 0.0, -0.0, -1.0,
    2.0**53,
)  # fmt: skip
CODES = (-(2**63), 2**63 - 1, -(2**31), 2**31, -9, -2, -1, 0, 1, 2, 3, 99)
MOST_PATIENTS = 11
STRANGE = (0.0, 0.3, 1.0)
"""Share of rows in a cohort that hold what no honest table holds; each as often."""

LEFT_OUT = 1 / 8
"""Share of pairs in which the patient was not selected."""

SCALING = (1.0, 1e-12, 1e3, 1e9, MOST_PUBLIC)


@dataclass(frozen=True, slots=True)
class Moved:
    """What the pairs of one release did.

    Attributes:
      pairs: How many.
      largest: Largest squared distance over its bound; 1 is the bound.
      over: Pairs in which a block or the release moved by more than its bound.
      failed: Pairs in which a contribution raised an error, a warning, or had another shape.
      first: What the first of these was; empty if there is none.
    """

    pairs: int
    largest: float
    over: int
    failed: int
    first: str


def draw(study: Study, rng: np.random.Generator, bad: NDArray[np.bool_]) -> Cohort:
    """Draw rows of whatever a study measures.

    Args:
      study: The study.
      rng: Draws.
      bad: Which rows hold what no honest table holds, shape ``(patients,)``.

    Raises:
      LookupError: a cohort, or an endpoint, has something that is not drawn here.
    """
    if missing := [field.name for field in fields(Cohort) if field.name not in DRAWN]:
        raise LookupError(f"a cohort has {', '.join(missing)}, and {__name__} draws none")
    patients = len(bad)
    categories, numbers = {}, {}
    binary, survival = {}, {}
    for name, variable in study.variables.items():
        if variable.clip is None:
            level = rng.integers(-1, len(variable.levels), patients)
            categories[name] = np.where(bad, rng.choice(np.array(CODES), patients), level)
        else:
            numbers[name] = _numbers(rng, bad, variable.clip)
    for name, endpoint in study.endpoints.items():
        if isinstance(endpoint, Binary):
            status = rng.integers(-1, 2, patients)
            binary[name] = BinaryOutcome(np.where(bad, rng.choice(np.array(CODES), patients), status))
        elif isinstance(endpoint, TimeToEvent):
            survival[name] = _survival(rng, bad, endpoint)
        else:
            raise LookupError(f"no rows are drawn for an endpoint of the kind {type(endpoint).__name__}")
    lost = np.where(bad, rng.choice(np.array(CODES), patients), rng.integers(0, 4, patients))
    site = np.where(bad, rng.choice(np.array(CODES), patients), rng.integers(0, 5, patients))
    return Cohort(patients, categories, numbers, binary, survival, lost, site)


def _numbers(
    rng: np.random.Generator, bad: NDArray[np.bool_], clip: tuple[float, float]
) -> NDArray[np.float64]:
    low, high = clip
    honest = rng.uniform(low - (high - low) / 4, high + (high - low) / 4, len(bad))
    honest[rng.random(len(bad)) < 0.1] = np.nan
    edges = (low, high, np.nextafter(low, -np.inf), np.nextafter(high, np.inf))
    return np.where(bad, rng.choice(np.array((*FLOATS, *edges)), len(bad)), honest)


def _survival(rng: np.random.Generator, bad: NDArray[np.bool_], endpoint: TimeToEvent) -> SurvivalOutcome:
    count, edges = len(bad), np.array(endpoint.edges)
    beside = np.concatenate([edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)])
    strange = np.concatenate([np.array(FLOATS), rng.choice(beside, 2 * len(FLOATS))])
    stop = rng.exponential(endpoint.edges[-1] / 2, count).round(int(rng.integers(0, 3)))
    entry = np.where(rng.random(count) < 0.5, 0.0, rng.exponential(60.0, count).round())
    event = rng.integers(-1, len(endpoint.events) + 1, count)
    return SurvivalOutcome(
        np.where(bad, rng.choice(strange, count), entry),
        np.where(bad, rng.choice(strange, count), stop),
        np.where(bad & (rng.random(count) < 0.5), rng.choice(np.array(CODES), count), event),
    )


def rows(cohort: Cohort, index: NDArray[np.int64]) -> Cohort:
    """Return the patients of some rows, in that order."""
    return Cohort(
        len(index),
        {name: values[index] for name, values in cohort.categories.items()},
        {name: values[index] for name, values in cohort.numbers.items()},
        {name: BinaryOutcome(outcome.status[index]) for name, outcome in cohort.binary.items()},
        {
            name: SurvivalOutcome(outcome.entry[index], outcome.exit[index], outcome.event[index])
            for name, outcome in cohort.survival.items()
        },
        cohort.lost[index],
        cohort.site[index],
    )


def neighbours(study: Study, rng: np.random.Generator, count: int) -> Iterator[tuple[Cohort, Cohort]]:
    """Draw neighbouring cohorts, the larger one first: 1 to 11 patients, and one of them less.

    As many again were left out by the selection; in one pair of eight it is one of these who is less.

    Args:
      study: The study.
      rng: Draws.
      count: How many.
    """
    ends = np.cumsum(rng.integers(1, MOST_PATIENTS + 1, count))
    # a share of strange rows for each cohort
    strange = np.repeat(rng.choice(STRANGE, count), np.diff(ends, prepend=0))
    whole = draw(study, rng, rng.random(ends[-1]) < strange)
    for start, end in pairwise((0, *ends.tolist())):
        index = np.arange(start, end)
        more, less = rows(whole, index), rows(whole, np.delete(index, rng.integers(end - start)))
        if rng.random() < LEFT_OUT:
            yield more, replace(more, lost=less.lost)
        else:
            yield more, replace(less, lost=more.lost)


def public_numbers(release: PlannedRelease, rng: np.random.Generator) -> bytes:
    """Draw public numbers that a site would accept from a coordinator."""
    values = rng.normal(0.0, rng.choice(SCALING), release.public_size)
    return values.clip(-MOST_PUBLIC, MOST_PUBLIC).astype("<f8").tobytes()


def squared(vector: NDArray[np.int64]) -> int:
    """Return the squared norm of an integer vector, exactly."""
    some = vector[vector != 0]
    largest = max((abs(int(some.min())), abs(int(some.max())))) if len(some) else 0
    if largest**2 * len(some) < 2**63:
        return int(some @ some)
    return sum(int(value) ** 2 for value in some)


def distance(
    release: PlannedRelease, public: bytes, pairs: Sequence[tuple[Cohort, Cohort]]
) -> tuple[int, Mapping[str, int]]:
    """Say how far two sums are apart if these cohorts, at a site each, are replaced by their neighbours.

    Returns:
      The squared distance of the whole release, and of each of its blocks, in ring units.
    """
    moved = np.zeros(release.dimension, dtype=np.int64)
    for more, less in pairs:
        moved += release.contribution(more, public) - release.contribution(less, public)
    return squared(moved), {name: squared(moved[where]) for name, (where, _) in release.slices().items()}


def compare(study: Study, release: PlannedRelease, pairs: int, seed: int) -> Moved:
    """Draw neighbouring pairs and hold each against the bounds of the release.

    Args:
      study: The study, at most ``max_sites_per_patient`` sites a patient.
      release: One of its releases.
      pairs: How many.
      seed: Of the drawing.
    """
    rng = np.random.default_rng(seed)
    most = study.privacy.max_sites_per_patient.value
    bounds = {
        block.name: Fraction(gamma**2 * block.bound_squared)
        for block, gamma in zip(release.blocks, release.scales.gammas, strict=True)
    }
    at = np.where(np.arange(pairs) % 5 == 0, rng.integers(min(2, most), most + 1, pairs), 1)
    drawn = neighbours(study, rng, int(at.sum()))
    largest, over, failed, first = Fraction(0), 0, 0, ""
    for number, sites in enumerate(at.tolist()):
        pair = list(islice(drawn, sites))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                whole, blocks = distance(release, public_numbers(release, rng), pair)
        except (ArithmeticError, FedValueError, LookupError, TypeError, ValueError, Warning) as error:
            failed += 1
            first = first or f"pair {number}: {type(error).__name__}: {error}"
            continue
        reached = Fraction(whole, sites**2 * release.scales.patient_bound_squared)
        largest = max(largest, reached)
        if reached > 1 or any(blocks[name] > sites**2 * bound for name, bound in bounds.items()):
            over += 1
            first = first or f"pair {number}: squared distance {whole}, {float(reached):.6f} of its bound"
    return Moved(pairs, float(largest), over, failed, first)
