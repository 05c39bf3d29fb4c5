"""Coordinator half, round after round: epochs are begun as they are needed, and no round is used twice.

An attempt that fails is never repeated: the next one is a new round of a new epoch, with new keys, fresh
noise and a new debit at every site.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from fedvalue.errors import EpochUnknown, SiteClosed, TooFewSites
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum import transcript
from fedvalue.secure_sum.specification import MAX_ROUNDS, RoundSpecification
from fedvalue.secure_sum.suite import Entropy
from fedvalue.secure_sum.transcript import RoundRef
from fedvalue.strategies.secure_aggregation.private_sum.agreed import Agreed
from fedvalue.strategies.secure_aggregation.private_sum.gathering import Exchange, OpenEpoch, begin
from fedvalue.strategies.secure_aggregation.private_sum.one_round import Attempted, OneRound
from fedvalue.strategies.secure_aggregation.private_sum.receipts import reopen

EPOCH_TRIES = 2
"""How often an epoch is begun before too few sites are said to be there; nothing is charged by it."""


@dataclass(slots=True)
class PrivateRounds:
    """Opens sums of one study.

    Attributes:
      agreed: What the coordinator itself computes of the study.
      exchange: How requests reach the sites.
      rounds: Rounds to make keys for in an epoch, 1 to 64.
      entropy: Draws epoch ids.
      suspects: Sites whose shares did not hold; they are left out of later epochs.
      last: The last transcript with at least t survivors' signatures.
      counters: Site id to the highest ledger counter that it has signed; None where sites keep no ledger.
    """

    agreed: Agreed
    exchange: Exchange
    rounds: int = MAX_ROUNDS
    entropy: Entropy = os.urandom
    suspects: set[str] = field(default_factory=set)
    last: pb.LastTranscript | None = None
    counters: dict[str, int] | None = None
    _epoch: OpenEpoch | None = None
    _number: int = 0
    _outside: dict[str, str] = field(default_factory=dict)

    def attempt(self, label: str, attempt: int, public: bytes = b"") -> Attempted:
        """Ask the sites for one sum, in a round that was never used.

        Args:
          label: Of the release.
          attempt: From 1; each number is asked once.
          public: The release's public numbers.

        Raises:
          ReleaseUnknown: there is no such release.
          SpecificationDiffers: it takes other public numbers.
          TooFewSites: no epoch with at least t sites could be begun; nothing was charged.
        """
        release = self.agreed.release(label).asked(public)
        if self._epoch is None or self._number >= self._epoch.settings.rounds:
            self._epoch, self._number = self._begun(), 0
        epoch = self._epoch
        self._number += 1
        own = RoundSpecification(epoch.settings, self._number, attempt, release, epoch.members, public=public)
        found = OneRound(
            self.agreed,
            self.exchange,
            epoch,
            own,
            self._last_hash(),
            self.last,
            self.counters,
            dict(self._outside),
        ).run()
        self.last = found.signed or self.last
        self.suspects |= found.suspects
        if found.failure is not None or EpochUnknown.code in found.refusals.values():
            # A site that has restarted can join the next epoch; a failed round leaves its epoch in doubt.
            self._epoch = None
        return found

    def _begun(self) -> OpenEpoch:
        for remaining in reversed(range(EPOCH_TRIES)):
            self._outside, failure = {}, TooFewSites("no epoch was begun")
            found: OpenEpoch | None = None
            try:
                found = begin(
                    self.agreed,
                    self.exchange,
                    self.entropy(16).hex(),
                    rounds=self.rounds,
                    without=frozenset(self.suspects),
                    refusals=self._outside,
                )
            except TooFewSites as error:
                failure = error
            closed = [site for site, code in self._outside.items() if code == SiteClosed.code]
            if closed and remaining and set(reopen(self.agreed, self.exchange, closed)) != set(closed):
                # Sites that had been started have their receipts now: begin again, with them.
                continue
            if found is not None:
                return found
        raise failure

    def _last_hash(self) -> bytes:
        if self.last is None:
            return transcript.NOTHING_BEFORE
        suite, last = self.agreed.suite, self.last
        ref = RoundRef(suite.name, self.agreed.study_hash, last.epoch, last.round, last.question)
        return transcript.transcript_hash(suite, ref, last.survivors, last.inputs_hash)
