"""What a study's design says of five biases that its noise does not show."""

from __future__ import annotations

from fedvalue.analyses.cloned import CLONED
from fedvalue.evidence.package import BiasChecklist, BiasItem
from fedvalue.study.endpoints import TimeToEvent
from fedvalue.study.questions.question import entry_at_origin
from fedvalue.study.questions.treatment_effect import TreatmentEffect
from fedvalue.study.schema import Study


def bias_checklist(study: Study) -> BiasChecklist:
    """Return what is known of five biases from the study's design alone."""
    timed = [
        item
        for question in study.analyses
        for item in question.times()
        if isinstance(study.endpoints.get(item[0]), TimeToEvent)
    ]
    delayed = [name for name, used in timed if not entry_at_origin(name, used, study.measured)]
    times = any(isinstance(endpoint, TimeToEvent) for endpoint in study.endpoints.values())
    variants = [name for name, variable in study.variables.items() if variable.genes]
    grouped = any(getattr(question, "by", ()) for question in study.analyses)
    effects = [question for question in study.analyses if isinstance(question, TreatmentEffect)]
    return BiasChecklist(
        confounding=_open(
            "Groups are compared as they are, without adjustment: a difference is not an effect."
        )
        if grouped
        else _open("Effects are adjusted for the covariates that are named; what is not measured remains.")
        if effects
        else _not_applicable("No groups are compared."),
        immortal_time=_addressed("Patients count from the day of their genomic report on.")
        if delayed
        else _addressed(CLONED)
        if any(question.trial.grace is not None for question in effects) and not grouped
        else _open("Time before a patient's group was known is counted, as the study declares.")
        if times and (grouped or effects)
        else _not_applicable("No group is defined by something that happens after day zero."),
        informative_censoring=_open("Follow-up may end for reasons tied to the outcome; this is not tested.")
        if times
        else _open("A missing outcome may be missing because of the outcome; see how it is counted."),
        test_access=_open(
            f"{', '.join(variants)} is known only of those who were tested; compare the untested."
        )
        if variants
        else _not_applicable("No test defines a group."),
        site_selection=_open("The hospitals that take part may differ from those that the standard is for."),
    )


def _open(text: str) -> BiasItem:
    return BiasItem(status="open", text=text)


def _addressed(text: str) -> BiasItem:
    return BiasItem(status="addressed", text=text)


def _not_applicable(text: str) -> BiasItem:
    return BiasItem(status="not applicable", text=text)
