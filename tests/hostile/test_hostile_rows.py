"""Hostile rows for every kind of analysis: the bound holds, the vector keeps its shape, no silent number.

What a hospital's tables may hold against all agreement: no numbers, infinities, 1e300, denormals, levels
that nobody declared, nobody at all, one level for everybody, columns that say the same, outcomes that
separate.
`make prove KEY=neighbours` draws 10,000 pairs of hostile neighbours for each form; here each has its name.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.analyses.estimate import Conclusion
from fedvalue.planning.assumptions import Assumptions, draw
from fedvalue.planning.expected import concluded
from fedvalue.planning.plan import Plan, plan_on
from fedvalue.privacy.randomness import SystemNoise
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.strategies.training.at_site import learner_of
from fedvalue.study.schema import SitesPerPatient, Study
from proofs.neighbour_forms import FORMS, study
from tests.laws.suite import rows
from tests.trained_federation import trained_study

ASKED = list(FORMS)
"""A training's rounds need what trains at a site, and have a test of their own below."""

PATIENTS = 600
SITES = 5
Trouble = Callable[[Cohort], Cohort]


def numbers(value: float) -> Trouble:
    return lambda c: replace(c, numbers={name: np.full(c.patients, value) for name in c.numbers})


def levels(code: int) -> Trouble:
    return lambda c: replace(c, categories={name: np.full(c.patients, code) for name in c.categories})


def outcomes(status: int) -> Trouble:
    return lambda c: replace(c, binary={n: BinaryOutcome(np.full(c.patients, status)) for n in c.binary})


def times(event: int, exit_day: float | None = None) -> Trouble:
    def changed(c: Cohort) -> Cohort:
        survival = {
            name: SurvivalOutcome(
                o.entry,
                o.exit if exit_day is None else np.full(c.patients, exit_day),
                np.full(c.patients, event),
            )
            for name, o in c.survival.items()
        }
        return replace(c, survival=survival)

    return changed


def no_outcome(c: Cohort) -> Cohort:
    return times(-1)(outcomes(-1)(c))


def constant(c: Cohort) -> Cohort:
    return replace(c, numbers={n: np.full(c.patients, float(np.median(v))) for n, v in c.numbers.items()})


def separated(c: Cohort) -> Cohort:
    older = (c.numbers["age"] > 45).astype(np.int64)
    return replace(c, binary={name: BinaryOutcome(older) for name in c.binary})


def same(first: str, second: str) -> Trouble:
    return lambda c: replace(c, categories={**c.categories, second: c.categories[first]})


def one_arm(c: Cohort) -> Cohort:
    return replace(c, categories={**c.categories, "arm": np.ones(c.patients, dtype=np.int64)})


def nobody(c: Cohort) -> Cohort:
    return rows(c, np.zeros(0, dtype=np.int64))


TROUBLES: Mapping[str, Trouble] = {
    "no numbers": numbers(np.nan),
    "infinity": numbers(np.inf),
    "minus infinity": numbers(-np.inf),
    "1e300": numbers(1e300),
    "denormals": numbers(5e-324),
    "unknown levels": levels(99),
    "negative levels": levels(-9),
    "one level": levels(0),
    "zero variance": constant,
    "perfect separation": separated,
    "all alike": outcomes(1),
    "no outcome": no_outcome,
    "all censored": times(0),
    "all on day zero": times(1, 0.0),
    "times unknown": times(1, np.nan),
    "never over": times(1, 1e300),
    "collinear": same("arm", "sex"),
    "one arm": one_arm,
    "nobody": nobody,
    "no variables": lambda c: Cohort(c.patients),
}

OF_NUMBERS = {
    "mean", "quantiles", "trimmed_mean", "cross_moments", "utilisation", "spend", "monthly",
    "interrupted_time_series", "difference_in_differences", "by_site", "treatment_effect", "calibration",
    "regression", "cox",
}  # fmt: skip
OF_TIMES = {
    "kaplan_meier", "log_rank", "competing_risks", "cox", "parametric_survival", "delayed_entry", "rate"
}  # fmt: skip
OF_LEVELS = {
    "log_rank", "regression", "cox", "adverse_events", "delayed_entry", "treatment_effect",
    "difference_in_differences",
}  # fmt: skip
STATES_MISSING = {"proportion", "milestones", "counts", "model_evaluation"}
"""Kinds in which who lacks everything fills a declared cell: they state the missing share, or how a model
does that reads an unknown value as it was told to."""

REFUSED: Mapping[str, set[str]] = {
    "no numbers": OF_NUMBERS,
    "infinity": OF_NUMBERS,
    "minus infinity": OF_NUMBERS,
    "1e300": {"regression", "cox", "treatment_effect", "monthly", "difference_in_differences"},
    "denormals": {"regression", "cox", "treatment_effect", "monthly", "difference_in_differences"},
    "unknown levels": OF_LEVELS,
    "negative levels": OF_LEVELS,
    "one level": {"regression", "cox", "treatment_effect", "difference_in_differences"},
    "zero variance": {"regression", "cox", "treatment_effect", "interrupted_time_series"},
    "perfect separation": {"regression"},
    "all alike": {"regression"},
    "no outcome": OF_TIMES | {"regression"},
    "all censored": {"cox", "parametric_survival"},
    "all on day zero": {"parametric_survival"},
    "times unknown": OF_TIMES,
    "never over": {"cox", "parametric_survival"},
    "collinear": {"treatment_effect"},
    "one arm": {"treatment_effect", "difference_in_differences"},
    "nobody": set(ASKED),
    "no variables": set(ASKED) - STATES_MISSING,
}
"""Where there is nothing to tell, no estimate is printed, with noise and without."""


