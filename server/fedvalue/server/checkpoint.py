"""What a coordinator keeps of each opened release: a study that is killed goes on, and pays nothing twice.

A release is written before the next one is asked, whole or not at all, and signed by the coordinator. It is
believed again only if this coordinator signed it, it is of this study, roster and plan, and its transcript
still holds: whoever changes the folder gains nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray
from pydantic import Field

from fedvalue.analyses.analysis import NoisyBlock, NoisySum
from fedvalue.analyses.estimate import Value
from fedvalue.errors import EvidenceError, FedValueError, OutputError, SignatureInvalid
from fedvalue.evidence import documents
from fedvalue.evidence.opened import public_numbers
from fedvalue.evidence.package import ReleaseRecord
from fedvalue.evidence.statements import vector_digest
from fedvalue.planning.plan import Plan, PlannedRelease
from fedvalue.planning.terms import membership_of
from fedvalue.study.approval import Approval
from fedvalue.study.roster import Roster
from fedvalue.study.signature import Signature, public_hex, sign, verify

FOLDER = "checkpoint"
ROLE = "coordinator"


class Kept(Value):
    """One opened release.

    Attributes:
      study_hash: Of the study.
      roster_hash: Of the roster.
      record: As the evidence will hold it.
      charged: Site id to the attempts that its ledger may have been debited for.
      approvals: Of the officers whose sites took part, so that the evidence can show them.
      signature: The coordinator's, over all of it; the record holds the digest of the sum.
    """

    study_hash: str
    roster_hash: str
    record: ReleaseRecord
    charged: dict[str, int] = Field(default_factory=dict)
    approvals: tuple[Approval, ...] = ()
    signature: Signature | None = None

    def content(self) -> dict[str, str]:
        """Return what is signed."""
        whole = self.model_dump(mode="json", exclude={"signature"})
        return {"checkpoint": hashlib.sha256(rfc8785.dumps(whole)).hexdigest()}

    def signed(self, key: Ed25519PrivateKey) -> Kept:
        """Return it with the coordinator's signature."""
        return self.model_copy(update={"signature": sign(self.content(), key, ROLE)})

    def require_signed(self, public_key: str, *, where: str) -> None:
        """Check that the coordinator with this key signed it.

        Raises:
          EvidenceError: unsigned, changed, or signed by another.
        """
        another = EvidenceError(
            "the checkpoint is not signed by this coordinator",
            where=where,
            do="begin in another folder, or give the key that began there",
        )
        if self.signature is None or self.signature.role != ROLE:
            raise another
        try:
            verify(self.content(), self.signature, where=where, public_key=public_key)
        except SignatureInvalid as error:
            raise another from error


@dataclass(frozen=True, slots=True)
class Done:
    """An opened release with its sum.

    Attributes:
      kept: What is kept of it.
      total: The released sum in ring units, shape ``(dimension,)``.
    """

    kept: Kept
    total: NDArray[np.int64]

    def blocks(self, release: PlannedRelease) -> NoisySum:
        """Return every block by its full name."""
        shares = len(self.kept.record.answered)
        variance = release.noise_variance(shares)
        return {
            name: NoisyBlock(self.total[where], gamma, variance, shares)
            for name, (where, gamma) in release.slices().items()
        }


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder of opened releases.

    Attributes:
      folder: Made with the first release.
      key: The coordinator's; None signs nothing and asks for no signature.
    """

    folder: Path
    key: Ed25519PrivateKey | None = None

    def save(self, done: Done) -> None:
        """Keep a release; on the disk when this returns.

        Raises:
          OutputError: the folder cannot be written.
        """
        label = done.kept.record.label
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = self.folder / f".{label}.npy.part"
            with partial.open("wb") as file:
                np.save(file, done.total)
            partial.replace(self.folder / f"{label}.npy")
        except OSError as error:
            raise OutputError(
                f"the checkpoint cannot be written: {error.strerror}", where=str(self.folder)
            ) from error
        kept = done.kept if self.key is None else done.kept.signed(self.key)
        documents.write(kept, self.folder / f"{label}.json")

    def load(self, plan: Plan, roster: Roster) -> Mapping[str, Done]:
        """Return the releases of this plan that were opened before, by label.

        Raises:
          EvidenceError: the folder holds a release of another study or roster, or one that does not hold.
        """
        found: dict[str, Done] = {}
        for release in plan.releases:
            path = self.folder / f"{release.label}.json"
            if not path.is_file():
                continue
            kept = documents.parse(Kept, documents.read_bytes(path), where=str(path))
            if self.key is not None:
                kept.require_signed(public_hex(self.key), where=str(path))
            if (kept.study_hash, kept.roster_hash) != (plan.study_hash, plan.roster_hash):
                raise EvidenceError(
                    "the checkpoint is of another study or roster",
                    where=str(path),
                    do="give another folder, or the study that was begun there",
                )
            found[release.label] = _checked(kept, release, plan, roster, path)
        return found


def _checked(kept: Kept, release: PlannedRelease, plan: Plan, roster: Roster, path: Path) -> Done:
    try:
        total = np.load(path.with_suffix(".npy"), allow_pickle=False)
    except (OSError, ValueError) as error:
        raise EvidenceError("the sum of the checkpoint cannot be read", where=str(path)) from error
    record = kept.record
    if (
        total.dtype != np.int64
        or total.shape != (release.dimension,)
        or vector_digest(total) != record.total_digest
        or record.label != release.label
        or record.transcript is None
    ):
        raise EvidenceError("the checkpoint is damaged", where=str(path), do="begin in another folder")
    try:
        shown = record.transcript.transcript(plan, release, public_numbers(record))
        words = total.astype("<i8").tobytes()
        shown.verify(record.transcript.crypto_suite(), membership_of(roster, plan), words)
    except FedValueError as error:
        raise EvidenceError(f"the checkpoint does not hold: {error.what}", where=str(path)) from error
    return Done(kept, total)
