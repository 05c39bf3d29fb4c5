"""Approved studies: what the officer signed, and the rows frozen on that day."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from fedvalue.analyses.cohort import Cohort
from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.reservations import PlannedCharge, Reservation
from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.client.identity import SiteIdentity, admit, recognise, standing
from fedvalue.client.records.snapshot import Snapshot, find_snapshot, freeze, read_snapshot, snapshot_path
from fedvalue.errors import (
    BudgetSpent,
    NotApproved,
    OutsideValidity,
    PolicyForbids,
    RosterMismatch,
    SignatureInvalid,
    StudyChanged,
    StudyInvalid,
)
from fedvalue.planning.plan import Plan, PlannedRelease, make_plan
from fedvalue.planning.words import site_share_units
from fedvalue.privacy.accounting import Price
from fedvalue.study import file as study_file
from fedvalue.study.approval import CLEAR_SUM, NO_NOISE, SIMULATION, Approval
from fedvalue.study.identity.signed_roster import SignedRoster
from fedvalue.study.model import Part
from fedvalue.study.roster import Roster
from fedvalue.study.schema import Study
from fedvalue.study.signature import Signature, sign, verify

FROZEN = "frozen.json"
APPROVED_FILES = ("approval.json", "study.json", "roster.json")
"""What an approval rests on, in the folder of its study."""

HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ApprovedStudy:
    """A study that this site answers.

    Attributes:
      study: The study.
      roster: The roster.
      approval: The officer's signed approval.
      plan: The plan, recomputed at this site.
      identity: This site's papers, on which the roster was recognised; None at a simulated site.
    """

    study: Study
    roster: Roster
    approval: Approval
    plan: Plan
    identity: SiteIdentity | None = None

    def standing(self, home: SiteHome) -> frozenset[str]:
        """Return which sites count as dropped by now.

        Raises:
          IdentityRefusal: this site does not stand, or too few do; see `fedvalue.client.identity.standing`.
        """
        return standing(self.identity, self.roster, self.plan.thresholds.answers, home.clock())

    def cohort(self, home: SiteHome) -> Cohort:
        """Read the rows that the officer froze.

        Raises:
          RecordsError: they are not there, or are others.
          SignatureInvalid: the note of what was frozen is not the officer's.
        """
        folder = home.study_folder(self.plan.study_hash)
        note = FrozenNote.model_validate_json((folder / FROZEN).read_bytes())
        where, key = str(folder / FROZEN), home.card().officer_key
        if note.study_hash != self.plan.study_hash or note.signature.role != "officer":
            raise SignatureInvalid("the note of the frozen rows is of another study", where=where)
        verify(note.content(), note.signature, where=where, public_key=key)
        rows = read_snapshot(folder, self.study, content=note.rows)
        place = self.roster.order.index(home.policy.site)
        return replace(rows, site=np.full(rows.patients, place, dtype=np.int64))


class FrozenNote(Part):
    """Which rows an approval froze. It stays at the site, because a digest of rows depends on patients.

    Attributes:
      study_hash: SHA-256 of the study.
      rows: SHA-256 over the frozen rows.
      signature: The officer's.
    """

    study_hash: str
    rows: str
    signature: Signature

    def content(self) -> dict[str, str]:
        """Return what the officer signed."""
        return {"study": self.study_hash, "rows": self.rows}

    @classmethod
    def signed(cls, study_hash: str, rows: str, officer: Ed25519PrivateKey) -> FrozenNote:
        """Return a note with the officer's signature."""
        signature = sign({"study": study_hash, "rows": rows}, officer, "officer")
        return cls(study_hash=study_hash, rows=rows, signature=signature)


def examine(home: SiteHome, study: Study, roster: Roster, *, unsafe: tuple[str, ...]) -> Plan:
    """Check a study as the officer would, without approving it.

    Args:
      home: The site.
      study: The study.
      roster: The sites that would take part, signed by the authority unless the site is simulated.
      unsafe: What lowers protection: ``clear_sum``, ``no_noise``.

    Returns:
      The plan that this site would answer.

    Raises:
      Refusal: this site's policy, the roster or the dates stand against it.
      GovernanceIncomplete: a line that the profile demands is missing.
      TooFewSites: the roster does not carry the study.
    """
    if not _is_mine(roster, home):
        raise RosterMismatch(
            f"the roster's entry of {home.policy.site} is not this site's card",
            where="roster",
            do="compare with `fedvalue site card`",
        )
    study.governance.require_complete()
    if home.clock().date() > study.study.valid.until:
        raise OutsideValidity(f"the study ended on {study.study.valid.until}", where="study.valid")
    plan = make_plan(study, roster, unsafe_exact=NO_NOISE in unsafe)
    home.policy.require(study, plan, clear_sum=CLEAR_SUM in unsafe)
    admit(home, roster, plan.thresholds.colluding)
    return plan


