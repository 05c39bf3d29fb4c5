"""An innovation fund: a levy on sales pays for breakthroughs, each for a term that ends.

    levy = rate x sales, borne by the manufacturer, received by the innovation fund
    a therapy enters where P(improvement >= bar) >= p_met, and leaves ``years`` later, whatever it did

Entering is set from an estimate with both variances; the levy is settled on the manufacturer's own realised
sales. After the term the therapy needs a listing of its own. Source: payment.md P41 (2 %, >= 30 %, 5 years).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.carve_out import years_after
from fedvalue.payment.mechanisms.cash import Settlement, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import count, money, share
from fedvalue.payment.mechanisms.settle import Realised, settled
from fedvalue.payment.mechanisms.underlying import Draws, underlying


@dataclass(frozen=True, slots=True)
class InnovationTerms:
    """The fund's rules.

    Attributes:
      contract: Its name.
      currency: ISO 4217 code.
      levy: Share of sales.
      improvement: Relative improvement that enters.
      p_met: Probability demanded, above 0.5.
      p_not: Probability at which it is refused, below 0.5.
      years: Length of the term, at least 1.
    """

    contract: str
    currency: str
    levy: Decimal
    improvement: Decimal
    p_met: float
    p_not: float
    years: int

    def __post_init__(self) -> None:
        check_currency(self.currency)
        share(self.levy, "levy")
        share(self.improvement, "improvement")
        if not 0 < self.p_not < 0.5 < self.p_met < 1:
            raise PaymentError("0 < p_not < 0.5 < p_met < 1", where=self.contract)
        if count(self.years, "years") < 1:
            raise PaymentError("a term of no years", where=self.contract)


@dataclass(frozen=True, slots=True)
class Sales:
    """A manufacturer's sales of a period.

    Attributes:
      amount: Net of rebates, as its signed statement has it.
    """

    amount: Decimal


@dataclass(frozen=True, slots=True)
class Term:
    """What the bar says of a therapy.

    Attributes:
      outcome: ``met``: it enters; ``not_met``; or insufficient evidence, which changes nothing.
      probability: P(improvement >= bar).
      last_day: Of its term, where it enters.
    """

    outcome: Literal["met", "not_met", "insufficient_evidence"]
    probability: float
    last_day: date | None


def settle_levy(terms: InnovationTerms, statement: Realised[Sales]) -> Settlement:
    """Return the levy on realised sales.

    Raises:
      PurposeMixed: an estimate instead of facts.
    """
    facts = settled(statement, Sales, contract=terms.contract)
    levy = money(facts.amount, "sales") * share(terms.levy, "levy")
    flows = [flow("levy", levy, bearer="manufacturer", payee="innovation_fund")]
    return settlement(terms.contract, terms.currency, flows)


def admitted(terms: InnovationTerms, effect: Draws, name: str, *, starts: date) -> Term:
    """Return whether a therapy enters, and when it leaves.

    Args:
      terms: The fund's rules.
      effect: Draws that hold the relative improvement.
      name: Its name among them.
      starts: First day of the term.

    Raises:
      PurposeMixed: a realised figure or a bare number.
    """
    underlying(effect, name)
    probability = float((effect.column(name) >= float(terms.improvement)).mean())
    if probability >= terms.p_met:
        return Term("met", probability, years_after(starts, terms.years) - timedelta(days=1))
    outcome: Literal["not_met", "insufficient_evidence"] = (
        "not_met" if probability <= terms.p_not else "insufficient_evidence"
    )
    return Term(outcome, probability, None)
