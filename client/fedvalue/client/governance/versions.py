"""Every policy that this site ever had, each signed and naming the one before: ``policy/0001.json``, ...

``policy.toml`` is what people edit; a change counts once it is signed as a new version. Whoever holds the
office ``security`` in the policy of the version before signs it, and without such a person the officer. A
home that is older than this history has none, and gets its first version with its next approval.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from difflib import unified_diff
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, ValidationError

from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.policy import Policy
from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.errors import PolicyForbids, SignatureInvalid, StudyInvalid
from fedvalue.study.model import Part
from fedvalue.study.signature import Signature, public_hex, sign, verify
from fedvalue.study.toml import parse_toml

FOLDER = "policy"
ROLE = "policy"
START = "0" * 64
_FILE = re.compile(r"[0-9]{4}\.json")


class PolicyVersion(Part):
    """One signed policy.

    Attributes:
      number: From 1.
      before: SHA-256 of the file of the version before, zeros for the first.
      digest: SHA-256 of the policy's canonical form.
      text: ``policy.toml`` as it was.
      day: On which it was signed.
      signature: Over all of it.
    """

    number: int = Field(ge=1)
    before: str = Field(pattern=r"^[0-9a-f]{64}$")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    text: str
    day: date
    signature: Signature | None = None

    def content(self) -> dict[str, object]:
        """Return what is signed."""
        return self.model_dump(mode="json", exclude={"signature"})

    def policy(self, where: str) -> Policy:
        """Return the policy that the text says.

        Raises:
          StudyInvalid: the text is no policy, or not the one whose digest was signed.
        """
        found = parse_toml(
            self.text.encode(), Policy, failure=StudyInvalid, what="the policy", where=where, do=""
        )
        if found.digest() != self.digest:
            raise StudyInvalid("the text is not the policy that was signed", where=where)
        return found


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the policy on the disk stands.

    Attributes:
      versions: Every signed version, oldest first; empty at a home that has no history.
      signed: True if ``policy.toml`` is the newest of them.
    """

    versions: tuple[PolicyVersion, ...]
    signed: bool

    @property
    def number(self) -> int:
        """Number of the newest version, 0 without any."""
        return len(self.versions)


def history(home: SiteHome) -> tuple[PolicyVersion, ...]:
    """Read every version, oldest first, and check that each follows the one before and was signed.

    Who may sign a version stands in the one before it; the first is taken from the officer of that day.

    Raises:
      SignatureInvalid: a version was changed, is missing, or is signed by somebody else.
    """
    folder, found = home.folder / FOLDER, list[PolicyVersion]()
    before, allowed = START, None
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if _FILE.fullmatch(path.name) is None:
            continue
        where, raw = str(path), path.read_bytes()
        try:
            version = PolicyVersion.model_validate_json(raw)
            policy = version.policy(where)
        except (ValidationError, StudyInvalid) as error:
            raise SignatureInvalid(
                "a version of the policy cannot be read", where=where, do="put the file back from a copy"
            ) from error
        if version.number != len(found) + 1 or version.before != before:
            raise SignatureInvalid(
                "a version of the policy does not follow the one before", where=where,
                do="put the folder back from a copy; a version is never taken out",
            )  # fmt: skip
        _signed_by(version, allowed, where)
        found.append(version)
        before = hashlib.sha256(raw).hexdigest()
        allowed = [person.key for person in policy.with_role("security")] or None
    return tuple(found)


def standing(home: SiteHome) -> Standing:
    """Tell whether the policy on the disk is the newest signed version.

    Raises:
      SignatureInvalid: the history does not hold.
    """
    found = history(home)
    if not found or found[-1].digest != home.policy.digest():
        return Standing(found, signed=False)
    held = found[-1].signature  # an officer who was replaced has signed nothing that still counts
    return Standing(found, held is not None and held.public_key in signers(home, found[:-1]))


