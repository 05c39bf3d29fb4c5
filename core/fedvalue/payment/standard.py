"""A dated payment standard: what is paid, how evidence may move it, and who bears each flow of money.

What the YAML file at ``standards/<name>.yaml`` holds; `standard_file` reads it. Rule parameters, terms and
what is paid are all dated, and each value has a source.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from fedvalue.errors import PaymentError
from fedvalue.evidence.package import Digest
from fedvalue.payment.decision import InForce, RuleName
from fedvalue.payment.parameters import Amount, Parameter, Source, Value, check_range, is_money
from fedvalue.study.model import Name, Part
from fedvalue.study.schema import Text
from fedvalue.study.signature import Signature

StandardName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)+$")]

RULE_UNITS = {
    "threshold": "probability",
    "reference": "probability",
    "p_met": "probability",
    "p_not": "probability",
    "prior_success": "patients",
    "prior_failure": "patients",
    "minimum_patients": "patients",
    "window": "days",
    "review_after": "days",
    "sunset_after": "days",
    "effective_after": "days",
    "appeal_within": "days",
}
"""Rule parameters of the mechanism ``outcome_linked_cohort`` and their units; every one is required."""


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
      factors: Payment values and terms whose product is the amount; exactly one of them is money.
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
      mechanism: How evidence is read.
      metric: What is measured.
      decision_rule: How the answer is found.
      rule: Dated parameters of the rule, see `RULE_UNITS`.
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
    unit: Literal["cohort"]
    purpose: Literal["set"]
    mechanism: Literal["outcome_linked_cohort"]
    metric: Metric
    decision_rule: RuleName
    rule: dict[Name, Parameter]
    payment: dict[Name, Parameter] = Field(min_length=1)
    terms: dict[Name, Parameter] = {}
    consequences: Consequences
    flows: tuple[Flow, ...] = Field(strict=False, min_length=1)
    approved: tuple[Approved, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.rule.keys() != RULE_UNITS.keys():
            raise ValueError(f"rule: {self.mechanism} takes exactly {sorted(RULE_UNITS)}")
        for name, unit in RULE_UNITS.items():
            if self.rule[name].unit != unit:
                raise ValueError(f"rule.{name}.unit is {unit!r}")
        if both := sorted(self.payment.keys() & self.terms.keys()):
            raise ValueError(f"{both[0]} stands under payment and under terms")
        amounts = self.payment | self.terms
        for answer in (self.consequences.met, self.consequences.not_met):
            for target, term in answer.values.items():
                if target not in self.payment or term not in amounts:
                    raise ValueError(f"consequences: {target}: {term} names no payment value or no term")
                if self.payment[target].unit != amounts[term].unit:
                    raise ValueError(f"consequences: {target} and {term} have different units")
        for flow in self.flows:
            units = [amounts[name].unit if name in amounts else "" for name in flow.factors]
            money = [unit for unit in units if is_money(unit) and unit.endswith(" per patient")]
            if len(money) != 1 or units.count("share") != len(units) - 1:
                raise ValueError(
                    f"flows: {flow.name} is a product of shares and one amount of money per patient"
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
