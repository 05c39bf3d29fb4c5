"""A study that takes the place of another: what that one spent counts as its own, and that one has ended."""

from __future__ import annotations

from fedvalue.client.governance.validity import HASH
from fedvalue.client.home import SiteHome
from fedvalue.errors import StudyClosed, StudyInvalid
from fedvalue.privacy.accounting import NOTHING, Price
from fedvalue.study import file as study_file
from fedvalue.study.schema import Study

LONGEST = 100
"""Amendments of amendments that are followed."""


def amended_by(home: SiteHome, study: Study) -> tuple[str, ...]:
    """Return the hashes of the studies that a study takes the place of, the latest first.

    The chain ends where a study amends none, or its file was never approved here.

    Raises:
      StudyInvalid: the chain does not end.
    """
    found: list[str] = []
    before = study.study.amends
    while before is not None:
        if before in found or len(found) >= LONGEST:
            raise StudyInvalid("the studies that it amends run in a circle", where="study.amends")
        found.append(before)
        path = home.study_folder(before) / "study.json"
        if HASH.fullmatch(before) is None or not path.exists():
            break
        before = study_file.from_canonical(path.read_bytes()).study.amends
    return tuple(found)


def inherited(home: SiteHome, study: Study) -> Price:
    """Return what the studies that a study amends were charged here.

    Raises:
      LedgerError: the ledger cannot be read.
      StudyInvalid: as in `amended_by`.
    """
    chain = set(amended_by(home, study))
    if not chain:
        return NOTHING
    with home.ledger() as ledger:
        debits = (entry for entry in ledger.entries() if entry.kind == "debit")
        return sum((entry.price for entry in debits if entry.attempt[0] in chain), NOTHING)


def end_amended(home: SiteHome, study: Study) -> None:
    """Close the study that was amended, for good: what it never asked is free again.

    Raises:
      LedgerError: the ledger cannot be written.
    """
    before = study.study.amends
    if before is None:
        return
    with home.ledger() as ledger:
        known = {held.study_hash for held in ledger.reservations()}
        known |= {entry.attempt[0] for entry in ledger.entries() if entry.kind == "debit"}
        if before in known:
            try:
                ledger.close_study(before, f"amended by {study.study.id}")
            except StudyClosed:
                return
    (home.study_folder(before) / "approval.json").unlink(missing_ok=True)
