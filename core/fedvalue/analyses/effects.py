"""From the questions about predictions, treatments and hospitals to the analyses that answer them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.arms import Arms, Response
from fedvalue.analyses.by_site import MeansBySite
from fedvalue.analyses.calibration import CalibrationByGroup
from fedvalue.analyses.cloned import ClonedArms
from fedvalue.analyses.concordance import Grid
from fedvalue.analyses.design import Design
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.model_evaluation import EvaluationOfModel
from fedvalue.analyses.outcome import Outcome
from fedvalue.analyses.pseudo import PseudoValues
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.risk import Risk, Term
from fedvalue.analyses.scoring import Network
from fedvalue.analyses.treatment_effect import TreatmentEffectAnalysis
from fedvalue.study.endpoints import Binary, TimeToEvent
from fedvalue.study.model import duration_days
from fedvalue.study.questions.calibration import INTERCEPT
from fedvalue.study.questions.effects import BySite, Calibration, ModelEvaluation, TreatmentEffect
from fedvalue.study.questions.model_evaluation import last_quarter
from fedvalue.study.questions.question import Measured, Question, entry_at_origin
from fedvalue.study.sources import day_number


def _calibration(spec: Calibration, measured: Measured) -> Analysis:
    return CalibrationByGroup(
        spec.outcome, measured.binary(spec.outcome).missing, _risk(spec, measured),
        Groups.of(spec.by, measured.variables), spec.bins,
    )  # fmt: skip


def _model_evaluation(spec: ModelEvaluation, measured: Measured) -> Analysis:
    grid = None
    if spec.time is not None:
        edges = measured.time_to_event(spec.time).edges
        grid = Grid.of(spec.time, edges, delayed=not entry_at_origin(spec.time, spec.read, measured))
    calendar = None
    if spec.calendar is not None:
        first = last_quarter(measured.calendar_days(spec.calendar)[1])
        calendar = (spec.calendar, float(day_number(first)))
    tiers = spec.tiers
    cells = Groups.of(spec.cells, measured.variables) if spec.cells else None
    return EvaluationOfModel(
        _risk(spec, measured) if spec.model is None else Network.of(spec.model, measured.variables),
        spec.outcome or "",
        "exclude" if spec.outcome is None else measured.binary(spec.outcome).missing, spec.edges,
        tuple(Groups.of((name,), measured.variables) for name in spec.by), calendar,
        cells, () if tiers is None else tiers.names,
        () if tiers is None else tiers.cuts, () if tiers is None else tiers.shares, grid, spec.sites,
        horizon=spec.model is not None and spec.model.timed and grid is not None and not grid.delayed,
    )  # fmt: skip


def _risk(spec: Calibration | ModelEvaluation, measured: Measured) -> Risk:
    terms = tuple(_term(name, value, measured) for name, value in sorted((spec.coefficients or {}).items()))
    return Risk(spec.score or "", terms)


def _term(term: str, coefficient: float, measured: Measured) -> Term:
    name, _, level = term.partition("=")
    if term == INTERCEPT:
        return Term("", coefficient)
    if not level:
        return Term(name, coefficient, clip=measured.number(name))
    return Term(name, coefficient, levels=measured.levels(name), level=level)


def _by_site(spec: BySite, measured: Measured) -> Analysis:
    return MeansBySite(Quantity.of(spec.variable, measured), ())


def _treatment_effect(spec: TreatmentEffect, measured: Measured) -> Analysis:
    protocol = _protocol(spec)
    if (grace := spec.trial.grace) is not None:
        curves = _curves(spec.outcome, spec.covariates, measured)
        return ClonedArms(curves, grace.start, duration_days(grace.within), protocol)
    levels = measured.levels(spec.treatment or "")
    arms = Arms(
        spec.treatment or "", levels, levels.index(spec.treated or ""), levels.index(spec.control or "")
    )
    return TreatmentEffectAnalysis(
        arms, _response(spec, measured), Design.of(spec.covariates, measured.variables),
        spec.largest_influence, tuple(Groups.of((name,), measured.variables) for name in spec.subgroups),
        spec.multiplicity == "bonferroni", spec.negative_controls, protocol,
    )  # fmt: skip


def _response(spec: TreatmentEffect, measured: Measured) -> Response:
    endpoint = measured.endpoints.get(spec.outcome)
    if isinstance(endpoint, Binary):
        return Response(Outcome(spec.outcome, None, missing_fails=endpoint.missing == "non_response"))
    if isinstance(endpoint, TimeToEvent):
        curves = _curves(spec.outcome, (spec.treatment or "",), measured)
        at_zero = entry_at_origin(spec.outcome, (spec.treatment or "", *spec.covariates), measured)
        return Response(None, PseudoValues(replace(curves, entry_at_zero=at_zero)))
    clip = measured.number(spec.outcome, "outcome")
    return Response(Outcome(spec.outcome, clip, unit=measured.variables[spec.outcome].unit or ""))


def _curves(endpoint: str, by: tuple[str, ...], measured: Measured) -> KaplanMeierByGroup:
    groups, edges = Groups.of(by, measured.variables), measured.time_to_event(endpoint).edges
    return KaplanMeierByGroup(endpoint, groups, edges, entry_at_origin(endpoint, by, measured))


def _protocol(spec: TreatmentEffect) -> tuple[str, ...]:
    """Sentences about the target trial, for the conclusion."""
    stated = ["Target trial: eligibility, assignment and follow-up begin on the index day."]
    if spec.trial.active_comparator:
        stated.append("Both arms start a treatment on that day (active comparator).")
    if spec.trial.new_user:
        stated.append("Earlier users of the drug are left out (new users).")
    if spec.subgroups:
        stated.append(
            "Statements about subgroups err in 5% together (Bonferroni)."
            if spec.multiplicity == "bonferroni"
            else "Each statement about subgroups errs in 5% by itself."
        )
    return tuple(stated)


EFFECTS: Mapping[type[Question], Callable[[Any, Measured], Analysis]] = {
    BySite: _by_site,
    Calibration: _calibration,
    ModelEvaluation: _model_evaluation,
    TreatmentEffect: _treatment_effect,
}
"""For each of these questions, what answers it."""
