"""The evidence package: what a study found, and everything needed to follow it back to its releases.

One frozen JSON document. It holds the canonical study, so that a payment decision can be replayed from
the package alone, and never a figure of one patient or the vector of one site. Its identity is the
SHA-256 of its RFC 8785 form, so that a package cannot be exchanged under its own name.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, JsonValue, StringConstraints, model_validator

from fedvalue.analyses.estimate import Conclusion, Value
from fedvalue.evidence.fields import Digest, Label, Rational
from fedvalue.evidence.transcript import TranscriptRecord
from fedvalue.secure_sum.thresholds import Thresholds
from fedvalue.study.approval import Approval
from fedvalue.study.roster import Roster
from fedvalue.study.signature import Signature

FORMAT: Literal["fedvalue.evidence/1"] = "fedvalue.evidence/1"


class Federation(Value):
    """On how many sites the protection rests; the numbers come from the roster and the study.

    Attributes:
      n: Sites (legal entities) on the roster.
      t: Fewest sites whose sum may be opened, n - f.
      c: Sites that may collude with the coordinator.
      f: Sites that may vanish.
      m: Honest noise shares that the promise counts on, t - c.
    """

    n: int = Field(ge=1)
    t: int = Field(ge=1)
    c: int = Field(ge=0)
    f: int = Field(ge=0)
    m: int = Field(ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.t != self.n - self.f or self.m != self.t - self.c:
            raise ValueError("t = n - f and m = t - c")
        return self

    @classmethod
    def of(cls, thresholds: Thresholds) -> Federation:
        """Return the numbers of a plan's thresholds."""
        return cls(
            n=thresholds.sites, t=thresholds.answers, c=thresholds.colluding, f=thresholds.dropouts,
            m=thresholds.honest_shares,
        )  # fmt: skip


class SignedReply(Value):
    """That a site answered one release of a clear sum, without what it answered; simulations only.

    Attributes:
      site: The site.
      vector_digest: SHA-256 of a salt, which only site and coordinator know, and its vector's bytes.
      signature: By the site's key with role ``site``, over `statements.reply`.
    """

    site: Label
    vector_digest: Digest
    signature: Signature


class BlockRecord(Value):
    """One block of a release: what one patient could move, at which scale and price.

    Attributes:
      name: ``analysis label/ask label/block name``, as in the plan.
      dimension: Number of coordinates.
      bound_squared: c^2, one patient's squared L2 bound at one site, before scaling.
      gamma: Scale: a value v enters the ring as round(gamma v).
      rho_units: Planned price in units of 2^-40 zCDP.
      noise_variance: Variance of the noise in each released coordinate, in the quantity's own unit squared.
    """

    name: Label
    dimension: int = Field(ge=1)
    bound_squared: Rational
    gamma: Rational
    rho_units: int = Field(ge=0)
    noise_variance: float = Field(ge=0)


class SampledRecord(Value):
    """How patients were drawn for a release, and its price at each order of the ledgers.

    Attributes:
      rate: q, the public probability with which each patient entered a step.
      steps: 0 for one sum with the noise of all sites; else the steps that each site took by itself.
      charged_units: Price debited at each site, at each order, in 2^-40.
      promised_units: Price that m honest shares promise.
    """

    rate: Rational
    steps: int = Field(ge=0)
    charged_units: tuple[int, ...]
    promised_units: tuple[int, ...]


class ReleaseRecord(Value):
    """One sum that was opened.

    Attributes:
      label: Label of the release in the plan, such as ``release-1``.
      attempt: 1 for the first, more for a repetition at its full price.
      specification: SHA-256 of everything that fixes the release: `Plan.specification`, and what it was
        asked with (`fedvalue.secure_sum.specification.query_with`).
      public: The public numbers that it was asked with, base64 of little-endian float64; empty for none.
      answered: Sites whose shares are in the sum; of a private sum the survivors, in the order of ids.
      blocks: What was asked.
      charged_rho_units: Price debited at each site, in 2^-40 zCDP: of m honest shares for a private sum, of
        the site's own share alone (m = 1) for a clear one.
      promised_rho_units: Price that m honest shares promise, in 2^-40 zCDP.
      total_digest: SHA-256 of the released sum as little-endian 64-bit integers.
      total: The released sum itself, base64 of those bytes, so that conclusions can be drawn again; None
        where it is too long to carry.
      transcript: Of a private sum: who delivered what, and who signed it. None for a clear sum.
      replies: Of a clear sum (`Unsafe`): the sites' signatures, in the same order as ``answered``.
      sampled: How patients were drawn, and the price, which is no rho then; None where everybody entered.
    """

    label: Label
    attempt: int = Field(ge=1)
    specification: Digest
    public: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]*={0,2}$")] = ""
    answered: tuple[Label, ...] = Field(min_length=1)
    blocks: tuple[BlockRecord, ...] = Field(min_length=1)
    charged_rho_units: int = Field(ge=0)
    promised_rho_units: int = Field(ge=0)
    total_digest: Digest
    total: str | None = None
    transcript: TranscriptRecord | None = None
    replies: tuple[SignedReply, ...] = ()
    sampled: SampledRecord | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _answers_fit(self) -> Self:
        if len(set(self.answered)) != len(self.answered):
            raise ValueError("a site answers a release once")
        if (self.transcript is None) == (not self.replies):
            raise ValueError("a release has a transcript, or the replies of a clear sum")
        if self.transcript is None:
            if tuple(reply.site for reply in self.replies) != self.answered:
                raise ValueError("replies hold one signature for each site that answered, in the same order")
        elif (self.transcript.survivors, self.transcript.attempt) != (self.answered, self.attempt):
            raise ValueError("the transcript is of other survivors or of another attempt")
        return self


