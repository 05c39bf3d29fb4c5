"""Approved studies: what the officer signed, and the rows frozen on that day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from fedvalue.analyses.cohort import Cohort
from fedvalue.client.governance.amendments import end_amended, inherited
from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.frozen import FROZEN, FrozenNote
from fedvalue.client.governance.populations import population_findings
from fedvalue.client.governance.reservations import PlannedCharge, Reservation
from fedvalue.client.governance.validity import (
    HASH,
    countersign,
    in_force,
    last_day,
    require_second,
    require_unexpired,
    withdraw,
)
from fedvalue.client.governance.versions import (
    require_signed,
    sign_policy,
    signers,
)
from fedvalue.client.governance.versions import (
    standing as policy_standing,
)
from fedvalue.client.governance.withdrawals import counted
from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.client.identity import SiteIdentity, admit, recognise, standing
from fedvalue.client.records.dictionary import dictionary_of
from fedvalue.client.records.patient_cap import require_within_cap
from fedvalue.client.records.snapshot import (
    Snapshot,
    find_snapshot,
    freeze,
    read_snapshot,
    remove_rows,
    snapshot_path,
)
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
from fedvalue.privacy.accounting import NOTHING, Price
from fedvalue.study import file as study_file
from fedvalue.study.approval import CLEAR_SUM, NO_NOISE, SIMULATION, Approval
from fedvalue.study.identity.signed_roster import SignedRoster
from fedvalue.study.roster import Roster
from fedvalue.study.schema import Study
from fedvalue.study.signature import public_hex, verify

APPROVED_FILES = ("approval.json", "study.json", "roster.json")
"""What an approval rests on, in the folder of its study."""


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
          OutsideValidity: the approval has ended.
        """
        require_unexpired(self.approval, home)
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
        rows = read_snapshot(folder, self.study, content=note.rows, limits=home.policy.machine)
        place = self.roster.order.index(home.policy.site)
        return replace(rows, site=np.full(rows.patients, place, dtype=np.int64))


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
    if not is_mine(roster, home):
        raise RosterMismatch(
            f"the roster's entry of {home.policy.site} is not this site's card",
            where="roster",
            do="compare with `fedvalue site card`",
        )
    study.governance.require_complete()
    if home.clock().date() > study.study.valid.until:
        raise OutsideValidity(f"the study ended on {study.study.valid.until}", where="study.valid")
    plan = make_plan(study, roster, unsafe_exact=NO_NOISE in unsafe)
    before = inherited(home, study)
    home.policy.require(study, plan, clear_sum=CLEAR_SUM in unsafe, inherited=before)
    for found in population_findings(home, study, plan, clear_sum=CLEAR_SUM in unsafe):
        raise BudgetSpent(found.en, where=f"policy.toml {found.policy}", do="nothing was charged; ask less")
    admit(home, roster, plan.thresholds.colluding)
    return plan


def approve(
    home: SiteHome,
    study: Study,
    roster: Roster,
    *,
    unsafe: tuple[str, ...],
    until: date | None = None,
    partitions: tuple[str, ...] = (),
) -> tuple[Approval, Snapshot]:
    """Approve a study: reserve its plan, freeze the cohort, sign for exactly this study, roster and policy.

    A study that is approved again, after the policy or the roster changed, keeps its frozen rows and the
    partitions that they belong to. Where the officer signs the policy too, a change of it is signed here. A
    study that this one amends is closed.

    Args:
      home: The site.
      study: The study.
      roster: As for `examine`.
      unsafe: As for `examine`.
      until: Last day of the approval; None: as the policy says, or the study's last.
      partitions: Whose people are counted and charged; empty: all that exist now.

    Raises:
      Refusal: as in `examine`; or the ledger cannot pay for the whole plan; or the policy changed, and only
        somebody else may sign it.
      LedgerError: the ledger cannot be read, or somebody in the records never entered it.
      RecordsError: the records cannot be read.
      StudyInvalid: this site's cohort is larger than the study's public cap.
    """
    plan = examine(home, study, roster, unsafe=unsafe)
    folder = home.study_folder(plan.study_hash)
    officer, last = home.officer_key(), last_day(home, study, until)
    _sign_policy(home, officer)
    reservation = reservation_of(plan, clear_sum=CLEAR_SUM in unsafe, partitions=partitions)
    with home.locked():
        snapshot = _reserved_and_frozen(home, study, reservation)
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
        until=last,
        dictionary=dictionary_of(home.records_file, study, limits=home.policy.machine),
    ).signed(officer)
    write_atomically(folder / FROZEN, note.model_dump_json().encode())
    write_atomically(folder / "study.json", study_file.canonical(study))
    write_atomically(folder / "roster.json", roster.model_dump_json().encode())
    write_atomically(folder / "approval.json", approval.model_dump_json().encode())
    end_amended(home, study)
    AuditLog(home.audit_file, home.clock).write("approved", study=plan.study_hash)
    return approval, snapshot


