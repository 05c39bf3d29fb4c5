"""A hundred made-up hospitals that train a network together in one process; prints what it took as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.memory import peak_mib
from fedvalue.simulation import PooledTable, run

SITES, PATIENTS, ROUNDS = 100, 60, 3
"""Hospitals, patients of each, rounds."""

MAPPING = """
mapping = 1
[files.patients]
path = "patients.csv"
[patient]
file = "patients"
patient_id = "id"
[patient.attributes]
age = { column = "age", type = "number" }
lab = { column = "lab", type = "number" }
sex = { column = "sex" }
back = { column = "back", type = "number" }
"""

STUDY = f"""
[study]
id = "hundred-hospitals"
title = {{ en = "A model of readmission" }}
question = {{ en = "Who comes back?" }}
principal_investigator = "Example"
valid = {{ from = 2026-01-01, until = 2099-12-31 }}
[privacy]
unit = "patient"
epsilon = 3.0
delta = 1e-6
patient_cap = 100000
max_sites_per_patient = {{ value = 1, basis = "declared disjoint" }}
[federation]
min_sites = 90
tolerated_dropouts = 5
colluding_sites = 5
[governance]
profile = "none"
[cohort]
index = {{ first = "patient" }}
[variables]
age = {{ person = "age", clip = [20, 100], unit = "years" }}
lab = {{ person = "lab", clip = [-4, 4], unit = "z" }}
sex = {{ person = "sex", levels = ["f", "m"] }}
[endpoints.back]
kind = "binary"
source = "person"
column = "back"
missing = "exclude"
[diagnostics]
share = 0
[[analyses]]
kind = "training"
name = "back"
outcome = "back"
features = ["age", "lab", "sex"]
architecture = {{ kind = "tabular", layers = [16] }}
rounds = {ROUNDS}
sampling_rate = 0.2
optimiser = {{ kind = "fedadam", rate = 0.1 }}
budget = 1.0
"""


def train(folder: Path) -> dict[str, float]:
    """Train over hospitals that are made up in an empty folder.

    Args:
      folder: Takes tables, homes and results.

    Returns:
      ``seconds`` in all, ``rounds`` of them for the private sums, ``mib``: the most memory that this process
      held, ``released`` rounds, ``answered``: hospitals in the smallest of them.
    """
    rng = np.random.default_rng(1)
    number = SITES * PATIENTS
    age, lab, male = rng.normal(62, 10, number), rng.normal(size=number), rng.integers(0, 2, number)
    back = rng.random(number) < 1 / (1 + np.exp(-(0.05 * (age - 62) + lab + 0.5 * male - 0.6)))
    lines = [
        f"{i},h{i % SITES:03d},{age[i]:.2f},{lab[i]:.3f},{'fm'[male[i]]},{back[i]:d}" for i in range(number)
    ]
    (folder / "patients.csv").write_text("\n".join(["id,hospital,age,lab,sex,back", *lines, ""]))
    (folder / "map.toml").write_text(MAPPING)
    (folder / "study.toml").write_text(STUDY)
    source = PooledTable(folder / "patients.csv", folder / "map.toml", site_column="hospital")
    began, reached = time.monotonic(), dict[str, float]()

    def seen(text: str, done: int, total: int) -> None:
        del done, total
        reached[text] = time.monotonic() - began

    found = run(folder / "study.toml", source, out=folder / "out", progress=seen)
    told = found.evidence.releases
    return {
        "seconds": time.monotonic() - began,
        "rounds": reached["deciding and writing the report"] - reached["approving the study"],
        "mib": peak_mib(),
        "released": sum(record.label != told[0].label for record in told),
        "answered": min(len(record.answered) for record in told),
    }


if __name__ == "__main__":
    print(json.dumps(train(Path(sys.argv[1]))))  # noqa: T201 - a program's answer
