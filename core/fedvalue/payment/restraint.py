"""The brakes of a standard, at work on the values that an answer would set.

The values of one answer go together: where hysteresis or the least interval holds one of them back, all wait.
The change cap and credibility reach only the values that the standard names. See `rules_change`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from fedvalue.errors import ParameterNotInForce
from fedvalue.payment.decision import InForce
from fedvalue.payment.decision_findings import HeldBack
from fedvalue.payment.money import FEN
from fedvalue.payment.parameters import is_money
from fedvalue.payment.rules_change import (
    Brakes,
    ChangeCap,
    Credibility,
    Hysteresis,
    LastChange,
    MinimumInterval,
    Proposal,
    restrain,
)
from fedvalue.payment.standard import Standard

FINE = Decimal("0.0001")
"""Least step of what is no money: a share, a weight, a coefficient."""


@dataclass(frozen=True, slots=True)
class Warrant:
    """Why a change is asked for.

    Attributes:
      probability: That it is warranted, noise included.
      sampling_variance: V_s of the quantity of the first criterion.
      privacy_variance: V_dp of it.
    """

    probability: float
    sampling_variance: float
    privacy_variance: float


def braked(standard: Standard) -> bool:
    """Tell whether the standard has a brake at all."""
    return any(name in standard.rule for name in ("p_change", "minimum_interval", "change_cap", "prior_sd"))


def restrained(
    standard: Standard,
    before: Mapping[str, InForce],
    after: Mapping[str, InForce],
    warrant: Warrant,
    *,
    on: date,
    starts: date,
) -> tuple[dict[str, InForce] | None, tuple[HeldBack, ...]]:
    """Return the proposed values that the brakes leave, and what each brake did.

    Args:
      standard: The standard.
      before: Payment values in force.
      after: Payment values as the answer would set them.
      warrant: Why.
      on: Day of the decision, whose parameters are used.
      starts: First day of the new values.

    Returns:
      None instead of values where nothing is left of the change.

    Raises:
      ParameterNotInForce: a brake has no value on that day.
    """  # fmt: skip
    if not braked(standard):
        return dict(after), ()
    rows = []
    for name, value in after.items():
        old = before[name].amount
        if value.amount == old:
            continue
        quantum = FEN if is_money(value.unit) else FINE
        found = restrain(
            Proposal(
                old=old,
                base=_base(standard, name, on, old),
                evidence=value.amount,
                probability=warrant.probability,
                sampling_variance=warrant.sampling_variance,
                privacy_variance=warrant.privacy_variance,
                last=_last(standard, name, starts),
                on=starts,
                quantum=quantum,
            ),
            _brakes(standard, name, on),
        )
        rows.append(
            HeldBack(
                value=name, before=old, wanted=value.amount, after=found.amount, because=found.because,
                needed=round(found.needed, 9), weight=round(found.weight, 9),
            )
        )  # fmt: skip
    waits = any({"interval", "hysteresis"} & set(row.because) for row in rows)
    if waits:
        return None, tuple(row.model_copy(update={"after": row.before}) for row in rows)
    left = {row.value: row.after for row in rows}
    values = {
        name: value.model_copy(update={"amount": left[name]}) if name in left else value
        for name, value in after.items()
    }
    changed = any(values[name].amount != before[name].amount for name in values)
    return (values if changed or not rows else None), tuple(rows)


def _brakes(standard: Standard, name: str, on: date) -> Brakes:
    def number(key: str) -> float:
        return float(standard.amount(key, on))

    rule = standard.rule
    hysteresis = interval = cap = credibility = None
    if "p_change" in rule:
        hysteresis = Hysteresis(number("p_change"), number("p_reverse"), int(number("reversal_window")))
    if "minimum_interval" in rule:
        interval = MinimumInterval(int(number("minimum_interval")))
    if "change_cap" in rule and name in standard.capped:
        cap = ChangeCap(standard.amount("change_cap", on))
    if "prior_sd" in rule and name in standard.followed:
        credibility = Credibility(number("prior_sd") ** 2)
    return Brakes(hysteresis, interval, cap, credibility)


def _base(standard: Standard, name: str, on: date, old: Decimal) -> Decimal:
    """Return the amount at the beginning of the cap's period; the one in force where there was none."""
    if "cap_period" not in standard.rule:
        return old
    begins = on - timedelta(days=int(standard.amount("cap_period", on)))
    try:
        return standard.amount(name, begins)
    except ParameterNotInForce:
        return old


def _last(standard: Standard, name: str, starts: date) -> LastChange | None:
    amounts = [
        (value.starts, value.amount)
        for value in standard.history(name).values
        if value.amount is not None and value.starts <= starts
    ]
    for (_, earlier), (day, later) in reversed(list(pairwise(amounts))):
        if earlier != later:
            return LastChange(day, "up" if later > earlier else "down")
    return None
