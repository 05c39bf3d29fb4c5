"""What a ledger's entries add up to: accounts of partitions, reservations, charges, and who may charge.

=============  =========================================================================================
kind           what it does
=============  =========================================================================================
``opened``     the first entry: the budget for life, the first partitions, a lost ledger that this follows
``partition``  a new partition opens with its own budget
``entered``    people entered the store: their partition (opened if it is new), digest of the store
``reserved``   a study's plan is set aside on each partition that it touches
``debit``      one attempt is charged on each partition; its slot leaves the reservation
``reply``      the one reply of a debit
``closed``     a study ends for good; what it never asked is free again
``rekeyed``    the site's key hands over to a new one; nothing is charged or freed
=============  =========================================================================================

Accrual partitions. A person belongs for life to the partition of the year in which the person first
entered this site's store, so partitions are disjoint. A study is charged in full on each partition that
it touches, and each partition has its own filter. The promise of a budget therefore holds for each person
by the account of that one partition, and next year's patients do not pay for this year's studies.

An ask passes if for each partition spent + reserved + new stays within the budget, the ask included; the
slot that is being charged counts as new and no longer as reserved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fedvalue.client.governance.entries import (
    Attempt,
    Debit,
    Entry,
    opened_budget,
    read_budget,
)
from fedvalue.client.governance.reservations import Held, Reservation
from fedvalue.errors import (
    BudgetSpent,
    LedgerBroken,
    LedgerError,
    NotReserved,
    SpareAttemptsSpent,
    StudyClosed,
)
from fedvalue.privacy.accounting import NOTHING, UNITS_PER_RHO, Budget, Price

LOST_STEP = 2**32
"""How far the counter jumps when a ledger follows a lost one: past whatever a peer may have seen."""


@dataclass(frozen=True, slots=True)
class Account:
    """One partition.

    Attributes:
      name: The partition.
      budget: For life.
      opened: When, ISO 8601 in UTC.
      spent: Charged so far.
      reserved: Set aside and not asked yet.
      lost: True if its ledger was lost: it counts as spent for life.
    """

    name: str
    budget: Budget
    opened: str
    spent: Price = NOTHING
    reserved: Price = NOTHING
    lost: bool = False

    @property
    def remaining_units(self) -> int:
        """Rho of the largest release that would still pass, in units of 2^-40."""
        return 0 if self.lost else self.budget.remaining_units(self.spent, self.reserved)


@dataclass(frozen=True, slots=True)
class StoreMark:
    """Where the store of first entries stood when the ledger last heard of it.

    Attributes:
      batch: Number of its last batch, 0 for none.
      digest: Its digest, 64 hexadecimal digits, empty for none.
    """

    batch: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Admission:
    """Leave to charge.

    Attributes:
      partitions: On each of these.
      reservation: Number of the reservation that the slot leaves; 0 for none.
    """

    partitions: tuple[str, ...]
    reservation: int


class Books:
    """Sums over one ledger's entries; each entry is taken once, in order."""

    def __init__(self) -> None:
        self.budget: Budget
        self.base = 0
        self.debits: dict[Attempt, Entry] = {}
        self.replies: dict[int, str] = {}
        self.closed: dict[str, int] = {}
        self.store = StoreMark()
        self.held: dict[str, Held] = {}
        self._accounts: dict[str, Account] = {}

    def take(self, entry: Entry) -> None:
        """Add one entry, which must be whole and follow the last.

        Raises:
          LedgerBroken: a kind that this version does not know, or an entry that contradicts those before.
        """
        try:
            self._take(entry)
        except (KeyError, TypeError, ValueError, LedgerError) as error:
            if isinstance(error, LedgerBroken):
                raise
            raise LedgerBroken(
                "an entry contradicts those before it", where=f"entry {entry.number}"
            ) from error

    def accounts(self) -> tuple[Account, ...]:
        """Return every partition in the order of opening, with what is reserved on it."""
        return tuple(replace(each, reserved=self.reserved(each.name)) for each in self._accounts.values())

    def reserved(self, partition: str) -> Price:
        """Return what is set aside on a partition and was not asked yet."""
        return sum((held.price for held in self.held.values() if partition in held.partitions), NOTHING)

    def chargeable(self, partitions: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the partitions that an ask touches: those named, or all that are open and not lost.

        Raises:
          LedgerError: there is none, or one is named that does not exist.
          BudgetSpent: one that is named counts as spent for life.
        """
        named = tuple(partitions) or tuple(name for name, each in self._accounts.items() if not each.lost)
        if not named:
            raise LedgerError(
                "no partition is open, so nobody could be charged", do="load the hospital's records first"
            )
        for name in named:
            if name not in self._accounts:
                raise LedgerError(
                    f"there is no partition {name!r}", do=f"name one of {sorted(self._accounts)}"
                )
            if self._accounts[name].lost:
                raise BudgetSpent(
                    "the partition counts as spent for life, because its ledger was lost",
                    where=f"partition {name}",
                    do="leave its people out; people who entered later have a budget",
                )
        return named

    def admit(self, debit: Debit, *, reserve: bool) -> Admission:
        """Say on what an attempt would be charged; it was not charged before.

        Args:
          debit: The attempt.
          reserve: True to refuse a study that has no reservation.

        Raises:
          StudyClosed: the study was closed here.
          NotReserved: the study has no reservation, or it does not hold this ask.
          SpareAttemptsSpent: the plan has no such attempt.
          BudgetSpent: a partition's budget does not cover it.
        """
        where = f"{debit.release}, attempt {debit.attempt}"
        if debit.study_hash in self.closed:
            raise StudyClosed("the study was closed here and asks nothing more", where=where)
        held = self.held.get(debit.study_hash)
        if held is None:
            if reserve:
                raise NotReserved(
                    "the study has no reservation", where=where, do="approve it; that reserves its plan"
                )
            partitions = self.chargeable(debit.partitions)
            self._require_room(partitions, debit.price, NOTHING, where)
            return Admission(partitions, 0)
        planned = next((charge for charge in held.plan if charge.release == debit.release), None)
        if planned is None or debit.partitions not in ((), held.partitions):
            raise NotReserved("the study's reservation does not hold this ask", where=where)
        if (planned.price, planned.specification) != (debit.price, debit.specification):
            raise NotReserved("the study reserved another price or specification", where=where)
        if (debit.release, debit.attempt) not in held.slots:
            raise SpareAttemptsSpent(f"the study reserved {planned.attempts} attempts", where=where)
        self._require_room(held.partitions, debit.price, planned.price, where)
        return Admission(held.partitions, held.number)

    def admit_reservation(self, asked: Reservation) -> tuple[tuple[str, ...], int]:
        """Say on which partitions a reservation would stand and which one it replaces (0: none).

        A study that is approved again keeps its frozen rows, hence its partitions. What it has charged
        stays charged and is not reserved again.

        Raises:
          StudyClosed: the study was closed here.
          NotReserved: it names other partitions than those it was frozen on.
          BudgetSpent: a partition's budget does not cover all of it.
        """
        study = asked.study_hash
        if study in self.closed:
            raise StudyClosed("the study was closed here, for good", where=study[:16])
        before = self.held.get(study)
        if before is None:
            partitions = self.chargeable(asked.partitions)
        elif asked.partitions in ((), before.partitions):
            partitions = before.partitions
        else:
            raise NotReserved("the study was frozen on other partitions", where=study[:16])
        new = Held.of(0, study, partitions, asked.plan, self.debits).price
        self._require_room(partitions, new, before.price if before else NOTHING, f"study {study[:16]}")
        return partitions, before.number if before else 0

    def _require_room(self, partitions: Sequence[str], new: Price, freed: Price, where: str) -> None:
        """Refuse if any partition cannot bear ``new`` once ``freed`` has left its reservations."""
        for name in partitions:
            account, reserved = self._accounts[name], _less(self.reserved(name), freed)
            if not account.budget.passes(account.spent, reserved, new):
                left = account.budget.remaining_units(account.spent, reserved)
                cost = (new.rho_units or 0) / UNITS_PER_RHO
                raise BudgetSpent(
                    f"it costs {cost:.6g} zCDP and {left / UNITS_PER_RHO:.6g} is left in partition {name!r}",
                    where=where,
                    do="nothing was charged; the budget is for life, ask less or ask other sites",
                )

    def _take(self, entry: Entry) -> None:
        body = entry.body
        if (entry.number == 1) != (entry.kind == "opened"):
            raise LedgerBroken("a ledger has one opening entry, the first", where=f"entry {entry.number}")
        if entry.kind == "opened":
            self.budget = opened_budget(entry)
            lost = body.get("lost")
            self.base = 0 if lost is None else int(lost["number"]) + LOST_STEP
            for name in body["partitions"]:
                self._open(entry, name, self.budget)
            for name in [] if lost is None else lost["partitions"]:
                self._open(entry, name, self.budget, lost=True)
            if lost is not None:
                self.store = StoreMark(int(lost["batch"]), str(lost["store"]))
        elif entry.kind == "partition":
            self._open(entry, body["partition"], read_budget(body["budget"], where=f"entry {entry.number}"))
        elif entry.kind == "entered":
            if body["partition"] and body["partition"] not in self._accounts:
                self._open(entry, body["partition"], self.budget)
            self.store = StoreMark(int(body["batch"]), str(body["store"]))
        elif entry.kind == "reserved":
            held = Held.read(entry, self.debits)
            self.held[held.study_hash] = held
        elif entry.kind == "debit":
            self._charge(entry)
        elif entry.kind == "reply":
            self.replies[body["entry"]] = body["sha256"]
        elif entry.kind == "closed":
            self.held.pop(body["study"], None)
            self.closed[body["study"]] = entry.number
        elif entry.kind != "rekeyed":
            # A newer version may have charged something here that this one would not count.
            raise LedgerBroken(
                f"an entry is of the kind {entry.kind!r}, unknown to this version",
                where=f"entry {entry.number}",
                do="answer nothing; use the version that wrote it",
            )

    def _open(self, entry: Entry, name: str, budget: Budget, *, lost: bool = False) -> None:
        if name in self._accounts:
            raise LedgerError(f"the partition {name!r} is open already")
        self._accounts[name] = Account(name, budget, entry.time, lost=lost)

    def _charge(self, entry: Entry) -> None:
        study, release, attempt = entry.attempt
        if entry.body.get("reservation"):
            self.held[study].slots.pop((release, attempt))
        self.debits[entry.attempt] = entry
        for name in entry.partitions:
            account = self._accounts[name]
            self._accounts[name] = replace(account, spent=account.spent + entry.price)


def unasked(held: Held) -> list[list[str | int]]:
    """Return the slots of a reservation that were not asked, as they are sealed when the study is closed."""
    return [[release, attempt] for release, attempt in sorted(held.slots)]


def _less(price: Price, part: Price) -> Price:
    return Price(tuple(a - b for a, b in zip(price.units, part.units, strict=True)))
