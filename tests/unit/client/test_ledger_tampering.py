"""A ledger that somebody changed by hand is refused, whatever was changed."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.client.governance.durable import connect
from fedvalue.client.governance.entries import seal
from fedvalue.client.governance.ledger import Ledger
from fedvalue.errors import BudgetSpent, LedgerBroken, LedgerError
from fedvalue.privacy.accounting import NOTHING
from tests.ledger_cases import BUDGET, STUDY, WHOLE, ask, plan

Clock = Callable[[], datetime]


def edit(path: Path, *statements: str) -> None:
    """Change the file as somebody with the sqlite3 command would, and put its triggers back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(statement)
        for _, sql in triggers:
            db.execute(sql)


SMALLER = "content = replace(content, '2147483648', '2')"
COPY = "content, hash, signature FROM entry WHERE number = 2"
EDITS: dict[str, tuple[str, ...]] = {
    "a price made smaller": (f"UPDATE entry SET {SMALLER} WHERE number = 2",),
    "a price and its hash": (f"UPDATE entry SET {SMALLER}, hash = 'aa' WHERE number = 2",),
    "the budget raised": (
        """UPDATE entry SET content = replace(content, '"1.0"', '"9.0"') WHERE number = 1""",
    ),
    "a time": ("UPDATE entry SET content = replace(content, '2026', '2025') WHERE number = 3",),
    "a hash": ("UPDATE entry SET hash = replace(hash, substr(hash, 1, 1), 'x') WHERE number = 2",),
    "a hash that is no text": ("UPDATE entry SET hash = x'ff' WHERE number = 2",),
    "a signature": (
        "UPDATE entry SET signature = (SELECT signature FROM entry WHERE number = 3) WHERE number = 2",
    ),
    "no signature": ("UPDATE entry SET signature = NULL WHERE number = 2",),
    "content that is a number": ("UPDATE entry SET content = 7 WHERE number = 2",),
    "content that is gone": ("UPDATE entry SET content = NULL WHERE number = 2",),
    "the first entry deleted": ("DELETE FROM entry WHERE number = 1",),
    "a middle entry deleted": ("DELETE FROM entry WHERE number = 2",),
    "the last entry deleted": ("DELETE FROM entry WHERE number = (SELECT max(number) FROM entry)",),
    "all entries deleted": ("DELETE FROM entry",),
    "all entries forgotten": ("DELETE FROM entry", "DELETE FROM sqlite_sequence"),
    "a deleted middle closed up": (
        "DELETE FROM entry WHERE number = 2",
        "UPDATE entry SET number = number - 1 WHERE number > 2",
        "UPDATE sqlite_sequence SET seq = seq - 1",
    ),
    "two entries exchanged": (
        "UPDATE entry SET number = -number WHERE number IN (2, 4)",
        "UPDATE entry SET number = 6 + number WHERE number < 0",
    ),
    "an entry copied to the end": (f"INSERT INTO entry SELECT (SELECT max(number) + 1 FROM entry), {COPY}",),
    "an entry before the first": (f"INSERT INTO entry SELECT 0, {COPY}",),
    "another reply": ("UPDATE reply SET content = x'00'",),
    "a reply of no type": ("UPDATE reply SET content = NULL",),
    "no reply": ("DELETE FROM reply",),
    "a reply that was never sent": ("INSERT INTO reply VALUES (4, x'00')",),
    "an added table": ("CREATE TABLE more (x)",),
    "a trigger that forgets": ("CREATE TRIGGER forget AFTER INSERT ON entry BEGIN DELETE FROM reply; END",),
    "a renamed table": ("ALTER TABLE reply RENAME TO old", "CREATE TABLE reply (debit, content)"),
}


