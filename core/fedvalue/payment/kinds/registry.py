"""Every mechanism by name; `mechanism_terms` says what its standard must hold."""

from __future__ import annotations

from collections.abc import Mapping

from fedvalue.payment.kinds import courses, groups, panels, prices, value
from fedvalue.payment.kinds.case import Kind
from fedvalue.study.mechanisms import MechanismName

KINDS: Mapping[MechanismName, Kind] = {
    "outcome_linked_patient": courses.CONTINUATION,
    "instalments": courses.INSTALMENTS,
    "milestones": courses.MILESTONES,
    "three_party": courses.THREE_PARTY,
    "one_off": courses.ONE_OFF,
    "capitation": panels.CAPITATION,
    "tiered_capitation": panels.TIERED,
    "annual_bundle": panels.ANNUAL_BUNDLE,
    "quality_base": panels.QUALITY,
    "prepaid": panels.PREPAID,
    "shared_savings": panels.SAVINGS,
    "next_standard": panels.NEXT,
    "risk_adjusted": panels.RISK,
    "bundle": prices.BUNDLE,
    "item_price": prices.ITEM,
    "facility_tilt": prices.TILT,
    "technology_uplift": prices.UPLIFT,
    "renegotiation": prices.RENEGOTIATION,
    "innovation_fund": prices.INNOVATION,
    "carve_out": prices.CARVE_OUT,
    "exclusion_payment": prices.EXCLUSION,
    "adrg_coefficient": prices.COEFFICIENT,
    "outpatient_bundle": prices.OUTPATIENT,
    "drg_subgroups": groups.SUBGROUPS,
    "icer_gate": value.GATE,
    "provisional_listing": value.PROVISIONAL,
    "suspension": value.SUSPENSION,
}
"""All mechanisms but ``outcome_linked_cohort``, whose single share `deciding_share` reads."""
