"""The split of a study's rho over its analyses that makes the widest interval as narrow as it can be.

Privacy variance falls with the share of rho that an analysis has, sampling variance does not: a relative
half-width squared is ``V + P / s``. The widest of all is smallest where every analysis that noise widens is
as wide as the widest: each then needs ``s = max P / (w^2 - V)`` over its groups, and w is the smallest for
which these shares add to 1. Our derivation; found by bisection.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedvalue.planning.expected import Expected

_STEPS = 100


@dataclass(frozen=True, slots=True)
class Split:
    """A split of the budget.

    Attributes:
      shares: Label of each analysis to its share; together 1.
      widest: Largest relative width of an interval then.
      before: The same under the study's own budgets, as far as they give an answer.
      left_out: Labels of analyses that have no answer even with the most that was tried.
    """

    shares: Mapping[str, float]
    widest: float
    before: float
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """One group's interval as a function of the share of its analysis.

    Attributes:
      analysis: Label.
      sampling: Squared relative width by sampling.
      privacy: Squared relative width by noise, with all of the budget.
    """

    analysis: str
    sampling: float
    privacy: float


def needs(rows: Sequence[Expected], shares: Mapping[str, float], rho: float = 1.0) -> tuple[Need, ...]:
    """Return what each group needs.

    Args:
      rows: What was expected.
      shares: The share of each analysis then.
      rho: The study's rho then, over the rho that is to be split.
    """
    found = []
    for row in rows:
        share = shares.get(row.analysis)
        if share is None or row.privacy is None or row.width is None or row.scale <= 0:
            continue
        spread = row.sampling + row.privacy
        factor = (row.width / row.scale) ** 2 / spread if spread > 0 else 0.0
        found.append(Need(row.analysis, row.sampling * factor, row.privacy * factor * share * rho))
    return tuple(found)


def best_split(asked: Sequence[Need], labels: Sequence[str], before: float) -> Split | None:
    """Return the best split, or None where fewer than two analyses can be compared.

    Args:
      asked: What each group needs.
      labels: The analyses between which the budget is split.
      before: Largest relative width under the study's own budgets.
    """
    by = {label: [need for need in asked if need.analysis == label] for label in labels}
    left_out = tuple(label for label, found in by.items() if not found)
    compared = {label: found for label, found in by.items() if found}
    if len(compared) < 2 or not any(need.privacy > 0 for need in asked):
        return None
    low = max(need.sampling for need in asked)
    high = max(need.sampling + need.privacy * len(compared) for need in asked)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if sum(_share(found, middle) for found in compared.values()) > 1:
            low = middle
        else:
            high = middle
    shares = {label: _share(found, high) for label, found in compared.items()}
    whole = sum(shares.values())
    spread = {label: share / whole for label, share in shares.items()}
    return Split(spread, high**0.5, before, left_out)


def _share(found: Sequence[Need], squared: float) -> float:
    return max(
        (
            need.privacy / (squared - need.sampling) if squared > need.sampling else math.inf
            for need in found
            if need.privacy > 0
        ),
        default=0.0,
    )
