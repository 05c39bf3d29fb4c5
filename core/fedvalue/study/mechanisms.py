"""The payment mechanisms that a study may move; what each does is the business of `fedvalue.payment`."""

from __future__ import annotations

from typing import Literal

MechanismName = Literal[
    "outcome_linked_cohort",
    "outcome_linked_patient",
    "instalments",
    "milestones",
    "three_party",
    "one_off",
    "capitation",
    "tiered_capitation",
    "annual_bundle",
    "quality_base",
    "prepaid",
    "shared_savings",
    "next_standard",
    "bundle",
    "item_price",
    "facility_tilt",
    "technology_uplift",
    "drg_subgroups",
    "exclusion_payment",
    "adrg_coefficient",
    "outpatient_bundle",
    "risk_adjusted",
    "icer_gate",
    "provisional_listing",
    "suspension",
    "renegotiation",
    "innovation_fund",
    "carve_out",
]
"""Mechanisms whose standard can be set from evidence."""
