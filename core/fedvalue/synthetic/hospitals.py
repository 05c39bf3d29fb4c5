"""Make hospitals: a folder each, with raw files in local layouts, a mapping, and a few bad rows.

The planted truth goes to ``truth.json`` beside the hospitals' folders.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from fedvalue.errors import OutputError
from fedvalue.study.model import DAYS_PER
from fedvalue.synthetic import expected
from fedvalue.synthetic.faults import bad_rows
from fedvalue.synthetic.folder import write_folder
from fedvalue.synthetic.genome import GENES
from fedvalue.synthetic.layouts import LAYOUTS, Layout
from fedvalue.synthetic.people import People, draw
from fedvalue.synthetic.sample import cohort_of
from fedvalue.synthetic.tables import Tables, tables_of
from fedvalue.synthetic.truth import GroupTruth, HospitalTruth, LevelTruth, TableTruth, Truth
from fedvalue.synthetic.world import LEVELS, World

TRUTH_NAME = "truth.json"


def make_hospitals(world: World, folder: Path, rng: np.random.Generator) -> Truth:
    """Write one folder per hospital of ``world``, and the planted truth beside them.

    Args:
      world: The planted truth; its hospitals name the folders.
      folder: Where to write; made if it is not there. None of the hospitals' folders may exist yet.
      rng: Source of all randomness: the same state gives the same bytes.

    Returns:
      The truth that is also in ``folder / "truth.json"``.

    Raises:
      OutputError: a folder exists already, or cannot be written.
    """
    sizes = [hospital.patients for hospital in world.hospitals]
    people = draw(world, np.repeat(np.arange(len(sizes)), sizes), rng)
    made = []
    try:
        for index, hospital in enumerate(world.hospitals):
            home, here = folder / hospital.id, people.at(index)
            home.mkdir(parents=True)
            prefix = "".join(word[0] for word in hospital.id.split("-")).upper()
            tables = tables_of(world, here, f"{prefix}{index + 1}", rng)
            layout = LAYOUTS[index % len(LAYOUTS)]
            bad = bad_rows(layout) if world.faulty_rows else ()
            left_out = write_folder(home, layout, tables, bad, rng)
            made.append(
                HospitalTruth(
                    hospital.id, layout.name, len(tables.patients), tables.cohort, _groups(here),
                    _loaded(tables, layout, left_out),
                )
            )  # fmt: skip
        truth = Truth(world, _levels(world), tuple(made))
        truth.write(folder / TRUTH_NAME)
    except FileExistsError as error:
        raise OutputError(
            "a hospital's folder exists already",
            where=str(error.filename),
            do="give an empty folder, or remove it first",
        ) from error
    except OSError as error:
        raise OutputError(
            f"the hospitals cannot be written: {error.strerror}", where=str(error.filename or folder),
            do="give a folder that you may write to",
        ) from error  # fmt: skip
    return truth


def _loaded(tables: Tables, layout: Layout, left_out: dict[str, Counter[str]]) -> dict[str, TableTruth]:
    further = int((tables.claims["further"] != "").sum()) if layout.joined_diagnoses else 0
    kept = {
        "patient": len(tables.patients), "drug": len(tables.treatments), "response": len(tables.responses),
        "event": len(tables.events), "follow_up": len(tables.patients), "claim": len(tables.claims),
        "condition": len(tables.claims) + further, "variant": int(tables.carried.sum()),
        "test": len(tables.tests) * (len(GENES) if layout.panel_column else 1),
    }  # fmt: skip
    return {
        name: TableTruth(rows, dict(sorted(left_out.get(name, {}).items()))) for name, rows in kept.items()
    }


def _groups(people: People) -> dict[str, GroupTruth]:
    cohort = cohort_of(people)
    status, level = cohort.binary["response_6m"].status, cohort.categories["egfr"]
    return {
        name: GroupTruth(
            int((here := level == i).sum()), int((status[here] == 1).sum()), int((status[here] < 0).sum())
        )
        for i, name in enumerate(LEVELS)
    }


def _levels(world: World) -> dict[str, LevelTruth]:
    months = np.arange(25, dtype=np.float64) * DAYS_PER["month"]
    return {
        level: LevelTruth(
            expected.planted_response(world, level),
            expected.recorded_response(world, level),
            expected.planted_median(world, level),
            tuple(expected.planted_survival(world, level, months).tolist()),
        )
        for level in LEVELS
    }
