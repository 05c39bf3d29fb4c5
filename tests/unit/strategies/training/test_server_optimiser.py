"""Flower's own strategies take the steps, and whoever holds the sums takes the same ones without Flower."""

from __future__ import annotations

import logging
from typing import get_args

import numpy as np
import pytest

from fedvalue.analyses.server_step import ReferenceOptimiser
from fedvalue.analyses.training import Training
from fedvalue.errors import PrivacyError
from fedvalue.planning.plan import plan_on
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.strategies.training.server_optimiser import (
    FlowerOptimiser,
    begin_with,
    strategy_of,
    with_flower,
)
from fedvalue.study.questions.training import Optimiser
from tests.trained_federation import trained_study

KINDS = get_args(Optimiser.model_fields["kind"].annotation)


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_takes_flower_s_steps_bit_for_bit(kind: str) -> None:
    settings = Optimiser.model_validate({"kind": kind, "rate": 0.3, "beta_1": 0.8, "beta_2": 0.95})
    rng = np.random.default_rng(1)
    ours, flower = ReferenceOptimiser(settings), begin_with({})(settings)
    mine = theirs = rng.normal(size=200)
    for _ in range(30):
        direction = rng.normal(size=200)
        mine, theirs = ours.step(mine, direction), flower.step(theirs, direction)
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("fedadam", "FedAdam"),
        ("fedyogi", "FedYogi"),
        ("fedadagrad", "FedAdagrad"),
        ("fedavgm", "FedAvgM"),
        ("momentum", "FedAvgM"),
        ("plain", "FedAvg"),
    ],
)
def test_each_optimiser_is_flower_s_strategy_of_that_name(kind: str, name: str) -> None:
    made = strategy_of(Optimiser.model_validate({"kind": kind}))
    assert (type(made).__name__, type(made).__module__.split(".")[0]) == (name, "flwr")


def test_two_plain_steps_and_two_with_momentum_by_hand() -> None:
    plain = begin_with({})(Optimiser(kind="plain", rate=0.5))
    x = plain.step(np.array([1.0]), np.array([2.0]))  # 1 + .5 * 2
    assert plain.step(x, np.array([-1.0])) == pytest.approx([1.5])  # 2 - .5
    heavy = begin_with({})(Optimiser(kind="momentum", rate=0.5, beta_1=0.5))
    x = heavy.step(np.array([1.0]), np.array([2.0]))  # velocity 1: at 2
    assert heavy.step(x, np.array([0.0])) == pytest.approx([2.5])  # velocity .5


def test_who_follows_a_training_again_takes_no_step_twice() -> None:
    begin = begin_with({})
    settings, x, d = Optimiser(), np.zeros(3), np.ones(3)
    first, again = begin(settings), begin(settings)
    one = first.step(x, d)
    two = first.step(one, -d)
    assert again.step(x, d) is one
    assert again.step(one, -d) is two
    other = begin(settings)
    with pytest.raises(PrivacyError, match="followed again with other sums"):
        other.step(x, 2 * d)


def test_a_step_says_nothing_on_the_screen(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="flwr"):
        begin_with({})(Optimiser()).step(np.zeros(2), np.ones(2))
    assert caplog.text == ""


def test_the_trainings_of_a_plan_get_flower_s_steps_and_the_rest_stays() -> None:
    plan = plan_on(trained_study(), thresholds(5), "0" * 64)
    made = with_flower(plan)
    training = made.analyses[0]
    assert isinstance(training, Training)
    assert isinstance(training.begin(Optimiser()), FlowerOptimiser)
    assert made.releases == plan.releases
