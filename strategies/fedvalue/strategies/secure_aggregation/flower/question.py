"""What one secured round asks: computed by the coordinator and by each site from the same Flower message.

The hash of model and configuration enters every mask, so that sites that were shown different models give
vectors whose sum is noise.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from fedvalue.errors import MessageInvalid
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.secure_sum.encoding import Value, encode
from fedvalue.secure_sum.specification import BlockTerms, ReleaseTerms
from fedvalue.strategies.secure_aggregation.flower.terms import EVALUATE, TRAIN, SecureTerms

LABEL = re.compile(rf"({TRAIN}|{EVALUATE})-([1-9][0-9]{{0,8}})")
HASH = re.compile(r"[0-9a-f]{64}")
HEADER = 2
"""Coordinates before the metrics: the number of examples, and how many values were clipped."""

MOST_PARAMETERS = 2**31


@dataclass(frozen=True, slots=True)
class Shaped:
    """One array of a model.

    Attributes:
      name: Its key in the record.
      shape: Its shape.
      dtype: Its numpy type, as text.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Question:
    """One secured round of training or evaluation.

    Attributes:
      label: ``train-N`` or ``evaluate-N``, N counted from 1.
      query: SHA-256 of model, configuration and message type, 64 hexadecimal digits.
      parameters: Values of the model that are averaged; 0 when evaluating.
    """

    label: str
    query: str
    parameters: int

    def __post_init__(self) -> None:
        """Refuse a question that no honest coordinator asks.

        Raises:
          MessageInvalid: label, hash or size is none.
        """
        if (
            LABEL.fullmatch(self.label) is None
            or HASH.fullmatch(self.query) is None
            or not 0 <= self.parameters <= MOST_PARAMETERS
            or (self.kind == EVALUATE and self.parameters)
        ):
            raise MessageInvalid("a question has a label, a hash and a size", where=self.label[:40])

    @property
    def kind(self) -> str:
        """``train`` or ``evaluate``."""
        return self.label.partition("-")[0]

    @property
    def number(self) -> int:
        """The round's number, from 1."""
        return int(self.label.partition("-")[2])

    def release(self, terms: SecureTerms) -> ReleaseTerms:
        """Return the question as the private sum asks it; a sum of it has no noise."""
        gamma, metrics = str(2**terms.fraction_bits), len(terms.metrics(self.kind))
        sizes = (("examples", 1, "1"), ("clipped", 1, "1"), ("metrics", metrics, gamma))
        blocks = tuple(
            BlockTerms(f"{self.label}/{name}", size, "0", "0", scale)
            for name, size, scale in (*sizes, ("parameters", self.parameters, gamma))
        )
        dimension = sum(block.dimension for block in blocks)
        return ReleaseTerms(self.label, (self.kind,), self.query, dimension, LOG2_SCALE, True, blocks)

    def pack(self) -> bytes:
        """Return it as bytes, for a node in another process."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def unpack(cls, payload: bytes) -> Question:
        """Read what `pack` made.

        Raises:
          MessageInvalid: it does not parse.
        """
        try:
            found = json.loads(payload)
            label, query, parameters = found["label"], found["query"], found["parameters"]
        except (ValueError, KeyError, TypeError) as error:
            raise MessageInvalid("a question does not parse") from error
        if [type(label), type(query), type(parameters), len(found)] != [str, str, int, 3]:
            raise MessageInvalid("a question does not parse")
        return cls(label, query, parameters)


def question_of(label: str, message_type: str, content: RecordDict) -> tuple[Question, tuple[Shaped, ...]]:
    """Return the question of a Flower message, and the arrays that answers to it have.

    Args:
      label: ``train-N`` or ``evaluate-N``.
      message_type: Of the message; its category must be that of the label.
      content: Model and configuration as Flower's strategies send them.

    Returns:
      The question, and the model's arrays in the order of their keys; none when evaluating.

    Raises:
      MessageInvalid: there is not exactly one record of arrays, or a record of metrics, or the label is
        not of the message's type.
    """
    records: list[Value] = []
    for name in sorted(content):
        record = content[name]
        if isinstance(record, ArrayRecord):
            arrays: list[Value] = [
                [key, a.dtype, a.stype, [int(s) for s in a.shape], a.data]
                for key, a in sorted(record.items())
            ]
            records.append([name, "arrays", arrays])
        elif isinstance(record, ConfigRecord):
            config: list[Value] = [[key, _text(record[key])] for key in sorted(record)]
            records.append([name, "config", config])
        else:
            raise MessageInvalid("a message to a site holds a model and configuration only", where=name[:40])
    if len(content.array_records) != 1:
        raise MessageInvalid("a message holds one record of arrays, the model")
    if message_type.partition(".")[0] != label.partition("-")[0]:
        raise MessageInvalid("the label is of another kind of message", where=label[:40])
    query = hashlib.sha256(encode("flower-question", message_type, label, records)).hexdigest()
    (model,) = content.array_records.values()
    shapes = tuple(Shaped(key, tuple(int(s) for s in a.shape), a.dtype) for key, a in sorted(model.items()))
    shapes = shapes if label.startswith(TRAIN) else ()
    return Question(label, query, sum(shape.size for shape in shapes)), shapes


def _text(value: object) -> str:
    return f"{type(value).__name__}:{value!r}"


def mean_type(dtype: str) -> np.dtype[np.generic]:
    """Return the type that Flower's own weighted mean of such arrays has."""
    return (np.ones(1, dtype=dtype) * 1.0).dtype
