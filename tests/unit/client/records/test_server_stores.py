"""A store on a PostgreSQL server: the same records, and the same frozen cohort, bit for bit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.client.records import store as files
from fedvalue.client.records.databases import require_private
from fedvalue.client.records.load import has_pseudonyms, load
from fedvalue.client.records.migrations import migrate
from fedvalue.client.records.needed import needed
from fedvalue.client.records.pseudonyms import Pseudonyms
from fedvalue.client.records.selection import select
from fedvalue.client.records.server import connected, server_file
from fedvalue.client.records.server_changes import move_store, remove_store
from fedvalue.client.records.server_tables import empty_copy, layout_of, layout_on, send
from fedvalue.client.records.snapshot import build, freeze
from fedvalue.client.records.store import CANONICAL, FORMAT, MODEST, create_tables, writing
from fedvalue.client.records.stores import reading
from fedvalue.client.records.targets import Gone, held_by_us, target_of
from fedvalue.errors import OutputError, SourceMissing, SourceUnreadable
from tests.conftest import Place
from tests.records_desk import Desk

PEOPLE = """
[patient]
file = "people"
patient_id = "id"
origin = { day = "from" }
[patient.attributes]
sex = "sex"
age = { column = "age", type = "number" }
"""
BILLS = """
[files.people]
path = "people.csv"
[files.bills]
path = "bills*.csv"
[[claim]]
file = "bills"
patient_id = "id"
claim_id = "bill"
day = { day = "day" }
total_paid = "paid"
currency = { constant = "CNY" }
[[condition]]
file = "bills"
patient_id = "id"
day = { day = "day" }
code = "code"
"""

SELECTED = """
[cohort]
index = { first = "condition", codes = ["C34*"] }
exclude = [{ condition = ["C50"], within = "0d..9d" }]
"""
EXAMPLES = int(os.environ.get("FEDVALUE_SERVER_EXAMPLES", "6"))


def held(store: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but what the load says of itself."""
    with reading(store, limits=MODEST) as connection:
        found = {
            name: connection.execute(f"FROM {name} ORDER BY ALL").fetchall()
            for name in layout_of(connection, CANONICAL)
        }
        found["store_meta"] = connection.execute(
            "FROM store_meta WHERE key <> 'report' ORDER BY ALL"
        ).fetchall()
    return found


CODE = st.sampled_from(["L01EB04", "L01EB", "L01", "l01eb", "C34.1", "C34", "C50", "中", ""])
DAY = st.integers(-40, 40).map(float) | st.sampled_from([0.5, -7.25])
IDS = ["a", "B", "_", "Z", "é", "中", "a b", "a-", "ß", "10", "9"]
WHO = st.sampled_from(IDS)
SOURCE = st.just(1)


def rows_of(*columns: st.SearchStrategy[object]) -> st.SearchStrategy[list[tuple[object, ...]]]:
    return st.lists(st.tuples(*columns), max_size=12)


