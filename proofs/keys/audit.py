"""The likelihood-ratio audit of the private sum from the adversary's view, and planted bugs it must catch.

`proofs.adversary` opens the sums and takes the colluding sites' part away; `proofs.likelihood_ratio` guesses
and judges. Every run draws fresh noise from the operating system, so the rates below are those of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial

from fedvalue.privacy.accounting import epsilon
from proofs.adversary import DELTA, Drawn, Seeded, Setting, SiteHalf, halved, honest, silent, view
from proofs.harness import Found, Report
from proofs.likelihood_ratio import (
    LARGE,
    SMALL,
    SPREAD,
    Guesses,
    Promise,
    Vector,
    alarm_rates,
    epsilon_of,
    escape_rate,
    excess_rate,
    guess,
    judge,
)

TITLE = "What a coordinator and its colluding sites can tell of one patient"
PAGE = "docs/evidence/audit.md"
SOURCES = (
    "core/fedvalue/privacy", "core/fedvalue/secure_sum", "core/fedvalue/analyses/proportion.py",
    "core/fedvalue/planning/plan.py",
    "strategies/fedvalue/strategies/secure_aggregation", "benchmarks/private_sums.py",
    "proofs/adversary.py", "proofs/likelihood_ratio.py", "proofs/audit_page.py",
)  # fmt: skip

AT_A_TIME = 500_001
"""Trials of one opened sum: the vector's length."""

KEPT: Mapping[str, tuple[Setting, int]] = {
    "epsilon_0.5": (Setting(0.5, 10, 3), 4_000_000),
    "epsilon_1": (Setting(1.0, 5), 2_000_000),
    "epsilon_3": (Setting(3.0, 3, 2), 500_000),
    "epsilon_8": (Setting(8.0, 31), 500_000),
}
"""Settings, and trials on each side."""

PLANTED = Setting(3.0, 10)
PLANTED_TRIALS = 500_000

Pair = Callable[[bool], Vector]
"""What the adversary looks at, shape ``(trials,)``, with the patient or without."""


def audited(
    setting: Setting, trials: int, look: Pair, promise: Promise, true_mu: float | None = None
) -> Found:
    """Guess so many times on each side and judge.

    Args:
      setting: For the page.
      trials: At least so many on each side.
      look: Opens sums and says what the adversary looks at.
      promise: What was promised of it.
      true_mu: What a planted bug makes of it, for the rate at which it would escape; None without noise.
    """
    found = Guesses()
    while found.trials < trials:
        found = found + guess(promise, look(False), look(True))
    verdict = judge(promise, found)
    # The promise as the plan states it: the price of D at m shares, converted by the ledger's accountant.
    promised = epsilon(setting.rho_units, DELTA)
    escapes: float | None = None
    if true_mu is not None and true_mu > promise.mu:
        escapes = escape_rate(promise, true_mu, found.trials)
    elif true_mu is not None:
        escapes = excess_rate(promise, true_mu, found.trials)
    return {
        "epsilon": promised,
        "epsilon_shown": epsilon_of(verdict.at_least, DELTA),
        "n": setting.sites,
        "k": setting.sites_per_patient,
        "m": promise.shares,
        "escapes": escapes,
        "chances": alarm_rates(promise, found.trials),
        **asdict(found),
        **asdict(verdict),
    }


def kept(name: str, *, trials: int | None = None, at_a_time: int = AT_A_TIME) -> Found:
    """The pipeline as it is, f sites having vanished."""
    setting, wanted = KEPT[name]
    release = setting.release(at_a_time)
    halves = honest(setting)
    return audited(
        setting,
        trials or wanted,
        lambda patient: view(setting, release, halves, patient=patient).rest,
        setting.promise(release),
    )


def all_answer(
    *, setting: Setting = PLANTED, trials: int = PLANTED_TRIALS, at_a_time: int = AT_A_TIME
) -> Found:
    """Nobody vanishes: n - c honest shares, more than the price counts on."""
    release = setting.release(at_a_time)
    halves = honest(setting)
    more = Promise(setting.promise(release).distance, setting.sites - setting.limits.colluding)
    return audited(
        setting,
        trials,
        lambda patient: view(setting, release, halves, patient=patient, all_answer=True).rest,
        more,
    )


def two_releases(
    *, setting: Setting = PLANTED, trials: int = PLANTED_TRIALS, at_a_time: int = AT_A_TIME
) -> Found:
    """The difference of two releases, of which the patient is in the first: noise of 2 m shares."""
    return _difference(setting, trials, at_a_time, lambda: (honest(setting), honest(setting)))


def halved_noise(
    *, setting: Setting = PLANTED, trials: int = PLANTED_TRIALS, at_a_time: int = AT_A_TIME
) -> Found:
    """Every site's noise has half its scale."""
    return _planted(
        setting, [halved] * setting.sites, trials, at_a_time, shares=setting.limits.honest_shares / 4
    )


