"""From a cost-effectiveness question to joint draws of cost and effect of its options.

Every named parameter is drawn once and shared by the options that name it. A Markov option draws each row
of its moves from Dirichlet(moves + 1), the posterior under a uniform prior over the moves that were seen; a
count of 0 is a move that cannot happen (Briggs, Ades, Price. Probabilistic sensitivity analysis for decision
trees with multiple branches: use of the Dirichlet distribution in a Bayesian framework. Medical Decision
Making 23 (2003) 341-350). Survival curves move as a
whole, S(t)^exp(z sd) with one z for an option, so a drawn curve stays a curve and PFS stays below OS.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedvalue.errors import PaymentError
from fedvalue.evidence import documents
from fedvalue.payment.economics import markov, partitioned_survival
from fedvalue.payment.economics.joint import Draws, Floats
from fedvalue.payment.economics.lifetime import Accrual
from fedvalue.payment.economics.value_question import Cell, Curves, Markov, Parameter, Question, beside


@dataclass(frozen=True, slots=True)
class Drawn:
    """Joint draws of the options, and of what they came from.

    Attributes:
      draws: Cost and effect by option.
      parameters: Draws of each named parameter, shape ``(n,)``.
      crossed: Largest capped crossing of PFS over OS by option with curves; 0 where they do not cross.
      observed: Share of the effect that falls into the cycles seen, by option with curves.
    """

    draws: Draws
    parameters: Mapping[str, Floats]
    crossed: Mapping[str, float]
    observed: Mapping[str, float]


def drawn(question: Question, at: Path, rng: np.random.Generator) -> Drawn:
    """Draw a question's options.

    Args:
      question: The question.
      at: Its file; tables lie beside it.
      rng: Generator; the draws follow from it alone.

    Raises:
      PaymentError: a table is not valid, or a model refuses its numbers.
    """
    n = question.draws
    parameters = {name: draw_parameter(terms, n, rng) for name, terms in question.parameters.items()}
    accrual = Accrual(
        question.within_cycle,
        float(question.cycle_years),
        float(question.discount_cost),
        float(question.discount_effect),
    )
    columns: list[tuple[Floats, Floats]] = []
    moves: dict[str, Floats] = {}
    crossed: dict[str, float] = {}
    observed: dict[str, float] = {}
    for option in question.options:
        if option.markov is not None:
            moves[option.name] = _moves(option.markov, moves, n, rng)
            columns.append(_markov(option.markov, moves[option.name], parameters, accrual))
        elif option.curves is not None:
            cost, effect, over, seen = _curves(option.curves, parameters, n, accrual, at, rng)
            columns.append((cost, effect))
            crossed[option.name], observed[option.name] = over, seen
        elif option.given is not None:
            columns.append(_given(beside(at, option.given.file), n))
    costs, effects = (np.column_stack(side) for side in zip(*columns, strict=True))
    draws = Draws(tuple(option.name for option in question.options), costs, effects)
    return Drawn(draws, parameters, crossed, observed)


def draw_parameter(terms: Parameter, n: int, rng: np.random.Generator) -> Floats:
    """Return ``n`` draws of one parameter, by its mean and SD.

    Args:
      terms: Its distribution.
      n: Draws.
      rng: Generator.
    """
    mean, sd = float(terms.mean), float(terms.sd)
    if sd == 0:
        return np.full(n, mean)
    if terms.distribution == "normal":
        return rng.normal(mean, sd, n)
    if terms.distribution == "gamma":
        return rng.gamma((mean / sd) ** 2, sd**2 / mean, n)
    if terms.distribution == "lognormal":
        spread = np.log1p((sd / mean) ** 2)
        return rng.lognormal(np.log(mean) - spread / 2, np.sqrt(spread), n)
    size = mean * (1 - mean) / sd**2 - 1
    return rng.beta(mean * size, (1 - mean) * size, n)


def _values(cells: tuple[Cell, ...], parameters: Mapping[str, Floats], n: int) -> Floats:
    """Return the cells' draws, shape ``(n, cells)``."""
    return np.column_stack(
        [parameters[cell] if isinstance(cell, str) else np.full(n, float(cell)) for cell in cells]
    )


def _utilities(cells: tuple[Cell, ...], parameters: Mapping[str, Floats], n: int, accrual: Accrual) -> Floats:
    found = _values(cells, parameters, n)
    if (found > 1).any():
        raise PaymentError("a utility lies above 1", do="1 is perfect health; draw utilities from beta")
    return found * accrual.cycle_years


