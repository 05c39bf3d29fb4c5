"""Made-up hospitals on disk: read back with plain pandas, by the layouts alone, without our own loader."""

from __future__ import annotations

import gzip
import json
import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from fedvalue.errors import OutputError
from fedvalue.synthetic.hospitals import make_hospitals
from fedvalue.synthetic.layouts import LAYOUTS, Layout
from fedvalue.synthetic.truth import HospitalTruth, Truth
from fedvalue.synthetic.world import LEVELS, Hospital, World

Made = tuple[Path, Truth]

FILE_OF = {
    "patient": "patients", "follow_up": "patients", "drug": "treatments", "response": "responses",
    "event": "events", "claim": "claims", "condition": "claims", "test": "tests",
}  # fmt: skip


def raw(home: Path, layout: Layout, table: str) -> pd.DataFrame:
    """A file as text, under our column names."""
    path = home / layout.files[table]
    back = {local: ours for ours, local in layout.headers.items()}
    if path.suffix == ".parquet":
        with duckdb.connect() as engine:
            rows = engine.execute("SELECT * FROM read_parquet(?)", [str(path)]).df()
        return rows.fillna("").astype(str).rename(columns=back)
    separator = "\t" if path.suffix == ".tsv" else ","
    rows = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding=layout.encoding)
    return rows.rename(columns=back)


def each(made: Made) -> list[tuple[Path, Layout, HospitalTruth]]:
    folder, truth = made
    return [(folder / site.id, LAYOUTS[i], site) for i, site in enumerate(truth.hospitals)]


