"""`site describe`: what is counted in the records, hand-worked, and that it stays at the hospital."""

from __future__ import annotations

import json
import re
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedvalue.client.cli import app
from fedvalue.client.describing.counting import SYSTEMS
from fedvalue.client.describing.description import JSON, PAGE, Description, describe
from fedvalue.client.describing.measure import AREAS, Measure, tables_of
from fedvalue.client.describing.page import described_page, write_page
from fedvalue.client.describing.vital import vital_status
from fedvalue.client.describing.words import SENTENCES, TITLES, described_text, said
from fedvalue.client.governance.policy import Budget, Policy
from fedvalue.client.home import SiteHome
from fedvalue.client.loading import load_records
from fedvalue.client.records.mapping import load_mapping
from fedvalue.client.records.store import MODEST, reading
from fedvalue.errors import SourceMissing
from tests.agreement import FULL, study
from tests.records_desk import Desk

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

MAPPING = """
mapping = 1

[files.people]
path = "people.csv"
[files.drugs]
path = "drugs.csv"
[files.conditions]
path = "conditions.csv"
[files.deaths]
path = "deaths.csv"
[files.seen]
path = "seen.csv"
[files.bills]
path = "bills.csv"

[patient]
file = "people"
patient_id = "id"
origin = { date = "born" }

[patient.attributes]
sex = "sex"

[[drug]]
file = "drugs"
patient_id = "id"
day = { date = "day" }
code = "code"

[[condition]]
file = "conditions"
patient_id = "id"
day = { date = "day" }
code = "code"

[[event]]
file = "deaths"
patient_id = "id"
day = { date = "day" }
kind = { constant = "death" }

[[follow_up]]
file = "seen"
patient_id = "id"
day = { date = "day" }

[[claim]]
file = "bills"
patient_id = "id"
claim_id = "bill"
day = { date = "day" }
total_paid = "paid"
patient_paid = "own"
currency = { constant = "CNY" }
"""

