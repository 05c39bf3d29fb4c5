"""From the questions of a study file to the analyses that answer them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.by_site import MeansBySite
from fedvalue.analyses.cox_by_site import CoxBySite
from fedvalue.analyses.described import DESCRIBED
from fedvalue.analyses.diagnostics import DiagnosticsOfStudy
from fedvalue.analyses.effects import EFFECTS
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.hierarchy import Hierarchy
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.model_evaluation import EvaluationOfModel
from fedvalue.analyses.modelled import MODELLED
from fedvalue.analyses.proportion import ProportionByGroup
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.training import Training
from fedvalue.analyses.training_rows import Target
from fedvalue.errors import StudyInvalid
from fedvalue.study.endpoints import Binary, TimeToEvent
from fedvalue.study.model import duration_days
from fedvalue.study.questions.kaplan_meier import KaplanMeier
from fedvalue.study.questions.proportion import Proportion
from fedvalue.study.questions.question import Measured, Question, entry_at_origin
from fedvalue.study.questions.training import Training as TrainingQuestion
from fedvalue.study.schema import Study


def _proportion(spec: Proportion, measured: Measured) -> Analysis:
    groups = Groups.of(spec.by, measured.variables)
    hierarchy = Hierarchy.of(spec.by, measured.variables)
    return ProportionByGroup(spec.endpoint, groups, measured.binary(spec.endpoint).missing, hierarchy)


def _kaplan_meier(spec: KaplanMeier, measured: Measured) -> Analysis:
    groups = Groups.of(spec.by, measured.variables)
    edges = measured.time_to_event(spec.endpoint).edges
    at_origin = entry_at_origin(spec.endpoint, spec.by, measured)
    return KaplanMeierByGroup(
        spec.endpoint, groups, edges, at_origin, tuple(duration_days(time) for time in spec.at), spec.compare
    )


def _training(spec: TrainingQuestion, measured: Measured) -> Analysis:
    genes = tuple(spec.genes(measured).items())
    endpoint = measured.endpoints.get(spec.outcome)
    if isinstance(endpoint, TimeToEvent):
        at_zero = entry_at_origin(spec.outcome, spec.features, measured)
        curves = KaplanMeierByGroup(spec.outcome, Groups.of((), measured.variables), endpoint.edges, at_zero)
        target = Target(spec.outcome, "time", curves=curves)
    else:
        target = Target(
            spec.outcome, "number" if endpoint is None else "binary", spec.missing_fails(measured)
        )
    return Training(spec, spec.inputs(measured), target, genes)


BUILDERS: Mapping[type[Question], Callable[[Any, Measured], Analysis]] = {
    **DESCRIBED,
    **MODELLED,
    **EFFECTS,
    Proportion: _proportion,
    KaplanMeier: _kaplan_meier,
    TrainingQuestion: _training,
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


def analyses_of(study: Study, sites: tuple[str, ...] = ()) -> tuple[Analysis, ...]:
    """Return all analyses of a study, in its order; its diagnostics, where it has a share for them, last.

    Args:
      study: The study.
      sites: Ids in the roster's order, for analyses by site; left out, as many as the study's ``min_sites``.

    Raises:
      StudyInvalid: two analyses ask the same.
    """
    named = sites or tuple(f"site {i}" for i in range(1, study.federation.min_sites + 1))
    found = tuple(
        replace(one, sites=named) if isinstance(one, MeansBySite | CoxBySite | EvaluationOfModel) else one
        for one in (analysis_of(question, study.measured) for question in study.analyses)
    )
    labels = [analysis.label for analysis in found]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise StudyInvalid(f"two analyses ask for {twice[0]}", where="analyses", do="leave one of them out")
    return (*found, diagnostics_of(study)) if study.diagnostics.share else found


def diagnostics_of(study: Study) -> DiagnosticsOfStudy:
    """Return the checks of a study on its own data."""
    cohort, measured = study.cohort, study.measured
    by = [name for question in study.analyses for name in getattr(question, "by", ())]
    balance = study.diagnostics.balance or next(iter(by), None)
    first = f"a {cohort.index.what}"
    if cohort.observable is not None:
        first += f", insured for {cohort.observable} before"
    criteria = [
        f"{word} {one.kind} {' '.join(one.codes)} within {one.within}"
        for word, listed in (("with", cohort.require), ("without", cohort.exclude))
        for one in listed
    ]
    # in the order of their names: a study that is read back from its evidence has its keys sorted
    variables, endpoints = sorted(study.variables.items()), sorted(study.endpoints.items())
    return DiagnosticsOfStudy(
        (f"with {first}", *criteria),
        tuple((name, tuple(found.levels)) for name, found in variables if found.categorical),
        tuple(Quantity.of(name, measured) for name, found in variables if not found.categorical),
        tuple(name for name, found in endpoints if isinstance(found, Binary)),
        tuple((name, found.edges[-1]) for name, found in endpoints if not isinstance(found, Binary)),
        Groups.of((balance,) if balance else (), study.variables),
    )
