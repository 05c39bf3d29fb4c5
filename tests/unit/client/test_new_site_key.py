"""A site that changes its key in good order keeps its ledger, and nobody else can take the ledger over."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedvalue.client.governance.ledger import Ledger
from fedvalue.client.governance.policy import Budget, Policy
from fedvalue.client.home import Passphrases, SiteHome
from fedvalue.client.node import SiteNode
from fedvalue.client.rotating import NEXT, new_site_key
from fedvalue.errors import LedgerBroken, LedgerBusy, PassphraseWrong
from fedvalue.privacy import accounting
from fedvalue.study.keys import load_key, make_key
from fedvalue.study.passphrases import KeyRing
from fedvalue.study.signature import public_hex
from tests.agreement import key
from tests.federation import noon

POLICY = Policy(site="s01", entity="Hospital", operator="Hospital", budget=Budget(epsilon=4.0, delta=1e-6))
POLICY_BUDGET = accounting.Budget(4.0, 1e-6)


@pytest.fixture
def home(tmp_path: Path) -> SiteHome:
    made = SiteHome.create(tmp_path / "home", POLICY, noon)
    with made.ledger() as ledger:
        ledger.open_partition("2027")
    return made


def counter(home: SiteHome) -> int:
    with home.ledger() as ledger:
        assert [each.name for each in ledger.accounts()] == ["2026", "2027"]
        return ledger.head().counter


def test_a_ledger_goes_on_under_a_new_key_and_the_counter_never_falls(home: SiteHome) -> None:
    before, old = counter(home), home.card().public_key
    assert before == 2
    for turn in (1, 2):  # a second time too
        new = new_site_key(home, None)
        assert new == home.card().public_key != old
        assert counter(home) == before + turn
    with home.ledger() as ledger:
        ledger.open_partition("2028")
        assert ledger.head().counter == 5
        assert [entry.signature.public_key == new for entry in ledger.entries()] == [False] * 4 + [True]
    assert not (home.folder / "keys" / NEXT).exists()


def test_the_old_key_opens_nothing_any_more_and_writes_no_other_past(home: SiteHome, tmp_path: Path) -> None:
    old = home.site_key()
    new_site_key(home, None)
    with pytest.raises(LedgerBroken, match="under another key"):
        Ledger.open(home.ledger_file, old, noon)
    # With the stolen old key a thief writes a ledger without the partition and copies the handover behind it.
    with home.ledger() as ledger:
        body = dict(ledger.entries()[-1].body)
    forged = tmp_path / "forged.sqlite"
    Ledger.create(forged, POLICY_BUDGET, old, noon, partitions=("2026",)).close()
    with Ledger.open(forged, old, noon) as thief:
        chain = thief._chain
        with chain.transaction("IMMEDIATE"):
            chain.append(body)
    with pytest.raises(LedgerBroken, match="did not take this ledger over"):
        Ledger.open(forged, home.site_key(), noon)


def test_a_strangers_ledger_is_not_taken_over_by_saying_so(home: SiteHome, tmp_path: Path) -> None:
    mine, theirs = home.site_key(), key("stranger")
    forged = tmp_path / "forged.sqlite"
    Ledger.create(forged, POLICY_BUDGET, theirs, noon).close()
    with Ledger.open(forged, theirs, noon) as ledger, ledger._chain.transaction("IMMEDIATE"):
        proof = {
            "suite": "intl-1",
            "role": "ledger_takeover",
            "public_key": public_hex(mine),
            "value": "AA==",
        }
        body = {"kind": "rekeyed", "old": public_hex(theirs), "key": public_hex(mine), "proof": proof}
        ledger._chain.append(body)
    with pytest.raises(LedgerBroken, match="did not take this ledger over"):
        Ledger.open(forged, mine, noon)


def test_a_handover_that_was_cut_short_is_finished_by_the_next_try(home: SiteHome) -> None:
    path = home.folder / "keys" / NEXT
    fresh = make_key(path)  # cut short before the ledger heard of it
    assert new_site_key(home, None) == public_hex(fresh)
    again = make_key(path)
    home.ledger().hand_over(again)  # cut short after it
    with pytest.raises(LedgerBroken, match="under another key"):
        home.ledger()
    assert new_site_key(home, None) == public_hex(again)
    assert counter(home) == 4


def test_a_new_key_under_a_passphrase_is_asked_for_and_a_running_node_keeps_the_old(home: SiteHome) -> None:
    with SiteNode(home.folder, noon), pytest.raises(LedgerBusy):
        new_site_key(home, None)
    new_site_key(home, b"words")
    with pytest.raises(PassphraseWrong):
        home.ledger()
    assert load_key(home.site_key_file, b"words")
    opened = SiteHome.open(home.folder, noon, KeyRing(Passphrases(site=b"words").given))
    assert counter(opened) == 3
