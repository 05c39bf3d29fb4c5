"""Does one patient ever move a quantised gradient by more than is charged? Pairs for every architecture.

A pair is a site's rows with one patient and without, and parameters that a coordinator might send: as
training leaves them, a thousand times too large, at the edge of what a float holds, all zero, or with dead
units. A third of the rows are honest, a third hold strange values here and there, a third are all strange:
not a number, infinite, huge, denormal, codes of no level, outcomes of no kind. Some patients stand there
twice or a hundred times, and in one pair in ten the site has more than a block of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.strategies.training.models.clipped import BLOCK, Gradients, patient_bound, quantised
from fedvalue.strategies.training.models.network import Coded, Gene, Inputs, Numeric, Rows, initial, size
from fedvalue.study.architectures import (
    Architecture,
    Hazard,
    Linear,
    Logistic,
    Poisson,
    Survival,
    Tabular,
)

FLOATS = (
    np.nan, np.inf, -np.inf, 1.7976931348623157e308, -1e300, 1e300, 5e-324, -5e-324, 1e-9, 0.0, -0.0,
    -1.0, 1.0,
)  # fmt: skip
CODES = (-(2**63), 2**63 - 1, -(2**31), 2**31, -9, -2, -1, 0, 1, 2, 3, 5, 99)
STRANGE = (0.0, 0.3, 1.0)
MOST_PATIENTS = 12
INTERVALS = 6
CLIPS = (0.01, 0.5, 1.0, 30.0)
RHOS = (1e-5, 1e-3, 0.02, 1.0)
"""zCDP of a release; a larger one means a larger scale."""

BASE = Inputs(
    (Numeric("age", (18.0, 95.0), flagged=True), Numeric("score", (-1e-3, 1e3)), Numeric("cost", (0.0, 1e6))),
    (Coded("sex", 2), Coded("stage", 5)),
    (Gene("EGFR", 3), Gene("KRAS", 1, flagged=False)),
)

FORMS: dict[str, tuple[Architecture, ...]] = {
    "logistic": (Logistic(), Logistic(start_rate=0.01)),
    "linear": (Linear(),),
    "poisson": (Poisson(), Poisson(start_rate=100.0)),
    "hazard": (Hazard(), Hazard(start_rate=0.3)),
    "tabular": (
        Tabular(layers=(8,), activation="silu"),
        Tabular(layers=(16, 8, 4), activation="relu", skip=False, embedding=8),
        Tabular(layers=(4, 4), activation="tanh", gene_width=1),
    ),
    "survival": (
        Survival(layers=(8,), activation="silu"),
        Survival(layers=(6, 6), activation="relu", proportional=False, skip=False),
        Survival(layers=(3,), activation="tanh", proportional=False),
    ),
}
"""Forms of every architecture of the registry that pairs are drawn for."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What the pairs of one architecture did.

    Attributes:
      pairs: How many.
      largest: Largest distance over its bound; 1 is the bound.
      over: Pairs that moved by more than the bound.
      failed: Pairs in which a gradient raised an error or was not finite.
      first: What the first of these was; empty if there is none.
    """

    pairs: int
    largest: float
    over: int
    failed: int
    first: str


def inputs_of(architecture: Architecture) -> Inputs:
    """Return inputs that fit an architecture, with every kind of column."""
    timed = architecture.kind in ("hazard", "survival")
    clip = (0.0, 50.0) if architecture.kind in ("linear", "poisson") else None
    return Inputs(BASE.numeric, BASE.coded, BASE.genes, INTERVALS if timed else 0, clip)


def draw(
    architecture: Architecture, inputs: Inputs, rng: np.random.Generator, bad: NDArray[np.bool_]
) -> Rows:
    """Draw patients.

    Args:
      architecture: Decides what an outcome is.
      inputs: What is known of a patient.
      rng: Draws.
      bad: Who holds what no honest table holds, shape ``(n,)``.
    """
    n = len(bad)

    def codes(low: int, high: int, columns: int) -> NDArray[np.int64]:
        honest = rng.integers(low, high, (n, columns))
        return np.where(bad[:, None], rng.choice(np.array(CODES), (n, columns)), honest)

    def numbers(low: float, high: float) -> NDArray[np.float64]:
        honest = rng.uniform(low, high, n)
        honest[rng.random(n) < 0.1] = np.nan
        return np.where(bad, rng.choice(np.array((*FLOATS, low, high)), n), honest)

    numeric = np.column_stack([numbers(*column.clip) for column in inputs.numeric])
    coded, multihot = codes(-1, 5, len(inputs.coded)), codes(-1, 2, inputs.variants)
    if architecture.kind in ("hazard", "survival"):
        return Rows(
            numeric, coded, multihot, interval=codes(-1, INTERVALS, 1)[:, 0], event=codes(-1, 2, 1)[:, 0],
            entry=codes(0, 2, 1)[:, 0],
        )  # fmt: skip
    if architecture.kind in ("linear", "poisson"):
        return Rows(numeric, coded, multihot, numbers(-10.0, 60.0))
    honest = rng.integers(-1, 2, n).astype(np.float64)
    return Rows(numeric, coded, multihot, np.where(bad, rng.choice(np.array(FLOATS), n), honest))


def sent(architecture: Architecture, inputs: Inputs, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw parameters that a coordinator might send."""
    start = initial(architecture, inputs, int(rng.integers(1000)))
    walked = start + rng.normal(0.0, 0.5, len(start))
    kind = int(rng.integers(8))
    if kind == 0:
        return np.zeros_like(start)
    if kind == 1:
        return walked * 1e3
    if kind == 2:
        return walked * float(10.0 ** rng.uniform(20, 300))
    if kind == 3:
        return np.where(rng.random(len(start)) < 0.05, rng.choice(np.array(FLOATS), len(start)), walked)
    if kind == 4:
        return -np.abs(walked)  # units that never wake, where an activation can die
    return np.asarray(walked, dtype=np.float64)


