"""Real tables through the records room: known answers, hospital by hospital."""

from __future__ import annotations

import gzip
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from lifelines import KaplanMeierFitter
from lifelines.datasets import load_lung

from fedvalue.analyses.cohort import Cohort, pool
from fedvalue.client.records.load import load
from fedvalue.client.records.mapping import load_mapping, parse_mapping
from fedvalue.client.records.snapshot import build
from fedvalue.client.records.split import split_table
from fedvalue.client.records.store import MODEST, reading
from tests.loads import Loads
from tests.records_desk import CALLER, Desk

OVERALL = """
[cohort]
index = { first = "patient" }
[endpoints]
os = { kind = "time_to_event", entry = "origin", events = ["death"], until = "120 months", grid = "1 month" }
[[analyses]]
kind = "kaplan_meier"
endpoint = "os"
budget = 1.0
"""
SEX = '[variables]\nsex = { person = "sex", levels = ["male", "female"] }\n'
LEVELS = '["mutated", "wild type", "not tested"]'
GENES = "".join(
    f'{gene.lower()} = {{ variant = {{ gene = "{gene}" }}, levels = {LEVELS} }}\n'
    for gene in ("EGFR", "KRAS", "TP53", "STK11", "KEAP1")
)


def federated(
    table: Path, site_column: str, mapping: Path, study: str, work: Path, loads: Loads
) -> dict[str, Cohort]:
    """Split, load and build: site -> its cohort."""
    asked = Desk(work, work).study(study)
    ours = load_mapping(mapping)
    cohorts = dict[str, Cohort]()
    for site in split_table(table, site_column, work / "split", ours).sites:
        loads(site.folder, ours, work / f"{site.name}.duckdb")
        cohorts[site.name] = build(work / f"{site.name}.duckdb", asked).cohort
    return cohorts


def assert_lung(cohorts: dict[str, Cohort]) -> None:
    """The 18 institutions and the one row without; answers of R survival and lifelines on the pooled rows."""
    assert len(cohorts) == 19
    assert cohorts["no-site"].patients == 1
    assert sum(cohort.patients for cohort in cohorts.values()) == 228
    everybody = pool(list(cohorts.values()))
    outcome, sex = everybody.survival["os"], everybody.categories["sex"]
    assert Counter(outcome.event.tolist()) == {1: 165, 0: 63}
    medians = {}
    for name, rows in (("all", sex >= 0), ("male", sex == 0), ("female", sex == 1)):
        curve = KaplanMeierFitter().fit(outcome.exit[rows], outcome.event[rows] == 1)
        medians[name] = curve.median_survival_time_
        if name == "all":
            np.testing.assert_allclose(curve.predict(365), 0.409242, atol=5e-7)
    assert medians == {"all": 310.0, "male": 270.0, "female": 426.0}


def test_lung_over_its_institutions(
    shared_data: Path, repository: Path, tmp_path: Path, loads: Loads
) -> None:
    mapping = repository / "tests" / "real" / "mappings" / "lung.toml"
    table = shared_data / "lung" / "lung.csv"
    assert_lung(federated(table, "inst", mapping, SEX + OVERALL, tmp_path, loads))


def test_lung_as_lifelines_packages_it(repository: Path, tmp_path: Path, loads: Loads) -> None:
    table = tmp_path / "lung.csv"
    load_lung().to_csv(table, index=False)
    mapping = repository / "tests" / "data" / "mappings" / "lung_lifelines.toml"
    assert_lung(federated(table, "inst", mapping, SEX + OVERALL, tmp_path, loads))


