"""What is hashed and signed in a private sum: one function an object, canonical bytes only.

A signature is always over the content that the verifier builds from what it knows itself, never over
bytes that came with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fedvalue.secure_sum.encoding import Value, encode
from fedvalue.secure_sum.specification import EpochSettings, RoundSpecification
from fedvalue.secure_sum.suite import CryptoSuite

KEYS, MEMBERS, INPUT, SURVIVORS, REVEALED = "keys", "members", "input", "survivors", "revealed"
"""Purposes of signatures; one made for one purpose is worth nothing for another."""

NOTHING_BEFORE = bytes(32)
"""Stands for the last transcript in the first round."""

HASH_BYTES = 32
MOST_ENTRIES = 2**53
"""No ledger has so many: above it, JSON readers round a counter, and databases refuse it."""


@dataclass(frozen=True, slots=True)
class RoundRef:
    """Names one question.

    Attributes:
      suite: Name of the crypto suite.
      study_hash: SHA-256 of the study, 64 hexadecimal digits.
      epoch: Epoch id.
      number: Round.
      question: h, 32 bytes.
    """

    suite: str
    study_hash: str
    epoch: str
    number: int
    question: bytes

    def canonical(self) -> bytes:
        """Return the bytes that stand under every signature of the round."""
        return encode("question", self.suite, self.study_hash, self.epoch, self.number, self.question)


@dataclass(frozen=True, slots=True)
class SignedInput:
    """What a site signs with its masked vector.

    Attributes:
      site: Site id.
      vector_hash: Hash of the vector's bytes, 32 bytes.
      ledger_counter: Number of the last entry of the site's ledger.
      ledger_head: Hash of that entry.
      signature: By the site, over `input_content`.
    """

    site: str
    vector_hash: bytes
    ledger_counter: int
    ledger_head: bytes
    signature: bytes

    def in_form(self) -> bool:
        """Tell whether hashes and counter are such as peers and evidence can keep.

        A site may sign anything; what a peer cannot store would cost everybody the round, and what a
        package cannot hold would cost everybody the study, after all have paid.
        """
        hashes = (self.vector_hash, self.ledger_head)
        return all(len(h) == HASH_BYTES for h in hashes) and 0 <= self.ledger_counter < MOST_ENTRIES


def question_hash(
    suite: CryptoSuite, specification: RoundSpecification, key_list_hash: bytes, last_transcript: bytes
) -> bytes:
    """Return h of a round: everything that fixes what the sites are asked.

    Args:
      suite: Hashes.
      specification: It holds the roster's hash.
      key_list_hash: Of the epoch.
      last_transcript: Hash of the last transcript with at least t survivors' signatures, or
        `NOTHING_BEFORE`.
    """
    return suite.digest(encode("h", specification.canonical(), key_list_hash, last_transcript))


def members_content(settings: EpochSettings, members: Iterable[str], key_list_hash: bytes) -> bytes:
    """Return what a site signs to join: it sees these members and this key list."""
    return encode(settings.canonical(), sorted(members), key_list_hash)


def input_content(ref: RoundRef, entry: SignedInput) -> bytes:
    """Return what a site signs with its masked vector; the signature itself is left out."""
    return encode(ref.canonical(), entry.site, entry.vector_hash, entry.ledger_counter, entry.ledger_head)


def input_list_hash(suite: CryptoSuite, ref: RoundRef, inputs: Iterable[SignedInput]) -> bytes:
    """Return the hash of all signed inputs of a round, in the order of site ids."""
    ordered = sorted(inputs, key=lambda entry: entry.site)
    return suite.digest(encode("inputs", [input_content(ref, entry) for entry in ordered]))


def survivors_content(ref: RoundRef, survivors: Iterable[str], inputs_hash: bytes) -> bytes:
    """Return what each survivor signs, once a round: these sites delivered these inputs."""
    return encode(ref.canonical(), sorted(survivors), inputs_hash)


def transcript_hash(suite: CryptoSuite, ref: RoundRef, survivors: Iterable[str], inputs_hash: bytes) -> bytes:
    """Return the hash that names a round's transcript, whichever of its signatures one holds."""
    return suite.digest(encode("transcript", survivors_content(ref, survivors, inputs_hash)))


def revealed_content(
    ref: RoundRef, site: str, self_masks: Mapping[str, bytes], mask_keys: Mapping[str, bytes]
) -> bytes:
    """Return what a site signs with the shares that it releases."""
    return encode(ref.canonical(), site, _pairs(self_masks), _pairs(mask_keys))


def _pairs(shares: Mapping[str, bytes]) -> list[list[Value]]:
    return [[site, shares[site]] for site in sorted(shares)]
