"""Clipped gradient sums: equal to the slow and obvious ones, bounded whatever a row holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import sqrt
from threading import Barrier

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from fedvalue.errors import PrivacyError
from fedvalue.strategies.training.models import passes
from fedvalue.strategies.training.models.clipped import (
    BLOCK,
    Gradients,
    gradient_sum,
    patient_bound,
    quantised,
    require_exact,
)
from fedvalue.strategies.training.models.lengths import lengths
from fedvalue.strategies.training.models.links import Target, losses, slopes, target
from fedvalue.strategies.training.models.network import (
    Inputs,
    Numeric,
    Prepared,
    Rows,
    build,
    initial,
    load,
    prepare,
    size,
)
from fedvalue.strategies.training.models.passes import Flow, Passes
from fedvalue.study.architectures import Architecture, Hazard, Linear, Logistic, Poisson, Tabular
from proofs.model_neighbours import FORMS, compare, draw, inputs_of

EVERY = [form for forms in FORMS.values() for form in forms]


def one_by_one(
    architecture: Architecture, inputs: Inputs, parameters: NDArray[np.float64], rows: Rows, clip: float
) -> NDArray[np.float64]:
    """The oracle: torch's own gradient of each patient's loss, clipped and added."""
    module = build(architecture, inputs)
    load(module, parameters)
    every = losses(architecture, module.outputs(prepare(module, rows)), target(architecture, inputs, rows))
    total = np.zeros(len(parameters))
    for loss in every:
        parts = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True)
        gradient = torch.cat([part.ravel() for part in parts]).numpy()
        total += gradient * min(1.0, clip / max(float(np.linalg.norm(gradient)), 1e-300))
    return total


@pytest.mark.parametrize("architecture", EVERY, ids=str)
@pytest.mark.parametrize("clip", [0.3, 1e6])
def test_the_sum_is_that_of_patients_taken_one_by_one(architecture: Architecture, clip: float) -> None:
    inputs, rng = inputs_of(architecture), np.random.default_rng(11)
    rows = draw(architecture, inputs, rng, rng.random(25) < 0.3)
    parameters = initial(architecture, inputs, 2) + rng.normal(0, 0.3, size(architecture, inputs))
    found = gradient_sum(architecture, inputs, parameters, rows, clip)
    expected = one_by_one(architecture, inputs, parameters, rows, clip)
    np.testing.assert_allclose(
        found, expected, rtol=1e-9, atol=1e-9 * max(1.0, float(np.abs(expected).max()))
    )


@pytest.mark.parametrize("architecture", EVERY, ids=str)
def test_a_patient_has_the_same_bits_wherever_the_row_stands(architecture: Architecture) -> None:
    inputs, rng = inputs_of(architecture), np.random.default_rng(5)
    rows = draw(architecture, inputs, rng, rng.random(BLOCK) < 0.2)
    gradients = Gradients(architecture, inputs)
    module = build(architecture, inputs)
    load(module, initial(architecture, inputs, 1) + rng.normal(0, 0.7, gradients.size))
    order = rng.permutation(BLOCK)
    batch, other = gradients.batch(rows), gradients.batch(rows.take(order))
    here = Passes(module).flows(batch.prepared, batch.happened)
    there = Passes(module).flows(other.prepared, other.happened)
    for one, two in zip(here, there, strict=True):
        assert np.array_equal(one.given.numpy()[..., order], two.given.numpy(), equal_nan=True)
        assert np.array_equal(one.delta.numpy()[:, order], two.delta.numpy(), equal_nan=True)
    long, their = lengths(here), lengths(there)
    assert np.array_equal(long.squared.numpy()[order], their.squared.numpy(), equal_nan=True)
    assert np.array_equal(long.sane.numpy()[order], their.sane.numpy())


def test_a_machine_on_which_rows_disturb_each_other_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = passes.product

    def by_place(
        weight: torch.Tensor, columns: torch.Tensor, bias: torch.Tensor | None, out: torch.Tensor
    ) -> torch.Tensor:
        place = torch.arange(columns.shape[1], dtype=torch.float64)
        return honest(weight, columns, bias, out).mul_(1 + 1e-15 * place)

    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(passes, "product", by_place)
        for _ in range(2):  # what was found wrong is looked at again
            with pytest.raises(PrivacyError, match="last bits"):
                Gradients(Tabular(layers=(5,)), Inputs((Numeric("x", (-1.0, 1.0)),)))
    Gradients(Tabular(layers=(5,)), Inputs((Numeric("x", (-1.0, 1.0)),)))


def test_the_machine_is_looked_at_once_for_an_architecture_whatever_the_released_scales(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []
    honest = Passes.flows

    def counted(self: Passes, prepared: Prepared, happened: Target) -> tuple[Flow, ...]:
        looked.append(len(prepared))
        return honest(self, prepared, happened)

    monkeypatch.setattr(Passes, "flows", counted)
    for center in (0.0, 0.25, -0.5):
        Gradients(Tabular(layers=(6,)), Inputs((Numeric("x", (-1.0, 1.0), center=center, spread=0.5),)))
    assert looked == [BLOCK, BLOCK]  # the made-up rows, and the same in another order; once


@pytest.mark.parametrize("architecture", [Logistic(), Linear(), Poisson(), Hazard()], ids=str)
def test_slopes_are_the_derivatives_of_the_losses(architecture: Architecture) -> None:
    inputs, rng = inputs_of(architecture), np.random.default_rng(9)
    rows = draw(architecture, inputs, rng, rng.random(200) < 0.2)
    happened = target(architecture, inputs, rows)
    outputs = torch.from_numpy(rng.normal(0, 12, happened.value.shape)).clamp(-31, 19).requires_grad_()
    (expected,) = torch.autograd.grad(losses(architecture, outputs, happened).sum(), outputs)
    found = slopes(architecture, outputs.detach(), happened)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-7, atol=1e-8)


def test_direct_lengths_and_opacus_agree_on_the_layers_both_can_do() -> None:
    from opacus.grad_sample import GradSampleModule

    rng = np.random.default_rng(3)
    inputs = Inputs(tuple(Numeric(f"x{i}", (-1.0, 1.0)) for i in range(6)))
    architecture = Tabular(layers=(5, 4), skip=False)
    parameters = initial(architecture, inputs, 1) + rng.normal(0, 0.3, size(architecture, inputs))
    none = np.zeros((40, 0), dtype=np.int64)
    rows = Rows(rng.uniform(-1, 1, (40, 6)), none, none, (rng.random(40) < 0.4).astype(np.float64))

    plain = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    nn.utils.vector_to_parameters(torch.from_numpy(parameters), plain.parameters())
    hooked = GradSampleModule(plain, loss_reduction="sum")
    given = torch.from_numpy(rows.numeric).requires_grad_()
    loss = nn.BCEWithLogitsLoss(reduction="sum")
    loss(hooked(given), torch.from_numpy(rows.outcome)[:, None]).backward()
    each = np.concatenate([p.grad_sample.flatten(1).numpy() for p in hooked.parameters()], axis=1)
    clipped = each * np.minimum(1.0, 0.5 / np.linalg.norm(each, axis=1))[:, None]
    found = gradient_sum(architecture, inputs, parameters, rows, 0.5)
    np.testing.assert_allclose(found, clipped.sum(axis=0), rtol=1e-10, atol=1e-12)


def test_a_gradient_and_its_clip_by_hand() -> None:
    # logistic at zero: gradient (1/2 - y)(x, 1); x = 3/4 and y = 1: -(3/8, 4/8), of length 5/8
    inputs = Inputs((Numeric("x", (-1.0, 1.0)),))
    none = np.zeros((1, 0), dtype=np.int64)
    rows = Rows(np.array([[0.75]]), none, none, np.array([1.0]))
    np.testing.assert_allclose(gradient_sum(Logistic(), inputs, np.zeros(2), rows, 1.0), [-0.375, -0.5])
    np.testing.assert_allclose(gradient_sum(Logistic(), inputs, np.zeros(2), rows, 0.5), [-0.3, -0.4])


@pytest.mark.parametrize("kind", sorted(FORMS))
def test_no_patient_moves_the_integers_by_more_than_the_bound(kind: str) -> None:
    # a few pairs of what `make prove KEY=model_neighbours` does ten thousand times
    for architecture in FORMS[kind]:
        found = compare(architecture, 12, seed=1)
        assert (found.over, found.failed, found.first) == (0, 0, "")


@settings(max_examples=20, deadline=None)
@given(
    values=st.lists(st.floats(width=64), min_size=3, max_size=3),
    codes=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=6, max_size=6),
    outcome=st.floats(),
    power=st.integers(-300, 300),
    architecture=st.sampled_from([*FORMS["logistic"], *FORMS["tabular"]]),
)
def test_whatever_one_row_holds_its_gradient_is_at_most_the_clip(
    values: list[float], codes: list[int], outcome: float, power: int, architecture: Architecture
) -> None:
    inputs = inputs_of(architecture)
    coded = np.array([codes[:2]], dtype=np.int64)
    variants = np.array([codes[2:6]], dtype=np.int64)
    rows = Rows(np.array([values]), coded, variants, np.array([outcome]))
    parameters = initial(architecture, inputs, 1) * 10.0**power
    found = gradient_sum(architecture, inputs, parameters, rows, 0.7)
    assert np.isfinite(found).all()
    assert np.linalg.norm(found) <= 0.7 * (1 + 2.0**-40)


def test_a_site_without_patients_sends_zeros_and_patients_without_outcomes_add_none() -> None:
    architecture = Tabular(layers=(3,))
    inputs = inputs_of(architecture)
    start = initial(architecture, inputs, 1)
    rows = draw(architecture, inputs, np.random.default_rng(2), np.zeros(BLOCK + 1, dtype=bool))
    assert not gradient_sum(architecture, inputs, start, rows.take(slice(0, 0)), 1.0).any()
    missing = Rows(rows.numeric, rows.coded, rows.multihot, np.full(len(rows), -1.0))
    assert not gradient_sum(architecture, inputs, start, missing, 1.0).any()


def test_dead_units_leave_a_gradient_for_the_layers_behind_them_only() -> None:
    architecture = Tabular(layers=(2,), activation="relu", skip=False)
    inputs = Inputs((Numeric("x", (-1.0, 1.0)),))
    none = np.zeros((1, 0), dtype=np.int64)
    rows = Rows(np.array([[0.5]]), none, none, np.array([1.0]))
    parameters = np.array([1.0, 1.0, -9.0, -9.0, 1.0, 1.0, 0.0])  # weights, biases that kill, output
    found = gradient_sum(architecture, inputs, parameters, rows, 10.0)
    np.testing.assert_allclose(found, [0, 0, 0, 0, 0, 0, -0.5])


def test_the_bound_by_hand_and_what_it_asks_of_a_site() -> None:
    # 1000 x 0.5 x (1 + 2^-20) + 2 x sqrt(100) = 520.0005, rounded up
    assert patient_bound(1000.0, 0.5, 100) == 521
    require_exact(2.0**20, 1.0, 100_000)
    with pytest.raises(PrivacyError, match="half a unit"):
        require_exact(2.0**20, 1.0, 10**9)
    assert list(quantised(np.array([0.5, -1.26]), 2.0)) == [1, -3]
    with pytest.raises(PrivacyError, match="fit the ring"):
        quantised(np.array([np.inf]), 1.0)


def test_sites_that_share_a_process_compute_in_one_thread_each_and_find_the_same_bits() -> None:
    architecture = Tabular(layers=(16,))
    inputs, rng = inputs_of(architecture), np.random.default_rng(8)
    rows = draw(architecture, inputs, rng, rng.random(2 * BLOCK) < 0.1)
    start = initial(architecture, inputs, 1) + 0.1
    torch.set_num_threads(4)
    begun = Barrier(4)

    def site(_: int) -> tuple[int, bytes]:
        torch.zeros(1).sum()  # a thread that has its own idea of how many threads there are
        begun.wait(10)
        found = gradient_sum(architecture, inputs, start, rows, 0.5)
        return torch.get_num_threads(), found.tobytes()

    with ThreadPoolExecutor(4) as sites:
        found = set(sites.map(site, range(4)))
    assert found == {(1, gradient_sum(architecture, inputs, start, rows, 0.5).tobytes())}


@pytest.mark.parametrize("clip", [0.0, -1.0, float("nan")])
def test_a_clip_that_bounds_nothing_is_refused(clip: float) -> None:
    inputs = Inputs((Numeric("x", (-1.0, 1.0)),))
    none = np.zeros((1, 0), dtype=np.int64)
    with pytest.raises(PrivacyError, match="no bound"):
        gradient_sum(Logistic(), inputs, np.zeros(2), Rows(np.zeros((1, 1)), none, none, np.ones(1)), clip)


def test_blocks_add_up_and_the_slack_for_their_order_is_never_used_up() -> None:
    inputs, rng = Inputs((Numeric("x", (-1.0, 1.0)),)), np.random.default_rng(4)
    n = 3 * BLOCK + 17
    none = np.zeros((n, 0), dtype=np.int64)
    rows = Rows(rng.uniform(-1, 1, (n, 1)), none, none, (rng.random(n) < 0.5).astype(np.float64))
    start = np.array([0.3, -0.2])
    whole = gradient_sum(Logistic(), inputs, start, rows, 0.4)
    apart = sum(
        gradient_sum(Logistic(), inputs, start, rows.take(slice(i, i + 100)), 0.4) for i in range(0, n, 100)
    )
    # n patients of length 0.4 in blocks: the order of adding loses at most n C (B + n/B) 2^-53
    assert np.abs(whole - apart).max() <= n * 0.4 * (BLOCK + n / BLOCK) * 2.0**-53
    assert float(np.linalg.norm(whole)) <= 0.4 * n * sqrt(2)
