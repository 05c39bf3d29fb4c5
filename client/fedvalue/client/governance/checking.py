"""What an officer looks at before a yes: what would leave, what stands against it, and a dry run.

Everything that would leave follows from study, roster and policy; only the dry run reads records, and nothing
of it is written, logged or sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fedvalue.client.governance.amendments import amended_by, inherited
from fedvalue.client.governance.approvals import affords, is_mine
from fedvalue.client.governance.policy import Finding
from fedvalue.client.governance.populations import population_findings
from fedvalue.client.governance.versions import changes, signers, standing
from fedvalue.client.governance.withdrawals import counted
from fedvalue.client.home import SiteHome
from fedvalue.client.identity import admit
from fedvalue.client.records.patient_cap import CAP_KEY, OVER_CAP, OVER_CAP_ZH, is_over_cap
from fedvalue.client.records.snapshot import Frozen, build
from fedvalue.errors import (
    BudgetSpent,
    FedValueError,
    GovernanceIncomplete,
    OutsideValidity,
    RosterMismatch,
    StudyInvalid,
)
from fedvalue.planning.plan import Plan, make_plan
from fedvalue.planning.words import preview
from fedvalue.privacy import accounting
from fedvalue.study.roster import Roster
from fedvalue.study.schema import Study
from fedvalue.study.toml_lines import TomlLines

_POOR = Finding(
    "the budget that is left is not enough for this study", "剩余的隐私预算不足以支付本研究",
    "budget", ("privacy", "epsilon"), BudgetSpent.code,
)  # fmt: skip


_OVER_CAP = Finding(OVER_CAP, OVER_CAP_ZH, study=CAP_KEY, code=StudyInvalid.code)


@dataclass(frozen=True, slots=True)
class Stands:
    """A finding with the lines on which it stands.

    Attributes:
      finding: What stands against the study.
      policy_line: Line of ``policy.toml``, None where the file does not have the key.
      study_line: Line of the study file, None where it does not have the key.
    """

    finding: Finding
    policy_line: int | None
    study_line: int | None

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "code": self.finding.code, "en": self.finding.en, "zh": self.finding.zh,
            "policy_key": self.finding.policy, "policy_line": self.policy_line,
            "study_key": ".".join(map(str, self.finding.study)), "study_line": self.study_line,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A dry run on the real records. For this site's officer; it never leaves.

    Attributes:
      steps: What each step of the selection is and how many patients it leaves.
      cohort: Patients that an approval would freeze today.
      without_consent: Patients of the selection who objected, withdrew, or whose consent is not on record.
      unknown: Patients of the selection whose value is not known, by variable or endpoint.
      vectors: Release to how many numbers were computed from the rows, and then thrown away; releases that
        need earlier answers, or draw patients by chance, are not among them.
    """

    steps: tuple[tuple[str, int], ...]
    cohort: int
    without_consent: int
    unknown: dict[str, int]
    vectors: dict[str, int]

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "stays_here": True, "cohort": self.cohort, "without_consent": self.without_consent,
            "steps": [{"what": what, "patients": patients} for what, patients in self.steps],
            "unknown": self.unknown, "vectors": self.vectors,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checked:
    """A study as this site's officer sees it.

    Attributes:
      study: The study.
      plan: What this site would answer.
      facts: What would leave, to whom, how often and at what price, as JSON values.
      against: What stands against it.
      epsilon_left: Of this site's budget.
      enough: True if the budget pays for all of it.
      unsigned: Lines in which the policy differs from its newest signed version.
      entities: Who else is on the roster.
    """

    study: Study
    plan: Plan
    facts: dict[str, Any]
    against: tuple[Stands, ...]
    epsilon_left: float
    enough: bool
    unsigned: tuple[str, ...]
    entities: tuple[str, ...]


def look_at(home: SiteHome, study: Study, roster: Roster, study_text: str) -> Checked:
    """Say what a study would take out of this site and what stands against it, without the records.

    Args:
      home: The site.
      study: The study.
      roster: The sites that would take part.
      study_text: The study file, for the lines.

    Raises:
      TooFewSites: the roster does not carry the study.
      PrivacyError: no plan can be made of it.
      LedgerError: the ledger cannot be read.
    """
    plan = make_plan(study, roster)
    signed = standing(home)
    with home.ledger() as ledger:
        left = accounting.epsilon(ledger.remaining_units(), home.policy.budget.delta)
    enough = affords(home, plan)
    found = [*_stand_against(home, study, plan, roster)]
    if not enough:
        found.append(_POOR)
    policy, lines = TomlLines.of(home.policy_file.read_text(encoding="utf-8")), TomlLines.of(study_text)
    against = tuple(
        Stands(each, policy.line(*each.policy.partition(",")[0].split(".")), lines.line(*each.study))
        for each in found
    )
    unsigned = () if signed.signed or not signed.versions else changes(home, signed.versions)
    others = tuple(site.entity for site in roster.site if site.id != home.policy.site)
    facts = {**preview(study, plan), **_departures(home, study, plan, others)}
    return Checked(study, plan, facts, against, left, enough, unsigned, others)


