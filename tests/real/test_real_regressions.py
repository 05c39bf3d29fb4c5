"""Tests, regressions and hazards on real patients, federated without noise over their real sites."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.duration.hazard_regression import PHReg

from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.analyses.cox import CoxModel
from fedvalue.analyses.design import Covariate, Design
from fedvalue.analyses.estimate import Stratum
from fedvalue.analyses.families import Gamma, Logistic, Poisson
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.linear import LinearModel
from fedvalue.analyses.outcome import Outcome
from fedvalue.analyses.regression import ModelPart, RegressionModel
from tests.laws.suite import without_noise


def over_sites(
    table: pd.DataFrame, site: str, numbers: Sequence[str] = (), categories: Sequence[str] = (),
    binary: Sequence[str] = (), survival: tuple[str, str] | None = None,
) -> list[Cohort]:  # fmt: skip
    """One cohort a site; levels of a category in increasing order."""
    levels = {name: np.unique(table[name]) for name in categories}
    return [
        Cohort(
            len(part),
            {name: np.searchsorted(levels[name], part[name]) for name in categories},
            {name: part[name].to_numpy(float) for name in numbers},
            {name: BinaryOutcome(part[name].to_numpy(int)) for name in binary},
            {}
            if survival is None
            else {
                "os": SurvivalOutcome(
                    np.zeros(len(part)), part[survival[0]].to_numpy(float), part[survival[1]].to_numpy(int)
                )
            },
        )
        for _, part in table.groupby(site)
    ]


def spanning(table: pd.DataFrame, names: Sequence[str]) -> tuple[Covariate, ...]:
    return tuple(
        Covariate(n, (float(np.floor(table[n].min())), float(np.ceil(table[n].max())))) for n in names
    )


def agrees(found: Stratum, names: Sequence[str], params: object, errors: object, rtol: float = 1e-6) -> None:
    assert found.status == "estimated"
    values = [found.estimates[name] for name in names]
    np.testing.assert_allclose([e.value for e in values], np.asarray(params), rtol=rtol)
    spread = np.sqrt([e.sampling_variance for e in values])
    np.testing.assert_allclose(spread, np.asarray(errors), rtol=max(rtol, 1e-6))


@pytest.fixture(scope="module")
def luad(shared_data: Path) -> pd.DataFrame:
    """Everybody; an outcome that is unknown, or over before the first day, has no event and no time."""
    table = pd.read_csv(shared_data / "tcga_luad" / "luad_analysis_table.csv", dtype={"TSS": str})
    known = table["OS"].notna() & (table["OS.time"] > 0)
    return table.assign(OS=table["OS"].where(known, -1), **{"OS.time": table["OS.time"].where(known, 0.0)})


LUAD = ("stage", "age", "EGFR", "KRAS", "TP53", "STK11", "KEAP1")


def cox(last: float, covariates: tuple[Covariate, ...], strata: Groups | None = None) -> CoxModel:
    edges = tuple(float(day) for day in range(int(last) + 2))
    curves = KaplanMeierByGroup("os", strata or Groups((), ()), edges, entry_at_zero=True)
    return CoxModel(curves, Design(covariates, intercept=False), None, 30.0)


def test_lung_adenocarcinoma_over_its_hospitals_gives_the_published_hazard_ratios(
    luad: pd.DataFrame,
) -> None:
    sites = over_sites(luad, "TSS", LUAD, survival=("OS.time", "OS"))
    assert len(sites) == 31  # two of them have no complete case
    luad = luad.dropna(subset=["stage", "age"]).query("OS >= 0")
    assert (len(luad), luad["OS"].sum()) == (451, 165)
    found = without_noise(cox(luad["OS.time"].max(), spanning(luad, LUAD)), sites).strata[0]
    assert found.released["events"].value == 165
    published = [0.4723, 0.0171, 0.2050, 0.2243, 0.3051, 0.1756, 0.0370]
    np.testing.assert_allclose([found.estimates[n].value for n in LUAD], published, atol=3e-3)
    reference = PHReg(luad["OS.time"], luad[list(LUAD)].astype(float), status=luad["OS"], ties="breslow").fit(
        disp=0
    )
    spread = np.sqrt([found.estimates[n].sampling_variance for n in LUAD])
    np.testing.assert_allclose(spread, reference.bse, rtol=0.01)
    values = [found.estimates[n].value for n in LUAD]
    np.testing.assert_allclose(values, reference.params, rtol=1e-3)


UIS = ("age", "becktota", "ndrugfp1", "ndrugfp2", "ivhx3", "race", "treat")


def test_two_drug_treatment_sites_give_the_published_distributed_coefficients(shared_data: Path) -> None:
    table = pd.concat([pd.read_csv(shared_data / "uis" / f"site{i}.csv") for i in (1, 2)])
    table = table.assign(ivhx3=table["ivhx3"].astype(float)).dropna(subset=[*UIS, "time", "censor"])
    assert (len(table), table["censor"].sum()) == (575, 464)
    sites = over_sites(table, "site", UIS, ("site",), survival=("time", "censor"))
    groups = Groups(("site",), (("A", "B"),))
    found = without_noise(cox(table["time"].max(), spanning(table, UIS), groups), sites).strata[0]
    published = [-0.0280495, 0.0091441, -0.5219296, -0.1941709, 0.2636376, -0.2400609, -0.2125720]
    errors = [0.0081301, 0.0049918, 0.1244240, 0.0482507, 0.1082448, 0.1156319, 0.0937466]
    # the published analysis breaks ties otherwise than Breslow: .003 of a coefficient
    np.testing.assert_allclose([found.estimates[n].value for n in UIS], published, rtol=4e-3)
    spread = np.sqrt([found.estimates[n].sampling_variance for n in UIS])
    np.testing.assert_allclose(spread, errors, rtol=2e-3)
    reference = PHReg(
        table["time"], table[list(UIS)], status=table["censor"], ties="breslow", strata=table["site"]
    ).fit(disp=0)
    np.testing.assert_allclose([found.estimates[n].value for n in UIS], reference.params, rtol=1e-4)


HIE = ("coins", "xage", "female", "disea", "linc")


def test_health_insurance_spending_over_6_sites_equals_statsmodels(shared_data: Path) -> None:
    table = pd.read_csv(shared_data / "rand_hie" / "RandHIE.csv.gz").dropna(subset=[*HIE, "meddol", "mdvis"])
    sites = over_sites(table, "site", (*HIE, "meddol", "mdvis"))
    assert len(sites) == 6
    design = Design(spanning(table, HIE))
    x = sm.add_constant(table[list(HIE)].astype(float))
    most = float(np.ceil(table["meddol"].max()))
    # the largest bill is 300 times its prediction; by a power of two what nobody spent has no rounding
    ratio = 512.0
    money = Outcome("meddol", (0.0, most), unit="USD")
    gamma = sm.GLM(table["meddol"].clip(lower=1e-12), x, sm.families.Gamma(sm.families.links.Log()))
    found = without_noise(RegressionModel(money, design, (ModelPart("", Gamma(most, ratio)),)), sites)
    fitted = gamma.fit(scale="X2", tol=1e-14, maxiter=200)
    agrees(found.strata[0], design.names, fitted.params, fitted.bse)
    visits = Outcome("mdvis", (0.0, float(table["mdvis"].max())))
    poisson = RegressionModel(visits, design, (ModelPart("", Poisson(visits.largest, 100.0)),))
    expected = sm.GLM(table["mdvis"], x, sm.families.Poisson()).fit(scale="X2")
    agrees(without_noise(poisson, sites).strata[0], design.names, expected.params, expected.bse)
    linear = without_noise(LinearModel(money, design), sites).strata[0]
    least = sm.OLS(table["meddol"], x).fit()
    agrees(linear, design.names, least.params, least.bse)


def test_costs_of_the_seriously_ill_by_disease_equal_statsmodels(shared_data: Path) -> None:
    table = pd.read_csv(shared_data / "support2" / "support2.csv.gz")
    table = table.dropna(subset=["totcst", "age", "num.co"]).query("totcst > 0")
    names = ("age", "num.co", "diabetes")
    sites = over_sites(table, "dzclass", (*names, "totcst"))
    design = Design(spanning(table, names))
    most = float(np.ceil(table["totcst"].max()))
    model = RegressionModel(
        Outcome("totcst", (0.0, most), unit="USD"), design, (ModelPart("", Gamma(most, 30.0)),)
    )
    x = sm.add_constant(table[list(names)].astype(float))
    expected = sm.GLM(table["totcst"], x, sm.families.Gamma(sm.families.links.Log())).fit(scale="X2")
    agrees(without_noise(model, sites).strata[0], design.names, expected.params, expected.bse)


def test_readmission_of_diabetics_over_their_payers_equals_statsmodels(shared_data: Path) -> None:
    columns = ["payer_code", "time_in_hospital", "number_inpatient", "num_medications", "readmitted"]
    table = pd.read_csv(shared_data / "diabetes130" / "diabetic_data.zip", usecols=columns)
    table["early"] = (table["readmitted"] == "<30").astype(int)
    assert table["early"].mean() == pytest.approx(0.1116, abs=5e-5)
    names = ("time_in_hospital", "number_inpatient", "num_medications")
    sites = over_sites(table, "payer_code", names, binary=("early",))
    design = Design(spanning(table, names))
    model = RegressionModel(Outcome("early", None), design, (ModelPart("", Logistic()),))
    x = sm.add_constant(table[list(names)].astype(float))
    expected = sm.Logit(table["early"], x).fit(disp=0)
    agrees(without_noise(model, sites).strata[0], design.names, expected.params, expected.bse)
