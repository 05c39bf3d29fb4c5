"""Networks of the registry: what goes in and what comes out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fedvalue.errors import PrivacyError
from fedvalue.strategies.training.models.links import losses, target
from fedvalue.strategies.training.models.network import (
    Coded,
    Gene,
    Inputs,
    Numeric,
    Rows,
    build,
    initial,
    predict,
    score,
    size,
)
from fedvalue.study.architectures import (
    Architecture,
    Hazard,
    Linear,
    Logistic,
    Poisson,
    Survival,
    Tabular,
    layers,
)
from proofs.model_neighbours import FORMS, draw, inputs_of

EVERY = [form for forms in FORMS.values() for form in forms]
NO_CODES = np.zeros((1, 0), dtype=np.int64)


@pytest.mark.parametrize("architecture", EVERY, ids=str)
def test_the_flat_vector_is_in_the_order_of_the_registry(architecture: Architecture) -> None:
    inputs = inputs_of(architecture)
    found = [(name, tuple(p.shape)) for name, p in build(architecture, inputs).named_parameters()]
    assert found == [(layer.name, layer.shape) for layer in layers(architecture, inputs)]
    start = initial(architecture, inputs, 3)
    assert start.shape == (size(architecture, inputs),)
    assert np.array_equal(start, initial(architecture, inputs, 3))


def test_a_logistic_prediction_by_hand() -> None:
    # (80 - 50) / 50 = 0.6; the level's column counts -0.2, an unknown number 0, an unknown level 0.9
    inputs = Inputs((Numeric("age", (0.0, 100.0)),), (Coded("sex", 2),))
    parameters = np.array([2.0, 0.5, -0.2, 0.9, 0.1])  # age, two levels, unknown, intercept
    rows = Rows(
        np.array([[80.0], [np.nan], [1e300]]), np.array([[1], [7], [0]]), np.zeros((3, 0), dtype=np.int64)
    )
    logits = np.array([1.2 - 0.2 + 0.1, 0.0 + 0.9 + 0.1, 2.0 + 0.5 + 0.1])
    found = predict(Logistic(), inputs, parameters, rows)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), rtol=1e-12)


def test_genes_that_nobody_looked_at_are_zeros_with_a_flag() -> None:
    inputs = Inputs(genes=(Gene("EGFR", 2),))
    parameters = np.array([5.0, 1.0, 2.0, 0.0])  # flag, two variants, intercept
    rows = Rows(
        np.zeros((4, 0)), np.zeros((4, 0), dtype=np.int64), np.array([[-1, -1], [0, 1], [1, 1], [-1, 1]])
    )
    logits = np.array([5.0, 2.0, 3.0, 2.0])  # somebody looked at one of two: no flag
    np.testing.assert_allclose(predict(Logistic(), inputs, parameters, rows), 1 / (1 + np.exp(-logits)))


def test_hazards_and_the_score_by_hand() -> None:
    inputs = Inputs((Numeric("x", (-1.0, 1.0)),), intervals=2)
    parameters = np.array([0.0, np.log(-np.log(0.5)), np.log(-np.log(0.8))])  # slope, two baselines
    found = predict(Hazard(), inputs, parameters, Rows(np.array([[1.0]]), NO_CODES, NO_CODES))
    np.testing.assert_allclose(found, [[0.5, 0.2]])
    np.testing.assert_allclose(score(found), [1 - 0.5 * 0.8])


def test_losses_by_hand() -> None:
    none = np.zeros((3, 0), dtype=np.int64)
    inputs = Inputs((Numeric("x", (-1.0, 1.0)),), intervals=3)
    # at risk in intervals 1 and 2 with the event in 2; in 0 without it; and nothing known
    rows = Rows(np.zeros((3, 1)), none, none, interval=np.array([2, 0, -1]), event=np.array([1, 0, 1]),
                entry=np.array([1, 0, 0]))  # fmt: skip
    for architecture, survive, happen in ((Survival(), 0.5, 0.5), (Hazard(), np.exp(-1.0), 1 - np.exp(-1.0))):
        happened = target(architecture, inputs, rows)
        found = losses(architecture, torch.zeros((3, 3), dtype=torch.float64), happened)
        np.testing.assert_allclose(found, [-np.log(survive) - np.log(happen), -np.log(survive), 0.0])
    amount = Inputs((Numeric("x", (-1.0, 1.0)),), outcome_clip=(0.0, 10.0))
    rows = Rows(np.zeros((3, 1)), none, none, np.array([10.0, 25.0, np.nan]))
    outputs = torch.full((3, 1), 0.5, dtype=torch.float64)
    # scaled to -1..1 the outcome is 1, clipped or not: (0.5 - 1)^2 / 2; Poisson: e^0.5 - 10 x 0.5
    np.testing.assert_allclose(losses(Linear(), outputs, target(Linear(), amount, rows)), [0.125, 0.125, 0.0])
    poisson = losses(Poisson(), outputs, target(Poisson(), amount, rows))
    np.testing.assert_allclose(poisson, [np.exp(0.5) - 5, np.exp(0.5) - 5, 0.0])


def test_a_model_that_explodes_predicts_no_number_and_raises_nothing() -> None:
    architecture = Tabular(layers=(4,), activation="relu")
    inputs = inputs_of(architecture)
    rows = draw(architecture, inputs, np.random.default_rng(1), np.zeros(5, dtype=bool))
    found = predict(architecture, inputs, np.full(size(architecture, inputs), np.inf), rows)
    assert found.shape == (5,)
    assert not np.isfinite(found).any()


def test_parameters_of_another_model_are_refused() -> None:
    inputs = Inputs((Numeric("x", (-1.0, 1.0)),))
    with pytest.raises(PrivacyError, match="not those of this model"):
        predict(Logistic(), inputs, np.zeros(3), Rows(np.zeros((1, 1)), NO_CODES, NO_CODES))


def test_outcomes_of_another_kind_are_refused() -> None:
    inputs = Inputs((Numeric("x", (-1.0, 1.0)),), intervals=2)
    with pytest.raises(PrivacyError, match="give every patient one outcome"):
        target(Hazard(), inputs, Rows(np.zeros((1, 1)), NO_CODES, NO_CODES, np.array([1.0])))
