"""Private steps at a site: public numbers only, exact noise, and a head that stays."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
import torch

from fedvalue.errors import PrivacyError, UnsafeWarning
from fedvalue.privacy.randomness import SystemNoise, UnsafeSeededNoise
from fedvalue.strategies.training.models.clipped import gradient_sum, patient_bound
from fedvalue.strategies.training.models.local import (
    LocalPlan,
    UnsafeFloatNoise,
    head_mask,
    local_steps,
    local_update,
    step_scale,
)
from fedvalue.strategies.training.models.network import Inputs, Numeric, Rows, initial, size
from fedvalue.study.architectures import Logistic, Tabular

INPUTS = Inputs((Numeric("x", (-1.0, 1.0)), Numeric("z", (-1.0, 1.0))))
PLAN = LocalPlan(
    steps=1, sampling_rate=1.0, denominator=60.0, clip_norm=1.0, noise_multiplier=1.0, learning_rate=0.5
)


def patients(count: int, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    none = np.zeros((count, 0), dtype=np.int64)
    return Rows(rng.uniform(-1, 1, (count, 2)), none, none, (rng.random(count) < 0.4).astype(np.float64))


def test_a_step_is_the_clipped_sum_plus_noise_of_the_planned_size_over_the_public_denominator() -> None:
    rows, start = patients(60), np.array([0.1, -0.3, 0.2])
    exact = -0.5 / 60 * gradient_sum(Logistic(), INPUTS, start, rows, 1.0)
    drawn = np.array([local_update(Logistic(), INPUTS, start, rows, PLAN, SystemNoise()) for _ in range(150)])
    deviation = 0.5 / 60  # learning rate x noise multiplier x clip / denominator
    # 450 draws: mean within 4 and spread within 5 standard errors but for about 1 run in 10,000
    assert np.abs(drawn.mean(axis=0) - exact).max() < 4 * deviation / sqrt(150)
    assert abs(float((drawn - exact).std()) / deviation - 1) < 5 / sqrt(2 * 450)


@pytest.mark.parametrize("multiplier", [0.3, 1.0, 40.0])
@pytest.mark.parametrize("dimension", [3, 5000])
def test_the_scale_gives_at_least_the_planned_noise_multiplier(multiplier: float, dimension: int) -> None:
    plan = replace(PLAN, noise_multiplier=multiplier, clip_norm=0.7)
    gamma = float(step_scale(plan, dimension))
    reached = sqrt(4.0**20 - 1 / 12) / (gamma * 0.7 * (1 + 2.0**-20) + 2 * sqrt(dimension))
    assert multiplier <= reached <= multiplier * 1.001
    assert patient_bound(gamma, 0.7, dimension) <= sqrt(4.0**20 - 1 / 12) / multiplier + 1


def test_so_much_noise_that_rounding_decides_is_refused() -> None:
    with pytest.raises(PrivacyError, match="leaves nothing"):
        step_scale(replace(PLAN, noise_multiplier=1e5), 5000)


def test_a_site_without_patients_sends_noise_like_any_other() -> None:
    rows = patients(0)
    found = local_update(Logistic(), INPUTS, np.zeros(3), rows, PLAN, SystemNoise())
    assert found.shape == (3,)
    assert found.any()


def test_the_sampling_rate_decides_who_is_drawn_and_the_denominator_stays() -> None:
    # every gradient points to -1/2 on the intercept; a tenth drawn of 5,000: 500 +- 21, over 500
    none = np.zeros((5000, 0), dtype=np.int64)
    rows = Rows(np.zeros((5000, 2)), none, none, np.ones(5000))
    plan = replace(PLAN, sampling_rate=0.1, denominator=500.0, noise_multiplier=0.01, learning_rate=1.0)
    found = local_update(Logistic(), INPUTS, np.zeros(3), rows, plan, SystemNoise())
    assert found[2] == pytest.approx(0.5, abs=0.5 * 5 * 21.3 / 500)


def test_the_proximal_term_pulls_towards_where_the_round_began_and_reads_no_patient() -> None:
    rows, start = patients(200), np.zeros(3)
    plan = replace(PLAN, steps=30, denominator=200.0, noise_multiplier=1e-3)
    free = local_update(Logistic(), INPUTS, start, rows, plan, SystemNoise())
    held = local_update(Logistic(), INPUTS, start, rows, replace(plan, proximal=1.0), SystemNoise())
    assert np.linalg.norm(held) < np.linalg.norm(free) / 2


def test_a_personal_head_never_leaves_and_goes_on_where_it_was() -> None:
    architecture = Tabular(layers=(4,), skip=False)
    plan = replace(PLAN, steps=3, personal_head=True)
    head = head_mask(architecture, INPUTS)
    assert int(head.sum()) == 4 + 1
    start = initial(architecture, INPUTS, 1)
    first = local_steps(architecture, INPUTS, start, patients(80), plan, SystemNoise())
    assert not first.update[head].any()
    assert first.update[~head].any()
    assert len(first.head) == 5
    kept = first.head + 7.0
    second = local_steps(architecture, INPUTS, start, patients(80), plan, SystemNoise(), head=kept)
    assert not second.update[head].any()
    assert np.abs(second.head - kept).max() < 3
    with pytest.raises(PrivacyError, match="head"):
        local_steps(architecture, INPUTS, start, patients(9), plan, SystemNoise(), head=np.zeros(2))
    with pytest.raises(PrivacyError, match="head"):
        local_steps(architecture, INPUTS, start, patients(9), PLAN, SystemNoise(), head=kept)


def test_opacus_own_noise_warns_and_is_what_opacus_adds() -> None:
    from opacus.optimizers.optimizer import _generate_noise

    with pytest.warns(UnsafeWarning, match="comparison"):
        noise = UnsafeFloatNoise(3)
    start = np.zeros(3)
    found = local_update(Logistic(), INPUTS, start, patients(60), PLAN, noise)
    generator = torch.Generator().manual_seed(3)
    torch.rand(60, generator=generator)  # who is drawn
    theirs = _generate_noise(1.0, torch.zeros(3, dtype=torch.float64), generator).numpy()
    clean = gradient_sum(Logistic(), INPUTS, start, patients(60), 1.0)
    np.testing.assert_allclose(found, -0.5 / 60 * (clean + theirs), rtol=1e-12)


def test_a_seed_repeats_a_site_only_in_tests() -> None:
    with pytest.warns(UnsafeWarning):
        twins = [UnsafeSeededNoise(1), UnsafeSeededNoise(1)]
    plan = replace(PLAN, sampling_rate=0.5, steps=2)
    one, other = (local_update(Logistic(), INPUTS, np.zeros(3), patients(50), plan, noise) for noise in twins)
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    "changed",
    [
        {"steps": 0}, {"sampling_rate": 0.0}, {"sampling_rate": 1.1}, {"denominator": 0.0},
        {"clip_norm": -1.0},
        {"noise_multiplier": 0.0}, {"learning_rate": float("nan")}, {"proximal": -1.0},
    ],
)  # fmt: skip
def test_a_plan_that_protects_nobody_is_refused(changed: dict[str, float]) -> None:
    with pytest.raises(PrivacyError):
        replace(PLAN, **changed)  # type: ignore[arg-type]  # steps is an int among floats


def test_parameters_of_another_model_are_refused() -> None:
    with pytest.raises(PrivacyError, match="not those of this model"):
        local_update(
            Logistic(), INPUTS, np.zeros(size(Logistic(), INPUTS) + 1), patients(3), PLAN, SystemNoise()
        )