@pytest.mark.parametrize("what", EDITS)
def test_a_hand_edited_ledger_is_refused(
    ledger: Ledger, path: Path, reopen: Callable[[], Ledger], what: str
) -> None:
    receipt = ledger.debit(ask())
    ledger.store_reply(receipt, b"reply")
    ledger.debit(ask(attempt=2))
    reopen().verify()
    edit(path, *EDITS[what])
    with pytest.raises(LedgerBroken):
        reopen()
    with pytest.raises(LedgerBroken):
        ledger.verify()
    # Whoever caught that cannot go on with it.
    with pytest.raises(LedgerError):
        ledger.debit(ask(attempt=3))


def test_dropped_append_only_triggers_are_noticed(
    ledger: Ledger, path: Path, reopen: Callable[[], Ledger]
) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TRIGGER entry_delete")
    with pytest.raises(LedgerBroken, match="triggers were changed"):
        reopen()


@pytest.mark.parametrize("statement", ["UPDATE entry SET hash = ''", "DELETE FROM entry", "DELETE FROM reply",
                                       "UPDATE reply SET content = ''"])  # fmt: skip
def test_the_file_itself_refuses_changes(ledger: Ledger, path: Path, statement: str) -> None:
    ledger.store_reply(ledger.debit(ask()), b"reply")
    with closing(sqlite3.connect(path)) as db, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(statement)


def test_an_edit_under_an_open_ledger_never_lowers_what_it_counts(ledger: Ledger, path: Path) -> None:
    ledger.debit(ask(WHOLE))
    assert ledger.remaining_units() == 0
    edit(path, "UPDATE entry SET content = '{}' WHERE number = 2")
    with pytest.raises(BudgetSpent):
        ledger.debit(ask(1, attempt=2))
    edit(path, "DELETE FROM entry WHERE number = 2", "UPDATE sqlite_sequence SET seq = 1")
    with pytest.raises(LedgerBroken, match="entries are missing"):
        ledger.debit(ask(1, attempt=2))


def test_an_older_copy_written_over_an_open_ledger_is_noticed(
    ledger: Ledger, path: Path, tmp_path: Path, site_key: Ed25519PrivateKey, clock: Clock
) -> None:
    copy = tmp_path / "copy.sqlite"
    shutil.copy(path, copy)
    ledger.debit(ask(WHOLE))
    assert ledger.remaining_units() == 0
    with Ledger.open(copy, site_key, clock) as cheap:
        cheap.debit(ask(1))
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("PRAGMA user_version = 1")  # one more change, so that SQLite rereads the file
    path.write_bytes(copy.read_bytes())
    with pytest.raises(LedgerBroken, match="entries were replaced"):
        ledger.debit(ask(1, attempt=2))


def test_a_cheap_entry_of_another_ledger_of_the_same_site_does_not_fit_in(
    ledger: Ledger, path: Path, tmp_path: Path, reopen: Callable[[], Ledger], site_key: Ed25519PrivateKey
) -> None:
    ledger.debit(ask(WHOLE))
    other = tmp_path / "other.sqlite"
    with Ledger.create(other, BUDGET, site_key, lambda: datetime(2025, 1, 1, tzinfo=UTC)) as cheap:
        cheap.debit(ask(1))
        entry = cheap.entries()[1]
    edit(path, "DELETE FROM entry WHERE number = 2")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        row = (2, entry.content(), entry.hash, entry.signature.model_dump_json())
        db.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", row)
    with pytest.raises(LedgerBroken, match="does not follow"):
        reopen()


def test_an_entry_signed_by_another_key_is_refused(
    ledger: Ledger, path: Path, site_key: Ed25519PrivateKey, clock: Clock
) -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    with pytest.raises(LedgerBroken, match="not signed by this site's key"):
        Ledger.open(path, other, clock)


def test_a_file_that_is_no_ledger_is_refused(path: Path, reopen: Callable[[], Ledger]) -> None:
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(LedgerBroken, match="damaged"):
        reopen()
    path.write_bytes(b"")
    with pytest.raises(LedgerBroken, match="tables"):
        reopen()


