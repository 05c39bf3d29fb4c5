"""What has been settled: each statement once, and a corrected one only against the one it replaces.

Every statement has a settle key, the SHA-256 over whose figures they are, of which contract, for which days
and what they say. The register is a tuple of entries, added to and never edited. Refused are

    a statement whose key is there already,
    one that counts a day of the same institution and contract that another entry has settled,
    a correction of an entry that is not there, or that another correction has replaced already.

A correction (annual clearing re-opens months, an appeal ends in one recount) settles the difference only:
for each flow, what the new statement leads to less what the replaced one led to, so that all flows together
are those of the last statement, to the fen. A difference below zero flows back from who had received it.
Holds are not flows: a statement that held something is corrected by the one that says what was unknown.

No uncertainty enters: these are realised, signed figures. Source: payment.md points 11 and 17.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import rfc8785

from fedvalue.errors import PaymentError, WindowsOverlap
from fedvalue.payment.mechanisms.cash import Party, Settlement, flow, settlement
from fedvalue.payment.mechanisms.settle import Realised, signed_content


@dataclass(frozen=True, slots=True)
class Entry:
    """One settled statement.

    Attributes:
      key: Its settle key, 64 hexadecimal digits.
      institution: Whose figures.
      contract: Of which contract.
      start: First day.
      end: Last day, included.
      settled_on: Day on which it was entered.
      led_to: What the statement as a whole leads to.
      paid: The flows that were instructed with this entry; of a correction, the difference.
      replaces: Key of the entry that it corrects, or None.
    """

    key: str
    institution: str
    contract: str
    start: date
    end: date
    settled_on: date
    led_to: Settlement
    paid: Settlement
    replaces: str | None


def settle_key(statement: Realised[Any]) -> str:
    """Return the identity of a statement: the same figures for the same days have the same key."""
    return hashlib.sha256(rfc8785.dumps(signed_content(statement))).hexdigest()


def entered(
    register: tuple[Entry, ...],
    statement: Realised[Any],
    led_to: Settlement,
    *,
    on: date,
    replaces: str | None = None,
) -> tuple[Entry, ...]:
    """Return the register with one more statement.

    Args:
      register: Oldest first.
      statement: Signed by the institution.
      led_to: What its contract makes of it.
      on: Today.
      replaces: Key of the entry that the statement corrects.

    Raises:
      WindowsOverlap: days settled already.
      PaymentError: settled already, or nothing there to correct.
    """
    key, where = settle_key(statement), f"{statement.institution}, {statement.start} to {statement.end}"
    if led_to.contract != statement.contract:
        raise PaymentError(
            f"settled under {led_to.contract!r}, stated for {statement.contract!r}", where=where
        )
    if any(entry.key == key for entry in register):
        raise PaymentError(
            "this statement is settled already", where=where, do="a statement is paid once; send a new one"
        )
    standing = _standing(register)
    before = None
    if replaces is not None:
        before = next((entry for entry in standing if entry.key == replaces), None)
        whose = (statement.institution, statement.contract)
        if before is None or (before.institution, before.contract) != whose:
            raise PaymentError(
                "there is no standing entry to correct",
                where=where,
                do="name the last entry of the same institution and contract",
            )
    for entry in standing:
        if entry is not before and _same_days(entry, statement):
            raise WindowsOverlap(
                f"days of {entry.start} to {entry.end} are settled already",
                where=where,
                do="say which entry the statement replaces, or state other days",
            )
    paid = led_to if before is None else difference(led_to, before.led_to)
    return (
        *register,
        Entry(
            key, statement.institution, statement.contract, statement.start, statement.end, on, led_to, paid,
            replaces,
        ),
    )  # fmt: skip


def difference(after: Settlement, before: Settlement) -> Settlement:
    """Return the flows that turn what was paid before into what is owed after.

    Args:
      after: What the corrected statement leads to.
      before: What the replaced one led to; of the same contract and currency.

    Raises:
      PaymentError: two currencies.
    """
    if after.currency != before.currency:
        raise PaymentError(f"{before.currency} is not corrected in {after.currency}", where=after.contract)
    owed: dict[tuple[str, Party, Party], Decimal] = {}
    for sign, side in ((1, after), (-1, before)):
        for transfer in side.transfers:
            name = (transfer.name, transfer.bearer, transfer.payee)
            owed[name] = owed.get(name, Decimal("0.00")) + sign * transfer.amount
    flows = [
        flow(name, Fraction(amount), bearer=bearer, payee=payee)
        for (name, bearer, payee), amount in owed.items()
    ]
    return settlement(after.contract, after.currency, flows, held=after.held, notes=after.notes)


def net(register: Iterable[Entry], contract: str, party: Party) -> Decimal:
    """Return what a party has received less what it has borne under a contract, over all entries."""
    return sum((entry.paid.net(party) for entry in register if entry.contract == contract), Decimal("0.00"))


def _standing(register: tuple[Entry, ...]) -> tuple[Entry, ...]:
    replaced = {entry.replaces for entry in register}
    return tuple(entry for entry in register if entry.key not in replaced)


def _same_days(entry: Entry, statement: Realised[Any]) -> bool:
    whose = (statement.institution, statement.contract) == (entry.institution, entry.contract)
    return whose and statement.start <= entry.end and entry.start <= statement.end
