"""From the analyses of a study file to the objects that run them."""

from __future__ import annotations

import pytest

from fedvalue.analyses.catalogue import analyses_of
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.proportion import ProportionByGroup
from fedvalue.errors import StudyInvalid
from tests.agreement import study

EGFR = Groups(("egfr",), (("mutated", "wild type", "not tested"),))


def test_every_analysis_of_a_study_becomes_one_object_in_its_order() -> None:
    share, curve = analyses_of(study())
    assert share == ProportionByGroup("response_6m", EGFR, "non_response")
    assert isinstance(curve, KaplanMeierByGroup)
    assert (curve.endpoint, curve.groups, curve.entry_at_zero) == ("pfs", EGFR, False)
    assert len(curve.edges) == 25
    assert curve.at == pytest.approx((182.625, 365.25))
    assert [share.label, curve.label] == ["proportion:response_6m:egfr", "kaplan_meier:pfs:egfr"]


def test_what_the_study_says_of_missing_outcomes_and_of_entry_is_carried() -> None:
    share, curve = analyses_of(
        study(
            ('what = "best by day 183"', 'what = "best by day 183", missing = "exclude"'),
            ('grid = "1 month"', 'grid = "1 month", entry = "origin"'),
        )
    )
    assert isinstance(share, ProportionByGroup)
    assert share.missing == "exclude"
    assert isinstance(curve, KaplanMeierByGroup)
    assert curve.entry_at_zero


def test_the_same_question_twice_is_refused() -> None:
    # the second answer would only cost: its budget belongs to the first
    again = '[[analyses]]\nkind = "proportion"\nendpoint = "response_6m"\nby = ["egfr"]\nbudget = 0.1\n'
    twice = study(
        ("[[payments]]", f"{again}[[payments]]"),
        ('at = ["6 months", "12 months"]\nbudget = 0.5', "budget = 0.4"),
    )
    with pytest.raises(StudyInvalid, match="two analyses ask for proportion:response_6m:egfr"):
        analyses_of(twice)
