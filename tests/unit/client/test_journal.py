"""The durable journal: what was written first stays, through restarts, threads and processes."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from fedvalue.client.governance.journal import DurableJournal
from fedvalue.client.governance.receipts import Receipts
from fedvalue.errors import LedgerBroken, LedgerBusy, LedgerError, LedgerRolledBack
from fedvalue.strategies.secure_aggregation.private_sum.journal import (
    Journal,
    LedgerEnd,
    UnsafeMemoryJournal,
)

REPOSITORY = Path(__file__).resolve().parents[3]
ONE, TWO = b"\x01" * 32, b"\x02" * 32


@pytest.fixture
def receipts(tmp_path: Path) -> Iterator[Receipts]:
    made = Receipts.open(tmp_path / "receipts.sqlite")
    yield made
    made.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def durable(place: Path, receipts: Receipts) -> Iterator[DurableJournal]:
    made = DurableJournal.open(place, receipts)
    yield made
    made.close()


@pytest.fixture(params=["durable", "memory"])
def journal(request: pytest.FixtureRequest, durable: DurableJournal) -> Journal:
    """Both journals: they must behave alike."""
    return durable if request.param == "durable" else UnsafeMemoryJournal()


def test_what_was_written_first_stays(journal: Journal) -> None:
    assert journal.peek("e", 1, "masked") is None
    assert journal.first("e", 1, "masked", ONE) == (ONE, True)
    assert journal.first("e", 1, "masked", ONE) == (ONE, False)
    assert journal.first("e", 1, "masked", TWO) == (ONE, False)
    assert journal.peek("e", 1, "masked") == ONE
    for other in (("e", 2, "masked"), ("f", 1, "masked"), ("e", 1, "unmask")):
        assert journal.first(*other, TWO) == (TWO, True)


def test_a_reply_is_kept_byte_for_byte(journal: Journal) -> None:
    journal.first("e", 1, "masked", ONE)
    assert journal.stored("e", 1, "masked") is None
    journal.store("e", 1, "masked", b"\x00\xffreply")
    assert journal.stored("e", 1, "masked") == b"\x00\xffreply"


def test_the_latest_end_of_a_peer_s_ledger_is_remembered(journal: Journal) -> None:
    assert journal.witnessed("beta") is None
    for counter, digest in ((3, ONE), (7, TWO), (5, ONE)):
        journal.witness("beta", LedgerEnd(counter, digest))
    assert journal.witnessed("beta") == LedgerEnd(7, TWO)
    assert journal.witnessed("gamma") is None


def test_it_remembers_after_a_restart(place: Path, durable: DurableJournal, receipts: Receipts) -> None:
    durable.first("e", 1, "masked", ONE)
    durable.store("e", 1, "masked", b"reply")
    durable.close()
    with closing(DurableJournal.open(place, receipts)) as again:
        assert again.first("e", 1, "masked", TWO) == (ONE, False)
        assert again.stored("e", 1, "masked") == b"reply"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_a_second_reply_is_refused_and_so_is_one_to_nothing(durable: DurableJournal) -> None:
    with pytest.raises(LedgerError, match="nothing was asked"):
        durable.store("e", 1, "masked", b"reply")
    durable.first("e", 1, "masked", ONE)
    durable.store("e", 1, "masked", b"reply")
    durable.store("e", 1, "masked", b"reply")
    with pytest.raises(LedgerError, match="another reply"):
        durable.store("e", 1, "masked", b"other")
    assert durable.stored("e", 1, "masked") == b"reply"


def test_dropped_replies_burn_their_rounds_and_free_no_place(durable: DurableJournal) -> None:
    for epoch in ("old", "new"):
        durable.first(epoch, 1, "masked", ONE)
        durable.store(epoch, 1, "masked", b"reply")
    durable.drop_replies("old")
    assert durable.stored("old", 1, "masked") is None
    assert durable.first("old", 1, "masked", TWO) == (ONE, False)
    assert durable.stored("new", 1, "masked") == b"reply"


def test_a_digest_has_32_bytes(durable: DurableJournal) -> None:
    with pytest.raises(LedgerError, match="32 bytes"):
        durable.first("e", 1, "masked", b"short")


@pytest.mark.parametrize(
    "statement",
    ["UPDATE place SET digest = x'00'", "DELETE FROM place", "UPDATE reply SET content = x'00'"],
)
def test_the_file_itself_refuses_changes(place: Path, durable: DurableJournal, statement: str) -> None:
    durable.first("e", 1, "masked", ONE)
    durable.store("e", 1, "masked", b"reply")
    with closing(sqlite3.connect(place)) as db, pytest.raises(sqlite3.IntegrityError, match="first stays"):
        db.execute(statement)


def test_a_journal_without_its_triggers_or_with_no_digest_in_it_is_refused(
    place: Path, durable: DurableJournal, receipts: Receipts
) -> None:
    durable.first("e", 1, "masked", ONE)
    with closing(sqlite3.connect(place, isolation_level=None)) as db:
        db.execute("INSERT INTO place VALUES ('e', 2, 'masked', 7)")
        with pytest.raises(LedgerBroken, match="no digest"):
            durable.first("e", 2, "masked", ONE)
        db.execute("DROP TRIGGER place_delete")
    with pytest.raises(LedgerBroken, match="triggers"):
        DurableJournal.open(place, receipts)


def test_a_peer_that_shows_two_ledgers_with_one_counter_is_named(durable: DurableJournal) -> None:
    durable.witness("beta", LedgerEnd(3, ONE))
    with pytest.raises(LedgerRolledBack, match="beta has shown two ledgers"):
        durable.witness("beta", LedgerEnd(3, TWO))
    assert durable.witnessed("beta") == LedgerEnd(3, ONE)


def test_threads_that_race_for_a_place_all_learn_the_same(durable: DurableJournal) -> None:
    digests = [bytes([number]) * 32 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda digest: durable.first("e", 1, "masked", digest), digests))
    assert len({digest for digest, _ in found}) == 1
    assert [fresh for _, fresh in found].count(True) == 1


def test_a_process_killed_after_it_wrote_has_written(place: Path, durable: DurableJournal) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from fedvalue.client.governance.journal import DurableJournal
from fedvalue.client.governance.receipts import Receipts
place = Path(sys.argv[1])
journal = DurableJournal.open(place, Receipts.open(place.with_name("receipts.sqlite")))
journal.first("e", 1, "consistency", bytes([9]) * 32)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script, str(place)], cwd=REPOSITORY, check=False)
    assert done.returncode == -9
    assert durable.first("e", 1, "consistency", ONE) == (b"\x09" * 32, False)
    assert durable.stored("e", 1, "consistency") is None


def test_another_process_that_holds_it_is_named(place: Path, receipts: Receipts) -> None:
    with closing(DurableJournal.open(place, receipts, patience=0.1)) as journal:
        with closing(sqlite3.connect(place, isolation_level=None)) as db:
            db.execute("BEGIN EXCLUSIVE")
            with pytest.raises(LedgerBusy, match="holds the journal"):
                journal.first("e", 1, "masked", ONE)
            db.execute("ROLLBACK")
        assert journal.first("e", 1, "masked", ONE) == (ONE, True)
