"""From the questions of a study file to the analyses that answer them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.competing_risks import CompetingRisksByGroup
from fedvalue.analyses.described import DESCRIBED
from fedvalue.analyses.design import Design
from fedvalue.analyses.families import Gamma, Logistic, Poisson
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.linear import LinearModel
from fedvalue.analyses.log_rank import LogRankByGroup
from fedvalue.analyses.outcome import Outcome
from fedvalue.analyses.proportion import ProportionByGroup
from fedvalue.analyses.regression import ModelPart, RegressionModel
from fedvalue.errors import StudyInvalid
from fedvalue.study.endpoints import Binary
from fedvalue.study.model import duration_days
from fedvalue.study.questions.competing_risks import CompetingRisks
from fedvalue.study.questions.kaplan_meier import KaplanMeier
from fedvalue.study.questions.log_rank import LogRank
from fedvalue.study.questions.proportion import Proportion
from fedvalue.study.questions.question import Measured, Question, entry_at_origin
from fedvalue.study.questions.regression import Regression
from fedvalue.study.schema import Study


def _proportion(spec: Proportion, measured: Measured) -> Analysis:
    groups = Groups.of(spec.by, measured.variables)
    return ProportionByGroup(spec.endpoint, groups, measured.binary(spec.endpoint).missing)


def _kaplan_meier(spec: KaplanMeier, measured: Measured) -> Analysis:
    groups = Groups.of(spec.by, measured.variables)
    edges = measured.time_to_event(spec.endpoint).edges
    at_origin = entry_at_origin(spec.endpoint, spec.by, measured)
    return KaplanMeierByGroup(
        spec.endpoint, groups, edges, at_origin, tuple(duration_days(time) for time in spec.at), spec.compare
    )


def _log_rank(spec: LogRank, measured: Measured) -> Analysis:
    return LogRankByGroup(_curves(spec.endpoint, spec.by, measured))


def _competing_risks(spec: CompetingRisks, measured: Measured) -> Analysis:
    kinds = measured.time_to_event(spec.endpoint).events
    at = tuple(duration_days(time) for time in spec.at)
    return CompetingRisksByGroup(_curves(spec.endpoint, spec.by, measured), kinds, at)


def _curves(endpoint: str, by: tuple[str, ...], measured: Measured) -> KaplanMeierByGroup:
    groups, edges = Groups.of(by, measured.variables), measured.time_to_event(endpoint).edges
    return KaplanMeierByGroup(endpoint, groups, edges, entry_at_origin(endpoint, by, measured))


def _regression(spec: Regression, measured: Measured) -> Analysis:
    family = spec.chosen(measured)
    why = "as the study states" if spec.family is not None else "chosen by rule"
    chosen = f"Model: {family.replace('_', '-')}, {why}."
    design = Design.of(spec.covariates, measured.variables, row_bound=spec.row_bound)
    prediction = spec.answer == "prediction"
    endpoint = measured.endpoints.get(spec.outcome)
    if isinstance(endpoint, Binary):
        outcome = Outcome(spec.outcome, None, missing_fails=endpoint.missing == "non_response")
        return RegressionModel(outcome, design, (ModelPart("", Logistic()),), prediction, chosen)
    clip = measured.number(spec.outcome, "outcome")
    outcome = Outcome(spec.outcome, clip, unit=measured.variables[spec.outcome].unit or "")
    if family == "linear":
        return LinearModel(outcome, design, prediction, chosen)
    gamma = Gamma(clip[1], spec.largest_ratio)
    parts = {
        "poisson": (ModelPart("", Poisson(clip[1], spec.largest_ratio)),),
        "gamma": (ModelPart("", gamma),),
        "two_part": (ModelPart("any ", Logistic(), "any"), ModelPart("amount ", gamma, "value", "above 0")),
    }[family]
    return RegressionModel(outcome, design, parts, prediction, chosen)


BUILDERS: Mapping[type[Question], Callable[[Any, Measured], Analysis]] = {
    **DESCRIBED,
    Proportion: _proportion,
    KaplanMeier: _kaplan_meier,
    LogRank: _log_rank,
    CompetingRisks: _competing_risks,
    Regression: _regression,
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