def _sign_policy(home: SiteHome, officer: Ed25519PrivateKey) -> None:
    """Sign a changed policy with the officer's key, which approves under it; else it must be signed."""
    found = policy_standing(home)
    if not found.signed and public_hex(officer) in signers(home, found.versions):
        sign_policy(home, officer)
    require_signed(home)


def _reserved_and_frozen(home: SiteHome, study: Study, asked: Reservation) -> Snapshot:
    """Freeze the rows of those who can be charged for a plan, and reserve it with its spare attempts.

    Rows that were frozen before stay, but for those of people who are not in any more while nothing was
    released. They are frozen anew where the ledger knows of no reservation behind them: it was lost since,
    and some of the people in them have no budget any more. Where rows cannot be frozen nothing is reserved.
    """
    folder = home.study_folder(asked.study_hash)
    path = snapshot_path(folder, asked.study_hash)
    may = counted(home, study)
    with home.ledger() as ledger, home.first_entries(ledger) as entered:
        held = next((h for h in ledger.reservations() if h.study_hash == asked.study_hash), None)
        if path.exists() and held is not None:
            # rows that were frozen before anybody counted them are counted now
            require_within_cap(study, read_snapshot(folder, study, limits=home.policy.machine).patients)
        if path.exists():
            ledger.reserve(asked)
        if path.exists() and held is not None:
            asked_before = any(
                e.kind == "debit" and e.attempt[0] == asked.study_hash for e in ledger.entries()
            )
            if asked_before:  # all rounds of a study see the same rows
                return find_snapshot(folder, study)
            return remove_rows(folder, study, may, limits=home.policy.machine)[0]
        path.unlink(missing_ok=True)
        touched = ledger.require_room(asked)  # before the records are read, which may take long

        def stays(ids: Sequence[str]) -> list[bool]:
            return [a and b for a, b in zip(entered.members(ids, touched), may(ids), strict=True)]

        snapshot = freeze(home.records_file, study, folder, counted=stays, limits=home.policy.machine)
        try:
            ledger.reserve(asked)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return snapshot


def reservation_of(plan: Plan, *, clear_sum: bool, partitions: tuple[str, ...] = ()) -> Reservation:
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
    return Reservation(plan.study_hash, charges, partitions)


def price_of(release: PlannedRelease, *, clear_sum: bool) -> Price:
    """Return what an attempt is charged: at m shares, or at the site's own where the sum is in clear."""
    return release.price(1 if clear_sum else None)


def affords(home: SiteHome, plan: Plan, *, clear_sum: bool = False) -> bool:
    """Tell whether the ledger can pay for a plan to its end, spare attempts included.

    What the study was charged or has reserved already counts as paid.

    Raises:
      LedgerError: the ledger cannot be read.
    """
    if plan.exact:
        return True
    with home.ledger() as ledger:
        debits = (e for e in ledger.entries() if e.kind == "debit" and e.attempt[0] == plan.study_hash)
        held = (h for h in ledger.reservations() if h.study_hash == plan.study_hash)
        paid = sum((*(e.price for e in debits), *(h.price for h in held)), NOTHING)
        whole = plan.price(1 if clear_sum else None)
        new = Price(tuple(max(0, a - b) for a, b in zip(whole.units, paid.units, strict=True)))
        touched = ledger.partitions() if ledger.accounts() else ()
        accounts = [each for each in ledger.accounts() if each.name in touched]
        budgets = [(each.budget, each.spent, each.reserved) for each in accounts]
        budgets = budgets or [(ledger.budget, NOTHING, NOTHING)]
    if whole.rho_units is None and not ledger.budget.admits_sampled:
        return False
    return all(budget.passes(spent, reserved, new) for budget, spent, reserved in budgets)


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
    if roster.digest() != approval.roster_hash or not is_mine(roster, home):
        raise RosterMismatch(
            "the roster is not the one that was approved", where=str(folder), do="approve again"
        )
    if approval.policy_hash != home.policy.digest():
        raise PolicyForbids(
            "the policy changed after the approval", where="policy.toml", do="approve the study again"
        )
    require_signed(home)
    require_second(home, approval, str(folder / "approval.json"))
    require_unexpired(approval, home)
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


__all__ = [
    "APPROVED_FILES", "FROZEN", "HASH", "ApprovedStudy", "FrozenNote", "affords", "approve", "approved",
    "countersign", "examine", "in_force", "price_of", "require_budget", "reservation_of", "withdraw",
]  # fmt: skip


def is_mine(roster: Roster, home: SiteHome) -> bool:
    """Tell whether the roster knows this site by its own keys, entity and operator."""
    entry = roster.get(home.policy.site)
    return entry is not None and entry.card() == home.card()
