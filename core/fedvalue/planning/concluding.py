"""Conclude all analyses of a plan from its releases, in step: the k-th asks of all share one release.

An analysis is a pure function of the sums it is told. It is called from the start until it asks for a round
that has not been opened; once every analysis has got that far, the next release is opened with the public
numbers that they gave, and all are called again. So an analysis reads as straight code, several travel in
one release, and whoever holds the released sums draws the same conclusions again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fedvalue.analyses.analysis import Analysis, Ask, NoisySum
from fedvalue.analyses.estimate import Conclusion
from fedvalue.errors import EvidenceError, TooFewSites
from fedvalue.planning.plan import Plan, PlannedRelease

Open = Callable[[PlannedRelease, bytes], NoisySum]
"""``(release, public numbers)``: opens it, and gives every block by its full name."""


def quiet(text: str, done: int, total: int) -> None:
    """Progress that nobody watches."""
    del text, done, total


class _NotYet(BaseException):
    """An analysis asks for a round that has not been opened; it must not be caught by the analysis."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(ask.label)
        self.ask = ask


@dataclass(slots=True)
class _Told:
    """What one analysis has been told.

    Attributes:
      analysis: The analysis.
      asked: Its asks so far, public numbers filled in.
      sums: Their sums.
      conclusion: What it concludes, once it asks for nothing more.
      ended: Why its next ask has no answer and never will.
    """

    analysis: Analysis
    asked: list[Ask] = field(default_factory=list)
    sums: list[NoisySum] = field(default_factory=list)
    conclusion: Conclusion | None = None
    ended: TooFewSites | None = None

    def go_on(self, plan: Plan) -> Ask | None:
        """Return the next ask, or None once there is a conclusion."""
        step = 0

        def sum_of(ask: Ask) -> NoisySum:
            nonlocal step
            step += 1
            if step > len(self.sums):
                raise self.ended or _NotYet(ask)
            if ask != self.asked[step - 1]:
                raise EvidenceError("an analysis asks otherwise when it is asked again", where=ask.label)
            return self.sums[step - 1]

        try:
            self.conclusion = self.analysis.conclude(sum_of, plan.terms)
        except _NotYet as asks:
            return asks.ask
        return None


def conclude_all(
    plan: Plan, opened: Open, progress: Callable[[str, int, int], None] = quiet
) -> tuple[Conclusion, ...]:
    """Open the releases of a plan as its analyses ask for them, and return the conclusions in its order.

    Args:
      plan: The plan.
      opened: Opens one release; called in the plan's order, each release at most once.
      progress: Told what is going on.

    Raises:
      EvidenceError: an analysis asks for what it did not announce.
      TooFewSites: from ``opened``, but for a release for which patients are drawn.
    """
    told = [_Told(analysis) for analysis in plan.analyses]
    for number, release in enumerate(plan.releases):
        labels = {part.analysis.label for part in release.parts}
        mine = [one for one in told if one.conclusion is None and one.analysis.label in labels]
        going = [(one, one.go_on(plan)) for one in mine]
        asks = {one.analysis.label: ask for one, ask in going if ask is not None}
        if not asks:
            continue
        progress(f"opening {release.label}", number, len(plan.releases))
        public = _public(release, asks)
        try:
            blocks = opened(release, public)
        except TooFewSites as error:
            if release.drawn is None:
                raise
            for one in mine:
                one.ended = error
            continue
        for one in mine:
            ask = asks.get(one.analysis.label)
            if ask is None:
                continue
            prefix = f"{one.analysis.label}/{ask.label}/"
            found = {n.removeprefix(prefix): block for n, block in blocks.items() if n.startswith(prefix)}
            if set(found) != {block.name for block in ask.blocks}:
                raise EvidenceError("an analysis asks for another round than the next one", where=ask.label)
            one.asked.append(ask)
            one.sums.append(found)
    for one in told:
        if one.conclusion is None and one.go_on(plan) is not None:
            raise EvidenceError(
                "an analysis asks for more rounds than it announced", where=one.analysis.label
            )
    return tuple(one.conclusion for one in told if one.conclusion is not None)


def _public(release: PlannedRelease, asks: dict[str, Ask]) -> bytes:
    """The public numbers of a release; those of an analysis that asks for nothing any more are zeros."""
    values: list[float] = []
    for part in release.parts:
        ask = asks.get(part.analysis.label)
        values += ask.public if ask is not None else [0.0] * part.ask.public_size
    return np.array(values, dtype="<f8").tobytes()
