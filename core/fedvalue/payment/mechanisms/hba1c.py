"""Pay for control without harm: HbA1c below target and no hypoglycaemia, one patient's year.

    paid = base + bonus                if HbA1c < target, strictly, and no hypoglycaemia
    paid = base x (1 - reduction)      otherwise

At the target exactly the bonus is not earned. "No hypoglycaemia" rewards not looking, so the year's number
of glucose tests is a fact too, and fewer than the minimum earn no bonus. No HbA1c in the year is a failure
after the year is closed. Targets may differ by age and comorbidity: each group has its own terms.

No uncertainty enters: these are realised facts. Source: payment.md 2.2, P16 and point 16.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from fedvalue.payment.mechanisms.cash import Party, Settlement, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import count, exact, money, positive, share
from fedvalue.payment.mechanisms.settle import Realised, settled


@dataclass(frozen=True, slots=True)
class ControlTerms:
    """The contract.

    Attributes:
      contract: Its name.
      currency: ISO 4217 code.
      base: Paid per patient and year.
      bonus: Added when the target is reached.
      reduction: Share taken off when it is not.
      target: HbA1c in %, to be undercut.
      minimum_tests: Glucose tests in the year below which hypoglycaemia counts as not looked for.
      bearer: Who pays.
    """

    contract: str
    currency: str
    base: Decimal
    bonus: Decimal
    reduction: Decimal
    target: Decimal
    minimum_tests: int
    bearer: Party = "fund"

    def __post_init__(self) -> None:
        check_currency(self.currency)
        money(self.base, "base")
        money(self.bonus, "bonus")
        share(self.reduction, "reduction")
        positive(self.target, "target")
        count(self.minimum_tests, "minimum tests")


@dataclass(frozen=True, slots=True)
class ControlYear:
    """One patient's year.

    Attributes:
      hba1c: Last value of the year in %, or None.
      hypoglycaemia: Whether an event is documented.
      tests: Glucose tests in the year.
    """

    hba1c: Decimal | None
    hypoglycaemia: bool
    tests: int


def settle_control(terms: ControlTerms, statement: Realised[ControlYear]) -> Settlement:
    """Return what the year pays.

    Raises:
      PurposeMixed: an estimate instead of facts.
      PaymentError: an HbA1c that is not above 0, negative tests.
    """
    facts = settled(statement, ControlYear, contract=terms.contract)
    looked_for = count(facts.tests, "tests") >= terms.minimum_tests
    controlled = facts.hba1c is not None and positive(facts.hba1c, "hba1c") < exact(terms.target, "target")
    notes = [] if looked_for else ["too few glucose tests to say that there was no hypoglycaemia"]
    if controlled and looked_for and not facts.hypoglycaemia:
        parts = [("base", money(terms.base, "base")), ("bonus", money(terms.bonus, "bonus"))]
    else:
        kept = 1 - share(terms.reduction, "reduction")
        parts = [("base", money(terms.base, "base") * kept)]
    flows = (flow(name, amount, bearer=terms.bearer, payee="hospital") for name, amount in parts)
    return settlement(terms.contract, terms.currency, flows, notes=notes)
