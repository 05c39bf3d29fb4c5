"""The mapping file is strict, and its documentation is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fedvalue.client.records.cells import Cell, Day
from fedvalue.client.records.mapping import Mapping, load_mapping, parse_mapping
from fedvalue.errors import MappingInvalid

FLAT = """
mapping = 1
[files.table]
path = "table.csv"
[patient]
file = "table"
patient_id = "id"
[[survival]]
file = "table"
patient_id = "id"
time = { duration = "days" }
event = { column = "dead", codes = { "0" = "censored", "1" = "death" } }
"""


def parsed(text: str) -> Mapping:
    return parse_mapping(text.encode(), where="map.toml")


@pytest.mark.parametrize("name", ["hospital", "flat", "reports", "measurements"])
def test_the_examples_of_the_documentation_are_valid(repository: Path, name: str) -> None:
    text = (repository / "docs" / "mapping.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- example: {name} -->\n```toml\n(.*?)```", text, re.DOTALL)
    assert found is not None
    assert parse_mapping(found[1].encode(), where=name).calendar == (name != "flat")


def test_every_key_of_a_file_a_cell_and_a_day_is_documented(repository: Path) -> None:
    text = (repository / "docs" / "mapping.md").read_text(encoding="utf-8")
    keys = [
        *Cell.model_fields,
        *Day.model_fields,
        *(name for name in Mapping.model_fields if name != "mapping"),
    ]
    assert [
        key for key in keys if f"`{key}" not in text and f"[{key}" not in text and f"{{ {key}" not in text
    ] == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('path = "table.csv"', 'paht = "table.csv"', "unknown key 'paht'; allowed: path, format"),
        ("[[survival]]", "[[surival]]", "unknown key 'surival'; allowed: mapping, files, patient"),
        ("time = {", "tmie = {", "survival[0]: unknown key 'tmie'; allowed: file, patient_id, time, event"),
        ('duration = "days"', 'durations = "days"', "unknown key 'durations'; allowed: date, day, duration"),
        ('"1" = "death"', '"1" = "dead"', "'dead' is not one of death, progression"),
        ('file = "table"\npatient_id', 'file = "tabel"\npatient_id', "there are ['table']"),
        ('duration = "days"', 'duration = "days", unit = "day"', "'days', 'weeks', 'months' or 'years'"),
        ('duration = "days"', 'duration = "days", format = ["%Y"]', "format belongs to date"),
        ('duration = "days"', 'date = "days", format = ["%d.%m"]', "no strptime pattern of a date"),
        ('duration = "days"', 'date = "days", format = ["%Q%Y"]', "no strptime pattern of a date"),
        ('duration = "days"', 'duration = "days", day = "days"', "exactly one of date, day, duration"),
        ('patient_id = "id"', 'patient_id = { column = "id", constant = "x" }', "exactly one of column"),
        ('"0" = "censored"', '"0" = "censored", "0.0" = "death"', "two keys mean the same code"),
        ('patient_id = "id"', 'patient_id = { columns = ["a", "b"] }', "belong to code and genes"),
        ('patient_id = "id"', 'patient_id = { column = "id", separator = ";" }', "belong to code and genes"),
        ('patient_id = "id"', 'patient_id = { column = "id", type = "text" }', "type belongs to attributes"),
        ('patient_id = "id"', 'patient_id = "id"\nattributes.a = { row_number = true }', "one value of one"),
        ('patient_id = "id"', 'patient_id = "id"\nattributes = { origin = "x" }', "'origin' is taken"),
        ('column = "dead", codes', "row_number = true, codes", "row_number belongs to patient_id"),
        ("mapping = 1", "mapping = 2", "Input should be 1"),
        ('path = "table.csv"', 'path = "../table.csv"', "below the hospital's folder"),
        ('path = "table.csv"', 'path = "/etc/passwd"', "below the hospital's folder"),
        ('path = "table.csv"', 'path = "*/table.csv"', "in the file name only"),
        ('path = "table.csv"', 'path = "table.xlsx"', "csv, tsv, parquet, maf, vcf, fhir or omop"),
        ('path = "table.csv"', 'path = "table.csv"\nencoding = "latin-1"', "'utf-8' or 'gb18030'"),
        ('path = "table.csv"', 'path = "table.csv"\ndelimiter = "\\""', "no quote, '#' or line break"),
        ('path = "table.csv"', 'path = "table.csv"\nsamples = ["A"]', "belong to vcf files"),
        ('patient_id = "id"', 'patient_id = "id"\norigin = { duration = "x" }', "origin is a date or a day"),
        ("mapping = 1", "mapping = 1\nmapping = 1", "not a TOML file"),
    ],
)  # fmt: skip
def test_what_a_mapping_must_not_say_is_refused_with_file_key_and_allowed_values(
    old: str, new: str, message: str
) -> None:
    with pytest.raises(MappingInvalid, match=re.escape(message)) as refusal:
        parsed(FLAT.replace(old, new, 1))
    assert refusal.value.where == "map.toml"
    assert refusal.value.code == "mapping_invalid"


def test_a_hospital_keeps_one_scale_of_days() -> None:
    dated = '[[follow_up]]\nfile = "table"\npatient_id = "id"\nday = { date = "seen" }\n'
    numbered = '[[follow_up]]\nfile = "table"\npatient_id = "id"\nday = { day = "seen" }\n'
    with pytest.raises(MappingInvalid, match="say which date it counts from"):
        parsed(FLAT + dated)
    with pytest.raises(MappingInvalid, match="use one scale for the hospital"):
        parsed(FLAT + dated + numbered)
    with_origin = FLAT.replace('patient_id = "id"\n', 'patient_id = "id"\norigin = { date = "first" }\n', 1)
    assert parsed(with_origin + dated).calendar


def test_a_csv_of_variants_needs_column_names_and_a_maf_does_not() -> None:
    variants = '[[variant]]\nfile = "calls"\n'
    assert parsed(FLAT.replace("[patient]", '[files.calls]\npath = "a.maf.gz"\n[patient]') + variants).variant
    with pytest.raises(MappingInvalid, match="needs patient_id and gene"):
        parsed(FLAT.replace("[patient]", '[files.calls]\npath = "a.csv"\n[patient]') + variants)


def test_a_mapping_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MappingInvalid, match="cannot be read"):
        load_mapping(tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["tests/real/mappings/lung.toml", "tests/real/mappings/luad.toml",
                                  "tests/data/mappings/lung_lifelines.toml"])  # fmt: skip
def test_the_mappings_of_the_tests_are_valid(repository: Path, name: str) -> None:
    assert load_mapping(repository / name).survival
