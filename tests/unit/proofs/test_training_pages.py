"""The pages of trainings and of attacks on them say what was missed, refuted or not caught."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra train is not installed")

from fedvalue.strategies.training.models.clipped import Gradients
from fedvalue.strategies.training.models.network import initial
from fedvalue.strategies.training.package.audit import TrainingAudit
from proofs.harness import Found
from proofs.keys import canary, training
from proofs.training_canary import Own, canaries
from proofs.training_jobs import LOG, METHODS, NETWORK, WITHOUT
from proofs.training_world import FIRST, WEAKER, Law, inputs


def trainings(lost: float) -> dict[str, Found]:
    """Every step, with the same loss of every private way."""
    found: dict[str, Found] = {}
    for step in training.STEPS:
        law = step.split("_")[0]
        named = ["weaker", "first"] if law == "tuned" else [law]
        data = [one for name in named for one in training.worlds(name, training.TUNED + training.WORLDS)]
        whole = dict.fromkeys(WITHOUT, 0.8)
        private = dict.fromkeys(METHODS, 0.8 - lost)
        values = whole if step.endswith("pooled") else private
        found[step] = {"auc": dict.fromkeys(["diabetes"] if law == "diabetes" else data, values)}
    return found


def test_targets_are_medians_over_worlds_that_nobody_tuned_on() -> None:
    assert not set(training.TUNED) & set(training.WORLDS)
    kept = training.report(trainings(0.009))
    assert kept.broken == ()
    assert "The weaker curves: both targets are met." in kept.page
    missed = training.report(trainings(0.015))
    assert missed.broken == ("weaker curves: the best of ours loses 0.0150, target 0.01",)
    assert "**Missed**: first curves: the best of ours loses 0.0150" in missed.page
    assert len(training.report(trainings(0.03)).broken) == 2


def test_where_the_network_is_behind_stands_on_the_page() -> None:
    found = trainings(0.009)
    better = {one: {**row, LOG: 0.795} for one, row in found["weaker_3"]["auc"].items()}
    page = training.report({**found, "weaker_3": {"auc": better}}).page
    assert "behind the logistic model at epsilon 3" in page
    assert "the best of ours 0.0090 to the best (within the target of 0.01)" in page
    absent = {**found, "diabetes_pooled": {"auc": {"diabetes": dict.fromkeys(WITHOUT)}}}
    assert "The data were not there" in training.report(absent).page


def attacks(**other: float) -> dict[str, Found]:
    """Every step of the attacks: sound runs show little, planted bugs are caught."""
    found: dict[str, Found] = {}
    for step in canary.STEPS:
        at_least = other.get(step, 0.2 if step in canary.SOUND else 2.5)
        found[step] = {"right": 50, "guesses": 80, "at_least": at_least, "membership": (0.51, 0.5, 0.52)}
    return found


def test_attacks_that_stay_below_every_promise_leave_a_file_for_packages() -> None:
    report = canary.report(attacks())
    assert report.broken == ()
    assert "every planted bug was caught" in report.page
    audit = TrainingAudit.model_validate_json(report.beside[canary.AUDIT])
    assert {run.epsilon for run in audit.runs} == {1.0, 8.0}
    assert len(audit.caught) == 3
    assert json.loads(report.beside[canary.AUDIT])["command"] == "make prove KEY=canary"


def test_an_attack_beyond_a_promise_or_a_bug_that_passes_breaks_the_page_and_leaves_no_file() -> None:
    assert "at least 1.20" in canary.report(attacks(epsilon_1=1.2)).broken[0]
    report = canary.report(attacks(noise_left_out=0.4))
    assert report.broken == ("the planted bug 'noise left out' passed",)
    assert not report.beside


def test_canaries_are_clipped_and_their_gradients_are_those_of_the_site() -> None:
    rng = np.random.default_rng(4)
    rows = canaries(inputs(), 30, rng)
    own, gradients = Own(NETWORK, inputs(), rows), Gradients(NETWORK, inputs())
    parameters = initial(NETWORK, inputs(), 1) + rng.normal(0, 0.01, gradients.size)
    each = own.gradients(parameters, 1.0)
    assert np.linalg.norm(each, axis=1) == pytest.approx(np.ones(30))
    ours = gradients.sum(parameters, gradients.batch(rows), 1.0)
    assert each.sum(axis=0) == pytest.approx(ours, abs=1e-6)


def test_both_laws_draw_the_same_patients_and_other_outcomes() -> None:
    weaker, first = (Law(3, curves).draw(500, np.random.default_rng(5)) for curves in (WEAKER, FIRST))
    np.testing.assert_array_equal(weaker.site, first.site)
    np.testing.assert_array_equal(weaker.rows.coded, first.rows.coded)
    assert (weaker.rows.outcome != first.rows.outcome).any()
