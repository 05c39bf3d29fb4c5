"""Between a site's answer and integers of the ring: public clips before, the weighted mean after.

Coordinates of a vector: the number of examples ``n``; how many values lay outside of their public range;
``round(n m 2^b)`` for each agreed metric; ``round(n w 2^b)`` for each parameter. See `terms` for the bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from flwr.app import MetricRecord, RecordDict
from numpy.typing import NDArray

from fedvalue.errors import FederationError, ReplyInvalid, VectorInvalid
from fedvalue.strategies.secure_aggregation.flower.question import HEADER, Question, Shaped, mean_type
from fedvalue.strategies.secure_aggregation.flower.terms import TRAIN, SecureTerms

Floats: TypeAlias = NDArray[np.float64]
NOTHING_SENT = "nothing was sent; look at the data and the learning rate of this site"


@dataclass(frozen=True, slots=True)
class Means:
    """What an opened sum says.

    Attributes:
      examples: Sum of the sites' numbers of examples, each at most N; at least 1.
      clipped: How many values, over all sites, lay outside of their public range.
      metrics: Weighted mean of each agreed metric.
      arrays: Weighted mean of each array, in the type that Flower's own mean has.
    """

    examples: int
    clipped: int
    metrics: Mapping[str, float]
    arrays: Mapping[str, NDArray[Any]]


def vector_of(
    terms: SecureTerms, question: Question, shapes: Sequence[Shaped], reply: RecordDict
) -> NDArray[np.int64]:
    """Return what a site puts into the sum.

    Args:
      terms: The run's terms.
      question: What is asked.
      shapes: The model's arrays, as they were sent.
      reply: What the train or evaluate function answered.

    Returns:
      Integers of the ring, shape ``(2 + metrics + parameters,)``.

    Raises:
      VectorInvalid: a value is NaN or infinite, an array or metric is missing or of another shape or type,
        or the number of examples is no whole number from 0.
    """
    metrics = _metrics_of(reply)
    found = metrics.get(terms.weighted_by_key)
    examples = _count(found, terms.weighted_by_key)
    values: list[Floats] = [
        _finite(np.array([_scalar(metrics, name)], dtype=np.float64), name)
        for name in terms.metrics(question.kind)
    ]
    if question.kind == TRAIN:
        values += _arrays(shapes, reply)
    weight = min(examples, terms.most_examples)
    clipped = int(examples > weight) + sum(int((np.abs(v) > terms.largest).sum()) for v in values)
    scale = 2.0**terms.fraction_bits
    units = [np.rint(np.clip(v, -terms.largest, terms.largest) * scale * float(weight)) for v in values]
    return np.concatenate([np.array([weight, clipped], dtype=np.int64), *(u.astype(np.int64) for u in units)])


def require_in_ring(terms: SecureTerms, question: Question, vector: NDArray[np.int64]) -> None:
    """Refuse a vector that `vector_of` cannot have made; a node asks this of what its ClientApp offers.

    Raises:
      VectorInvalid: it has another length, or a coordinate outside of the terms' bounds.
    """
    values = HEADER + len(terms.metrics(question.kind)) + question.parameters
    if vector.shape != (values,):
        raise VectorInvalid(f"a vector of {values} coordinates is due", where=question.label, do=NOTHING_SENT)
    bound = terms.bound()
    held = (
        0 <= vector[0] <= terms.most_examples
        and 0 <= vector[1] <= values
        and bool(((vector[HEADER:] <= bound) & (vector[HEADER:] >= -bound)).all())
    )
    if not held:
        raise VectorInvalid(
            "a coordinate lies outside of the ring's bounds", where=question.label, do=NOTHING_SENT
        )


def means_of(
    terms: SecureTerms, question: Question, shapes: Sequence[Shaped], total: NDArray[np.int64]
) -> Means:
    """Return the weighted means that an opened sum holds.

    Args:
      terms: The run's terms.
      question: What was asked.
      shapes: The model's arrays.
      total: The sum, shape ``(2 + metrics + parameters,)``.

    Raises:
      ReplyInvalid: no honest sites' sum has such a number of examples.
      FederationError: no site has an example.
    """
    examples, clipped = int(total[0]), int(total[1])
    if examples < 0 or examples > terms.most_examples * len(terms.roster.site) or clipped < 0:
        raise ReplyInvalid("the sum is not one of honest sites", where=question.label)
    if not examples:
        raise FederationError("no site has an example", where=question.label, do="there is no weighted mean")
    means = np.ldexp(total[HEADER:].astype(np.float64), -terms.fraction_bits) / examples
    names = terms.metrics(question.kind)
    arrays, start = {}, len(names)
    for shape in shapes:
        piece = means[start : start + shape.size].reshape(shape.shape)
        arrays[shape.name] = piece.astype(mean_type(shape.dtype))
        start += shape.size
    return Means(examples, clipped, dict(zip(names, means.tolist(), strict=False)), arrays)


def _metrics_of(reply: RecordDict) -> MetricRecord:
    records = list(reply.metric_records.values())
    if len(records) != 1:
        raise VectorInvalid("the answer holds one record of metrics", do=NOTHING_SENT)
    return records[0]


def _count(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != value // 1:
        raise VectorInvalid(
            "the number of examples is a whole number from 0",
            where=name,
            do="answer it in the record of metrics, under the terms' weighted_by_key",
        )
    return int(value)


def _scalar(metrics: MetricRecord, name: str) -> float:
    value = metrics.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise VectorInvalid(
            "an agreed metric is missing, or is no single number", where=name, do=NOTHING_SENT
        )
    try:
        return float(value)
    except OverflowError as error:
        raise VectorInvalid("a metric is past every float", where=name, do=NOTHING_SENT) from error


def _finite(values: Floats, name: str) -> Floats:
    if not np.isfinite(values).all():
        raise VectorInvalid("a value is NaN or infinite", where=name[:80], do=NOTHING_SENT)
    return values


def _arrays(shapes: Sequence[Shaped], reply: RecordDict) -> list[Floats]:
    records = list(reply.array_records.values())
    if len(records) != 1 or set(records[0]) != {shape.name for shape in shapes}:
        raise VectorInvalid(
            "the answer holds one record of arrays, with the keys of the model",
            do="return the whole model, as ordinary Flower apps do",
        )
    found = []
    for shape in shapes:
        values = records[0][shape.name].numpy()
        if values.shape != shape.shape or values.dtype.kind not in "fiub":
            raise VectorInvalid(
                "an array has another shape than the model's, or is not of real numbers",
                where=shape.name[:80],
                do=NOTHING_SENT,
            )
        with np.errstate(over="ignore"):  # a longer float may overflow; infinity is refused then
            found.append(_finite(values.astype(np.float64).ravel(), shape.name))
    return found