def some(value: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | value


MONEY = st.decimals(-10, 1000, places=2)
NONE = st.none()
RECORDS = st.fixed_dictionaries(
    {
        "drug": rows_of(WHO, DAY, CODE, some(st.integers(1, 2)), SOURCE),
        "response": rows_of(
            WHO, DAY, st.just("clinician"), st.sampled_from(["CR", "PR", "SD", "PD", "NE"]), SOURCE
        ),
        "event": rows_of(WHO, DAY, st.sampled_from(["death", "progression"]), SOURCE),
        "follow_up": rows_of(WHO, DAY, SOURCE),
        "condition": rows_of(WHO, DAY, CODE, SOURCE),
        "claim": rows_of(
            WHO, some(st.text("xé", max_size=2)), DAY, some(MONEY), some(MONEY),
            st.sampled_from(["CNY", "USD"]), SOURCE, NONE, NONE, NONE, NONE,
        ),
        "variant": rows_of(
            WHO, st.just("EGFR"), st.sampled_from(["p.L858R", "p.G719A", "ex19del", ""]),
            st.sampled_from(["Missense_Mutation", "Silent", "Unspecified", "Unread"]), NONE,
            some(st.sampled_from(["uncertain", "benign"])), NONE, NONE, NONE, NONE, SOURCE,
        ),
        "admission": rows_of(WHO, DAY, DAY, CODE, SOURCE),
        "adverse_event": rows_of(WHO, DAY, CODE, some(st.integers(1, 5)), SOURCE),
        "test": rows_of(
            WHO, some(DAY), st.sampled_from(["EGFR", "*", "KRAS"]),
            st.sampled_from(["tested", "failed sample", "not reported"]), NONE, NONE, SOURCE,
        ),
        "enrolment": rows_of(WHO, DAY, some(DAY), NONE, NONE, SOURCE),
        "patient": st.lists(
            st.tuples(
                some(DAY), some(st.sampled_from(["male", "female", 'q"\n,'])), some(st.floats(-1e9, 1e9))
            ),
            min_size=len(IDS), max_size=len(IDS),
        ),
    }
)  # fmt: skip
SECOND_LINE = """
index = { first = "line", number = 2 }
lines = { codes = ["L01*"], combine = "3 days", gap = "20 days", maintenance = ["L01EB"] }
"""
BOTH = """
require = [{ drug = ["L01EB04"], within = "-80d..80d" }]
exclude = [{ condition = ["C50", "中"], within = "-80d..0d" }]
"""
INDEX = st.sampled_from(
    [
        'index = { first = "patient" }',
        'index = { first = "drug", codes = ["L01EB*", "C50"] }',
        'index = { first = "condition", codes = ["C34*"], washout = "10 days" }',
        'index = { first = "drug", codes = ["L01*"] }\nobservable = "5 days"',
        'index = { first = "line", number = 1, codes = ["L01EB*"] }',
        SECOND_LINE,
    ]
)
CRITERIA = st.sampled_from(
    [
        "",
        'require = [{ condition = ["C34*", "C50"], within = "-30d..30d" }]',
        BOTH,
        'exclude = [{ condition = ["C*"], within = "-1d..1d" }, { drug = ["l01eb"], within = "0d..9d" }]',
    ]
)
ASKED = """
[variables]
sex = { person = "sex", levels = ["male", "female"] }
age = { person = "age", clip = [-1e8, 1e8], unit = "years" }
paid = { claims = "total_paid", window = "-9d..30d", clip = [-100, 5000], unit = "CNY" }
drugs = { count = { of = "drug", codes = ["L01*"], within = "-30d..30d" }, clip = [0, 9], unit = "days" }
looks = { count = { of = "test", gene = "EGFR", within = "-30d..30d" }, clip = [0, 9], unit = "days" }
begun = { first_day = { of = "condition", within = "0d..60d" }, clip = [0, 60], unit = "days" }
worst = { grade = { within = "0d..60d" }, levels = ["none", "1", "2", "3", "4", "5"] }
[variables.egfr]
variant = { gene = "EGFR", classes = ["L858R", "ex19del"] }
levels = ["mutated", "wild type", "not tested", "unknown significance", "not readable", "failed sample"]
[endpoints.answer]
kind = "binary"
method = "clinician"
what = "best by day 30"
[endpoints.back]
kind = "binary"
source = "readmission"
within_days = 30
planned = ["C50"]
missing = "exclude"
[endpoints.pfs]
kind = "time_to_event"
entry = "later of origin and test report"
events = ["progression", "death"]
until = "24 months"
grid = "1 month"
[diagnostics]
share = 0
[[analyses]]
kind = "kaplan_meier"
endpoint = "pfs"
budget = 1.0
"""


@contextmanager
def filled(path: Path, made: dict[str, list[tuple[object, ...]]]) -> Iterator[None]:
    """A DuckDB store with these rows."""
    with writing(path, limits=MODEST) as connection:
        create_tables(connection)
        connection.execute("CREATE TABLE patient(patient_id VARCHAR, origin DOUBLE, sex VARCHAR, age DOUBLE)")
        for name, found in made.items():
            rows = [(IDS[at], *row) for at, row in enumerate(found)] if name == "patient" else found
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
        said = [("format", str(FORMAT)), ("calendar", "true"), *(("table", name) for name in CANONICAL)]
        connection.executemany("INSERT INTO store_meta VALUES (?, ?)", said)
    yield
    path.unlink()


def test_any_records_give_the_same_cohort_bit_for_bit(desk: Desk, on_server: Place, tmp_path: Path) -> None:
    home = tmp_path / "home"
    place = on_server(home)
    with filled(home / "first.duckdb", {}):
        move_store(home / "first.duckdb", place, limits=MODEST)

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
    @given(made=RECORDS, index=INDEX, criteria=CRITERIA)
    def agree(made: dict[str, list[tuple[object, ...]]], index: str, criteria: str) -> None:
        here = home / "records.duckdb"
        study = desk.study(f"[cohort]\n{index}\n{criteria}\n{ASKED}")
        with filled(here, made):
            with connected(place) as server, empty_copy(MODEST) as (_, room):
                with files.reading(here, limits=MODEST, room=room) as connection:
                    for name in CANONICAL:
                        server.execute(f"DELETE FROM {name}")
                        send(server, connection, room, name)
                server.keep()
            frozen = [freeze(at, study, home / at.suffix) for at in (here, place)]
            for each in frozen:
                each.path.unlink()
            assert frozen[0].content == frozen[1].content
            assert frozen[0].data_cut == frozen[1].data_cut

    agree()


@pytest.fixture
def clinic(desk: Desk) -> Desk:
    desk.write(
        people="id,from,sex,age\na,0,male,50.25\nB,0,,\nc,3,female,0.1\n",
        bills1="id,bill,day,paid,code\na,1,5,10.00,C34\nB,2,5,1.10,C50\n",
        bills2="id,bill,day,paid,code\nc,3,9,7.77,C34\n",
    )
    return desk


def both(desk: Desk, place: Path, *, pseudonyms: Pseudonyms | None = None) -> None:
    """Load into the file and onto the server: reports and rows are the same."""
    mapping = desk.mapping(BILLS + PEOPLE)
    one, other = (load(desk.folder, mapping, at, pseudonyms=pseudonyms) for at in (desk.database, place))
    assert one == other
    assert held(desk.database) == held(place)


def test_loads_of_new_corrected_and_vanished_files_leave_the_same_rows(
    clinic: Desk, on_server: Place
) -> None:
    place = on_server(clinic.database.parent)
    secret = Pseudonyms(b"a secret of the site")
    both(clinic, place, pseudonyms=secret)
    assert has_pseudonyms(place) is True
    clinic.write(bills3="id,bill,day,paid,code\na,4,11,3.00,C61\n")
    clinic.write(bills2="id,bill,day,paid,code\nc,3,9,8.88,C34\n")  # bills1 stays as it is
    both(clinic, place, pseudonyms=secret)
    clinic.write(bills4="id,bill,day,paid,code\na,1,5,10.00,C34\n")  # a claim that bills1 has
    (clinic.folder / "bills3.csv").unlink()
    both(clinic, place, pseudonyms=secret)
    clinic.write(people="id,from,sex,age\na,0,male,50.25\nc,3,female,0.1\n")  # B is gone
    both(clinic, place, pseudonyms=secret)
    # and an attribute: the table of patients is drawn anew
    load(clinic.folder, clinic.mapping(BILLS + PEOPLE + 'note = "sex"\n'), place, pseudonyms=secret)
    with reading(place, limits=MODEST, tables=("patient",)) as store:
        assert store.execute("SELECT note FROM patient ORDER BY note").fetchall() == [("female",), ("male",)]


def test_text_keeps_its_quotes_breaks_and_emptiness_and_shows_a_character_of_number_zero(
    on_server: Place, tmp_path: Path
) -> None:
    place = on_server(tmp_path / "home")
    said = ['"', "a\r\nb", "\\.", "\\N", "NULL", "", " ", "，", "a\tb", None, "x" * 3_000_000]
    people = [(0.0, None, None)] * len(IDS)
    rows: dict[str, list[tuple[object, ...]]] = {
        "patient": list(people),
        "condition": [("a", 0.1 + 0.2, text, 1) for text in said],
        "event": [("a", 1e-300, "nul\0", 1)],
    }
    here = tmp_path / "records.duckdb"
    with filled(here, rows):
        move_store(here, place, limits=MODEST)
    with reading(place, limits=MODEST, tables=("condition", "event")) as store:
        found = store.execute("SELECT code, day FROM condition").fetchall()
        assert sorted(found, key=repr) == sorted(((text, 0.1 + 0.2) for text in said), key=repr)
        assert store.execute("SELECT day, kind FROM event").fetchall() == [(1e-300, "nul␀")]


def killed_behind_its_rows(desk: Desk, place: Path, before: dict[str, list[tuple[object, ...]]]) -> None:
    target = target_of(place, MODEST)
    with target.alone(), target.changing(desk.folder, anew=False) as change:
        change.connection.execute(
            "CREATE OR REPLACE TABLE patient(patient_id VARCHAR, origin DOUBLE, sex VARCHAR, age DOUBLE)"
        )
        assert sum(change.settled(Gone(True, frozenset())).values()) == 0
        assert held(place) == before  # who reads meanwhile sees the old moment
        with connected(place) as other:
            other.execute(
                "SELECT pg_terminate_backend(l.pid) FROM pg_locks l WHERE l.locktype = 'advisory' "
                "AND l.pid <> pg_backend_pid()"
            ).fetchall()


def test_a_load_that_ends_early_leaves_the_store_as_it_was(clinic: Desk, on_server: Place) -> None:
    place = on_server(clinic.database.parent)
    both(clinic, place)
    before = held(place)
    clinic.write(bills1="id,bill,day,paid,code\na,1,5,99.00,C34\n")
    mapping = clinic.mapping(BILLS + PEOPLE)

    def stop(what: str, done: int, steps: int) -> None:
        if what.startswith("condition"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(clinic.folder, mapping, place, progress=stop)
    assert held(place) == before
    # killed by the server when every row has gone over and nothing was said of it yet
    with pytest.raises(OutputError, match="went away"):
        killed_behind_its_rows(clinic, place, before)
    assert held(place) == before
    both(clinic, place)


def test_one_load_at_a_time_from_wherever(clinic: Desk, on_server: Place, tmp_path: Path) -> None:
    place = on_server(clinic.database.parent)
    elsewhere = tmp_path / "another machine" / "records.toml"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(place.read_bytes())
    elsewhere.chmod(0o600)
    with held_by_us(elsewhere), pytest.raises(OutputError, match="another load"):
        load(clinic.folder, clinic.mapping(BILLS + PEOPLE), place)
    both(clinic, place)


def test_migrations_there_and_back_draw_the_same_tables_as_in_duckdb(clinic: Desk, on_server: Place) -> None:
    place = on_server(clinic.database.parent)
    both(clinic, place)
    for layout in (1, FORMAT):
        assert migrate(clinic.database, to=layout) == migrate(place, to=layout)
        with reading(clinic.database, limits=MODEST) as store, connected(place) as server:
            drawn = {name: dict(columns) for name, columns in layout_of(store).items()}
            assert drawn == {name: dict(columns) for name, columns in layout_on(server).items()}
        assert held(clinic.database) == held(place)
    both(clinic, place)


def test_a_store_is_taken_off_its_server_and_nothing_else_is(clinic: Desk, on_server: Place) -> None:
    place = on_server(clinic.database.parent)
    assert not remove_store(place)
    both(clinic, place)
    assert remove_store(place)
    with pytest.raises(SourceMissing, match="no store"):
        build(place, clinic.study(""))
    with pytest.raises(SourceMissing, match="no store"):
        migrate(place, to=1)
    assert has_pseudonyms(place) is None


def test_a_schema_with_other_tables_in_it_is_left_alone(
    clinic: Desk, on_server: Place, postgres: str
) -> None:
    place = on_server(clinic.database.parent)
    with connected(place) as server, psycopg.connect(postgres, autocommit=True) as hospital:
        hospital.execute(f'CREATE SCHEMA "{server.schema}"'.encode())
        hospital.execute(f'CREATE TABLE "{server.schema}".patient (mrn text)'.encode())
        with pytest.raises(SourceUnreadable, match="no store's"):
            load(clinic.folder, clinic.mapping(BILLS + PEOPLE), place)
        assert server.tables() == {"patient"}


def test_no_password_is_taken_and_none_is_shown(tmp_path: Path) -> None:
    for dsn in ("postgresql://u:geheim@h/d", "host=h password=geheim", "host=h password='geheim"):
        with pytest.raises(SourceUnreadable) as refused:
            server_file(dsn)
        assert "geheim" not in str(refused.value)
        assert "geheim" not in repr(refused.value.__cause__)
    path = tmp_path / "records.toml"
    path.write_text('dsn = "host=/nowhere dbname=x password=geheim"\n', encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(SourceUnreadable, match="password in it"), connected(path):
        pass
    path.write_text('dsn = "host=/nowhere dbname=x"\n', encoding="utf-8")
    with pytest.raises(SourceMissing, match="does not answer"), connected(path):
        pass
    path.chmod(0o640)
    with pytest.raises(SourceUnreadable, match="others can read"), connected(path):
        pass


def test_rows_of_patients_cross_no_network_in_clear() -> None:
    for address in ("", "127.0.0.1", "::1"):
        require_private(address, encrypted=False, where="records.toml")
    require_private("10.0.0.7", encrypted=True, where="records.toml")
    for address in ("10.0.0.7", "fe80::1", "0.0.0.0"):
        with pytest.raises(SourceUnreadable, match="not encrypted"):
            require_private(address, encrypted=False, where="records.toml")


def test_text_is_in_the_order_of_bytes_whatever_the_database_was_made_with(
    clinic: Desk, on_server: Place, postgres: str
) -> None:
    place = on_server(clinic.database.parent)
    clinic.write(people="id,from,sex,age\na,0,,\nB,0,,\n_,0,,\nc,0,,\nC,0,,\n中,0,,\n一,0,,\n")
    both(clinic, place)
    with connected(place) as server:
        select(server, clinic.study("").cohort)
        ids = server.execute("SELECT patient_id FROM chosen ORDER BY position").fetchall()
    # capitals before small letters, and 一 (U+4E00) before 中 (U+4E2D)
    assert [name for (name,) in ids] == ["B", "C", "_", "a", "c", "一", "中"]
    # the server of the tests knows no other order, so the columns are looked at too
    with connected(place) as server:
        select(server, clinic.study(SELECTED).cohort)
        others = server.execute(
            "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
            "WHERE (c.relnamespace = CAST($schema AS regnamespace) OR c.relpersistence = 't') "
            "AND c.relkind = 'r' AND a.atttypid = CAST('text' AS regtype) "
            "AND a.attcollation <> CAST('pg_catalog.\"C\"' AS regcollation)",
            {"schema": server.schema},
        ).fetchall()
        assert others == []
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE old TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    place.write_bytes(server_file(postgres.replace("/postgres?", "/old?")))
    with pytest.raises(SourceUnreadable, match="UTF-8"), connected(place):
        pass


def test_a_source_that_is_not_known_yet_reads_every_table(desk: Desk) -> None:
    study = desk.study(ASKED)
    assert needed(study) == frozenset(CANONICAL) - {
        "procedure", "claim_line", "enrolment", "vital_status", "measurement",
    }  # fmt: skip
    variable = study.variables["sex"].model_copy(update={"levels": ("x",)})
    unknown = variable.model_construct(_fields_set={"levels", "person", "new"}, **variable.model_dump())
    object.__setattr__(unknown, "new", "something")
    assert needed(study.model_copy(update={"variables": {"sex": unknown}})) == frozenset(CANONICAL)