@cache
def asked(kind: str, form: int) -> tuple[Study, Cohort]:
    read = study(kind, form, epsilon=8.0)
    privacy = read.privacy.model_copy(
        update={"max_sites_per_patient": SitesPerPatient(value=1, basis="declared disjoint")}
    )
    read = read.model_copy(update={"privacy": privacy})
    drawn = draw(read, Assumptions(missing=0), PATIENTS, np.random.default_rng(1))
    return read, replace(drawn, site=np.arange(PATIENTS) % SITES)


@cache
def planned(kind: str, form: int, *, exact: bool = False) -> Plan:
    return plan_on(asked(kind, form)[0], thresholds(SITES), "0" * 64, unsafe_exact=exact)


def answered(kind: str, trouble: str, *, exact: bool, form: int = 0) -> Conclusion:
    cohort = TROUBLES[trouble](asked(kind, form)[1])
    return concluded(planned(kind, form, exact=exact), cohort, np.random.default_rng(3))[0]


@pytest.mark.parametrize("kind", ASKED)
def test_one_hostile_patient_moves_a_release_by_at_most_the_bound_and_keeps_its_shape(kind: str) -> None:
    for form in range(len(FORMS[kind])):
        whole = asked(kind, form)[1]
        for release in planned(kind, form).releases:
            public = np.full(release.public_size, 0.1).astype("<f8").tobytes()
            nothing = release.contribution(nobody(whole), public)
            assert not nothing.any()
            for name, trouble in TROUBLES.items():
                some = trouble(whole)
                one = some if some.patients == 0 else _first(some)
                vector = release.contribution(one, public)
                assert (vector.shape, vector.dtype.str) == ((release.dimension,), "<i8"), name
                moved = sum(int(v) ** 2 for v in vector[np.flatnonzero(vector)])
                assert moved <= release.scales.patient_bound_squared, name


def _first(cohort: Cohort) -> Cohort:
    """The first patient, or one who has nothing at all."""
    return rows(cohort, np.array([0])) if cohort.categories else Cohort(1)


@pytest.mark.parametrize("kind", ASKED)
def test_where_there_is_nothing_to_tell_the_answer_is_a_refusal(kind: str) -> None:
    for trouble, kinds in REFUSED.items():
        if kind not in kinds:
            continue
        for exact in (False, True):
            for stratum in answered(kind, trouble, exact=exact).strata:
                assert not stratum.estimates, (trouble, stratum.name, list(stratum.estimates))
                assert stratum.status != "estimated"
                assert stratum.reason is not None


@pytest.mark.parametrize("kind", ASKED)
def test_every_number_that_is_printed_all_the_same_lies_in_its_interval(kind: str) -> None:
    for trouble in TROUBLES:
        for stratum in answered(kind, trouble, exact=False).strata:
            for name, one in stratum.estimates.items():
                assert np.isfinite(one.value)
                assert one.lower is None or one.lower <= one.value + 1e-9, (trouble, stratum.name, name)
                assert one.upper is None or one.value <= one.upper + 1e-9, (trouble, stratum.name, name)


@pytest.mark.parametrize("kind", ASKED)
def test_nobody_is_never_taken_for_somebody_in_any_form(kind: str) -> None:
    for form in range(len(FORMS[kind])):
        for stratum in answered(kind, "nobody", exact=False, form=form).strata:
            assert stratum.status != "estimated"
            assert not stratum.estimates


@pytest.mark.parametrize("kind", ASKED)
def test_a_site_without_the_variables_with_one_patient_or_with_none_answers_like_any_other(kind: str) -> None:
    whole = asked(kind, 0)[1]
    for release in planned(kind, 0).releases:
        public = np.full(release.public_size, 0.1).astype("<f8").tobytes()
        sites = [whole, Cohort(50), rows(whole, np.array([3])), nobody(whole), Cohort(0)]
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a warning in a site's log would tell of its rows
            vectors = [release.contribution(site, public) for site in sites]
        assert {(v.shape, v.dtype.str) for v in vectors} == {((release.dimension,), "<i8")}


@pytest.mark.parametrize(
    "architecture", ['{ kind = "logistic" }', '{ kind = "tabular", layers = [6], activation = "relu" }']
)
def test_one_hostile_patient_moves_a_round_of_a_training_by_at_most_the_bound(architecture: str) -> None:
    release = plan_on(
        trained_study(rate=1.0, architecture=architecture), thresholds(SITES), "0" * 64
    ).releases[1]
    at, rng = np.full(release.public_size, 0.3).astype("<f8").tobytes(), np.random.default_rng(2)
    learner, n = learner_of(release, SystemNoise()), 30
    drawn = Cohort(
        n,
        {name: rng.integers(-1, 2, n) for name in ("sex", "arm")},
        {"age": rng.normal(60, 12, n), "lab": rng.normal(size=n)},
        {"readmitted": BinaryOutcome(rng.integers(0, 2, n))},
    )
    for name, trouble in TROUBLES.items():
        whole = trouble(drawn)
        others = rows(whole, np.arange(1, n)) if whole.patients and whole.categories else Cohort(0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            vector = release.contribution(whole, at, learner)
            moved = vector - release.contribution(others, at, learner)
        assert (vector.shape, vector.dtype.str) == ((release.dimension,), "<i8"), name
        assert sum(int(v) ** 2 for v in moved) <= release.scales.patient_bound_squared, name
