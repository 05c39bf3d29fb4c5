"""A whole cost-effectiveness question in one file: options, their models, uncertain parameters, a grid of k.

Each option is one of three: a Markov cohort, two survival curves (partitioned survival), or draws of cost
and effect that somebody else's model made. Uncertain numbers have names, so that two options can share one
and the value of knowing it can be told. The first option is what is done today. Nothing is proposed.

Numbers stand in quotes, as everywhere in payment files; they become binary floating point here, because
everything computed from them is a distribution and nothing is paid.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from fedvalue.errors import PaymentError
from fedvalue.payment.economics.modifiers import Ground, Target
from fedvalue.payment.parameters import Amount, Source
from fedvalue.study.model import Part
from fedvalue.study.schema import Text
from fedvalue.study.toml import load_toml

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Cell = Name | Amount
"""The name of a parameter, or a number in quotes."""

Row = Annotated[tuple[Amount, ...], Field(strict=False)]
MOST_DRAWS = 20_000
MOST_CYCLES = 2_400


class Parameter(Part):
    """One uncertain number.

    Attributes:
      distribution: ``normal``; ``gamma`` for costs; ``beta`` for utilities and probabilities; ``lognormal``
        for ratios. All are given by their mean and SD on the scale of the number itself.
      mean: Its mean.
      sd: Its standard deviation, at least 0; 0 makes it exact.
    """

    distribution: Literal["normal", "gamma", "beta", "lognormal"]
    mean: Amount
    sd: Amount = Field(ge=0)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        mean, variance = self.mean, self.sd**2
        if self.distribution in ("gamma", "lognormal") and mean <= 0:
            raise ValueError(f"a {self.distribution} number has a mean above 0")
        if self.distribution == "beta" and not (0 < mean < 1 and variance < mean * (1 - mean)):
            raise ValueError("a beta number has a mean between 0 and 1 and a variance below mean (1 - mean)")
        return self


class Markov(Part):
    """An option as a Markov cohort.

    Attributes:
      states: From best to worst; the last is death.
      cycles: Number of cycles.
      moves: Counts of moves from row to column; each row is drawn from its Dirichlet posterior. Or
      transitions: Probabilities, exact. Or
      moves_of: An earlier option with the same states, whose drawn moves this one shares.
      relative_risk: Multiplies every move to a worse state; a parameter or a number.
      cost: Money per cycle in each state.
      utility: Utility per year in each state, at most 1; 0 in the last.
    """

    states: tuple[Name, ...] = Field(strict=False, min_length=2, max_length=20)
    cycles: int = Field(ge=2, le=MOST_CYCLES)
    moves: Annotated[tuple[Row, ...], Field(strict=False)] | None = None
    transitions: Annotated[tuple[Row, ...], Field(strict=False)] | None = None
    moves_of: Name | None = None
    relative_risk: Cell | None = None
    cost: tuple[Cell, ...] = Field(strict=False)
    utility: tuple[Cell, ...] = Field(strict=False)

    @model_validator(mode="after")
    def _shaped(self) -> Self:
        n = len(self.states)
        given = [table for table in (self.moves, self.transitions) if table is not None]
        if len(given) + (self.moves_of is not None) != 1:
            raise ValueError("a Markov cohort has one of moves (counts), transitions, and moves_of")
        if given and (len(given[0]) != n or any(len(row) != n for row in given[0])):
            raise ValueError(f"{n} states take {n} rows of {n} numbers")
        if len(self.cost) != n or len(self.utility) != n:
            raise ValueError("give one cost and one utility for each state")
        return self


class Curves(Part):
    """An option as partitioned survival.

    Attributes:
      file: CSV beside the question, columns ``edge,pfs,os``: one line for each edge of a cycle, from 0.
      cycles: Cycles wanted; beyond the file the hazard of the last cycles goes on.
      tail_from: Cycles at the end of the file that this hazard is taken from.
      log_hazard_sd: SD of the log cumulative hazard, common to both curves; 0 where they count as exact.
      crossing: ``refuse`` curves that cross, or ``cap`` PFS at OS knowingly.
      cost: Money per cycle before progression, after it, and when dead.
      utility: Utility per year before and after progression, at most 1.
    """

    file: str = Field(min_length=1)
    cycles: int = Field(ge=2, le=MOST_CYCLES)
    tail_from: int = Field(ge=1)
    log_hazard_sd: Amount = Field(ge=0)
    crossing: Literal["refuse", "cap"]
    cost: tuple[Cell, Cell, Cell] = Field(strict=False)
    utility: tuple[Cell, Cell] = Field(strict=False)


class Given(Part):
    """An option as draws of another model.

    Attributes:
      file: CSV beside the question, columns ``cost,effect``, one draw a line, as many as ``draws``; lines of
        the same number belong to one state of the world.
    """

    file: str = Field(min_length=1)


class OptionTerms(Part):
    """One option.

    Attributes:
      name: Unique.
      markov: A Markov cohort, or
      curves: partitioned survival, or
      given: draws.
    """

    name: Name
    markov: Markov | None = None
    curves: Curves | None = None
    given: Given | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(part is not None for part in (self.markov, self.curves, self.given)) != 1:
            raise ValueError("an option is one of markov, curves, given")
        return self


class Weight(Part):
    """A value modifier; see `fedvalue.payment.economics.modifiers`."""

    ground: Ground
    target: Target
    factor: Amount
    condition: str = Field(min_length=1)
    applies: bool
    source: Source


class Programme(Part):
    """What the effect saves the fund; see `fedvalue.payment.economics.savings`.

    Attributes:
      events_avoided: Per person and year, with its SDs.
      cost_per_event: Money per event, with its SDs.
      fund_share: Share of it that the fund bears.
      realised: Share that becomes cash.
      persistence: Share still reached a year later.
      programme_cost: Money per person and year.
      people: Who starts in each year; five years at least.
    """

    events_avoided: Amount
    events_sampling_sd: Amount = Field(ge=0)
    events_privacy_sd: Amount = Field(ge=0)
    cost_per_event: Amount
    cost_sampling_sd: Amount = Field(ge=0)
    cost_privacy_sd: Amount = Field(ge=0)
    fund_share: Amount
    realised: Amount
    persistence: Amount
    programme_cost: Amount
    people: tuple[Annotated[int, Field(ge=0)], ...] = Field(strict=False, min_length=5, max_length=50)


class Question(Part):
    """What is asked, as the TOML file holds it.

    Attributes:
      format: Version of this layout.
      title: For people.
      currency: ISO 4217 code of every amount.
      willingness_to_pay: The grid of k, money per unit of effect, increasing.
      draws: States of the world.
      seed: Of the generator; the same file gives the same answer.
      cycle_years: Length of a cycle in years; needed by ``markov`` and ``curves``.
      within_cycle: Quadrature over a cycle.
      discount_cost: Yearly rate.
      discount_effect: Yearly rate.
      parameters: Uncertain numbers by name.
      options: The first is what is done today.
      modifiers: Value modifiers in the order of their log.
      modifier_ceiling: Largest product of modifiers; needed with them.
      programme: What the effect saves the fund; None where nobody asks.
    """

    format: Literal["fedvalue.value/1"]
    title: Text
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    willingness_to_pay: tuple[Amount, ...] = Field(strict=False, min_length=1, max_length=50)
    draws: int = Field(ge=200, le=MOST_DRAWS)
    seed: int = Field(ge=0)
    cycle_years: Amount = Field(gt=0)
    within_cycle: Literal["start", "end", "half", "simpson"]
    discount_cost: Amount
    discount_effect: Amount
    parameters: dict[Name, Parameter] = Field(default_factory=dict)
    options: tuple[OptionTerms, ...] = Field(strict=False, min_length=2, max_length=20)
    modifiers: tuple[Weight, ...] = Field(default=(), strict=False)
    modifier_ceiling: Amount | None = None
    programme: Programme | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        used = {cell for option in self.options for cell in _cells(option) if isinstance(cell, str)}
        if unknown := sorted(used - self.parameters.keys()):
            raise ValueError(f"there is no parameter {unknown[0]!r}; put numbers in quotes")
        if idle := sorted(self.parameters.keys() - used):
            raise ValueError(f"the parameter {idle[0]!r} is used by no option")
        if self.modifiers and self.modifier_ceiling is None:
            raise ValueError("modifiers take a modifier_ceiling")
        return self


def _cells(option: OptionTerms) -> tuple[Cell, ...]:
    if option.markov is not None:
        found = (*option.markov.cost, *option.markov.utility)
        return found if option.markov.relative_risk is None else (*found, option.markov.relative_risk)
    return () if option.curves is None else (*option.curves.cost, *option.curves.utility)


def load_question(path: Path) -> Question:
    """Read a question.

    Raises:
      PaymentError: the file is not valid; every problem is named.
    """
    return load_toml(
        path,
        Question,
        failure=PaymentError,
        what="the cost-effectiveness question",
        do="see docs/fund-and-parameters.md",
    )


def beside(path: Path, name: str) -> Path:
    """Return the file ``name`` in the folder of the question at ``path``.

    Raises:
      PaymentError: the name leaves the folder.
    """
    if Path(name).name != name:
        raise PaymentError(f"{name!r} is not a file beside the question", where=str(path))
    return path.parent / name
