"""Any decision rule by its name in a standard: D1 to D5 with their dated parameters, all reading alike.

D1 and D2 read a `Reading`. D3 makes money of it with ``unit_value`` (money per patient for one unit of theta
beyond the threshold; 1 where theta is money already), and plans for data that would leave V / (1 +
``data_factor``). D4 weighs the expected distances. D5 reads the looks, this one last; where remedies and
turning points are planned it is stood in for by D1 at the levels of its last look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from fedvalue.payment.decision import Outcome, Rule
from fedvalue.payment.economics.net_benefit import NetBenefit
from fedvalue.payment.rule_parameters import BRAKES, OF_RULE
from fedvalue.payment.rules import (
    DecisionRule,
    GuardBandRule,
    ProbabilityRule,
    Reading,
    check_levels,
)
from fedvalue.payment.rules_loss import LossReading, LossRule
from fedvalue.payment.rules_net_benefit import NetBenefitAnswer, NetBenefitReading, NetBenefitRule
from fedvalue.payment.rules_sequential import Look, SequentialAnswer, SequentialRule
from fedvalue.payment.standard import Standard


@dataclass(frozen=True, slots=True)
class BenefitSettings:
    """D3 in the money of a standard.

    Attributes:
      unit_value: Money per patient for one unit of theta beyond the threshold.
      patients_now: Until the data are in.
      patients_later: After that, to the end of the horizon.
      switching_cost: S.
      reversal_cost: R.
      data_cost: D.
      data_factor: Information of the planned data over today's.
      reversible: Whether adopting can be undone.
    """

    unit_value: float
    patients_now: float
    patients_later: float
    switching_cost: float
    reversal_cost: float
    data_cost: float
    data_factor: float
    reversible: bool
    name: Literal["D3"] = "D3"

    def answer(self, reading: Reading) -> Outcome:
        """Return what the best path means."""
        return self.paths(reading).outcome

    def paths(self, reading: Reading) -> NetBenefitAnswer:
        """Return the paths and what each is worth."""
        sign = 1.0 if reading.direction == "at_least" else -1.0
        square, left = self.unit_value**2, 1 / (1 + self.data_factor)
        sampling, privacy = square * reading.sampling_variance, square * reading.privacy_variance
        mean = sign * self.unit_value * (reading.estimate - reading.threshold)
        return NetBenefitRule().answer(
            NetBenefitReading(
                benefit=NetBenefit(self.unit_value, mean, sampling, privacy),
                sampling_left=sampling * left,
                privacy_left=privacy * left,
                patients_now=self.patients_now,
                patients_later=self.patients_later,
                switching_cost=self.switching_cost,
                reversal_cost=self.reversal_cost,
                data_cost=self.data_cost,
                reversible=self.reversible,
            )
        )


@dataclass(frozen=True, slots=True)
class LossSettings:
    """D4 on a reading."""

    rule: LossRule
    name: Literal["D4"] = "D4"

    def answer(self, reading: Reading) -> Outcome:
        """Return the answer with the smaller expected loss."""
        return self.rule.answer(LossReading(reading.shortfall, reading.excess))


@dataclass(frozen=True, slots=True)
class LookSettings:
    """D5 at its latest look.

    Attributes:
      rule: As registered.
      looks: So far, oldest first, this one last.
    """

    rule: SequentialRule
    looks: tuple[Look, ...]
    name: Literal["D5"] = "D5"

    def answer(self, reading: Reading) -> Outcome:
        """Return what the looks show; the reading of this look alone does not decide."""
        del reading
        return self.stand().outcome

    def stand(self) -> SequentialAnswer:
        """Return where the looks stand."""
        return self.rule.answer(self.looks)


def rule_of(
    standard: Standard, on: date, *, looks: Sequence[Look] = (), threshold: float = 0.0
) -> DecisionRule:
    """Return the standard's decision rule with its parameters in force.

    Args:
      standard: The standard.
      on: The day.
      looks: D5: all looks so far, this one last.
      threshold: D5: tau.

    Raises:
      ParameterNotInForce: a parameter has no value on that day.
      PaymentError: levels or losses outside their range, or looks that were not registered.
    """
    p_met, p_not = (standard.amount(name, on) for name in ("p_met", "p_not"))
    check_levels(p_met, p_not)
    match standard.decision_rule:
        case "D1":
            return ProbabilityRule(float(p_met), float(p_not))
        case "D2":
            return GuardBandRule(float(p_met))
        case "D3":
            return benefit_of(standard, on)
        case "D4":
            tolerable = (
                float(standard.amount("tolerable_loss", on)) if "tolerable_loss" in standard.rule else None
            )
            over, under = (float(standard.amount(name, on)) for name in ("loss_over", "loss_under"))
            return LossSettings(LossRule(over, under, tolerable))
        case _:
            return LookSettings(sequence_of(standard, on, threshold), tuple(looks))


def benefit_of(standard: Standard, on: date) -> BenefitSettings:
    """Return D3 as the standard has it, as its rule or beside it.

    Raises:
      ParameterNotInForce: a parameter has no value on that day.
    """

    def money(name: str) -> float:
        return float(standard.amount(name, on))

    return BenefitSettings(
        unit_value=money("unit_value"),
        patients_now=money("patients_now"),
        patients_later=money("patients_later"),
        switching_cost=money("switching_cost"),
        reversal_cost=money("reversal_cost"),
        data_cost=money("data_cost"),
        data_factor=money("data_factor"),
        reversible=bool(standard.reversible),
    )


def sequence_of(standard: Standard, on: date, threshold: float) -> SequentialRule:
    """Return D5 as it was registered.

    Raises:
      ParameterNotInForce: a parameter has no value on that day.
      PaymentError: an error or an information outside its range.
    """
    direction = standard.metric.direction if standard.metric is not None else standard.criteria[0].direction
    return SequentialRule(
        threshold=threshold,
        direction=direction,
        alpha=float(standard.amount("alpha", on)),
        days=standard.looks,
        planned_information=float(standard.amount("planned_information", on)),
    )


def planning_rule(rule: DecisionRule) -> DecisionRule:
    """Return the rule that remedies are planned with: D1 at the levels of D5's last look, else itself."""
    if isinstance(rule, LookSettings):
        return ProbabilityRule(1 - rule.rule.alpha, rule.rule.alpha)
    return rule


def rule_record(standard: Standard, on: date) -> Rule:
    """Return the rule with every level that was read, for the decision.

    Raises:
      ParameterNotInForce: a parameter has no value on that day.
    """
    read = {*OF_RULE[standard.decision_rule], *(key for brake in BRAKES for key in brake), "tolerable_loss"}
    read |= OF_RULE["D3"].keys()
    levels: dict[str, Decimal] = {
        name: standard.amount(name, on) for name in sorted(read) if name in standard.rule
    }
    return Rule(
        name=standard.decision_rule,
        p_met=standard.amount("p_met", on),
        p_not=standard.amount("p_not", on),
        levels=levels,
        looks=standard.looks,
    )