def test_lung_adenocarcinoma_over_31_hospitals(
    shared_data: Path, repository: Path, tmp_path: Path, loads: Loads
) -> None:
    table = shared_data / "tcga_luad" / "luad_analysis_table.csv"
    mapping = repository / "tests" / "real" / "mappings" / "luad.toml"
    cohorts = federated(table, "TSS", mapping, SEX + GENES + OVERALL, tmp_path, loads)
    sizes = {site: cohort.patients for site, cohort in cohorts.items()}
    assert len(sizes) == 31
    assert {"05", "MP", "J2"} <= sizes.keys()
    assert sum(sizes.values()) == 481
    assert sum(size >= 15 for size in sizes.values()) == 12
    assert sum(size >= 10 for size in sizes.values()) == 17
    everybody = pool(list(cohorts.values()))
    mutated = {
        gene: int((everybody.categories[gene] == 0).sum())
        for gene in ("egfr", "kras", "tp53", "stk11", "keap1")
    }
    assert mutated == {"egfr": 66, "kras": 150, "tp53": 256, "stk11": 77, "keap1": 84}
    assert int((everybody.categories["egfr"] == 1).sum()) == 481 - 66
    # Nine patients have no survival time: unknown. Of the other 472, 171 died, one of them on day zero.
    outcome = everybody.survival["os"]
    assert Counter(outcome.event.tolist()) == {-1: 9, 0: 301, 1: 171}
    assert int(((outcome.exit == 0) & (outcome.event == 1)).sum()) == 1


def test_the_mutation_file_of_the_same_patients(shared_data: Path, tmp_path: Path) -> None:
    mapping = load_mapping(Path(__file__).parent / "mappings" / "luad_mutations.toml")
    store = tmp_path / "luad.duckdb"
    report = load(shared_data / "tcga_luad", mapping, store)
    assert report.files[0].rows == 142_536
    assert not report.files[0].left_out
    with reading(store, limits=MODEST) as connection:
        found = connection.execute(
            "SELECT gene, count(DISTINCT patient_id) FROM variant "
            "WHERE gene IN ('KRAS', 'EGFR', 'TP53', 'STK11', 'KEAP1') GROUP BY gene"
        ).fetchall()
        point = connection.execute(
            "SELECT count(DISTINCT patient_id) FROM variant "
            "WHERE gene = 'EGFR' AND protein_change = 'p.L858R'"
        ).fetchone()
    assert dict(found) == {"KRAS": 161, "EGFR": 71, "TP53": 287, "STK11": 77, "KEAP1": 91}
    assert point == (21,)


def test_acute_myeloid_leukemia_from_two_files(shared_data: Path, tmp_path: Path) -> None:
    mapping = parse_mapping(
        b"""
        mapping = 1
        [files.people]
        path = "maftools_tcga_laml_annot.tsv"
        [files.mutations]
        path = "maftools_tcga_laml.maf.gz"
        [patient]
        file = "people"
        patient_id = "Tumor_Sample_Barcode"
        attributes = { fab = "FAB_classification" }
        [[survival]]
        file = "people"
        patient_id = "Tumor_Sample_Barcode"
        time = { duration = "days_to_last_followup" }
        event = { column = "Overall_Survival_Status", codes = { "0" = "censored", "1" = "death" } }
        [[variant]]
        file = "mutations"
        tested = "listed"
        """,
        where="laml",
    )
    folder = shared_data / "variants"
    report = load(folder, mapping, tmp_path / "laml.duckdb")
    with gzip.open(folder / "maftools_tcga_laml.maf.gz", "rt", encoding="utf-8") as stream:
        lines = [line.rstrip("\n").split("\t") for line in stream]
    header, rows = lines[0], lines[1:]
    who, gene = header.index("Tumor_Sample_Barcode"), header.index("Hugo_Symbol")
    flt3 = {row[who] for row in rows if row[gene] == "FLT3"}
    assert report.files[1].rows == len(rows)
    with reading(tmp_path / "laml.duckdb", limits=MODEST) as connection:
        carriers = connection.execute(
            "SELECT DISTINCT patient_id FROM variant WHERE gene = 'FLT3'"
        ).fetchall()
        tested = connection.execute("SELECT count(DISTINCT patient_id) FROM test").fetchone()
    assert {patient for (patient,) in carriers} == flt3
    assert tested == (len({row[who] for row in rows}),)