@lru_cache(maxsize=32)
def _gradients(architecture: Architecture) -> Gradients:
    return Gradients(architecture, inputs_of(architecture))


def distances(architecture: Architecture, rng: np.random.Generator, pairs: int) -> Iterator[float]:
    """Yield the distance of each pair over its bound; not a number where a gradient is none."""
    inputs = inputs_of(architecture)
    gradients, dimension = _gradients(architecture), size(architecture, inputs)
    for _ in range(pairs):
        many = rng.random() < 0.1
        count = BLOCK + int(rng.integers(1, 90)) if many else int(rng.integers(1, MOST_PATIENTS))
        rows = draw(architecture, inputs, rng, rng.random(count) < rng.choice(np.array(STRANGE)))
        who = np.arange(count)
        if rng.random() < 0.2:
            who[rng.random(count) < 0.5] = int(rng.integers(count))
        gone = int(rng.integers(count))
        clip, rho = float(rng.choice(np.array(CLIPS))), float(rng.choice(np.array(RHOS)))
        gamma = 2.0**LOG2_SCALE * sqrt(2 * rho) / clip
        parameters = sent(architecture, inputs, rng)
        whole = gradients.batch(rows.take(who))
        there = quantised(gradients.sum(parameters, whole, clip), gamma)
        without = quantised(
            gradients.sum(parameters, whole.take(np.delete(np.arange(count), gone)), clip), gamma
        )
        moved = sum(int(v) ** 2 for v in there - without)
        yield sqrt(moved) / patient_bound(gamma, clip, dimension)


def compare(architecture: Architecture, pairs: int, seed: int) -> Moved:
    """Hold so many pairs of one architecture against the bound.

    Args:
      architecture: Of the registry.
      pairs: How many.
      seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    largest, over, failed, first = 0.0, 0, 0, ""
    found = distances(architecture, rng, pairs)
    for pair in range(pairs):
        try:
            moved = next(found)
        except Exception as error:  # whatever a row makes a gradient raise is a broken promise
            failed += pairs - pair
            first = first or f"pair {pair}: {type(error).__name__}: {error}"
            break
        largest = max(largest, moved)
        if moved > 1:
            over += 1
            first = first or f"pair {pair} moved {moved:.6f} times the bound"
    return Moved(pairs, largest, over, failed, first)
