"""A site of a million patients, alone in its process: how long every release of every kind takes it.

``python -m benchmarks.million`` prints one JSON object: for each form of `proofs.neighbour_forms.FORMS` the
slowest of its releases in seconds, and how much memory contributions took on top of the frozen rows.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.memory import forget_peak, peak_mib
from fedvalue.analyses.analysis import NoisyBlock, NoisySum
from fedvalue.analyses.cohort import Cohort
from fedvalue.planning.assumptions import Assumptions, draw
from fedvalue.planning.concluding import conclude_all
from fedvalue.planning.plan import PlannedRelease, plan_on
from fedvalue.privacy import gaussian
from fedvalue.privacy.randomness import SystemNoise
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.study.schema import Study
from proofs.neighbour_forms import FORMS, study

SITES = 5
NOWHERE = "0" * 64


def cohort_of(asked: Study, patients: int) -> Cohort:
    """Return the frozen rows of one site, the first of the roster."""
    drawn = draw(asked, Assumptions(), patients, np.random.default_rng(1))
    return replace(drawn, site=np.zeros(patients, dtype=np.int64))


def slowest(asked: Study, cohort: Cohort) -> float:
    """Return the seconds of the slowest release: the site's sum and its noise, with the rounds' own numbers.

    The other sites are like this one: what the coordinator sees is the site's sum, times their number.
    """
    plan = plan_on(asked, thresholds(SITES), NOWHERE)
    took: list[float] = []

    def opened(release: PlannedRelease, public: bytes) -> NoisySum:
        began = time.perf_counter()
        total = release.contribution(cohort, public)
        total = total + gaussian.sample(SystemNoise(), release.dimension)
        took.append(time.perf_counter() - began)
        variance = SITES * 4.0**LOG2_SCALE
        return {
            name: NoisyBlock(SITES * total[where], gamma, variance)
            for name, (where, gamma) in release.slices().items()
        }

    conclude_all(plan, opened)
    return max(took)


def main(arguments: Sequence[str]) -> None:
    """Measure every kind with so many patients, and print."""
    patients = int(arguments[0])
    cohort = cohort_of(study("mean", 0), patients)
    forget_peak()
    before = peak_mib()
    seconds = {
        f"{kind}, form {form}": slowest(study(kind, form), cohort)
        for kind, forms in FORMS.items()
        if kind != "training"  # each of its rounds asks a sample, and every round another one
        for form in range(len(forms))
    }
    found = {"seconds": seconds, "rows_mib": before, "more_mib": peak_mib() - before}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