VCFS = (
    "cyvcf2_test.snpeff.vcf",
    "cyvcf2_test.vcf.gz",
    "gonl.chr20.release4.gtc.vcf.gz",
    "vcf2maf_test_b37.vcf",
    "vcf2maf_test_b38.vcf",
    "vcf2maf_test_maf2vcf.vcf",
    "vcf2maf_test_merged.vcf",
    "vcf2maf_test_mutect.vcf",
    "vcf2maf_test_strelka.vcf",
    "vcf2maf_test_varscan.vcf",
)


@pytest.mark.parametrize("name", VCFS)
def test_every_line_of_a_callers_vcf_is_read_or_counted(shared_data: Path, tmp_path: Path, name: str) -> None:
    # None of these callers annotates genes in a way of today: every call is counted as left out, none lost.
    path = shared_data / "variants" / name
    with (gzip.open if name.endswith(".gz") else open)(path, "rb") as stream:
        lines = stream.read().decode("utf-8").splitlines()
    calls = [line for line in lines if line and not line.startswith("#")]
    folder = tmp_path / "hospital"
    folder.mkdir()
    shutil.copy(path, folder / "calls.vcf")
    samples = next(line for line in lines if line.startswith("#CHROM")).split("\t")[9:]
    (folder / "people.csv").write_text("id\n" + "\n".join(samples or ["nobody"]) + "\n")
    mapping = parse_mapping(f"mapping = 1\n{CALLER}".encode(), where="callers")
    report = load(folder, mapping, tmp_path / "s.duckdb").files[1]
    reasons = {item.reason: item.rows for item in report.left_out}
    assert report.rows + sum(reasons.values()) == len(calls)
    assert reasons.keys() <= {"no gene annotation", "call did not pass its filter"}
    with reading(tmp_path / "s.duckdb", limits=MODEST) as connection:
        tested = connection.execute("SELECT DISTINCT patient_id FROM test ORDER BY ALL").fetchall()
    assert [patient for (patient,) in tested] == sorted(samples)


def test_a_vcf_annotated_by_hand_agrees_with_its_expected_maf(shared_data: Path, tmp_path: Path) -> None:
    # vcf2maf's own test pair: the calls of the VCF, and the MAF that vcf2maf makes of them with VEP.
    folder = shared_data / "variants"
    expected = [
        line.split("\t")
        for line in (folder / "vcf2maf_test_b38_output.maf").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    at = {name: expected[0].index(name) for name in ("Hugo_Symbol", "HGVSp_Short", "Variant_Classification")}
    notes = [
        f"GENE={row[at['Hugo_Symbol']]};HGVSp={row[at['HGVSp_Short']]};EFFECT={row[at['Variant_Classification']]}"
        for row in expected[1:]
    ]
    lines = (folder / "vcf2maf_test_b38.vcf").read_text(encoding="utf-8").splitlines()
    calls = [line for line in lines if not line.startswith("#")]
    assert len(calls) == len(notes)
    annotated = [
        "\t".join([*call.split("\t")[:7], note, *call.split("\t")[8:]])
        for call, note in zip(calls, notes, strict=True)
    ]
    room = tmp_path / "hospital"
    room.mkdir()
    header = [line for line in lines if line.startswith("#")]
    (room / "calls.vcf").write_text("\n".join([*header, *annotated]) + "\n")
    shutil.copy(folder / "vcf2maf_test_b38_output.maf", room / "expected.maf")
    (room / "people.csv").write_text("id\nTUMOR\n")
    text = 'mapping = 1\n[files.people]\npath = "people.csv"\n[files.calls]\npath = "{}"\n'
    text += '[patient]\nfile = "people"\npatient_id = "id"\n[[variant]]\nfile = "calls"\n'
    found = []
    for name in ("calls.vcf", "expected.maf"):
        load(room, parse_mapping(text.format(name).encode(), where=name), tmp_path / f"{name}.duckdb")
        with reading(tmp_path / f"{name}.duckdb", limits=MODEST) as connection:
            found.append(
                connection.execute(
                    "SELECT patient_id, gene, protein_change, effect FROM variant ORDER BY ALL"
                ).fetchall()
            )
    assert found[0] == found[1]
    assert ("TUMOR", "RUNX1", "p.L429R", "Missense_Mutation") in found[0]
