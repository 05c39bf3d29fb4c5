"""Questions that compare groups or model an outcome: tests, competing risks, regressions, hazards."""

from __future__ import annotations

from fedvalue.study.questions.competing_risks import CompetingRisks
from fedvalue.study.questions.cox import Cox
from fedvalue.study.questions.delayed_entry import DelayedEntry
from fedvalue.study.questions.log_rank import LogRank
from fedvalue.study.questions.parametric_survival import ParametricSurvival
from fedvalue.study.questions.regression import Regression

Modelled = LogRank | CompetingRisks | ParametricSurvival | DelayedEntry | Regression | Cox
"""One of them; it stands in the union of all questions."""

__all__ = [
    "CompetingRisks",
    "Cox",
    "DelayedEntry",
    "LogRank",
    "Modelled",
    "ParametricSurvival",
    "Regression",
]
