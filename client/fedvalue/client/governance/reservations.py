"""What a study sets aside on approval: its plan and its spare attempts, each at its full price.

A reservation is a promise to the study (nobody else is answered from that budget) and a bound on it (it is
answered for nothing else). Each slot of it, one attempt at one release, is either still reserved or
charged, never both: the debit that charges a slot takes it out of the reservation in the same entry.

A slot that was never asked goes back only when the study is closed, which is signed and cannot be undone.
*Asked* means that the site accepted the specification, whatever happened after; accepting is the debit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedvalue.client.governance.entries import Attempt, Entry, require_distinct
from fedvalue.errors import LedgerError
from fedvalue.privacy.accounting import NOTHING, Price

Slot = tuple[str, int]
"""Release label, number of the attempt."""


@dataclass(frozen=True, slots=True)
class PlannedCharge:
    """One release of a study's plan.

    Attributes:
      release: Its label.
      specification: SHA-256 of everything that fixes it; a debit must name the same.
      price: Of one attempt; a debit must charge the same.
      attempts: How often it may be asked: 1 and the spare ones.
    """

    release: str
    specification: str
    price: Price
    attempts: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an approval asks of the ledger.

    Attributes:
      study_hash: SHA-256 of the study, 64 hexadecimal digits.
      plan: Every release that the study may ask.
      partitions: Whose budgets it touches, each in full; empty: every one that is open now.
    """

    study_hash: str
    plan: tuple[PlannedCharge, ...]
    partitions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a plan that reserves nothing or says one thing twice."""
        require_distinct(self.partitions, where=self.study_hash)
        labels = [charge.release for charge in self.plan]
        if not self.study_hash or not labels or not all(labels) or len(set(labels)) != len(labels):
            raise LedgerError(
                "a reservation names a study and its releases, each once", where=self.study_hash
            )
        if any(charge.attempts < 1 for charge in self.plan):
            raise LedgerError("a planned release is asked at least once", where=self.study_hash)

    @property
    def price(self) -> Price:
        """Of the whole plan with every spare attempt."""
        return total({(c.release, n): c for c in self.plan for n in range(1, 1 + c.attempts)})

    def body(self, partitions: tuple[str, ...], replaces: int) -> dict[str, Any]:
        """Return the JSON that is sealed.

        Args:
          partitions: What `partitions` comes to in this ledger.
          replaces: Number of the study's earlier reservation, 0 if it has none.
        """
        return {
            "kind": "reserved", "study": self.study_hash, "partitions": list(partitions),
            "replaces": replaces,
            "plan": [
                {"release": c.release, "specification": c.specification, "attempts": c.attempts,
                 "price": [str(unit) for unit in c.price.units]}
                for c in self.plan
            ],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """A study's reservation as it stands.

    Attributes:
      number: Number of its entry.
      study_hash: The study.
      partitions: Whose budgets it touches.
      plan: What was reserved.
      slots: What was not asked yet; the ledger's books take out what is charged.
    """

    number: int
    study_hash: str
    partitions: tuple[str, ...]
    plan: tuple[PlannedCharge, ...]
    slots: dict[Slot, PlannedCharge]

    @classmethod
    def read(cls, entry: Entry, charged: Mapping[Attempt, Entry]) -> Held:
        """Read a sealed reservation; attempts that were charged before it are no part of it.

        Args:
          entry: Of the kind ``reserved``.
          charged: Every debit before it.
        """
        study = str(entry.body["study"])
        plan = tuple(
            PlannedCharge(
                each["release"], each["specification"], Price(tuple(int(unit) for unit in each["price"])),
                each["attempts"],
            )
            for each in entry.body["plan"]
        )  # fmt: skip
        return cls.of(entry.number, study, tuple(entry.body["partitions"]), plan, charged)

    @classmethod
    def of(
        cls,
        number: int,
        study: str,
        partitions: tuple[str, ...],
        plan: tuple[PlannedCharge, ...],
        charged: Mapping[Attempt, Entry],
    ) -> Held:
        """Return what a plan leaves reserved beside what was charged."""
        slots = {
            (charge.release, attempt): charge
            for charge in plan
            for attempt in range(1, 1 + charge.attempts)
            if (study, charge.release, attempt) not in charged
        }
        return cls(number, study, partitions, plan, slots)

    @property
    def price(self) -> Price:
        """What is still set aside, on each of its partitions."""
        return total(self.slots)


def total(slots: Mapping[Slot, PlannedCharge]) -> Price:
    """Return the price of several slots."""
    return sum((charge.price for charge in slots.values()), NOTHING)