def rehearse(home: SiteHome, study: Study, plan: Plan) -> Rehearsal:
    """Run a study on the records as far as an approval would, and keep nothing of it.

    Raises:
      RecordsError: the records cannot be read, or lack what the study reads.
      LedgerError: the register of consent cannot be read.
    """
    frozen = build(home.records_file, study, limits=home.policy.machine)
    ids = [str(patient) for patient in frozen.patient_ids]
    stays = counted(home, study)(ids)
    return Rehearsal(
        steps=tuple((step.what, step.patients) for step in frozen.steps),
        cohort=sum(stays),
        without_consent=len(stays) - sum(stays),
        unknown=_unknown(frozen),
        vectors={
            release.label: len(release.contribution(frozen.cohort))
            for release in plan.releases
            if not release.public_size and release.drawn is None
        },
    )


def with_rehearsal(checked: Checked, rehearsal: Rehearsal, study_text: str) -> Checked:
    """Return what was checked with what the records themselves say against the study.

    Args:
      checked: From `look_at`.
      rehearsal: From `rehearse`, on the same study.
      study_text: The study file, for the lines.
    """
    if not is_over_cap(checked.study, rehearsal.cohort):
        return checked
    line = TomlLines.of(study_text).line(*CAP_KEY)
    return replace(checked, against=(*checked.against, Stands(_OVER_CAP, None, line)))


def _stand_against(home: SiteHome, study: Study, plan: Plan, roster: Roster) -> Iterator[Finding]:
    if not is_mine(roster, home):
        yield Finding(
            f"the roster's entry of {home.policy.site} is not this site's card",
            f"名册中 {home.policy.site} 的条目与本机构的名片不符", code=RosterMismatch.code,
        )  # fmt: skip
    for key in study.governance.missing():
        yield Finding(
            f"the governance profile {study.governance.profile!r} asks for {key}",
            f"治理规范 {study.governance.profile!r} 要求填写 {key}",
            study=("governance", *key.split(".")), code=GovernanceIncomplete.code,
        )  # fmt: skip
    if home.clock().date() > study.study.valid.until:
        yield Finding(
            f"the study ended on {study.study.valid.until}", f"研究已于 {study.study.valid.until} 结束",
            study=("study", "valid", "until"), code=OutsideValidity.code,
        )  # fmt: skip
    yield from home.policy.findings(study, plan, clear_sum=False, inherited=inherited(home, study))
    yield from population_findings(home, study, plan, clear_sum=False)
    found = standing(home)
    waits = bool(found.versions) and not found.signed
    if waits and home.card().officer_key not in signers(home, found.versions):
        yield Finding(
            "policy.toml was changed, and the security administrator has not signed the change",
            "policy.toml 已修改，安全管理员尚未签名", "people",
        )  # fmt: skip
    yield from _told(lambda: admit(home, roster, plan.thresholds.colluding))


def _told(check: Callable[[], None]) -> Iterator[Finding]:
    """Yield the refusal of a check as a finding."""
    try:
        check()
    except FedValueError as error:
        yield Finding(error.what, f"机构身份或名册未通过核验（{error.code}）：{error.what}", code=error.code)


def _departures(home: SiteHome, study: Study, plan: Plan, others: tuple[str, ...]) -> dict[str, Any]:
    """Return everything that crosses this site's border for the study, and who receives it."""
    return {
        "how_often": {"attempts_of_each_release": plan.attempts, "releases": len(plan.releases)},
        "to_whom": {
            "coordinator": study.governance.server_location or "",
            "hospitals": list(others),
            "foreign_recipients": study.governance.foreign_recipients,
            "asked_by": study.study.principal_investigator,
        },
        "also_leaves": [
            "this site's approval with the hashes of study, roster and policy",
            "public keys of each epoch, and secret shares that only one other hospital can open",
            "counter and hash of this site's ledger",
            "codes of refusals",
        ],
        "answers_every_seconds": home.policy.period,
        "amends": list(amended_by(home, study)),
        "epsilon_inherited": accounting.epsilon_of(inherited(home, study), study.privacy.delta),
        "publishes_single_sites": any(question.tells_of_sites() for question in study.analyses),
    }


def _unknown(frozen: Frozen) -> dict[str, int]:
    cohort = frozen.cohort
    found = {name: int((codes < 0).sum()) for name, codes in cohort.categories.items()}
    found |= {name: int(np.isnan(values).sum()) for name, values in cohort.numbers.items()}
    found |= {name: int((outcome.status < 0).sum()) for name, outcome in cohort.binary.items()}
    return found | {name: int((outcome.event < 0).sum()) for name, outcome in cohort.survival.items()}


def study_text(path: Path) -> str:
    """Return the study file as it is written, for its lines."""
    return path.read_text(encoding="utf-8", errors="replace")
