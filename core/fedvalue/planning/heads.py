"""Which estimate of a group says whether an analysis is worth asking, and what its width is compared with.

A coefficient table is judged by its widest ratio, a treatment effect by the effect, a test by its hazard
ratios; everything else by its first estimate. Widths of probabilities, ratios and logarithms are told as they
are; an effect or a slope is compared with the means that it is a difference of, because under the planner's
assumptions its own value is nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from fedvalue.analyses.balance import BALANCE, CONTROLS
from fedvalue.analyses.estimate import Conclusion, Estimate, Stratum

AS_IT_IS = frozenset(
    {"probability", "difference of probabilities", "area", "net benefit", "standard deviations", "share"}
)
"""Units whose difference is told in the unit itself."""

HEADS: Mapping[str, str] = {
    "log_rank": "hazard ratio",
    "treatment_effect": "effect",
    "interrupted_time_series": "change of level",
    "difference_in_differences": "difference in differences",
    "spend": "spent",
    "counts": "patients",
    "monthly": "patients",
    "delayed_entry": "hazard ratio|share of time before entry|median|tested|difference of .*",
}
"""Kind to the names of the estimates that are looked at, the first that is there; a regular expression."""

DIFFERENCES = frozenset({"treatment_effect", "interrupted_time_series", "difference_in_differences"})
MODELS = frozenset({"cox", "regression"})
ASIDE = frozenset({"unknown", BALANCE, CONTROLS})


def head(kind: str, stratum: Stratum) -> tuple[str, Estimate] | None:
    """Return the estimate that is looked at, with its name; None where there is none with an interval.

    Args:
      kind: Of the analysis.
      stratum: Its group.
    """
    found = {name: one for name, one in stratum.estimates.items() if width(one) is not None}
    if kind in MODELS:
        return _coefficient(found)
    for pattern in HEADS.get(kind, "").split("|") if kind in HEADS else ():
        for name, one in found.items():
            if re.fullmatch(pattern, name):
                return name, one
    if kind in HEADS:
        return None
    return next(((name, one) for name, one in found.items() if width(one)), None)


def _coefficient(found: Mapping[str, Estimate]) -> tuple[str, Estimate] | None:
    """The widest ratio, or slope where a model has none; levels before numbers, whose units differ."""
    ratios = {name: one for name, one in found.items() if one.unit == "ratio"}
    slopes = ratios or {name: one for name, one in found.items() if name != "intercept"}
    levels = {name: one for name, one in slopes.items() if "=" in name} or slopes
    return max(levels.items(), key=lambda pair: width(pair[1]) or 0.0, default=None)


def size(conclusion: Conclusion, known: Estimate) -> float:
    """Return what the width of an estimate is compared with, 0 or more.

    Args:
      conclusion: Without noise.
      known: Its estimate.
    """
    if known.unit in AS_IT_IS or known.unit.startswith("log "):
        return 1.0
    slope = conclusion.kind in MODELS and known.unit != "ratio"
    if conclusion.kind in DIFFERENCES or slope:
        return max(_levels(conclusion.strata, known.unit), default=abs(known.value))
    return abs(known.value)


def _levels(strata: Sequence[Stratum], unit: str) -> list[float]:
    """Sizes of everything of a unit: means beside an effect, a series around a change."""
    found = [abs(one.value) for s in strata for one in s.estimates.values() if one.unit == unit]
    return found + [
        abs(v) for s in strata for line in s.series.values() if line.unit == unit for v in line.values
    ]


def width(estimate: Estimate) -> float | None:
    """Return the width of a 95 % interval in the estimate's unit; None where an end is missing."""
    if estimate.lower is None or estimate.upper is None:
        return None
    return estimate.upper - estimate.lower