TABLES = {
    # P1 to P4 enter on 1 January 2024; P4's sex is empty
    "people.csv": "id,born,sex\nP1,2024-01-01,f\nP2,2024-01-01,m\nP3,2024-01-01,f\nP4,2024-01-01,\n",
    # one drug after P1's death, one of a day to come, one code of no system, one row that repeats another one
    "drugs.csv": (
        "id,day,code\nP1,2024-02-01,L01EB02\nP1,2024-08-01,L01EB02\nP2,2026-12-01,L01EB02\n"
        "P3,2024-01-05,tablets\nP3,2024-01-05,tablets\n"
    ),
    "conditions.csv": (
        "id,day,code\nP1,2024-01-01,C34.9\nP2,2024-01-01,2C25.0\nP3,2024-01-01,C34.900x001\n"
        "P4,2024-01-01,???\n"
    ),
    "deaths.csv": "id,day\nP1,2024-07-01\n",
    # P2 is seen after two years, P3 after 300 days, P4 on the first day
    "seen.csv": "id,day\nP2,2026-01-10\nP3,2024-10-27\nP4,2024-01-02\n",
    "bills.csv": (
        "id,bill,day,paid,own\nP1,B1,2024-02-01,100.00,20.00\nP2,B2,2024-02-01,-5.00,0\n"
        "P3,B3,2024-02-01,0,0\nP4,B4,2024-02-01,10.00,11.00\n"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("described")
    budget = Budget(epsilon=9.0, delta=1e-6)
    policy = Policy(
        site="s01", entity="H", operator="H", budget=budget, simulation=True, profiles=("none", "eu")
    )
    home = SiteHome.create(folder / "home", policy, lambda: NOW)
    source = folder / "source"
    source.mkdir()
    for name, text in TABLES.items():
        (source / name).write_text(text, encoding="utf-8")
    (source / "map.toml").write_text(MAPPING, encoding="utf-8")
    load_records(home, source, load_mapping(source / "map.toml"))
    return folder


@pytest.fixture
def home(template: Path, tmp_path: Path) -> SiteHome:
    return SiteHome.open(Path(shutil.copytree(template, tmp_path / "d")) / "home", lambda: NOW)


def found(description: Description, key: str, about: str) -> tuple[int, int]:
    (one,) = [m for m in description.measures if (m.key, m.about) == (key, about) and m.area != "drift"]
    return one.count, one.of


def test_what_is_empty_and_who_has_no_record(home: SiteHome) -> None:
    description = describe(home)
    assert found(description, "empty", "patient.sex") == (1, 4)
    assert found(description, "without_record", "event") == (3, 4)
    assert found(description, "without_record", "drug") == (1, 4)


def test_codes_are_told_by_their_system_and_those_of_none_are_counted(home: SiteHome) -> None:
    measures = [m for m in describe(home).measures if m.area == "codes"]
    told = {(m.about, m.key, m.detail): (m.count, m.of) for m in measures}
    assert told["condition", "looks_like", "ICD-10"] == (2, 4)
    assert told["condition", "looks_like", "ICD-11"] == (1, 4)
    assert told["condition", "no_system", ""] == (1, 4)
    assert told["drug", "looks_like", "ATC"][0] == 3
    assert {m.verdict for m in measures if m.key == "no_system"} == {"bad"}  # a quarter and more


def test_days_out_of_order_are_counted(home: SiteHome) -> None:
    description = describe(home)
    assert found(description, "after_death", "drug")[0] == 1  # P1 on 1 August
    assert found(description, "to_come", "drug")[0] == 1  # P2 in December
    assert found(description, "to_come", "condition")[0] == 0


def test_amounts_out_of_range_and_repeated_rows_are_counted(home: SiteHome) -> None:
    description = describe(home)
    # the load leaves a negative bill out that reverses nothing, and says so in its own report
    assert found(description, "negative", "claim") == (0, 3)
    assert found(description, "zero", "claim") == (1, 3)
    assert found(description, "parts_pass_whole", "claim") == (1, 3)
    assert found(description, "large", "claim") == (0, 3)
    assert found(description, "repeated", "condition")[0] == 0


def test_unknown_vital_status_is_of_those_whose_day_has_come(home: SiteHome) -> None:
    # The cut is P2's last record. All four entered on 2024-01-01. After 6 months (182.6 days): P1 died on day
    # 182, P2 and P3 are seen later, P4 is not. After 12: P3 was last seen on day 300. After 24: the same.
    description = describe(home)
    assert [found(description, "unknown_at", months) for months in ("6", "12", "24")] == [
        (1, 4),
        (2, 4),
        (2, 4),
    ]


def test_each_source_of_vital_status_is_told_by_itself_with_its_last_day_alive(tmp_path: Path) -> None:
    desk = Desk(tmp_path, tmp_path / "home" / "records.duckdb")
    # a died as the register says; b answered a call after 200 days; c was seen after 400 days, in person
    desk.write(
        people="id,start\na,2024-01-01\nb,2024-01-01\nc,2024-01-01",
        register="id,day,status\na,2024-03-01,dead",
        calls="id,day,status\nb,2024-07-19,alive\na,2024-02-01,alive",
        visits="id,day\nc,2025-02-04",
    )
    sources = "".join(
        f'[[vital_status]]\nfile = "{file}"\npatient_id = "id"\nday = {{ date = "day" }}\nstatus = "status"\n'
        f'how = "{how}"\n'
        for file, how in (("register", "registry"), ("calls", "call"))
    )
    desk.load(
        '[patient]\nfile = "people"\npatient_id = "id"\norigin = { date = "start" }\n' + sources
        + '[[follow_up]]\nfile = "visits"\npatient_id = "id"\nday = { date = "day" }\n'
    )  # fmt: skip
    with reading(desk.database, limits=MODEST) as store:
        measures = list(vital_status(store, tables_of(store)))
    known = {m.about: (m.count, m.of, m.detail) for m in measures if m.key == "known_by"}
    assert known == {
        "follow-up": (1, 3, "2025-02-04"), "registry": (1, 3, "-"), "call": (2, 3, "2024-07-19"),
    }  # fmt: skip
    # the cut is 2025-02-04: 24 months have come for nobody
    alone = {(m.detail, m.about): (m.count, m.of) for m in measures if m.key == "unknown_by"}
    assert [alone["registry", months] for months in ("6", "12", "24")] == [(2, 3), (2, 3), (0, 0)]
    assert [alone["call", months] for months in ("6", "12")] == [(2, 3), (3, 3)]
    assert [alone["follow-up", months] for months in ("6", "12")] == [(2, 3), (2, 3)]
    assert {said(m, "zh") for m in measures if m.about == "registry"} == {
        "由来源“死亡登记”得知生存状态的患者；最后确认存活日 -"
    }


def test_drift_is_against_the_load_before_also_when_one_load_is_described_twice(home: SiteHome) -> None:
    first = describe(home)
    assert first.before is None
    assert describe(home).before is None
    source = home.folder.parent / "source"
    lines = [f"P{n},2024-01-01,f" for n in range(1, 13)]
    (source / "people.csv").write_text("id,born,sex\n" + "\n".join(lines) + "\n", encoding="utf-8")
    text = TABLES["conditions.csv"].replace("C34.9\n", "C50.1\n")
    (source / "conditions.csv").write_text(text, encoding="utf-8")
    load_records(home, source, load_mapping(source / "map.toml"))
    for description in (describe(home), describe(home)):
        drifted = {(m.key, m.about): m for m in description.measures if m.area == "drift"}
        rows = drifted["rows", "patient"]
        assert (rows.count, rows.of, rows.verdict, rows.detail) == (8, 4, "bad", "+8")
        assert drifted["share", "patient.sex empty"].detail == "-25"  # one of four was empty, now none
        # C34, 2C2, C34, ??? became C50, 2C2, C34, ???: one of four rows has another chapter
        assert (drifted["mix", "condition"].count, drifted["mix", "condition"].of) == (250, 1000)


def test_readiness_names_what_is_missing(home: SiteHome) -> None:
    lacking = [m for m in describe(home, study(text=FULL)).measures if m.area == "readiness"]
    assert [(m.key, m.verdict) for m in lacking] == [("not_ready", "bad")]
    assert "which this site's mapping does not fill" in lacking[0].detail


def test_the_files_stay_private_and_nothing_is_logged_of_them(home: SiteHome) -> None:
    before = home.audit_file.read_bytes()
    write_page(home, describe(home))
    for name in (JSON, PAGE):
        assert stat.S_IMODE((home.folder / name).stat().st_mode) == 0o600
    assert home.audit_file.read_bytes() == before


def test_the_page_escapes_what_comes_from_the_records_and_loads_nothing(home: SiteHome) -> None:
    description = describe(home)
    evil = Measure(area="codes", key="no_system", about="<script>alert(1)</script>", count=1, of=2)
    page = described_page(description.model_copy(update={"measures": (*description.measures, evil)}))
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "数据质量说明" in page
    assert "P1" not in page


def test_every_sentence_and_title_is_in_both_languages_and_every_measure_has_one(home: SiteHome) -> None:
    assert set(TITLES) == set(AREAS)
    assert all(en and zh and en != zh for en, zh in SENTENCES.values())
    description = describe(home)
    assert all(said(measure, "zh") for measure in description.measures)
    assert "Unknown vital status" in described_text(description, "en")
    assert len(described_text(description, "en", everything=True)) > len(described_text(description, "en"))


def test_a_site_without_records_says_so(home: SiteHome) -> None:
    home.records_file.unlink()
    with pytest.raises(SourceMissing):
        describe(home)


def test_the_command_writes_the_page_and_prints_what_to_look_at(home: SiteHome) -> None:
    run = CliRunner().invoke(app, ["describe", str(home.folder), "--json"])
    assert json.loads(run.output)["site"] == "s01"
    text = CliRunner().invoke(app, ["describe", str(home.folder), "--language", "zh"]).output
    assert "金额范围" in text
    assert (home.folder / PAGE).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("table", "system", "codes"),
    [
        ("condition", "ICD-10", ("C34", "C34.9", "C349", "U07.1", "I10.x00x002", "E11.900")),
        ("condition", "ICD-11", ("2C25.0", "5A11", "1A00")),
        ("drug", "ATC", ("L01", "L01EB02", "A10BJ06")),
        ("drug", "医保药品代码", ("XL01EDA173E001010100483",)),
        ("procedure", "ICD-9-CM-3", ("32.41", "99.25", "34.4x01")),
    ],
)
def test_codes_as_they_are_written_fit_their_system(table: str, system: str, codes: tuple[str, ...]) -> None:
    pattern = SYSTEMS[table][system].upper()
    assert [code for code in codes if re.fullmatch(pattern, code.upper()) is None] == []
