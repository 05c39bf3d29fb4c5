"""From released sums to an increment: exact without noise, calibrated with it, refused where lost in it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fedvalue.analyses.estimate import Released
from fedvalue.errors import PaymentError
from fedvalue.payment.economics.joint import Floats
from fedvalue.payment.economics.net_benefit import net_benefits
from fedvalue.payment.economics.released import ArmSums, arm_means, increment_of

NOISE = (2.0, 300.0, 1.0, 3e4, 1.0, 100.0)
"""Noise SD of n, C, E, C^2, E^2 and C E."""


def sums(cost: Floats, effect: Floats, rng: np.random.Generator | None = None) -> ArmSums:
    exact = (len(cost), cost.sum(), effect.sum(), (cost**2).sum(), (effect**2).sum(), (cost * effect).sum())
    sds = NOISE if rng else (0.0,) * 6
    return ArmSums(*(
        Released(value=float(x) + (rng.normal(0, sd) if rng else 0.0), noise_variance=sd**2)
        for x, sd in zip(exact, sds, strict=True)
    ))  # fmt: skip


def people(rng: np.random.Generator, cost: float, effect: float, size: int = 400) -> tuple[Floats, Floats]:
    shared = rng.normal(size=size)
    return cost + 30 * shared + 20 * rng.normal(size=size), effect + 0.2 * shared + 0.1 * rng.normal(
        size=size
    )


def test_without_noise_an_arm_is_its_patients() -> None:
    cost, effect = people(np.random.default_rng(1), 100, 1)
    found = arm_means(sums(cost, effect), arm="new")
    covariance = np.cov(cost, effect) / len(cost)
    assert (found.cost, found.effect) == pytest.approx((cost.mean(), effect.mean()))
    assert found.sampling.cost == pytest.approx(covariance[0, 0])
    assert found.sampling.effect == pytest.approx(covariance[1, 1])
    assert found.sampling.cross == pytest.approx(covariance[0, 1])
    assert (found.privacy.cost, found.privacy.effect, found.privacy.cross) == (0, 0, 0)


def test_sampling_and_noise_together_are_the_spread_of_repeated_studies() -> None:
    # 3,000 studies: the relative SE of a variance is sqrt(2 / 3000) = .026; four of them.
    rng = np.random.default_rng(2)
    found = [
        increment_of(sums(*people(rng, 120, 1.1), rng), sums(*people(rng, 100, 1.0), rng))
        for _ in range(3_000)
    ]
    inb = [net_benefits(x, [200.0])[0] for x in found]
    spread = np.var([x.mean for x in inb])
    assert np.mean([x.mean for x in inb]) == pytest.approx(200 * 0.1 - 20, abs=4 * math.sqrt(spread / 3_000))
    assert np.mean([x.sd**2 for x in inb]) == pytest.approx(spread, rel=0.105)
    privacy = np.mean([x.privacy_variance for x in inb])
    assert 0.1 * spread < privacy < 0.9 * spread
    for part in ("cost", "effect"):
        drawn = np.var([getattr(x, part) for x in found])
        assert np.mean([getattr(x.covariance, part) for x in found]) == pytest.approx(drawn, rel=0.105)


def test_an_arm_that_is_lost_in_noise_is_refused_by_name() -> None:
    arm = sums(*people(np.random.default_rng(3), 100, 1))
    few = replace(arm, patients=Released(value=40, noise_variance=100))
    with pytest.raises(PaymentError, match=r"40\.0 released patients") as refusal:
        increment_of(few, arm)
    assert refusal.value.where == "new"
    impossible = replace(arm, cost_squared=Released(value=0, noise_variance=1e16))
    with pytest.raises(PaymentError, match="lost in noise"):
        arm_means(impossible, arm="current")
    mirrored = replace(arm, cross=Released(value=1e9, noise_variance=1e12))
    limit = arm_means(mirrored, arm="new").sampling
    assert limit.cross == pytest.approx(math.sqrt(limit.cost * limit.effect))
