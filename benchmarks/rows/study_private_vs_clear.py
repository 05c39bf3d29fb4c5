"""The demonstration's study over six hospitals, with the private sum and with sums in clear."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.row import Row
from fedvalue.simulation import run
from fedvalue.simulation.sources import SiteFolders
from fedvalue.synthetic.hospitals import make_hospitals
from fedvalue.synthetic.studies import demo_study
from fedvalue.synthetic.worlds import demo_world

AT_MOST = 2.0
RUNS = 3


def measure(folder: Path) -> Row:
    """Run the study from raw tables to report, in turns, and compare the medians.

    Args:
      folder: For the hospitals and the results.
    """
    hospitals = folder / "hospitals"
    make_hospitals(demo_world(), hospitals, np.random.default_rng(0))
    study = folder / "study.toml"
    study.write_bytes(demo_study())
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(RUNS):
        for clear in (False, True):
            began = time.perf_counter()
            run(study, SiteFolders(hospitals), out=folder / "out", unsafe_clear_sum=clear)
            seconds[clear].append(time.perf_counter() - began)
    ours, other = statistics.median(seconds[False]), statistics.median(seconds[True])
    how = (
        "the demonstration's study from raw tables to report, six hospitals, private sum against sums in "
        f"clear, medians of {RUNS} in turns; the bar is {AT_MOST:g} times as long"
    )
    return Row(ours=ours, other=other, ratio=ours / other, unit="s", how=how)
