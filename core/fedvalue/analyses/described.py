"""From the questions that describe a cohort to the analyses that answer them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fedvalue.analyses.adverse_events import AdverseEventsByGroup
from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.counts import CountsByGroup
from fedvalue.analyses.cross_moments import CrossMomentsByGroup
from fedvalue.analyses.difference_in_differences import DifferenceInDifferences as Differences
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.hierarchy import Hierarchy
from fedvalue.analyses.interrupted_series import InterruptedSeriesByGroup
from fedvalue.analyses.mean import MeanByGroup
from fedvalue.analyses.milestones import MilestonesByGroup
from fedvalue.analyses.monthly import MonthlyByGroup
from fedvalue.analyses.months import Calendar, MonthlyTrees
from fedvalue.analyses.quantiles import Histogram, QuantilesByGroup
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.rate import RateByGroup
from fedvalue.analyses.spend import SpendByGroup
from fedvalue.analyses.trimmed_mean import TrimmedMeanByGroup
from fedvalue.analyses.utilisation import UtilisationByGroup
from fedvalue.study.model import duration_days
from fedvalue.study.questions.adverse_events import AdverseEvents
from fedvalue.study.questions.counts import Counts
from fedvalue.study.questions.cross_moments import CrossMoments
from fedvalue.study.questions.difference_in_differences import DifferenceInDifferences
from fedvalue.study.questions.interrupted_time_series import InterruptedTimeSeries
from fedvalue.study.questions.mean import Mean
from fedvalue.study.questions.milestones import Milestones
from fedvalue.study.questions.monthly import Monthly
from fedvalue.study.questions.quantiles import Quantiles
from fedvalue.study.questions.question import Measured, Question, entry_at_origin
from fedvalue.study.questions.rate import Rate
from fedvalue.study.questions.spend import Spend
from fedvalue.study.questions.trimmed_mean import TrimmedMean
from fedvalue.study.questions.utilisation import Utilisation
from fedvalue.study.sources import day_number


def _mean(spec: Mean, measured: Measured) -> Analysis:
    groups, hierarchy = _groups(spec.by, measured)
    return MeanByGroup(Quantity.of(spec.variable, measured), groups, hierarchy)


def _groups(by: tuple[str, ...], measured: Measured) -> tuple[Groups, Hierarchy]:
    return Groups.of(by, measured.variables), Hierarchy.of(by, measured.variables)


def _histogram(spec: Quantiles | TrimmedMean, measured: Measured) -> Histogram:
    groups = Groups.of(spec.by, measured.variables)
    return Histogram(Quantity.of(spec.variable, measured), groups, spec.cells, spec.spacing == "growing")


def _quantiles(spec: Quantiles, measured: Measured) -> Analysis:
    return QuantilesByGroup(_histogram(spec, measured), spec.at)


def _trimmed_mean(spec: TrimmedMean, measured: Measured) -> Analysis:
    return TrimmedMeanByGroup(_histogram(spec, measured), spec.whiskers)


def _cross_moments(spec: CrossMoments, measured: Measured) -> Analysis:
    cost, effect = Quantity.of(spec.cost, measured), Quantity.of(spec.effect, measured)
    return CrossMomentsByGroup(cost, effect, Groups.of(spec.by, measured.variables), spec.compare)


def _counts(spec: Counts, measured: Measured) -> Analysis:
    groups, hierarchy = _groups(spec.by, measured)
    across = () if spec.across is None else (spec.across,)
    return CountsByGroup(groups, Groups.of(across, measured.variables), hierarchy)


def _rate(spec: Rate, measured: Measured) -> Analysis:
    groups, hierarchy = _groups(spec.by, measured)
    horizon = measured.time_to_event(spec.endpoint).edges[-1]
    at_origin = entry_at_origin(spec.endpoint, spec.by, measured)
    return RateByGroup(spec.endpoint, groups, horizon, at_origin, spec.per, hierarchy)


def _milestones(spec: Milestones, measured: Measured) -> Analysis:
    at = tuple(duration_days(time) for time in spec.at)
    as_of = 0.0 if spec.as_of is None else day_number(spec.as_of)
    groups = Groups.of(spec.by, measured.variables)
    return MilestonesByGroup(spec.endpoint, groups, at, spec.calendar or "", as_of)


def _utilisation(spec: Utilisation, measured: Measured) -> Analysis:
    indication = None if spec.indication is None else Quantity.of(spec.indication, measured)
    groups = Groups.of(spec.by, measured.variables)
    return UtilisationByGroup(Quantity.of(spec.variable, measured), groups, indication)


def _spend(spec: Spend, measured: Measured) -> Analysis:
    groups = Groups.of(spec.by, measured.variables)
    return SpendByGroup(Quantity.of(spec.variable, measured), groups, spec.limit)


def _adverse_events(spec: AdverseEvents, measured: Measured) -> Analysis:
    return AdverseEventsByGroup(spec.variable, Groups.of(spec.by, measured.variables))


def _trees(spec: Monthly | InterruptedTimeSeries, measured: Measured) -> MonthlyTrees:
    first, last = measured.calendar_days(spec.calendar)
    calendar = Calendar(spec.calendar, day_number(first), day_number(last))
    quantity = None if spec.of is None else Quantity.of(spec.of, measured)
    return MonthlyTrees(calendar, Groups.of(spec.by, measured.variables), quantity)


def _monthly(spec: Monthly, measured: Measured) -> Analysis:
    return MonthlyByGroup(_trees(spec, measured))


def _interrupted(spec: InterruptedTimeSeries, measured: Measured) -> Analysis:
    trees = _trees(spec, measured)
    return InterruptedSeriesByGroup(trees, trees.calendar.month_of(day_number(spec.change)))


def _differences(spec: DifferenceInDifferences, measured: Measured) -> Analysis:
    first, last = (day_number(day) for day in measured.calendar_days(spec.calendar))
    change, levels = day_number(spec.change), measured.levels(spec.group)
    return Differences(
        Quantity.of(spec.of, measured), Groups.of((spec.group,), measured.variables),
        levels.index(spec.applies), levels.index(spec.compared), spec.calendar,
        (first, float((first + change) // 2), change, last),
    )  # fmt: skip


DESCRIBED: Mapping[type[Question], Callable[[Any, Measured], Analysis]] = {
    Mean: _mean,
    Quantiles: _quantiles,
    TrimmedMean: _trimmed_mean,
    CrossMoments: _cross_moments,
    Counts: _counts,
    Rate: _rate,
    Milestones: _milestones,
    Utilisation: _utilisation,
    Spend: _spend,
    AdverseEvents: _adverse_events,
    Monthly: _monthly,
    InterruptedTimeSeries: _interrupted,
    DifferenceInDifferences: _differences,
}
"""For each of these questions, what answers it."""
