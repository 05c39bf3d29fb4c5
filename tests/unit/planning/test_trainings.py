"""What a plan says of a training before it begins."""

from __future__ import annotations

from math import sqrt

import pytest

from fedvalue.analyses.training import Training
from fedvalue.planning.plan import Plan, make_plan
from fedvalue.planning.trainings import trainings_of
from fedvalue.privacy import accounting
from fedvalue.study.schema import Study
from tests.agreement import roster
from tests.trained_federation import trained_study

LOCAL = 'method = "fedavg_local"\n[analyses.local]\nsteps = 3\npatients = 50'


def planned(study: Study, *, exact: bool = False) -> Plan:
    return make_plan(study, roster(4), unsafe_exact=exact)


def test_epsilon_by_rounds_ends_at_the_promise_of_the_whole_study() -> None:
    plan = planned(trained_study(rounds=8))
    (found,) = trainings_of(plan, 320)
    assert list(found.epsilon) == [2, 4, 6, 8]
    assert list(found.epsilon.values()) == sorted(found.epsilon.values())
    assert found.epsilon[8] == pytest.approx(accounting.epsilon_of(plan.price(), 1e-6))
    assert 7.9 < found.epsilon[8] <= 8.0
    assert (found.label, found.rounds, found.rate) == ("training:readmission", 8, 0.5)
    training = plan.analyses[0]
    assert isinstance(training, Training)
    assert found.size == training.size


def test_the_noise_of_a_step_by_hand() -> None:
    plan = planned(trained_study(more="patients = 200"))
    (found,) = trainings_of(plan, 1.0)  # a public number goes before what is assumed
    gamma = float(plan.releases[1].scales.gammas[0])
    # each of 4 sites adds noise of standard deviation 2^20 in steps of 1 / gamma; q x 200 = 100 enter a round
    assert found.noise == pytest.approx(sqrt(4) * 2**20 / gamma / 100)
    # who is drawn moves the sum by C = 1 at most; z counts on m honest shares
    m = plan.thresholds.honest_shares
    assert found.multiplier == pytest.approx(sqrt(m) * 2**20 / gamma, rel=1e-3)


def test_a_released_number_of_patients_is_assumed_and_more_of_them_drown_the_noise() -> None:
    plan = planned(trained_study())
    (few,), (many,) = trainings_of(plan, 100), trainings_of(plan, 400)
    assert few.noise == pytest.approx(4 * many.noise)


def test_local_steps_are_as_loud_as_one_hospitals_noise() -> None:
    plan = planned(trained_study(more=LOCAL))
    (found,) = trainings_of(plan, 320)
    step = plan.releases[1].step_gamma
    assert step is not None
    assert found.noise == pytest.approx(2**20 / float(step) / (50 * 0.5))


def test_without_noise_there_is_nothing_to_say() -> None:
    assert trainings_of(planned(trained_study(), exact=True), 320) == ()
