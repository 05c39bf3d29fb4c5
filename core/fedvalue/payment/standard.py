"""A dated payment standard: what is paid, how evidence may move it, and who bears each flow of money.

What the YAML file at ``standards/<name>.yaml`` holds; `standard_file` reads it. Rule parameters, terms and
what is paid are all dated, and each value has a source.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from fedvalue.errors import PaymentError
from fedvalue.evidence.fields import Digest
from fedvalue.payment.decision import InForce, RuleName
from fedvalue.payment.mechanism_terms import MECHANISMS, find, missing
from fedvalue.payment.parameters import Amount, Parameter, Source, Value, check_range, is_money
from fedvalue.payment.rule_parameters import COMMON, SHARE_OF_PATIENTS, of_unit, problem
from fedvalue.payment.standard_parts import CriterionOf, Quantity
from fedvalue.study.mechanisms import MechanismName
from fedvalue.study.model import Line, Name, Part
from fedvalue.study.schema import Text
from fedvalue.study.signature import Signature

StandardName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)+$")]

RULE_UNITS = {**COMMON, **SHARE_OF_PATIENTS}
"""Rule parameters of ``outcome_linked_cohort`` under D1 and D2, and their units; all required."""

RATIOS = ("share", "relative weight", "coefficient", "probability")
"""Units that a flow may multiply an amount of money by."""


class Scope(Part):
    """For whom the standard is.

    Attributes:
      regions: Where it holds.
      hospital_levels: At which hospitals.
      phase: ``pilot`` or ``roll_out``.
      comparison: What it is compared with.
    """

    regions: tuple[str, ...] = Field(strict=False, min_length=1)
    hospital_levels: tuple[str, ...] = Field(strict=False, min_length=1)
    phase: Literal["pilot", "roll_out"]
    comparison: str = Field(min_length=1)


class Metric(Part):
    """What is measured, in the words of a study's endpoint.

    Attributes:
      text: For people.
      statistic: Share of patients with the outcome.
      direction: On which side of the threshold the standard is met.
      methods: Who may have assessed the outcome.
      missing: How a missing outcome counts.
    """

    text: Text
    statistic: Literal["proportion"]
    direction: Literal["at_least", "at_most"]
    methods: tuple[Literal["recist", "clinician", "report_text"], ...] = Field(strict=False, min_length=1)
    missing: Literal["non_response", "exclude"]


class Consequence(Part):
    """What an answer leads to.

    Attributes:
      action: A word for programs.
      text: For people.
      values: Payment value to the term that it is set to; empty where everything is kept.
    """

    action: Name
    text: Text
    values: dict[Name, Name] = {}


class Consequences(Part):
    """What each of the three answers leads to; insufficient evidence always keeps the current standard."""

    met: Consequence
    not_met: Consequence
    insufficient_evidence: Consequence

    @model_validator(mode="after")
    def _kept_without_evidence(self) -> Self:
        if self.insufficient_evidence.values:
            raise ValueError("insufficient_evidence.values: insufficient evidence changes no value")
        return self


class Flow(Part):
    """One flow of money, per patient and at most.

    Attributes:
      name: A word for programs.
      bearer: Who pays. Never the hospital by default.
      payee: Who receives.
      factors: Payment values and terms whose product is the amount; exactly one of them is money per
        patient, case, member or whatever is paid for, the others are ratios.
    """

    name: Name
    bearer: str = Field(min_length=1)
    payee: str = Field(min_length=1)
    factors: tuple[Name, ...] = Field(strict=False, min_length=1)


class Approved(Part):
    """Values that people approved on evidence; appended, never edited.

    Attributes:
      proposal_id: The proposal.
      decision_id: The decision behind it.
      decision_digest: SHA-256 of the decision with its signatures.
      evidence_id: The evidence behind that.
      simulation: True where the evidence was simulated; such values bind nobody.
      approved_on: Day of the approval.
      starts: First day in force.
      values: Payment value to amount.
      previous: SHA-256 of the file before this approval was appended.
      signature: The approver's, with role ``approver``, over all of this and the standard's name.
    """

    proposal_id: str
    decision_id: str
    decision_digest: Digest
    evidence_id: str
    simulation: bool
    approved_on: date
    starts: date
    values: dict[Name, Amount] = Field(min_length=1)
    previous: Digest
    signature: Signature

    def content(self, standard: str) -> dict[str, Any]:
        """Return what the approver signed."""
        return {
            "statement": "standard",
            "standard": standard,
            **self.model_dump(mode="json", exclude={"signature"}),
        }


class Standard(Part):
    """A validated payment standard.

    Attributes:
      format: Version of this layout.
      name: Path below ``standards/``, without ending.
      title: For people.
      status: ``official``, ``example``, or ``unverified`` (taken from a source that nobody checked).
      jurisdiction: Whose law it is.
      scope: For whom.
      unit: A cohort's share decides; a patient is never paid by an estimate.
      purpose: ``set``. Settling reads an institution's own exact figures and no estimate.
      mechanism: How evidence is read, and what a contract of this kind must say; `mechanism_terms`.
      metric: What is measured, for ``outcome_linked_cohort``.
      quantities: What is measured, for every other mechanism.
      criteria: What must hold, all together, for every other mechanism.
      contract: Terms that are words: who bears what, what holds in a gap.
      decision_rule: How the answer is found.
      reversible: D3: whether adopting can be undone.
      looks: D5: first days of the registered looks.
      capped: Payment values under the change cap.
      followed: Payment values that follow the evidence by its credibility.
      needs: Roles that must sign a proposal before it can be approved.
      rule: Dated parameters of the rule, see `rule_parameters`.
      payment: Dated values that are paid; decisions propose new ones.
      terms: Dated amounts that an answer sets payment values to, and fixed amounts.
      consequences: What each answer leads to.
      flows: Who bears what.
      approved: Values approved on evidence, oldest first.
    """

    format: Literal["fedvalue.standard/1"]
    name: StandardName
    title: Text
    status: Literal["official", "example", "unverified"]
    jurisdiction: str = Field(min_length=2)
    scope: Scope
    unit: Literal["cohort", "patient"]
    purpose: Literal["set"]
    mechanism: MechanismName
    metric: Metric | None = None
    quantities: dict[Name, Quantity] = {}
    criteria: tuple[CriterionOf, ...] = Field(default=(), strict=False)
    contract: dict[Name, Line] = {}
    decision_rule: RuleName
    reversible: bool | None = None
    looks: tuple[date, ...] = Field(default=(), strict=False)
    capped: tuple[Name, ...] = Field(default=(), strict=False)
    followed: tuple[Name, ...] = Field(default=(), strict=False)
    needs: tuple[Name, ...] = Field(default=(), strict=False)
    rule: dict[Name, Parameter]
    payment: dict[Name, Parameter] = Field(min_length=1)
    terms: dict[Name, Parameter] = {}
    consequences: Consequences
    flows: tuple[Flow, ...] = Field(strict=False, min_length=1)
    approved: tuple[Approved, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        bars = {name for c in self.criteria for name in (c.threshold, c.reference) if name}
        bars |= {quantity.day for quantity in self.quantities.values() if quantity.day}
        if wrong := problem(self.rule, mechanism=self.mechanism, name=self.decision_rule, bars=bars):
            raise ValueError(wrong)
        if unknown := sorted(bars - self.rule.keys() - self.terms.keys() - self.payment.keys()):
            raise ValueError(f"criteria: {unknown[0]} is no parameter of this file")
        if both := sorted(self.payment.keys() & self.terms.keys()):
            raise ValueError(f"{both[0]} stands under payment and under terms")
        amounts = self.amounts
        for answer in (self.consequences.met, self.consequences.not_met):
            for target, term in answer.values.items():
                if target not in self.payment or self.unit_of(term) is None:
                    raise ValueError(f"consequences: {target}: {term} names no payment value or no term")
                if not of_unit(self.payment[target].unit, self.unit_of(term) or ""):
                    raise ValueError(f"consequences: {target} and {term} have different units")
        for flow in self.flows:
            units = [amounts[name].unit if name in amounts else "" for name in flow.factors]
            money = [unit for unit in units if is_money(unit) and " per " in unit]
            if len(money) != 1 or sum(unit in RATIOS for unit in units) != len(units) - 1:
                raise ValueError(
                    f"flows: {flow.name} is a product of shares and one amount of money per patient"
                )
        if stray := [name for name in (*self.capped, *self.followed) if name not in self.payment]:
            raise ValueError(f"capped, followed: {stray[0]} is no payment value")
        return self

    @model_validator(mode="after")
    def _of_its_mechanism(self) -> Self:
        requires = MECHANISMS[self.mechanism]
        if self.unit != requires.unit:
            raise ValueError(f"unit: {self.mechanism} is of the unit {requires.unit}")
        old = self.mechanism == "outcome_linked_cohort"
        if old != (self.metric is not None) or old == bool(self.quantities) or old == bool(self.criteria):
            raise ValueError(
                "outcome_linked_cohort takes a metric; every other mechanism quantities and criteria"
            )
        for name, quantity in self.quantities.items():
            pattern = find(name, requires.quantities)
            if pattern is None:
                raise ValueError(
                    f"quantities: {self.mechanism} reads {sorted(requires.quantities)}, no {name}"
                )
            if quantity.statistic not in requires.quantities[pattern]:
                raise ValueError(f"quantities.{name}.statistic is one of {requires.quantities[pattern]}")
        for name, parameter in self.amounts.items():
            pattern = find(name, requires.amounts)
            if pattern is not None and not of_unit(parameter.unit, requires.amounts[pattern]):
                raise ValueError(f"{name}.unit is {requires.amounts[pattern]!r}")
        for word, said in self.contract.items():
            known = find(word, requires.words)
            if known is None:
                raise ValueError(f"contract: {self.mechanism} has no word {word}")
            if requires.words[known] and said not in requires.words[known]:
                raise ValueError(f"contract.{word} is one of {requires.words[known]}, not {said!r}")
        absent = [
            *missing(self.quantities, requires.quantities), *missing(self.amounts, requires.amounts),
            *missing(self.contract, requires.words),
        ]  # fmt: skip
        if "gap" in absent:
            raise PydanticCustomError("gap_policy_missing", "contract: missing gap policy")
        if absent:
            raise ValueError(f"missing {absent[0].replace('_', ' ')}: {self.mechanism} says it")
        for criterion in self.criteria:
            if criterion.of not in self.quantities and criterion.of not in requires.derived:
                raise ValueError(
                    f"criteria: {criterion.of} is neither a quantity nor derived by {self.mechanism}"
                )
        return self

    @model_validator(mode="after")
    def _of_its_rule(self) -> Self:
        if ("switching_cost" in self.rule) != (self.reversible is not None):
            raise ValueError("reversible: D3 says whether adopting can be undone, and only D3")
        if (self.decision_rule == "D5") != bool(self.looks):
            raise ValueError("looks: D5 registers the days of its looks, and only D5")
        if any(later <= earlier for earlier, later in pairwise(self.looks)):
            raise PydanticCustomError("windows_overlap", "looks: the days stand in order, each once")
        if self.decision_rule in ("D3", "D4", "D5") and len(self.criteria) > 1:
            raise ValueError(f"criteria: {self.decision_rule} weighs one criterion; joint ones take D1 or D2")
        if bool(self.capped) != ("change_cap" in self.rule):
            raise ValueError("capped: a change cap names the values it caps, and needs its parameter")
        if bool(self.followed) != ("prior_sd" in self.rule):
            raise ValueError(
                "followed: credibility names the values that follow the evidence, and needs prior_sd"
            )
        return self

    @model_validator(mode="after")
    def _approvals_extend_history(self) -> Self:
        last = {name: parameter.values[-1].starts for name, parameter in self.payment.items()}
        for approval in self.approved:
            for name, amount in approval.values.items():
                if name not in self.payment:
                    raise ValueError(f"approved: {name} is no payment value")
                if approval.starts <= last[name] or approval.starts < approval.approved_on:
                    raise ValueError(f"approved: {approval.proposal_id} would change the past of {name}")
                check_range(amount, self.payment[name].unit)
                last[name] = approval.starts
        return self

    @property
    def amounts(self) -> Mapping[str, Parameter]:
        """Payment values and terms, without what was approved since."""
        return self.payment | self.terms

    @property
    def reads_statement(self) -> bool:
        """Tell whether a decision needs the payer's own figures beside the evidence."""
        requires = MECHANISMS[self.mechanism]
        held = any(quantity.statistic == "held" for quantity in self.quantities.values())
        return held or requires.closed_year or requires.verdicts

    def unit_of(self, name: str) -> str | None:
        """Return the unit of a payment value, a term, or an amount that the mechanism computes."""
        if name in self.amounts:
            return self.amounts[name].unit
        computed = MECHANISMS[self.mechanism].computed
        pattern = find(name, computed)
        return None if pattern is None else computed[pattern]

    def history(self, name: str) -> Parameter:
        """Return a payment value, term or rule parameter with everything approved since.

        Raises:
          PaymentError: the standard has no such parameter.
        """
        for group in (self.rule, self.terms, self.payment):
            if name in group:
                break
        else:
            raise PaymentError(f"the standard has no parameter {name!r}", where=self.name)
        base = group[name]
        added = tuple(
            Value(starts=a.starts, amount=a.values[name], source=_source(a))
            for a in self.approved
            if name in a.values
        )
        return Parameter(unit=base.unit, values=(*base.values, *added))

    def amount(self, name: str, day: date) -> Decimal:
        """Return a parameter's amount in force on ``day``.

        Raises:
          ParameterNotInForce: it has none on that day.
          PaymentError: the standard has no such parameter.
        """
        return self.history(name).amount_on(day, f"{self.name}: {name}")

    def in_force(self, day: date) -> dict[str, InForce]:
        """Return every payment value on ``day``, with unit, first day and source.

        Raises:
          ParameterNotInForce: one of them has no value on that day.
        """
        found = {}
        for name in self.payment:
            parameter = self.history(name)
            value, amount = parameter.on(day, f"{self.name}: {name}"), self.amount(name, day)
            found[name] = InForce(
                amount=amount, unit=parameter.unit, starts=value.starts, source=value.source.title
            )
        return found


def _source(approval: Approved) -> Source:
    return Source(
        title=f"approved on evidence {approval.evidence_id}"
        + (" (simulation)" if approval.simulation else ""),
        place=f"decision {approval.decision_id}",
        published=approval.approved_on,
        status="unverified" if approval.simulation else "checked",
        evidence_id=approval.evidence_id,
    )
