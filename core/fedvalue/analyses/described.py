"""From the questions that describe a cohort to the analyses that answer them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cross_moments import CrossMomentsByGroup
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.mean import MeanByGroup
from fedvalue.analyses.quantiles import Histogram, QuantilesByGroup
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.trimmed_mean import TrimmedMeanByGroup
from fedvalue.study.questions.described import CrossMoments, Mean, Quantiles, TrimmedMean
from fedvalue.study.questions.question import Measured, Question


def _mean(spec: Mean, measured: Measured) -> Analysis:
    return MeanByGroup(Quantity.of(spec.variable, measured), Groups.of(spec.by, measured.variables))


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


DESCRIBED: Mapping[type[Question], Callable[[Any, Measured], Analysis]] = {
    Mean: _mean,
    Quantiles: _quantiles,
    TrimmedMean: _trimmed_mean,
    CrossMoments: _cross_moments,
}
"""For each of these questions, what answers it."""