def _moves(terms: Markov, earlier: Mapping[str, Floats], n: int, rng: np.random.Generator) -> Floats:
    """Return drawn transitions, shape ``(n, states, states)``."""
    states = len(terms.states)
    if terms.moves_of is not None:
        if terms.moves_of not in earlier or earlier[terms.moves_of].shape[1] != states:
            raise PaymentError(
                f"no earlier Markov option {terms.moves_of!r} has {states} states", where="moves_of"
            )
        return earlier[terms.moves_of]
    if terms.moves is None:
        return np.broadcast_to(np.array(terms.transitions, dtype=np.float64), (n, states, states))
    counts = np.array(terms.moves, dtype=np.float64)
    if (counts < 0).any() or (counts[:-1].sum(axis=1) == 0).any() or counts[-1, :-1].any():
        raise PaymentError(
            "moves are negative, leave out a state, or leave death",
            do="count staying too; nobody leaves the last state",
        )
    weights = np.where(counts > 0, rng.standard_gamma(counts + 1.0, (n, states, states)), 0.0)
    weights[:, -1, -1] = 1.0
    return np.asarray(weights / weights.sum(axis=2, keepdims=True), dtype=np.float64)


def _markov(
    terms: Markov, transitions: Floats, parameters: Mapping[str, Floats], accrual: Accrual
) -> tuple[Floats, Floats]:
    n, states, _ = transitions.shape
    start = np.zeros(states)
    start[0] = 1.0
    risk = None
    if terms.relative_risk is not None:
        risk = _values((terms.relative_risk,), parameters, n)[:, 0]
    cost = _values(terms.cost, parameters, n)
    effect = _utilities(terms.utility, parameters, n, accrual)
    if (effect[:, -1] != 0).any():
        raise PaymentError("the last state is death: its utility is 0")
    found = np.empty((n, 2))
    for i in range(n):
        step = transitions[i] if risk is None else markov.with_relative_risk(transitions[i], float(risk[i]))
        model = markov.Markov(terms.states, start, step, terms.cycles)
        whole = markov.lifetime(model, cost[i], effect[i], accrual)
        found[i] = whole.cost, whole.effect
    return found[:, 0], found[:, 1]


def _curves(
    terms: Curves,
    parameters: Mapping[str, Floats],
    n: int,
    accrual: Accrual,
    at: Path,
    rng: np.random.Generator,
) -> tuple[Floats, Floats, float, float]:
    table = _table(beside(at, terms.file), ("edge", "pfs", "os"))
    if not np.array_equal(table[:, 0], np.arange(len(table))):
        raise PaymentError("edges are counted 0, 1, 2, ...", where=terms.file)
    seen = len(table) - 1
    pfs, os = (
        partitioned_survival.with_constant_tail(table[:, column], terms.cycles, from_last=terms.tail_from)
        for column in (1, 2)
    )
    cap = terms.crossing == "cap"
    plain = partitioned_survival.partition(pfs, os, cap_crossing=cap)
    cost = _values(terms.cost, parameters, n)
    effect = np.column_stack([_utilities(terms.utility, parameters, n, accrual), np.zeros(n)])
    powers = np.exp(float(terms.log_hazard_sd) * rng.standard_normal(n))
    found = np.empty((n, 2))
    for i, power in enumerate(powers):
        part = partitioned_survival.partition(pfs**power, os**power, cap_crossing=cap)
        whole = partitioned_survival.lifetime(part, cost[i], effect[i], accrual)
        found[i] = whole.cost, whole.effect
    share = partitioned_survival.observed_share(plain, effect.mean(axis=0), accrual, seen=max(seen, 2))
    return found[:, 0], found[:, 1], plain.crossed, share


def _given(path: Path, n: int) -> tuple[Floats, Floats]:
    table = _table(path, ("cost", "effect"))
    if len(table) != n:
        raise PaymentError(
            f"{len(table)} draws where the question says {n}",
            where=str(path),
            do="draws of all options belong together, line by line",
        )
    return table[:, 0], table[:, 1]


def _table(path: Path, head: tuple[str, ...]) -> Floats:
    """Read finite numbers from a CSV table with this header."""
    try:
        rows = list(csv.reader(io.StringIO(documents.read_bytes(path, PaymentError).decode("utf-8-sig"))))
        if not rows or tuple(rows[0]) != head:
            raise PaymentError(f"the columns are {','.join(head)}, in this order", where=f"{path}, line 1")
        found = np.array([[float(cell) for cell in row] for row in rows[1:]], dtype=np.float64)
    except (UnicodeDecodeError, csv.Error, ValueError) as failure:
        raise PaymentError("this is no CSV of numbers", where=str(path)) from failure
    if found.ndim != 2 or found.shape[1] != len(head) or len(found) < 2 or not np.isfinite(found).all():
        raise PaymentError("a table has two lines of finite numbers at least", where=str(path))
    return found
