"""Milestone and rebate contracts: what was agreed for an outcome at a month, for one patient.

Three readings of one milestone, each strict about its end:

* ``event_free``: no event before or at the due month (within two years: an event at month 24 is within);
* ``lasted``: at least the due month without an event (progression-free for 6 months: one at 6 passes);
* ``function``: a measured function (walking) within the window around the due month.

A pass pays ``on_pass`` (a further share of the price); a failure pays back ``on_fail`` (a rebate). Unknown
at the due month is held through the grace period, then the contract's policy decides. Shares are of the
price; upfront and further shares may not exceed it. The manufacturer bears the rebate.

No uncertainty enters. Source: payment.md 2.3, P13 (30-50 % upfront, 1 and 3 years), P14 (PFS 6 months).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal, get_args

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.cash import Party, Settlement, Transfer, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import apportion, chosen, money, not_negative, share
from fedvalue.payment.mechanisms.settle import Realised, settled

Reading = Literal["event_free", "lasted", "function"]
Result = Literal["passed", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Milestone:
    """One agreed outcome.

    Attributes:
      name: Of the flow.
      reading: How the outcome is read.
      due_month: When.
      on_pass: Share of the price paid on a pass.
      on_fail: Share of the price paid back on a failure.
      window_months: For ``function``: how far from the due month a measurement counts.
    """

    name: str
    reading: Reading
    due_month: Decimal
    on_pass: Decimal
    on_fail: Decimal
    window_months: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        chosen(self.reading, get_args(Reading), "reading")
        not_negative(self.due_month, "due month")
        not_negative(self.window_months, "window months")
        share(self.on_pass, "on pass")
        share(self.on_fail, "on fail")


@dataclass(frozen=True, slots=True)
class MilestoneTerms:
    """The contract.

    Attributes:
      contract: Pseudonymous id.
      currency: ISO 4217 code.
      price: The whole price.
      upfront: Share paid at the start.
      milestones: In order of their months.
      grace_months: How long an unknown outcome is held.
      unknown_policy: How it counts then.
      bearer: Who pays.
      payee: Who receives, and pays back.
    """

    contract: str
    currency: str
    price: Decimal
    upfront: Decimal
    milestones: tuple[Milestone, ...]
    grace_months: Decimal
    unknown_policy: Literal["passed", "failed"]
    bearer: Party = "fund"
    payee: Party = "manufacturer"

    def __post_init__(self) -> None:
        check_currency(self.currency)
        money(self.price, "price")
        chosen(self.unknown_policy, ("passed", "failed"), "unknown policy")
        not_negative(self.grace_months, "grace months")
        months = [m.due_month for m in self.milestones]
        if months != sorted(months) or len({m.name for m in self.milestones}) != len(months):
            raise PaymentError("milestones stand in order, each with its own name", where=self.contract)
        if share(self.upfront, "upfront") + sum(Fraction(m.on_pass) for m in self.milestones) > 1:
            raise PaymentError("upfront and milestones pay more than the price", where=self.contract)


@dataclass(frozen=True, slots=True)
class Measurement:
    """Whether the function was there.

    Attributes:
      month: When it was measured.
      present: The result.
    """

    month: Decimal
    present: bool


@dataclass(frozen=True, slots=True)
class MilestoneFacts:
    """One patient's facts, in months since the start.

    Attributes:
      event_month: Progression, relapse or death, whichever first; or None.
      followed_to: Last month known about.
      function: Measurements, in any order.
    """

    event_month: Decimal | None
    followed_to: Decimal
    function: tuple[Measurement, ...] = ()


def reached(milestone: Milestone, facts: MilestoneFacts) -> Result:
    """Return whether a milestone was reached, as far as is known."""
    due, event = milestone.due_month, facts.event_month
    if milestone.reading == "function":
        near = [m for m in facts.function if abs(m.month - due) <= milestone.window_months]
        if near:
            return "passed" if min(near, key=lambda m: (abs(m.month - due), m.month)).present else "failed"
        # A death is no missing measurement: without the patient there is no function.
        return "failed" if event is not None and event <= due else "unknown"
    failed = event is not None and (event < due or (event == due and milestone.reading == "event_free"))
    if failed:
        return "failed"
    return "passed" if event is not None or facts.followed_to >= due else "unknown"


def settle_milestones(
    terms: MilestoneTerms, statement: Realised[MilestoneFacts], *, today: Decimal
) -> Settlement:
    """Return the flows of a contract up to today.

    Args:
      terms: The contract.
      statement: The site's signed facts.
      today: Months since the start.

    Raises:
      PurposeMixed: an estimate instead of facts.
    """
    facts = settled(statement, MilestoneFacts, contract=terms.contract)
    shares = [share(terms.upfront, "upfront"), *(Fraction(m.on_pass) for m in terms.milestones)]
    parts = apportion(terms.price, [*shares, 1 - sum(shares)])
    flows: list[Transfer] = [flow("upfront", parts[0], bearer=terms.bearer, payee=terms.payee)]
    paid, held = Fraction(parts[0]), []
    for milestone, part in zip(terms.milestones, parts[1:], strict=False):
        if milestone.due_month > not_negative(today, "today"):
            break
        result = reached(milestone, facts)
        if result == "unknown":
            if today <= milestone.due_month + milestone.window_months + terms.grace_months:
                held.append(f"{milestone.name}: the outcome is not known yet")
                continue
            result = terms.unknown_policy
        if result == "passed":
            flows.append(flow(milestone.name, part, bearer=terms.bearer, payee=terms.payee))
            paid += Fraction(part)
        else:
            # Nobody pays back more than was received.
            back = min(Fraction(terms.price) * Fraction(milestone.on_fail), paid)
            flows.append(flow(milestone.name, back, bearer=terms.payee, payee=terms.bearer))
            paid -= Fraction(flows[-1].amount)
    return settlement(terms.contract, terms.currency, flows, held=held)