def approve(
    home: SiteHome, study: Study, roster: Roster, *, unsafe: tuple[str, ...]
) -> tuple[Approval, Snapshot]:
    """Approve a study: reserve its plan, freeze the cohort, sign for exactly this study, roster and policy.

    A study that is approved again, after the policy or the roster changed, keeps its frozen rows and the
    partitions that they belong to.

    Raises:
      Refusal: as in `examine`; or the ledger cannot pay for the whole plan.
      LedgerError: the ledger cannot be read, or somebody in the records never entered it.
      RecordsError: the records cannot be read.
    """
    plan = examine(home, study, roster, unsafe=unsafe)
    folder = home.study_folder(plan.study_hash)
    officer = home.officer_key()
    with home.locked():
        snapshot = _reserved_and_frozen(home, study, plan, clear_sum=CLEAR_SUM in unsafe)
    note = FrozenNote.signed(plan.study_hash, snapshot.content, officer)
    approval = Approval(
        site=home.policy.site,
        study_hash=plan.study_hash,
        roster_hash=plan.roster_hash,
        sites=plan.thresholds.sites,
        answers=plan.thresholds.answers,
        colluding=plan.thresholds.colluding,
        policy_hash=home.policy.digest(),
        unsafe=tuple(sorted({*unsafe, SIMULATION} if home.policy.simulation else unsafe)),
        day=home.clock().date(),
    ).signed(officer)
    write_atomically(folder / FROZEN, note.model_dump_json().encode())
    write_atomically(folder / "study.json", study_file.canonical(study))
    write_atomically(folder / "roster.json", roster.model_dump_json().encode())
    write_atomically(folder / "approval.json", approval.model_dump_json().encode())
    AuditLog(home.audit_file, home.clock).write("approved", study=plan.study_hash)
    return approval, snapshot


def _reserved_and_frozen(home: SiteHome, study: Study, plan: Plan, *, clear_sum: bool) -> Snapshot:
    """Reserve a plan with its spare attempts, then freeze the rows of those who can be charged for it.

    Rows that were frozen before stay, unless the ledger knows of no reservation behind them: it was lost
    since, and some of the people in them have no budget any more.
    """
    folder = home.study_folder(plan.study_hash)
    path = snapshot_path(folder, plan.study_hash)
    with home.ledger() as ledger, home.first_entries(ledger) as entered:
        held = next((h for h in ledger.reservations() if h.study_hash == plan.study_hash), None)
        ledger.reserve(reservation_of(plan, clear_sum=clear_sum))
        touched = next(h for h in ledger.reservations() if h.study_hash == plan.study_hash).partitions
        if path.exists() and held is not None:
            return find_snapshot(folder, study)
        path.unlink(missing_ok=True)
        return freeze(home.records_file, study, folder, counted=lambda ids: entered.members(ids, touched))


def reservation_of(plan: Plan, *, clear_sum: bool) -> Reservation:
    """Return what a study's plan sets aside: every release, each attempt at its full price."""
    charges = tuple(
        PlannedCharge(
            release.label,
            plan.specification(release),
            price_of(release, clear_sum=clear_sum),
            plan.attempts,
        )
        for release in plan.releases
    )
    return Reservation(plan.study_hash, charges)


def price_of(release: PlannedRelease, *, clear_sum: bool) -> Price:
    """Return what an attempt is charged: at m shares, or at the site's own where the sum is in clear."""
    return Price.plain(release.charged_units(clear_sum=clear_sum))


def affords(home: SiteHome, plan: Plan, *, clear_sum: bool = False) -> bool:
    """Tell whether the ledger can pay for a plan to its end, spare attempts included.

    What the study was charged or has reserved already counts as paid.

    Raises:
      LedgerError: the ledger cannot be read.
    """
    if plan.exact:
        return True
    with home.ledger() as ledger:
        paid = sum(
            entry.price.rho_units or 0
            for entry in ledger.entries()
            if entry.kind == "debit" and entry.attempt[0] == plan.study_hash
        )
        held = [h for h in ledger.reservations() if h.study_hash == plan.study_hash]
        paid += sum(each.price.rho_units or 0 for each in held)
        left = ledger.remaining_units()
    return left + paid >= site_share_units(plan, clear_sum=clear_sum)


