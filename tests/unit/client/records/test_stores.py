"""The store's layouts and pseudonyms, and the two readers of text files that have to agree."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.client.records import tabular
from fedvalue.client.records.connectors import Wanted
from fedvalue.client.records.load import has_pseudonyms, load
from fedvalue.client.records.mapping import SourceFile
from fedvalue.client.records.migrations import migrate
from fedvalue.client.records.plain_text import looked_through
from fedvalue.client.records.pseudonyms import Pseudonyms
from fedvalue.client.records.reasons import ZH
from fedvalue.client.records.report import LeftOut
from fedvalue.client.records.store import CANONICAL, FORMAT, MODEST, reading, require_format, scratch
from fedvalue.client.records.tabular import DelimitedText
from fedvalue.errors import SourceUnreadable
from tests.records_desk import Desk

PEOPLE = '[patient]\nfile = "people"\npatient_id = "id"\n'
BILLS = (
    PEOPLE
    + '[[claim]]\nfile = "bills"\npatient_id = "id"\nclaim_id = "bill"\nday = { day = "day" }\n'
    + 'total_paid = "paid"\ncurrency = { constant = "CNY" }\n'
)


def held(database: Path, tables: tuple[str, ...]) -> dict[str, list[tuple[object, ...]]]:
    with reading(database, limits=MODEST) as store:
        return {name: store.execute(f"FROM {name} ORDER BY ALL").fetchall() for name in tables}


def test_a_store_goes_back_to_the_former_layout_and_on_again(desk: Desk) -> None:
    desk.write(people="id\na\nb\n", bills="id,bill,day,paid\na,1,5,10.00\nb,2,6,0.05\n")
    desk.load(BILLS)
    rows = held(desk.database, ("patient",)), desk.rows("SELECT patient_id, claim_id, total_paid FROM claim")
    assert migrate(desk.database, to=1) == FORMAT
    assert desk.rows("SELECT * FROM claim LIMIT 0") == []
    with reading(desk.database, limits=MODEST) as store:
        names = [name for name, *_ in store.execute("DESCRIBE claim").fetchall()]
        tables = {name for (name,) in store.execute("SHOW TABLES").fetchall()}
        with pytest.raises(SourceUnreadable, match="has layout 1"):
            require_format(store, where="here")
    # the claim table as version 1 had it
    assert names == ["patient_id", "claim_id", "day", "total_paid", "patient_paid", "currency"]
    assert not {"loaded", "claim_line", "enrolment", "vital_status"} & tables
    assert migrate(desk.database) == 1
    assert rows == (
        held(desk.database, ("patient",)),
        desk.rows("SELECT patient_id, claim_id, total_paid FROM claim"),
    )
    assert all(not row for row in held(desk.database, CANONICAL[-3:]).values())
    # the next load knows nothing of the files and reads them all
    assert desk.load(BILLS).unchanged == ()
    assert migrate(desk.database) == FORMAT


def test_a_store_of_a_newer_version_is_left_alone(desk: Desk) -> None:
    desk.write(people="id\na\n")
    desk.load(PEOPLE)
    with duckdb.connect(str(desk.database)) as store:
        store.execute("UPDATE store_meta SET value = '99' WHERE key = 'format'")
    with pytest.raises(SourceUnreadable, match="go back with the version"):
        migrate(desk.database, to=1)
    with pytest.raises(SourceUnreadable, match="no layout 99"):
        migrate(desk.database, to=99)
    with reading(desk.database, limits=MODEST) as store, pytest.raises(SourceUnreadable, match="no store"):
        require_format(store, where="here")


def test_pseudonyms_are_hmac_sha256_of_the_ids_in_the_store_and_nowhere_else(desk: Desk) -> None:
    desk.write(people="id\n张三\n007\n", bills="id,bill,day,paid\n007,1,5,10.00\n8,2,5,1.00\n")
    secret = b"a secret of the site, 32 bytes !"
    names = Pseudonyms(secret)
    load(desk.folder, desk.mapping(BILLS), desk.database, pseudonyms=names)

    def by_hand(local: str) -> str:
        return urlsafe_b64encode(hmac.new(secret, local.encode(), hashlib.sha256).digest()[:9]).decode()

    assert {who for (who,) in desk.rows("SELECT patient_id FROM patient")} == {
        by_hand("张三"),
        by_hand("007"),
    }
    assert desk.rows("SELECT patient_id FROM claim") == [(names.of("007"),)]
    assert "张三".encode() not in desk.database.read_bytes()
    assert has_pseudonyms(desk.database) is True
    # another secret makes other names of everybody, and no file is taken as known
    other = Pseudonyms(b"another secret of the site")
    assert load(desk.folder, desk.mapping(BILLS), desk.database, pseudonyms=other).unchanged == ()
    assert desk.rows("SELECT patient_id FROM claim") == [(other.of("007"),)]


def test_every_reason_of_the_documented_table_has_a_chinese_word(repository: Path) -> None:
    page = (repository / "docs" / "mapping.md").read_text(encoding="utf-8")
    table = page.split("| reason | tables |")[1].split("\n\n")[0]
    named = [name.strip() for line in table.splitlines()[2:] for name in line.split("|")[1].split(",")]
    # what belongs to OMOP and FHIR is named by their readers
    missing = {name for name in named if name and name not in ZH}
    assert missing <= {
        "no JSON object",
        "another type of resource",
        "entered in error",
        "no resource has ...",
    }


CELL = st.text(alphabet="a1.- \t\r\u3000é\x85\u2028", max_size=4)
LINES = st.lists(st.lists(CELL, min_size=1, max_size=4).map(",".join), min_size=1, max_size=6)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(lines=LINES, ending=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
def test_both_readers_of_text_give_the_same_rows_and_the_same_faults(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], ending: str, last: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "t.csv"
    path.write_bytes((ending.join(["x,y,z", *lines]) + (ending if last else "")).encode())
    quick, slow = _read(path), _read(path, careful=True)
    assert quick == slow


def _read(path: Path, *, careful: bool = False) -> tuple[list[tuple[object, ...]], tuple[LeftOut, ...]]:
    source = SourceFile(path=path.name, missing=("", "1"))
    with scratch(read_from=path.parent, limits=MODEST) as connection, pytest.MonkeyPatch.context() as patch:
        if careful:
            patch.setattr(tabular, "looked_through", lambda *_, **__: None)
        raw = DelimitedText().read(
            connection, source, [(path.name, path)], Wanted(frozenset({"x", "y", "z"})), "raw"
        )
        return connection.execute("FROM raw ORDER BY line").fetchall(), raw.files[0].left_out


def test_a_simple_file_is_left_to_duckdb_and_one_with_a_quote_is_not(tmp_path: Path) -> None:
    for text, simple in (
        ("x,y\n1,2\n", True),
        ('x,y\n1,"2"\n', False),
        ("x,y\n1,2\r3\n", False),
        ("x,y\0\n1,2\n", False),
    ):
        (tmp_path / "t.csv").write_text(text)
        assert (looked_through(tmp_path / "t.csv", ",", where="t") is not None) is simple
