"""The site's ledger: charged first, once, and for life."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.client.governance.durable import connect
from fedvalue.client.governance.entries import Debit
from fedvalue.client.governance.ledger import Ledger, Receipt
from fedvalue.errors import AttemptTaken, BudgetSpent, LedgerBroken, LedgerError, PrivacyError
from fedvalue.privacy import sampled
from fedvalue.privacy.accounting import NOTHING, ORDERS, Budget, Price
from tests.ledger_cases import BUDGET, STUDY, WHOLE, ask

Clock = Callable[[], datetime]


def test_a_new_ledger_holds_its_budget_and_nothing_is_spent(ledger: Ledger) -> None:
    assert ledger.budget == BUDGET
    assert ledger.spent() == NOTHING
    assert ledger.remaining_units() == WHOLE
    (opening,) = ledger.entries()
    assert (opening.number, opening.kind, opening.previous) == (1, "opened", "0" * 64)
    assert opening.body["population"] == "all patients"
    assert opening.body["budget"]["epsilon"] == "1.0"


def test_the_file_is_its_owner_s_alone_and_is_all_that_is_there(ledger: Ledger, path: Path) -> None:
    ledger.debit(ask())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_file_is_private_before_its_first_byte_whatever_the_umask(
    path: Path, site_key: Ed25519PrivateKey, clock: Clock
) -> None:
    before = os.umask(0)
    try:
        Ledger.create(path, BUDGET, site_key, clock).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_rollback_journal_is_private_too(ledger: Ledger, path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO reply VALUES (99, 'x')")
            assert stat.S_IMODE(path.with_name(f"{path.name}-journal").stat().st_mode) == 0o600
            db.execute("ROLLBACK")
    finally:
        os.umask(before)


def test_a_debit_is_charged_and_says_everything_about_the_release(
    ledger: Ledger, reopen: Callable[[], Ledger]
) -> None:
    receipt = ledger.debit(ask(2**30))
    assert receipt.fresh
    assert ledger.spent() == Price.plain(2**30)
    assert ledger.remaining_units() == WHOLE - 2**30
    entry = reopen().entries()[-1]
    assert (entry.number, entry.hash, entry.time) == (2, receipt.hash, "2026-03-01T12:00:00+00:00")
    assert entry.price == Price.plain(2**30)
    assert entry.body == {
        "kind": "debit", "result": "charged", "study": STUDY, "partitions": ["all"], "analyses": ["response"],
        "release": "release-1", "attempt": 1, "specification": "cd" * 32,
        "price": [str(a * 2**30) for a in ORDERS], "bound_squared": str(2**31),
        "gammas": ["741455", "3/65536"], "s": 20, "t": 3, "c": 1, "m_charged": 1, "m_promised": 2, "d": 7,
        "epoch": "", "round": 0, "h": "", "unsafe_exact": False, "reservation": 0,
    }  # fmt: skip


def test_the_budget_is_spent_to_the_last_unit_and_a_refusal_writes_nothing(ledger: Ledger) -> None:
    ledger.debit(ask(WHOLE - 10))
    with pytest.raises(BudgetSpent, match="zCDP"):
        ledger.debit(ask(11, attempt=2))
    assert len(ledger.entries()) == 2
    ledger.debit(ask(10, attempt=2))
    assert ledger.remaining_units() == 0
    with pytest.raises(BudgetSpent):
        ledger.debit(ask(1, attempt=3))
    assert ledger.spent() == Price.plain(WHOLE)


def test_the_same_debit_again_is_the_same_entry_and_costs_nothing(
    ledger: Ledger, reopen: Callable[[], Ledger]
) -> None:
    first = ledger.debit(ask())
    for again in (ledger.debit(ask()), reopen().debit(ask())):
        assert again == Receipt(first.number, first.hash, fresh=False)
    assert ledger.spent() == Price.plain(2**30)


@pytest.mark.parametrize(
    "change",
    [
        {"price": Price.plain(2**31)},
        {"gammas": ("1",)},
        {"specification": "ef" * 32},
        {"round": 2},
        {"dimension": 8},
    ],
)
def test_the_same_attempt_with_other_parameters_is_refused_and_costs_nothing(
    ledger: Ledger, change: dict[str, object]
) -> None:
    ledger.debit(ask())
    with pytest.raises(AttemptTaken, match="other parameters"):
        ledger.debit(replace(ask(), **change))  # type: ignore[arg-type]  # fields of several types
    assert ledger.spent() == Price.plain(2**30)


def test_a_new_attempt_another_release_and_another_study_are_each_charged(ledger: Ledger) -> None:
    for debit in (ask(), ask(attempt=2), ask(release="release-2"), ask(study="01" * 32)):
        assert ledger.debit(debit).fresh
    assert ledger.spent() == Price.plain(4 * 2**30)


def test_a_retransmission_gets_the_stored_bytes_for_ever(
    ledger: Ledger, reopen: Callable[[], Ledger]
) -> None:
    receipt = ledger.debit(ask())
    assert ledger.reply_for(receipt) is None
    ledger.store_reply(receipt, b"\x00\xffnoisy vector")
    assert ledger.reply_for(receipt) == b"\x00\xffnoisy vector"
    assert reopen().reply_for(reopen().debit(ask())) == b"\x00\xffnoisy vector"
    assert [entry.kind for entry in ledger.entries()] == ["opened", "debit", "reply"]
    assert ledger.spent() == Price.plain(2**30)


def test_an_attempt_never_has_two_replies(ledger: Ledger) -> None:
    receipt = ledger.debit(ask())
    ledger.store_reply(receipt, b"first")
    ledger.store_reply(receipt, b"first")
    with pytest.raises(LedgerError, match="another reply already"):
        ledger.store_reply(receipt, b"second")
    assert ledger.reply_for(receipt) == b"first"
    assert len(ledger.entries()) == 3


def test_an_empty_reply_is_a_reply(ledger: Ledger, reopen: Callable[[], Ledger]) -> None:
    receipt = ledger.debit(ask())
    ledger.store_reply(receipt, b"")
    assert reopen().reply_for(receipt) == b""


def test_a_reply_belongs_to_a_charge(ledger: Ledger) -> None:
    opening = ledger.entries()[0]
    for number, digest in ((1, opening.hash), (2, "0" * 64), (0, opening.hash), (-1, opening.hash)):
        receipt = Receipt(number, digest, fresh=True)
        with pytest.raises(LedgerError, match="not of a charge"):
            ledger.store_reply(receipt, b"x")
        with pytest.raises(LedgerError, match="not of a charge"):
            ledger.reply_for(receipt)


def test_a_debit_below_what_the_release_costs_cannot_be_made() -> None:
    with pytest.raises(
        LedgerError, match=r"charges 1073741823 units of 2\^-40 and the release costs 1073741824"
    ):
        replace(ask(), price=Price.plain(2**30 - 1))
    # Two shares halve the price, but nobody may charge for two by saying one.
    replace(ask(), price=Price.plain(2**29), shares_charged=2)
    with pytest.raises(LedgerError, match="costs"):
        replace(ask(), price=Price((1, *Price.plain(2**30).units[1:])))
    with pytest.raises(LedgerError, match="unsafe_exact"):
        replace(ask(), price=NOTHING, bound_squared=0)
    with pytest.raises(LedgerError, match="no name of a partition"):
        replace(ask(), partitions=("2026/1",))
    with pytest.raises(LedgerError, match="named twice"):
        replace(ask(), partitions=("2026", "2026"))
    with pytest.raises(LedgerError, match="names a study"):
        replace(ask(), attempt=0)


def test_a_release_without_noise_is_called_so_and_has_no_price(ledger: Ledger) -> None:
    ledger.debit(replace(ask(), price=NOTHING, unsafe_exact=True))
    assert ledger.entries()[-1].body["unsafe_exact"] is True
    with pytest.raises(LedgerError, match="has no price"):
        replace(ask(), unsafe_exact=True)


def test_a_budget_that_admits_sampled_releases_lives_under_the_union_filter(
    path: Path, site_key: Ed25519PrivateKey, clock: Clock
) -> None:
    budget = Budget(1.0, 1e-6, admits_sampled=True)
    Ledger.create(path, budget, site_key, clock).close()
    with Ledger.open(path, site_key, clock, budget=budget) as ledger:
        most = budget.remaining_units(NOTHING)
        with pytest.raises(BudgetSpent):
            ledger.debit(ask(most + 1))
        ledger.debit(ask(most))
        assert ledger.remaining_units() == 0
    with pytest.raises(LedgerError, match="for life"):
        Ledger.open(path, site_key, clock, budget=BUDGET)


@pytest.mark.parametrize("epsilon", [2.0, 0.5, 1.0000000000000002])
def test_a_changed_policy_does_not_change_the_budget(
    ledger: Ledger, path: Path, site_key: Ed25519PrivateKey, clock: Clock, epsilon: float
) -> None:
    ledger.debit(ask())
    with pytest.raises(LedgerError, match="never taken over silently") as caught:
        Ledger.open(path, site_key, clock, budget=Budget(epsilon, 1e-6))
    assert not isinstance(caught.value, LedgerBroken)
    assert ledger.spent() == Price.plain(2**30)


def test_a_ledger_is_never_made_twice(
    ledger: Ledger, path: Path, site_key: Ed25519PrivateKey, clock: Clock
) -> None:
    ledger.debit(ask())
    with pytest.raises(LedgerError, match="a ledger already"):
        Ledger.create(path, Budget(9.0, 1e-6), site_key, clock)
    assert ledger.spent() == Price.plain(2**30)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_missing_ledger_is_not_made_silently(path: Path, site_key: Ed25519PrivateKey, clock: Clock) -> None:
    with pytest.raises(LedgerError, match="unable to open"):
        Ledger.open(path, site_key, clock)
    assert not path.exists()


def test_a_place_that_cannot_be_written_makes_no_ledger(
    tmp_path: Path, site_key: Ed25519PrivateKey, clock: Clock
) -> None:
    with pytest.raises(LedgerError, match="cannot be made"):
        Ledger.create(tmp_path / "absent" / "ledger.sqlite", BUDGET, site_key, clock)


def test_a_clock_without_a_time_zone_is_refused(path: Path, site_key: Ed25519PrivateKey) -> None:
    with pytest.raises(LedgerError, match="time zone"):
        Ledger.create(path, BUDGET, site_key, lambda: datetime(2026, 3, 1))


def test_entries_are_canonical_json_chained_by_hash(ledger: Ledger, path: Path) -> None:
    ledger.debit(ask())
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT content, hash FROM entry ORDER BY number").fetchall()
    contents = [json.loads(content) for content, _ in rows]
    assert [content["number"] for content in contents] == [1, 2]
    assert contents[1]["previous"] == rows[0][1]
    assert json.dumps(contents[1], sort_keys=True, separators=(",", ":")).encode() == rows[1][0]
    assert Fraction(contents[1]["body"]["gammas"][1]) == Fraction(3, 65536)


def test_a_commit_waits_for_the_disk_and_for_the_folder(ledger: Ledger, path: Path) -> None:
    with closing(connect(path, 1.0)) as db:
        # 3 is EXTRA: file, journal and folder are synced before a commit returns.
        assert db.execute("PRAGMA synchronous").fetchone() == (3,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_ledger_whose_folder_went_away_refuses_the_debit(ledger: Ledger, path: Path) -> None:
    path.parent.joinpath("other").mkdir()
    path.rename(path.parent / "other" / path.name)
    shutil.rmtree(path.parent / "other")
    with pytest.raises(LedgerError):
        ledger.debit(ask())


def test_a_closed_ledger_answers_nothing(ledger: Ledger) -> None:
    ledger.close()
    with pytest.raises(LedgerError, match="cannot be used"):
        ledger.spent()


# ---- patients who are drawn by chance --------------------------------------------------------------


def drawn(price: Price | None = None) -> Debit:
    """A round into which each patient comes with probability 1/4; at rate 1 it would cost 2^34 units."""
    plain = ask(2**34)
    z2 = sampled.multiplier_squared(plain.bound_squared, honest_shares=1)
    curve = sampled.curve(z2, Fraction(1, 4)) if price is None else price
    return replace(plain, price=curve, rate=Fraction(1, 4))


def test_a_ledger_that_was_not_opened_for_it_refuses_a_sampled_round_and_writes_nothing(
    ledger: Ledger,
) -> None:
    before = ledger.head
    with pytest.raises(PrivacyError, match="admits no sampled release"):
        ledger.debit(drawn())
    assert ledger.head == before
    assert ledger.spent() == NOTHING


def test_a_ledger_that_was_opened_for_it_bears_a_sampled_round_that_is_cheaper_than_a_plain_one(
    path: Path, site_key: Ed25519PrivateKey, clock: Clock
) -> None:
    budget = Budget(1.0, 1e-6, admits_sampled=True)
    with Ledger.create(path, budget, site_key, clock) as made:
        made.debit(drawn())
        after = made.spent()
        assert after == drawn().price
        assert all(a < b for a, b in zip(after.units, ask(2**34).price.units, strict=True))
        assert made.entries()[-1].body["rate"] == "1/4"
    # what it bears is for life, and in the file
    with pytest.raises(LedgerError):
        Ledger.open(path, site_key, clock, budget=BUDGET)


def test_a_sampled_round_that_charges_less_than_its_curve_at_one_order_is_no_debit() -> None:
    units = drawn().price.units
    for cheap in (Price((*units[:-1], units[-1] - 1)), Price((units[0] - 1, *units[1:])), NOTHING):
        with pytest.raises(LedgerError, match="less than the sampled release costs"):
            drawn(cheap)
    drawn(ask(2**34).price)  # what everybody's presence costs is more, and may be charged
