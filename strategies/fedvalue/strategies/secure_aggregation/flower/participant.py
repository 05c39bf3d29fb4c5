"""One site of a secured run, as long as its process lives: the answer it holds, and its part in the sums.

A ClientApp may be a new process for every message; this object must not be, because the secrets of an epoch
are in it. A ClientApp reaches it through one callable, ``answer(step, payload)``: a method of this object
in the same process, or a call to the long-lived node of the site.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from fedvalue.errors import (
    AttemptTaken,
    MessageInvalid,
    NotApproved,
    PolicyForbids,
    ReleaseUnknown,
    StepOutOfOrder,
)
from fedvalue.secure_sum.specification import ReleaseTerms, RoundSpecification
from fedvalue.secure_sum.suite import Entropy, Identity
from fedvalue.strategies.secure_aggregation.flower.quantized import require_in_ring
from fedvalue.strategies.secure_aggregation.flower.question import Question
from fedvalue.strategies.secure_aggregation.flower.terms import SecureTerms, UnsafeExactSum
from fedvalue.strategies.secure_aggregation.messages import WORD
from fedvalue.strategies.secure_aggregation.private_sum.agreed import Agreed, ChargedShare
from fedvalue.strategies.secure_aggregation.private_sum.journal import Journal, LedgerEnd
from fedvalue.strategies.secure_aggregation.private_sum.site import SiteProtocol

Answer = Callable[[str, bytes], bytes]
"""``(step, payload)``: a site's answer to one step; raises a `Refusal`, of which only the code may leave."""

PROPOSE, OFFER = "propose", "offer"
"""Steps between a ClientApp and its node, before those of the private sum; never from a coordinator."""

NO_LEDGER = LedgerEnd(0, bytes(32))


@dataclass(slots=True)
class Held:
    """The one question under way at a site.

    Attributes:
      question: What is asked.
      vector: The site's answer in integers of the ring, shape ``(d,)``; None until it is offered.
      attempts: Attempts at the sum that it was given to.
    """

    question: Question
    vector: NDArray[np.int64] | None = field(default=None, repr=False)
    attempts: set[int] = field(default_factory=set)


@final
class Participant:
    """Answers every step of one site in one run.

    A label is asked once, and only with a number above the last one of its kind: nobody has two vectors
    of a site under one label.
    """

    def __init__(
        self,
        site: str,
        identity: Identity,
        terms: SecureTerms,
        noise: UnsafeExactSum | None,
        journal: Journal,
        *,
        entropy: Entropy = os.urandom,
    ) -> None:
        """A site that has answered nothing yet.

        Args:
          site: This site's id.
          identity: Its signing key.
          terms: The run's terms, from the site's own copy.
          noise: None refuses every sum without noise, and there are no others yet.
          journal: Durable memory of what may be said once only.
          entropy: Where secrets come from.

        Raises:
          SiteNotOnRoster: the terms' roster holds no such site.
        """
        self._site, self._terms, self._noise = site, terms, noise
        self._agreed = terms.agreed(self._release, noise)
        self._agreed.membership.require(site)
        self._protocol = SiteProtocol(
            site, identity, self._approved, self._contribute, journal, entropy=entropy
        )
        self._held: Held | None = None
        self._latest: dict[str, int] = {}
        self._lock = threading.Lock()

    def answer(self, step: str, payload: bytes) -> bytes:
        """Answer one step of the ClientApp or of the private sum.

        Args:
          step: `PROPOSE` with a packed question before its data are touched; `OFFER` with a packed
            question, a line break and the vector; or one of `wire.REQUESTS`.
          payload: The request.

        Returns:
          The site's id for the first two, else the reply of the private sum.

        Raises:
          Refusal: the step is not taken; its code says why.
        """
        if step == PROPOSE:
            return self._propose(Question.unpack(payload))
        if step == OFFER:
            packed, _, words = payload.partition(b"\n")
            return self._offer(Question.unpack(packed), words)
        return self._protocol.answer(step, payload)

    def _propose(self, question: Question) -> bytes:
        if self._noise is None:
            raise PolicyForbids(
                "a sum without noise is not allowed here",
                where=question.label,
                do="give the site UnsafeExactSum() if its owner accepts what an exact sum may tell",
            )
        with self._lock:
            if question.number <= self._latest.get(question.kind, 0):
                raise AttemptTaken("this label, or a later one, was asked before", where=question.label)
            self._latest[question.kind] = question.number
            self._held = Held(question)
        return self._site.encode()

    def _offer(self, question: Question, words: bytes) -> bytes:
        if len(words) % np.dtype(WORD).itemsize:
            raise MessageInvalid("a vector has 8 bytes a coordinate")
        vector = np.frombuffer(words, dtype=WORD).astype(np.int64)
        require_in_ring(self._terms, question, vector)
        with self._lock:
            held = self._held
            if held is None or held.question != question or held.vector is not None:
                raise StepOutOfOrder("no such question waits for an answer", where=question.label)
            held.vector = vector
        return self._site.encode()

    def _approved(self, digest: str) -> Agreed:
        if digest != self._agreed.study_hash:
            raise NotApproved("the coordinator's terms are not those of this site", do="compare SecureTerms")
        return self._agreed

    def _release(self, label: str) -> ReleaseTerms:
        with self._lock:
            return self._answered(label).question.release(self._terms)

    def _answered(self, label: str) -> Held:
        held = self._held
        if held is None or held.question.label != label or held.vector is None:
            raise ReleaseUnknown("this site holds no answer to the label", where=label[:40])
        return held

    def _contribute(self, specification: RoundSpecification, _: bytes) -> ChargedShare:
        with self._lock:
            held = self._answered(specification.release.label)
            if specification.attempt in held.attempts or held.vector is None:
                raise AttemptTaken("the attempt was made before", where=specification.release.label)
            held.attempts.add(specification.attempt)
            return ChargedShare(held.vector, NO_LEDGER)
