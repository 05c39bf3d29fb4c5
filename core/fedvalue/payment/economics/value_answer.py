"""A cost-effectiveness question, answered: what each option costs and gives, and what it is worth at each k.

Everything is read from one set of joint draws. Modifiers are applied to the increments against today, with
the result without them beside it. The ratio is printed with its quadrant and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedvalue.errors import PaymentError
from fedvalue.payment.economics.frontier import Option, Placed, frontier
from fedvalue.payment.economics.icer import Ratio, icer
from fedvalue.payment.economics.information import evpi_of_draws
from fedvalue.payment.economics.joint import Increment
from fedvalue.payment.economics.modifiers import Modified, Modifier, modify
from fedvalue.payment.economics.net_benefit import (
    Acceptability,
    NetBenefit,
    acceptability,
    checked_grid,
    net_benefits,
)
from fedvalue.payment.economics.partial_information import evppi
from fedvalue.payment.economics.savings import Effect, Saving, Uncertain, savings
from fedvalue.payment.economics.value_draws import Drawn, drawn
from fedvalue.payment.economics.value_question import Programme, Question, load_question


@dataclass(frozen=True, slots=True)
class AtK:
    """One option against today at one willingness to pay.

    Attributes:
      plain: Net benefit without modifiers.
      modified: With them; equal to ``plain`` where there are none.
    """

    plain: NetBenefit
    modified: NetBenefit


@dataclass(frozen=True, slots=True)
class Against:
    """One option against what is done today.

    Attributes:
      option: Its name.
      increment: Cost and effect more, with their covariance over the draws.
      ratio: The ICER with its quadrant.
      at: Net benefit along the grid of k.
      log: What each modifier did; None without modifiers.
    """

    option: str
    increment: Increment
    ratio: Ratio
    at: tuple[AtK, ...]
    log: Modified | None


@dataclass(frozen=True, slots=True)
class ValueAnswer:
    """The whole answer.

    Attributes:
      question: What was asked.
      drawn: The draws it rests on.
      placed: Options by increasing mean cost, with their place on the frontier.
      against: Every other option against today.
      acceptability: CEAC and CEAF of all options along the grid, without modifiers.
      evpi: Value of perfect information at each k, money per person.
      evppi: Value of knowing one parameter at each k, by parameter; one whose regression has too few draws
        is left out.
      savings: What the effect saves the fund over 1, 3 and 5 years; empty where nobody asks.
    """

    question: Question
    drawn: Drawn
    placed: tuple[Placed, ...]
    against: tuple[Against, ...]
    acceptability: Acceptability
    evpi: tuple[float, ...]
    evppi: dict[str, tuple[float, ...]]
    savings: tuple[Saving, ...]


def answer(path: Path) -> ValueAnswer:
    """Read a question with its tables and answer it; the same file gives the same answer.

    Args:
      path: The TOML file; tables are looked for in its folder and nowhere else.

    Raises:
      PaymentError: the file or a table is not valid, or a model refuses its numbers.
    """
    question = load_question(path)
    grid = checked_grid([float(k) for k in question.willingness_to_pay])
    found = drawn(question, path, np.random.default_rng(question.seed))
    names = found.draws.options
    means = [
        Option(name, float(found.draws.cost[:, i].mean()), float(found.draws.effect[:, i].mean()))
        for i, name in enumerate(names)
    ]
    return ValueAnswer(
        question=question,
        drawn=found,
        placed=frontier(means),
        against=tuple(_against(question, found, name, grid) for name in names[1:]),
        acceptability=acceptability(found.draws, grid),
        evpi=tuple(evpi_of_draws(found.draws, k) for k in grid),
        evppi=_partial(found, grid),
        savings=() if question.programme is None else savings(*_effect(question.programme)),
    )


def _against(question: Question, found: Drawn, option: str, grid: tuple[float, ...]) -> Against:
    increment = found.draws.increment(option, found.draws.options[0])
    plain = net_benefits(increment, grid)
    log = None
    changed = plain
    if question.modifiers and question.modifier_ceiling is not None:
        weights = [
            Modifier(w.ground, w.target, float(w.factor), w.condition, w.applies, w.source)
            for w in question.modifiers
        ]
        steps = [modify(k, increment, weights, ceiling=float(question.modifier_ceiling)) for k in grid]
        changed = tuple(net_benefits(step.increment, [step.k])[0] for step in steps)
        log = steps[0]
    both = tuple(AtK(a, b) for a, b in zip(plain, changed, strict=True))
    return Against(option, increment, icer(increment), both, log)


def _partial(found: Drawn, grid: tuple[float, ...]) -> dict[str, tuple[float, ...]]:
    values = {}
    for name, draws in found.parameters.items():
        try:
            values[name] = tuple(evppi(found.draws, draws, k) for k in grid)
        except PaymentError:
            # too few draws for its spline: no value is better than one that follows the noise
            continue
    return values


def _effect(terms: Programme) -> tuple[Effect, tuple[int, ...]]:
    def uncertain(mean: object, sampling: object, privacy: object) -> Uncertain:
        return Uncertain(float(str(mean)), float(str(sampling)) ** 2, float(str(privacy)) ** 2)

    return (
        Effect(
            events_avoided=uncertain(terms.events_avoided, terms.events_sampling_sd, terms.events_privacy_sd),
            cost_per_event=uncertain(terms.cost_per_event, terms.cost_sampling_sd, terms.cost_privacy_sd),
            fund_share=float(terms.fund_share),
            realised=float(terms.realised),
            persistence=float(terms.persistence),
            programme_cost=float(terms.programme_cost),
        ),
        terms.people,
    )
