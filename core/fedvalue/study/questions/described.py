"""Questions that describe a cohort: what people cost, how many there are, what was done, month by month."""

from __future__ import annotations

from fedvalue.study.questions.adverse_events import AdverseEvents
from fedvalue.study.questions.counts import Counts
from fedvalue.study.questions.cross_moments import CrossMoments
from fedvalue.study.questions.difference_in_differences import DifferenceInDifferences
from fedvalue.study.questions.interrupted_time_series import InterruptedTimeSeries
from fedvalue.study.questions.mean import Mean
from fedvalue.study.questions.milestones import Milestones
from fedvalue.study.questions.monthly import Monthly
from fedvalue.study.questions.quantiles import Quantiles
from fedvalue.study.questions.rate import Rate
from fedvalue.study.questions.spend import Spend
from fedvalue.study.questions.trimmed_mean import TrimmedMean
from fedvalue.study.questions.utilisation import Utilisation

Described = (
    Mean
    | Quantiles
    | TrimmedMean
    | CrossMoments
    | Counts
    | Rate
    | Milestones
    | Utilisation
    | Spend
    | AdverseEvents
    | Monthly
    | InterruptedTimeSeries
    | DifferenceInDifferences
)
"""One of them; it stands in the union of all questions."""
