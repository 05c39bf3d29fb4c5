"""Consent meets the cohort: who is counted when rows are frozen, and whose row is taken out afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.consent import Counts, Register, Word, need_of
from fedvalue.client.governance.frozen import FROZEN, FrozenNote
from fedvalue.client.governance.partitions import site_secret
from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.client.loading import pseudonyms
from fedvalue.client.records.snapshot import remove_rows, snapshot_path
from fedvalue.study import file as study_file
from fedvalue.study.schema import Study

Counted = Callable[[Sequence[str]], list[bool]]
"""Tells of patients, in the order of their ids, who may be counted."""


def register_file(home: SiteHome) -> Path:
    """Return where a site keeps what its patients said."""
    return home.folder / "consent.sqlite"


def counted(home: SiteHome, study: Study) -> Counted:
    """Return who may be counted in a study by what patients said and what the policy asks for.

    Raises:
      LedgerError: the register cannot be read.
    """
    need = need_of(home.policy.consent, study.governance, home.policy.site)

    def stays(ids: Sequence[str]) -> list[bool]:
        if need == "none" and not register_file(home).exists():
            return [True] * len(ids)
        with _register(home) as register:
            return register.stays(ids, study.study.id, need)

    return stays


def take_words(home: SiteHome, words: Sequence[Word]) -> Counts:
    """Note what patients said, and take the rows of those who are not in any more out of frozen cohorts.

    Only cohorts of studies that released nothing yet are touched; the officer signs what is frozen then. What
    a study has released stays released, and its rows stay the same for its next rounds.

    Args:
      home: The site.
      words: With the hospital's own ids.

    Returns:
      How many people said what, for this site only.

    Raises:
      LedgerError: the register or the ledger cannot be read or written; what was noted stays noted.
      RecordsError: a frozen cohort is not the one that was approved.
      PassphraseWrong: rows have to go, and the officer's key does not open.
    """
    names = pseudonyms(home)  # patients speak of themselves by the hospital's ids, rows do not
    if names is not None:
        words = [replace(word, patient_id=names.of(word.patient_id)) for word in words]
    with _register(home) as register:
        register.add(words)
    AuditLog(home.audit_file, home.clock).write("consent recorded")
    with home.locked():  # a release under way is finished first
        with home.ledger() as ledger:
            asked = {entry.attempt[0] for entry in ledger.entries() if entry.kind == "debit"}
        for folder in sorted((home.folder / "studies").glob("*")):
            if folder.name not in asked and _frozen(folder):
                _taken_out(home, folder)
    return counts(home)


def counts(home: SiteHome) -> Counts:
    """Return how many people said what, for this site only.

    Raises:
      LedgerError: the register cannot be read.
    """
    with _register(home) as register:
        return register.counts()


def _taken_out(home: SiteHome, folder: Path) -> None:
    study = study_file.from_canonical((folder / "study.json").read_bytes())
    before = FrozenNote.model_validate_json((folder / FROZEN).read_bytes())
    may = counted(home, study)

    def stay(ids: Sequence[str]) -> list[bool]:
        found = may(ids)
        if not all(found):
            home.officer_key()  # a key that does not open leaves the rows as they were signed
        return found

    snapshot, rows = remove_rows(folder, study, stay, limits=home.policy.machine)
    # a line for each study that was looked at, so that the log does not tell whether anybody was in it
    AuditLog(home.audit_file, home.clock).write("consent applied", study=folder.name)
    if snapshot.content == before.rows:
        return
    note = FrozenNote.signed(folder.name, snapshot.content, home.officer_key())
    write_atomically(folder / FROZEN, note.model_dump_json().encode())
    if rows:
        with _register(home) as register:
            register.note_removed(folder.name, rows, home.clock().date())


def _frozen(folder: Path) -> bool:
    return all((folder / name).exists() for name in (FROZEN, "study.json")) and (
        snapshot_path(folder, folder.name).exists()
    )


def _register(home: SiteHome) -> Register:
    return Register.open(register_file(home), site_secret(home.first_entries_secret_file))
