"""Coordinator half of one round: fold masked vectors as they arrive, let the survivors sign, open the sum.

Memory is that of one sum and one reply, whatever the number of sites.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedvalue.errors import MessageUnsigned, Refusal, ReplyInvalid, ShareInvalid, TooFewSites
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum import masks, transcript
from fedvalue.secure_sum.specification import RoundSpecification
from fedvalue.secure_sum.transcript import RoundRef, SignedInput
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.strategies.secure_aggregation.private_sum.agreed import Agreed
from fedvalue.strategies.secure_aggregation.private_sum.gathering import (
    Exchange,
    OpenEpoch,
    asked,
    enough,
)
from fedvalue.strategies.secure_aggregation.private_sum.unmasking import Rebuilding, Revealed, take_off


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt at a sum.

    Attributes:
      total: The exact sum of the survivors' vectors modulo 2^64 as signed integers, shape ``(d,)``; None if
        the attempt failed.
      transcript: Of the opened round; None if the attempt failed.
      survivors: U3, the sites that delivered; the sum is of exactly these.
      refusals: Site id to the code with which it fell out, at any step.
      asked: Sites that were asked for a masked vector.
      signed: What at least t survivors signed, for the next round; None if fewer did.
      suspects: Sites that shared secrets which do not rebuild, or are proven to release wrong shares.
      failure: Why the attempt failed; None if it did not.
    """

    total: NDArray[np.int64] | None
    transcript: pb.Transcript | None
    survivors: tuple[str, ...]
    refusals: Mapping[str, str]
    asked: tuple[str, ...]
    signed: pb.LastTranscript | None
    suspects: frozenset[str]
    failure: TooFewSites | None


