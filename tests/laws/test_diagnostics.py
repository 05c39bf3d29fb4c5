"""Diagnostics: the laws, hand-worked shares and differences, what is left out, and honest intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.catalogue import analyses_of, diagnostics_of
from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.analyses.diagnostics import DiagnosticsOfStudy
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.quantity import Quantity
from fedvalue.study.file import canonical, from_canonical
from tests.agreement import study
from tests.laws.suite import AnalysisLaws, planned, with_noise, without_noise

LEVELS = ("mutated", "wild type", "not tested")
GRADES = ("none", "1", "2", "3", "4", "5")
ALL = DiagnosticsOfStudy(
    ("with a drug L01", "with condition C34", "without drug L02"),
    (("egfr", LEVELS), ("grade", GRADES)),
    (Quantity("age", 18, 95, "years"), Quantity("cost", 0, 2000, "CNY")),
    ("response",),
    (("pfs", 730.0),),
    Groups(("egfr",), (LEVELS,)),
)
PLAIN = replace(ALL, categories=(), numbers=(), outcomes=(), times=(), balance=Groups((), ()))


class TestDiagnostics(AnalysisLaws):
    PAIRS = 300

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [ALL, PLAIN]


def people() -> Cohort:
    # 8 are in; 5 are out: 2 by the index, 3 by the second step; a step that no study has counts nowhere
    return Cohort(
        8,
        categories={
            "egfr": np.array([0, 0, 0, 0, 1, 1, 1, 1]),
            "grade": np.array([0, 1, -1, 5, 0, 0, 0, 7]),
        },
        numbers={
            "age": np.array([40.0, 50.0, 60.0, 70.0, 50.0, 60.0, 70.0, 80.0]),
            "cost": np.full(8, np.nan),
        },
        binary={"response": BinaryOutcome(np.array([1, 0, -1, 1, 0, 9, 1, 1]))},
        survival={
            "pfs": SurvivalOutcome(
                np.zeros(8),
                np.array([100.0, 200.0, 300.0, 400.0, 600.0, 730.0, np.nan, 900.0]),
                np.array([1, 0, 0, 1, 1, 0, 1, 0]),
            )
        },
        lost=np.array([0, 0, 1, 1, 1, 9, -3]),
    )


def test_shares_by_hand() -> None:
    found = without_noise(ALL, [people()]).stratum("all").estimates
    # 13 people, 2 without the drug, 3 of the others without the diagnosis, none of the rest with drug L02
    assert found["left after: with a drug L01"].value == pytest.approx(11 / 13)
    assert found["left after: with condition C34"].value == pytest.approx(8 / 13)
    assert found["left after: without drug L02"].value == pytest.approx(8 / 13)
    # one grade is unknown and one no level; every cost; a missing response and one of no code; one time
    missing = {name: found[f"missing: {name}"].value for name in ALL.items}
    assert missing == pytest.approx(
        {"egfr": 0, "grade": 2 / 8, "age": 0, "cost": 1, "response": 2 / 8, "pfs": 1 / 8}
    )
    # lost before day 182.5: nobody; before 365: days 200 and 300; no more before 730
    followed = [
        found[f"followed to day {day} or an event: pfs"].value for day in ("182.5", "365", "547.5", "730")
    ]
    assert followed == pytest.approx([1, 6 / 8, 6 / 8, 6 / 8])


def test_balance_by_hand() -> None:
    found = without_noise(ALL, [people()]).stratum("egfr=wild type").estimates
    # ages 50..80 against 40..70: means 65 and 55, both variances 125 (over n), so 10 / sqrt(125)
    assert found["difference in age"].value == pytest.approx(10 / 125**0.5)
    # no grade: 3 of 3 known among wild type, 1 of 3 among mutated
    assert found["difference in grade=none"].value == pytest.approx(1 - 1 / 3)
    assert "difference in cost" not in found
    assert without_noise(ALL, [people()]).stratum("egfr=mutated").estimates == {}


def test_one_who_was_left_out_moves_one_count_by_one() -> None:
    (ask,) = ALL.rounds()
    scaling, _, _ = planned(ask, 1.0, honest_shares=3)
    more = ALL.contribution(people(), ask, scaling)
    for leaver in range(7):
        less = ALL.contribution(replace(people(), lost=np.delete(people().lost, leaver)), ask, scaling)
        moved = {name: int(np.abs(more[name] - less[name]).sum()) for name in more}
        assert moved.pop("attrition") <= int(scaling["attrition"])
        assert set(moved.values()) == {0}


def test_a_study_has_them_unless_it_says_that_it_has_none() -> None:
    assert [a.label for a in analyses_of(study())] == ["proportion:response_6m:egfr", "kaplan_meier:pfs:egfr"]
    standing = study(("[diagnostics]\nshare = 0\n", ""))
    assert standing.diagnostics.share == 0.15
    assert analyses_of(standing)[-1].label == "diagnostics"
    found = diagnostics_of(standing)
    assert found.balance.by == ("egfr",)
    assert found.steps == (
        "with a drug L01EB*", "with condition C34* within -365d..0d", "without drug L01EB* within -365d..-1d",
    )  # fmt: skip
    assert found.items == ("egfr", "sex", "cost", "response_6m", "pfs")


def test_sites_and_coordinator_number_the_same_things_alike() -> None:
    # a site reads the study from its canonical form, whose keys are sorted
    standing = study(("[diagnostics]\nshare = 0\n", ""))
    assert list(standing.variables) != sorted(standing.variables)
    assert diagnostics_of(from_canonical(canonical(standing))) == diagnostics_of(standing)


def test_intervals_hold_the_truth_under_noise(rng: np.random.Generator) -> None:
    # 60 draws of 3,000 people at epsilon 1: 95 % of about 480 intervals; the chance of less than 92 % is
    # below 1 in 1,000 if they were independent
    inside, asked = 0, 0
    for _ in range(60):
        n = 3000
        arm = rng.integers(0, 2, n)
        cohort = Cohort(
            n,
            categories={"egfr": arm, "grade": np.where(rng.random(n) < 0.1, -1, rng.integers(0, 2, n))},
            numbers={"age": rng.normal(60 + 3 * arm, 10), "cost": rng.uniform(0, 2000, n)},
            binary={"response": BinaryOutcome(rng.integers(0, 2, n))},
            survival={
                "pfs": SurvivalOutcome(np.zeros(n), rng.uniform(0, 1460, n), np.zeros(n, dtype=np.int64))
            },
            lost=np.where(rng.random(1000) < 0.5, 0, 2),
        )
        found = with_noise(ALL, cohort, 1.0, rng)
        whole, wild = found.stratum("all").estimates, found.stratum("egfr=wild type").estimates
        for estimate, truth in (
            (whole["missing: grade"], 0.1),
            (whole["left after: with a drug L01"], 3500 / 4000),
            (whole["followed to day 365 or an event: pfs"], 0.75),
            (whole["followed to day 730 or an event: pfs"], 0.5),
            (wild["difference in age"], 0.3),
            (wild["difference in cost"], 0.0),
            (wild["difference in grade=none"], 0.0),
            (wild["difference in grade=1"], 0.0),
        ):
            asked += 1
            inside += (estimate.lower or -9) <= truth <= (estimate.upper or 9)
    assert inside >= 0.92 * asked
