"""The end-to-end proof in short: planted truths reach the engine, and a broken promise is named.

The long version, 200 repetitions a truth and every study through the front door, is `make prove
KEY=end_to_end`; its page is docs/evidence/end-to-end.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedvalue.payment import standard_file
from fedvalue.study.payments import Payment
from proofs.end_to_end import SITES, World, cohort_of, conclude, decided
from proofs.end_to_end_worlds import (
    CELLS,
    means_by_purity,
    purity_at,
    smallest_difference,
    worlds,
)
from proofs.keys.end_to_end import REPETITIONS, STEPS, broken_promises, report

WORLDS = {world.name: world for world in worlds()}
FAST = ("lung_outcome_linked", "cart_instalments", "lung_icer_gate")


@pytest.mark.parametrize("world", worlds(), ids=lambda w: w.name)
def test_a_study_moves_the_standard_that_is_read(world: World) -> None:
    payment: Payment = world.study.payments[0]
    standard = standard_file.read(payment.standard).standard
    assert standard.mechanism == payment.mechanism
    assert [truth.right for truth in world.truths[:3]] == ["met", "insufficient_evidence", "not_met"]
    for truth in world.truths:
        world.statement(truth)


@pytest.mark.parametrize("name", FAST)
def test_a_planted_truth_far_from_its_bar_is_decided_rightly(name: str) -> None:
    # Two repetitions each; a truth so far from its bar errs in less than one of a thousand.
    world = WORLDS[name]
    for truth in (world.truths[0], world.truths[2]):
        for i in range(2):
            assert decided(world, truth, np.random.default_rng([1, i]), f"test-{i}") == truth.right


def test_conclusions_are_those_of_the_planted_patients() -> None:
    world = WORLDS["lung_icer_gate"]
    columns = world.draw(np.random.default_rng(3), {"effect": 0.5})
    found = conclude(world, columns, np.random.default_rng(4))[0].stratum("difference")
    targeted = columns["arm"] == "targeted"
    cost, qaly = columns["cost"].astype(float), columns["qaly"].astype(float)
    for key, values in (("cost", cost), ("effect", qaly)):
        exact = float(values[targeted].mean() - values[~targeted].mean())
        estimate = found.estimates[key]
        assert abs(estimate.value - exact) < 5 * estimate.privacy_variance**0.5
        assert estimate.privacy_variance > 0
    assert cohort_of(world.study, columns).patients == 1_600
    assert SITES == 8


def test_the_bar_of_the_split_is_where_means_differ_by_a_fifth() -> None:
    # Purity 1: the means are those of the lines themselves, 15,000 over 10,500 and 30,000 over 15,000.
    assert means_by_purity(1.0) == [mean for _, mean in CELLS.values()]
    assert smallest_difference(1.0) == pytest.approx(15 / 10.5 - 1)
    assert smallest_difference(purity_at(0.20)) == pytest.approx(0.20)


def found_by(**changes: Any) -> dict[str, Any]:
    rows = [
        {"truth": truth, "text": truth, "right": right, "repetitions": 200, **counts}
        for truth, right, counts in (
            ("meets", "met", {"met": 180, "insufficient_evidence": 20, "not_met": 0}),
            ("at the bar", "insufficient_evidence", {"met": 18, "insufficient_evidence": 165, "not_met": 17}),
            ("fails", "not_met", {"met": 0, "insufficient_evidence": 10, "not_met": 190}),
        )
    ]
    door = {
        "title": "t", "outcome": "met", "replayed": True, "proposal": "pr-1", "signed_by": ["payer"],
        "evidence": "ev-1", "decision": "de-1", "seconds": 1.0, "report_kb": 90,
        "effective_from": "2027-01-01",
        "before": {"a": "1"}, "after": {"a": "2"}, "in_force_then": {"a": "2"},
        "in_force_today": {"a": "1"},
    }  # fmt: skip
    made: dict[str, Any] = {
        name: door if name.endswith("front_door") else {"title": "t", "standard": "s", "rows": rows}
        for name in STEPS
    }
    return made | changes


def test_kept_promises_make_a_page_with_every_rate_and_proposal() -> None:
    made = report(found_by())
    assert made.broken == ()
    assert made.page.startswith("Every promise was kept.")
    assert "| t | meets: meets | 0.900 | 0.100 | 0.000 | 0.900 | 0.000 |" in made.page
    assert "| t | at the bar: at the bar | 0.090 | 0.825 | 0.085 | 0.825 | 0.175 |" in made.page
    assert made.page.count("proposal `pr-1` signed as payer, in force from 2027-01-01: a 1 -> 2") == 5
    assert REPETITIONS == 200


def test_a_broken_promise_is_named() -> None:
    bad = found_by()["lung_icer_gate"]["rows"]
    bad = [{**row, "met": 60} if row["truth"] == "at the bar" else row for row in bad]
    door = found_by()["cart_instalments_front_door"]
    named = " ".join(
        broken_promises(
            found_by(
                lung_icer_gate={"title": "t", "standard": "s", "rows": bad},
                cart_instalments_front_door={**door, "outcome": "not_met"},
                lung_subgroups_front_door={**door, "in_force_today": {"a": "2"}},
            )
        )
    )
    assert "lung_icer_gate, at the bar: met in 60 of 200" in named
    assert "cart_instalments: the front door ended in not_met" in named
    assert "lung_subgroups: the approved value is not what holds" in named
