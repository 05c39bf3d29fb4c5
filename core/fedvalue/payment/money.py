"""What a decision would change in money, flow by flow, in `Decimal` from end to end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from math import prod

from fedvalue.payment.decision import CashFlow, InForce
from fedvalue.payment.parameters import is_money
from fedvalue.payment.standard import Consequence, Flow, Standard

FEN = Decimal("0.01")
"""A hundredth of the currency, the least that is paid."""

PATIENTS = 100
"""Patients of the second column: few enough to picture, enough to see money."""


def proposed_values(
    standard: Standard, consequence: Consequence, before: Mapping[str, InForce], *, on: date, starts: date
) -> dict[str, InForce] | None:
    """Return the payment values that an answer leads to, or None where it keeps the standard.

    Args:
      standard: The standard.
      consequence: What the answer leads to.
      before: Payment values in force on ``on``, by name.
      on: Day whose terms are used.
      starts: First day of the proposed values.

    Raises:
      ParameterNotInForce: a term has no value on that day.
    """
    if not consequence.values:
        return None
    proposed = {}
    for name, term in consequence.values.items():
        source = standard.history(term).on(on, f"{standard.name}: {term}").source
        proposed[name] = InForce(
            amount=standard.amount(term, on), unit=before[name].unit, starts=starts, source=source.title
        )
    return {**before, **proposed}


def cash_flows(standard: Standard, after: Mapping[str, InForce], *, on: date) -> tuple[CashFlow, ...]:
    """Return what each flow of money is today and would be, per patient and at most.

    Flows that are nothing today and nothing as proposed are left out.

    Args:
      standard: The standard.
      after: Payment values as proposed, by name.
      on: The day for today's values and for the fixed amounts.

    Raises:
      ParameterNotInForce: an amount has no value on that day.
    """
    flows = (_flow(standard, flow, after, on) for flow in standard.flows)
    return tuple(flow for flow in flows if flow.before or flow.after)


def _flow(standard: Standard, flow: Flow, after: Mapping[str, InForce], on: date) -> CashFlow:
    today = {name: standard.amount(name, on) for name in flow.factors}
    then = {name: after[name].amount if name in after else today[name] for name in flow.factors}
    before, later = (prod(values.values(), start=Decimal(1)).quantize(FEN) for values in (today, then))
    unit = next(unit for name in flow.factors if is_money(unit := standard.history(name).unit))
    return CashFlow(
        name=flow.name,
        bearer=flow.bearer,
        payee=flow.payee,
        currency=unit[:3],
        before=before,
        after=later,
        change=later - before,
        change_per_100=(later - before) * PATIENTS,
        per=unit.partition(" per ")[2],
    )
