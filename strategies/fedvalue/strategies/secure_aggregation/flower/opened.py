"""Coordinator half of a run: label a round's messages, then open the sum of what the sites answered."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from numpy.typing import NDArray

from fedvalue.errors import (
    FederationError,
    ReleaseUnknown,
    ReplyInvalid,
    SiteRepeated,
    SurvivorsChanged,
    TooFewSites,
)
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum.specification import ReleaseTerms
from fedvalue.strategies.secure_aggregation.flower import records
from fedvalue.strategies.secure_aggregation.flower.quantized import Means, means_of
from fedvalue.strategies.secure_aggregation.flower.question import Question, Shaped, question_of
from fedvalue.strategies.secure_aggregation.flower.relay import Relay
from fedvalue.strategies.secure_aggregation.flower.terms import TRAIN, SecureTerms, UnsafeExactSum
from fedvalue.strategies.secure_aggregation.messages import Refused
from fedvalue.strategies.secure_aggregation.private_sum.gathering import NO_ANSWER
from fedvalue.strategies.secure_aggregation.private_sum.rounds import PrivateRounds

LOG = logging.getLogger("flwr")  # where Flower's round loop writes, so that both read as one
ARRAYS, METRICS = "arrays", "metrics"


@dataclass(frozen=True, slots=True)
class SecuredRound:
    """What is kept of one opened round.

    Attributes:
      label: ``train-N`` or ``evaluate-N``.
      attempt: Which attempt opened it, from 1.
      survivors: Sites whose answers are in the mean.
      examples: Sum of their numbers of examples.
      clipped: How many of their values lay outside of the terms' ranges.
      refusals: Site id, or ``node N``, to the code with which it fell out.
      transcript: Who delivered what, and who signed it.
    """

    label: str
    attempt: int
    survivors: tuple[str, ...]
    examples: int
    clipped: int
    refusals: Mapping[str, str]
    transcript: pb.Transcript


@dataclass(frozen=True, slots=True)
class Asked:
    """A question under way.

    Attributes:
      question: The question.
      shapes: Arrays of the model, in the order of coordinates.
      keys: Keys of the model, in its own order.
      message: One of the messages of the wrapped strategy.
      grid: Flower's grid.
    """

    question: Question
    shapes: tuple[Shaped, ...]
    keys: tuple[str, ...]
    message: Message
    grid: Grid


@dataclass(slots=True)
class SecuredSums:
    """Every sum of one run.

    Attributes:
      terms: The run's terms.
      noise: What the coordinator's owner allows.
      attempts: How often a sum is tried, at least 1.
      epoch_rounds: For how many sums keys are made at once, 1 to 64.
      step_seconds: Longest wait for one step of the private sum.
      rounds: What was opened, in order.
    """

    terms: SecureTerms
    noise: UnsafeExactSum
    attempts: int
    epoch_rounds: int
    step_seconds: float
    rounds: list[SecuredRound] = field(default_factory=list)
    _asked: Asked | None = None
    _relay: Relay | None = None
    _private: PrivateRounds | None = None
    _nodes: dict[str, int] = field(default_factory=dict)

    def label(self, label: str, messages: Iterable[Message], grid: Grid) -> list[Message]:
        """Label a round's messages, and remember what they ask.

        Args:
          label: ``train-N`` or ``evaluate-N``.
          messages: Of the wrapped strategy; none skips the round.
          grid: Flower's grid.

        Raises:
          FederationError: sites would be asked different things: their masks would not cancel.
          MessageInvalid: a message is not one model and its configuration.
        """
        labeled, self._asked = list(messages), None
        if not labeled:
            return labeled
        first = labeled[0]
        content = first.content
        question, shapes = question_of(label, first.metadata.message_type, content)
        for other in labeled[1:]:
            if other.content is not content and question != _question(label, other):
                raise FederationError(
                    "sites would get different models or configurations",
                    where=label,
                    do="a secured round asks every site the same; use a strategy that does",
                )
        (model,) = content.array_records.values()
        self._asked = Asked(question, shapes, tuple(model), first, grid)
        for message in labeled:
            message.content = records.with_ours(content, records.Ask(label))
        return labeled

    def open(self, replies: Iterable[Message]) -> list[Message]:
        """Open the sum of what the sites answered to the labeled messages.

        Args:
          replies: What the nodes said: whose answer is where.

        Returns:
          One reply with the weighted mean, as the wrapped strategy expects it from a site; none if the
          round was skipped.

        Raises:
          TooFewSites: fewer than t sites were left in every attempt.
          SurvivorsChanged: other sites than those of the run's first sum were left.
          FederationError: no site has an example.
        """
        asked = self._asked
        if asked is None:
            return []
        label, kind = asked.question.label, asked.message.metadata.message_type
        ready, refusals = self._ready(replies)
        self._nodes |= ready
        sites = [member.site for member in self.terms.membership().members]
        absent = {site: refusals.get(site, NO_ANSWER) for site in sites if site not in ready}
        self._require_enough(label, len(ready), absent | refusals)
        self._relay = Relay(asked.grid, kind, self.step_seconds, self._nodes, absent)
        found, attempt = self._attempted(label)
        means = means_of(self.terms, asked.question, asked.shapes, found.total)
        if means.clipped:
            LOG.warning(
                "%s: %d values lay outside of the terms' ranges and were clipped", label, means.clipped
            )
        self.rounds.append(
            SecuredRound(
                label,
                attempt,
                found.survivors,
                means.examples,
                means.clipped,
                {**refusals, **found.refusals},
                found.transcript,
            )
        )
        self._asked = None
        return [Message(self._content(asked, means), reply_to=asked.message)]

    def _ready(self, replies: Iterable[Message]) -> tuple[dict[str, int], dict[str, str]]:
        """Return site to node of the sites that hold an answer, and who said no with which code."""
        known = {node: site for site, node in self._nodes.items()}
        on_roster = {site.id for site in self.terms.roster.site}
        ready: dict[str, int] = {}
        refusals: dict[str, str] = {}
        for message in replies:
            if message.has_error():
                continue  # Flower's words about a node, sometimes under another node's id
            node = message.metadata.src_node_id
            who = known.get(node, f"node {node}")
            try:
                said = records.reply(message.content)
            except ReplyInvalid as error:
                LOG.warning("%s: %s", who, error)
                refusals[who] = error.code
                continue
            if isinstance(said, Refused):
                refusals[who] = said.code
            elif not isinstance(said, records.Ready) or said.site not in on_roster:
                refusals[who] = ReplyInvalid.code
            elif said.site in ready:
                refusals[said.site] = SiteRepeated.code
            else:
                ready[said.site] = node
        # Who of two that call themselves one site is right cannot be told here: neither is asked.
        return {s: node for s, node in ready.items() if refusals.get(s) != SiteRepeated.code}, refusals

    def _require_enough(self, label: str, count: int, refusals: Mapping[str, str]) -> None:
        limits = self.terms.membership().thresholds
        if count < limits.answers:
            raise TooFewSites(
                f"{count} of {limits.sites} sites hold an answer to {label}, {limits.answers} must",
                where=", ".join(f"{who}: {code}" for who, code in sorted(refusals.items())),
                do="look at the logs of the sites that are missing",
            )

    def _attempted(self, label: str) -> tuple[Opened, int]:
        if self._private is None:
            agreed = self.terms.agreed(self._release, self.noise)
            self._private = PrivateRounds(agreed, self._exchange, self.epoch_rounds)
        failure: TooFewSites | SurvivorsChanged = TooFewSites("no attempt was allowed", where=label)
        for attempt in range(1, self.attempts + 1):
            try:
                found = self._private.attempt(label, attempt)
            except TooFewSites as error:
                failure = error
                continue
            if found.total is not None and found.transcript is not None:
                return Opened(found.total, found.transcript, found.survivors, found.refusals), attempt
            failure = found.failure or failure
            if SurvivorsChanged.code in found.refusals.values():
                left = set(found.asked) - set(found.survivors)
                failure = SurvivorsChanged(
                    "a sum without noise was asked of other sites than the first one",
                    where=f"{label}, without {', '.join(sorted(left)) or 'a site of an earlier round'}",
                    do="wait for the missing sites, or begin a run of another name with those that remain",
                )
        raise failure

    def _exchange(self, step: str, requests: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | Refused]]:
        if self._relay is not None:
            yield from self._relay.exchange(step, requests)

    def _release(self, label: str) -> ReleaseTerms:
        if self._asked is None or self._asked.question.label != label:
            raise ReleaseUnknown("the label is not under way", where=label[:40])
        return self._asked.question.release(self.terms)

    def _content(self, asked: Asked, means: Means) -> RecordDict:
        metrics = MetricRecord({self.terms.weighted_by_key: means.examples})
        metrics.update(means.metrics)
        content = RecordDict({METRICS: metrics})
        if asked.question.kind == TRAIN:
            content[ARRAYS] = ArrayRecord({key: Array(np.asarray(means.arrays[key])) for key in asked.keys})
        return content


@dataclass(frozen=True, slots=True)
class Opened:
    """An attempt that succeeded.

    Attributes:
      total: The exact sum, shape ``(d,)``.
      transcript: Of the round.
      survivors: Sites whose vectors are in it.
      refusals: Site id to the code with which it fell out.
    """

    total: NDArray[np.int64]
    transcript: pb.Transcript
    survivors: tuple[str, ...]
    refusals: Mapping[str, str]


def _question(label: str, message: Message) -> Question:
    return question_of(label, message.metadata.message_type, message.content)[0]
