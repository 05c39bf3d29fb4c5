"""What questions that compare and model must not ask, and how they read."""

from __future__ import annotations

import pytest

from fedvalue.analyses.catalogue import analyses_of
from fedvalue.analyses.linear import LinearModel
from fedvalue.analyses.regression import RegressionModel
from fedvalue.errors import StudyInvalid
from fedvalue.planning.words import analyses_in_words
from fedvalue.study.file import digest, parse
from fedvalue.study.schema import Study
from tests.agreement import FULL

VARIABLES = """age = { person = "age", clip = [18, 95], unit = "years" }
visits = { person = "visits", clip = [0, 30], unit = "visits" }
fee = { person = "fee", clip = [10, 900], unit = "CNY" }
begun = { first_day = { of = "drug", codes = ["L01*"], within = "0d..800d" }, clip = [0, 800], unit = "days" }

[variables.egfr]"""
OTHERS = """[endpoints]
os = { kind = "time_to_event", entry = "origin", events = ["death"], until = "12 months", grid = "1 month" }
"""


def asked(question: str) -> Study:
    head, _, _ = FULL.partition("[[analyses]]")
    text = head.replace("[variables.egfr]", VARIABLES).replace("[endpoints]\n", OTHERS)
    return parse(f"{text}[[analyses]]\n{question}\nbudget = 1.0\n".encode(), where="questions")


LOG_RANK, RISKS = 'kind = "log_rank"\nendpoint = "pfs"\n', 'kind = "competing_risks"\n'
MODEL, COX = 'kind = "regression"\n', 'kind = "cox"\nendpoint = "pfs"\n'
SHAPE, LATE = 'kind = "parametric_survival"\nendpoint = "pfs"\n', 'kind = "delayed_entry"\n'

REFUSED = {
    "a comparison of nobody": ('kind = "kaplan_meier"\nendpoint = "pfs"\ncompare = true', "needs groups"),
    "one event that competes with nothing": (RISKS + 'endpoint = "os"', "has one kind of event"),
    "an incidence past the end": (RISKS + 'endpoint = "pfs"\nat = ["5 years"]', "is past the endpoint"),
    "an outcome that explains itself": (MODEL + 'outcome = "age"\ncovariates = ["age"]', "hold the outcome"),
    "a covariate that is none": (MODEL + 'outcome = "age"\ncovariates = ["height"]', "no variable; there"),
    "a covariate twice": (MODEL + 'outcome = "age"\ncovariates = ["sex", "sex"]', "twice"),
    "a time as outcome": (MODEL + 'outcome = "pfs"\ncovariates = ["sex"]', "use kind = 'cox'"),
    "a model that does not fit": (
        MODEL + 'outcome = "response_6m"\ncovariates = ["sex"]\nfamily = "gamma"', "use logistic"
    ),
    "a logistic model of money": (
        MODEL + 'outcome = "cost"\ncovariates = ["sex"]\nfamily = "logistic"', "needs a binary endpoint"
    ),
    "two parts of one score": (
        MODEL + 'outcome = "cost"\ncovariates = ["sex"]\nanswer = "prediction"', "takes one model"
    ),
    "hazards of nothing": (COX, "covariates or an exposure"),
    "one variable in two roles": (COX + 'covariates = ["sex"]\nstrata = ["sex"]', "two roles"),
    "an exposure that is no day": (COX + 'exposure = "age"', "its unit is 'days'"),
    "an exposure cut short": (
        COX.replace("pfs", "long") + 'exposure = "begun"', "no time_to_event endpoint"
    ),
    "breaks without pieces": (SHAPE + 'model = "weibull"\nbreaks = ["6 months"]', "breaks are for"),
    "pieces without breaks": (SHAPE + 'model = "piecewise"', "which needs them"),
    "breaks out of order": (
        SHAPE + 'model = "piecewise"\nbreaks = ["6 months", "3 months"]', "breaks increase"
    ),
    "a horizon inside the follow-up": (SHAPE + 'model = "weibull"\nhorizon = "3 months"', "is not before"),
    "late entry where everybody enters at once": (
        LATE + 'endpoint = "os"\ntested = "egfr"\nsplit = ["1 month"]', "enter at its origin"
    ),
    "a test that nobody lacks": (
        LATE + 'endpoint = "pfs"\ntested = "sex"\nsplit = ["1 month"]', "no level 'not tested'"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("question", "said"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_with_a_reason(question: str, said: str) -> None:
    with pytest.raises(StudyInvalid, match=said):
        asked(question)


@pytest.mark.parametrize(
    ("outcome", "family", "said"),
    [
        ("response_6m", "logistic", "a logistic model, chosen by rule"),
        ("cost", "two_part", "a two-part cost model"),
        ("fee", "gamma", "a Gamma model"),
        ("visits", "poisson", "a Poisson model"),
        ("age", "linear", "a linear model"),
    ],
)
def test_the_model_is_chosen_by_rule_from_public_facts(outcome: str, family: str, said: str) -> None:
    study = asked(f'{MODEL}outcome = "{outcome}"\ncovariates = ["sex", "egfr"]')
    (model,) = analyses_of(study)
    assert isinstance(model, RegressionModel | LinearModel)
    assert model.label == f"regression:{outcome}:{family}:sex:egfr"
    assert said in analyses_in_words(study)[0]
    assert "left out" in analyses_in_words(study)[0]


def test_a_stated_model_overrides_the_rule() -> None:
    study = asked(MODEL + 'outcome = "cost"\ncovariates = ["sex"]\nfamily = "linear"')
    assert isinstance(analyses_of(study)[0], LinearModel)
    assert "as the study states" in analyses_in_words(study)[0]


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (LOG_RANK + 'by = ["egfr"]', ("log-rank", "by egfr", "genomic report")),
        (LOG_RANK + 'by = ["sex"]', ("by sex", "day zero")),
        (RISKS + 'endpoint = "pfs"', ("progression, death first", "24 months")),
        (COX + 'covariates = ["age"]\nexposure = "begun"\nstrata = ["sex"]',
         ("age and of being exposed from the day of begun on", "by sex has its own baseline", "1 month")),
        (SHAPE + 'model = "weibull"\nhorizon = "10 years"', ("Weibull", "extrapolated to 10 years")),
        (LATE + 'endpoint = "pfs"\ntested = "egfr"\nsplit = ["1 month", "3 months"]',
         ("report of egfr", "1 month, 3 months and later", "untested")),
    ],
)  # fmt: skip
def test_hospitals_read_what_is_asked_in_words(question: str, words: tuple[str, ...]) -> None:
    said = analyses_in_words(asked(question))[0]
    for word in words:
        assert word in said


def test_a_study_that_compares_nothing_keeps_the_hash_it_had_before_comparing_existed() -> None:
    curves = 'kind = "kaplan_meier"\nendpoint = "pfs"\nby = ["sex"]'
    assert digest(asked(curves)) == digest(asked(curves + "\ncompare = false"))
    assert digest(asked(curves)) != digest(asked(curves + "\ncompare = true"))
