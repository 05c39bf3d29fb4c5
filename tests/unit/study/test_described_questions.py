"""Questions that describe a cohort: what does not fit is refused by key, and words say what is asked."""

from __future__ import annotations

import re

import pytest

from fedvalue.errors import StudyInvalid
from fedvalue.study.file import parse
from proofs.neighbour_forms import FORMS, MEASURED, study


def asked(kind: str, keys: str) -> bytes:
    measured = MEASURED.replace("EPSILON", "2.0").replace("DIAGNOSTICS", "0.0")
    return f'{measured}\n[[analyses]]\nkind = "{kind}"\n{keys}\nbudget = 1.0\n'.encode()


@pytest.mark.parametrize(
    ("kind", "keys", "said"),
    [
        ("mean", 'variable = "sex"', "analyses[0].variable = 'sex' is no numeric variable"),
        ("mean", 'variable = "age"\nby = ["age"]', "analyses[0].by = 'age' is no variable with levels"),
        ("quantiles", 'variable = "age"\nat = [0.5, 0.5]', "must increase and lie between 0 and 1"),
        ("quantiles", 'variable = "age"\nat = [0.0, 0.5]', "must increase and lie between 0 and 1"),
        ("quantiles", 'variable = "age"\ncells = 63', "cells"),
        ("trimmed_mean", 'variable = "age"\nwhiskers = -1', "whiskers"),
        ("cross_moments", 'cost = "cost"\neffect = "cost"', "effect is the same as cost"),
        ("cross_moments", 'cost = "cost"\neffect = "os"', "effect = 'os' is no numeric variable"),
        ("counts", 'by = ["sex"]\nacross = "sex"', "across = 'sex' stands in by too"),
        ("rate", 'endpoint = "response"', "is no time_to_event endpoint"),
        ("rate", 'endpoint = "os"\nper = 7', "per"),
        ("milestones", 'endpoint = "os"\nat = ["6 months", "3 months"]', "must increase"),
        ("milestones", 'endpoint = "os"\nat = ["9 years"]', "is past the endpoint's until"),
        ("milestones", 'endpoint = "os"\nat = ["1 month"]\ncalendar = "started"', "go together"),
        ("milestones", 'endpoint = "os"\nat = ["1 month"]\ncalendar = "age"\nas_of = 2025-12-31', "is no"),
        ("utilisation", 'variable = "age"', "a count from 0 to a whole number"),
        ("spend", 'variable = "cost"\nlimit = 0', "limit"),
        ("adverse_events", 'variable = "sex"', "has not the levels"),
        ("adverse_events", 'variable = "harm"\nby = ["harm"]', "stands in by too"),
        ("monthly", 'calendar = "cost"', "calendar = 'cost' is no calendar variable; there are ['started']"),
        ("monthly", 'calendar = "started"\nof = "os"', "of = 'os' is no numeric variable"),
        ("interrupted_time_series", 'calendar = "started"\nchange = 2025-07-02', "no first day of a month"),
        ("interrupted_time_series", 'calendar = "started"\nchange = 2025-02-01', "fewer than three months"),
        ("interrupted_time_series", 'calendar = "started"\nchange = 2031-01-01', "fewer than three months"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_key(kind: str, keys: str, said: str) -> None:
    with pytest.raises(StudyInvalid, match=re.escape(said)):
        parse(asked(kind, keys), where="study.toml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("change = 2025-07-01", "change = 2027-07-01", "does not lie between 2025-01-01 and 2025-12-31"),
        ('applies = "treated"', 'applies = "both"', "applies = 'both' is no level of arm"),
        ('compared = "control"', 'compared = "treated"', "compared is the same level as applies"),
    ],
)
def test_a_difference_needs_two_levels_and_a_change_inside_the_horizon(old: str, new: str, said: str) -> None:
    keys = FORMS["difference_in_differences"][0]
    assert old in keys
    with pytest.raises(StudyInvalid, match=re.escape(said)):
        parse(asked("difference_in_differences", keys.replace(old, new)), where="study.toml")


@pytest.mark.parametrize(
    ("kind", "form", "words"),
    [
        ("mean", 0, "Mean and spread of cost, clipped to 0 .. 400000 CNY, by egfr"),
        ("rate", 0, "patients count from the day of their genomic report"),
        ("rate", 1, "patients count from day zero"),
        ("milestones", 0, "that were due by 2025-12-31"),
        ("spend", 0, "against a budget of 1,000,000,000 CNY"),
        ("trimmed_mean", 0, "a first release finds the quartiles"),
        ("monthly", 1, "Patients month by month from 2025-01-01 to 2025-12-31"),
    ],
)
def test_words_say_what_is_asked(kind: str, form: int, words: str) -> None:
    read = study(kind, form)
    assert words in read.analyses[0].in_words(read.measured)
