"""A site's answer as integers of the ring: numbers worked by hand, and hostile values refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from fedvalue.errors import FederationError, MessageInvalid, ReplyInvalid, VectorInvalid
from fedvalue.strategies.secure_aggregation.flower.quantized import means_of, require_in_ring, vector_of
from fedvalue.strategies.secure_aggregation.flower.question import Question, Shaped, question_of
from tests.flower_federation import Arrays, model, record, terms

TERMS = terms(most_examples=10, largest=4.0, fraction_bits=3)
TRAINING = Question("train-1", "0" * 64, 3)
SHAPES = (Shaped("b", (1,), "int64"), Shaped("w", (2,), "float32"))


def reply(examples: Any = 6, loss: Any = 0.5, w: Any = (0.25, -9.0), b: Any = (2,)) -> RecordDict:
    arrays: Arrays = {"w": np.array(w, dtype=np.float32), "b": np.array(b, dtype=np.int64)}
    metrics = MetricRecord({"num-examples": examples, "loss": loss, "other": 77.0})
    return RecordDict({"arrays": record(arrays), "metrics": metrics})


def test_a_vector_by_hand() -> None:
    # units of 1/8, n = 6: loss .5 -> 6 x .5 x 8 = 24; b = 2 -> 96; w = .25 -> 12; -9 is clipped to -4 -> -192
    assert vector_of(TERMS, TRAINING, SHAPES, reply()).tolist() == [6, 1, 24, 96, 12, -192]


def test_halves_round_to_even_and_the_examples_are_clipped() -> None:
    # n = 25 counts as 10: 10 x .05 x 8 = 4; 10 x .00625 x 8 = .5 -> 0; 10 x .01875 x 8 = 1.5 -> 2
    found = vector_of(TERMS, TRAINING, SHAPES, reply(examples=25, loss=0.05, w=(0.00625, 0.01875), b=(0,)))
    assert found[:4].tolist() == [10, 1, 4, 0]
    exact = terms(most_examples=10, largest=4.0, fraction_bits=0)
    found = vector_of(exact, TRAINING, SHAPES, reply(examples=1, loss=0.5, w=(1.5, 2.5), b=(0,)))
    assert found[2:].tolist() == [0, 0, 2, 2]


def test_means_by_hand() -> None:
    # two sites with 6 and 10 examples: w = (6 x .25 + 10 x 1) / 16 = .71875
    total = vector_of(TERMS, TRAINING, SHAPES, reply())
    total = total + vector_of(TERMS, TRAINING, SHAPES, reply(examples=10, loss=1.0, w=(1.0, 0.0), b=(0,)))
    means = means_of(TERMS, TRAINING, SHAPES, total)
    assert (means.examples, means.clipped) == (16, 1)
    assert means.metrics == {"loss": (6 * 0.5 + 10 * 1.0) / 16}
    assert means.arrays["w"].tolist() == [0.71875, -1.5]
    assert means.arrays["w"].dtype == np.float32
    assert means.arrays["b"].tolist() == [0.75]  # 6 x 2 / 16; a mean of integers is no integer
    assert means.arrays["b"].dtype == np.float64


def test_a_site_without_examples_adds_nothing() -> None:
    assert vector_of(TERMS, TRAINING, SHAPES, reply(examples=0)).tolist() == [0, 1, 0, 0, 0, 0]


def test_no_examples_at_all_have_no_mean() -> None:
    with pytest.raises(FederationError, match="no site has an example"):
        means_of(TERMS, TRAINING, SHAPES, np.zeros(6, dtype=np.int64))


@pytest.mark.parametrize("first", [(-1, 0), (51, 0), (5, -1)])
def test_a_sum_that_honest_sites_cannot_give_is_refused(first: tuple[int, int]) -> None:
    with pytest.raises(ReplyInvalid):
        means_of(TERMS, TRAINING, SHAPES, np.array([*first, 0, 0, 0, 0], dtype=np.int64))


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    "hostile",
    [
        {"w": (NAN, 0.0)},
        {"w": (0.0, INFINITY)},
        {"w": (0.0, -INFINITY)},
        {"loss": NAN},
        {"loss": INFINITY},
        {"loss": [0.1, 0.2]},
        {"loss": 2**2000},
        {"examples": NAN},
        {"examples": INFINITY},
        {"examples": -1},
        {"examples": 2.5},
        {"examples": [3]},
        {"w": (0.0, 0.0, 0.0)},
        {"b": ((2,),)},
    ],
    ids=str,
)
def test_hostile_values_are_refused_by_name(hostile: dict[str, Any]) -> None:
    try:
        answer = reply(**hostile)
    except (TypeError, ValueError):
        pytest.skip("Flower's own record refuses it")
    with pytest.raises(VectorInvalid):
        vector_of(TERMS, TRAINING, SHAPES, answer)


@pytest.mark.parametrize("dtype", ["complex128", "<U3"])
def test_arrays_that_are_no_real_numbers_are_refused(dtype: str) -> None:
    answer = reply()
    answer["arrays"] = ArrayRecord({"w": Array(np.zeros(2, dtype=dtype)), "b": Array(np.zeros(1))})
    with pytest.raises(VectorInvalid):
        vector_of(TERMS, TRAINING, SHAPES, answer)


def test_a_longer_float_that_overflows_is_refused() -> None:
    answer = reply()
    wide = np.full(2, np.finfo(np.longdouble).max)
    answer["arrays"] = ArrayRecord({"w": Array(wide), "b": Array(np.zeros(1))})
    with pytest.raises(VectorInvalid, match="NaN or infinite"):
        vector_of(TERMS, TRAINING, SHAPES, answer)


@pytest.mark.parametrize("missing", ["arrays", "metrics"])
def test_an_answer_without_a_record_is_refused(missing: str) -> None:
    answer = reply()
    del answer[missing]
    with pytest.raises(VectorInvalid):
        vector_of(TERMS, TRAINING, SHAPES, answer)


def test_a_model_of_other_keys_and_a_missing_metric_are_refused() -> None:
    answer = reply()
    answer["arrays"] = record({"w": np.zeros(2), "c": np.zeros(1)})
    with pytest.raises(VectorInvalid, match="keys of the model"):
        vector_of(TERMS, TRAINING, SHAPES, answer)
    with pytest.raises(VectorInvalid, match="missing"):
        vector_of(terms(train_metrics=("f1",)), TRAINING, SHAPES, reply())


@pytest.mark.parametrize(
    "vector",
    [
        [6, 0, 0, 0, 0],  # too short
        [11, 0, 0, 0, 0, 0],  # more examples than N = 10
        [-1, 0, 0, 0, 0, 0],
        [6, 7, 0, 0, 0, 0],  # more clipped values than values
        [6, 0, 0, 0, 322, 0],  # above N B 2^b = 320, and its slack of one unit
        [6, 0, 0, 0, 0, -322],
        [6, 0, 0, 0, 0, -(2**63)],  # its absolute value is no int64
    ],
)
def test_what_lies_outside_of_the_ring_is_refused(vector: list[int]) -> None:
    with pytest.raises(VectorInvalid):
        require_in_ring(TERMS, TRAINING, np.array(vector, dtype=np.int64))


def test_the_largest_values_stay_in_the_ring_when_all_sites_send_them() -> None:
    agreed = terms(fraction_bits=30)
    answer = reply(examples=2**40, loss=1e300, w=(3e38, -3e38), b=(2**62,))
    vector = vector_of(agreed, TRAINING, SHAPES, answer)
    require_in_ring(agreed, TRAINING, vector)
    assert abs(5 * int(vector[-1])) < 2**63
    means = means_of(agreed, TRAINING, SHAPES, 5 * vector)
    assert means.arrays["w"].tolist() == [1024.0, -1024.0]
    assert means.clipped == 5 * 5  # the examples, the metric and three parameters of each site


# ---- the question --------------------------------------------------------------------------------------


def content(**config: Any) -> RecordDict:
    return RecordDict({"arrays": record(model()), "config": ConfigRecord({"server-round": 1, **config})})


def test_the_same_model_in_another_order_is_the_same_question() -> None:
    other = content()
    other["arrays"] = record(dict(reversed(model().items())))
    assert question_of("train-1", "train", content()) == question_of("train-1", "train", other)


def test_any_other_model_configuration_label_or_type_is_another_question() -> None:
    changed = content()
    arrays = model()
    arrays["w"] = np.nextafter(arrays["w"], 1.0).astype(np.float32)
    changed["arrays"] = record(arrays)
    found = [
        question_of("train-1", "train", content()),
        question_of("train-2", "train", content()),
        question_of("train-1", "train.other", content()),
        question_of("train-1", "train", changed),
        question_of("train-1", "train", content(lr=0.1)),
        question_of("train-1", "train", content(lr=1)),
        question_of("train-1", "train", content(lr=True)),
        question_of("train-1", "train", content(lr="1")),
    ]
    assert len({question.query for question, _ in found}) == len(found)
    assert {question.parameters for question, _ in found} == {3 * 4 + 2 + 1}


def test_a_question_travels_to_a_node_and_back() -> None:
    assert Question.unpack(TRAINING.pack()) == TRAINING


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"label": "train-1", "query": "0", "parameters": 1}',
        TRAINING.pack().replace(b"train-1", b"train-0"),
        TRAINING.pack().replace(b"train-1", b"query-1"),
        TRAINING.pack().replace(b"train-1", b"evaluate-1"),
        TRAINING.pack().replace(b": 3", b": -3"),
        TRAINING.pack().replace(b": 3", b": true"),
        TRAINING.pack().replace(b": 3", b': 3, "more": 1'),
    ],
)
def test_a_question_that_does_not_parse_is_refused(payload: bytes) -> None:
    with pytest.raises(MessageInvalid):
        Question.unpack(payload)


def test_a_message_with_metrics_two_models_or_another_kind_is_refused() -> None:
    for extra in ({"m": MetricRecord({"a": 1})}, {"second": record(model())}):
        with pytest.raises(MessageInvalid):
            question_of("train-1", "train", RecordDict({**content(), **extra}))
    with pytest.raises(MessageInvalid):
        question_of("train-1", "evaluate", content())
