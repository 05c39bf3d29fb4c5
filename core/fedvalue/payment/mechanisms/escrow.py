"""A performance bond behind clawbacks: what is paid back when the manufacturer no longer pays.

    without default: the manufacturer bears what it owes, the bond is untouched
    on default:      escrow pays min(owed, balance); the rest is uncovered, and is named as the payee's loss

Nothing else of a settlement changes, and nothing is ever moved to the hospital: whoever was owed and is not
paid bears the loss, in a figure of its own. The bond is drawn in the order of the settlement's flows.

No uncertainty enters; `expected_instalments` tells how large a bond the clawback needs. Source: payment.md
2.3 (performance bond, escrow balance, counterparty default).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from fedvalue.payment.mechanisms.cash import Settlement, Transfer, flow
from fedvalue.payment.mechanisms.exact import fen, money


@dataclass(frozen=True, slots=True)
class Bond:
    """What a manufacturer deposited for one contract.

    Attributes:
      balance: What is left of it.
      defaulted: Whether the manufacturer has stopped paying, as a court or the parties found.
    """

    balance: Decimal
    defaulted: bool

    def __post_init__(self) -> None:
        money(self.balance, "bond")


@dataclass(frozen=True, slots=True)
class Secured:
    """A settlement after the bond.

    Attributes:
      settlement: With the bond's payments in place of the manufacturer's.
      bond: What is left of it.
      uncovered: Flows that nobody pays: the payee's loss.
    """

    settlement: Settlement
    bond: Bond
    uncovered: tuple[Transfer, ...]


def secured(settlement: Settlement, bond: Bond) -> Secured:
    """Return who really pays what the manufacturer owes.

    Args:
      settlement: Of a contract, before the bond.
      bond: Of that contract.
    """
    if not bond.defaulted:
        return Secured(settlement, bond, ())
    left = Fraction(bond.balance)
    flows: list[Transfer] = []
    uncovered: list[Transfer] = []
    for owed in settlement.transfers:
        if owed.bearer != "manufacturer":
            flows.append(owed)
            continue
        paid = min(Fraction(owed.amount), left)
        left -= paid
        if paid:
            flows.append(flow(owed.name, paid, bearer="escrow", payee=owed.payee))
        if paid < owed.amount:
            uncovered.append(
                flow(owed.name, owed.amount - fen(paid), bearer="manufacturer", payee=owed.payee)
            )
    return Secured(
        replace(settlement, transfers=tuple(flows)), replace(bond, balance=fen(left)), tuple(uncovered)
    )
