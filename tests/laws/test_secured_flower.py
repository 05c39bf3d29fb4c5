"""A secured Flower run gives what the ordinary run gives, up to the quantization that its terms state."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAdagrad, FedAdam, FedAvg, FedAvgM, FedProx, FedYogi, Strategy
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.strategies.secure_aggregation.flower.quantized import means_of, vector_of
from fedvalue.strategies.secure_aggregation.flower.question import Question, Shaped
from tests.flower_federation import FlowerRun, model, numpy_of, record, secured, secured_run, terms

HALF_UNIT = 2.0**-25
"""Terms keep 24 binary places: a mean is wrong by half a unit at most."""


def test_one_round_equals_fedavg_within_half_a_unit() -> None:
    plain = FlowerRun().start(FedAvg(), rounds=1)
    run, agreed = secured_run()
    found = run.start(secured(FedAvg(), agreed), rounds=1)
    for key, wanted in numpy_of(plain.arrays).items():
        got = numpy_of(found.arrays)[key]
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
        # a float32 mean of Flower's own is five roundings at 2^-24 of values below 4
        slack = 5 * 4 * 2.0**-24 if wanted.dtype == np.float32 else 1e-12
        assert np.abs(got.astype(float) - wanted.astype(float)).max() <= HALF_UNIT + slack
    assert list(numpy_of(found.arrays)) == list(model())
    for wanted_metrics, metrics in (
        (plain.train_metrics_clientapp[1], found.train_metrics_clientapp[1]),
        (plain.evaluate_metrics_clientapp[1], found.evaluate_metrics_clientapp[1]),
    ):
        agreed_key = "loss" if "loss" in wanted_metrics else "accuracy"
        assert list(metrics) == [agreed_key]  # not "secret", which the terms do not name
        np.testing.assert_allclose(metrics[agreed_key], wanted_metrics[agreed_key], rtol=0, atol=HALF_UNIT)


@pytest.mark.parametrize(
    "make",
    [FedAvgM, lambda: FedProx(proximal_mu=0.1), FedAdam, FedYogi, FedAdagrad],
    ids=["FedAvgM", "FedProx", "FedAdam", "FedYogi", "FedAdagrad"],
)
def test_other_strategies_go_where_they_go_without_us(make: type[Strategy]) -> None:
    plain = FlowerRun().start(make(), rounds=3)
    run, agreed = secured_run()
    found = run.start(secured(make(), agreed), rounds=3)
    for key, wanted in numpy_of(plain.arrays).items():
        # adaptive steps divide by sqrt(v) + tau, tau = 1e-3: eta / tau = 100 half units a round at the worst,
        # and the float32 arrays carry their own rounding
        np.testing.assert_allclose(numpy_of(found.arrays)[key], wanted, rtol=0, atol=3 * 100 * 2.0**-22)


SITE = st.tuples(st.integers(0, 2**20), st.lists(st.floats(-1024, 1024), min_size=3, max_size=3))


@settings(max_examples=150, deadline=None)
@given(st.lists(SITE, min_size=3, max_size=9))
def test_the_weighted_mean_of_any_values_in_range_is_within_half_a_unit(
    sites: list[tuple[int, list[float]]],
) -> None:
    agreed = terms(sites=max(3, len(sites)), train_metrics=())
    question = Question("train-1", "0" * 64, 3)
    shapes = (Shaped("w", (3,), "float64"),)
    total = np.zeros(5, dtype=np.int64)
    for examples, values in sites:
        metrics = MetricRecord({"num-examples": examples})
        reply = RecordDict({"arrays": record({"w": np.array(values)}), "metrics": metrics})
        total += vector_of(agreed, question, shapes, reply)
    weight = sum(examples for examples, _ in sites)
    if weight:
        means = means_of(agreed, question, shapes, total)
        wanted = sum(examples * np.array(values) for examples, values in sites) / weight
        assert means.examples == weight
        assert means.clipped == 0
        # beside the half unit: float64 roundings of products and sums below 1024
        assert np.abs(means.arrays["w"] - wanted).max() <= HALF_UNIT + 1024 * 2.0**-49