def test_flipped_bytes_are_noticed_or_change_nothing(
    ledger: Ledger, path: Path, tmp_path: Path, site_key: Ed25519PrivateKey, clock: Clock
) -> None:
    for attempt in range(1, 4):
        ledger.store_reply(ledger.debit(ask(attempt=attempt)), bytes(range(256)))
    entries, data, rng = ledger.entries(), path.read_bytes(), random.Random(5)
    refused = 0
    for _ in range(40):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        copy = tmp_path / "copy.sqlite"
        copy.write_bytes(damaged)
        try:
            with Ledger.open(copy, site_key, clock) as seen:
                assert seen.entries() == entries
        except LedgerError:
            refused += 1
    assert refused > 0


def test_the_whole_file_put_back_is_what_one_site_alone_cannot_see(
    ledger: Ledger, path: Path, tmp_path: Path, site_key: Ed25519PrivateKey, clock: Clock
) -> None:
    # The known limit: receipts kept by peers close it. The head that a peer would compare does differ.
    copy = tmp_path / "copy.sqlite"
    shutil.copy(path, copy)
    receipt = ledger.debit(ask())
    with Ledger.open(copy, site_key, clock) as restored:
        assert restored.spent() == NOTHING
        assert all(entry.hash != receipt.hash for entry in restored.entries())


def test_an_entry_of_a_kind_that_is_not_known_is_not_passed_over(
    ledger: Ledger, path: Path, reopen: Callable[[], Ledger], site_key: Ed25519PrivateKey, clock: Clock
) -> None:
    # As a later version might write it, rightly sealed: it may have charged what this version cannot count.
    entry = seal(2, ledger.entries()[0].hash, clock(), {"kind": "reserve"}, site_key)
    with closing(connect(path, 1.0)) as db:
        row = (2, entry.content(), entry.hash, entry.signature.model_dump_json())
        db.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", row)
    with pytest.raises(LedgerBroken, match="unknown to this version"):
        reopen()


# An entry of each later kind: 2 reserved, 3 debit, 4 closed, 5 partition.
LATER = {
    "a reservation made smaller": (2, '["20"', '["2"'),
    "a reservation of more attempts": (2, '"attempts":2', '"attempts":9'),
    "a debit from no reservation": (3, '"reservation":2', '"reservation":0'),
    "a debit on fewer partitions": (3, '["all"]', "[]"),
    "a close of less": (4, '[["release-1",2]]', "[]"),
    "a partition's budget raised": (5, '"1.0"', '"9.0"'),
}


@pytest.mark.parametrize("what", LATER)
def test_hand_edited_reservations_closes_and_partitions_are_refused(
    ledger: Ledger, path: Path, reopen: Callable[[], Ledger], what: str
) -> None:
    ledger.reserve(plan(10, attempts=2))
    ledger.debit(ask(10), reserve=True)
    ledger.close_study(STUDY)
    ledger.open_partition("2027")
    before = path.read_bytes()
    number, old, new = LATER[what]
    edit(path, f"UPDATE entry SET content = replace(content, '{old}', '{new}') WHERE number = {number}")
    assert path.read_bytes() != before
    with pytest.raises(LedgerBroken):
        reopen()


def test_a_rightly_signed_entry_that_contradicts_the_books_is_refused(
    ledger: Ledger, path: Path, reopen: Callable[[], Ledger], site_key: Ed25519PrivateKey, clock: Clock
) -> None:
    # A debit that says it leaves a reservation which was never made.
    body = {**ask(10).body(), "partitions": ["all"], "reservation": 7}
    entry = seal(2, ledger.entries()[0].hash, clock(), body, site_key)
    with closing(connect(path, 1.0)) as db:
        row = (2, entry.content(), entry.hash, entry.signature.model_dump_json())
        db.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", row)
    with pytest.raises(LedgerBroken, match="contradicts"):
        reopen()
