"""What the planner looks at of each kind: every kind has a width and a power that mean something."""

from __future__ import annotations

import numpy as np
import pytest

from fedvalue.analyses.estimate import Conclusion, Estimate, Stratum
from fedvalue.planning import heads
from fedvalue.planning.assumptions import Assumptions, draw
from fedvalue.planning.expected import Expected, expected
from fedvalue.planning.plan import plan_on
from fedvalue.secure_sum.thresholds import thresholds
from proofs.neighbour_forms import FORMS, study

PATIENTS = 3_000
NOWHERE = "0" * 64


def looked_at(kind: str, form: int = 0) -> tuple[Expected, ...]:
    asked = study(kind, form, epsilon=8.0)
    cohort = draw(asked, Assumptions(), PATIENTS, np.random.default_rng(1))
    cohort = type(cohort)(
        cohort.patients, cohort.categories, cohort.numbers, cohort.binary, cohort.survival,
        site=np.arange(PATIENTS) % 5,
    )  # fmt: skip
    plans = [plan_on(asked, thresholds(5), NOWHERE, unsafe_exact=exact) for exact in (False, True)]
    return expected(plans[0], plans[1], cohort, 1, np.random.default_rng(2))


@pytest.mark.parametrize("kind", [kind for kind in FORMS if kind != "training"])
def test_every_kind_has_a_width_that_is_compared_with_something(kind: str) -> None:
    rows = looked_at(kind)
    assert rows
    assert any(row.estimate for row in rows)
    for row in rows:
        if row.estimate:
            assert row.scale > 0, (row.group, row.estimate)
            assert 0 <= row.power(0.1) <= 1


def test_a_model_is_judged_by_its_widest_ratio_and_never_by_its_intercept() -> None:
    (cox,) = looked_at("cox")
    assert cox.estimate.startswith("hazard ratio of egfr=")
    # under no effects a ratio is near 1, so a difference of .1 is a tenth of it
    assert cox.scale == pytest.approx(1, abs=0.3)
    (linear,) = looked_at("regression", 4)
    assert linear.estimate == "arm=treated"


def test_an_effect_is_compared_with_the_means_it_is_a_difference_of() -> None:
    cost = looked_at("treatment_effect", 1)[0]
    assert cost.estimate == "effect"
    # costs have their mean at a third of 400,000
    assert cost.scale == pytest.approx(133_000, rel=0.1)
    share = looked_at("treatment_effect", 0)[0]
    assert share.scale == 1


def test_both_parts_of_a_cost_model_can_be_expected_because_some_have_no_cost() -> None:
    groups = {row.group: row for row in looked_at("regression", 2)}
    assert groups["any"].estimate
    assert groups["amount"].estimate


def test_what_a_group_is_looked_at_by_hand() -> None:
    def one(value: float, half: float, unit: str) -> Estimate:
        return Estimate(
            value=value, unit=unit, lower=value - half, upper=value + half, sampling_variance=1.0,
            privacy_variance=1.0,
        )  # fmt: skip

    estimates = {
        "intercept": one(-1.0, 9.0, "log odds"), "age": one(0.01, 0.001, "log odds"),
        "odds ratio of age": one(1.01, 0.001, "ratio"), "odds ratio of sex=male": one(1.1, 0.2, "ratio"),
        "odds ratio of egfr=mutated": one(1.0, 0.4, "ratio"),
    }  # fmt: skip
    stratum = Stratum(name="all", status="estimated", estimates=estimates)
    found = heads.head("regression", stratum)
    assert found is not None
    assert found[0] == "odds ratio of egfr=mutated"
    whole = Conclusion(label="r", kind="regression", endpoint="y", by=(), strata=(stratum,))
    assert heads.size(whole, found[1]) == 1.0
    assert heads.head("log_rank", stratum) is None
