"""Medicare claims in CMS's own layout (synthetic, CC0): every sum of the folder's README."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from fedvalue.client.records.layouts import layout
from fedvalue.client.records.load import load
from fedvalue.client.records.store import MODEST, reading


def test_paid_amounts_by_claim_are_those_of_the_files(shared_data: Path, tmp_path: Path) -> None:
    database = tmp_path / "records.duckdb"
    report = load(shared_data / "claims" / "rif_synthea", layout("cms-rif"), database)
    with reading(database, limits=MODEST) as store:
        paid = dict(store.execute("SELECT setting, sum(total_paid) FROM claim GROUP BY 1").fetchall())
        lines = dict(
            store.execute(
                "SELECT c.setting, sum(l.amount) FROM claim_line l JOIN claim c USING (patient_id, claim_id) "
                "GROUP BY 1"
            ).fetchall()
        )
    assert {name: paid[name] for name in ("inpatient", "outpatient", "physician", "skilled nursing")} == {
        "inpatient": Decimal("36386.46"),
        "outpatient": Decimal("132056.09"),
        "physician": Decimal("112165.91"),
        "skilled nursing": Decimal("32052.84"),
    }
    assert set(lines) == {"physician", "equipment"}
    assert (report.rows["patient"], report.rows["claim_line"]) == (3, 222)
    again = load(shared_data / "claims" / "rif_synthea", layout("cms-rif"), database)
    assert len(again.unchanged) == len(report.files)