def require_signed(home: SiteHome) -> None:
    """Refuse while the policy on the disk is not the newest signed version; a home without history passes.

    Raises:
      PolicyForbids: somebody changed it, and nobody signed the change.
      SignatureInvalid: the history does not hold.
    """
    found = standing(home)
    if found.versions and not found.signed:
        raise PolicyForbids(
            f"policy.toml is not version {found.number} that was signed", where="policy.toml",
            do="`fedvalue site policy sign` it, or put version "
            f"{found.number} back (`fedvalue site policy show`)",
        )  # fmt: skip


def signers(home: SiteHome, versions: Sequence[PolicyVersion]) -> tuple[str, ...]:
    """Return the public keys that may sign the next version: security administrators, else the officer."""
    named = versions[-1].policy("policy").with_role("security") if versions else ()
    return tuple(person.key for person in named) or (home.card().officer_key,)


def sign_policy(home: SiteHome, key: Ed25519PrivateKey) -> PolicyVersion | None:
    """Sign the policy on the disk as a new version.

    Args:
      home: The site.
      key: Of whoever may sign it.

    Returns:
      The version; None where the newest one says the same already.

    Raises:
      PolicyForbids: the key may not sign it, or the officer's key holds an office in it.
      SignatureInvalid: the history does not hold.
      OutputError: the home cannot be written.
    """
    with home.locked():
        found = standing(home)
        if found.signed:
            return None
        public = public_hex(key)
        if public not in signers(home, found.versions):
            raise PolicyForbids(
                "this key may not sign the policy", where="policy.toml people",
                do="the security administrator signs, or the officer where there is none",
            )  # fmt: skip
        _apart(home)
        folder = home.folder / FOLDER
        last = folder / f"{found.number:04d}.json"
        version = PolicyVersion(
            number=found.number + 1,
            before=hashlib.sha256(last.read_bytes()).hexdigest() if found.versions else START,
            digest=home.policy.digest(),
            text=home.policy_file.read_text(encoding="utf-8"),
            day=home.clock().date(),
        )
        signed = version.model_copy(update={"signature": sign(version.content(), key, ROLE)})
        signed.policy(str(home.policy_file))  # what is signed is what was read
        write_atomically(folder / f"{version.number:04d}.json", signed.model_dump_json().encode())
    AuditLog(home.audit_file, home.clock).write(
        "policy signed", version=version.number, digest=version.digest
    )
    return signed


def _apart(home: SiteHome) -> None:
    """Refuse a policy in which the officer's own key holds another office."""
    officer = home.card().officer_key
    for person in home.policy.people:
        if person.key == officer:
            raise PolicyForbids(
                f"the officer's key has the office {person.role!r} as well", where="policy.toml people",
                do="one key has one office: give that one to somebody else",
            )  # fmt: skip


def changes(home: SiteHome, versions: Sequence[PolicyVersion]) -> tuple[str, ...]:
    """Return the lines in which the policy on the disk differs from the newest version, as a diff."""
    before = versions[-1].text if versions else ""
    now = home.policy_file.read_text(encoding="utf-8")
    found = unified_diff(before.splitlines(), now.splitlines(), "signed", "policy.toml", n=0, lineterm="")
    return tuple(line for line in found if not line.startswith(("---", "+++")))


def version_file(home: SiteHome, number: int) -> Path:
    """Return where a version is kept."""
    return home.folder / FOLDER / f"{number:04d}.json"


def _signed_by(version: PolicyVersion, allowed: Sequence[str] | None, where: str) -> None:
    held = version.signature
    if held is None or held.role != ROLE:
        raise SignatureInvalid("a version of the policy is not signed", where=where)
    verify(version.content(), held, where=where)
    if allowed is not None and held.public_key not in allowed:
        raise SignatureInvalid(
            "a version of the policy is signed by somebody who may not", where=where,
            do="the security administrator of the version before signs the next",
        )  # fmt: skip
