"""From the analyses of a study file to the objects that run them."""

from __future__ import annotations

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.proportion import ProportionByGroup
from fedvalue.errors import StudyInvalid
from fedvalue.study.endpoints import Binary, TimeToEvent
from fedvalue.study.model import duration_days
from fedvalue.study.schema import Analysis as Spec
from fedvalue.study.schema import Proportion, Study


def analysis_of(study: Study, spec: Spec) -> Analysis:
    """Return the analysis that ``spec`` of ``study`` asks for.

    Raises:
      StudyInvalid: the endpoint does not fit (a validated study never raises).
    """
    groups = Groups.of(spec.by, study.variables)
    endpoint = study.endpoints[spec.endpoint]
    if isinstance(spec, Proportion) and isinstance(endpoint, Binary):
        return ProportionByGroup(spec.endpoint, groups, endpoint.missing)
    if not isinstance(spec, Proportion) and isinstance(endpoint, TimeToEvent):
        at = tuple(duration_days(time) for time in spec.at)
        return KaplanMeierByGroup(spec.endpoint, groups, endpoint.edges, study.entry_at_origin(spec), at)
    raise StudyInvalid(f"{spec.kind} cannot use the endpoint {spec.endpoint!r}", where="analyses")


def analyses_of(study: Study) -> tuple[Analysis, ...]:
    """Return all analyses of a study, in its order.

    Raises:
      StudyInvalid: two analyses ask the same.
    """
    found = tuple(analysis_of(study, spec) for spec in study.analyses)
    labels = [analysis.label for analysis in found]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise StudyInvalid(f"two analyses ask for {twice[0]}", where="analyses", do="leave one of them out")
    return found
