"""The likelihood-ratio audit, small and seeded: `make prove KEY=audit` is the whole of it.

Sums of 5 sites at epsilon 3 (c = 1, f = 1, m = 3 shares), opened by the protocol; only the noise is seeded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import integrate, stats

from fedvalue.privacy.accounting import epsilon
from proofs import likelihood_ratio
from proofs.adversary import DELTA, Drawn, Seeded, Setting, SiteHalf, silent, view
from proofs.keys import audit
from proofs.likelihood_ratio import LARGE, SMALL, SPREAD, Guesses, Promise, Verdict, guess, judge

SETTING = Setting(3.0, 5)
TRIALS = 200_001
BAND = 0.01
"""Standard error of the variance on 4e5 coordinates: sqrt(2 / 4e5) = .0022; .01 is 4.5 of them (1e-5)."""


def seeded(seed: int) -> SiteHalf:
    return Drawn(Seeded(np.random.Philox(seed)))


def audited(halves: Callable[[bool], Sequence[SiteHalf]], *, trials: int = TRIALS) -> Verdict:
    release = SETTING.release(trials)
    promise = SETTING.promise(release)
    seen = [view(SETTING, release, list(halves(patient)), patient=patient).rest for patient in (False, True)]
    return judge(promise, guess(promise, *seen), band=BAND)


def test_the_pipeline_keeps_its_promise_from_both_sides() -> None:
    # Another seed fails as "too little noise" with probability 2e-6, as "too much" with 5e-5 (below), as
    # "wrong variance" with 1e-5.
    verdict = audited(lambda patient: [seeded(10 * patient + site) for site in range(5)])
    assert verdict.failed == ()
    rates = likelihood_ratio.alarm_rates(Promise(int(verdict.mu * 2**20 * 3**0.5), 3), TRIALS, band=BAND)
    assert rates[SMALL] < 1e-5
    assert rates[LARGE] < 1e-4
    assert rates[SPREAD] < 1e-5
    assert likelihood_ratio.epsilon_of(verdict.at_least, DELTA) < epsilon(SETTING.rho_units, DELTA)


def test_one_silent_site_of_three_is_caught() -> None:
    # mu grows by sqrt(3/2) = 1.22; it would escape with probability below 1e-9 (normal approximation).
    def halves(patient: bool) -> list[SiteHalf]:
        return [silent if site == 1 else seeded(10 * patient + site) for site in range(5)]

    verdict = audited(halves, trials=60_000)
    assert {SMALL, SPREAD} <= set(verdict.failed)
    promise = Promise(int(verdict.mu * 2**20 * 3**0.5), 3)
    assert likelihood_ratio.escape_rate(promise, promise.mu * 1.5**0.5, 60_000) < 1e-9


def test_one_seed_for_two_sites_is_caught_as_noise_that_adds_instead_of_mixing() -> None:
    # 2 + 2 + 1 = 5 shares' variance where 3 were promised: mu falls to sqrt(3/5) = .77 of it.
    verdict = audited(
        lambda patient: [seeded(10 * patient + max(site, 2)) for site in range(5)], trials=60_000
    )
    assert {LARGE, SPREAD} <= set(verdict.failed)
    assert verdict.variance == pytest.approx(5 / 3, rel=0.05)


@pytest.mark.parametrize("name", ["halved_noise", "one_seed_with_a_colluder", "noise_reused"])
def test_the_other_planted_bugs_are_caught(name: str) -> None:
    # With noise of the operating system. By `escapes`, each escapes with probability below 1e-9; the weakest
    # of them is one share of three.
    make, _, expected = audit.BUGS[name]
    found = make(setting=SETTING, trials=30_000, at_a_time=30_000)
    assert set(expected) <= set(found["failed"])
    assert (found["escapes"] or 0.0) < 1e-9


def test_the_adversary_is_left_with_exactly_m_shares() -> None:
    # Every site sends a constant instead of noise, f = 1 vanishes and c = 1 is taken away: 8 + 4 + 2 of
    # 16, 8, 4, 2, 1 are left.
    release = SETTING.release(9)

    def constant(value: int) -> SiteHalf:
        return lambda release, cohort: release.contribution(cohort) + value

    halves = [constant(value) for value in (16, 8, 4, 2, 1)]
    assert view(SETTING, release, halves, patient=False).rest.tolist() == [14] * 9
    assert view(SETTING, release, halves, patient=False, all_answer=True).rest.tolist() == [30] * 9
    promise = SETTING.promise(release)
    assert promise.shares == 3
    assert view(SETTING, release, halves, patient=True).rest.tolist() == [14 + promise.distance] * 9


@pytest.mark.parametrize("setting", [*(setting for setting, _ in audit.KEPT.values()), audit.PLANTED])
def test_the_distance_that_is_audited_is_the_one_that_is_charged(setting: Setting) -> None:
    release = setting.release(9)
    promise = setting.promise(release)
    assert promise.distance**2 == release.scales.charged_bound_squared
    assert promise.mu**2 / 2 * 2**40 == pytest.approx(release.scales.rho_units(), rel=1e-9)


def test_guesses_by_hand() -> None:
    # D = 10: above 5 is "there". 6 is a false alarm, 5 is not; with the patient 5 is missed, 6 is not.
    found = guess(Promise(10, 1), np.array([0, 5, 6, -9]), np.array([5, 6, 20, 10]))
    assert (found.trials, found.alarms, found.misses) == (4, 1, 1)
    # squared noise: 0 + 25 + 36 + 81, and 25 + 16 + 100 + 0, over 4^20
    assert found.squares == pytest.approx(283 / 4**20)
    assert found + found == Guesses(8, 2, 2, 2 * found.squares)


def test_the_bound_on_a_rate_is_clopper_and_pearsons() -> None:
    # scipy 1.17's exact interval, two-sided at .98: each end one-sided at .99
    for count, trials in ((0, 50), (3, 1000), (999, 1000)):
        exact = stats.binomtest(count, trials).proportion_ci(0.98, method="exact").high
        assert likelihood_ratio.rate_upper(count, trials, 0.99) == pytest.approx(exact, rel=1e-9)
    assert likelihood_ratio.rate_upper(7, 7, 0.99) == 1.0
    # nothing in n trials: (1 - p)^n = .01
    assert likelihood_ratio.rate_upper(0, 50, 0.99) == pytest.approx(1 - 0.01 ** (1 / 50))


@pytest.mark.parametrize("mu", [0.1, 0.6, 1.5, 4.0])
def test_the_epsilon_of_a_mu_gives_back_its_delta(mu: float) -> None:
    found = likelihood_ratio.epsilon_of(mu, DELTA)
    # delta is the mass by which N(mu, 1) exceeds e^epsilon N(0, 1), from where they cross on
    start = found / mu + mu / 2

    def excess(x: float) -> float:
        return float(stats.norm.pdf(x - mu) - math.exp(found) * stats.norm.pdf(x))

    delta, _ = integrate.quad(excess, start, start + 12)
    assert delta == pytest.approx(DELTA, rel=1e-5)
    # the accountant's conversion of rho = mu^2 / 2 is an upper bound
    assert found <= epsilon(round(mu**2 / 2 * 2**40), DELTA)
