"""How long a yes holds: its last day, the second signature, the study's dates, and taking it back."""

from __future__ import annotations

import re
from datetime import date, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.frozen import FROZEN
from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.client.records.snapshot import snapshot_path
from fedvalue.errors import NotApproved, OutsideValidity, PolicyForbids, SignatureInvalid
from fedvalue.study.approval import Approval
from fedvalue.study.schema import Study
from fedvalue.study.signature import public_hex

HASH = re.compile(r"[0-9a-f]{64}")


def last_day(home: SiteHome, study: Study, until: date | None) -> date | None:
    """Return the last day of a new approval, the earlier of what the officer and the policy say.

    None where that is not before the study's own last day.

    Raises:
      OutsideValidity: the officer's day is past.
    """
    today, days = home.clock().date(), home.policy.approval_days
    if until is not None and until < today:
        raise OutsideValidity(f"the approval would have ended on {until}", where="--until")
    said = [until] if until is not None else []
    said += [today + timedelta(days=days)] if days is not None else []
    last = min(said, default=None)
    return None if last is None or last >= study.study.valid.until else last


def countersign(home: SiteHome, study_hash: str, key: Ed25519PrivateKey) -> Approval:
    """Add the second signature that the policy asks for; the study is answered from then on.

    Args:
      home: The site.
      study_hash: Of an approved study.
      key: Of a person with the office ``second``.

    Raises:
      NotApproved: the officer has not approved the study.
      PolicyForbids: this key may not sign second.
    """
    path = home.study_folder(study_hash) / "approval.json"
    if HASH.fullmatch(study_hash) is None or not path.exists():
        raise NotApproved("the study is not approved here", where=study_hash[:64])
    approval = Approval.model_validate_json(path.read_bytes())
    approval.verify(where=str(path), officer_key=home.card().officer_key)
    if public_hex(key) not in {person.key for person in home.policy.with_role("second")}:
        raise PolicyForbids(
            "this key is of nobody who may sign second", where="policy.toml people",
            do="a person with role = 'second' signs",
        )  # fmt: skip
    signed = approval.seconded(key)
    write_atomically(path, signed.model_dump_json().encode())
    AuditLog(home.audit_file, home.clock).write("countersigned", study=study_hash)
    return signed


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


def require_second(home: SiteHome, approval: Approval, where: str) -> None:
    """Refuse an approval that lacks the second signature that the policy asks for.

    Raises:
      NotApproved: it does.
    """
    if not home.policy.four_eyes:
        return
    try:
        approval.require_second({person.key for person in home.policy.with_role("second")}, where=where)
    except SignatureInvalid as error:
        raise NotApproved(
            error.what, where=where, do="a second person runs `fedvalue site countersign`"
        ) from error


def require_unexpired(approval: Approval, home: SiteHome) -> None:
    """Refuse after an approval's last day.

    Raises:
      OutsideValidity: it has ended, by the site's clock.
    """
    if approval.until is not None and home.clock().date() > approval.until:
        raise OutsideValidity(
            f"the approval ended on {approval.until}", where="approval", do="approve the study again"
        )


def in_force(study: Study, home: SiteHome) -> None:
    """Refuse outside the study's dates and the site's hours.

    Raises:
      OutsideValidity: today is before its first or after its last day, or the policy opens the site at other
        hours, by the site's clock.
    """
    home.policy.require_open(home.clock())
    today, valid = home.clock().date(), study.study.valid
    if not valid.start <= today <= valid.until:
        raise OutsideValidity(
            f"the study is valid from {valid.start} until {valid.until}, today is {today}",
            where="study.valid",
        )
