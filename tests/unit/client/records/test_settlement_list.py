"""Settlement lists of a made-up region, against books that no loader kept."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pytest

from fedvalue.client.records.layouts import LAYOUTS, layout, layout_text
from fedvalue.client.records.load import load
from fedvalue.client.records.store import MODEST, reading
from fedvalue.errors import MappingInvalid
from fedvalue.synthetic.settlement import Books, write_region


def books(database: Path) -> Books:
    """Keep the books anew, from the store."""
    found = Books()
    with reading(database, limits=MODEST) as store:
        found.people = _one(store, "SELECT count(*) FROM patient")
        for channel, cases, total, fund in store.execute(
            "SELECT channel, count(*), sum(total_paid), sum(fund_paid) FROM claim GROUP BY 1"
        ).fetchall():
            found.claims[channel], found.total[channel], found.fund[channel] = cases, total, fund
        for group, cases, amounts in store.execute(
            "SELECT payment_group, count(*), list(total_paid) FROM claim "
            "WHERE payment_group IS NOT NULL GROUP BY 1"
        ).fetchall():
            found.groups[group] = (cases, sum(amounts, Decimal(0)), sum((x * x for x in amounts), Decimal(0)))
    return found


def _one(store: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = store.execute(sql).fetchone()
    return int(row[0]) if row else -1


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
def test_the_stores_of_hospitals_and_payer_agree_with_the_books_to_the_fen(
    tmp_path: Path, encoding: str
) -> None:
    region = write_region(tmp_path, np.random.default_rng(20260101), people=40, encoding=encoding)
    mapping = layout("settlement-list", encoding=encoding)
    everybody = [region.payer, *region.hospitals.values()]
    for folder, kept in everybody if encoding == "gb18030" else everybody[:1]:
        report = load(folder, mapping, folder / "store" / "records.duckdb")
        found = books(folder / "store" / "records.duckdb")
        found.refunds = sum(
            item.rows for table in report.tables for item in table.left_out if item.reason == "void"
        )
        assert found == kept
        assert not any(table.blanked for table in report.tables)


def test_drugs_are_told_from_consumables_and_everybody_is_enrolled(tmp_path: Path) -> None:
    region = write_region(tmp_path, np.random.default_rng(7), people=30, hospitals=1)
    folder, kept = region.payer
    database = tmp_path / "records.duckdb"
    report = load(folder, layout("settlement-list"), database)
    # each settlement has two drugs and one consumable
    lines = report.rows["claim_line"]
    assert (report.rows["drug"], lines % 3) == (lines * 2 // 3, 0)
    with reading(database, limits=MODEST) as store:
        assert _one(store, "SELECT count(DISTINCT patient_id) FROM enrolment") == kept.people
        ended = "SELECT count(*) FROM enrolment WHERE reason = 'ended' AND until IS NOT NULL"
        assert _one(store, ended) == _one(store, "SELECT count(*) FROM event WHERE kind = 'death'")


def test_every_layout_is_a_valid_mapping_and_others_are_refused() -> None:
    assert all(layout(name).patient is not None for name in LAYOUTS)
    assert 'encoding = "gb18030"' in layout_text("settlement-list", encoding="gb18030")
    with pytest.raises(MappingInvalid, match="there are cms-rif, settlement-list"):
        layout("hl7")
