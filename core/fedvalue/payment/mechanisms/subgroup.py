"""A DRG sub-group proposal: the field that identifies the case, or the four vehicles instead.

A grouper sees what the settlement list holds: diagnosis, procedure, drug and consumable codes, age and
severity. It holds no mutation. So every sub-group but the rest names the field and the codes that put a
case into it, and no code leads to two of them. Where a sub-group names none, the engine refuses and offers
exclusion payment, ADRG coefficient, outpatient bundle and case review (`vehicles`). ADRGs are national and
read-only: a proposal refines one ADRG, and never moves a case to another.

What it proposes: weights from the payer's exact costs, normalised over the whole case mix, with standard
errors; each criterion exactly and as a probability over draws; the costs by channel, because an oral drug
paid outside the ward is not in the group's cost. It takes effect when the clinical role has signed it.

Purpose ``set``; evidence supplies the split where `molecular` is used. Source: payment.md 2.5 and point 13.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

from fedvalue.analyses.estimate import Estimate
from fedvalue.errors import PaymentError, WindowsOverlap
from fedvalue.payment.mechanisms.case_costs import PayerHeld
from fedvalue.payment.mechanisms.exact import chosen, money
from fedvalue.payment.mechanisms.split import (
    Moments,
    SplitCriteria,
    condition_probabilities,
    conditions,
    cv,
    moments,
    riv,
)
from fedvalue.payment.mechanisms.vehicles import VehicleName
from fedvalue.payment.mechanisms.weight_error import weight_estimates
from fedvalue.payment.mechanisms.weights import Weights, relative_weights

FieldKind = Literal["icd10", "icd9cm3", "drug", "consumable", "age", "severity"]
Channel = Literal["inpatient", "outpatient", "dual_channel"]

OFFERED: tuple[tuple[VehicleName, str], ...] = (
    ("exclusion_payment", "pay the drug apart until a day, then let its cost re-enter the weights"),
    ("adrg_coefficient", "a supplementary coefficient on the ADRG for cases with the technology"),
    ("outpatient_bundle", "one price for test, drug and monitoring outside the DRG"),
    ("case_review", "single cases at reviewed cost, within the share of discharges that is allowed"),
)
"""What a refusal offers, in the order in which payers use it."""


@dataclass(frozen=True, slots=True)
class IdentifyingField:
    """What on a settlement list puts a case into a sub-group.

    Attributes:
      kind: Which field.
      codes: Its values: codes, or ``65-`` for an age and ``MCC`` for a severity.
    """

    kind: FieldKind
    codes: tuple[str, ...]

    def __post_init__(self) -> None:
        chosen(self.kind, get_args(FieldKind), "field that a grouper sees")
        if not self.codes or len(set(self.codes)) != len(self.codes):
            raise PaymentError("a field needs codes, each once", where=self.kind)


@dataclass(frozen=True, slots=True)
class Subgroup:
    """One proposed sub-group.

    Attributes:
      group: Its code, beginning with the ADRG.
      label: In words, such as ``EGFR mutated, inhibitor``.
      field: What identifies its cases; None for the rest, or where nothing does.
      rest: Whether it takes every case of the ADRG that no other takes.
    """

    group: str
    label: str
    field: IdentifyingField | None
    rest: bool = False


@dataclass(frozen=True, slots=True)
class SubgroupRefused:
    """Why there is no sub-group, and what can be done instead.

    Attributes:
      adrg: The ADRG.
      unidentified: Labels that no field identifies.
      reason: A sentence.
      vehicles: What payers use instead.
    """

    adrg: str
    unidentified: tuple[str, ...]
    reason: str
    vehicles: tuple[tuple[VehicleName, str], ...] = OFFERED


@dataclass(frozen=True, slots=True)
class SubgroupProposal:
    """What the committee is asked.

    Attributes:
      adrg: The ADRG that is refined.
      grouping_version: Of the grouper.
      subgroups: As proposed.
      weights: Over the whole case mix, averaging 1.
      estimates: The sub-groups' weights with their standard errors.
      cv: By sub-group.
      riv: Reduction in variance within the ADRG.
      exactly: Whether each criterion holds on the payer's figures.
      probabilities: P(criterion) over draws, with ``all``.
      passed: Whether every probability reaches ``p_met``.
      channels: Cost of these patients by channel.
      notes: What a reader must know.
      approval: Always ``clinical_committee``: numbers do not split a group.
    """

    adrg: str
    grouping_version: str
    subgroups: tuple[Subgroup, ...]
    weights: Weights
    estimates: dict[str, Estimate]
    cv: dict[str, float]
    riv: float
    exactly: dict[str, bool]
    probabilities: dict[str, float]
    passed: bool
    channels: dict[Channel, Decimal]
    notes: tuple[str, ...]
    approval: Literal["clinical_committee"] = "clinical_committee"


def propose(
    adrg: str,
    subgroups: Sequence[Subgroup],
    costs: PayerHeld,
    criteria: SplitCriteria,
    draws: Sequence[Sequence[Moments]],
    *,
    p_met: Decimal,
    channels: Mapping[Channel, Decimal],
) -> SubgroupProposal | SubgroupRefused:
    """Return a proposal, or the refusal with its vehicles.

    Args:
      adrg: The ADRG to refine, national and read-only.
      subgroups: At least two, at most one of them the rest.
      costs: The payer's closed year, grouped with the sub-groups in place of the ADRG.
      criteria: In force, in the currency of the costs.
      draws: Moments of the sub-groups by draw, in their order.
      p_met: Probability from which a criterion is met.
      channels: What these patients cost by channel.

    Raises:
      PurposeMixed: costs that are not the payer's own.
      PaymentError: another ADRG, a code for two sub-groups, another currency.
    """
    _check(adrg, subgroups, costs, criteria)
    if unseen := tuple(s.label for s in subgroups if s.field is None and not s.rest):
        return SubgroupRefused(
            adrg,
            unseen,
            f"no field of a settlement list identifies {', '.join(unseen)}: a grouper cannot see it",
        )
    weights = relative_weights(costs)
    groups = [costs.group(s.group) for s in subgroups]
    exactly = conditions([moments(g) for g in groups], criteria)
    probabilities = condition_probabilities(draws, criteria)
    estimates = weight_estimates(costs)
    by_channel = {channel: channels.get(channel, Decimal("0.00")) for channel in get_args(Channel)}
    for channel, amount in by_channel.items():
        money(amount, channel)
    outside = by_channel["outpatient"] + by_channel["dual_channel"]
    notes = []
    if outside > by_channel["inpatient"]:
        notes.append("most of these patients' cost lies outside the ward: an outpatient bundle fits better")
    return SubgroupProposal(
        adrg=adrg,
        grouping_version=costs.grouping_version,
        subgroups=tuple(subgroups),
        weights=weights,
        estimates={s.group: estimates[s.group] for s in subgroups},
        cv={g.group: cv(moments(g)) for g in groups},
        riv=float(riv([moments(g) for g in groups])),
        exactly=exactly,
        probabilities=probabilities,
        passed=all(probabilities[name] >= p_met for name in exactly),
        channels=by_channel,
        notes=tuple(notes),
    )


def _check(adrg: str, subgroups: Sequence[Subgroup], costs: PayerHeld, criteria: SplitCriteria) -> None:
    if len(subgroups) < 2 or sum(s.rest for s in subgroups) > 1:
        raise PaymentError("two sub-groups or more, at most one of them the rest", where=adrg)
    if moved := [s.group for s in subgroups if not s.group.startswith(adrg)]:
        raise PaymentError(
            f"{moved[0]} is not of this ADRG", where=adrg, do="ADRGs are national and read-only: refine one"
        )
    held = {g.group for g in costs.groups}
    if any(g == adrg or (g.startswith(adrg) and g not in {s.group for s in subgroups}) for g in held):
        raise PaymentError("the costs hold cases of this ADRG outside the sub-groups", where=adrg)
    if criteria.currency != costs.currency:
        raise PaymentError(
            f"criteria in {criteria.currency}, costs in {costs.currency}",
            where=adrg,
            do="convert neither: ask for both in one",
        )
    taken: dict[tuple[FieldKind, str], str] = {}
    for subgroup in subgroups:
        if subgroup.field is None:
            continue
        for code in subgroup.field.codes:
            key = (subgroup.field.kind, code)
            if key in taken:
                raise WindowsOverlap(
                    f"overlapping windows: {code} leads to {taken[key]} and to {subgroup.group}", where=adrg
                )
            taken[key] = subgroup.group
