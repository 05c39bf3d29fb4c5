"""The document in which a hospital says what it answers at all: ``policy.toml``.

What is in it is the hospital's alone. The site node enforces it (`fedvalue.client.governance.policy`); an
ethics board reads it beside the study (``fedvalue study dossier``). A key that an old policy did not have is
left out of its canonical form, so that what was approved under it stays approved.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, Self

import rfc8785
from pydantic import AfterValidator, Field, model_validator

from fedvalue.study.identity.confirmation import Fingerprint
from fedvalue.study.model import Code, Name, Part
from fedvalue.study.roster import SITE_ID
from fedvalue.study.schema import KINDS
from fedvalue.study.site_rules import (
    Budget,
    Caps,
    Limits,
    Opening,
    Person,
    PersonRole,
    partition_names,
    partitions_toml,
    rules_toml,
)
from fedvalue.study.toml import listed, quoted

SiteKind = Literal["hospital", "laboratory", "primary care", "payer"]


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of analysis; there are {list(KINDS)}")
    return kind


AnalysisKind = Annotated[str, AfterValidator(_known)]
"""A kind of analysis that a study may ask for."""

UnsafeKind = Literal["clear_sum", "no_noise", "seeded_noise"]

Consent = Literal["objection", "recorded"]
"""``objection``: everybody but who objected; ``recorded``: as the study's ethics line says, and on record."""


def _absent(value: object) -> bool:
    """Tell whether a key was not given: it is then left out of the canonical form, as before it existed."""
    return value is None or value is False or value in ((), {})


class Population(Part):
    """Patients who have a budget of their own, over all studies that may touch them.

    Attributes:
      name: Short name.
      codes: Diagnosis, drug or procedure codes that make them; a study touches them if its index or one of
        its required records names a code of these, or if it names none at all.
      epsilon: Of all studies that touch them together, at the budget's delta.
    """

    name: Name
    codes: tuple[Code, ...] = Field(strict=False, min_length=1)
    epsilon: float = Field(gt=0, le=10_000)


