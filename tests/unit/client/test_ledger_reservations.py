"""What an approval sets aside: reserved once, charged once, given back only by a close for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fedvalue.client.governance.ledger import Ledger, Receipt
from fedvalue.errors import (
    AttemptTaken,
    BudgetSpent,
    LedgerError,
    NotReserved,
    SpareAttemptsSpent,
    StudyClosed,
)
from fedvalue.privacy.accounting import NOTHING, Budget, Price
from tests.ledger_cases import STUDY, WHOLE, ask, plan

OTHER = "01" * 32


def reserved(ledger: Ledger) -> int:
    (account,) = ledger.accounts()
    return account.reserved.rho_units or 0


def spent(ledger: Ledger, partition: str = "all") -> int:
    return ledger.spent(partition).rho_units or 0


def test_an_approval_sets_the_plan_and_its_spare_attempts_aside(
    ledger: Ledger, reopen: Callable[[], Ledger]
) -> None:
    # Two releases of 10 units, each asked at most three times: 2 x 3 x 10 = 60.
    receipt = ledger.reserve(plan(10, attempts=3, releases=("release-1", "release-2")))
    assert receipt.fresh
    for seen in (ledger, reopen()):
        assert (reserved(seen), spent(seen), seen.remaining_units()) == (60, 0, WHOLE - 60)


def test_a_debit_moves_its_slot_from_reserved_to_spent_and_nothing_is_counted_twice(ledger: Ledger) -> None:
    ledger.reserve(plan(10, attempts=2))
    ledger.debit(ask(10), reserve=True)
    assert (reserved(ledger), spent(ledger), ledger.remaining_units()) == (10, 10, WHOLE - 20)
    ledger.debit(ask(10, attempt=2), reserve=True)
    assert (reserved(ledger), spent(ledger), ledger.remaining_units()) == (0, 20, WHOLE - 20)


def test_a_whole_budget_can_be_reserved_and_then_charged_to_the_last_unit(ledger: Ledger) -> None:
    ledger.reserve(plan(WHOLE))
    assert ledger.debit(ask(WHOLE), reserve=True).fresh
    assert ledger.remaining_units() == 0


def test_what_one_study_reserved_another_cannot_have(ledger: Ledger) -> None:
    ledger.reserve(plan(WHOLE - 10))
    with pytest.raises(BudgetSpent, match="zCDP"):
        ledger.reserve(plan(11, study=OTHER))
    with pytest.raises(BudgetSpent):
        ledger.debit(ask(11, study=OTHER))
    ledger.reserve(plan(10, study=OTHER))
    assert ledger.remaining_units() == 0


def test_a_reservation_that_does_not_fit_writes_nothing(ledger: Ledger) -> None:
    with pytest.raises(BudgetSpent):
        ledger.reserve(plan(WHOLE // 2 + 1, attempts=2))
    assert len(ledger.entries()) == 1
    assert ledger.remaining_units() == WHOLE


def test_a_study_without_a_reservation_is_refused_where_one_is_asked_for(ledger: Ledger) -> None:
    with pytest.raises(NotReserved, match="no reservation"):
        ledger.debit(ask(), reserve=True)
    assert ledger.spent() == NOTHING


@pytest.mark.parametrize("reserve", [True, False])
def test_a_study_with_a_reservation_is_charged_for_nothing_else(ledger: Ledger, reserve: bool) -> None:
    ledger.reserve(plan(10, attempts=2))
    with pytest.raises(SpareAttemptsSpent, match="2 attempts"):
        ledger.debit(ask(10, attempt=3), reserve=reserve)
    with pytest.raises(NotReserved, match="does not hold"):
        ledger.debit(ask(10, release="release-2"), reserve=reserve)
    with pytest.raises(NotReserved, match="another price"):
        ledger.debit(ask(9), reserve=reserve)
    with pytest.raises(NotReserved, match="another price"):
        ledger.debit(replace(ask(10), specification="ef" * 32), reserve=reserve)
    with pytest.raises(NotReserved):
        ledger.debit(replace(ask(10), partitions=("2026",)), reserve=reserve)
    assert spent(ledger) == 0


def test_the_same_reservation_again_is_the_same_entry(ledger: Ledger, reopen: Callable[[], Ledger]) -> None:
    first = ledger.reserve(plan(10, attempts=2))
    ledger.debit(ask(10), reserve=True)
    for again in (ledger, reopen()):
        assert again.reserve(plan(10, attempts=2)) == Receipt(first.number, first.hash, fresh=False)
    assert (reserved(ledger), spent(ledger)) == (10, 10)


def test_a_study_approved_again_on_another_plan_keeps_what_it_charged_and_reserves_the_rest(
    ledger: Ledger,
) -> None:
    ledger.reserve(plan(10, attempts=3))
    ledger.debit(ask(10), reserve=True)
    # Another roster, another price: attempt 1 stays charged at 10; attempts 2 and 3 are reserved at 25.
    ledger.reserve(plan(25, attempts=3))
    assert (spent(ledger), reserved(ledger)) == (10, 50)
    with pytest.raises(NotReserved):
        ledger.debit(ask(10, attempt=2), reserve=True)
    with pytest.raises(AttemptTaken):
        ledger.debit(ask(25), reserve=True)
    ledger.debit(ask(25, attempt=2), reserve=True)
    assert (spent(ledger), reserved(ledger)) == (35, 25)


def test_a_plan_that_replaces_another_frees_the_first_before_it_is_checked(ledger: Ledger) -> None:
    ledger.reserve(plan(WHOLE - 1))
    ledger.reserve(plan(WHOLE))
    assert ledger.remaining_units() == 0


def test_only_a_close_gives_back_what_was_never_asked(ledger: Ledger, reopen: Callable[[], Ledger]) -> None:
    ledger.reserve(plan(10, attempts=4))
    ledger.debit(ask(10), reserve=True)
    assert ledger.remaining_units() == WHOLE - 40
    receipt = ledger.close_study(STUDY, "the steering committee ended it")
    assert receipt.fresh
    for seen in (ledger, reopen()):
        assert (reserved(seen), spent(seen), seen.remaining_units()) == (0, 10, WHOLE - 10)
        assert seen.reservations() == ()
    body = ledger.entries()[-1].body
    assert body["returned"] == [["release-1", 2], ["release-1", 3], ["release-1", 4]]
    assert body["why"] == "the steering committee ended it"


def test_what_was_asked_stays_charged_whatever_happened_after(ledger: Ledger) -> None:
    # No reply was ever stored: the answer was lost, the round failed, the site was killed. All the same.
    ledger.reserve(plan(10, attempts=2))
    receipt = ledger.debit(ask(10), reserve=True)
    ledger.close_study(STUDY)
    assert spent(ledger) == 10
    assert ledger.reply_for(receipt) is None


def test_a_close_is_for_good(ledger: Ledger, reopen: Callable[[], Ledger]) -> None:
    ledger.reserve(plan(10, attempts=2))
    charged = ledger.debit(ask(10), reserve=True)
    ledger.store_reply(charged, b"reply")
    ledger.close_study(STUDY)
    for seen in (ledger, reopen()):
        for reserve in (True, False):
            with pytest.raises(StudyClosed):
                seen.debit(ask(10, attempt=2), reserve=reserve)
        with pytest.raises(StudyClosed):
            seen.reserve(plan(10))
        with pytest.raises(StudyClosed):
            seen.close_study(STUDY)
        # A retransmission of what was answered before is no new ask.
        assert seen.reply_for(seen.debit(ask(10), reserve=True)) == b"reply"


def test_only_a_study_that_the_ledger_knows_is_closed(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no such study"):
        ledger.close_study(STUDY)
    ledger.debit(ask())
    ledger.close_study(STUDY)
    with pytest.raises(StudyClosed):
        ledger.debit(ask(attempt=2))


def test_a_reservation_names_each_release_once_and_asks_something() -> None:
    with pytest.raises(LedgerError, match="each once"):
        plan(releases=("release-1", "release-1"))
    with pytest.raises(LedgerError, match="each once"):
        plan(releases=())
    with pytest.raises(LedgerError, match="at least once"):
        plan(attempts=0)


def test_a_release_without_noise_is_reserved_at_no_price(ledger: Ledger) -> None:
    ledger.reserve(plan(0))
    ledger.debit(replace(ask(), price=NOTHING, unsafe_exact=True), reserve=True)
    assert ledger.spent() == NOTHING


# ---- partitions ------------------------------------------------------------------------------------------


def test_a_study_is_charged_in_full_on_every_partition_that_it_touches(ledger: Ledger) -> None:
    ledger.open_partition("2026")
    ledger.open_partition("2027")
    ledger.reserve(plan(10, attempts=2, partitions=("2026", "2027")))
    ledger.debit(ask(10), reserve=True)
    found = {each.name: (each.spent, each.reserved) for each in ledger.accounts()}
    ten = Price.plain(10)
    assert found == {"all": (NOTHING, NOTHING), "2026": (ten, ten), "2027": (ten, ten)}


def test_next_year_s_patients_do_not_pay_for_this_year_s_studies(ledger: Ledger) -> None:
    ledger.debit(ask(WHOLE))
    ledger.open_partition("2027")
    assert ledger.remaining_units(("2027",)) == WHOLE
    assert ledger.remaining_units(("all",)) == 0
    with pytest.raises(BudgetSpent, match="'all'"):
        ledger.debit(ask(1, study=OTHER))
    ledger.debit(replace(ask(WHOLE, study=OTHER), partitions=("2027",)))
    assert ledger.remaining_units(("2027",)) == 0


def test_a_reservation_keeps_the_partitions_of_its_approval(ledger: Ledger) -> None:
    ledger.reserve(plan(10, attempts=2))
    ledger.open_partition("2027")
    ledger.debit(ask(10), reserve=True)
    assert (spent(ledger, "all"), spent(ledger, "2027")) == (10, 0)
    # Approved again, its rows stay frozen, so nobody of 2027 is in them.
    ledger.reserve(plan(20, attempts=2))
    assert ledger.reservations()[0].partitions == ("all",)
    with pytest.raises(NotReserved, match="frozen on other partitions"):
        ledger.reserve(plan(20, partitions=("all", "2027")))


def test_one_exhausted_partition_refuses_the_whole_ask_and_charges_none(ledger: Ledger) -> None:
    ledger.open_partition("2027")
    ledger.debit(replace(ask(WHOLE), partitions=("2027",)))
    with pytest.raises(BudgetSpent, match="'2027'"):
        ledger.debit(ask(1, attempt=2))
    assert spent(ledger, "all") == 0


def test_a_partition_may_have_a_budget_of_its_own_for_life(
    ledger: Ledger, reopen: Callable[[], Ledger]
) -> None:
    ledger.open_partition("2027", Budget(0.5, 1e-6))
    for seen in (ledger, reopen()):
        account = seen.accounts()[-1]
        assert (account.name, account.budget.epsilon) == ("2027", 0.5)
        assert seen.remaining_units() == account.remaining_units < WHOLE
    with pytest.raises(LedgerError, match="open already"):
        ledger.open_partition("2027", Budget(5.0, 1e-6))


def test_a_partition_that_does_not_exist_is_named(ledger: Ledger) -> None:
    for call in (
        lambda: ledger.spent("1999"),
        lambda: ledger.remaining_units(("1999",)),
        lambda: ledger.debit(replace(ask(), partitions=("1999",))),
        lambda: ledger.reserve(plan(partitions=("1999",))),
    ):
        with pytest.raises(LedgerError, match="1999"):
            call()
    with pytest.raises(LedgerError, match="no name"):
        ledger.open_partition("a/b")


def test_the_counter_grows_with_every_entry_and_the_head_is_the_last_hash(ledger: Ledger) -> None:
    seen = [ledger.head()]
    ledger.reserve(plan(10))
    seen.append(ledger.head())
    receipt = ledger.debit(ask(10), reserve=True)
    seen.append(ledger.head())
    ledger.store_reply(receipt, b"x")
    ledger.close_study(STUDY)
    seen.append(ledger.head())
    assert [head.counter for head in seen] == [1, 2, 3, 5]
    assert seen[2].hash == receipt.hash
    assert [ledger.hash_at(head.counter) for head in seen] == [head.hash for head in seen]
    assert ledger.hash_at(0) is None
    assert ledger.hash_at(6) is None
