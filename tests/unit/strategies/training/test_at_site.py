"""What a site does in a round: who is drawn, what leaves, and how far one patient moves it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.errors import PrivacyError
from fedvalue.planning.plan import PlannedRelease, plan_on
from fedvalue.privacy.randomness import SystemNoise, UnsafeSeededNoise
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.strategies.training.at_site import drawn_of, learner_of, rows_of
from fedvalue.study.schema import Study
from tests.trained_federation import trained_study

pytestmark = pytest.mark.filterwarnings("ignore::fedvalue.errors.UnsafeWarning")


def patients(n: int, seed: int = 1) -> Cohort:
    rng = np.random.default_rng(seed)
    return Cohort(
        n,
        {"sex": rng.integers(-1, 2, n)},
        {"age": rng.normal(60, 12, n), "lab": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))},
        {"readmitted": BinaryOutcome(rng.integers(-1, 2, n))},
    )


def some(cohort: Cohort, keep: NDArray[np.bool_]) -> Cohort:
    return Cohort(
        int(keep.sum()),
        {name: values[keep] for name, values in cohort.categories.items()},
        {name: values[keep] for name, values in cohort.numbers.items()},
        {name: BinaryOutcome(one.status[keep]) for name, one in cohort.binary.items()},
    )


def release_of(study: Study, number: int = 1) -> PlannedRelease:
    return plan_on(study, thresholds(5), "0" * 64).releases[number]


def public(release: PlannedRelease, seed: int = 0) -> bytes:
    values = np.random.default_rng(seed).normal(size=release.public_size)
    values[-4:] = 60.0, 0.0, 10.0, 1.0  # centers, then spreads
    return values.astype("<f8").tobytes()


def test_drawing_follows_the_public_rate() -> None:
    # 100,000 patients at q = 1/8: 12,500 +- 105; six standard deviations fail once in 5e8 runs
    assert abs(len(drawn_of(SystemNoise(), 100_000, Fraction(1, 8))) - 12_500) < 630
    assert len(drawn_of(SystemNoise(), 1000, Fraction(1, 2**70))) == 0
    np.testing.assert_array_equal(drawn_of(SystemNoise(), 5, Fraction(1)), np.arange(5))


def test_two_rounds_draw_other_patients() -> None:
    noise = UnsafeSeededNoise(1)
    first, second = (drawn_of(noise, 1000, Fraction(1, 2)) for _ in range(2))
    assert not np.array_equal(first, second)


def test_a_round_is_the_clipped_gradient_in_integers() -> None:
    release, cohort = release_of(trained_study(rate=1.0)), patients(30)
    at = public(release)
    found = release.contribution(cohort, at, learner_of(release, SystemNoise()))
    values = np.frombuffer(at, dtype="<f8")
    weights, bias = values[:5], values[5]
    by_hand = np.zeros(6)
    for i in range(30):
        status, lab, sex = (
            cohort.binary["readmitted"].status[i],
            cohort.numbers["lab"][i],
            cohort.categories["sex"][i],
        )
        if status < 0:
            continue  # excluded: no outcome
        age = np.clip((np.clip(cohort.numbers["age"][i], 20, 100) - 60) / 10, -5, 5)
        lab = 0.0 if np.isnan(lab) else float(np.clip(lab, -4, 4))
        row = np.array([age, lab, sex == 0, sex == 1, sex < 0, 1.0], dtype=float)
        gradient = (1 / (1 + np.exp(-(row[:5] @ weights + bias))) - status) * row
        by_hand += gradient / max(1.0, float(np.linalg.norm(gradient)))
    gamma = float(release.scales.gammas[0])
    np.testing.assert_allclose(found / gamma, by_hand, atol=1.0 / gamma)


@pytest.mark.parametrize("spoil", [np.nan, np.inf, -np.inf, 1e300, 0.0])
def test_no_patient_moves_the_sum_by_more_than_is_charged(spoil: float) -> None:
    study = trained_study(rate=1.0, architecture='{ kind = "tabular", layers = [8] }')
    release, cohort = release_of(study), patients(40)
    numbers = {name: values.copy() for name, values in cohort.numbers.items()}
    numbers["lab"][7] = spoil
    cohort = replace(cohort, numbers=numbers)
    at = public(release)
    learner = learner_of(release, SystemNoise())
    whole = release.contribution(cohort, at, learner)
    for gone in (0, 7, 39):
        keep = np.arange(40) != gone
        moved = whole - release.contribution(some(cohort, keep), at, learner)
        assert sum(int(v) ** 2 for v in moved) <= release.scales.patient_bound_squared


def test_nobody_at_all_is_a_sum_of_zeros() -> None:
    release = release_of(trained_study(rate=0.5))
    found = release.contribution(patients(0), public(release), learner_of(release, SystemNoise()))
    np.testing.assert_array_equal(found, 0)


def test_a_site_without_a_column_has_it_unknown() -> None:
    release = release_of(trained_study(rate=1.0))
    cohort = replace(patients(20), numbers={}, categories={})
    found = release.contribution(cohort, public(release), learner_of(release, SystemNoise()))
    assert np.isfinite(found).all()


def test_a_release_that_draws_needs_something_that_trains() -> None:
    release = release_of(trained_study())
    with pytest.raises(PrivacyError, match="nothing is there that trains"):
        release.contribution(patients(5), public(release))
    plain = release_of(trained_study(), 0)
    assert learner_of(plain, SystemNoise()) is None


def test_local_steps_stay_within_what_is_charged_and_add_no_second_noise() -> None:
    more = 'method = "fedavg_local"\n[analyses.local]\nsteps = 3\npatients = 40'
    release = release_of(trained_study(rate=0.5, more=more))
    learner = learner_of(release, SystemNoise())
    one, other = (release.contribution(patients(40), public(release), learner) for _ in range(2))
    assert not np.array_equal(one, other)  # noise and drawing are fresh
    assert release.noise_variance(4) == 0.0
    assert release.price(1) == release.price()  # nobody else's noise counts


def capped(study: Study, cap: int, delta: float = 1e-6) -> Study:
    privacy = study.privacy.model_copy(update={"patient_cap": cap, "delta": delta})
    return study.model_copy(update={"privacy": privacy})


LOCAL = 'method = "fedavg_local"\n[analyses.local]\nsteps = 2\npatients = 40'


@pytest.mark.parametrize("more", ["", LOCAL], ids=["gradients", "local steps"])
def test_a_cap_past_which_sums_are_not_exact_is_refused_by_the_plan_from_public_numbers(more: str) -> None:
    study = trained_study(rate=0.5, more=more)
    plan_on(capped(study, 10_000), thresholds(5), "0" * 64)
    with pytest.raises(PrivacyError, match="half a unit") as refused:
        plan_on(capped(study, 10**8, 1e-9), thresholds(5), "0" * 64)
    assert refused.value.where.startswith("training:")
    # without noise nothing is promised, and sums may be as long as they like
    plan_on(capped(study, 10**8, 1e-9), thresholds(5), "0" * 64, unsafe_exact=True)


@pytest.mark.parametrize("more", ["", LOCAL], ids=["gradients", "local steps"])
def test_no_number_of_patients_makes_a_site_refuse_a_round(more: str) -> None:
    # an approval refuses a cohort above the cap; a round is answered alike whatever the cohort holds
    release = release_of(capped(trained_study(rate=1.0, more=more), 3))
    at, learner = public(release), learner_of(release, SystemNoise())
    for count in (0, 1, 3, 4, 1500):
        found = release.contribution(patients(count), at, learner)
        assert found.shape == (release.dimension,)
        assert found.dtype == np.int64


def test_times_become_intervals_at_risk() -> None:
    more_endpoint = trained_study().model_dump(mode="json", by_alias=True)
    more_endpoint["endpoints"]["death"] = {
        "kind": "time_to_event", "events": ["death"], "until": "360 days", "grid": "90 days"
    }  # fmt: skip
    question: dict[str, Any] = more_endpoint["analyses"][0]
    question |= {"outcome": "death", "architecture": {"kind": "hazard"}}
    study = Study.model_validate(more_endpoint, strict=False)
    plan = plan_on(study, thresholds(5), "0" * 64)
    # events on days 45 and 100, censored on day 100 (seen through one interval), past the horizon, censored
    # on day 30 (seen through none), and hostile
    leave = np.array([45.0, 100.0, 100.0, 1000.0, 30.0, np.nan])
    event = np.array([1, 1, 0, 0, 0, 1])
    cohort = Cohort(6, survival={"death": SurvivalOutcome(np.zeros(6), leave, event)})
    rows = rows_of(plan.analyses[0], cohort)  # type: ignore[arg-type]  # the first analysis is the training
    np.testing.assert_array_equal(rows.interval, [0, 1, 0, 3, -1, -1])
    np.testing.assert_array_equal(rows.event[:4], [1, 1, 0, 0])