def test_the_same_generator_state_gives_the_same_bytes(made: Made, world: World, tmp_path: Path) -> None:
    folder, truth = made
    again = make_hospitals(world, tmp_path, np.random.default_rng(7))
    assert again == truth
    ours = {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    theirs = {p.relative_to(tmp_path): p.read_bytes() for p in sorted(tmp_path.rglob("*")) if p.is_file()}
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_another_state_gives_other_hospitals(made: Made, world: World, tmp_path: Path) -> None:
    assert make_hospitals(world, tmp_path, np.random.default_rng(8)).hospitals != made[1].hospitals


def test_the_truth_stands_beside_the_hospitals_and_never_inside(made: Made) -> None:
    folder, truth = made
    assert {path.name for path in folder.iterdir()} == {"truth.json", *(site.id for site in truth.hospitals)}
    written = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    assert written["levels"]["mutated"]["planted_response"] == truth.levels["mutated"].planted_response
    assert written["world"]["hospitals"][0]["patients"] == truth.world.hospitals[0].patients
    for site in truth.hospitals:
        for path in (folder / site.id).rglob("*"):
            assert "truth" not in path.name
            if path.is_file() and path.suffix in {".csv", ".tsv", ".toml"}:
                text = path.read_bytes()
                assert not any(word in text for word in (b"planted", b"wild type", b"not tested", b"hazard"))


def test_every_file_that_the_mapping_names_is_there(made: Made) -> None:
    for home, _, _ in each(made):
        mapping = tomllib.loads((home / "map.toml").read_text(encoding="utf-8"))
        for file in mapping["files"].values():
            assert list(home.glob(file["path"])), f"{home.name}: {file['path']}"


def test_the_federation_speaks_many_dialects(made: Made) -> None:
    endings = {"".join(path.suffixes) for path in made[0].rglob("*") if path.is_file()}
    assert {".csv", ".tsv", ".parquet", ".maf", ".maf.gz", ".vcf", ".vcf.gz"} <= endings
    with pytest.raises(UnicodeDecodeError):
        (made[0] / "river-cancer" / "患者.tsv").read_text(encoding="utf-8")
    assert "病案号" in (made[0] / "river-cancer" / "患者.tsv").read_text(encoding="gb18030")
    assert "病案号" in (made[0] / "lake-university" / "patients.tsv").read_text(encoding="utf-8")


def test_files_hold_the_good_rows_and_the_recorded_bad_rows_and_no_other(made: Made) -> None:
    for home, layout, site in each(made):
        for table, file in FILE_OF.items():
            rows = raw(home, layout, file)
            said = site.tables[table]
            expected = said.kept + sum(said.left_out.values())
            spread = {"condition": "diagnosis", "test": "genes"}.get(table)
            entries = rows[spread].str.split(";").map(len).sum() if spread in rows else len(rows)
            assert entries == expected, f"{site.id} {table}"


def test_bad_rows_are_what_the_truth_calls_them(made: Made) -> None:
    for home, layout, site in each(made):
        patients, treatments = raw(home, layout, "patients"), raw(home, layout, "treatments")
        claims, tests = raw(home, layout, "claims"), raw(home, layout, "tests")
        ids = patients.loc[patients["patient_id"] != "", "patient_id"]
        said = {table: Counter(site.tables[table].left_out) for table in FILE_OF}
        assert ids.duplicated().sum() == said["patient"]["duplicate patient"] == 1
        assert (patients["patient_id"] == "").sum() == said["patient"]["missing id"] == 1
        for table, rows in (("drug", treatments), ("test", tests)):
            strangers = ~rows["patient_id"].isin(ids)
            assert strangers.sum() == 1
            assert said[table]["patient not in the patients table"] == (4 if "genes" in rows else 1)
        assert (treatments["started"] == "").sum() == said["drug"]["missing day"] == 1
        assert claims["total"].str.startswith("-").sum() == said["claim"]["negative amount"] == 1
        assert (claims["total"] == "").sum() == said["claim"]["missing amount"] == 1
        assert claims["claim_id"].duplicated().sum() == said["claim"]["duplicate claim"] == 1
        assert (
            (raw(home, layout, "responses")["status"] == "mixed").sum()
            == said["response"]["unknown code"]
            == 1
        )
    every = Counter[str]()
    for _, _, site in each(made):
        for said_of in site.tables.values():
            every.update(said_of.left_out)
    assert {"negative time", "before origin", "unparseable date", "not a finite number", "duplicate row",
            "unknown currency", "missing id", "unknown code", "duplicate patient"} <= set(every)  # fmt: skip


def test_a_world_without_bad_rows_leaves_nothing_out(world: World, tmp_path: Path) -> None:
    truth = make_hospitals(replace(world, faulty_rows=False), tmp_path, np.random.default_rng(1))
    assert all(not table.left_out for site in truth.hospitals for table in site.tables.values())


def test_counting_in_the_files_of_one_hospital_gives_its_recorded_groups(made: Made) -> None:
    # the first hospital writes plain CSV and MAF: count its mutated responders by hand
    home, layout, site = each(made)[0]
    treatments = raw(home, layout, "treatments").drop_duplicates()
    starts = treatments[treatments["drug"].str.startswith("L01EB") & (treatments["started"] != "")]
    claims = raw(home, layout, "claims")
    lung = set(claims.loc[claims["diagnosis"].str.startswith("C34"), "patient_id"])
    patients = set(raw(home, layout, "patients")["patient_id"])
    index = starts[starts["patient_id"].isin(patients & lung)].groupby("patient_id")["started"].min()
    assert len(index) == site.cohort
    tested = set(raw(home, layout, "tests")["patient_id"])
    maf = pd.read_csv(home / "variants.maf", sep="\t", comment="#", dtype=str)
    driver = (maf["Hugo_Symbol"] == "EGFR") & maf["HGVSp_Short"].isin(["p.L858R", "p.E746_A750del"])
    mutated = set(maf.loc[driver, "Tumor_Sample_Barcode"])
    assert mutated <= tested
    responses = raw(home, layout, "responses")
    responses = responses[responses["assessed"].str.fullmatch(r"\d{4}-(0[1-9]|1[0-2])-([0-2]\d|3[01])")]
    responses = responses[responses["assessed"] != "2024-02-31"]
    good = responses[
        responses["status"].isin(["complete", "partial"]) & responses["patient_id"].isin(index.index)
    ]
    since = pd.to_datetime(good["assessed"]) - pd.to_datetime(index[good["patient_id"]].to_numpy())
    responders = set(good.loc[since.dt.days.between(1, 183).to_numpy(), "patient_id"])
    members = {"mutated": mutated, "wild type": tested - mutated, "not tested": patients - tested}
    for level in LEVELS:
        here = members[level] & set(index.index)
        assert len(here) == site.groups[level].patients
        assert len(here & responders) == site.groups[level].responders


def test_nothing_is_recorded_after_the_last_contact(made: Made) -> None:
    home, layout, _ = each(made)[0]
    last = raw(home, layout, "patients").drop_duplicates("patient_id").set_index("patient_id")["last_contact"]
    for table, day in (("events", "happened"), ("tests", "reported"), ("treatments", "started")):
        rows = raw(home, layout, table)
        rows = rows[rows["patient_id"].isin(last.index) & (rows[day] != "")]
        assert (rows[day].to_numpy() <= last[rows["patient_id"]].to_numpy()).all(), table


def test_genotypes_of_a_vcf_and_rows_of_a_maf_are_the_recorded_variants(made: Made) -> None:
    for home, layout, site in each(made):
        files = sorted(home.glob(layout.files["variants"]))
        text = "".join(
            (gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes()).decode() for p in files
        )
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        found = len(lines) - 1 if layout.variants == "maf" else sum(line.count("0/1") for line in lines)
        assert found == site.tables["variant"].kept, site.id
        if layout.variants == "vcf per patient":
            assert len(files) == site.tables["test"].kept


def test_hospitals_of_one_patient_can_be_made_and_layouts_begin_again(world: World, tmp_path: Path) -> None:
    tiny = replace(world, hospitals=tuple(Hospital(f"h{i}", 1) for i in range(8)))
    truth = make_hospitals(tiny, tmp_path, np.random.default_rng(2))
    assert [site.cohort for site in truth.hospitals] == [1] * 8
    assert truth.hospitals[6].layout == truth.hospitals[0].layout


def test_an_existing_hospital_is_never_mixed_with_a_new_one(world: World, tmp_path: Path) -> None:
    (tmp_path / world.hospitals[0].id).mkdir()
    with pytest.raises(OutputError, match="exists already"):
        make_hospitals(world, tmp_path, np.random.default_rng(1))


def test_a_folder_that_cannot_be_written_is_an_output_error(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        make_hospitals(world, tmp_path / "file", np.random.default_rng(1))


def test_counts_add_over_hospitals(made: Made) -> None:
    truth = made[1]
    total = sum(truth.count(level).patients for level in LEVELS)
    assert total == truth.world.patients == sum(site.cohort for site in truth.hospitals)
    assert truth.count("mutated").responders == sum(s.groups["mutated"].responders for s in truth.hospitals)
