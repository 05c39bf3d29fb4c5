"""The main job on real patients: survival over the hospitals where they were treated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter

from fedvalue.analyses.estimate import Conclusion
from fedvalue.simulation import PooledTable, Simulation, run
from fedvalue.study.file import parse

HERE = Path(__file__).parent
LUAD_GRID = "2500 days"

pytestmark = [
    pytest.mark.usefixtures("load_once"),
    pytest.mark.filterwarnings("ignore:UnsafeExactSum adds no noise"),
]


def variant(name: str, *changes: tuple[str, str]) -> bytes:
    """Return a study of this folder with some words exchanged."""
    text = (HERE / "studies" / f"{name}.toml").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text.encode()


def luad(
    shared_data: Path, out: Path, *changes: tuple[str, str], unsafe_no_noise: bool = False
) -> Simulation:
    table = PooledTable(
        shared_data / "tcga_luad" / "luad_analysis_table.csv",
        HERE / "mappings" / "luad.toml",
        site_column="TSS",
    )
    study = parse(variant("luad", *changes), where="luad")
    return run(study, table, out=out, unsafe_no_noise=unsafe_no_noise)


def overall(simulation: Simulation) -> Conclusion:
    return simulation.evidence.conclusions[0]


def test_without_noise_lung_over_its_institutions_gives_the_published_answers(
    shared_data: Path, tmp_path: Path
) -> None:
    expected = json.loads((shared_data / "lung" / "lung_expected.json").read_text())
    table = PooledTable(
        shared_data / "lung" / "lung.csv", HERE / "mappings" / "lung.toml", site_column="inst"
    )
    result = run(HERE / "studies" / "lung.toml", table, out=tmp_path / "out", unsafe_no_noise=True)
    assert len(result.federation.homes) == 19  # 18 institutions, and the row without one
    found = overall(result)
    medians = {
        name: found.stratum(name).estimates["median"].value for name in ("all", "sex=male", "sex=female")
    }
    assert medians == {"all": 310.0, "sex=male": 270.0, "sex=female": 426.0}
    assert expected["overall_median"] == 310
    at_a_year = {n: found.stratum(n).estimates["survival at day 365"].value for n in medians}
    assert at_a_year["all"] == pytest.approx(0.409242, abs=5e-7)
    assert at_a_year["sex=male"] == pytest.approx(expected["male"]["S365"], abs=1e-6)
    assert at_a_year["sex=female"] == pytest.approx(expected["female"]["S365"], abs=1e-6)
    median = found.stratum("all").estimates["median"]
    assert [median.lower, median.upper] == expected["median_ci95_loglog"]
    assert result.evidence.simulation
    assert set(result.evidence.unsafe) == {"no_noise"}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "no_noise" in page


def test_without_noise_lung_adenocarcinoma_over_31_hospitals_equals_the_pooled_curve(
    shared_data: Path, tmp_path: Path
) -> None:
    changes = (('until = "60 months"', f'until = "{LUAD_GRID}"'), ('grid = "3 months"', 'grid = "1 day"'))
    found = overall(luad(shared_data, tmp_path / "out", *changes, unsafe_no_noise=True))
    table = pd.read_csv(shared_data / "tcga_luad" / "luad_analysis_table.csv", dtype={"TSS": str})
    table = table.dropna(subset=["OS", "OS.time"])
    # The one death on day zero counts in the first interval; the three censored then were never at risk.
    table = table[(table["OS.time"] > 0) | (table["OS"] == 1)]
    for name, mine in (("egfr=mutated", table["EGFR"] == 1), ("egfr=wild type", table["EGFR"] == 0)):
        curve = found.stratum(name).curve
        assert curve is not None
        days = table.loc[mine, "OS.time"].clip(lower=0.5)
        fitted = KaplanMeierFitter().fit(days, table.loc[mine, "OS"])
        expected = fitted.survival_function_at_times(curve.days).to_numpy()
        np.testing.assert_allclose(curve.survival, expected, rtol=1e-9)
    assert found.stratum("egfr=mutated").released["patients"].value == pytest.approx(
        ((table["EGFR"] == 1) & (table["OS.time"] > 0)).sum(), abs=1
    )


def test_with_noise_the_rare_mutation_is_not_estimable_at_epsilon_1_and_the_report_says_what_would_do(
    shared_data: Path, tmp_path: Path
) -> None:
    result = luad(shared_data, tmp_path / "out")
    assert len(result.federation.homes) == 31
    assert {"05", "MP"} <= {home.policy.site for home in result.federation.homes}
    mutated = overall(result).stratum("egfr=mutated")
    # 66 patients against a noise SD of 15.5 at risk: half-way fewer than 46.5 are left in every run
    assert mutated.status == "not_estimable"
    assert mutated.reason == "privacy"
    assert mutated.curve is None
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "not estimable at this budget" in page.lower()
    common = overall(result).stratum("egfr=wild type")
    assert common.status == "estimated"
    assert result.evidence.privacy.epsilon_promised == pytest.approx(1.0, abs=1e-6)
    own = result.evidence.privacy.epsilon_own_share
    assert own is not None
    assert own > 4  # 22 honest shares are promised, one protects while the sum travels in clear


def test_with_more_budget_the_curve_covers_the_real_one(shared_data: Path, tmp_path: Path) -> None:
    result = luad(shared_data, tmp_path / "out", ("epsilon = 1.0", "epsilon = 8.0"))
    table = pd.read_csv(shared_data / "tcga_luad" / "luad_analysis_table.csv").dropna(
        subset=["OS", "OS.time"]
    )
    mine = table["EGFR"] == 0
    truth = KaplanMeierFitter().fit(table.loc[mine, "OS.time"], table.loc[mine, "OS"]).predict(365.25)
    estimate = overall(result).stratum("egfr=wild type").estimates["survival at day 365.25"]
    # Privacy noise alone separates the released curve from the pooled one: four of its standard errors are
    # passed once in 16,000 runs; .01 for the actuarial three-month grid.
    assert abs(estimate.value - truth) < 4 * estimate.privacy_variance**0.5 + 0.01
    assert overall(result).stratum("egfr=mutated").status == "estimated"
