"""What a decision finds beyond one share: several criteria, derived quantities, money that is expected.

Fields that came after the first decisions were signed are left out of the JSON where they say nothing, so
an older decision keeps its identity.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from fedvalue.analyses.estimate import Value

Direction = Literal["at_least", "at_most"]


class Growing(Value):
    """A model that gained fields; those in ``LATER`` are not written where they hold their default."""

    LATER: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_silence(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        fields = type(self).model_fields
        for name in self.LATER & written.keys():
            if getattr(self, name) == fields[name].get_default(call_default_factory=True):
                del written[name]
        return written


class CriterionFinding(Value):
    """One criterion of a standard, and what is known of its quantity.

    Attributes:
      of: The quantity, such as ``net_benefit``.
      unit: Its unit.
      direction: On which side of the threshold the criterion is met.
      threshold: In the same unit.
      estimate: What is known of it.
      lower: Lower end of the 95 % interval, privacy noise included.
      upper: Upper end.
      probability: P(the criterion is met), privacy noise included.
      sampling_variance: V_s.
      privacy_variance: V_dp; 0 for figures that the payer holds exactly.
      privacy_share: V_dp / (V_s + V_dp), 0 without variance.
      guard_band: g = z sqrt(V_s + V_dp).
      patients_banded: Released patients behind it as reports show them; None for a derived quantity.
      reference: Expected anyway; None where none is declared.
      met_at_reference: Probability that the rule answers *met* there.
    """

    of: str
    unit: str
    direction: Direction
    threshold: Decimal
    estimate: float
    lower: float
    upper: float
    probability: float = Field(ge=0, le=1)
    sampling_variance: float = Field(ge=0)
    privacy_variance: float = Field(ge=0)
    privacy_share: float = Field(ge=0, le=1)
    guard_band: float = Field(ge=0)
    patients_banded: str | None = None
    reference: Decimal | None = None
    met_at_reference: float | None = None


class Result(Value):
    """A number that a mechanism computed on the way: a weight, a coefficient, an ICER, an expected cost.

    Attributes:
      name: Such as ``weight of ER1A`` or ``INB at 268,074``.
      unit: Its unit.
      value: The number; None where ``text`` says why there is none.
      lower: Lower end of the 95 % interval; None for an exact number.
      upper: Upper end.
      sampling_variance: V_s.
      privacy_variance: V_dp.
      text: The number in words, where words say more, such as an ICER with its quadrant.
    """

    name: str
    unit: str
    value: float | None
    lower: float | None = None
    upper: float | None = None
    sampling_variance: float = Field(default=0.0, ge=0)
    privacy_variance: float = Field(default=0.0, ge=0)
    text: str | None = None


class ExpectedMoney(Value):
    """Money that is expected per patient under the standard in force and as proposed; estimates, never owed.

    Attributes:
      name: Of the flow.
      bearer: Who pays.
      payee: Who receives.
      currency: ISO 4217 code.
      before: Under the standard in force.
      after: As proposed; the same where the standard is kept.
      sampling_variance: V_s of ``after``, in money squared.
      privacy_variance: V_dp of ``after``.
    """

    name: str
    bearer: str
    payee: str
    currency: str
    before: float
    after: float
    sampling_variance: float = Field(ge=0)
    privacy_variance: float = Field(ge=0)


class Worth(Value):
    """D3: what each path is expected to be worth against keeping the standard.

    Attributes:
      path: The best one.
      worth: By path, in money over all patients.
      value_of_data: EVSI less the cost of data, in money.
    """

    path: Literal["keep", "adopt", "provisional", "only_in_research"]
    worth: dict[str, float]
    value_of_data: float


class LookRecord(Value):
    """D5: one look at new patients.

    Attributes:
      day: When.
      evidence_id: The evidence of that look.
      study_id: Its study.
      estimate: In the new patients.
      sampling_variance: V_s, evaluated at the threshold for a share.
      privacy_variance: V_dp.
    """

    day: date
    evidence_id: str
    study_id: str
    estimate: float
    sampling_variance: float = Field(gt=0)
    privacy_variance: float = Field(ge=0)


class Sequence(Value):
    """D5: where the looks stand.

    Attributes:
      looks: So far, oldest first; the last one is this decision's.
      z: Standardized distance from the threshold, positive towards *met*.
      bound: b_k.
      fraction: Information fraction.
      spent: Error used so far on each side.
      looks_left: Registered looks still to come.
    """

    looks: tuple[LookRecord, ...]
    z: float
    bound: float
    fraction: float
    spent: float
    looks_left: int


class HeldBack(Value):
    """What the brakes of a standard left of one change.

    Attributes:
      value: The payment value.
      before: In force.
      wanted: What the answer would set.
      after: What is proposed.
      because: ``interval``, ``hysteresis``, ``credibility``, ``cap``; empty where nothing held it back.
      needed: Probability that the change needed.
      weight: Z of the evidence, 1 without credibility.
    """

    value: str
    before: Decimal
    wanted: Decimal
    after: Decimal
    because: tuple[Literal["interval", "hysteresis", "credibility", "cap"], ...]
    needed: float
    weight: float


class Vehicle(Value):
    """What payers use where a grouper cannot see the case.

    Attributes:
      name: ``exclusion_payment``, ``adrg_coefficient``, ``outpatient_bundle``, ``case_review``.
      text: What it does.
    """

    name: str
    text: str


class Refused(Value):
    """Why a mechanism cannot be used as it is asked for, and what can.

    Attributes:
      reason: A sentence.
      unidentified: What no field identifies.
      vehicles: What payers use instead.
    """

    reason: str
    unidentified: tuple[str, ...]
    vehicles: tuple[Vehicle, ...]
