"""From the questions that compare and model to the analyses that answer them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.competing_risks import CompetingRisksByGroup
from fedvalue.analyses.cox import CoxModel
from fedvalue.analyses.cox_by_site import CoxBySite
from fedvalue.analyses.delayed_entry import DelayedEntryTest
from fedvalue.analyses.design import Design
from fedvalue.analyses.families import Gamma, Logistic, Poisson
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.linear import LinearModel
from fedvalue.analyses.log_rank import LogRankByGroup
from fedvalue.analyses.outcome import Outcome
from fedvalue.analyses.parametric_survival import ParametricSurvivalByGroup
from fedvalue.analyses.regression import ModelPart, RegressionModel
from fedvalue.analyses.survival_shapes import PiecewiseConstant, Weibull
from fedvalue.analyses.testing_weights import TestingWeights
from fedvalue.study.cohort import NOT_TESTED
from fedvalue.study.endpoints import Binary
from fedvalue.study.model import duration_days
from fedvalue.study.questions.modelled import (
    CompetingRisks,
    Cox,
    DelayedEntry,
    LogRank,
    ParametricSurvival,
    Regression,
)
from fedvalue.study.questions.question import Measured, Question, entry_at_origin


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


def _cox(spec: Cox, measured: Measured) -> Analysis:
    used = (*spec.covariates, *spec.strata)
    curves = replace(
        _curves(spec.endpoint, spec.strata, measured),
        entry_at_zero=entry_at_origin(spec.endpoint, used, measured),
    )
    design = Design.of(spec.covariates, measured.variables, intercept=False, row_bound=spec.row_bound)
    model = CoxModel(curves, design, spec.exposure, spec.largest_hazard)
    return CoxBySite(model, ()) if spec.stratify_by_site else model


def _parametric_survival(spec: ParametricSurvival, measured: Measured) -> Analysis:
    curves = _curves(spec.endpoint, spec.by, measured)
    last = curves.edges[-1]
    breaks = tuple(duration_days(one) for one in spec.breaks)
    shape = Weibull(last / 2) if spec.model == "weibull" else PiecewiseConstant(breaks)
    horizon = last if spec.horizon is None else duration_days(spec.horizon)
    at = tuple(duration_days(time) for time in spec.at)
    return ParametricSurvivalByGroup(replace(curves, at=at), spec.model, shape, horizon)


def _delayed_entry(spec: DelayedEntry, measured: Measured) -> Analysis:
    edges = measured.time_to_event(spec.endpoint).edges
    split, at = (tuple(duration_days(one) for one in times) for times in (spec.split, spec.at))
    untested = measured.levels(spec.tested).index(NOT_TESTED)
    weights = None
    if spec.weights:
        groups = Groups.of(spec.weights, measured.variables)
        curves = KaplanMeierByGroup(spec.endpoint, groups, edges, entry_at_zero=False, at=at)
        weights = TestingWeights(curves, spec.tested, untested)
    return DelayedEntryTest(spec.endpoint, edges, spec.tested, untested, split, at, weights)


MODELLED: Mapping[type[Question], Callable[[Any, Measured], Analysis]] = {
    LogRank: _log_rank,
    CompetingRisks: _competing_risks,
    Regression: _regression,
    Cox: _cox,
    ParametricSurvival: _parametric_survival,
    DelayedEntry: _delayed_entry,
}
"""For each of these questions, what answers it."""
