"""From the questions of a study file to the analyses that answer them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.proportion import ProportionByGroup
from fedvalue.errors import StudyInvalid
from fedvalue.study.model import duration_days
from fedvalue.study.questions.kaplan_meier import KaplanMeier
from fedvalue.study.questions.proportion import Proportion
from fedvalue.study.questions.question import Measured, Question, entry_at_origin
from fedvalue.study.schema import Study


def _proportion(spec: Proportion, measured: Measured) -> Analysis:
    groups = Groups.of(spec.by, measured.variables)
    return ProportionByGroup(spec.endpoint, groups, measured.binary(spec.endpoint).missing)


def _kaplan_meier(spec: KaplanMeier, measured: Measured) -> Analysis:
    groups = Groups.of(spec.by, measured.variables)
    edges = measured.time_to_event(spec.endpoint).edges
    at_origin = entry_at_origin(spec.endpoint, spec.by, measured)
    return KaplanMeierByGroup(
        spec.endpoint, groups, edges, at_origin, tuple(duration_days(time) for time in spec.at)
    )


BUILDERS: Mapping[type[Question], Callable[[Any, Measured], Analysis]] = {
    Proportion: _proportion,
    KaplanMeier: _kaplan_meier,
}
"""For each kind of question, what answers it."""


def analysis_of(question: Question, measured: Measured) -> Analysis:
    """Return the analysis that answers ``question``.

    Raises:
      StudyInvalid: the question does not fit what is measured (in a validated study it does).
    """
    try:
        question.require_fits(measured)
    except ValueError as error:
        raise StudyInvalid(str(error), where="analyses") from error
    return BUILDERS[type(question)](question, measured)


def analyses_of(study: Study) -> tuple[Analysis, ...]:
    """Return all analyses of a study, in its order.

    Raises:
      StudyInvalid: two analyses ask the same.
    """
    found = tuple(analysis_of(question, study.measured) for question in study.analyses)
    labels = [analysis.label for analysis in found]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise StudyInvalid(f"two analyses ask for {twice[0]}", where="analyses", do="leave one of them out")
    return found
