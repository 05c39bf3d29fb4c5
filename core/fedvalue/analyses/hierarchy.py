"""Small groups join a coarser one along a public hierarchy: variant, then gene, then disease.

The rule looks at released noisy counts only, so it costs nothing and tells nothing new. From the finest level
up, a group below the study's minimum joins what its hierarchy names; groups that are large enough stand on
their own, and what is left over at the top is reported as below the minimum, never dropped in silence.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from fedvalue.analyses.groups import Groups
from fedvalue.study.cohort import Variable

REST = "rest"
"""Word behind a coarser level of which some finer groups are reported on their own."""


@dataclass(frozen=True, slots=True)
class Together:
    """Groups that are reported as one.

    Attributes:
      name: As in `Groups.names`, with the coarser level where groups were joined.
      members: Positions in `Groups.names`, one or more.
    """

    name: str
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Which level of one variable joins which.

    Attributes:
      variable: Its name, one of those that make the groups; empty where nothing ever joins.
      parents: Pairs of a level and the coarser one, without circles.
    """

    variable: str = ""
    parents: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, by: tuple[str, ...], variables: Mapping[str, Variable]) -> Self:
        """Return the hierarchy of the first variable of ``by`` that has one."""
        name = next((name for name in by if variables[name].merge_into), "")
        return cls(name, tuple(sorted(variables[name].merge_into.items())) if name else ())

    def depth(self, level: str) -> int:
        """Return how many levels lie above ``level``."""
        above, steps = dict(self.parents), 0
        while level in above:
            level, steps = above[level], steps + 1
        return steps

    def joined(self, groups: Groups, counts: Sequence[float], least: float) -> tuple[Together, ...]:
        """Return what is reported together, in the order of the first member, the unknown last.

        Args:
          groups: Public groups.
          counts: Released noisy number of patients of each group.
          least: Smallest number that stands on its own.
        """
        alone = tuple(Together(name, (i,)) for i, name in enumerate(groups.names))
        if not self.variable:
            return alone
        at = groups.by.index(self.variable)
        contexts: dict[tuple[str, ...], dict[str, int]] = {}
        for i, levels in enumerate(itertools.product(*groups.levels)):
            contexts.setdefault(levels[:at] + levels[at + 1 :], {})[levels[at]] = i
        found: list[Together] = [alone[-1]]
        for others, leaves in contexts.items():
            found += [
                Together(_name(groups.by, others, at, level), members)
                for level, members in self._climb(leaves, counts, least)
            ]
        last = len(groups.names) - 1
        return tuple(sorted(found, key=lambda one: (one.members == (last,), one.members)))

    def _climb(
        self, leaves: Mapping[str, int], counts: Sequence[float], least: float
    ) -> list[tuple[str, tuple[int, ...]]]:
        """Join one context's levels from the deepest up."""
        above = dict(self.parents)
        waiting: dict[str, tuple[int, ...]] = {level: (i,) for level, i in leaves.items()}
        stands: set[str] = set()  # coarser levels under which something is reported already
        done: list[tuple[str, tuple[int, ...]]] = []
        for depth in range(max(map(self.depth, leaves), default=0), -1, -1):
            for level in [level for level in waiting if self.depth(level) == depth]:
                members = waiting.pop(level)
                parent = above.get(level)
                if parent is None or sum(counts[i] for i in members) >= least:
                    rest = f"{level} ({REST})" if level in stands and members else level
                    done.append((rest, members))
                    while parent is not None:
                        stands.add(parent)
                        parent = above.get(parent)
                else:
                    waiting[parent] = (*waiting.get(parent, ()), *members)
        return done


def _name(by: tuple[str, ...], others: tuple[str, ...], at: int, level: str) -> str:
    levels = (*others[:at], level, *others[at:])
    return ", ".join(f"{name}={value}" for name, value in zip(by, levels, strict=True))
