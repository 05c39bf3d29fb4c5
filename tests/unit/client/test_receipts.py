"""What peers saw of a ledger, how a started site asks them, and the way back when the ledger is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.client.governance.books import LOST_STEP
from fedvalue.client.governance.ledger import Head, Ledger
from fedvalue.client.governance.partitions import Partitions
from fedvalue.client.governance.receipts import Claim, Inquiry, PeerReceipt, Receipts, needed, reopen
from fedvalue.client.governance.recovery import Place, declare_lost, restore
from fedvalue.errors import BudgetSpent, LedgerBroken, LedgerError, LedgerRolledBack, SiteClosed
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.study.roster import Roster, Site
from fedvalue.study.signature import public_hex
from tests.ledger_cases import BUDGET, STUDY, WHOLE, ask, plan

Clock = Callable[[], datetime]
KEYS = {name: Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)) for name in "bcde"}
SECRET = bytes(range(32))


@pytest.fixture
def roster(site_key: Ed25519PrivateKey) -> Roster:
    keys = {"a": site_key, **KEYS}
    sites = [
        Site(id=n, entity=f"Hospital {n}", operator="x", public_key=public_hex(k), officer_key="0" * 64)
        for n, k in keys.items()
    ]
    return Roster(site=tuple(sites))


@pytest.fixture
def inquiry(roster: Roster) -> Inquiry:
    # n = 5: c = 1, f = 1, t = 4, so 5 - 4 + 1 + 1 = 3 peers must answer.
    return Inquiry.fresh("a", roster, thresholds(len(roster.site)), lambda size: bytes(size))


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[dict[str, Receipts]]:
    made = {name: Receipts.open(tmp_path / f"receipts-{name}.sqlite") for name in KEYS}
    yield made
    for each in made.values():
        each.close()


def answers(peers: dict[str, Receipts], inquiry: Inquiry, names: str = "bcd") -> list[PeerReceipt]:
    return [peers[name].receipt("a", inquiry.nonce, peer=name, key=KEYS[name]) for name in names]


def show(peers: dict[str, Receipts], ledger: Ledger) -> Head:
    for each in peers.values():
        each.saw("a", ledger.head())
    return ledger.head()


# ---- after a start ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sites", "peers_needed"), [(3, 2), (5, 3), (10, 4), (31, 10), (200, 61)])
def test_so_many_peers_that_one_honest_one_has_seen_every_opened_round(sites: int, peers_needed: int) -> None:
    # n - t + c + 1 = f + c + 1. The t - 1 peers of an opened sum and these share at least c + 1 of n - 1.
    limits = thresholds(sites)
    assert needed(limits) == peers_needed == limits.dropouts + limits.colluding + 1
    assert (limits.answers - 1) + peers_needed - (sites - 1) == limits.colluding + 1


def test_a_site_that_its_peers_know_as_it_is_opens(
    ledger: Ledger, peers: dict[str, Receipts], inquiry: Inquiry
) -> None:
    ledger.debit(ask())
    head = show(peers, ledger)
    assert reopen(ledger, answers(peers, inquiry), inquiry) == head
    # What it wrote since, such as a reply, its peers need not have seen.
    ledger.reserve(plan(10, study="01" * 32))
    assert reopen(ledger, answers(peers, inquiry), inquiry) == ledger.head()


def test_a_new_site_of_which_nobody_has_seen_anything_opens(
    ledger: Ledger, peers: dict[str, Receipts], inquiry: Inquiry
) -> None:
    assert reopen(ledger, answers(peers, inquiry), inquiry) == ledger.head()


def test_a_folder_put_back_to_an_older_copy_stays_closed(
    ledger: Ledger, path: Path, tmp_path: Path, reopen: Callable[[], Ledger],
    peers: dict[str, Receipts], inquiry: Inquiry,
) -> None:  # fmt: skip
    from fedvalue.client.governance.receipts import reopen as ask_peers

    copy = tmp_path / "copy.sqlite"
    shutil.copy(path, copy)
    ledger.debit(ask(WHOLE))
    show(peers, ledger)
    ledger.close()
    shutil.copy(copy, path)
    with pytest.raises(LedgerRolledBack, match="has seen entry 2") as caught:
        ask_peers(reopen(), answers(peers, inquiry), inquiry)
    assert caught.value.code == "ledger_rolled_back"
    # Grown again past the old end with other entries, it is another ledger: the head at entry 2 differs.
    other = reopen()
    other.debit(ask(1, study="01" * 32))
    other.debit(ask(1, study="02" * 32))
    with pytest.raises(LedgerRolledBack, match="does not hold it"):
        ask_peers(other, answers(peers, inquiry), inquiry)


def test_one_honest_peer_is_enough_to_notice(
    ledger: Ledger, peers: dict[str, Receipts], inquiry: Inquiry
) -> None:
    peers["d"].saw("a", Head(9, "ab" * 32))
    with pytest.raises(LedgerRolledBack, match="d has seen entry 9"):
        reopen(ledger, answers(peers, inquiry), inquiry)


def test_too_few_peers_keep_the_site_closed(
    ledger: Ledger, peers: dict[str, Receipts], inquiry: Inquiry
) -> None:
    with pytest.raises(SiteClosed, match=r"2 peers have said .* 3 must"):
        reopen(ledger, answers(peers, inquiry, "bc"), inquiry)
    with pytest.raises(SiteClosed, match="0 peers"):
        reopen(ledger, [], inquiry)


def test_receipts_that_are_not_a_peer_s_word_for_this_start_count_for_nothing(
    ledger: Ledger, peers: dict[str, Receipts], inquiry: Inquiry, roster: Roster, site_key: Ed25519PrivateKey
) -> None:
    b, c, d = answers(peers, inquiry)
    own = peers["b"].receipt("a", inquiry.nonce, peer="a", key=site_key)
    stranger = peers["b"].receipt("a", inquiry.nonce, peer="z", key=KEYS["b"])
    replayed = peers["d"].receipt("a", "11" * 32, peer="d", key=KEYS["d"])
    about_another = peers["d"].receipt("e", inquiry.nonce, peer="d", key=KEYS["d"])
    forged = peers["d"].receipt("a", inquiry.nonce, peer="d", key=KEYS["b"])
    lowered = d.model_copy(update={"counter": 5})
    for bad in (b, own, stranger, replayed, about_another, forged, lowered):
        with pytest.raises(SiteClosed, match="2 peers"):
            reopen(ledger, [b, c, bad], inquiry)
        # Nor do they spoil those that are.
        assert reopen(ledger, [bad, b, c, d], inquiry) == ledger.head()


def test_of_two_words_of_one_peer_the_higher_counts(
    ledger: Ledger, peers: dict[str, Receipts], inquiry: Inquiry
) -> None:
    first = answers(peers, inquiry)
    peers["b"].saw("a", Head(9, "ab" * 32))
    with pytest.raises(LedgerRolledBack):
        reopen(ledger, [*answers(peers, inquiry), *first], inquiry)


def test_every_start_has_its_own_nonce(roster: Roster) -> None:
    nonces = {Inquiry.fresh("a", roster, thresholds(5)).nonce for _ in range(5)}
    assert len(nonces) == 5


def test_receipts_are_on_the_disk_and_only_grow(tmp_path: Path) -> None:
    path = tmp_path / "receipts.sqlite"
    store = Receipts.open(path)
    assert store.latest("a") is None
    store.saw("a", Head(4, "ab" * 32))
    store.saw("a", Head(2, "cd" * 32))
    store.close()
    again = Receipts.open(path)
    assert again.latest("a") == Head(4, "ab" * 32)
    with pytest.raises(LedgerRolledBack, match="two ledgers"):
        again.saw("a", Head(4, "cd" * 32))
    again.close()


# ---- the way back ----------------------------------------------------------------------------------------


@pytest.fixture
def place(path: Path, tmp_path: Path, site_key: Ed25519PrivateKey, clock: Clock) -> Place:
    return Place(path, tmp_path / "first-entries.sqlite", SECRET, BUDGET, site_key, clock)


def claims(peers: dict[str, Receipts], inquiry: Inquiry) -> tuple[Claim, ...]:
    return inquiry.accepted(answers(peers, inquiry))


def test_a_backup_that_ends_where_the_peers_know_it_is_put_back(
    ledger: Ledger, place: Place, tmp_path: Path, peers: dict[str, Receipts], inquiry: Inquiry
) -> None:
    ledger.debit(ask(10))
    head = show(peers, ledger)
    assert ledger.backup(tmp_path / "backup.sqlite") == head
    ledger.close()
    place.ledger.unlink()
    assert restore(tmp_path / "backup.sqlite", place, claims(peers, inquiry)) == head
    with place.open() as again:
        assert again.remaining_units() == WHOLE - 10
    assert (tmp_path / "backup.sqlite").exists()


def test_a_backup_that_goes_on_beyond_what_peers_know_has_charged_more_and_is_accepted(
    ledger: Ledger, place: Place, tmp_path: Path, peers: dict[str, Receipts], inquiry: Inquiry
) -> None:
    show(peers, ledger)
    ledger.debit(ask(10))
    head = ledger.backup(tmp_path / "backup.sqlite")
    ledger.close()
    place.ledger.write_bytes(b"damaged " * 1000)
    assert restore(tmp_path / "backup.sqlite", place, claims(peers, inquiry)) == head
    aside = place.ledger.with_name("ledger.sqlite.aside-1")
    assert aside.read_bytes().startswith(b"damaged")


def test_a_backup_that_is_older_than_what_a_peer_knows_is_refused(
    ledger: Ledger, place: Place, tmp_path: Path, peers: dict[str, Receipts], inquiry: Inquiry
) -> None:
    ledger.backup(tmp_path / "backup.sqlite")
    ledger.debit(ask(10))
    show(peers, ledger)
    ledger.close()
    place.ledger.unlink()
    with pytest.raises(LedgerRolledBack):
        restore(tmp_path / "backup.sqlite", place, claims(peers, inquiry))
    assert not place.ledger.exists()


def test_a_changed_backup_and_one_for_which_nobody_was_asked_are_refused(
    ledger: Ledger, place: Place, tmp_path: Path, peers: dict[str, Receipts], inquiry: Inquiry
) -> None:
    backup = tmp_path / "backup.sqlite"
    ledger.backup(backup)
    ledger.close()
    place.ledger.unlink()
    with pytest.raises(LedgerError, match="no peer was asked"):
        restore(backup, place, ())
    data = bytearray(backup.read_bytes())
    data[data.index(b'"1.0"') + 1] = ord("9")
    backup.write_bytes(data)
    with pytest.raises(LedgerBroken):
        restore(backup, place, claims(peers, inquiry))


def test_a_whole_ledger_is_not_replaced(
    ledger: Ledger, place: Place, tmp_path: Path, peers: dict[str, Receipts], inquiry: Inquiry
) -> None:
    ledger.backup(tmp_path / "backup.sqlite")
    ledger.debit(ask(10))
    ledger.close()
    with pytest.raises(LedgerError, match="nothing is lost"):
        restore(tmp_path / "backup.sqlite", place, claims(peers, inquiry))
    with pytest.raises(LedgerError, match="nothing is lost"):
        declare_lost(place, claims(peers, inquiry), present=[], why="trying")


def test_when_a_ledger_is_lost_everybody_present_is_spent_and_only_who_enters_later_has_a_budget(
    ledger: Ledger, place: Place, peers: dict[str, Receipts], inquiry: Inquiry
) -> None:
    with Partitions.open(place.entries, SECRET, ledger) as opened:
        opened.register(["p1", "p2"], 2025)
        opened.register(["p1", "p2", "p3"], 2026)
    ledger.debit(ask(10))
    seen = show(peers, ledger)
    ledger.close()
    place.ledger.unlink()
    head = declare_lost(place, claims(peers, inquiry), present=["p1", "p3", "p4"], why="the disk died")
    assert head.counter == seen.counter + LOST_STEP + 1
    with place.open() as new, Partitions.open(place.entries, SECRET, new) as opened:
        # p2 was deleted long ago and comes back, p4 was never registered, p5 is truly new.
        assert opened.register(["p1", "p2", "p3", "p4", "p5"], 2026) == "2026-2"
        people = opened.partition_of(["p1", "p2", "p3", "p4", "p5"])
        assert people == ["2025", "2025", "2026", "lost-1", "2026-2"]
        left = {account.name: account.remaining_units for account in new.accounts()}
        assert left == {"2025": 0, "2026": 0, "lost-1": 0, "2026-2": WHOLE}
        with pytest.raises(BudgetSpent, match="spent for life"):
            new.reserve(plan(1, partitions=("2025", "2026-2")))
        new.reserve(plan(10))
        assert new.reservations()[0].partitions == ("2026-2",)
        assert new.entries()[0].body["lost"]["why"] == "the disk died"


def test_after_a_loss_the_peers_old_receipts_do_not_close_the_site_and_the_new_ones_bind_it(
    ledger: Ledger, place: Place, tmp_path: Path, peers: dict[str, Receipts], inquiry: Inquiry
) -> None:
    ledger.debit(ask(10))
    show(peers, ledger)
    ledger.close()
    place.ledger.unlink()
    # A fourth peer has seen more of the old ledger, in a round that was never opened.
    peers["e"].saw("a", Head(40, "ab" * 32))
    declare_lost(place, claims(peers, inquiry), present=[], known=("2025",), why="the disk died")
    with place.open() as new:
        assert reopen(new, answers(peers, inquiry, "bcde"), inquiry) == new.head()
        new.open_partition("2027")
        new.debit(ask(10))
        head = show(peers, new)
        new.backup(tmp_path / "new.sqlite")
        assert reopen(new, answers(peers, inquiry, "bcde"), inquiry) == head
    peers["b"].saw("a", replace(head, counter=head.counter + 1))
    with place.open() as new, pytest.raises(LedgerRolledBack):
        reopen(new, answers(peers, inquiry), inquiry)


def test_a_lost_store_of_first_entries_makes_everybody_present_spent(
    ledger: Ledger, place: Place, peers: dict[str, Receipts], inquiry: Inquiry
) -> None:
    ledger.close()
    place.ledger.unlink()
    place.entries.write_bytes(b"damaged " * 1000)
    declare_lost(place, claims(peers, inquiry), present=["p1", "p2"], known=("2025",), why="fire")
    with place.open() as new, Partitions.open(place.entries, SECRET, new) as opened:
        assert opened.register(["p1", "p2", "p3"], 2026) == "2026"
        assert opened.partition_of(["p1", "p2", "p3"]) == ["lost-1", "lost-1", "2026"]
        assert {each.name for each in new.accounts() if each.lost} == {"2025", "lost-1"}


def test_a_ledger_can_be_lost_twice(
    ledger: Ledger, place: Place, peers: dict[str, Receipts], inquiry: Inquiry
) -> None:
    ledger.close()
    for turn in (1, 2):
        place.ledger.unlink()
        head = declare_lost(place, claims(peers, inquiry), present=[f"p{turn}"], why="again")
        with place.open() as new:
            show(peers, new)
            assert {each.name for each in new.accounts()} == {f"lost-{n}" for n in range(1, turn + 1)}
    assert head.counter > 2 * LOST_STEP


def test_a_rolled_back_ledger_in_place_is_set_aside_with_its_partitions_spent(
    ledger: Ledger, place: Place, peers: dict[str, Receipts], inquiry: Inquiry
) -> None:
    ledger.open_partition("2026")
    ledger.close()
    for each in peers.values():
        each.saw("a", Head(30, "ab" * 32))
    declare_lost(place, claims(peers, inquiry), present=[], why="rolled back")
    with place.open() as new:
        assert {each.name for each in new.accounts() if each.lost} == {"all", "2026"}
        with pytest.raises(LedgerError, match="no partition is open"):
            new.debit(ask(study=STUDY))
    assert place.ledger.with_name("ledger.sqlite.aside-1").exists()