class SitePolicy(Part):
    """What a site allows.

    Attributes:
      site: Site id.
      entity: Legal entity.
      operator: Who runs the machines.
      budget: Privacy for life.
      analyses: Kinds of analysis that are answered.
      profiles: Governance profiles that are accepted; ``none`` is for simulations.
      unsafe: What lowers protection and is allowed all the same, at a simulated site: ``clear_sum`` (the
        coordinator sees this site's noised share), ``no_noise``, ``seeded_noise``.
      simulation: True for a site that was made for a simulation: its approvals say so, and only it may answer
        in clear, without noise or with noise that can be repeated.
      study_signers: Public keys of people whose studies are looked at; empty accepts any signed study.
      answer_every: Answers that touch rows leave on multiples of so many seconds after their question, so
        that their time tells little of the rows; left out, 1 second, and 0 at a simulated site.
      confirmed: Fingerprints that this site's people have compared over a channel of their own, by legal
        entity; ``all`` confirms whoever is on the roster, at a simulated site only.
      release_site_values: True where studies may publish noisy values of this site alone (``by_site``, and
        ``cox`` with a baseline for each hospital); left out, only at a simulated site.
      architectures: Model architectures that may be trained; left out, all that an allowed analysis brings.
      partitions: Budget of a partition that is not open yet, by its year; others have `budget`.
      populations: Groups of patients with a budget of their own.
      limits: What one study may ask at most.
      caps: What answering may use of this machine.
      opening: When the site answers; empty: always.
      people: Who signs what, beside the officer, and by which key.
      four_eyes: True where an approval needs a second person's signature.
      approval_days: Days after which an approval ends by itself; left out: with the study.
      consent: Whose rows may be counted; left out: as ``objection``.
      kind: What the site is. Only a payer states exact figures of its own books.
    """

    site: str = Field(pattern=SITE_ID)
    entity: str = Field(min_length=1)
    operator: str = Field(min_length=1)
    budget: Budget
    analyses: tuple[AnalysisKind, ...] = Field(default=KINDS, strict=False)
    profiles: tuple[Literal["none", "cn", "eu", "us"], ...] = Field(default=("cn", "eu", "us"), strict=False)
    unsafe: tuple[UnsafeKind, ...] = Field(default=(), strict=False)
    study_signers: tuple[str, ...] = Field(default=(), strict=False)
    simulation: bool = False
    answer_every: float | None = Field(default=None, ge=0, le=3600)
    confirmed: dict[str, Fingerprint] | Literal["all"] = Field(default_factory=dict)
    release_site_values: bool | None = Field(default=None, exclude_if=lambda value: value is None)
    architectures: tuple[Name, ...] | None = Field(
        default=None, strict=False, exclude_if=lambda value: value is None
    )
    partitions: dict[str, Budget] = Field(default={}, exclude_if=_absent)
    populations: tuple[Population, ...] = Field(default=(), strict=False, exclude_if=_absent)
    limits: Limits = Field(default=Limits(), exclude_if=lambda value: value == Limits())
    caps: Caps = Field(default=Caps(), exclude_if=lambda value: value == Caps())
    opening: tuple[Opening, ...] = Field(default=(), strict=False, exclude_if=_absent)
    people: tuple[Person, ...] = Field(default=(), strict=False, exclude_if=_absent)
    four_eyes: bool = Field(default=False, exclude_if=_absent)
    approval_days: int | None = Field(default=None, ge=1, le=3660, exclude_if=_absent)
    consent: Consent | None = Field(default=None, exclude_if=_absent)
    kind: SiteKind = Field(default="hospital", exclude_if=lambda value: value == "hospital")

    @model_validator(mode="after")
    def _compared(self) -> Self:
        if self.confirmed == "all" and not self.simulation:
            raise ValueError("confirmed: 'all' is for simulated sites; a real one names what it compared")
        return self

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        partition_names(self.partitions)
        names = [each.name for each in self.populations]
        if len(set(names)) != len(names):
            raise ValueError("populations: a name stands there twice")
        return self

    @model_validator(mode="after")
    def _kept_apart(self) -> Self:
        """One key, one office: nobody runs the machine, writes its rules and looks after the log."""
        keys = [person.key for person in self.people]
        if len(set(keys)) != len(keys):
            raise ValueError("people: one key has two offices; system, security and audit are kept apart")
        if self.four_eyes and not self.with_role("second"):
            raise ValueError("four_eyes needs somebody in people with role = 'second'")
        return self

    @property
    def period(self) -> float:
        """Seconds between two moments at which an answer may leave."""
        if self.answer_every is not None:
            return self.answer_every
        return 0.0 if self.simulation else 1.0

    def with_role(self, role: PersonRole) -> tuple[Person, ...]:
        """Return the people who hold an office."""
        return tuple(person for person in self.people if person.role == role)

    def digest(self) -> str:
        """Return the SHA-256 of the policy's canonical form, 64 hexadecimal digits."""
        return hashlib.sha256(rfc8785.dumps(self.model_dump(mode="json"))).hexdigest()

    def to_toml(self) -> str:
        """Return the policy as the file that is read again, with a comment on every line."""
        pace = "" if self.answer_every is None else f"answer_every = {self.answer_every!r}\n"
        everybody = 'confirmed = "all"\n' if self.confirmed == "all" else ""
        return (
            "# What this site answers at all. Approvals bind to this file: after a change, approve again.\n"
            f"site = {quoted(self.site)}\nentity = {quoted(self.entity)}          # legal entity\n"
            f"operator = {quoted(self.operator)}        # who runs the machines\n"
            f"analyses = {listed(self.analyses)}\n"
            f"profiles = {listed(self.profiles)}        # governance profiles accepted; "
            "'none' is for simulations\n"
            f"unsafe = {listed(self.unsafe)}            # what simulated sites may do: "
            "clear_sum, no_noise, seeded_noise\n"
            f"study_signers = {listed(self.study_signers)}     # empty: any signed study is looked at\n"
            f"simulation = {str(self.simulation).lower()}      "
            "# true: approvals say so, and pass for nothing else\n"
            f"{pace}{everybody}{self._alone()}{self._plain()}\n"
            "[budget]                # of all patients of this site, for life\n"
            f"epsilon = {self.budget.epsilon!r}\ndelta = {self.budget.delta!r}\n{self._sampled_line()}"
            f"{self._confirmed_table()}{partitions_toml(self.partitions)}{self._population_tables()}"
            f"{rules_toml(self.limits, self.caps, self.opening, self.people)}"
        )

    def _sampled_line(self) -> str:
        return (
            "admits_sampled = true    # trainings may draw patients by chance\n" * self.budget.admits_sampled
        )

    def _alone(self) -> str:
        if self.release_site_values is None:
            return "# release_site_values = true   # studies may publish noisy values of this site alone\n"
        return f"release_site_values = {str(self.release_site_values).lower()}\n"

    def _plain(self) -> str:
        """Return the lines of the newer keys that were given."""
        lines = []
        if self.architectures is not None:
            lines.append(f"architectures = {listed(self.architectures)}")
        if self.four_eyes:
            lines.append("four_eyes = true         # an approval needs a second person's signature")
        if self.approval_days is not None:
            lines.append(f"approval_days = {self.approval_days}         # an approval ends by itself")
        if self.consent is not None:
            lines.append(f"consent = {quoted(self.consent)}")
        if self.kind != "hospital":
            lines.append(f"kind = {quoted(self.kind)}")
        return "".join(f"{line}\n" for line in lines)

    def _confirmed_table(self) -> str:
        if self.confirmed == "all":
            return ""
        lines = [f"{quoted(entity)} = {quoted(digits)}" for entity, digits in sorted(self.confirmed.items())]
        head = "\n[confirmed]             # digits that you compared with each hospital itself"
        return "\n".join([head, *lines, ""])

    def _population_tables(self) -> str:
        return "".join(
            f"\n[[populations]]\nname = {quoted(each.name)}\ncodes = {listed(each.codes)}\n"
            f"epsilon = {each.epsilon!r}      # of all studies that touch them\n"
            for each in self.populations
        )
