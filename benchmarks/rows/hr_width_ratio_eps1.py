"""How much wider privacy makes a hazard ratio's interval at epsilon 1: 5 sites of 2,000 patients."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from benchmarks.regressions import HONEST, PATIENTS, SITES, concluded
from benchmarks.row import Row
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.cox import CoxModel
from fedvalue.analyses.design import Covariate, Design
from fedvalue.analyses.estimate import Estimate
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.study.model import DAYS_PER

AT_MOST = 1.35
SEEDED = True
STUDIES = 6
HAZARD = 2.0
ROW_BOUND = 0.8
MEAN_DAYS = 500.0
COVARIATES = (
    Covariate("age", (18.0, 95.0)),
    Covariate("sex", None, ("female", "male")),
    Covariate("arm", None, ("comparator", "treated")),
)
RATIO = math.exp(-0.3)


def measure(folder: Path) -> Row:
    """Fit the Cox model with the private sum, with noise at each site, and without privacy.

    Args:
      folder: Not needed.
    """
    del folder
    rng = np.random.default_rng(6)
    edges = tuple(DAYS_PER["month"] * i for i in range(25))
    curves = KaplanMeierByGroup("os", Groups((), ()), edges, entry_at_zero=True)
    private = CoxModel(curves, Design(COVARIATES, intercept=False, row_bound=ROW_BOUND), None, HAZARD)
    reference = CoxModel(curves, Design(COVARIATES, intercept=False), None, 50.0)
    widths: dict[str, list[float]] = {"ours": [], "each site": []}
    covered = refused = 0
    for _ in range(STUDIES):
        sites = [_patients(rng) for _ in range(SITES)]
        without = _width(concluded(reference, sites, None, HONEST, rng).strata[0].estimates["arm=treated"])
        for name, shares in (("ours", HONEST), ("each site", 1)):
            found = concluded(private, sites, 1.0, shares, rng).strata[0]
            if found.status != "estimated":
                refused += name == "ours"
                continue
            estimate = found.estimates["arm=treated"]
            widths[name].append(_width(estimate) / without)
            if name == "ours" and estimate.lower is not None and estimate.upper is not None:
                covered += estimate.lower <= math.log(RATIO) <= estimate.upper
    ours = float(np.mean(widths["ours"])) if widths["ours"] else math.inf
    other = float(np.mean(widths["each site"])) if widths["each site"] else math.inf
    how = (
        f"width of the 95 % interval of a planted hazard ratio of {RATIO:.2f} over that without privacy, Cox "
        f"model of treatment, age and sex in {len(private.rounds())} releases, mean of {STUDIES} studies of "
        f"{SITES} sites x {PATIENTS:,} ({covered} cover, {refused} refused); other: what a Flower "
        f"user gets from noise at each site at the same epsilon "
        f"({STUDIES - len(widths['each site'])} of {STUDIES} refused); at most {AT_MOST:g} allowed"
    )
    return Row(ours=ours, other=other, ratio=ours, unit="times as wide", how=how)


def _patients(rng: np.random.Generator) -> Cohort:
    age = rng.normal(60.0, 12.0, PATIENTS).clip(18.0, 95.0)
    sex, arm = rng.integers(0, 2, PATIENTS), rng.integers(0, 2, PATIENTS)
    hazard = np.exp(0.02 * (age - 60.0) + 0.2 * sex + math.log(RATIO) * arm) / MEAN_DAYS
    death, censored = rng.exponential(1 / hazard), rng.uniform(200.0, 1500.0, PATIENTS)
    outcome = SurvivalOutcome(
        np.zeros(PATIENTS), np.minimum(death, censored), (death <= censored).astype(np.int64)
    )
    return Cohort(PATIENTS, {"sex": sex, "arm": arm}, {"age": age}, survival={"os": outcome})


def _width(estimate: Estimate) -> float:
    if estimate.lower is None or estimate.upper is None:
        return math.inf
    return estimate.upper - estimate.lower
