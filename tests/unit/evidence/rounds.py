"""Transcripts of private sums that were never run: every signature is genuine, no vector exists."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from fedvalue.planning.plan import Plan, PlannedRelease
from fedvalue.planning.terms import terms_of
from fedvalue.secure_sum import transcript
from fedvalue.secure_sum.record import Transcript
from fedvalue.secure_sum.specification import EpochSettings, RoundSpecification
from fedvalue.secure_sum.suite import Intl1
from fedvalue.secure_sum.transcript import RoundRef, SignedInput

SUITE = Intl1()
KeyOf = Callable[[str], Ed25519PrivateKey]
"""Gives a site's identity key."""


def digest(text: str) -> bytes:
    """Stands for the hash of something that does not exist."""
    return hashlib.sha256(text.encode()).digest()


def transcript_of(
    plan: Plan,
    release: PlannedRelease,
    total: NDArray[np.int64],
    survivors: Iterable[str],
    key_of: KeyOf,
    *,
    members: Iterable[str] | None = None,
    epoch: str = "0" * 32,
    number: int = 1,
    attempt: int = 1,
    last: bytes = transcript.NOTHING_BEFORE,
    public: bytes = b"",
    counters: Mapping[str, int] | None = None,
    settings: Callable[[EpochSettings], EpochSettings] = lambda honest: honest,
    signers: Iterable[str] | None = None,
) -> Transcript:
    """Sign a round as honest sites would.

    Args:
      plan: The plan.
      release: The release that the round opens.
      total: The published sum.
      survivors: Who delivered.
      key_of: The sites' keys.
      members: Who joined the epoch; the survivors if None.
      epoch: Epoch id.
      number: Round.
      attempt: Attempt at the release.
      last: Hash of the transcript before.
      public: The release's public numbers.
      counters: Ends of the sites' ledgers; 1 where nothing is said.
      settings: Changes the epoch's settings before anything is signed.
      signers: Who signs who delivered; the survivors if None.
    """
    limits, there = plan.thresholds, sorted(survivors)
    honest = EpochSettings(
        SUITE.name, epoch, plan.study_hash, plan.roster_hash, limits.sites, limits.answers,
        limits.colluding, 8,
    )  # fmt: skip
    terms = terms_of(plan, release).asked(public)
    joined = tuple(sorted(there if members is None else members))
    asked = RoundSpecification(settings(honest), number, attempt, terms, joined, public=public)
    keys = digest(f"keys of {epoch}")
    h = transcript.question_hash(SUITE, asked, keys, last)
    ref = RoundRef(SUITE.name, plan.study_hash, epoch, number, h)
    inputs = []
    for site in there:
        counter = (counters or {}).get(site, 1)
        entry = SignedInput(site, digest(f"vector {site}"), counter, digest(f"{site} {counter}"), b"")
        signed = SUITE.sign(key_of(site), transcript.INPUT, transcript.input_content(ref, entry))
        inputs.append(replace(entry, signature=signed))
    said = transcript.survivors_content(ref, there, transcript.input_list_hash(SUITE, ref, inputs))
    signatures = {
        site: SUITE.sign(key_of(site), transcript.SURVIVORS, said)
        for site in (there if signers is None else signers)
    }
    raw = total.astype("<i8").tobytes()
    return Transcript(asked, keys, last, h, tuple(inputs), signatures, SUITE.digest(raw))
