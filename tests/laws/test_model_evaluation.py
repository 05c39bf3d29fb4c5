"""A given model, evaluated: the laws, figures by hand, sklearn and lifelines without noise, honest errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from lifelines.utils import concordance_index

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.analyses.concordance import Grid
from fedvalue.analyses.evaluated import NO_HOLD_OUT, NOT_ASSESSED
from fedvalue.analyses.evaluated_cells import HETEROGENEITY
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.model_evaluation import EvaluationOfModel
from fedvalue.analyses.risk import Risk
from fedvalue.analyses.scoring import Network
from fedvalue.study.cohort import Variable
from fedvalue.study.scoring import Column, ScoringModel, packed
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

LEVELS = ("mutated", "wild type", "not tested")
VARIABLES = {
    "egfr": Variable(person="egfr", levels=LEVELS),
    "age": Variable(person="age", clip=(18.0, 95.0), unit="years"),
}
EGFR, GRADE = Groups(("egfr",), (LEVELS,)), Groups(("grade",), (("0", "1", "2"),))
FINE = tuple(i / 50 for i in range(1, 50))
ONE = EvaluationOfModel(Risk("risk"), "response", "exclude", FINE)


def network(rng: np.random.Generator, width: int = 5, outputs: int = 1) -> Network:
    columns = (
        Column(variable="age", center=60.0, scale=12.0),
        Column(variable="age", unknown=True),
        *(Column(variable="egfr", level=level) for level in LEVELS),
        Column(variable="egfr", unknown=True),
    )
    layers = [
        (rng.normal(size=(width, 6)), rng.normal(size=width)),
        (rng.normal(size=(outputs, width)), rng.normal(size=outputs)),
    ]
    model = ScoringModel(
        columns=columns, hidden=(width,), outputs=outputs, numbers=packed(layers), activation="silu",
        link="logistic" if outputs == 1 else "hazard", reach=5.0,
    )  # fmt: skip
    return Network.of(model, VARIABLES)


class TestModelEvaluation(AnalysisLaws):
    PAIRS = 200

    @pytest.fixture
    def analyses(self, rng: np.random.Generator) -> list[Analysis]:
        grid = Grid.of("pfs", tuple(30.0 * i for i in range(25)), delayed=True)
        everything = EvaluationOfModel(
            network(rng), "response", "non_response", (0.1, 0.2, 0.5), (EGFR, GRADE), ("day", 20_300.0),
            Groups(("egfr", "grade"), (LEVELS, ("0", "1"))), ("low", "high"), (0.2,), (), grid, True,
            ("a", "b", "c"),
        )  # fmt: skip
        timed = EvaluationOfModel(network(rng, outputs=3), "", "exclude", (0.5,), grid=grid)
        ended = replace(timed, grid=replace(grid, delayed=False), horizon=True)
        wild = replace(network(rng), layers=tuple((w * 1e200, b) for w, b in network(rng).layers))
        return [
            everything,
            timed,
            ended,
            replace(ONE, prediction=Risk("cost")),
            replace(ONE, prediction=wild),
        ]


def patients(risk: np.ndarray, status: np.ndarray, **categories: np.ndarray) -> Cohort:
    return Cohort(len(risk), categories, {"risk": risk}, {"response": BinaryOutcome(status)})


def test_five_patients_by_hand() -> None:
    # risks .1 (no), .3 (yes), .6 (no), .8 (yes); the fifth has no outcome
    cohort = patients(np.array([0.1, 0.3, 0.6, 0.8, 0.5]), np.array([0, 1, 0, 1, -1]))
    tiers = replace(ONE, cuts=(0.2, 0.5), tiers=("low", "middle", "high"), tier_cuts=(0.2, 0.5))
    conclusion = without_noise(tiers, [cohort])
    found = conclusion.stratum("all")
    value = {name: estimate.value for name, estimate in found.estimates.items()}
    # pairs: .3 > .1 (1), .3 < .6 (0), .8 > .1 (1), .8 and .6 in one bin (1/2): 2.5 of 4
    assert value["area under the ROC curve"] == pytest.approx(2.5 / 4)
    # (.01 + .49 + .36 + .04) / 4
    assert value["Brier score"] == pytest.approx(0.225)
    assert value["observed over predicted"] == pytest.approx(2 / 1.8)
    assert value["observed less predicted"] == pytest.approx((2 - 1.8) / 4)
    assert found.released["left out"].value == 1
    high = conclusion.stratum("tier=high")
    assert high.released["patients"].value == 2
    assert high.estimates["event rate"].value == pytest.approx(1 / 2)
    assert high.estimates["mean prediction"].value == pytest.approx(0.7)
    assert high.estimates["share of patients"].value == pytest.approx(1 / 2)
    assert conclusion.stratum("tier=low").estimates["event rate"].value == pytest.approx(0.0)
    assert NO_HOLD_OUT in conclusion.notes


def test_without_noise_brier_and_calibration_are_those_of_sklearn_and_statsmodels(
    rng: np.random.Generator,
) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    risk = rng.beta(2, 3, 6000)
    truth = 1 / (1 + np.exp(-(0.3 + 0.8 * np.log(risk / (1 - risk)))))
    status = (rng.random(6000) < truth).astype(np.int64)
    cohort = patients(risk, status)
    found = without_noise(ONE, [cohort]).stratum("all").estimates
    assert found["Brier score"].value == pytest.approx(metrics.brier_score_loss(status, risk), abs=1e-7)
    binned = np.searchsorted(np.array(FINE), risk, side="right")
    assert found["area under the ROC curve"].value == pytest.approx(
        metrics.roc_auc_score(status, binned), abs=1e-7
    )
    # 50 bins: ranks within a bin are ties, so the unbinned area is near and not the same
    assert found["area under the ROC curve"].value == pytest.approx(
        metrics.roc_auc_score(status, risk), abs=2e-3
    )
    fitted = sm.GLM(status, sm.add_constant(np.log(risk / (1 - risk))), family=sm.families.Binomial()).fit()
    assert found["calibration intercept"].value == pytest.approx(fitted.params[0], abs=5e-3)
    assert found["calibration slope"].value == pytest.approx(fitted.params[1], abs=5e-3)
    assert found["calibration slope"].sampling_variance == pytest.approx(fitted.bse[1] ** 2, rel=0.02)


def test_without_noise_the_concordance_index_is_that_of_lifelines(rng: np.random.Generator) -> None:
    n = 1500
    risk = rng.integers(0, 8, n) / 8 + 1 / 16  # so that bins are ranks
    days = np.ceil(rng.exponential(20 / (0.3 + risk)))
    event = (rng.random(n) < 0.7).astype(np.int64)
    # an event and a censoring on one day are a pair for lifelines and a tie for us: nobody shares a day
    days = np.argsort(np.argsort(days + rng.random(n))).astype(np.float64) + 1.0
    grid = Grid("pfs", tuple(float(d) for d in range(n + 1)), delayed=False)
    cohort = Cohort(n, {}, {"risk": risk}, {}, {"pfs": SurvivalOutcome(np.zeros(n), days, event)})
    asked = replace(ONE, outcome="", cuts=tuple(i / 8 for i in range(1, 8)), grid=grid)
    found = without_noise(asked, [cohort]).stratum("all").estimates["concordance index"]
    assert found.value == pytest.approx(concordance_index(days, -risk, event), abs=1e-6)
    # entries before everybody's first event change nothing
    late = replace(asked, grid=replace(grid, delayed=True))
    again = without_noise(late, [cohort]).stratum("all").estimates["concordance index"]
    assert again.value == pytest.approx(found.value, abs=1e-9)


def test_who_has_not_entered_is_not_compared() -> None:
    # event on day 1 at risk .9; the others leave on day 3, at .1 from day 0 and at .95 only from day 2
    outcome = SurvivalOutcome(np.array([0.0, 0.0, 2.0]), np.array([1.0, 3.0, 3.0]), np.array([1, 0, 0]))
    cohort = Cohort(3, {}, {"risk": np.array([0.9, 0.1, 0.95])}, {}, {"pfs": outcome})
    grid = Grid("pfs", (0.0, 1.0, 2.0, 3.0), delayed=True)
    asked = replace(ONE, outcome="", grid=grid)
    # one pair, concordant; without entries there would be two, one of them wrong
    assert without_noise(asked, [cohort]).stratum("all").estimates["concordance index"].value == 1.0
    everybody = replace(asked, grid=replace(grid, delayed=False))
    found = without_noise(everybody, [cohort]).stratum("all").estimates["concordance index"]
    assert found.value == pytest.approx(0.5)


def test_a_small_group_is_not_assessed_and_the_last_quarter_stands_by_itself(
    rng: np.random.Generator,
) -> None:
    n = 6000
    risk, egfr = rng.beta(2, 3, n), np.where(np.arange(n) < 30, 1, 0)
    day = np.where(np.arange(n) % 3 == 0, 20_350.0, 20_100.0)
    # the model fails late: outcomes in the last quarter are twice as frequent as predicted
    status = (rng.random(n) < np.where(day > 20_300, np.minimum(2 * risk, 1), risk)).astype(np.int64)
    cohort = replace(patients(risk, status, egfr=egfr), numbers={"risk": risk, "day": day})
    asked = replace(ONE, cuts=(0.2, 0.4, 0.6, 0.8), by=(EGFR,), calendar=("day", 20_300.0))
    found = with_noise(asked, cohort, 2.0, rng)
    assert found.stratum("egfr=wild type").status != "estimated"
    assert found.stratum("egfr=wild type").estimates == {}
    assert NOT_ASSESSED in found.notes
    late = found.stratum("last quarter").estimates["observed over predicted"]
    whole = found.stratum("all").estimates["observed over predicted"]
    assert late.lower is not None
    assert late.lower > 1.3
    assert 1.1 < whole.value < 1.5


def test_at_a_tiny_budget_figures_are_left_out_and_nothing_breaks(rng: np.random.Generator) -> None:
    # counts of everybody pass where bins drown: each has noise of its own
    risk = rng.beta(2, 3, 1200)
    cohort = patients(risk, (rng.random(1200) < risk).astype(np.int64), egfr=rng.integers(0, 3, 1200))
    tiers = {"tiers": ("low", "high"), "tier_cuts": (0.5,)}
    asked = replace(ONE, by=(EGFR,), cells=EGFR, by_site=True, sites=("a", "b", "c"), **tiers)  # type: ignore[arg-type]  # three fields by name
    for epsilon in (0.02, 0.05, 0.1, 0.2, 0.4) * 12:
        found = with_noise(asked, cohort, epsilon, rng)
        for stratum in found.strata:
            assert stratum.status == "estimated" or not stratum.estimates


def test_tiers_by_share_take_the_nearest_released_edges_and_say_so(rng: np.random.Generator) -> None:
    risk = rng.random(5000)
    asked = replace(
        ONE, cuts=tuple(i / 20 for i in range(1, 20)), tiers=("low", "middle", "high"),
        tier_shares=(0.5, 0.3, 0.2),
    )  # fmt: skip
    found = without_noise(asked, [patients(risk, (rng.random(5000) < risk).astype(np.int64))])
    assert any("0.5, 0.8" in note for note in found.notes)
    assert found.stratum("tier=high").estimates["event rate"].value == pytest.approx(0.9, abs=0.03)
    # one bin holds everybody, so nobody is left for the other tiers
    flat = without_noise(asked, [patients(np.full(50, 0.31), np.zeros(50, dtype=np.int64))])
    assert {flat.stratum(f"tier={name}").status for name in ("low", "high")} == {"below_minimum"}


def test_cells_have_relative_predictions_that_average_one(rng: np.random.Generator) -> None:
    n = 4000
    egfr = rng.integers(0, 2, n)
    risk = np.where(egfr == 0, 0.3, 0.1) + rng.uniform(-0.05, 0.05, n)
    cohort = patients(risk, (rng.random(n) < risk).astype(np.int64), egfr=egfr)
    cells = Groups(("egfr",), (LEVELS[:2],))
    found = without_noise(replace(ONE, cells=cells), [cohort])
    relative, people = [], []
    for name in cells.names[:-1]:
        relative.append(found.stratum(name).estimates["relative prediction"].value)
        people.append(found.stratum(name).released["patients"].value)
        assert relative[-1] == pytest.approx(risk[egfr == len(relative) - 1].mean() / risk.mean(), rel=1e-6)
    assert np.average(relative, weights=people) == pytest.approx(1.0)


def test_hospitals_that_differ_show_heterogeneity(rng: np.random.Generator) -> None:
    n, sites = 9000, tuple("abcdef")
    risk, site = rng.beta(2, 5, n), np.arange(n) % 6
    shift = np.exp(np.linspace(-0.5, 0.5, 6))[site]
    asked = replace(ONE, by_site=True, sites=sites)
    for factor, expected in ((shift, (0.8, 1.0)), (np.ones(n), (0.0, 0.6))):
        status = (rng.random(n) < np.minimum(risk * factor, 1)).astype(np.int64)
        cohort = replace(patients(risk, status), site=site)
        found = with_noise(asked, cohort, 4.0, rng)
        share = found.stratum("all").estimates[HETEROGENEITY]
        assert expected[0] <= share.value <= expected[1]
        assert found.stratum("site=a").estimates["observed over predicted"].privacy_variance > 0


def test_intervals_hold_the_truth_under_noise(rng: np.random.Generator) -> None:
    # 100 draws of 3,000 patients at epsilon 1; the truth by 400,000. Per figure 100 intervals of 95 %:
    # fewer than 86 has a chance of 4 in 10,000; over eleven figures below 1 in 200
    asked = replace(
        ONE, cuts=tuple(i / 10 for i in range(1, 10)), by=(GRADE,), tiers=("low", "high"), tier_cuts=(0.5,),
        cells=Groups(("egfr",), (LEVELS[:2],)),
    )  # fmt: skip

    def draw(n: int) -> Cohort:
        egfr = rng.integers(0, 2, n)
        risk = rng.beta(2, 3, n) * np.where(egfr == 0, 1.0, 0.7)
        truth = 1 / (1 + np.exp(-(0.2 + 0.9 * np.log(risk / (1 - risk)))))
        grade = (rng.random(n) < 0.3).astype(np.int64)
        return patients(risk, (rng.random(n) < truth).astype(np.int64), egfr=egfr, grade=grade)

    whole = without_noise(asked, [draw(400_000)])
    wanted = [("all", name) for name in whole.stratum("all").estimates]
    wanted += [("grade=1", name) for name in ("observed over predicted", "area under the ROC curve")]
    wanted += [("tier=high", name) for name in ("event rate", "mean prediction")]
    wanted.append(("egfr=mutated", "relative prediction"))
    inside = dict.fromkeys(wanted, 0)
    for _ in range(100):
        found = with_noise(asked, draw(3000), 1.0, rng)
        for stratum, name in wanted:
            estimate = found.stratum(stratum).estimates[name]
            truth = whole.stratum(stratum).estimates[name].value
            inside[stratum, name] += (estimate.lower or 0.0) <= truth <= (estimate.upper or 9.0)
    assert len(inside) == 11
    assert min(inside.values()) >= 86, inside
