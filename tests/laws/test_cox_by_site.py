"""Cox with a baseline for each hospital: the laws, statsmodels 0.15 (BSD), and whose consent it needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lifelines.datasets import load_lung
from numpy.typing import NDArray
from statsmodels.duration.hazard_regression import PHReg

from fedvalue.analyses.analysis import Analysis, Ask, Scaling
from fedvalue.analyses.catalogue import analyses_of
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.cox import CoxModel
from fedvalue.analyses.cox_by_site import CoxBySite
from fedvalue.analyses.design import Covariate, Design
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.study.schema import Study
from tests.agreement import SMALL, study
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

SITES = ("a", "b", "c", "d")
AGE, SEX = Covariate("age", (18.0, 95.0)), Covariate("sex", None, ("male", "female"))


def by_hospital(edges: tuple[float, ...], covariates: tuple[Covariate, ...], largest: float) -> CoxBySite:
    curves = KaplanMeierByGroup("pfs", Groups((), ()), edges, entry_at_zero=True)
    return CoxBySite(CoxModel(curves, Design(covariates, intercept=False), None, largest), SITES)


class TestCoxBySiteLaws(AnalysisLaws):
    PAIRS = 20

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [by_hospital(tuple(30.0 * i for i in range(13)), (AGE,), 3.0)]


def test_without_noise_lung_stratified_by_hospital_equals_breslows_partial_likelihood() -> None:
    table = load_lung().dropna(subset=["age", "sex", "ph.ecog"])
    table = table.assign(place=table["ph.ecog"].astype(int), female=(table["sex"] == 2).astype(int))
    sites = [
        Cohort(
            len(part), {"sex": part["female"].to_numpy()}, {"age": part["age"].to_numpy(float)},
            survival={
                "pfs": SurvivalOutcome(
                    np.zeros(len(part)), part["time"].to_numpy(float), part["status"].to_numpy(int)
                )
            },
            site=np.full(len(part), place),
        )
        for place, part in table.groupby("place")
    ]  # fmt: skip
    analysis = by_hospital(tuple(float(day) for day in range(1032)), (AGE, SEX), 30.0)
    found = without_noise(analysis, sites)
    expected = PHReg(
        table["time"], table[["age", "female"]], status=table["status"], strata=table["place"], ties="breslow"
    ).fit(disp=0)
    estimates = found.strata[0].estimates
    values = [estimates["age"].value, estimates["sex=female"].value]
    np.testing.assert_allclose(values, expected.params, rtol=1e-3)
    assert any("single hospitals" in note for note in found.notes)


def test_a_row_of_no_hospital_on_the_roster_counts_nowhere() -> None:
    outcome = SurvivalOutcome(np.zeros(3), np.full(3, 100.0), np.ones(3, dtype=np.int64))
    cohort = Cohort(3, numbers={"age": np.full(3, 60.0)}, survival={"pfs": outcome})
    analysis = by_hospital(tuple(30.0 * i for i in range(13)), (AGE,), 3.0)
    for place, counted in ((-1, 0), (2, 3), (4, 0)):
        found = without_noise(analysis, [replace(cohort, site=np.full(3, place))])
        assert found.strata[0].released["events"].value == counted


def test_nothing_more_is_asked_where_the_smallest_hospital_cannot_be_told_from_noise(
    rng: np.random.Generator,
) -> None:
    n = 1_200
    outcome = SurvivalOutcome(np.zeros(n), rng.uniform(1, 360, n), np.ones(n, dtype=np.int64))
    place = np.minimum(np.arange(n) // 350, 3)  # 350, 350, 350 and 150
    cohort = Cohort(n, numbers={"age": rng.uniform(30, 80, n)}, survival={"pfs": outcome}, site=place)
    analysis = by_hospital(tuple(30.0 * i for i in range(13)), (AGE,), 3.0)
    asked: list[str] = []

    class Listening(CoxBySite):
        def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
            asked.append(ask.label)
            return super().contribution(cohort, ask, scaling)

    found = with_noise(Listening(analysis.model, analysis.sites), cohort, 0.5, rng)
    # an epsilon of .5 leaves a noise of 90 events to a hospital that had 150
    assert (found.strata[0].status, found.strata[0].reason) == ("not_estimable", "privacy")
    assert asked == ["risk_table"]


COX = '[[analyses]]\nkind = "cox"\nendpoint = "os"\ncovariates = ["egfr"]\nbudget = 0.1\n'


def asked(line: str) -> Study:
    room = ('budget = 0.5\n\n[[analyses]]\nkind = "kaplan', 'budget = 0.3\n\n[[analyses]]\nkind = "kaplan')
    return study(room, text=SMALL + COX + line)


def test_a_study_asks_for_it_in_one_line_and_its_hash_does_not_change_without_it() -> None:
    read = asked("stratify_by_site = true\n")
    (found,) = (one for one in analyses_of(read, SITES) if isinstance(one, CoxBySite))
    assert found.sites == SITES
    assert read.analyses[-1].tells_of_sites()
    assert "EACH HOSPITAL" in read.analyses[-1].in_words(read.measured)
    plain = asked("").analyses[-1]
    assert not plain.tells_of_sites()
    assert "stratify_by_site" not in plain.model_dump()
