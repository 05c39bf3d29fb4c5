"""The store of first entries: once in, for life, and never new again."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fedvalue.client.governance.ledger import Ledger
from fedvalue.client.governance.partitions import FirstEntries, Partitions, site_secret
from fedvalue.errors import LedgerBroken, LedgerError
from tests.ledger_cases import ask

SECRET = bytes(range(32))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "first-entries.sqlite"


@pytest.fixture
def partitions(place: Path, ledger: Ledger) -> Iterator[Partitions]:
    with Partitions.open(place, SECRET, ledger) as opened:
        yield opened


def names(ledger: Ledger) -> list[str]:
    return [account.name for account in ledger.accounts()]


def test_a_person_belongs_for_life_to_the_year_of_first_entry(ledger: Ledger, partitions: Partitions) -> None:
    assert partitions.register(["a", "b"], 2026) == "2026"
    assert partitions.register(["a", "b", "c"], 2027) == "2027"
    # b was deleted and comes back: the same person.
    partitions.register(["a", "c"], 2028)
    partitions.register(["a", "b", "c", "d"], 2029)
    assert partitions.partition_of(["d", "c", "b", "a"]) == ["2029", "2027", "2026", "2026"]
    assert partitions.partitions_of(["c", "b"]) == ("2026", "2027")
    assert partitions.members(["a", "c", "d"], ("2026", "2029")) == [True, False, True]
    # Nobody was new in 2028, so it has no partition.
    assert names(ledger) == ["all", "2026", "2027", "2029"]


def test_every_load_is_one_entry_of_the_ledger_whoever_came(ledger: Ledger, partitions: Partitions) -> None:
    for count, ids in enumerate((["a", "b"], ["a", "b"], [], ["c"]), start=1):
        partitions.register(ids, 2026)
        assert ledger.head().counter == 1 + count


def test_people_who_never_entered_are_not_answered_about(partitions: Partitions) -> None:
    partitions.register(["a"], 2026)
    with pytest.raises(LedgerError, match="1 people never entered"):
        partitions.partitions_of(["a", "stranger"])


def test_the_store_holds_no_id_and_is_its_owner_s_alone(place: Path, partitions: Partitions) -> None:
    partitions.register(["patient-4711"], 2026)
    assert b"4711" not in place.read_bytes()
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_a_store_that_is_ahead_after_a_crash_tells_the_ledger(place: Path, ledger: Ledger) -> None:
    with closing(FirstEntries.open(place, SECRET, create=True)) as store:
        store.add(["a"], "2026")
        store.add(["b"], "2027")
    with Partitions.open(place, SECRET, ledger) as opened:
        assert names(ledger) == ["all", "2026", "2027"]
        assert opened.partitions_of(["a", "b"]) == ("2026", "2027")
    before = ledger.head()
    Partitions.open(place, SECRET, ledger).close()
    assert ledger.head() == before


def test_a_store_that_is_gone_or_older_is_noticed(place: Path, ledger: Ledger, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    with Partitions.open(place, SECRET, ledger) as opened:
        opened.register(["a"], 2026)
        shutil.copy(place, copy)
        opened.register(["a", "b"], 2027)
    place.unlink()
    with pytest.raises(LedgerBroken, match="is gone"):
        Partitions.open(place, SECRET, ledger)
    shutil.copy(copy, place)
    place.chmod(0o600)
    with pytest.raises(LedgerBroken, match="older than the ledger says"):
        Partitions.open(place, SECRET, ledger)


def test_another_store_of_the_same_length_is_noticed(place: Path, ledger: Ledger) -> None:
    with Partitions.open(place, SECRET, ledger) as opened:
        opened.register(["a"], 2026)
    place.unlink()
    with closing(FirstEntries.open(place, SECRET, create=True)) as store:
        store.add(["b"], "2026")
    with pytest.raises(LedgerBroken, match="another one"):
        Partitions.open(place, SECRET, ledger)


def test_under_another_secret_everybody_would_seem_new_so_it_is_refused(place: Path, ledger: Ledger) -> None:
    with Partitions.open(place, SECRET, ledger) as opened:
        opened.register(["a"], 2026)
    with pytest.raises(LedgerBroken, match="was changed"):
        Partitions.open(place, bytes(32), ledger)


EDITS = {
    "a person moved": "UPDATE person SET batch = 2 WHERE batch = 1",
    "a person removed": "DELETE FROM person WHERE batch = 2",
    "a person of no batch": "INSERT INTO person VALUES (x'00', 9)",
    "a partition renamed": "UPDATE batch SET partition = '2027' WHERE number = 1",
    "a batch removed": "DELETE FROM batch WHERE number = 2",
    "a digest": "UPDATE batch SET digest = '' WHERE number = 2",
}


@pytest.mark.parametrize("what", EDITS)
def test_a_hand_edited_store_is_refused(place: Path, ledger: Ledger, what: str) -> None:
    with Partitions.open(place, SECRET, ledger) as opened:
        opened.register(["a"], 2026)
        opened.register(["a", "b"], 2027)
    with closing(sqlite3.connect(place, isolation_level=None)) as db:
        with pytest.raises(sqlite3.IntegrityError):
            db.execute("DELETE FROM person")
        triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        db.execute(EDITS[what])
        for _, sql in triggers:
            db.execute(sql)
    with pytest.raises(LedgerBroken):
        Partitions.open(place, SECRET, ledger)


def test_the_secret_is_made_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "first-entries.secret"
    made = site_secret(path)
    assert len(made) == 32
    assert site_secret(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(LedgerError, match="open to others"):
        site_secret(path)
    path.chmod(0o600)
    path.write_text("no")
    with pytest.raises(LedgerError, match="damaged"):
        site_secret(path)


def test_a_ledger_without_partitions_charges_nobody_until_somebody_enters(
    tmp_path: Path, ledger: Ledger, place: Path
) -> None:
    from datetime import UTC, datetime

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from tests.ledger_cases import BUDGET, WHOLE

    key = Ed25519PrivateKey.from_private_bytes(SECRET)
    path = tmp_path / "empty.sqlite"
    with Ledger.create(path, BUDGET, key, lambda: datetime(2026, 1, 1, tzinfo=UTC), partitions=()) as empty:
        assert (empty.accounts(), empty.remaining_units()) == ((), WHOLE)
        with pytest.raises(LedgerError, match="no partition is open"):
            empty.debit(ask())
        with Partitions.open(place, SECRET, empty) as opened:
            opened.register(["a"], 2026)
        empty.debit(ask(10))
        assert empty.remaining_units() == WHOLE - 10
