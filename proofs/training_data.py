"""The patients of the training proof: made-up hospitals with planted truth, and diabetes130."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from fedvalue.analyses.cohort import BinaryOutcome, Cohort
from fedvalue.analyses.design import Covariate
from fedvalue.strategies.training.models.network import Coded, Inputs, Numeric, Rows
from proofs.harness import ROOT
from proofs.training_methods import Split
from proofs.training_world import FIRST, FRESH, PATIENTS, WEAKER, Law, inputs

NUMBERS = {
    "time_in_hospital": (1, 14), "num_lab_procedures": (0, 100), "num_procedures": (0, 6),
    "num_medications": (0, 60), "number_outpatient": (0, 5), "number_emergency": (0, 5),
    "number_inpatient": (0, 5), "number_diagnoses": (0, 16), "age": (0, 100),
}  # fmt: skip
LEVELS = (
    "race", "gender", "A1Cresult", "insulin", "change", "diabetesMed", "admission_type_id", "discharged",
    "admission_source_id", "specialty", "diagnosis",
)  # fmt: skip
MOST_LEVELS = 8
READMITTED = 0.1
"""Public guess: about one patient in ten comes back within 30 days."""


def planted(seed: int, *, first: bool = False) -> Split:
    """Return the made-up hospitals of a seed, with the curves as weakened or as first written."""
    law, rng = Law(seed, FIRST if first else WEAKER), np.random.default_rng([seed, 1])
    return Split(tuple(law.draw(PATIENTS, rng).sites()), law.draw(FRESH, rng).rows, inputs())


def data_folder() -> Path | None:
    """Return the folder of the real data sets, if there is one."""
    folder = Path(os.environ.get("FEDVALUE_REAL_DATA", ROOT.parent / "shared" / "data"))
    return folder if (folder / "diabetes130" / "diabetic_data.zip").is_file() else None


def diabetes(folder: Path) -> tuple[pd.DataFrame, dict[str, tuple[str, ...]]]:
    """Return diabetes130, the first stay of each patient, with readmission in 30 days; and the levels.

    Hospitals were never released: sites are payers, as in the other proofs.
    """
    table = pd.read_csv(folder / "diabetes130" / "diabetic_data.zip", low_memory=False, keep_default_na=False)
    table = table.sort_values("encounter_id").drop_duplicates("patient_nbr")
    table["age"] = table["age"].str.extract(r"\[(\d+)-").astype(float) + 5
    table["y"] = (table["readmitted"] == "<30").astype(int)
    table["discharged"] = table["discharge_disposition_id"].astype(str)
    table["specialty"] = table["medical_specialty"]
    table["diagnosis"] = table["diag_1"].astype(str).str.split(".").str[0].str.zfill(3).str[:1]
    payers = [p for p in table["payer_code"].value_counts().index if p != "?"][:8]
    table["site"] = table["payer_code"].where(table["payer_code"].isin(payers), "other")
    table.loc[table["payer_code"] == "?", "site"] = np.where(
        table.loc[table["payer_code"] == "?", "patient_nbr"] % 2 == 0, "none a", "none b"
    )
    levels = {}
    for name in LEVELS:
        table[name] = table[name].astype(str)
        levels[name] = tuple(table[name].value_counts().index[: MOST_LEVELS - 1])
    return table, levels


def readmission(folder: Path) -> Split:
    """Return diabetes130 as patients of sites; every fourth patient is kept as fresh."""
    table, levels = diabetes(folder)
    shape = Inputs(
        tuple(Numeric(name, (float(low), float(high))) for name, (low, high) in NUMBERS.items()),
        tuple(Coded(name, len(levels[name]) + 1) for name in LEVELS),
    )

    def rows(part: pd.DataFrame) -> Rows:
        numeric = part[list(NUMBERS)].to_numpy(float)
        coded = np.column_stack(
            [
                part[name].map({v: i for i, v in enumerate(levels[name])}).fillna(len(levels[name]))
                for name in LEVELS
            ]
        ).astype(np.int64)
        none = np.zeros((len(part), 0), dtype=np.int64)
        return Rows(numeric, coded, none, part["y"].to_numpy(float))

    held = np.random.default_rng(130).random(len(table)) < 0.25
    sites = tuple(rows(part) for _, part in table[~held].groupby("site"))
    return Split(sites, rows(table[held]), shape, READMITTED)


def cohort(rows: Rows, shape: Inputs) -> Cohort:
    """Return rows as a cohort; unknown numbers count as the middle of their public range."""
    numbers = {
        column.name: np.nan_to_num(rows.numeric[:, i], nan=sum(column.clip) / 2)
        for i, column in enumerate(shape.numeric)
    }
    categories = {column.name: rows.coded[:, i] for i, column in enumerate(shape.coded)}
    # who was not tested counts as wild type: all genes are tested or none, and one column would do for all
    mutated = (rows.multihot == 1).astype(np.int64)
    categories |= {f"v{i}": mutated[:, i] for i in range(mutated.shape[1])}
    return Cohort(len(rows), categories, numbers, {"y": BinaryOutcome(rows.outcome.astype(np.int64))})


def covariates(shape: Inputs) -> tuple[Covariate, ...]:
    """Return the same columns as covariates of a regression."""
    return (
        *(Covariate(column.name, column.clip) for column in shape.numeric),
        *(Covariate(c.name, None, tuple(f"level {k}" for k in range(c.levels))) for c in shape.coded),
        *(Covariate(f"v{i}", None, ("wild type", "mutated")) for i in range(shape.variants)),
    )
