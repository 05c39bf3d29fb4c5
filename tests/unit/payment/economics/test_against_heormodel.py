"""Frontier, CEAC, EVPI and EVPPI against heormodel 0.7.4 (MIT) on random problems.

heormodel is part of the test extra; without it this file fails, it is not skipped. It counts a draw in
which two options are equally good for the first of them, we share it, so problems here have no ties.
"""

from __future__ import annotations

import importlib.metadata

import numpy as np
import pandas as pd
import pytest
from heormodel.cea import ceac, icer_table
from heormodel.models import Outcomes
from heormodel.voi import evpi, evppi
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.payment.economics import partial_information
from fedvalue.payment.economics.frontier import Option, frontier
from fedvalue.payment.economics.information import evpi_of_draws
from fedvalue.payment.economics.joint import Draws, Floats
from fedvalue.payment.economics.net_benefit import acceptability

amounts = st.integers(0, 60).map(float)
seeds = st.integers(0, 2**32 - 1)


def outcomes(draws: Draws) -> Outcomes:
    return Outcomes.from_wide(
        *(pd.DataFrame(x, columns=list(draws.options)) for x in (draws.cost, draws.effect))
    )


def random_draws(seed: int, options: int, size: int = 400) -> Draws:
    rng = np.random.default_rng(seed)
    shift = rng.normal(size=(2, options))
    cost = 1000 * (shift[0] + rng.normal(size=(size, options)))
    return Draws(tuple("abcdefg"[:options]), cost, shift[1] + rng.normal(size=(size, options)))


def test_the_oracle_is_the_version_that_was_looked_at() -> None:
    assert importlib.metadata.version("heormodel") == "0.7.4"


@given(st.lists(st.tuples(amounts, amounts), min_size=1, max_size=9))
@settings(deadline=None, max_examples=150)
def test_the_frontier_is_heormodels(points: list[tuple[float, float]]) -> None:
    # Whole numbers from a small range: exact ties and mixtures that are exactly as good do occur.
    options = [Option(str(i), cost, effect) for i, (cost, effect) in enumerate(points)]
    theirs = icer_table(
        pd.DataFrame({"cost": [c for c, _ in points], "effect": [e for _, e in points]},
                     index=[o.name for o in options])
    )  # fmt: skip
    names = {"frontier": "ND", "D": "D", "ED": "ED"}
    twins = len(set(points)) != len(points)  # of exact equals either may stay
    ours = frontier(options)
    if not twins:
        assert {p.option.name: names[p.standing] for p in ours} == theirs["status"].to_dict()
    ratios = [p.ratio for p in ours if p.ratio is not None]
    assert ratios == pytest.approx(theirs["icer"].dropna().tolist())


@given(seeds, st.integers(2, 5), st.floats(10, 1e5))
@settings(deadline=None, max_examples=25)
def test_acceptability_and_perfect_information_are_heormodels(seed: int, options: int, k: float) -> None:
    draws = random_draws(seed, options)
    theirs = outcomes(draws)
    np.testing.assert_allclose(acceptability(draws, [k]).ceac, ceac(theirs, [k]).to_numpy(), atol=1e-12)
    assert evpi_of_draws(draws, k) == pytest.approx(evpi(theirs, wtp=k), rel=1e-9, abs=1e-6)


def planted(seed: int, size: int) -> tuple[Draws, Floats]:
    """Three options whose net benefit at k = 1 is bent in one parameter, straight in another, and noisy."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size, 2))
    noise = rng.normal(size=(size, 3))
    effect = np.column_stack([noise[:, 0], np.exp(x[:, 0] / 2) - 1 + noise[:, 1], x[:, 1] + noise[:, 2]])
    return Draws(("a", "b", "c"), np.zeros((size, 3)), effect), x


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("columns", [[0], [1], [0, 1]])
def test_partial_information_is_heormodels_within_the_noise_of_both(seed: int, columns: list[int]) -> None:
    # Two spline regressions of 8,000 draws; over seeds 1 to 30 they differ by at most .006.
    draws, x = planted(seed, 8000)
    frame = pd.DataFrame(x, columns=["x", "y"])
    frame.index.name = "iteration"
    names = [("x", "y")[c] for c in columns]
    theirs = evppi(outcomes(draws), frame, names, wtp=1.0)
    ours = partial_information.evppi(draws, x[:, columns], 1.0)
    assert ours == pytest.approx(theirs, abs=0.01)
