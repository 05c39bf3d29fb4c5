"""How much AUC a logistic score loses to privacy at epsilon 1: 5 sites, 2,000 patients each, 30 features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.regressions import HONEST, PATIENTS, SITES, concluded
from benchmarks.row import Row
from fedvalue.analyses.cohort import BinaryOutcome, Cohort
from fedvalue.analyses.design import Covariate, Design
from fedvalue.analyses.estimate import Estimate
from fedvalue.analyses.families import Logistic
from fedvalue.analyses.outcome import Outcome
from fedvalue.analyses.regression import ModelPart, RegressionModel

AT_MOST = 0.008
SEEDED = True
FEATURES = 30
STRENGTH = 0.25
ROW_BOUND = 2.0
CLIP = 3.0
FRESH = 20_000
STUDIES = 6


def measure(folder: Path) -> Row:
    """Score fresh patients with the private surrogate, with noise at each site, and without privacy.

    Args:
      folder: Not needed.
    """
    del folder
    rng = np.random.default_rng(5)
    names = tuple(f"x{i}" for i in range(FEATURES))
    covariates = tuple(Covariate(name, (-CLIP, CLIP)) for name in names)
    answer = Outcome("y", None)
    surrogate = RegressionModel(
        answer, Design(covariates, row_bound=ROW_BOUND), (ModelPart("", Logistic()),), prediction=True
    )
    reference = RegressionModel(answer, Design(covariates), (ModelPart("", Logistic()),))
    gaps: dict[str, list[float]] = {"ours": [], "each site": []}
    best = []
    for _ in range(STUDIES):
        slopes = rng.normal(0.0, STRENGTH, FEATURES)
        sites = [_patients(rng, PATIENTS, slopes) for _ in range(SITES)]
        fresh = _patients(rng, FRESH, slopes)
        exact = concluded(reference, sites, None, HONEST, rng)
        without = _auc(exact.strata[0].estimates, names, fresh)
        best.append(without)
        for name, shares in (("ours", HONEST), ("each site", 1)):
            found = concluded(surrogate, sites, 1.0, shares, rng)
            gaps[name].append(without - _auc(found.strata[0].estimates, names, fresh))
    ours, other = float(np.mean(gaps["ours"])), float(np.mean(gaps["each site"]))
    how = (
        f"loss of AUC at epsilon 1 from {np.mean(best):.3f} without privacy, mean of {STUDIES} studies of "
        f"{SITES} sites x {PATIENTS:,} x {FEATURES} features, one release, on {FRESH:,} fresh ones; other: "
        f"what a Flower user gets from noise at each site at the same epsilon; at most {AT_MOST:g} allowed"
    )
    return Row(ours=ours, other=other, ratio=ours, unit="AUC", how=how)


def _patients(rng: np.random.Generator, count: int, slopes: NDArray[np.float64]) -> Cohort:
    features = rng.normal(size=(count, FEATURES)).clip(-CLIP, CLIP)
    status = (rng.random(count) < 1 / (1 + np.exp(-features @ slopes))).astype(np.int64)
    numbers = {f"x{i}": features[:, i] for i in range(FEATURES)}
    return Cohort(count, numbers=numbers, binary={"y": BinaryOutcome(status)})


def _auc(estimates: Mapping[str, Estimate], names: tuple[str, ...], fresh: Cohort) -> float:
    slopes = np.array([estimates[name].value for name in names])
    rank = rankdata(np.column_stack([fresh.numbers[name] for name in names]) @ slopes)
    status = fresh.binary["y"].status
    ones = int(status.sum())
    return float((rank[status == 1].sum() - ones * (ones + 1) / 2) / (ones * (len(status) - ones)))
