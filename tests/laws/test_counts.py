"""The laws for counts, cross-tables, rates and milestones, and agreement with plain counting and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome, pool
from fedvalue.analyses.counts import CountsByGroup
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.hierarchy import Hierarchy
from fedvalue.analyses.milestones import MilestonesByGroup
from fedvalue.analyses.proportion import ProportionByGroup
from fedvalue.analyses.rate import RateByGroup
from tests.laws.conftest import draw_cohort
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

EGFR = Groups(("egfr",), (("mutated", "wild type", "not tested"),))
GRADE = Groups(("grade",), (("none", "1", "2", "3", "4", "5"),))
EVERYBODY = Groups((), ())
YEAR = 365.25


class TestCountsLaws(AnalysisLaws):
    PAIRS = 100

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [CountsByGroup(EGFR, GRADE), CountsByGroup(EVERYBODY)]


class TestRateLaws(AnalysisLaws):
    PAIRS = 100

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [
            RateByGroup("pfs", EGFR, 730.5, entry_at_zero=True),
            RateByGroup("pfs", EVERYBODY, 400.0, entry_at_zero=False),
        ]


class TestMilestonesLaws(AnalysisLaws):
    PAIRS = 100

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [
            MilestonesByGroup("pfs", EGFR, (91.0, 183.0, 365.0)),
            MilestonesByGroup("pfs", EVERYBODY, (183.0,), "day", 20_300.0),
        ]


def test_hand_worked_cross_table() -> None:
    # mutated: grades none, none, 3 and one unknown; wild type: grade 3
    cohort = Cohort(5, {"egfr": np.array([0, 0, 0, 0, 1]), "grade": np.array([0, 0, 3, -1, 3])})
    found = without_noise(CountsByGroup(EGFR, GRADE), [cohort])
    mutated = found.stratum("egfr=mutated").estimates
    assert mutated["patients"].value == 4
    assert mutated["patients with grade=none"].value == 2
    assert mutated["grade=none"].value == pytest.approx(2 / 3)
    assert mutated["missing"].value == pytest.approx(1 / 4)
    assert found.stratum("all").estimates["grade=3"].value == pytest.approx(2 / 4)
    assert (mutated["patients"].lower, mutated["patients"].upper) == (4, 4)


def test_with_noise_a_count_is_covered_by_privacy_noise_alone(rng: np.random.Generator) -> None:
    # The count is a fact: 400 releases of 500 patients; true coverage .95, fewer than 363 in 400 has
    # probability 1e-3 (binomial).
    cohort = Cohort(500, {"egfr": np.zeros(500, dtype=np.int64)})
    covered = 0
    for _ in range(400):
        found = (
            with_noise(CountsByGroup(EGFR), cohort, 1.0, rng).stratum("egfr=mutated").estimates["patients"]
        )
        assert found.lower is not None
        assert found.upper is not None
        assert found.sampling_variance == 0
        covered += found.lower <= 500 <= found.upper
    assert covered >= 363


VARIANTS = ("EGFR L858R", "EGFR ex19del", "KRAS G12C", "KRAS other", "none")
PARENTS = Hierarchy(
    "driver",
    tuple(sorted({
        "EGFR L858R": "EGFR", "EGFR ex19del": "EGFR", "KRAS G12C": "KRAS", "KRAS other": "KRAS",
        "EGFR": "lung cancer", "KRAS": "lung cancer", "none": "lung cancer",
    }.items())),
)  # fmt: skip
DRIVER = Groups(("driver",), (VARIANTS,))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        # all large: nothing is joined
        ((90, 80, 70, 60, 50), {"EGFR L858R": (0,), "EGFR ex19del": (1,), "KRAS G12C": (2,),
                                "KRAS other": (3,), "none": (4,)}),
        # two small variants of one gene make the gene
        ((30, 25, 70, 60, 50), {"EGFR": (0, 1), "KRAS G12C": (2,), "KRAS other": (3,), "none": (4,)}),
        # one small variant is not enough for its gene, nor are two genes' rests: they meet at the disease
        ((90, 10, 70, 45, 55), {"EGFR L858R": (0,), "KRAS G12C": (2,), "lung cancer (rest)": (1, 3),
                                "none": (4,)}),
        # everything small: the disease
        ((10, 10, 10, 10, 15), {"lung cancer": (0, 1, 2, 3, 4)}),
        # noise below zero is a small group like any other
        ((-7, 60, 70, 60, 50), {"EGFR ex19del": (1,), "KRAS G12C": (2,), "KRAS other": (3,), "none": (4,),
                                "lung cancer (rest)": (0,)}),
    ],
)  # fmt: skip
def test_small_groups_join_up_the_public_hierarchy(
    counts: tuple[float, ...], expected: dict[str, tuple[int, ...]]
) -> None:
    found = PARENTS.joined(DRIVER, [*counts, 12.0], 50.0)
    assert {one.name.removeprefix("driver="): tuple(sorted(one.members)) for one in found} == {
        **expected, "unknown": (5,),
    }  # fmt: skip
    assert found[-1].name == "unknown"


def test_groups_join_within_the_levels_of_other_variables_only() -> None:
    groups = Groups(("sex", "driver"), (("female", "male"), ("a", "b")))
    hierarchy = Hierarchy("driver", (("a", "any"), ("b", "any")))
    found = hierarchy.joined(groups, [10, 60, 10, 45, 0], 50.0)
    assert [(one.name, one.members) for one in found] == [
        ("sex=female, driver=any (rest)", (0,)), ("sex=female, driver=b", (1,)),
        ("sex=male, driver=any", (2, 3)), ("unknown", (4,)),
    ]  # fmt: skip


def test_every_patient_is_in_one_joined_group_and_shares_are_those_of_its_members(
    rng: np.random.Generator,
) -> None:
    driver = rng.choice(5, 400, p=[0.4, 0.03, 0.4, 0.02, 0.15])
    status = (rng.random(400) < 0.3).astype(np.int64)
    cohort = Cohort(400, {"driver": driver}, binary={"response": BinaryOutcome(status)})
    analysis = ProportionByGroup("response", DRIVER, "non_response", PARENTS)
    found = with_noise(analysis, cohort, 8.0, rng)
    rest = found.stratum("driver=lung cancer (rest)")
    total = sum(s.released["success"].value for s in found.strata if s.name not in ("all",))
    assert total == pytest.approx(found.stratum("all").released["success"].value)
    joined = np.isin(driver, [1, 3])
    assert rest.released["success"].value == pytest.approx(status[joined].sum(), abs=12)


def test_hand_worked_rate() -> None:
    # 2 events in 100 + 200 + 400 (cut at the horizon, its event later) + 300 = 1,000 days
    outcome = SurvivalOutcome(
        np.zeros(5), np.array([100.0, 200.0, 500.0, 300.0, 7.0]), np.array([1, 0, 1, 1, -1])
    )
    analysis = RateByGroup("pfs", EVERYBODY, 400.0, entry_at_zero=True, per=1)
    stratum = without_noise(analysis, [Cohort(5, survival={"pfs": outcome})]).strata[0]
    assert stratum.estimates["rate"].value == pytest.approx(2 / (1000 / YEAR))
    assert stratum.estimates["person-years"].value == pytest.approx(1000 / YEAR)
    assert stratum.released["missing"].value == 1
    late = RateByGroup("pfs", EVERYBODY, 400.0, entry_at_zero=False, per=1)
    entered = SurvivalOutcome(np.array([50.0, np.nan]), np.array([100.0, 90.0]), np.array([1, 1]))
    found = without_noise(late, [Cohort(2, survival={"pfs": entered})] * 2).strata[0]
    assert found.estimates["rate"].value == pytest.approx(2 / (100 / YEAR))


def test_without_noise_a_rate_has_the_poisson_score_interval(rng: np.random.Generator) -> None:
    cohorts = [draw_cohort(rng, n, 0.0) for n in (200, 100)]
    outcome = pool(cohorts).survival["pfs"]
    known = (outcome.event >= 0) & (outcome.exit > 0)
    d = int((outcome.event[known] > 0)[outcome.exit[known] <= 730.5].sum())
    years = float(np.minimum(outcome.exit[known], 730.5).sum()) / YEAR
    analysis = RateByGroup("pfs", EVERYBODY, 730.5, entry_at_zero=True, per=1)
    rate = without_noise(analysis, cohorts).strata[0].estimates["rate"]
    z = stats.norm.ppf(0.975)
    middle, reach = d + z * z / 2, z * np.sqrt(d + z * z / 4)
    assert rate.value == pytest.approx(d / years, rel=0.02)  # who has the event on day zero has half a day
    assert (rate.lower, rate.upper) == pytest.approx(
        ((middle - reach) / years, (middle + reach) / years), rel=0.02
    )


@pytest.mark.parametrize(("patients", "epsilon"), [(300, 3.0), (2000, 0.5)])
def test_with_noise_the_rate_covers_what_was_planted(
    rng: np.random.Generator, patients: int, epsilon: float
) -> None:
    # Exponential times with .4 events a year, censored evenly over 2 years.
    # 300 runs; a true coverage of .93 gives fewer than 264 with probability 1e-3 (binomial).
    analysis, covered = RateByGroup("pfs", EVERYBODY, 730.5, entry_at_zero=True, per=1), 0
    for _ in range(300):
        event = rng.exponential(YEAR / 0.4, patients)
        censored = rng.uniform(1.0, 730.5, patients)
        outcome = SurvivalOutcome(
            np.zeros(patients), np.minimum(event, censored), (event <= censored).astype(np.int64)
        )
        rate = with_noise(analysis, Cohort(patients, survival={"pfs": outcome}), epsilon, rng).strata[0]
        found = rate.estimates["rate"]
        assert found.lower is not None
        assert found.upper is not None
        covered += found.lower <= 0.4 <= found.upper
    assert covered >= 264


def test_hand_worked_milestones() -> None:
    # due at day 100: passes (lives on), passes (followed to day 100), fails (event on the day itself), fails
    # earlier, and one was lost on day 99; at day 200 the second cannot be told either
    outcome = SurvivalOutcome(
        np.zeros(5), np.array([300.0, 100.0, 100.0, 40.0, 99.0]), np.array([0, 0, 1, 1, 0])
    )
    cohort = Cohort(5, numbers={"day": np.array([0.0, 0.0, 0.0, 0.0, 150.0])}, survival={"pfs": outcome})
    analysis = MilestonesByGroup("pfs", EVERYBODY, (100.0, 200.0))
    found = without_noise(analysis, [cohort]).strata[0].estimates
    assert found["due at day 100"].value == 5
    assert found["passed at day 100"].value == pytest.approx(2 / 5)
    assert found["failed at day 100"].value == pytest.approx(2 / 5)
    assert found["missing at day 100"].value == pytest.approx(1 / 5)
    assert found["missing at day 200"].value == pytest.approx(2 / 5)
    # as of day 249 the milestone of who began on day 150 had not come
    account = MilestonesByGroup("pfs", EVERYBODY, (100.0, 200.0), "day", 249.0)
    stratum = without_noise(account, [cohort]).strata[0]
    assert stratum.estimates["due at day 100"].value == 4
    assert stratum.released["not due at day 100"].value == 1
    assert stratum.estimates["passed at day 100"].value == pytest.approx(2 / 4)