def require_budget(home: SiteHome, plan: Plan, *, clear_sum: bool = False) -> None:
    """Refuse a plan that the ledger cannot pay for; see `affords`.

    Raises:
      BudgetSpent: it cannot.
      LedgerError: the ledger cannot be read.
    """
    if not affords(home, plan, clear_sum=clear_sum):
        raise BudgetSpent(
            "the budget that is left is not enough for this study",
            where="ledger",
            do="nothing was charged; see `fedvalue site ledger`",
        )


def withdraw(home: SiteHome, study_hash: str) -> bool:
    """Take an approval back: from now on this site does not answer the study.

    Before the first release the frozen rows go too, so a later approval freezes them anew. After it they
    stay, because all rounds of a study see the same rows.

    Returns:
      True if the frozen rows were removed.

    Raises:
      NotApproved: the study is not approved here.
      LedgerError: the ledger cannot be read.
    """
    folder = home.study_folder(study_hash)
    if HASH.fullmatch(study_hash) is None or not (folder / "approval.json").exists():
        raise NotApproved("the study is not approved here", where=study_hash[:64])
    with home.locked():  # a release under way is finished first
        with home.ledger() as ledger:
            asked = any(e.kind == "debit" and e.attempt[0] == study_hash for e in ledger.entries())
        (folder / "approval.json").unlink()
        if not asked:
            (folder / FROZEN).unlink(missing_ok=True)
            snapshot_path(folder, study_hash).unlink(missing_ok=True)
    AuditLog(home.audit_file, home.clock).write("withdrawn", study=study_hash)
    return not asked


def approved(home: SiteHome, study_hash: str) -> ApprovedStudy:
    """Read an approved study and check that nothing changed since.

    Raises:
      Refusal: not approved, or the study, the roster, the policy or a signature changed.
    """
    if HASH.fullmatch(study_hash) is None:
        raise NotApproved("the coordinator names no study: this is no hash", where="study_hash")
    folder = home.study_folder(study_hash)
    try:
        approval = Approval.model_validate_json((folder / "approval.json").read_bytes())
        study = study_file.from_canonical((folder / "study.json").read_bytes())
        signed = SignedRoster.model_validate_json((folder / "roster.json").read_bytes())
    except FileNotFoundError as error:
        raise NotApproved("the study is not approved here", do="`fedvalue site approve` it first") from error
    except (OSError, ValidationError, StudyInvalid) as error:
        raise StudyChanged(
            "the approved study cannot be read", where=str(folder), do="approve it again"
        ) from error
    roster, card = signed.roster(), home.card()
    try:
        approval.verify(where=str(folder / "approval.json"), officer_key=card.officer_key)
    except SignatureInvalid as error:
        raise NotApproved("the approval is not signed by this site's officer", where=str(folder)) from error
    if study_hash != approval.study_hash or study_file.digest(study) != study_hash:
        raise StudyChanged(
            "the study is not the one that was approved", where=str(folder), do="approve it again"
        )
    if roster.digest() != approval.roster_hash or not _is_mine(roster, home):
        raise RosterMismatch(
            "the roster is not the one that was approved", where=str(folder), do="approve again"
        )
    if approval.policy_hash != home.policy.digest():
        raise PolicyForbids(
            "the policy changed after the approval", where="policy.toml", do="approve the study again"
        )
    plan = make_plan(study, roster, unsafe_exact=NO_NOISE in approval.unsafe)
    limits = plan.thresholds
    if (limits.sites, limits.answers, limits.colluding) != (
        approval.sites,
        approval.answers,
        approval.colluding,
    ):
        raise RosterMismatch("the thresholds are not those that were approved", where=str(folder))
    home.policy.require(study, plan, clear_sum=CLEAR_SUM in approval.unsafe)
    identity = recognise(home, signed, limits.colluding)
    return ApprovedStudy(study, roster, approval, plan, identity)


def in_force(study: Study, home: SiteHome) -> None:
    """Refuse outside the study's dates.

    Raises:
      OutsideValidity: today is before its first or after its last day, by the site's clock.
    """
    today, valid = home.clock().date(), study.study.valid
    if not valid.start <= today <= valid.until:
        raise OutsideValidity(
            f"the study is valid from {valid.start} until {valid.until}, today is {today}",
            where="study.valid",
        )


__all__ = ["ApprovedStudy", "approve", "approved", "examine", "in_force"]


def _is_mine(roster: Roster, home: SiteHome) -> bool:
    """Tell whether the roster knows this site by its own keys, entity and operator."""
    entry = roster.get(home.policy.site)
    return entry is not None and entry.card() == home.card()
