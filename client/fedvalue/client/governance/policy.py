"""A site's own policy: what it answers at all, and for how much privacy in total."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal, Self

import rfc8785
from pydantic import AfterValidator, Field, model_validator

from fedvalue.errors import PolicyForbids, StudyInvalid
from fedvalue.planning.plan import Plan
from fedvalue.study.identity.confirmation import Fingerprint
from fedvalue.study.model import Part
from fedvalue.study.roster import SITE_ID
from fedvalue.study.schema import KINDS, Study
from fedvalue.study.toml import listed, load_toml, quoted


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of analysis; there are {list(KINDS)}")
    return kind


AnalysisKind = Annotated[str, AfterValidator(_known)]
BY_SITE = "by_site"
"""The kind of analysis that publishes values of single sites."""

UnsafeKind = Literal["clear_sum", "no_noise", "seeded_noise"]


class Budget(Part):
    """Privacy of all patients of this site, for life.

    Attributes:
      epsilon: Of all studies together.
      delta: Of all studies together.
    """

    epsilon: float = Field(gt=0, le=10_000)
    delta: float = Field(gt=0, lt=1)


class Policy(Part):
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
      release_site_values: True where studies may publish noisy values of this site alone (``by_site``);
        left out, only at a simulated site.
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

    @model_validator(mode="after")
    def _compared(self) -> Self:
        if self.confirmed == "all" and not self.simulation:
            raise ValueError("confirmed: 'all' is for simulated sites; a real one names what it compared")
        return self

    @property
    def period(self) -> float:
        """Seconds between two moments at which an answer may leave."""
        if self.answer_every is not None:
            return self.answer_every
        return 0.0 if self.simulation else 1.0

    def digest(self) -> str:
        """Return the SHA-256 of the policy's canonical form, 64 hexadecimal digits."""
        return hashlib.sha256(rfc8785.dumps(self.model_dump(mode="json"))).hexdigest()

    def require(self, study: Study, plan: Plan, *, clear_sum: bool) -> None:
        """Refuse a study that this policy does not allow.

        Raises:
          PolicyForbids: names the line of the policy that stands against it.
        """
        kinds = {spec.kind for spec in study.analyses}
        if not kinds <= set(self.analyses):
            raise _forbidden(f"the analyses {sorted(kinds - set(self.analyses))} are not allowed", "analyses")
        alone = self.simulation if self.release_site_values is None else self.release_site_values
        if BY_SITE in kinds and not alone:
            raise _forbidden("the study would publish noisy values of this site alone", "release_site_values")
        if study.governance.profile not in self.profiles:
            raise _forbidden(
                f"the governance profile {study.governance.profile!r} is not accepted", "profiles"
            )
        if clear_sum and ("clear_sum" not in self.unsafe or not self.simulation):
            raise _forbidden(
                "the sum would travel in clear, so the coordinator sees this site's share",
                "unsafe, simulation",
            )
        if plan.exact and ("no_noise" not in self.unsafe or not self.simulation):
            raise _forbidden("the study would be answered without noise", "unsafe, simulation")

    def to_toml(self) -> str:
        """Return the policy as the file that `load_policy` reads, with a comment on every line."""
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
            f"{pace}{everybody}{self._alone()}\n"
            "[budget]                # of all patients of this site, for life\n"
            f"epsilon = {self.budget.epsilon!r}\ndelta = {self.budget.delta!r}\n"
            f"{self._confirmed_table()}"
        )

    def _alone(self) -> str:
        if self.release_site_values is None:
            return "# release_site_values = true   # studies may publish noisy values of this site alone\n"
        return f"release_site_values = {str(self.release_site_values).lower()}\n"

    def _confirmed_table(self) -> str:
        if self.confirmed == "all":
            return ""
        lines = [f"{quoted(entity)} = {quoted(digits)}" for entity, digits in sorted(self.confirmed.items())]
        head = "\n[confirmed]             # digits that you compared with each hospital itself"
        return "\n".join([head, *lines, ""])


def load_policy(path: Path) -> Policy:
    """Read a site's policy.

    Raises:
      StudyInvalid: unreadable, not TOML, an unknown key, or a value out of range.
    """
    return load_toml(
        path, Policy, failure=StudyInvalid, what="the policy", do="run `fedvalue site init` first"
    )


def _forbidden(what: str, key: str) -> PolicyForbids:
    return PolicyForbids(what, where=f"policy.toml {key}", do="the site's officer decides; nothing was sent")
