"""Every made-up hospital loads through its own mapping, and what the site finds is what was planted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fedvalue.analyses.cohort import Cohort
from fedvalue.client.records.load import load
from fedvalue.client.records.mapping import load_mapping
from fedvalue.client.records.report import LoadReport
from fedvalue.client.records.snapshot import build, freeze
from fedvalue.study.file import parse
from fedvalue.synthetic.folder import MAPPING_NAME
from fedvalue.synthetic.hospitals import make_hospitals
from fedvalue.synthetic.people import draw
from fedvalue.synthetic.sample import cohort_of
from fedvalue.synthetic.studies import demo_study
from fedvalue.synthetic.truth import Truth
from fedvalue.synthetic.world import LEVELS
from fedvalue.synthetic.worlds import demo_world
from tests.conftest import Place

SEED = 17
INDEXES = range(len(demo_world().hospitals))
NAMES = [hospital.id for hospital in demo_world().hospitals]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth, list[LoadReport]]:
    folder = tmp_path_factory.mktemp("federation")
    stores = folder / ".stores"
    stores.mkdir()
    truth = make_hospitals(demo_world(), folder, np.random.default_rng(SEED))
    reports = [
        load(folder / site.id, load_mapping(folder / site.id / MAPPING_NAME), stores / f"{site.id}.duckdb")
        for site in truth.hospitals
    ]
    return stores, truth, reports


@pytest.mark.parametrize("index", INDEXES, ids=NAMES)
def test_the_load_report_says_what_was_planted(
    loaded: tuple[Path, Truth, list[LoadReport]], index: int
) -> None:
    _, truth, reports = loaded
    site, report = truth.hospitals[index], reports[index]
    said = {table.table.partition("[")[0]: table for table in report.tables}
    assert said.keys() == site.tables.keys()
    for name, planted in site.tables.items():
        reasons = Counter[str]()
        for item in said[name].left_out:
            reasons[item.reason] += item.rows
        assert dict(sorted(reasons.items())) == dict(planted.left_out), name
        assert said[name].kept == planted.kept, name
        assert said[name].read == planted.kept + sum(planted.left_out.values()), name
        assert not said[name].blanked


@pytest.mark.parametrize("index", INDEXES, ids=NAMES)
def test_the_frozen_rows_from_a_postgresql_server_are_the_same_bit_for_bit(
    loaded: tuple[Path, Truth, list[LoadReport]], index: int, on_server: Place, tmp_path: Path
) -> None:
    stores, truth, reports = loaded
    site, place, study = truth.hospitals[index], on_server(tmp_path), parse(demo_study(), where="demo")
    source = stores.parent / site.id
    assert load(source, load_mapping(source / MAPPING_NAME), place) == reports[index]
    one = freeze(stores / f"{site.id}.duckdb", study, tmp_path / "one")
    other = freeze(place, study, tmp_path / "other")
    assert (one.content, one.data_cut, one.calendar) == (other.content, other.data_cut, other.calendar)


def rows(cohort: Cohort) -> NDArray[np.float64]:
    """Patients as sorted rows: group, response, entry, exit, event."""
    pfs = cohort.survival["pfs"]
    columns = (cohort.categories["egfr"], cohort.binary["response_6m"].status, pfs.entry, pfs.exit, pfs.event)
    table = np.column_stack(columns).astype(np.float64)
    return table[np.lexsort(table.T)]


@pytest.mark.parametrize("index", INDEXES, ids=NAMES)
def test_the_cohort_of_the_study_is_the_planted_one(
    loaded: tuple[Path, Truth, list[LoadReport]], index: int
) -> None:
    stores, truth, _ = loaded
    site = truth.hospitals[index]
    cohort = build(stores / f"{site.id}.duckdb", parse(demo_study(), where="demo")).cohort
    assert cohort.patients == site.cohort
    for level, name in enumerate(LEVELS):
        status = cohort.binary["response_6m"].status[cohort.categories["egfr"] == level]
        counted = (len(status), int((status == 1).sum()), int((status < 0).sum()))
        planted = site.groups[name]
        assert counted == (planted.patients, planted.responders, planted.unassessed), name
    # the generator draws all people first, so the same seed gives the same people without files
    world = demo_world()
    everybody = np.repeat(np.arange(len(world.hospitals)), [h.patients for h in world.hospitals])
    people = draw(world, everybody, np.random.default_rng(SEED))
    np.testing.assert_array_equal(rows(cohort), rows(cohort_of(people.at(index))))
