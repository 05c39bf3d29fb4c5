"""What is known of made-up hospitals because it was planted: written beside them, never among their files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from fedvalue.synthetic.world import World


@dataclass(frozen=True, slots=True)
class TableTruth:
    """What a load report must say of one table of the store.

    A cell that holds several diagnoses or genes counts once for each of them.

    Attributes:
      kept: Rows that are loaded.
      left_out: Reason to number of rows.
    """

    kept: int
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class GroupTruth:
    """One EGFR group as the files of one hospital show it.

    Attributes:
      patients: Cohort patients recorded in the group.
      responders: Those with a recorded response (CR or PR) by day 183.
      unassessed: Those with no assessment and no death by day 183: their outcome is missing.
    """

    patients: int
    responders: int
    unassessed: int


@dataclass(frozen=True, slots=True)
class HospitalTruth:
    """One hospital.

    Attributes:
      id: Its site id and folder.
      layout: How it writes.
      patients: Rows of its patients table, bad rows left out.
      cohort: Those who belong to the demonstration's cohort.
      groups: Level of ``egfr`` to what the files show.
      tables: Table of the store to what its load report must say.
    """

    id: str
    layout: str
    patients: int
    cohort: int
    groups: Mapping[str, GroupTruth]
    tables: Mapping[str, TableTruth]


@dataclass(frozen=True, slots=True)
class LevelTruth:
    """What is planted in one EGFR group, over all hospitals (see `fedvalue.synthetic.expected`).

    Attributes:
      planted_response: Share who respond by day 183 if nobody is lost.
      recorded_response: Share that counting in the files estimates, missing outcomes as failures.
      median_days: Median time without progression or death.
      survival: P(no progression or death) after 0, 1, ..., 24 months of 365.25/12 days.
    """

    planted_response: float
    recorded_response: float
    median_days: float
    survival: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """The planted truth of a folder of hospitals.

    Attributes:
      world: Every parameter of the generator.
      levels: EGFR group to what is planted in it.
      hospitals: One entry a hospital, in the order of the world.
    """

    world: World
    levels: Mapping[str, LevelTruth]
    hospitals: tuple[HospitalTruth, ...]

    def count(self, level: str) -> GroupTruth:
        """Return one group's counts over all hospitals."""
        groups = [hospital.groups[level] for hospital in self.hospitals]
        return GroupTruth(
            sum(g.patients for g in groups),
            sum(g.responders for g in groups),
            sum(g.unassessed for g in groups),
        )

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(
            json.dumps(asdict(self), default=str, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
