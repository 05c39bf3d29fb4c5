"""The packaged studies: valid, plannable on their federations, fit for the answer they are made to show."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from fedvalue.payment.standard_file import read
from fedvalue.planning.plan import make_plan
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.study.endpoints import Binary
from fedvalue.study.file import load, parse
from fedvalue.study.roster import Roster, Site
from fedvalue.study.schema import Study
from fedvalue.synthetic.expected import planted_survival, recorded_response, recorded_shares
from fedvalue.synthetic.studies import demo_study, three_sites_study
from fedvalue.synthetic.world import LEVELS, World
from fedvalue.synthetic.worlds import demo_world, three_sites_world

PAIRS = [(demo_study(), demo_world()), (three_sites_study(), three_sites_world())]


def roster_of(world: World) -> Roster:
    return Roster(
        site=tuple(
            Site(id=h.id, entity=h.id, operator=h.id, public_key=f"{i:064x}", officer_key=f"{i + 99:064x}")
            for i, h in enumerate(world.hospitals)
        )
    )


@pytest.mark.parametrize("name", ["study.toml", "three_sites.toml"])
def test_the_packaged_files_load(repository: Path, name: str) -> None:
    study = load(repository / "core" / "fedvalue" / "synthetic" / "demo" / name)
    assert study.governance.profile == "none"
    assert study.payments[0].uses == "response_6m | egfr=mutated"
    assert study.variables["egfr"].levels == LEVELS


def test_the_demonstration_asks_the_question_in_two_languages() -> None:
    study = parse(demo_study(), where="demo")
    assert "keep its 6-month response" in study.study.question.read("en")
    assert "6 个月" in study.study.question.read("zh")
    assert study.federation.min_sites == 5
    pfs = study.endpoints["pfs"]
    assert pfs.kind == "time_to_event"
    assert pfs.intervals == 24


def test_the_three_site_study_tolerates_nobody_missing() -> None:
    study = parse(three_sites_study(), where="three")
    assert study.federation.min_sites == 3
    assert study.federation.tolerated_dropouts == 0
    limits = roster_of(three_sites_world()).thresholds(study.federation)
    assert (limits.sites, limits.answers, limits.honest_shares) == (3, 3, 2)


def test_six_hospitals_give_the_thresholds_of_the_design() -> None:
    limits = roster_of(demo_world()).thresholds(parse(demo_study(), where="demo").federation)
    assert (limits.sites, limits.colluding, limits.answers, limits.honest_shares) == (6, 1, 5, 4)


@pytest.mark.parametrize(("study", "world"), PAIRS, ids=["demo", "three sites"])
def test_the_patient_cap_covers_the_world(study: bytes, world: World) -> None:
    everybody = world.patients * (1 + world.other_patients)
    assert everybody < parse(study, where="packaged").privacy.patient_cap


def response_noise(study: Study, world: World) -> float:
    """Standard deviation of one released count of the proportion, if every site answers, in patients."""
    release = make_plan(study, roster_of(world)).releases[0]
    gamma = next(g for name, (_, g) in release.slices().items() if name.startswith("proportion:"))
    return float(math.sqrt(len(world.hospitals)) * 2**LOG2_SCALE / float(gamma))


def error_of_the_mutated(world: World, study: Study) -> tuple[float, float, float]:
    """Recorded response of the mutated, its standard error, and the privacy share of its variance."""
    noise, theta = response_noise(study, world), recorded_response(world, "mutated")
    n = world.patients * float(recorded_shares(world)[0])
    # r / n with n = r + failures + missing, each cell with the same noise (fedvalue.analyses.proportion)
    privacy = noise**2 * ((1 - theta) ** 2 + 2 * theta**2) / n**2
    total = theta * (1 - theta) / n + privacy
    return theta, math.sqrt(total), privacy / total


def test_the_typical_answer_meets_a_bar_that_can_bite() -> None:
    # Bar .60, five points under the reference .65 that the packaged standard declares. Rule D1 says "met"
    # where P(theta >= .60) >= .90, which is 1.2816 standard errors. The planted truth stands far enough above
    # the bar that 95 of 100 fresh federations say so (1.2816 + 1.6449 standard errors), and the reference so
    # near that the bar is no formality: at .65 the rule says "met" in less than 99 of 100.
    theta, error, privacy_share = error_of_the_mutated(demo_world(), parse(demo_study(), where="demo"))
    assert (theta - 0.60) / error > 1.2816 + 1.6449
    assert (0.65 - 0.60) / error < 1.2816 + 2.3263
    assert privacy_share < 0.5  # more, and privacy would be the reason to wait


def test_the_typical_answer_meets_the_packaged_standard() -> None:
    study = parse(demo_study(), where="demo")
    standard = read(study.payments[0].standard).standard
    threshold = standard.rule["threshold"].on(study.study.valid.start, "threshold").amount
    window = standard.rule["window"].on(study.study.valid.start, "window").amount
    endpoint = study.endpoints["response_6m"]
    assert threshold is not None
    assert isinstance(endpoint, Binary)
    assert endpoint.window[1] == window
    assert standard.metric is not None
    assert endpoint.missing == standard.metric.missing
    assert endpoint.method in standard.metric.methods
    theta, error, _ = error_of_the_mutated(demo_world(), study)
    assert (theta - float(threshold)) / error > 1.2816 + 1.6449


def test_noise_of_the_demonstration_is_a_few_patients() -> None:
    # rho(2, 1e-6) = .0881; diagnostics leave 85 % and a quarter of that is .01873. m = 4:
    # gamma = 2^20 sqrt(2 x 4 x .01873) / 1; six shares of noise give sqrt(6) / sqrt(.1498) = 6.33 patients
    assert response_noise(parse(demo_study(), where="demo"), demo_world()) == pytest.approx(6.33, abs=0.01)


def test_numbers_at_risk_stay_above_their_noise_for_a_year_in_every_group() -> None:
    # the curve of a group ends where the noise SD passes a third of the number at risk; before half of the
    # horizon that would be "not estimable". Here the expected number at risk at one year is above 3.5 SD.
    world, study = demo_world(), parse(demo_study(), where="demo")
    release = make_plan(study, roster_of(world)).releases[0]
    gammas = {name.rsplit("/", 1)[1]: float(g) for name, (_, g) in release.slices().items()}
    unit = math.sqrt(len(world.hospitals)) * 2**LOG2_SCALE
    # S_25 = 2.07 (private-sum.md 5): the noise of a prefix sum over that of a released coordinate
    sd = math.sqrt(2.07) * unit / gammas["at_risk"]
    for level, share in zip(LEVELS, recorded_shares(world), strict=True):
        alive = planted_survival(world, level, np.array([365.0]))[0]
        at_risk = world.patients * float(share) * alive * math.exp(-world.drop_out * 365)
        assert at_risk > 3.5 * sd, level
