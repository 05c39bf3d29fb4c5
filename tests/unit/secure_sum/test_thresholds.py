"""How many sites must answer: the table of the design, its refusals, and the inequality behind it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.errors import TooFewSites
from fedvalue.secure_sum.thresholds import MAX_SITES, Thresholds, thresholds


@pytest.mark.parametrize(
    ("n", "c", "f", "t", "m", "ratio"),
    [
        (3, 1, 0, 3, 2, 1.22),
        (5, 1, 1, 4, 3, 1.29),
        (10, 2, 1, 9, 7, 1.20),
        (31, 6, 3, 28, 22, 1.19),
        (50, 10, 5, 45, 35, 1.20),
        (200, 40, 20, 180, 140, 1.20),
    ],
)
def test_the_default_thresholds_are_those_of_the_design(
    n: int, c: int, f: int, t: int, m: int, ratio: float
) -> None:
    found = thresholds(n)
    assert found == Thresholds(n, c, f)
    assert (found.answers, found.honest_shares) == (t, m)
    # the noise of n shares over that of the m that are paid for
    assert (n / found.honest_shares) ** 0.5 == pytest.approx(ratio, abs=0.006)


@pytest.mark.parametrize("n", [-1, 0, 1, 2, MAX_SITES + 1, 10_000])
def test_a_roster_too_small_or_too_large_is_refused(n: int) -> None:
    with pytest.raises(TooFewSites, match="cannot hide anybody's share"):
        thresholds(n)


@pytest.mark.parametrize(
    ("n", "c", "f"),
    [
        (3, 1, 1),  # t = 2, of which one colludes: the other's sum is bare
        (3, 2, 0),  # c = n - 1
        (5, 4, 0),  # c = n - 1
        (5, 1, 2),  # t = 3 = (5 + 1) / 2: 2 t > n + c fails
        (10, 5, 3),  # t = 7: 14 > 15 fails
        (4, 0, 0),  # nobody colluding is no assumption
        (4, 1, -1),  # more answers than sites
        (4, -1, 0),
        (200, 199, 0),
        (200, 40, 200),
    ],
)
def test_numbers_that_protect_nobody_are_refused(n: int, c: int, f: int) -> None:
    with pytest.raises(TooFewSites, match=f"n = {n}, c = {c}, f = {f} leave t = {n - f}") as refused:
        thresholds(n, colluding=c, dropouts=f)
    assert "colluding_sites" in refused.value.where


def test_the_last_number_that_holds_is_accepted() -> None:
    # t = 8: 16 > 15 holds, where 7 did not
    assert thresholds(10, colluding=5, dropouts=2).answers == 8


@settings(deadline=None)
@given(n=st.integers(3, MAX_SITES))
def test_every_roster_has_default_thresholds(n: int) -> None:
    found = thresholds(n)
    assert found.colluding == max(1, n // 5)
    assert found.honest_shares >= 2


@settings(deadline=None)
@given(n=st.integers(-5, 250), c=st.none() | st.integers(-2, 250), f=st.none() | st.integers(-2, 250))
def test_whatever_is_accepted_leaves_no_site_both_of_its_secrets_open(
    n: int, c: int | None, f: int | None
) -> None:
    # both secrets of an honest site need 2 (t - c) honest releases out of n - c
    try:
        found = thresholds(n, colluding=c, dropouts=f)
    except TooFewSites:
        return
    t, c = found.answers, found.colluding
    assert 2 * t > n + c
    assert 2 * (t - c) > n - c
    assert found.honest_shares >= 2
    assert 1 <= c < n - 1
    assert 0 <= found.dropouts < n


@settings(deadline=None)
@given(n=st.integers(3, MAX_SITES), c=st.integers(1, 250), f=st.integers(0, 250))
def test_whatever_is_refused_would_not_hold(n: int, c: int, f: int) -> None:
    t = n - f
    try:
        thresholds(n, colluding=c, dropouts=f)
    except TooFewSites:
        assert 2 * t <= n + c or t < c + 2
    else:
        assert 2 * t > n + c
        assert t >= c + 2


def test_the_private_sum_refuses_two_sites() -> None:
    # Whatever the other one sends can be taken off the sum, masks or none: what is left is this site's share.
    with pytest.raises(TooFewSites):
        thresholds(2, colluding=1, dropouts=0)
