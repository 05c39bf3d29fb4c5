"""Questions about treatments, predictions, hospitals, and the standing diagnostics: what is refused."""

from __future__ import annotations

import json

import pytest

from fedvalue.errors import StudyInvalid
from fedvalue.planning.plan import shares_of
from fedvalue.study.file import canonical, digest, from_canonical
from fedvalue.study.questions.treatment_effect import Trial
from fedvalue.study.schema import Study
from tests.agreement import study

LAST = '[[payments]]\nstandard = "lung/egfr_tki_outcome_linked"'
HALF = 'at = ["6 months", "12 months"]\nbudget = 0.5'
DAILY = ('grid = "1 month"', 'grid = "1 day"')
NONE = "[diagnostics]\nshare = 0\n"


def asking(question: str, *, daily: bool = True) -> Study:
    """The study of the tests with one question more, on half of what the curve had."""
    more = f"[[analyses]]\n{question}\nbudget = 0.25\n{LAST}"
    return study(
        (HALF, HALF.replace("0.5", "0.25")), (LAST, more), *([DAILY] if "grace" in question and daily else [])
    )


EFFECT = """kind = "treatment_effect"
outcome = "response_6m"
treatment = "egfr"
treated = "mutated"
control = "wild type"
covariates = ["sex"]
trial = { eligibility = "adults in first line", active_comparator = true, new_user = true }"""
GRACE = """kind = "treatment_effect"
outcome = "pfs"
covariates = ["sex"]
trial = { eligibility = "adults", grace = { start = "cost", within = "90 days" } }"""


def test_a_target_trial_is_asked_in_words() -> None:
    asked = asking(EFFECT)
    assert asked.analyses[-1].in_words(asked.measured) == (
        "The effect on response_6m of egfr=mutated against wild type (doubly robust), adjusted for sex; "
        "target trial: adults in first line, new users, active comparator"
    )
    assert "clone, censor, weight" in asking(GRACE).analyses[-1].in_words(asked.measured)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('"mutated"', '"mutant"'), "no level of egfr"),
        (('"wild type"', '"mutated"'), "the same level"),
        (('["sex"]', '["egfr"]'), "hold the treatment"),
        (('["sex"]', "[]"), "covariates"),
        (('"response_6m"', '"nothing"'), "no numeric variable"),
        (('treatment = "egfr"\n', ""), "give treatment, treated and control"),
        (("trial = {", "negative_controls = ['response_6m']\ntrial = {"), "20 to 50"),
        (("trial = {", "subgroups = ['cost']\ntrial = {"), "no variable with levels"),
    ],
)
def test_a_treatment_effect_that_makes_no_sense_is_refused(change: tuple[str, str], why: str) -> None:
    assert change[0] in EFFECT
    with pytest.raises(StudyInvalid, match=why):
        asking(EFFECT.replace(*change))


def test_a_grace_period_leaves_no_room_for_other_arms() -> None:
    with pytest.raises(StudyInvalid, match="leave out treatment"):
        asking(GRACE.replace("covariates", 'treatment = "egfr"\ncovariates'))
    with pytest.raises(StudyInvalid, match="end of follow-up"):
        asking(GRACE.replace("90 days", "3 years"))
    with pytest.raises(StudyInvalid, match="grid = '1 day'"):
        asking(GRACE, daily=False)
    with pytest.raises(StudyInvalid, match="no variable with levels"):
        asking(GRACE.replace('["sex"]', '["cost"]'))


def test_what_the_target_trial_states_is_held_against_the_selection() -> None:
    everybody = study(
        ('index = { first = "drug", codes = ["L01EB*"] }', 'index = { first = "patient" }')
    ).cohort
    with pytest.raises(ValueError, match=r"first = 'drug'"):
        Trial(eligibility="all", active_comparator=True).require_cohort(everybody)
    users = study(('exclude = [{ drug = ["L01EB*"], within = "-365d..-1d" }]\n', "")).cohort
    with pytest.raises(ValueError, match="earlier users"):
        Trial(eligibility="all", new_user=True).require_cohort(users)
    Trial(eligibility="all", active_comparator=True, new_user=True).require_cohort(study().cohort)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("", "score or coefficients"),
        ('score = "cost"', "it lies in"),
        ('score = "cost"\ncoefficients = { intercept = 1 }', "one of them"),
        ('coefficients = { "egfr=mutant" = 1 }', "no level 'mutant'"),
        ("coefficients = { age = 1 }", "no numeric variable"),
    ],
)
def test_a_prediction_that_is_none_is_refused(keys: str, why: str) -> None:
    with pytest.raises(StudyInvalid, match=why):
        asking(f'kind = "calibration"\noutcome = "response_6m"\n{keys}')


def test_every_study_has_diagnostics_with_a_standing_share() -> None:
    standing = study((NONE, ""))
    assert standing.diagnostics.share == 0.15
    assert [float(share) for share in shares_of(standing)] == pytest.approx([0.425, 0.425, 0.15])
    assert json.loads(canonical(standing))["diagnostics"] == {"balance": None, "share": 0.15}
    assert digest(from_canonical(canonical(standing))) == digest(standing)


def test_a_study_that_was_signed_before_there_were_diagnostics_stays_what_it_was() -> None:
    # its canonical form has no such key, and reading it back does not add any
    before = canonical(study())
    assert b"diagnostics" not in before
    assert from_canonical(before).diagnostics.share == 0
    assert canonical(from_canonical(before)) == before


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("share = 0.6", "less than or equal to 0.5"),
        ('balance = "cost"', "no variable with levels"),
        ('share = 0\nbalance = "egfr"', "share above 0"),
    ],
)
def test_diagnostics_that_do_not_fit_are_refused(text: str, why: str) -> None:
    with pytest.raises(StudyInvalid, match=why):
        study((NONE, f"[diagnostics]\n{text}\n"))
