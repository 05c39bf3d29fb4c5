"""The study file: one TOML file is the whole agreement between sites, researchers and payer."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from fedvalue.study.cohort import Cohort, Variable
from fedvalue.study.diagnostics import Diagnostics, absent
from fedvalue.study.endpoints import Endpoint, TimeToEvent
from fedvalue.study.governance import Governance
from fedvalue.study.model import Line, Name, Part, StudyId
from fedvalue.study.payments import Payment, Use
from fedvalue.study.questions.described import Described
from fedvalue.study.questions.effects import Effects
from fedvalue.study.questions.kaplan_meier import KaplanMeier
from fedvalue.study.questions.modelled import Modelled
from fedvalue.study.questions.proportion import Proportion
from fedvalue.study.questions.question import Measured
from fedvalue.study.questions.training import Training


class Text(Part):
    """The same sentence in English and Chinese; either may be missing, not both."""

    en: Line | None = None
    zh: Line | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.en or self.zh):
            raise ValueError("give at least one of en, zh")
        return self

    def read(self, language: str) -> str:
        """Return the sentence in ``language`` (``en`` or ``zh``), or in the other one."""
        return (self.zh or self.en or "") if language == "zh" else (self.en or self.zh or "")


class Validity(Part):
    """First and last day on which a site may answer this study, both included."""

    start: date = Field(alias="from")
    until: date

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.until < self.start:
            raise ValueError("valid.until is before valid.from")
        return self


class Charter(Part):
    """What is asked, by whom, and when.

    Attributes:
      amends: Hash of the study that this one takes the place of; a site counts what that one spent as this
        one's.
    """

    id: StudyId
    title: Text
    question: Text
    principal_investigator: Line = Field(min_length=1)
    valid: Validity
    amends: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", exclude_if=lambda value: value is None
    )


class SitesPerPatient(Part):
    """How many sites one person may have records at; multiplies every bound."""

    value: int = Field(ge=1, le=100)
    basis: Literal["assumed", "linked", "declared disjoint"]

    @model_validator(mode="after")
    def _one_needs_a_reason(self) -> Self:
        if self.value == 1 and self.basis == "assumed":
            raise ValueError("value = 1 needs basis = 'linked' or 'declared disjoint'")
        return self


class Privacy(Part):
    """The privacy promise of the whole study.

    Attributes:
      unit: Who is protected: adding or removing one patient.
      epsilon: For all analyses and rounds together, above 0 and at most 20.
      delta: At most ``1 / (10 x patient_cap)``.
      patient_cap: Public bound on the patients of all sites together.
      max_sites_per_patient: At how many sites one person may appear.
      spare_attempts: Failed releases that may be asked again, each at its full price.
    """

    unit: Literal["patient"]
    epsilon: float = Field(gt=0, le=20)
    delta: float = Field(gt=0, lt=1)
    patient_cap: int = Field(ge=1, le=1_000_000_000)
    max_sites_per_patient: SitesPerPatient = SitesPerPatient(value=3, basis="assumed")
    spare_attempts: int = Field(default=0, ge=0, le=10)

    @model_validator(mode="after")
    def _delta_small(self) -> Self:
        if Fraction(self.delta) * 10 * self.patient_cap > 1 + Fraction(1, 10**9):
            raise ValueError(
                f"delta must be at most 1/(10 x patient_cap) = {1 / (10 * self.patient_cap):.3g}: "
                "a larger delta would allow the release of whole records"
            )
        return self


class Federation(Part):
    """How many sites, how many may collude or fail, and the smallest number that is reported.

    Attributes:
      min_sites: Smallest roster this study runs on, at least 3.
      colluding_sites: c, legal entities that may work with a malicious coordinator; left out:
        ``max(1, floor(n / 5))``.
      tolerated_dropouts: f, sites that may vanish; left out: ``max(1, floor(n / 10))``, 0 at n = 3.
      min_released_patients: Smallest released (noisy) count for which a stratum is reported.
    """

    min_sites: int = Field(ge=3, le=200)
    colluding_sites: int | None = Field(default=None, ge=1)
    tolerated_dropouts: int | None = Field(default=None, ge=0)
    min_released_patients: int = Field(default=50, ge=1)


Analysis = Annotated[
    Described | Modelled | Effects | Proportion | KaplanMeier | Training, Field(discriminator="kind")
]
"""One question; a new kind is a page in ``questions`` and stands here."""

KINDS: tuple[str, ...] = tuple(
    get_args(question.model_fields["kind"].annotation)[0] for question in get_args(get_args(Analysis)[0])
)
"""Every kind of analysis that a study can ask for."""


class Study(Part):
    """A validated study; what its canonical hash covers, defaults filled in."""

    study: Charter
    privacy: Privacy
    federation: Federation
    governance: Governance
    cohort: Cohort
    variables: dict[Name, Variable] = {}
    endpoints: dict[Name, Endpoint] = Field(min_length=1)
    analyses: tuple[Analysis, ...] = Field(strict=False, min_length=1, max_length=40)
    diagnostics: Diagnostics = Field(default=Diagnostics(), exclude_if=absent)
    payments: tuple[Payment, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _names_resolve(self) -> Self:
        for position, question in enumerate(self.analyses):
            try:
                question.require_fits(self.measured)
                question.require_cohort(self.cohort)
            except ValueError as error:
                raise ValueError(f"analyses[{position}].{error}") from error
        return self

    @model_validator(mode="after")
    def _therapy_begins(self) -> Self:
        for name, endpoint in self.endpoints.items():
            therapy = endpoint.therapy if isinstance(endpoint, TimeToEvent) else None
            if therapy is not None and self.cohort.index.first not in ("drug", "line"):
                raise ValueError(
                    f"endpoints.{name}.therapy: a line of therapy has to begin on the index day: "
                    "index = { first = 'drug' } or { first = 'line' }"
                )
        return self

    @model_validator(mode="after")
    def _budget_adds_up(self) -> Self:
        total = sum(Fraction(str(analysis.budget)) for analysis in self.analyses)
        if total > 1:
            raise ValueError(
                f"the budgets of the analyses add to {float(total):g}; they may add to 1 at most"
            )
        return self

    @model_validator(mode="after")
    def _diagnostics_fit(self) -> Self:
        if self.diagnostics.balance is not None:
            try:
                self.measured.levels(self.diagnostics.balance, "balance")
            except ValueError as error:
                raise ValueError(f"diagnostics.{error}") from error
        return self

    @model_validator(mode="after")
    def _payments_resolve(self) -> Self:
        for position, payment in enumerate(self.payments):
            where = f"payments[{position}].uses"
            for use in payment.used.values():
                self._use_resolves(payment, use, where)
        return self

    @staticmethod
    def _groups_fit(by: set[str], named: set[str], *, exactly: bool) -> bool:
        """Tell whether a group can be found; a standard may name a group that the analysis makes itself."""
        return by == named if exactly else named <= by

    def _use_resolves(self, payment: Payment, use: Use, where: str) -> None:
        proportions = payment.mechanism == "outcome_linked_cohort"
        for name, level in use.levels.items():
            variable = self.variables.get(name)
            if variable is not None and variable.levels and level not in variable.levels:
                raise ValueError(f"{where}: {name} has no level {level!r}; it has {list(variable.levels)}")
        if not any(
            (isinstance(question, Proportion) or not proportions)
            and use.endpoint in question.model_dump().values()
            and self._groups_fit(set(getattr(question, "by", ())), set(use.levels), exactly=proportions)
            for question in self.analyses
        ):
            asked = "a proportion" if proportions else "an analysis"
            raise ValueError(
                f"{where} = {use.text!r} needs {asked} of {use.endpoint!r} by {sorted(use.levels)}"
            )

    @property
    def measured(self) -> Measured:
        """What is measured on each patient."""
        return Measured(self.variables, self.endpoints)
