"""Questions that describe a cohort: what people cost, how many there are, what was done, month by month."""

from __future__ import annotations

from fedvalue.study.questions.cross_moments import CrossMoments
from fedvalue.study.questions.mean import Mean
from fedvalue.study.questions.quantiles import Quantiles
from fedvalue.study.questions.trimmed_mean import TrimmedMean

Described = Mean | Quantiles | TrimmedMean | CrossMoments
"""One of them; it stands in the union of all questions."""

__all__ = ["CrossMoments", "Described", "Mean", "Quantiles", "TrimmedMean"]
