"""What is kept of an opened round, and how anybody who has the roster can check it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedvalue.errors import TranscriptInvalid
from fedvalue.secure_sum import transcript
from fedvalue.secure_sum.membership import Membership
from fedvalue.secure_sum.specification import RoundSpecification
from fedvalue.secure_sum.suite import CryptoSuite
from fedvalue.secure_sum.transcript import RoundRef, SignedInput


@dataclass(frozen=True, slots=True)
class Transcript:
    """One opened round.

    Attributes:
      specification: What was asked.
      key_list_hash: Of its epoch.
      last_hash: Hash of the transcript before, `transcript.NOTHING_BEFORE` in the first round.
      question: h.
      inputs: What each survivor signed with its masked vector, in the order of ids.
      signatures: Survivor to its signature over who delivered what.
      total_hash: Hash of the published sum's little-endian 64-bit words.
    """

    specification: RoundSpecification
    key_list_hash: bytes
    last_hash: bytes
    question: bytes
    inputs: tuple[SignedInput, ...]
    signatures: Mapping[str, bytes]
    total_hash: bytes

    def ref(self) -> RoundRef:
        """Return the name of its question."""
        at = self.specification.settings
        return RoundRef(at.suite, at.study_hash, at.epoch, self.specification.number, self.question)

    def survivors(self) -> tuple[str, ...]:
        """Return the sites whose vectors are in the sum, in the order of ids."""
        return tuple(sorted(entry.site for entry in self.inputs))

    def hash(self, suite: CryptoSuite) -> bytes:
        """Return the hash by which the next round refers to this one."""
        ref = self.ref()
        return transcript.transcript_hash(
            suite, ref, self.survivors(), transcript.input_list_hash(suite, ref, self.inputs)
        )

    def verify(self, suite: CryptoSuite, membership: Membership, total: bytes | None) -> None:
        """Check that at least t survivors signed exactly these inputs to exactly this question.

        It does not show that ``total`` is the sum of the inputs: the masks are gone. It fixes which signed
        inputs a wrong sum would have to be explained from.

        Args:
          suite: Crypto suite.
          membership: The approved roster and thresholds.
          total: The published sum as little-endian 64-bit words; None where only its hash is at hand.

        Raises:
          TranscriptInvalid: a hash, a signature, a site or a number does not hold.
          SiteNotOnRoster: a survivor is no member of the roster.
        """
        asked, limits = self.specification, membership.thresholds
        at, survivors = asked.settings, self.survivors()
        known = (suite.name, membership.roster_hash, limits.sites, limits.answers, limits.colluding)
        if (at.suite, at.roster_hash, at.sites, at.answers, at.colluding) != known:
            raise _invalid("it is of another roster, of other thresholds or of another suite")
        question = transcript.question_hash(suite, asked, self.key_list_hash, self.last_hash)
        if question != self.question:
            raise _invalid("its question does not follow from its specification")
        if len(set(survivors)) < len(survivors) or set(survivors) - set(asked.members):
            raise _invalid("its survivors are not members, or stand there twice")
        another = total is not None and suite.digest(total) != self.total_hash
        if len(survivors) < limits.answers or another:
            raise _invalid("it has too few survivors, or is of another sum")
        ref = self.ref()
        for entry in self.inputs:
            key, content = membership.require(entry.site).public_key, transcript.input_content(ref, entry)
            if not suite.verifies(key, transcript.INPUT, content, entry.signature):
                raise _invalid(f"the input of {entry.site} is not signed by it")
        inputs_hash = transcript.input_list_hash(suite, ref, self.inputs)
        content = transcript.survivors_content(ref, survivors, inputs_hash)
        signed = [
            site
            for site, signature in self.signatures.items()
            if site in survivors
            and suite.verifies(membership.require(site).public_key, transcript.SURVIVORS, content, signature)
        ]
        if len(signed) < limits.answers:
            raise _invalid(f"{len(signed)} survivors signed it, {limits.answers} must")


def _invalid(what: str) -> TranscriptInvalid:
    return TranscriptInvalid(f"the transcript does not hold: {what}", do="do not rely on the sum")
