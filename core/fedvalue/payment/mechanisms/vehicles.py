"""Four ways to pay for what a grouper cannot see, each with the end that keeps it from becoming a habit.

* ``exclusion_payment`` (除外支付): the drug is paid apart, up to its price, until it expires and its cost
  re-enters the weights;
* ``adrg_coefficient``: cases of one ADRG with the technology are paid ``coefficient`` times the weight, and
  the others are scaled so that the case-weighted mean stays 1;
* ``outpatient_bundle``: test, drug and monitoring in one price outside the DRG (`bundle` settles it);
* ``case_review`` (特例单议): single cases at reviewed cost, at most a share of discharges.

No uncertainty enters. Source: payment.md point 13 and 2.5 (case review: at most 5 % of DRG discharges).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.cash import Settlement, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import apportion, count, fen, money, positive, share
from fedvalue.payment.mechanisms.settle import Realised, settled
from fedvalue.payment.mechanisms.weights import Weights, normalised

VehicleName = Literal["exclusion_payment", "adrg_coefficient", "outpatient_bundle", "case_review"]


@dataclass(frozen=True, slots=True)
class ExclusionPayment:
    """A drug or consumable that is paid apart for a time.

    Attributes:
      contract: Its name.
      code: Of the drug or consumable, as the settlement list has it.
      currency: ISO 4217 code.
      unit_price: The most that is paid for one unit.
      fund_share: Of it, by the fund; the rest is the patient's.
      starts: First day.
      expires: Last day.
      reenters: Year whose weights hold its cost again; not before the year it expires in.
    """

    contract: str
    code: str
    currency: str
    unit_price: Decimal
    fund_share: Decimal
    starts: date
    expires: date
    reenters: int

    def __post_init__(self) -> None:
        check_currency(self.currency)
        money(self.unit_price, "unit price")
        share(self.fund_share, "fund share")
        if self.expires < self.starts:
            raise PaymentError("expires before it starts", where=self.contract)
        if self.reenters < self.expires.year:
            raise PaymentError(
                "its cost would be in the weights and paid apart at once",
                where=self.contract,
                do="re-enter later",
            )


@dataclass(frozen=True, slots=True)
class UnitsUsed:
    """What one institution used.

    Attributes:
      code: Of the drug or consumable.
      units: How many.
      billed: For all of them.
      used_on: Day of use.
    """

    code: str
    units: int
    billed: Decimal
    used_on: date


@dataclass(frozen=True, slots=True)
class OutpatientBundle:
    """A price outside the DRG.

    Attributes:
      currency: ISO 4217 code.
      test: For the companion test.
      drug: For the drug.
      monitoring: For the visits and images of the period.
    """

    currency: str
    test: Decimal
    drug: Decimal
    monitoring: Decimal

    def __post_init__(self) -> None:
        check_currency(self.currency)

    @property
    def price(self) -> Decimal:
        """The bundle's price."""
        return fen(sum((money(getattr(self, p), p) for p in ("test", "drug", "monitoring")), Fraction(0)))


def settle_exclusion(terms: ExclusionPayment, statement: Realised[UnitsUsed]) -> Settlement:
    """Return what is paid apart for units used while the vehicle is in force.

    Raises:
      PurposeMixed: an estimate instead of facts.
      PaymentError: another code, or a day outside its term: then the weight pays.
    """
    facts = settled(statement, UnitsUsed, contract=terms.contract)
    if facts.code != terms.code:
        raise PaymentError(f"{facts.code!r} is not paid apart under this contract", where=terms.contract)
    if not terms.starts <= facts.used_on <= terms.expires:
        raise PaymentError(
            f"used on {facts.used_on}, outside {terms.starts} to {terms.expires}",
            where=terms.contract,
            do="the weight of the group pays; ask for a new term on new evidence",
        )
    covered = min(
        money(facts.billed, "billed"), money(terms.unit_price, "price") * count(facts.units, "units")
    )
    fund, patient = apportion(covered, (terms.fund_share, 1 - terms.fund_share))
    flows = (
        flow("exclusion payment", fund, bearer="fund", payee="hospital"),
        flow("co-pay", patient, bearer="patient", payee="hospital"),
    )
    return settlement(terms.contract, terms.currency, flows)


def with_coefficient(weights: Weights, adrg: str, marked: int, coefficient: Decimal) -> Weights:
    """Return weights in which marked cases of an ADRG weigh ``coefficient`` times the rest of it.

    The ADRG itself is national and stays; its marked cases become a second line ``<adrg>+``.

    Args:
      weights: In force.
      adrg: The group.
      marked: Its cases with the technology, identified in the settlement list.
      coefficient: At least 1.

    Raises:
      PaymentError: unknown group, more marked cases than cases, or a coefficient below 1.
    """
    if positive(coefficient, "coefficient") < 1:
        raise PaymentError("a supplementary coefficient below 1 is a price cut", where=adrg)
    cases = dict(zip(weights.groups, weights.cases, strict=True))
    raw = dict(zip(weights.groups, weights.values, strict=True))
    base = weights.of(adrg)
    if not 0 < count(marked, "marked cases") <= cases[adrg]:
        raise PaymentError(f"{marked} of {cases[adrg]} cases cannot be marked", where=adrg)
    cases = {**cases, adrg: cases[adrg] - marked, f"{adrg}+": marked}
    return normalised({**raw, f"{adrg}+": base * Fraction(coefficient)}, cases)


def reviewed(
    discharges: int, applications: Sequence[tuple[str, Decimal]], *, cap: Decimal
) -> tuple[tuple[str, Decimal], ...]:
    """Return the cases that individual review may take: the costliest, within the cap.

    Args:
      discharges: Of the institution in the period.
      applications: Case pseudonym and excess over the group's payment, in money.
      cap: Share of discharges, such as 0.05.

    Returns:
      At most ``floor(cap x discharges)`` applications, the largest excess first; ties by pseudonym.

    Raises:
      PaymentError: an application twice, negative money.
    """
    if len({case for case, _ in applications}) != len(applications):
        raise PaymentError("one case applies twice", where="case review")
    places = int(share(cap, "cap") * count(discharges, "discharges"))
    ordered = sorted(applications, key=lambda a: (-money(a[1], "excess"), a[0]))
    return tuple(ordered[:places])
