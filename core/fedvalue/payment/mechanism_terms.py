"""What a standard of each mechanism must say: quantities, amounts, words, and what it can then ask about.

A name with ``*`` at its end stands for a family (``instalment_*`` for ``instalment_1``, ``instalment_2``), of
which there is at least one; a ``?`` at the end marks what may be left out. ``money`` as a unit is any money.
The table is data: `standard` checks a file against it, `kinds` holds what is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fedvalue.payment.standard_parts import Statistic
from fedvalue.study.mechanisms import MechanismName

MONEY = "money"
SHARE = "share"
WORD = ()
"""A word of a contract that is free text, such as a code."""

_RATE: tuple[Statistic, ...] = ("proportion", "survival", "estimate")
_ANY: tuple[Statistic, ...] = ("proportion", "survival", "estimate", "held")
_NUMBER: tuple[Statistic, ...] = ("estimate", "held")
_MISSING = ("fail", "exclude")
_PARTIES = ("fund", "hospital", "patient", "manufacturer", "insurer", "aid_program", "region", "escrow")


@dataclass(frozen=True, slots=True)
class Requires:
    """What a mechanism needs, and what it offers to criteria and consequences.

    Attributes:
      quantities: Name or family to the statistics it may be.
      amounts: Name or family of payment values or terms to their unit.
      words: Name to what the contract may say; empty for free text.
      held: Names or families of exact figures in the payer's statement.
      derived: Quantities that criteria may name, to their unit.
      computed: Amounts that consequences may name, to their unit.
      unit: Whether a cohort's share or each patient's own course decides who is paid.
      closed_year: Whether the payer's closed year of costs is read.
      verdicts: Whether earlier yearly verdicts are read.
    """

    quantities: Mapping[str, tuple[Statistic, ...]] = field(default_factory=dict)
    amounts: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    derived: Mapping[str, str] = field(default_factory=dict)
    computed: Mapping[str, str] = field(default_factory=dict)
    unit: Literal["cohort", "patient"] = "cohort"
    closed_year: bool = False
    verdicts: bool = False


_INCREMENT: dict[str, tuple[Statistic, ...]] = {"cost": ("estimate",), "effect": ("estimate",)}

MECHANISMS: Mapping[MechanismName, Requires] = {
    "outcome_linked_cohort": Requires(),
    "outcome_linked_patient": Requires(
        quantities={"continuing": _RATE},
        words={"continues": ("no_progression", "response_only"), "unknown_policy": ("pay", "withhold")},
        unit="patient",
    ),
    "instalments": Requires(
        quantities={"survival": ("curve",)},
        amounts={
            "instalment_*": MONEY,
            "month_*": "months",
            "clawback_share": SHARE,
            "clawback_window": "months",
            "grace_months": "months",
            "yearly_discount?": SHARE,
        },
        words={"unknown_policy": ("pay", "withhold"), "clawback_bearer": _PARTIES},
        derived={
            "event_free": "probability",
            "expected_gross": MONEY,
            "expected_clawback": MONEY,
            "expected_net": MONEY,
            "net_share": SHARE,
        },
    ),
    "milestones": Requires(
        quantities={"milestone_*": _RATE},
        amounts={
            "price": MONEY,
            "upfront": SHARE,
            "on_pass_*": SHARE,
            "on_fail_*": SHARE,
            "month_*": "months",
            "grace_months": "months",
        },
        words={"unknown_policy": ("passed", "failed")},
        derived={"expected_net": MONEY, "expected_rebate": MONEY},
    ),
    "three_party": Requires(
        quantities={"relapse": _RATE},
        amounts={"price": MONEY, "patient_share": SHARE, "refund_share": SHARE, "window_months": "months"},
        words={"refund_to": ("pro_rata", "patient", "insurer"), "insurer": ("insurer", "fund")},
        derived={"expected_refund": MONEY, "expected_net": MONEY},
    ),
    "one_off": Requires(
        quantities={"reached": _RATE},
        amounts={
            "provider_reward": MONEY,
            "patient_credit": MONEY,
            "confirm_days": "days",
            "deadline_days": "days",
        },
        derived={"expected_payment": MONEY},
    ),
    "capitation": Requires(
        quantities={
            "control": _RATE,
            "admissions": _ANY,
            "expected_admissions": _ANY,
            "cost_*?": _NUMBER,
            "people_*?": ("held",),
        },
        amounts={
            "base_*": MONEY,
            "bonus": SHARE,
            "penalty": SHARE,
            "mean_base?": MONEY,
            "between_sd?": "ratio",
        },
        words={
            "gap": ("penalty", "neutral", "proportional"),
            "missing": _MISSING,
            "baseline": ("concurrent_trend", "previous_year"),
        },
        derived={"reduction": SHARE},
        computed={"risk_*": MONEY},
    ),
    "tiered_capitation": Requires(
        quantities={"control": _RATE},
        amounts={
            "base_*": MONEY,
            "bonus_from": SHARE,
            "bonus": MONEY,
            "penalty_below": SHARE,
            "penalty": MONEY,
        },
        words={"gap": ("neutral",), "missing": _MISSING},
        derived={"expected_addition": MONEY},
    ),
    "annual_bundle": Requires(
        quantities={"control": _RATE},
        amounts={"price": MONEY, "full_from": SHARE, "full": SHARE, "low_below": SHARE, "low": SHARE},
        words={"gap": ("linear", "hold_full", "hold_low"), "missing": _MISSING},
        derived={"expected_factor": SHARE, "expected_payment": MONEY},
    ),
    "quality_base": Requires(
        quantities={"target_*": _RATE}, amounts={"base_*": MONEY, "bonus": MONEY}, words={"missing": _MISSING}
    ),
    "prepaid": Requires(
        quantities={"cost_per_head": _NUMBER},
        amounts={"per_head": MONEY, "quality_floor": SHARE, "deficit_share": SHARE},
        words={"missing": _MISSING},
        derived={"surplus_rate": SHARE},
        computed={"from_cost": MONEY},
    ),
    "shared_savings": Requires(
        quantities={"spend": _NUMBER},
        amounts={
            "benchmark": MONEY,
            "shared": SHARE,
            "cap": SHARE,
            "loss_share": SHARE,
            "minimum_rate": SHARE,
        },
        derived={"savings_rate": SHARE},
        computed={"guard_rate": SHARE},
    ),
    "next_standard": Requires(
        quantities={"control": _RATE},
        amounts={"standard": MONEY, "uplift": SHARE},
        computed={"raised": MONEY},
    ),
    "bundle": Requires(
        quantities={"progression_free": _RATE},
        amounts={"price": MONEY, "cap": MONEY, "loading": SHARE, "bonus": MONEY},
        words={"group": WORD, "on_death": ("pro_rata", "full"), "variant": WORD},
        computed={"from_costs": MONEY},
        closed_year=True,
    ),
    "item_price": Requires(
        quantities={"charge": _NUMBER},
        amounts={"cap": MONEY, "patient_share": SHARE, "insurer_share": SHARE},
        words={"code": WORD, "excess": ("hospital", "patient")},
        derived={"patient_pays": MONEY},
        computed={"at_charge": MONEY},
    ),
    "facility_tilt": Requires(
        quantities={"outcome": _ANY, "volume_*": ("held",)},
        amounts={
            "standard": MONEY,
            "standard_*": MONEY,
            "tilt_*": SHARE,
            "least_tilt": SHARE,
            "most_tilt": SHARE,
        },
        words={"neutral": ("yes", "no")},
        computed={"tilted_*": MONEY},
    ),
    "technology_uplift": Requires(
        quantities={"effect": _ANY},
        amounts={"standard": MONEY, "uplift": SHARE, "least_uplift": SHARE, "most_uplift": SHARE},
        computed={"uplifted": MONEY},
    ),
    "drg_subgroups": Requires(
        quantities={"share_*?": _RATE},
        amounts={
            "weight_*": "relative weight",
            "minimum_cases": "cases",
            "minimum_share": SHARE,
            "relative_difference": SHARE,
            "absolute_difference": MONEY,
            "minimum_riv": SHARE,
            "maximum_cv": "ratio",
            "rate?": MONEY,
        },
        words={"adrg": WORD},
        derived={"all_conditions": "probability"},
        computed={"split_*": "relative weight"},
        closed_year=True,
    ),
    "exclusion_payment": Requires(
        quantities={"effect": _ANY},
        amounts={"unit_price": MONEY, "fund_share": SHARE, "term": "years"},
        words={"code": WORD},
    ),
    "adrg_coefficient": Requires(
        quantities={"effect": _ANY, "marked": ("held",)},
        amounts={"coefficient": "coefficient"},
        words={"adrg": WORD},
        computed={"marked_weight": "coefficient", "rest_weight": "coefficient"},
        closed_year=True,
    ),
    "outpatient_bundle": Requires(
        quantities={"effect": _ANY}, amounts={"test": MONEY, "drug": MONEY, "monitoring": MONEY}
    ),
    "risk_adjusted": Requires(
        quantities={"raw_*": ("estimate",), "people_*": ("held",)},
        amounts={"base": MONEY, "coefficient_*": "coefficient", "between_sd": "ratio"},
        words={"genomic_justification?": WORD},
        derived={"spread": "ratio"},
        computed={"credible_*": "coefficient"},
    ),
    "icer_gate": Requires(
        quantities=_INCREMENT,
        amounts={"willingness_to_pay": MONEY, "willingness_*?": MONEY},
        derived={"net_benefit": MONEY},
    ),
    "provisional_listing": Requires(
        quantities=_INCREMENT,
        amounts={
            "willingness_to_pay": MONEY,
            "data_cost": MONEY,
            "eligible": "patients",
            "data_factor": "ratio",
            "longest": "days",
        },
        derived={"net_benefit": MONEY, "data_value": MONEY, "data_net_value": MONEY},
    ),
    "suspension": Requires(
        quantities=_INCREMENT,
        amounts={"willingness_to_pay": MONEY, "years_in_a_row": "years"},
        words={"insufficient_years": ("hold", "reset")},
        derived={"net_benefit": MONEY},
        verdicts=True,
    ),
    "renegotiation": Requires(
        quantities={"fall": _NUMBER, "agreed_fall": ("held",)},
        amounts={
            "standard": MONEY,
            "pass_parts": "parts",
            "pass_of": "parts",
            "floor": MONEY,
            "notice_days": "days",
        },
        computed={"passed_through": MONEY},
    ),
    "innovation_fund": Requires(
        quantities={"improvement": ("estimate",)}, amounts={"levy": SHARE, "term": "years"}
    ),
    "carve_out": Requires(
        quantities={"effect": _ANY}, amounts={"carved_out": SHARE, "term": "years"}, words={"code": WORD}
    ),
}
"""Every mechanism whose standard can be set."""


def fits(name: str, pattern: str) -> bool:
    """Tell whether a name is the one, or of the family, that a pattern stands for."""
    bare = pattern.rstrip("?")
    if not bare.endswith("*"):
        return name == bare
    return name.startswith(bare[:-1]) and len(name) > len(bare) - 1


def find(name: str, patterns: Iterable[str]) -> str | None:
    """Return the pattern that a name fits, an exact one first."""
    fitting = [pattern for pattern in patterns if fits(name, pattern)]
    return min(fitting, key=lambda pattern: "*" in pattern, default=None)


def missing(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Return the patterns that nothing fits and that may not be left out."""
    have = list(names)
    return [p for p in patterns if not p.endswith("?") and not any(fits(name, p) for name in have)]
