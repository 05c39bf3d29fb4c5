"""The planted truth of a made-up federation: every number that the generator uses, and no other.

Time runs in whole days from the start of line. On each day that a patient is free of progression, the
next day is reached without an event with probability ``exp(-(progression + death))``; an event is a
death with probability ``death / (progression + death)``; after progression, death has a hazard of its
own. Hazards are therefore exact for day-rounded records, which real hospitals keep.

The default world is lung cancer on a first-line EGFR inhibitor. Its rates have the size of published
ones and are made up: Mok et al., N Engl J Med 361 (2009) 947-957 (gefitinib: response .71 where EGFR was
mutated, .01 where it was wild type) and Soria et al., N Engl J Med 378 (2018) 113-125 (osimertinib: .80).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from math import exp, inf

from fedvalue.study.roster import SITE_ID

LEVELS = ("mutated", "wild type", "not tested")
"""Planted groups, in the order of the level index of a variant variable."""

FIRST_ASSESSMENT = (39, 45)
"""Earliest and latest day of the first response assessment, both included; uniform between them."""

LONGEST_DELAY = 90
"""A report that comes after the start comes within this many days."""


@dataclass(frozen=True, slots=True)
class Group:
    """What is true of the patients of one EGFR group.

    Attributes:
      response: Share who respond (CR or PR) by day 183 if nobody is lost to follow-up, 0 to 1.
      complete: Share of the responders whose response becomes complete, 0 to 1.
      progression: Hazard of progression, per day, above 0.
      death: Hazard of death without progression, per day, above 0.
      death_after_progression: Hazard of death after progression, per day, above 0.
      monthly_cost: Mean of one monthly bill, CNY.
    """

    response: float
    complete: float
    progression: float
    death: float
    death_after_progression: float
    monthly_cost: float


@dataclass(frozen=True, slots=True)
class Hospital:
    """One hospital of the federation.

    Attributes:
      id: Site id and name of its folder.
      patients: Patients who start an EGFR inhibitor there with a lung cancer diagnosis: its cohort.
      response_shift: Added to every group's response rate.
      hazard_ratio: Multiplies the hazards of progression and of death without progression.
    """

    id: str
    patients: int
    response_shift: float = 0.0
    hazard_ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class World:
    """The planted truth.

    Attributes:
      hospitals: The sites; their sizes are public parameters of the generator.
      mutated: Group truth where EGFR carries L858R or an exon 19 deletion.
      wild_type: Group truth where EGFR was looked at and carries neither.
      not_tested: Group truth where nobody ever looks.
      share_tested: Share of patients for whom a test is ordered, 0 to 1.
      share_mutated: Share mutated among them, 0 to 1.
      late_reports: Share of tests whose report comes after the start of line, 0 to 1; the others come
        0 to 30 days before it.
      mean_delay: Mean delay of such a report before it is cut at `LONGEST_DELAY`, in days, above 0.
      drop_out: Hazard of being lost to follow-up, per day, above 0.
      first_start: First day on which a line may start.
      last_start: Last such day, included.
      data_cut: Last day of every record.
      other_patients: Patients outside the cohort per patient in it: chemotherapy only, or another cancer.
      faulty_rows: Whether the files hold bad rows (see `fedvalue.synthetic.faults`).
    """

    hospitals: tuple[Hospital, ...]
    mutated: Group
    wild_type: Group
    not_tested: Group
    share_tested: float = 0.72
    share_mutated: float = 0.70
    late_reports: float = 0.35
    mean_delay: float = 21.0
    drop_out: float = 0.0002
    first_start: date = field(default=date(2023, 1, 1))
    last_start: date = field(default=date(2025, 2, 28))
    data_cut: date = field(default=date(2025, 12, 31))
    other_patients: float = 0.06
    faulty_rows: bool = True

    def __post_init__(self) -> None:
        above_zero = [self.mean_delay, self.drop_out, *(site.hazard_ratio for site in self.hospitals)]
        shares = [self.share_tested, self.share_mutated, self.late_reports]
        for group in self.groups:
            above_zero += [group.progression, group.death, group.death_after_progression, group.monthly_cost]
            shares.append(group.complete)
        # written so that NaN fails too
        if not all(0 < value < inf for value in above_zero) or not 0 <= self.other_patients < inf:
            raise ValueError("hazards, ratios, delays and costs are finite and above 0")
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("shares are between 0 and 1")
        if len({hospital.id for hospital in self.hospitals}) != len(self.hospitals) or not self.hospitals:
            raise ValueError("a world has at least one hospital, and their ids are distinct")
        if any(re.fullmatch(SITE_ID, hospital.id) is None for hospital in self.hospitals):
            raise ValueError("a hospital's id is letters, digits, '-' and '_', for it names a folder")
        if any(hospital.patients < 1 for hospital in self.hospitals):
            raise ValueError("a hospital has at least one patient")
        if not self.first_start <= self.last_start or (self.data_cut - self.last_start).days < 183:
            raise ValueError("the last start of line is at least 183 days before the data cut")
        self._responses_fit()

    def _responses_fit(self) -> None:
        for hospital in self.hospitals:
            for level in range(len(LEVELS)):
                reach = self.daily_stay(level, hospital) ** FIRST_ASSESSMENT[1]
                if not 0 <= self.response(level, hospital) <= reach:
                    raise ValueError(
                        f"{LEVELS[level]} at {hospital.id}: the response rate is negative, or above the "
                        "share who reach the first assessment without progression"
                    )

    @property
    def groups(self) -> tuple[Group, Group, Group]:
        """The groups in the order of `LEVELS`."""
        return self.mutated, self.wild_type, self.not_tested

    @property
    def group_shares(self) -> tuple[float, float, float]:
        """Share of patients planted in each group, in the order of `LEVELS`."""
        mutated = self.share_tested * self.share_mutated
        return mutated, self.share_tested - mutated, 1 - self.share_tested

    @property
    def patients(self) -> int:
        """Size of the cohort over all hospitals."""
        return sum(hospital.patients for hospital in self.hospitals)

    def daily_stay(self, level: int, hospital: Hospital) -> float:
        """Return the probability to pass one day without progression or death, 0 to 1."""
        group = self.groups[level]
        return exp(-hospital.hazard_ratio * (group.progression + group.death))

    def response(self, level: int, hospital: Hospital) -> float:
        """Return the share of a group who respond at one hospital if nobody is lost, 0 to 1.

        A response needs a first assessment free of progression: among those who reach it on day a, the
        share is ``response / daily_stay ** a``, so that the planted rate holds for all who start.
        """
        return self.groups[level].response + hospital.response_shift
