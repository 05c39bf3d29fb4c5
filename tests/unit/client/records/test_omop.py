"""OMOP CDM tables from CSV files, a DuckDB file and a PostgreSQL server: the same rows from each."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from fedvalue.client.records.layouts import layout_text
from fedvalue.errors import MappingInvalid, SourceMissing, SourceUnreadable
from tests.records_desk import Desk

TABLES = {
    "person": "person_id,gender_concept_id,year_of_birth\n1,8507,1960\n2,8532,1971\n",
    "drug_exposure": "person_id,drug_exposure_start_date,drug_concept_id\n1,2024-01-05,100\n2,2024-02-01,0\n",
    "condition_occurrence": (
        "person_id,condition_start_date,condition_concept_id\n1,2024-01-02,200\n2,2024-01-03,999\n"
    ),
    "procedure_occurrence": "person_id,procedure_date,procedure_concept_id\n1,2024-01-04,300\n",
    "death": "person_id,death_date\n2,2024-06-01\n",
    "observation_period": (
        "person_id,observation_period_start_date,observation_period_end_date\n"
        "1,2020-01-01,2024-12-31\n2,2020-01-01,2024-06-01\n"
    ),
    "concept": (
        "concept_id,concept_code,vocabulary_id\n100,L01EB04,ATC\n200,C34.1,ICD10\n300,33.20,ICD9Proc\n0,none,None\n"
    ),
}


def as_csv(folder: Path) -> str:
    for name, text in TABLES.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    # the vocabulary's own download is cut by tabs
    (folder / "concept.csv").write_text(TABLES["concept"].replace(",", "\t"), encoding="utf-8")
    return "omop-csv"


def as_duckdb(folder: Path) -> str:
    with duckdb.connect(str(folder / "cdm.duckdb")) as connection:
        connection.execute("CREATE SCHEMA cdm54")
        for name, text in TABLES.items():
            head, *rows = (line.split(",") for line in text.splitlines())
            connection.execute(
                f"CREATE TABLE cdm54.{name} ({', '.join(f'{column} VARCHAR' for column in head)})"
            )
            connection.executemany(f"INSERT INTO cdm54.{name} VALUES ({', '.join('?' * len(head))})", rows)
    return "omop-duckdb"


@pytest.fixture
def as_server(postgres: str, desk: Desk) -> str:
    import psycopg

    with psycopg.connect(postgres) as connection:
        connection.execute("DROP SCHEMA IF EXISTS cdm54 CASCADE")
        connection.execute("CREATE SCHEMA cdm54")
        for name, text in TABLES.items():
            head, *rows = (line.split(",") for line in text.splitlines())
            connection.execute(
                f"CREATE TABLE cdm54.{name} ({', '.join(f'{column} text' for column in head)})"
            )
            with connection.cursor() as cursor:
                cursor.executemany(f"INSERT INTO cdm54.{name} VALUES ({', '.join(['%s'] * len(head))})", rows)
    place = desk.folder / "cdm.toml"
    place.write_text(f'dsn = "{postgres}"\nschema = "cdm54"\n', encoding="utf-8")
    place.chmod(0o600)
    return "omop-postgresql"


def load(desk: Desk, layout: str) -> None:
    desk.load(layout_text(layout).replace("mapping = 1", ""))


def look(desk: Desk) -> list[list[tuple[object, ...]]]:
    return [
        desk.rows("SELECT patient_id, sex, year_of_birth FROM patient ORDER BY ALL"),
        desk.rows("SELECT patient_id, day, code FROM drug ORDER BY ALL"),
        desk.rows("SELECT patient_id, day, code FROM condition ORDER BY ALL"),
        desk.rows("SELECT patient_id, day, code FROM procedure ORDER BY ALL"),
        desk.rows("SELECT patient_id, day, kind FROM event ORDER BY ALL"),
        desk.rows("SELECT patient_id, day FROM follow_up ORDER BY ALL"),
    ]


# 2024-01-01 is day 19,723. Concept 0 and concept 999, which the vocabulary lacks, are no code.
EXPECTED = [
    [("1", "male", 1960.0), ("2", "female", 1971.0)],
    [("1", 19727.0, "L01EB04")],
    [("1", 19724.0, "C34.1")],
    [("1", 19726.0, "33.20")],
    [("2", 19875.0, "death")],
    [("1", 20088.0), ("2", 19875.0)],
]


def test_csv_files_give_codes_of_the_vocabulary(desk: Desk) -> None:
    load(desk, as_csv(desk.folder))
    assert look(desk) == EXPECTED


def test_a_duckdb_file_gives_the_same(desk: Desk) -> None:
    load(desk, as_duckdb(desk.folder))
    assert look(desk) == EXPECTED


def test_a_postgresql_server_gives_the_same_and_is_read_again_at_every_load(
    desk: Desk, as_server: str, postgres: str
) -> None:
    import psycopg

    load(desk, as_server)
    assert look(desk) == EXPECTED
    with psycopg.connect(postgres) as connection:
        connection.execute("INSERT INTO cdm54.death VALUES ('1', '2024-12-31')")
    load(desk, as_server)
    assert desk.rows("SELECT count(*) FROM event") == [(2,)]


def test_a_new_vocabulary_changes_codes_though_the_tables_are_the_same(desk: Desk) -> None:
    load(desk, as_csv(desk.folder))
    place = desk.folder / "concept.csv"
    place.write_text(place.read_text(encoding="utf-8").replace("C34.1", "C34.2"), encoding="utf-8")
    load(desk, "omop-csv")
    assert desk.rows("SELECT code FROM condition") == [("C34.2",)]


def test_tables_of_one_load_may_have_vocabularies_of_their_own(desk: Desk) -> None:
    as_csv(desk.folder)
    other = TABLES["concept"].replace("33.20", "33.21").replace(",", "\t")
    (desk.folder / "local.csv").write_text(other, encoding="utf-8")
    text = layout_text("omop-csv").replace("mapping = 1", "")
    at = text.index('concepts = "concept.csv"', text.index("[files.procedure_occurrence]"))
    desk.load(text[:at] + text[at:].replace("concept.csv", "local.csv", 1))
    assert desk.rows("SELECT code FROM procedure") == [("33.21",)]
    assert desk.rows("SELECT code FROM condition") == [("C34.1",)]


def test_a_server_that_others_can_read_of_or_that_is_not_there_is_refused(desk: Desk) -> None:
    place = desk.folder / "cdm.toml"
    place.write_text('dsn = "host=/nowhere dbname=x"\n', encoding="utf-8")
    place.chmod(0o644)
    with pytest.raises(SourceUnreadable, match="others can read"):
        load(desk, "omop-postgresql")
    place.chmod(0o600)
    with pytest.raises(SourceMissing, match="does not answer"):
        load(desk, "omop-postgresql")
    place.write_text('password = "x"\n', encoding="utf-8")
    with pytest.raises(SourceUnreadable, match="has dsn"):
        load(desk, "omop-postgresql")


def test_what_a_database_lacks_is_named(desk: Desk) -> None:
    layout = layout_text(as_duckdb(desk.folder)).replace("mapping = 1", "")
    with pytest.raises(SourceMissing, match="no table 'persons'"):
        desk.load(layout.replace('table = "person"', 'table = "persons"'))
    with pytest.raises(SourceMissing, match="expects the column 'born'"):
        desk.load(layout.replace('"year_of_birth"', '"born"'))
    with pytest.raises(MappingInvalid, match="many tables"):
        desk.load(layout.replace('table = "person"\n', ""))
    (desk.folder / "cdm.duckdb").write_bytes(b"no database")
    with pytest.raises(SourceUnreadable, match="no database"):
        desk.load(layout)


def test_a_code_without_a_vocabulary_is_refused(desk: Desk) -> None:
    layout = layout_text(as_csv(desk.folder)).replace("mapping = 1", "")
    with pytest.raises(MappingInvalid, match="need the vocabulary"):
        desk.load(layout.replace('concepts = "concept.csv"\n', ""))
    with pytest.raises(SourceMissing, match="vocabulary"):
        desk.load(layout.replace('concepts = "concept.csv"', 'concepts = "../concept.csv"'))
    with pytest.raises(MappingInvalid, match="no column of a CDM table"):
        desk.load(layout.replace("drug_concept_id:code", "drug_concept_id:name"))
