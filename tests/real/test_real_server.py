"""Real tables in a store on a PostgreSQL server: the known answers, and the rows of DuckDB bit for bit."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from fedvalue.client.records.layouts import layout
from fedvalue.client.records.load import load
from fedvalue.client.records.mapping import load_mapping
from fedvalue.client.records.snapshot import build, freeze
from fedvalue.client.records.store import MODEST
from fedvalue.client.records.stores import reading
from fedvalue.study.file import load as load_study
from tests.conftest import Place

HERE = Path(__file__).parent
MUTATIONS = HERE / "mappings" / "luad_mutations.toml"


def test_survival_of_the_cancer_atlas_is_frozen_alike(
    shared_data: Path, on_server: Place, tmp_path: Path
) -> None:
    mapping = load_mapping(HERE / "mappings" / "luad.toml")
    study = load_study(HERE / "studies" / "luad.toml")
    stores = (tmp_path / "luad.duckdb", on_server(tmp_path))
    reports = [load(shared_data / "tcga_luad", mapping, place) for place in stores]
    frozen = [freeze(place, study, tmp_path / place.suffix) for place in stores]
    assert reports[0] == reports[1]
    assert frozen[0].content == frozen[1].content
    assert build(stores[1], study).cohort.patients == 481


def test_mutations_of_the_cancer_atlas_are_those_of_the_files(
    shared_data: Path, on_server: Place, tmp_path: Path
) -> None:
    place = on_server(tmp_path)
    load(shared_data / "tcga_luad", load_mapping(MUTATIONS), place)
    with reading(place, limits=MODEST, tables=("variant",)) as store:
        found = dict(
            store.execute(
                "SELECT gene, count(DISTINCT patient_id) FROM variant "
                "WHERE gene IN ('KRAS', 'EGFR', 'TP53') GROUP BY ALL"
            ).fetchall()
        )
        l858r = store.execute(
            "SELECT count(DISTINCT patient_id) FROM variant WHERE catalogued = 'L858R' AND gene = 'EGFR'"
        ).fetchone()
    assert found == {"KRAS": 161, "EGFR": 71, "TP53": 287}
    assert l858r == (21,)


def test_claims_of_medicare_are_exact_to_the_cent(
    shared_data: Path, on_server: Place, tmp_path: Path
) -> None:
    place = on_server(tmp_path)
    report = load(shared_data / "claims" / "rif_synthea", layout("cms-rif"), place)
    with reading(place, limits=MODEST, tables=("claim",)) as store:
        paid = dict(store.execute("SELECT setting, sum(total_paid) FROM claim GROUP BY 1").fetchall())
    assert (paid["inpatient"], paid["outpatient"], paid["physician"]) == (
        Decimal("36386.46"),
        Decimal("132056.09"),
        Decimal("112165.91"),
    )
    assert (report.rows["patient"], report.rows["claim_line"]) == (3, 222)
