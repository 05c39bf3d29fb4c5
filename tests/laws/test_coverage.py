"""Coverage of printed intervals, a few studies of each world; `make prove KEY=coverage` runs the thousand.

Seeds are fixed. What is tested of every kind is that each interval it prints has a truth; how often some hold
it is tested of few, with the error rate in a comment.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedvalue.analyses.estimate import Conclusion, Estimate, Stratum
from fedvalue.study.schema import KINDS
from proofs import coverage_page
from proofs.coverage import Drawn, Judge, Lines, World, joined, replicate
from proofs.keys import coverage as proof

SOME = 20_000
"""Patients whose estimate without noise is the truth here."""


def test_every_kind_of_analysis_has_a_coverage_study() -> None:
    # a new kind of analysis writes down a world in proofs/coverage_described.py, _times.py or _effects.py
    assert proof.without_worlds(KINDS) == []
    assert proof.without_worlds(["palmistry"]) == ["the analysis 'palmistry' has no coverage study"]
    assert len(proof.STEPS) == len(proof.WORLDS) + 1


@pytest.mark.parametrize("world", proof.WORLDS, ids=lambda world: world.label)
def test_every_interval_that_is_printed_has_a_truth(world: World) -> None:
    lines = Lines.of(world, 3, SOME)
    tally, untold = replicate(lines, world.sizes[-1], world.epsilons[-1:], 1, 5)
    assert untold == set()
    assert tally[world.epsilons[-1]]
    for stratum, name in tally[world.epsilons[-1]]:
        assert len(lines.expected(100, stratum, name)) >= 1


@pytest.mark.parametrize("number", [0, 3])
def test_intervals_hold_the_truth_with_the_noise_and_not_without(number: int) -> None:
    world = replace(proof.WORLDS[number], sizes=(400,), epsilons=(1.0,))
    found = proof.covered(0, world=world, replications=120, many=400_000, processes=1)
    held = [row for row in found["rows"] if row["least"] is not None and row["stratum"] == "all"]
    # 120 studies; a true coverage of .93 gives less than .84 with probability 5e-4 each (binomial)
    assert held
    assert min(row["least"] for row in held) >= 0.84
    # as if there were no noise: a count of 400 has a noise SD of about 10
    assert min(row["least"] for row in found["ignoring"] if row["least"] is not None) < 0.8


def test_ignoring_late_entry_is_found_out() -> None:
    rows = proof.naive(replications=24)["rows"]
    assert {row["name"] for row in rows} >= {"median", "restricted mean"}
    # the bias is several standard errors; 24 studies that hold in more than half have no chance
    assert next(row for row in rows if row["name"] == "restricted mean")["naive"] < 0.5


def test_an_interval_without_a_truth_is_named() -> None:
    world = proof.WORLDS[0]
    lines = Lines.of(world, 3, 1_000)
    judge = Judge(lines)
    estimate = Estimate(value=1, unit="", lower=0, upper=2, sampling_variance=1, privacy_variance=1)
    strata = (Stratum(name="all", status="estimated", estimates={"luck": estimate}),)
    conclusion = Conclusion(label="x", kind="proportion", endpoint="response", by=(), strata=strata)
    judge.count(conclusion, Drawn(world.draw(np.random.default_rng(1), 10).cohort), None)
    assert judge.untold == {f"{world.label}: all, luck"}


def test_an_interval_without_width_is_named() -> None:
    world = proof.WORLDS[0]
    lines = Lines.of(world, 3, 1_000)
    judge = Judge(lines)
    estimate = Estimate(value=0, unit="", lower=0, upper=0, sampling_variance=1, privacy_variance=1)
    strata = (Stratum(name="all", status="estimated", estimates={"proportion": estimate}),)
    conclusion = Conclusion(label="x", kind="proportion", endpoint="response", by=(), strata=strata)
    judge.count(conclusion, Drawn(world.draw(np.random.default_rng(1), 10).cohort), None)
    assert judge.points == {f"{world.label}: all, proportion"}


def test_a_setting_that_prints_nothing_is_given_up_after_a_few_studies() -> None:
    world = replace(proof.WORLDS[0], epsilons=(0.01,))
    tally, untold = replicate(Lines.of(world, 3, 1_000), 100, (0.01,), 60, 5)
    assert tally == {0.01: {}}
    assert untold == set()


def test_tallies_of_parts_add_up() -> None:
    world = proof.WORLDS[0]
    lines = Lines.of(world, 3, 10_000)
    parts = [replicate(lines, 300, (3.0,), 4, seed)[0][3.0] for seed in (1, 2)]
    whole = joined(parts)
    assert whole["all", "proportion"].printed[0] == 8


def row(
    least: float, most: float, *, printed: int = 1_000, refused: float = 0.0, missed: float = 0.0
) -> dict[str, object]:
    return {"least": least, "most": most, "printed": printed, "refused": refused, "missed": missed}


def test_the_band_is_93_to_97_percent_and_widens_with_few_studies() -> None:
    assert not coverage_page.outside(row(0.93, 0.97))
    assert coverage_page.below(row(0.929, 0.95))
    assert coverage_page.above(row(0.95, 0.971))
    # 250 studies have twice the standard error of 1,000
    assert coverage_page.slack(250) == pytest.approx(0.04)
    assert not coverage_page.outside(row(0.911, 0.989, printed=250))
    # where most are refused, 7 % of all studies may print an interval that misses
    assert not coverage_page.outside(row(0.8, 0.8, printed=200, refused=0.8, missed=0.04))
    assert coverage_page.below(row(0.6, 0.6, printed=200, refused=0.8, missed=0.08))
