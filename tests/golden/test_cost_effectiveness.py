"""Cost-effectiveness against published answers: acceptance tests T1, T2, T3, T4, T6 and the golden `inb`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedvalue.payment.economics.frontier import Option, frontier
from fedvalue.payment.economics.icer import icer
from fedvalue.payment.economics.information import evpi, evpi_of_draws
from fedvalue.payment.economics.joint import Covariance, Draws, Increment
from fedvalue.payment.economics.lifetime import Accrual, Lifetime
from fedvalue.payment.economics.markov import Markov, from_counts, lifetime, probability, with_relative_risk
from fedvalue.payment.economics.net_benefit import acceptability, net_benefits

HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "cea_expected.json").read_text())
INB = json.loads((HERE / "economics_and_fund.json").read_text())["inb"]

SICK = EXPECTED["sick_sicker_DARTH"]
HIV = EXPECTED["hiv_chancellor"]


def test_the_copied_numbers_are_those_of_the_shared_data(shared_data: Path) -> None:
    assert json.loads((shared_data / "payment" / "cea_expected.json").read_text()) == EXPECTED
    shared = json.loads((shared_data / "payment" / "golden_payment_cases.json").read_text())
    assert shared["inb"] == INB


def sick_sicker(strategy: str) -> Lifetime:
    """The four-state model of the DARTH tutorial, with yearly cycles: healthy, sick, sicker, dead."""
    i = SICK["inputs"]
    b, a = "B" in strategy, "A" in strategy
    h, s1, s2 = (probability(i["r_HD"] * hr) for hr in (1, i["hr_S1"], i["hr_S2"]))
    h_s1, s1_h = probability(i["r_HS1"]), probability(i["r_S1H"])
    s1_s2 = probability(i["r_S1S2"] * (i["hr_S1S2_trtB"] if b else 1))
    p = np.array(
        [
            [(1 - h) * (1 - h_s1), (1 - h) * h_s1, 0, h],
            [(1 - s1) * s1_h, (1 - s1) * (1 - s1_h - s1_s2), (1 - s1) * s1_s2, s1],
            [0, 0, 1 - s2, s2],
            [0, 0, 0, 1],
        ]
    )
    drug = i["c_trtA"] * a + i["c_trtB"] * b
    cost = np.array([i["c_H"], i["c_S1"] + drug, i["c_S2"] + drug, 0.0])
    effect = np.array([i["u_H"], i["u_trtA"] if a else i["u_S1"], i["u_S2"], 0.0])
    model = Markov(("H", "S1", "S2", "D"), np.array([1.0, 0, 0, 0]), p, SICK["cycles"])
    return lifetime(model, cost, effect, Accrual("simpson", 1.0, SICK["discount"], SICK["discount"]))


@pytest.mark.parametrize("strategy", ["SoC", "A", "B", "AB"])
def test_t1_sick_sicker_gives_the_cost_and_qaly_of_the_tutorial(strategy: str) -> None:
    found = sick_sicker("" if strategy == "SoC" else strategy)
    cost, effect = SICK["expected"][strategy]
    assert found.cost == pytest.approx(cost, abs=0.01)
    assert found.effect == pytest.approx(effect, abs=1e-6)


def test_t1_sick_sicker_drops_strategy_a_and_ranks_the_rest() -> None:
    found = {name: sick_sicker("" if name == "SoC" else name) for name in SICK["expected"]}
    placed = {p.option.name: p for p in frontier([Option(n, v.cost, v.effect) for n, v in found.items()])}
    assert placed["A"].standing == "D"
    assert placed["B"].ratio == pytest.approx(SICK["icer"]["B_vs_SoC"], abs=1)
    assert placed["AB"].ratio == pytest.approx(SICK["icer"]["AB_vs_B"], abs=1)


def chancellor(combination: bool, transitions: np.ndarray[Any, np.dtype[np.float64]]) -> Lifetime:
    """HIV monotherapy against two years of a combination; yearly costs as in Chancellor et al. (1997)."""
    cycles = HIV["cycles"]
    stages = np.zeros((4, 4))
    stages[:3], stages[3, 3] = transitions, 1.0
    slower = with_relative_risk(stages, HIV["rr"])
    years = HIV["years_on_combo"] if combination else 0
    steps = np.array([slower if year < years else stages for year in range(cycles)])
    care = np.array([1701 + 1055, 1774 + 1278, 6948 + 2059, 0.0])
    alive = np.array([1.0, 1, 1, 0])
    zidovudine, lamivudine = 2278.0, 2086.50
    cost = np.array(
        [care + alive * (zidovudine + (lamivudine if edge <= years else 0)) for edge in range(cycles + 1)]
    )
    model = Markov(("A", "B", "C", "D"), np.array([1.0, 0, 0, 0]), steps, cycles)
    return lifetime(model, cost, alive, Accrual("end", 1.0, HIV["disc_cost"], HIV["disc_eff"]))


def test_t2_hiv_combination_gives_the_published_ratio() -> None:
    p = from_counts(np.vstack([np.array(HIV["counts"], dtype=np.float64), [0, 0, 0, 1]]))[:3]
    mono, combo = chancellor(False, p), chancellor(True, p)
    assert (mono.cost, mono.effect) == pytest.approx(HIV["expected"]["mono"], abs=1e-2)
    assert (combo.cost, combo.effect) == pytest.approx(HIV["expected"]["combo"], abs=1e-2)
    ratio = (combo.cost - mono.cost) / (combo.effect - mono.effect)
    assert ratio == pytest.approx(HIV["expected"]["icer"], abs=1e-2)


def test_t2_the_matrix_rounded_to_three_decimals_gives_the_other_published_ratio() -> None:
    rounded = np.array([[0.721, 0.202, 0.067, 0.010], [0, 0.581, 0.407, 0.012], [0, 0, 0.750, 0.250]])
    mono, combo = chancellor(False, rounded), chancellor(True, rounded)
    ratio = (combo.cost - mono.cost) / (combo.effect - mono.effect)
    assert ratio == pytest.approx(HIV["rounded_matrix_icer"], abs=1e-2)


def test_t3_six_strategies_are_placed_exactly() -> None:
    case = EXPECTED["herc_six"]
    options = [Option(name, case["cost"][name], case["effect"][name]) for name in case["cost"]]
    placed = {p.option.name: p for p in frontier(options)}
    assert {name: placed[name].ratio for name in case["icer"]} == case["icer"]
    assert {n: p.standing for n, p in placed.items() if p.standing != "frontier"} == case["dominated"]


def test_t4_hiv_screening_strategies_are_placed() -> None:
    case = EXPECTED["paltiel_hiv_screening"]
    names = ["no screening", "one time", "5yr", "3yr", "annual"]
    # Quality-adjusted life months; ratios are per year.
    options = [Option(n, c, q / 12) for n, c, q in zip(names, case["cost"], case["qalm"], strict=True)]
    placed = {p.option.name: p for p in frontier(options)}
    for name, ratio in case["icer"].items():
        assert placed[name].ratio == pytest.approx(ratio, abs=1e-2)
    assert {n: p.standing for n, p in placed.items() if p.standing != "frontier"} == case["dominated"]


def test_t6_vaccine_draws_give_evpi_by_its_definition_and_not_the_printed_one(shared_data: Path) -> None:
    case = EXPECTED["bcea_vaccine"]
    file = shared_data / "payment" / case["file"]
    if not file.is_file():
        pytest.skip(f"{case['file']} is GPL-3 data of R package BCEA and not in the folder of real data sets")
    rows = np.loadtxt(file, delimiter=",", skiprows=1)
    draws = Draws(("status quo", "vaccination"), rows[:, :2], rows[:, 2:])
    moments = draws.increment("vaccination", "status quo")
    assert moments.cost / moments.effect == pytest.approx(case["ICER"], abs=1e-4 * case["ICER"])
    benefit = net_benefits(moments, [case["k"]])[0]
    assert benefit.mean == pytest.approx(case["EIB"], abs=1e-4)
    assert acceptability(draws, [case["k"]]).ceac[0, 1] == pytest.approx(case["CEAC"], abs=1e-4)
    assert evpi_of_draws(draws, case["k"]) == pytest.approx(case["EVPI_definition"], abs=1e-4)
    grid = np.arange(100.0, 50_001.0, 100.0)
    best = acceptability(draws, grid.tolist()).best
    assert grid[best.index("vaccination")] == case["k_star_grid"]


def test_t6_evpi_is_the_worth_under_the_best_option_and_not_the_mean_over_options() -> None:
    # Net benefits of two options in four equally probable worlds: (0, 4) (2, 0) (3, 1) (1, 1).
    # E[max] = (4 + 2 + 3 + 1) / 4 = 2.5; expected 1.5 and 1.5: EVPI 1. Shift the second by -1: expected 1.5
    # and .5, E[max] = (3 + 2 + 3 + 1) / 4 = 2.25: EVPI .75, while the mean over options would say 1.25.
    first, second = np.array([0.0, 2.0, 3.0, 1.0]), np.array([4.0, 0.0, 1.0, 1.0])
    for shift, expected, printed in ((0.0, 1.0, 1.0), (-1.0, 0.75, 1.25)):
        benefit = np.column_stack([first, second + shift])
        draws = Draws(("a", "b"), -benefit, np.zeros((4, 2)))
        assert evpi_of_draws(draws, 1.0) == pytest.approx(expected)
        over_options = benefit.max(axis=1).mean() - benefit.mean(axis=0).mean()
        assert over_options == pytest.approx(printed)


@pytest.mark.parametrize(("case", "noise"), [*zip(INB, [0.0, 15_000.0, 0.0, 0.0], strict=True)])
def test_net_benefit_is_that_of_the_golden_file(case: dict[str, float], noise: float) -> None:
    increment = Increment(case["dC"], case["dE"], Covariance.from_sd(9_000, 0.08, 0.2))
    benefit = net_benefits(increment, [case["k"]], extra_privacy_sd=noise)[0]
    assert benefit.mean == pytest.approx(case["INB"], abs=1e-6)
    assert benefit.sd == pytest.approx(case["se"], abs=1e-4)
    assert benefit.probability == pytest.approx(case["p_ce"], abs=1e-6)
    assert evpi(benefit) == pytest.approx(case["EVPI_pp"], abs=1e-4)
    assert benefit.privacy_variance == pytest.approx(noise**2)
    assert icer(increment, digits=4).printed == f"{case['ICER']:,.4f}"
