"""Which dated parameters a decision rule and its brakes take, and their units.

D1 and D2 take the levels that every standard has. D3, D4 and D5 take parameters of their own; a brake is on
where its parameters stand in the file, all of them together. ``money`` is any money, ``any`` any unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fedvalue.payment.decision import RuleName
from fedvalue.payment.parameters import Parameter, is_money

COMMON: Mapping[str, str] = {
    "p_met": "probability",
    "p_not": "probability",
    "minimum_patients": "patients",
    "review_after": "days",
    "sunset_after": "days",
    "effective_after": "days",
    "appeal_within": "days",
}
"""What every standard says."""

SHARE_OF_PATIENTS: Mapping[str, str] = {
    "threshold": "probability",
    "reference": "probability",
    "prior_success": "patients",
    "prior_failure": "patients",
    "window": "days",
}
"""What ``outcome_linked_cohort`` says besides."""

OF_RULE: Mapping[RuleName, Mapping[str, str]] = {
    "D1": {},
    "D2": {},
    "D3": {
        "unit_value": "money", "patients_now": "patients", "patients_later": "patients",
        "switching_cost": "money", "reversal_cost": "money", "data_cost": "money", "data_factor": "ratio",
    },
    "D4": {"loss_over": "money", "loss_under": "money"},
    "D5": {"alpha": "probability", "planned_information": "any"},
}  # fmt: skip
"""What a rule takes besides; see `rules_net_benefit`, `rules_loss`, `rules_sequential`."""

OPTIONAL: Mapping[str, str] = {
    "minimum_sites": "sites",
    "prior_success": "patients",
    "prior_failure": "patients",
    "tolerable_loss": "money",
}
"""What may stand there."""

BRAKES: tuple[Mapping[str, str], ...] = (
    {"p_change": "probability", "p_reverse": "probability", "reversal_window": "days"},
    {"minimum_interval": "days"},
    {"change_cap": "share", "cap_period": "days"},
    {"prior_sd": "any"},
)
"""Hysteresis, least interval, cap and credibility; see `rules_change`.

The parameters of D3 may stand, all together, beside another rule: they then say what to do meanwhile where
the answer is insufficient evidence.
"""


def problem(
    rule: Mapping[str, Parameter], *, mechanism: str, name: RuleName, bars: Iterable[str] = ()
) -> str | None:
    """Return what is wrong with the parameters of a rule, or None.

    Args:
      rule: As the file has them.
      mechanism: Of the standard.
      name: Of the decision rule.
      bars: Parameters that criteria and quantities name.
    """
    needed = {
        **COMMON,
        **(SHARE_OF_PATIENTS if mechanism == "outcome_linked_cohort" else {}),
        **OF_RULE[name],
    }
    together = BRAKES if name == "D3" else (*BRAKES, OF_RULE["D3"])
    known = {**OPTIONAL, **{key: unit for brake in together for key, unit in brake.items()}, **needed}
    bars = set(bars)
    if needed.keys() - rule.keys() or rule.keys() - known.keys() - bars:
        besides = sorted(known.keys() - needed.keys())
        return f"rule: {mechanism} takes exactly {sorted(needed)} with {name}; it may have {besides}"
    for brake in together:
        here = brake.keys() & rule.keys()
        if here and here != brake.keys():
            return f"rule: {sorted(brake)} stand together or not at all"
    for key, unit in known.items():
        if key in rule and not of_unit(rule[key].unit, unit):
            return f"rule.{key}.unit is {unit!r}"
    return None


def of_unit(unit: str, wanted: str) -> bool:
    """Tell whether a unit is the one wanted: ``money`` is any money, ``any`` any unit."""
    return wanted == "any" or (is_money(unit) if wanted == "money" else unit == wanted)
