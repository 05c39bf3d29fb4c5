"""When a programme of studies will have used a site's budget up, partition by partition, year by year.

Each year opens a partition; each study of that year is charged, in full, on every partition that it touches
and that can still bear it. A partition that cannot bear a study is left out of it: its people are no longer
counted there. What studies have reserved is taken as spent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from fedvalue.client.governance.books import Account
from fedvalue.errors import StudyInvalid
from fedvalue.privacy.accounting import NOTHING, Budget, Price, epsilon, rho_units_for
from fedvalue.study.model import Line, Part
from fedvalue.study.toml import load_toml

MOST_YEARS = 100


class YearlyStudy(Part):
    """A study that is repeated.

    Attributes:
      name: For the table.
      epsilon: Of one study, all its analyses together.
      delta: Of one study.
      per_year: How many of them a year.
      first_year: First calendar year; left out: the programme's.
      last_year: Last calendar year; left out: the programme's.
      years_back: Touches only partitions opened in the last so many years, this one included; left out: all.
      times_charged: How often its price is charged: 1, more for spare attempts that are used; ``m = t - c``
        while sums travel in clear.
    """

    name: Line
    epsilon: float = Field(gt=0, le=20)
    delta: float = Field(gt=0, lt=1)
    per_year: int = Field(default=1, ge=1, le=1000)
    first_year: int | None = None
    last_year: int | None = None
    years_back: int | None = Field(default=None, ge=1)
    times_charged: int = Field(default=1, ge=1, le=200)

    @property
    def price(self) -> Price:
        """What one such study charges on each partition."""
        return Price.plain(self.times_charged * rho_units_for(self.epsilon, self.delta))

    def runs_in(self, year: int) -> bool:
        """Tell whether it is asked in a year."""
        return (self.first_year or year) <= year <= (self.last_year or year)


class Programme(Part):
    """A programme of studies over years.

    Attributes:
      years: How many calendar years to look ahead.
      study: What is asked in each, in this order.
    """

    years: int = Field(default=10, ge=1, le=MOST_YEARS)
    study: tuple[YearlyStudy, ...] = Field(strict=False, min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [each.name for each in self.study]
        if len(set(names)) != len(names):
            raise ValueError("two studies have one name")
        return self


@dataclass(slots=True)
class Outlook:
    """What becomes of one partition.

    Attributes:
      name: The partition.
      year: When it was opened.
      budget: For life.
      spent: At the end; at the start what was spent and reserved.
      epsilon_before: Epsilon of what was spent and reserved at the start.
      lost: True if it counts as spent already.
      answered: How many studies it will bear.
      exhausted: First year in which it cannot bear a study; None if it bears all.
      by: The study that it cannot bear then.
    """

    name: str
    year: int
    budget: Budget
    spent: Price = NOTHING
    epsilon_before: float = 0.0
    lost: bool = False
    answered: int = 0
    exhausted: int | None = None
    by: str | None = None

    @property
    def epsilon_after(self) -> float:
        """Epsilon of what is spent at the end."""
        return self.budget.epsilon if self.lost else self.budget.epsilon_of(self.spent)

    @property
    def epsilon_left(self) -> float:
        """Epsilon of the largest study that would still fit at the end."""
        left = 0 if self.lost else self.budget.remaining_units(self.spent)
        return epsilon(left, self.budget.delta)


@dataclass(frozen=True, slots=True)
class Year:
    """What becomes of one year's studies.

    Attributes:
      year: The calendar year.
      asked: Studies asked.
      whole: Studies that every partition they touch can bear.
      partly: Studies that some of their partitions can no longer bear.
      refused: Studies that none can bear.
    """

    year: int
    asked: int
    whole: int
    partly: int
    refused: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """A programme played through.

    Attributes:
      years: By calendar year.
      partitions: By partition, oldest first.
    """

    years: tuple[Year, ...]
    partitions: tuple[Outlook, ...] = field(default=())


def load_programme(path: Path) -> Programme:
    """Read a programme file (TOML: ``years``, and one ``[[study]]`` table a repeated study).

    Raises:
      StudyInvalid: unreadable, not TOML, an unknown key or a value out of range.
    """
    return load_toml(
        path, Programme, failure=StudyInvalid, what="the programme", do="see docs/ledger.md for an example"
    )


def forecast(programme: Programme, budget: Budget, accounts: Sequence[Account], first_year: int) -> Forecast:
    """Play a programme through.

    Args:
      programme: What is asked.
      budget: Of each partition that will be opened.
      accounts: The partitions that exist.
      first_year: Calendar year of the first studies.
    """
    outlooks = [_existing(account) for account in accounts]
    years = []
    for year in range(first_year, first_year + programme.years):
        if all(outlook.name != str(year) or outlook.lost for outlook in outlooks):
            outlooks.append(Outlook(str(year), year, budget))
        counts = {"whole": 0, "partly": 0, "refused": 0}
        for study in programme.study:
            for _ in range(study.per_year if study.runs_in(year) else 0):
                counts[_ask(study, year, outlooks)] += 1
        years.append(Year(year, sum(counts.values()), **counts))
    return Forecast(tuple(years), tuple(outlooks))


def _existing(account: Account) -> Outlook:
    spent = account.spent + account.reserved
    before = account.budget.epsilon if account.lost else account.budget.epsilon_of(spent)
    return Outlook(account.name, int(account.opened[:4]), account.budget, spent, before, account.lost)


def _ask(study: YearlyStudy, year: int, outlooks: Sequence[Outlook]) -> str:
    oldest = year + 1 - study.years_back if study.years_back else 0
    touched = [each for each in outlooks if not each.lost and each.year >= oldest]
    answered = 0
    for each in touched:
        if each.budget.passes(each.spent, NOTHING, study.price):
            each.spent, each.answered = each.spent + study.price, each.answered + 1
            answered += 1
        elif each.exhausted is None:
            each.exhausted, each.by = year, study.name
    if not answered:
        return "refused"
    return "whole" if answered == len(touched) else "partly"
