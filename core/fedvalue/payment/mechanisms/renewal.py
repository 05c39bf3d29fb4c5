"""Simple renewal of an agreement: the price cut follows from what the fund spent against what was foreseen.

    ratio = what the fund really paid / what the agreement foresaw
    cut   = that of the first tier whose end the ratio does not exceed;  new price = old x (1 - cut)

An agreement renews this way only while its conditions hold (sole supplier, unchanged indication, whatever
the listing authority asks for) and the ratio is at or below the last tier's end; else it is renegotiated, and
this module says why and cuts nothing. Tiers are a table of the contract and have no default. A ratio on a
tier's end belongs to that tier. The spend is the payer's own and exact, so no uncertainty enters: a noised
spend is refused. A price that the tiers would raise is refused too: cuts lie between 0 and 1.

Source: payment.md 2.13 (tiers 110, 140, 170, 200 % and 0, 5, 10, 15 points are recalled, not confirmed: they
ship as an unverified example, ``access/simple_renewal``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.exact import exact, fen, money, positive, share
from fedvalue.payment.parameters import Parameter


@dataclass(frozen=True, slots=True)
class RenewalTier:
    """One row of the table.

    Attributes:
      up_to: Largest ratio of the tier, included; above 0.
      cut: Of the price, a share.
    """

    up_to: Decimal
    cut: Decimal

    def __post_init__(self) -> None:
        positive(self.up_to, "end of a tier")
        share(self.cut, "cut of a tier")


@dataclass(frozen=True, slots=True)
class RenewalTerms:
    """The agreement's way of renewing.

    Attributes:
      contract: Its name.
      currency: ISO 4217 code.
      tiers: By rising end; a later tier never cuts less.
      conditions: What has to hold, by name.
    """

    contract: str
    currency: str
    tiers: tuple[RenewalTier, ...]
    conditions: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.tiers:
            raise PaymentError("missing tiers", where=self.contract, do="a contract says every tier")
        for low, high in zip(self.tiers, self.tiers[1:], strict=False):
            if high.up_to <= low.up_to or high.cut < low.cut:
                raise PaymentError(
                    f"the tier up to {high.up_to} follows {low.up_to} with a smaller cut or end",
                    where=self.contract,
                    do="list tiers by rising end; who spends more is not cut less",
                )


@dataclass(frozen=True, slots=True)
class Renewal:
    """What becomes of the agreement.

    Attributes:
      renewed: Whether it renews without talks.
      ratio: Spent over foreseen.
      cut: Of the price; None where it is renegotiated.
      price: The new one, to the fen; None where it is renegotiated.
      because: Why it is renegotiated: conditions that fail, ``over_budget``; empty where it renews.
    """

    renewed: bool
    ratio: Fraction
    cut: Decimal | None
    price: Decimal | None
    because: tuple[str, ...]


def renew(
    terms: RenewalTerms, price: Decimal, *, foreseen: Decimal, spent: Decimal, holds: Mapping[str, bool]
) -> Renewal:
    """Return the renewed price, or that and why the agreement has to be renegotiated.

    Args:
      terms: The agreement's.
      price: In force.
      foreseen: Fund spend that the agreement foresaw, above 0.
      spent: What the fund really paid, from the payer's books.
      holds: Whether each condition holds.

    Raises:
      PurposeMixed: an estimate or a binary fraction instead of the payer's own figure.
      PaymentError: negative money, or a condition that nobody answered.
    """
    if missing := sorted(set(terms.conditions) - holds.keys()):
        raise PaymentError(
            f"nobody said whether {missing[0]} holds", where=terms.contract, do="answer every condition"
        )
    if unknown := sorted(holds.keys() - set(terms.conditions)):
        raise PaymentError(f"{unknown[0]} is no condition of the agreement", where=terms.contract)
    old = money(price, "price")
    ratio = money(spent, "spend of the fund") / positive(money(foreseen, "spend foreseen"), "spend foreseen")
    tier = next((t for t in terms.tiers if ratio <= exact(t.up_to, "end of a tier")), None)
    failing = tuple(name for name in terms.conditions if not holds[name])
    because = failing if tier is not None else (*failing, "over_budget")
    if tier is None or because:
        return Renewal(False, ratio, None, None, because)
    return Renewal(True, ratio, tier.cut, fen(old * (1 - exact(tier.cut, "cut"))), ())


def tiers_on(parameters: Mapping[str, Parameter], day: date, *, name: str) -> tuple[RenewalTier, ...]:
    """Return the tiers in force on a day, from parameters ``tier_1_up_to``, ``tier_1_cut`` and so on.

    Args:
      parameters: By key; others are left alone.
      day: The day asked for.
      name: Names the table in errors.

    Raises:
      PaymentError: no tier, or one without its end or its cut.
      ParameterNotInForce: a parameter has no value on that day.
    """
    numbers = sorted({int(found[1]) for key in parameters if (found := re.match(r"tier_(\d+)_", key))})
    if numbers != list(range(1, len(numbers) + 1)) or not numbers:
        raise PaymentError("tiers are numbered from 1 without a gap", where=name)
    return tuple(
        RenewalTier(*(_amount(parameters, f"tier_{i}_{part}", day, name) for part in ("up_to", "cut")))
        for i in numbers
    )


def _amount(parameters: Mapping[str, Parameter], key: str, day: date, name: str) -> Decimal:
    if key not in parameters:
        raise PaymentError(f"missing {key.replace('_', ' ')}", where=name, do="a tier has an end and a cut")
    return parameters[key].amount_on(day, f"{name}.{key}")