def silent_site(
    *, setting: Setting = PLANTED, trials: int = PLANTED_TRIALS, at_a_time: int = AT_A_TIME
) -> Found:
    """One honest site adds no noise."""
    halves = honest(setting)
    halves[setting.limits.dropouts] = silent
    return _planted(setting, halves, trials, at_a_time, shares=setting.limits.honest_shares - 1)


def one_seed_for_two_sites(
    *, setting: Setting = PLANTED, trials: int = PLANTED_TRIALS, at_a_time: int = AT_A_TIME
) -> Found:
    """Two honest sites draw from one seed, as after a copied machine: their noise adds instead of mixing."""
    first = setting.limits.dropouts

    def halves() -> list[SiteHalf]:
        sites = honest(setting)
        sites[first], sites[first + 1] = (Drawn(source) for source in Seeded.fresh())
        return sites

    return _planted(setting, halves, trials, at_a_time, shares=setting.limits.honest_shares + 2)


def one_seed_with_a_colluder(
    *, setting: Setting = PLANTED, trials: int = PLANTED_TRIALS, at_a_time: int = AT_A_TIME
) -> Found:
    """An honest and a colluding site draw from one seed: the adversary takes that noise away as well."""
    release = setting.release(at_a_time)
    promise = setting.promise(release)

    def look(patient: bool) -> Vector:
        sites = honest(setting)
        sites[setting.limits.dropouts], sites[-1] = (Drawn(source) for source in Seeded.fresh())
        seen = view(setting, release, sites, patient=patient)
        return seen.rest - seen.known[-1]

    true = Promise(promise.distance, promise.shares - 1)
    return audited(setting, trials, look, promise, true.mu)


def noise_reused(
    *, setting: Setting = PLANTED, trials: int = PLANTED_TRIALS, at_a_time: int = AT_A_TIME
) -> Found:
    """Every site draws the same noise in both of two releases: their difference has none."""

    def halves() -> tuple[list[SiteHalf], list[SiteHalf]]:
        seeds = [Seeded.fresh() for _ in range(setting.sites)]
        return [Drawn(one) for one, _ in seeds], [Drawn(two) for _, two in seeds]

    return _difference(setting, trials, at_a_time, halves)


def _planted(
    setting: Setting,
    halves: list[SiteHalf] | Callable[[], list[SiteHalf]],
    trials: int,
    at_a_time: int,
    *,
    shares: float,
) -> Found:
    release = setting.release(at_a_time)
    promise = setting.promise(release)

    def look(patient: bool) -> Vector:
        sites = halves() if callable(halves) else halves
        return view(setting, release, sites, patient=patient).rest

    return audited(setting, trials, look, promise, promise.mu * (promise.shares / shares) ** 0.5)


def _difference(
    setting: Setting,
    trials: int,
    at_a_time: int,
    halves: Callable[[], tuple[list[SiteHalf], list[SiteHalf]]],
) -> Found:
    release = setting.release(at_a_time)
    one = setting.promise(release)

    def look(patient: bool) -> Vector:
        first, second = halves()
        seen = view(setting, release, first, patient=patient).rest
        return seen - view(setting, release, second, patient=False).rest

    return audited(setting, trials, look, Promise(one.distance, 2 * one.shares))


BUGS: Mapping[str, tuple[Callable[..., Found], str, tuple[str, ...]]] = {
    "halved_noise": (halved_noise, "halved noise", (SMALL, SPREAD)),
    "silent_site": (silent_site, "one silent site", (SMALL, SPREAD)),
    "one_seed_for_two_sites": (
        one_seed_for_two_sites, "one seed, drawn from by two honest sites", (LARGE, SPREAD)
    ),
    "one_seed_with_a_colluder": (
        one_seed_with_a_colluder, "one seed, drawn from by an honest and a colluding site", (SMALL, SPREAD)
    ),
    "noise_reused": (noise_reused, "noise reused in a second release (their difference)", (SMALL, SPREAD)),
}  # fmt: skip
"""Planted bugs: what makes them, what they are called, and the checks that must fail."""

SOUND: Mapping[str, tuple[Callable[[], Found], str]] = {
    **{name: (partial(kept, name), "") for name in KEPT},
    "all_answer": (all_answer, "nobody vanishes: n - c honest shares"),
    "two_releases": (two_releases, "difference of two releases: 2 m shares"),
}

STEPS: Mapping[str, Callable[[], Found]] = {
    **{name: step for name, (step, _) in SOUND.items()},
    **{name: step for name, (step, _, _) in BUGS.items()},
}


def report(found: Mapping[str, Found]) -> Report:
    """The page, and what was broken."""
    from proofs.audit_page import page  # the page reads this module's constants

    return page(found)
