"""A coordinator that may send any site anything at any time, with honest messages to start from."""

from __future__ import annotations

from collections.abc import Iterable

from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum import transcript
from fedvalue.secure_sum.specification import RoundSpecification
from fedvalue.secure_sum.transcript import RoundRef, SignedInput
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.strategies.secure_aggregation.private_sum.gathering import begin
from tests.sum_federation import Asking

EPOCH = "e" * 32


class Attacker:
    """Holds an epoch that everybody joined."""

    def __init__(self, federation: Asking, *, epoch: str = EPOCH, rounds: int = 3) -> None:
        self.federation = federation
        self.suite, self.study_hash = federation.agreed.suite, federation.agreed.study_hash
        self.epoch = begin(federation.agreed, federation.exchange, epoch, rounds=rounds, refusals={})

    def specification(
        self, number: int = 1, *, label: str = "release-1", attempt: int = 1
    ) -> RoundSpecification:
        release = self.federation.agreed.release(label)
        return RoundSpecification(self.epoch.settings, number, attempt, release, self.epoch.members)

    def ref(self, own: RoundSpecification, last: bytes = transcript.NOTHING_BEFORE) -> RoundRef:
        question = transcript.question_hash(self.suite, own, self.epoch.keys.hash, last)
        return RoundRef(self.suite.name, self.study_hash, own.settings.epoch, own.number, question)

    def masked_request(
        self, own: RoundSpecification, last: pb.LastTranscript | None = None
    ) -> pb.MaskedRequest:
        return pb.MaskedRequest(
            specification=wire.specification_message(own),
            agreement=self.epoch.agreement.values(),
            last=last,
            question=self.ref(own, self.hash_of(last)).question,
        )

    def hash_of(self, last: pb.LastTranscript | None) -> bytes:
        if last is None:
            return transcript.NOTHING_BEFORE
        ref = RoundRef(self.suite.name, self.study_hash, last.epoch, last.round, last.question)
        return transcript.transcript_hash(self.suite, ref, last.survivors, last.inputs_hash)

    def vectors(
        self,
        own: RoundSpecification,
        sites: Iterable[str] | None = None,
        last: pb.LastTranscript | None = None,
    ) -> dict[str, SignedInput]:
        """Ask sites for masked vectors; return what they signed."""
        found = {}
        for site in sites or self.federation.names:
            reply = self.federation.ask(wire.MASKED, site, self.masked_request(own, last))
            digest = self.suite.digest(reply.vector)
            found[site] = SignedInput(site, digest, reply.ledger.counter, reply.ledger.head, reply.signature)
        return found

    def consistency_request(self, ref: RoundRef, inputs: Iterable[SignedInput]) -> pb.ConsistencyRequest:
        return pb.ConsistencyRequest(
            epoch=ref.epoch,
            study_hash=self.study_hash,
            round=ref.number,
            question=ref.question,
            inputs=[wire.input_message(entry) for entry in inputs],
        )

    def consistent(
        self, ref: RoundRef, inputs: dict[str, SignedInput], sites: Iterable[str] | None = None
    ) -> list[pb.SurvivorsSigned]:
        """Have sites sign that exactly these inputs were delivered."""
        request = self.consistency_request(ref, inputs.values())
        return [self.federation.ask(wire.CONSISTENCY, site, request) for site in sites or inputs]

    def unmask_request(
        self, ref: RoundRef, inputs: dict[str, SignedInput], signatures: Iterable[pb.SurvivorsSigned]
    ) -> pb.UnmaskRequest:
        return pb.UnmaskRequest(
            epoch=ref.epoch,
            study_hash=self.study_hash,
            round=ref.number,
            survivors=sorted(inputs),
            inputs_hash=transcript.input_list_hash(self.suite, ref, inputs.values()),
            signatures=signatures,
        )

    def last(
        self, ref: RoundRef, inputs: dict[str, SignedInput], signatures: Iterable[pb.SurvivorsSigned]
    ) -> pb.LastTranscript:
        return pb.LastTranscript(
            epoch=ref.epoch,
            round=ref.number,
            question=ref.question,
            survivors=sorted(inputs),
            inputs_hash=transcript.input_list_hash(self.suite, ref, inputs.values()),
            signatures=signatures,
        )

    def opened(self, number: int = 1, last: pb.LastTranscript | None = None) -> pb.LastTranscript:
        """Take everybody honestly through one round; return its transcript."""
        own = self.specification(number, label=f"release-{number}")
        ref = self.ref(own, self.hash_of(last))
        inputs = self.vectors(own, last=last)
        signatures = self.consistent(ref, inputs)
        for site in inputs:
            self.federation.ask(wire.UNMASK, site, self.unmask_request(ref, inputs, signatures))
        return self.last(ref, inputs, signatures)