@dataclass(slots=True)
class OneRound:
    """A round under way; `run` is called once.

    Attributes:
      agreed: What the coordinator itself computes of the study.
      exchange: How requests reach the sites.
      epoch: The epoch.
      own: The round's specification.
      last_hash: Of the transcript before.
      last: That transcript.
      counters: Site id to the highest ledger counter that it has signed; None where sites keep no ledger.
      refusals: Site id to the code with which it fell out, before the round or in it.
      inputs: What each survivor signed with its vector.
      suspects: See `Attempted`.
      signed: See `Attempted`.
    """

    agreed: Agreed
    exchange: Exchange
    epoch: OpenEpoch
    own: RoundSpecification
    last_hash: bytes
    last: pb.LastTranscript | None
    counters: dict[str, int] | None = None
    refusals: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, SignedInput] = field(default_factory=dict)
    suspects: set[str] = field(default_factory=set)
    signed: pb.LastTranscript | None = None

    def run(self) -> Attempted:
        """Take the three steps of a round."""
        total: NDArray[np.int64] | None = None
        record: pb.Transcript | None = None
        failure: TooFewSites | None = None
        try:
            words = self._masked()
            self.signed = self._consistent()
            self._unmask(words, self.signed)
        except TooFewSites as error:
            failure = error
        else:
            total, record = masks.integers_of(words), self._transcript(self.signed, words)
        return Attempted(
            total, record, self._survivors(), self.refusals, tuple(self.epoch.agreement), self.signed,
            frozenset(self.suspects), failure,
        )  # fmt: skip

    def _ref(self) -> RoundRef:
        settings = self.epoch.settings
        return RoundRef(
            settings.suite, settings.study_hash, settings.epoch, self.own.number, self._question()
        )

    def _question(self) -> bytes:
        keys = self.epoch.keys.hash
        return transcript.question_hash(self.agreed.suite, self.own, keys, self.last_hash)

    def _survivors(self) -> tuple[str, ...]:
        return tuple(sorted(self.inputs))

    def _key(self, site: str) -> bytes:
        return self.agreed.membership.require(site).public_key

    def _masked(self) -> masks.Words:
        """Ask every member that joined for its vector; return the running sum."""
        suite, ref, d = self.agreed.suite, self._ref(), self.own.release.dimension
        request = pb.MaskedRequest(
            specification=wire.specification_message(self.own),
            agreement=self.epoch.agreement.values(),
            last=self.last,
            question=ref.question,
        ).SerializeToString()
        total = np.zeros(d, dtype=masks.WORD)
        requests = dict.fromkeys(self.epoch.agreement, request)
        for site, message in asked(self.exchange, wire.MASKED, requests, pb.MaskedInput, self.refusals):
            vector = message.vector
            end, signature = message.ledger, message.signature
            if len(vector) != total.nbytes:
                self.refusals[site] = ReplyInvalid.code
                continue
            entry = SignedInput(site, suite.digest(vector), end.counter, end.head, signature)
            if not entry.in_form() or not self._grew(entry):
                # Sites and evidence would refuse it later, when everybody has paid.
                self.refusals[site] = ReplyInvalid.code
                continue
            content = transcript.input_content(ref, entry)
            if not suite.verifies(self._key(site), transcript.INPUT, content, signature):
                self.refusals[site] = MessageUnsigned.code
                continue
            np.add(total, np.frombuffer(vector, dtype=masks.WORD), out=total)
            self.inputs[site] = entry
            if self.counters is not None:
                self.counters[site] = entry.ledger_counter
        enough(self.agreed, len(self.inputs), wire.MASKED, self.refusals)
        return total

    def _grew(self, entry: SignedInput) -> bool:
        """Tell whether a ledger has grown since its last vector, as a debit makes it."""
        return self.counters is None or entry.ledger_counter > self.counters.get(entry.site, 0)

    def _consistent(self) -> pb.LastTranscript:
        """Have the survivors sign who delivered."""
        suite, ref, survivors = self.agreed.suite, self._ref(), self._survivors()
        inputs_hash = transcript.input_list_hash(suite, ref, self.inputs.values())
        request = pb.ConsistencyRequest(
            epoch=ref.epoch,
            study_hash=ref.study_hash,
            round=ref.number,
            question=ref.question,
            inputs=[wire.input_message(self.inputs[site]) for site in survivors],
        ).SerializeToString()
        content = transcript.survivors_content(ref, survivors, inputs_hash)
        signatures = []
        requests = dict.fromkeys(survivors, request)
        for site, message in asked(
            self.exchange, wire.CONSISTENCY, requests, pb.SurvivorsSigned, self.refusals
        ):
            if suite.verifies(self._key(site), transcript.SURVIVORS, content, message.signature):
                signatures.append(message)
            else:
                self.refusals[site] = MessageUnsigned.code
        enough(self.agreed, len(signatures), wire.CONSISTENCY, self.refusals)
        return pb.LastTranscript(
            epoch=ref.epoch,
            round=ref.number,
            question=ref.question,
            survivors=survivors,
            inputs_hash=inputs_hash,
            signatures=sorted(signatures, key=lambda message: message.site),
        )

    def _unmask(self, total: masks.Words, signed: pb.LastTranscript) -> None:
        """Ask those who signed for their shares, and take the masks off the sum in place."""
        ref, survivors = self._ref(), self._survivors()
        lost = tuple(site for site in self.epoch.members if site not in self.inputs)
        request = pb.UnmaskRequest(
            epoch=ref.epoch,
            study_hash=ref.study_hash,
            round=ref.number,
            survivors=survivors,
            inputs_hash=signed.inputs_hash,
            signatures=signed.signatures,
        ).SerializeToString()
        requests = {message.site: request for message in signed.signatures}
        revealed: dict[str, Revealed] = {}
        for site, message in asked(self.exchange, wire.UNMASK, requests, pb.RevealedShares, self.refusals):
            try:
                revealed[site] = self._revealed(ref, message, survivors, lost)
            except (Refusal, ReplyInvalid) as error:
                self.refusals[site] = error.code
        enough(self.agreed, len(revealed), wire.UNMASK, self.refusals)
        rebuilding = Rebuilding(
            self.epoch.settings.answers, self.agreed.membership.points(), sorted(revealed)
        )
        try:
            take_off(
                self.agreed.suite,
                self.epoch.keys,
                number=ref.number,
                question=ref.question,
                survivors=survivors,
                lost=lost,
                revealed=revealed,
                rebuilding=rebuilding,
                total=total,
            )
        except ShareInvalid as error:
            if len(rebuilding.holders) > rebuilding.threshold:
                # With holders to spare it is the owner who is in doubt, not one of the holders.
                self.suspects.add(error.where)
            raise TooFewSites(
                "the shares of a site's secret do not give it", where=error.where, do="try another epoch"
            ) from error
        finally:
            # Noted here, left out later only if no coalition of owners could have framed it.
            self.suspects |= rebuilding.proven(self.agreed.membership.thresholds.colluding)
            self.refusals |= dict.fromkeys(rebuilding.accused, ShareInvalid.code)

    def _revealed(
        self,
        ref: RoundRef,
        message: pb.RevealedShares,
        survivors: tuple[str, ...],
        lost: tuple[str, ...],
    ) -> Revealed:
        self_masks = wire.shares_of(message.self_masks, message.site)
        mask_keys = wire.shares_of(message.mask_keys, message.site)
        content = transcript.revealed_content(ref, message.site, self_masks, mask_keys)
        if not self.agreed.suite.verifies(
            self._key(message.site), transcript.REVEALED, content, message.signature
        ):
            raise MessageUnsigned("released shares are not signed", where=message.site)
        if set(self_masks) != set(survivors) or set(mask_keys) != set(lost):
            raise ReplyInvalid("a site released other shares than those of the round", where=message.site)
        return Revealed(self_masks, mask_keys)

    def _transcript(self, signed: pb.LastTranscript, words: masks.Words) -> pb.Transcript:
        return pb.Transcript(
            specification=wire.specification_message(self.own),
            key_list_hash=self.epoch.keys.hash,
            last_hash=self.last_hash,
            question=signed.question,
            inputs=[wire.input_message(self.inputs[site]) for site in self._survivors()],
            signatures=signed.signatures,
            total_hash=self.agreed.suite.digest(words.tobytes()),
        )
