"""The transcript of a private sum as an evidence package carries it: who delivered what, and who signed it.

What the sites were asked is not in it. It is computed again from the plan, so that a transcript of
another question does not verify, whatever the coordinator writes beside it.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from fedvalue.analyses.estimate import Value
from fedvalue.errors import EvidenceError
from fedvalue.evidence.fields import Digest, Hex, Label
from fedvalue.planning.plan import Plan, PlannedRelease
from fedvalue.planning.terms import terms_of
from fedvalue.secure_sum import record
from fedvalue.secure_sum.specification import MAX_ROUNDS, EpochSettings, RoundSpecification
from fedvalue.secure_sum.suite import CryptoSuite, Intl1
from fedvalue.secure_sum.transcript import SignedInput


class InputRecord(Value):
    """What one survivor signed with its masked vector; the vector itself is kept by nobody.

    Attributes:
      site: The site.
      vector_hash: Hash of the masked vector.
      ledger_counter: Number of the last entry of the site's ledger, after the debit.
      ledger_head: Hash of that entry.
      signature: By the site's identity key, over the question and all of the above.
    """

    site: Label
    vector_hash: Digest
    ledger_counter: int = Field(ge=0)
    ledger_head: Digest
    signature: Hex


class SurvivorSignature(Value):
    """One survivor's signature over who delivered which inputs.

    Attributes:
      site: The survivor.
      signature: By its identity key.
    """

    site: Label
    signature: Hex


class TranscriptRecord(Value):
    """One opened round of the private sum.

    Attributes:
      suite: Name of the crypto suite of hashes and signatures.
      epoch: Epoch id, 32 hexadecimal digits.
      rounds: R, for how many rounds the epoch made keys.
      number: Round, from 1 to R.
      attempt: Which attempt at the release this round was, from 1.
      members: Sites that held each other's shares, in the order of ids.
      key_list_hash: Hash of the epoch's public keys.
      last_hash: Hash of the transcript before, zeros in the first round.
      question: h, the hash of everything that the sites were asked.
      inputs: What each survivor signed with its masked vector, in the order of ids.
      signatures: The survivors' signatures over all inputs together, in the order of ids.
      total_hash: Hash of the released sum's little-endian 64-bit words.
    """

    suite: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,19}$")]
    epoch: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    rounds: int = Field(ge=1, le=MAX_ROUNDS)
    number: int = Field(ge=1, le=MAX_ROUNDS)
    attempt: int = Field(ge=1)
    members: tuple[Label, ...] = Field(min_length=1)
    key_list_hash: Digest
    last_hash: Digest
    question: Digest
    inputs: tuple[InputRecord, ...] = Field(min_length=1)
    signatures: tuple[SurvivorSignature, ...]
    total_hash: Digest

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        for sites in (self.members, self.survivors, tuple(signed.site for signed in self.signatures)):
            if list(sites) != sorted(set(sites)):
                raise ValueError("sites stand once, in the order of their ids")
        if self.number > self.rounds:
            raise ValueError("the epoch has no such round")
        return self

    @property
    def survivors(self) -> tuple[str, ...]:
        """Sites whose vectors are in the sum, in the order of ids."""
        return tuple(entry.site for entry in self.inputs)

    @classmethod
    def of(cls, opened: record.Transcript) -> Self:
        """Return the form of an opened round's transcript that a package carries."""
        asked = opened.specification
        return cls(
            suite=asked.settings.suite,
            epoch=asked.settings.epoch,
            rounds=asked.settings.rounds,
            number=asked.number,
            attempt=asked.attempt,
            members=asked.members,
            key_list_hash=opened.key_list_hash.hex(),
            last_hash=opened.last_hash.hex(),
            question=opened.question.hex(),
            inputs=tuple(
                InputRecord(
                    site=entry.site,
                    vector_hash=entry.vector_hash.hex(),
                    ledger_counter=entry.ledger_counter,
                    ledger_head=entry.ledger_head.hex(),
                    signature=entry.signature.hex(),
                )
                for entry in sorted(opened.inputs, key=lambda entry: entry.site)
            ),
            signatures=tuple(
                SurvivorSignature(site=site, signature=signature.hex())
                for site, signature in sorted(opened.signatures.items())
            ),
            total_hash=opened.total_hash.hex(),
        )

    def crypto_suite(self) -> CryptoSuite:
        """Return the suite that the transcript names.

        Raises:
          EvidenceError: this version does not know it.
        """
        suite = Intl1()
        if self.suite != suite.name:
            raise EvidenceError(
                f"the crypto suite {self.suite!r} is unknown here", do="check with the version that made it"
            )
        return suite

    def transcript(self, plan: Plan, release: PlannedRelease, public: bytes = b"") -> record.Transcript:
        """Return the transcript, its question taken from the plan; `record.Transcript.verify` checks it.

        Args:
          plan: The plan, computed again from study and roster.
          release: The release of the plan that the round is said to have opened.
          public: The release's public numbers.

        Raises:
          SpecificationDiffers: the release takes other public numbers.
        """
        limits = plan.thresholds
        settings = EpochSettings(
            self.suite, self.epoch, plan.study_hash, plan.roster_hash, limits.sites, limits.answers,
            limits.colluding, self.rounds,
        )  # fmt: skip
        terms = terms_of(plan, release).asked(public)
        asked = RoundSpecification(settings, self.number, self.attempt, terms, self.members, public=public)
        return record.Transcript(
            asked,
            bytes.fromhex(self.key_list_hash),
            bytes.fromhex(self.last_hash),
            bytes.fromhex(self.question),
            tuple(
                SignedInput(
                    entry.site,
                    bytes.fromhex(entry.vector_hash),
                    entry.ledger_counter,
                    bytes.fromhex(entry.ledger_head),
                    bytes.fromhex(entry.signature),
                )
                for entry in self.inputs
            ),
            {signed.site: bytes.fromhex(signed.signature) for signed in self.signatures},
            bytes.fromhex(self.total_hash),
        )