class SiteSpending(Value):
    """What this study took from one site's ledger.

    Attributes:
      site: The site.
      rho_units: Sum of the prices debited, in 2^-40 zCDP.
      releases: Number of debits.
    """

    site: Label
    rho_units: int = Field(ge=0)
    releases: int = Field(ge=0)


class PrivacyStatement(Value):
    """What the releases together cost a patient, against three kinds of adversary.

    An epsilon is None where there is no finite promise (without noise).

    Attributes:
      unit: Who is protected.
      delta: The delta of all three epsilons.
      rho_units: Sum of the promised prices, in 2^-40 zCDP.
      epsilon_promised: Against the coordinator and c colluding sites.
      epsilon_own_share: Against the coordinator and all other sites: the site's own noise alone.
      epsilon_no_collusion: Against the coordinator alone, t shares.
      sites_per_patient: k, at how many sites one person may appear.
      sites_per_patient_basis: On what ground.
      spent: Per site, in the roster's order.
    """

    unit: Literal["patient"] = "patient"
    delta: float = Field(gt=0, lt=1)
    rho_units: int = Field(ge=0)
    epsilon_promised: float | None = Field(ge=0)
    epsilon_own_share: float | None = Field(ge=0)
    epsilon_no_collusion: float | None = Field(ge=0)
    sites_per_patient: int = Field(ge=1)
    sites_per_patient_basis: str
    spent: tuple[SiteSpending, ...]


class BiasItem(Value):
    """What is known of one bias that noise does not show.

    Attributes:
      status: ``addressed`` by design or analysis, ``open`` (not excluded), ``not applicable``.
      text: Why, in a sentence.
    """

    status: Literal["addressed", "open", "not applicable"]
    text: str = Field(min_length=1)


class BiasChecklist(Value):
    """The biases that every decision shows.

    Attributes:
      confounding: Treated and comparison patients differ.
      immortal_time: Time before exposure is counted as exposed.
      informative_censoring: Follow-up ends for reasons tied to the outcome.
      test_access: A mutation is known only of those who were tested.
      site_selection: The hospitals that take part are not those the standard is for.
    """

    confounding: BiasItem
    immortal_time: BiasItem
    informative_censoring: BiasItem
    test_access: BiasItem
    site_selection: BiasItem


class Code(Value):
    """The programs that made the evidence.

    Attributes:
      version: Version of the distribution.
      digest: SHA-256 over the installed sources.
    """

    version: str
    digest: Digest


class EvidenceBody(Value):
    """Everything in a package but its identity and signatures; `seal` makes a package of it.

    Attributes:
      format: Version of this layout.
      simulation: True when keys, approvals and ledgers were made for the run.
      unsafe: What lowered the protection: ``clear_sum`` (the coordinator saw each site's share; simulations
        only), ``no_noise``, ...; empty for none.
      study_id: The study's id.
      study_hash: SHA-256 of the canonical study.
      study: The canonical study as JSON; its RFC 8785 form has that hash.
      study_signatures: Who signed the study, with role ``study``, over `statements.study_statement`.
      roster: The sites and the keys by which they are known.
      roster_hash: SHA-256 of the roster, as officers approved it.
      federation: Thresholds.
      approvals: Of the sites' officers.
      releases: Every sum, in the order it was opened.
      privacy: What they cost.
      conclusions: What they say.
      heterogeneity: Differences between sites; sites are not told apart in this version.
      bias: What noise does not show.
      code: What made it.
      data_vocabulary_version: Version of the codes in which the sites hold their records.
      created: When, with its time zone.
      valid_from: First day on which a decision may rest on it.
      valid_to: Last such day.
      supersedes: Evidence id of the package that this one replaces.
    """

    format: Literal["fedvalue.evidence/1"] = FORMAT
    simulation: bool
    unsafe: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{2,40}$")], ...] = ()
    study_id: str
    study_hash: Digest
    study: dict[str, JsonValue]
    study_signatures: tuple[Signature, ...] = ()
    roster: Roster
    roster_hash: Digest
    federation: Federation
    approvals: tuple[Approval, ...]
    releases: tuple[ReleaseRecord, ...]
    privacy: PrivacyStatement
    conclusions: tuple[Conclusion, ...]
    heterogeneity: Literal["not computed"] = "not computed"
    bias: BiasChecklist
    code: Code
    data_vocabulary_version: str
    created: AwareDatetime
    valid_from: date
    valid_to: date
    supersedes: str | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.federation.n != len(self.roster.site):
            raise ValueError("n is the number of sites on the roster")
        if self.valid_to < self.valid_from:
            raise ValueError("valid_to is before valid_from")
        return self


class EvidencePackage(EvidenceBody):
    """A sealed package.

    Attributes:
      evidence_id: ``ev-`` and the first 32 hexadecimal digits of the SHA-256 of the body.
      signatures: At least the coordinator's, over the package without its signatures.
    """

    evidence_id: Annotated[str, StringConstraints(pattern=r"^ev-[0-9a-f]{32}$")]
    signatures: tuple[Signature, ...] = Field(min_length=1)
