"""A vanished site never lowers the promised privacy: the price counts on the shares that are always there."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedvalue.errors import PrivacyError, TooFewSites
from fedvalue.planning.plan import plan_on
from fedvalue.privacy.release import cost_units
from fedvalue.secure_sum.thresholds import MAX_SITES, Thresholds, thresholds
from fedvalue.strategies.secure_aggregation.private_sum import wire
from tests.agreement import study
from tests.sum_federation import STEPS, Federation


@settings(deadline=None)
@given(
    n=st.integers(3, MAX_SITES),
    c=st.none() | st.integers(1, 60),
    f=st.none() | st.integers(0, 60),
    bound=st.integers(1, 2**60),
    data=st.data(),
)
def test_whoever_answers_whoever_colludes_the_noise_is_worth_at_least_the_price(
    n: int, c: int | None, f: int | None, bound: int, data: st.DataObject
) -> None:
    # an opened sum is over t to n sites, and up to c of them know their own noise
    try:
        limits = thresholds(n, colluding=c, dropouts=f)
    except TooFewSites:
        assume(False)
    survivors = data.draw(st.integers(limits.answers, n))
    colluding = data.draw(st.integers(0, min(limits.colluding, survivors)))
    honest = survivors - colluding
    assert honest >= limits.honest_shares >= 2
    charged = cost_units(bound, honest_shares=limits.honest_shares)
    assert cost_units(bound, honest_shares=honest) <= charged


@pytest.mark.parametrize(("n", "c", "f"), [(5, 1, 1), (7, 1, 2), (10, 2, 1)])
@pytest.mark.parametrize("step", STEPS)
def test_every_opened_sum_holds_m_honest_shares_at_whatever_step_f_sites_vanish(
    step: str, n: int, c: int, f: int
) -> None:
    # Site i's noise is the single bit 2^i, so the opened sum says whose noise is in it.
    federation = Federation(n, c=c, f=f, dimension=1)
    for number, name in enumerate(federation.names):
        federation.ledgers[name].vector = np.zeros(1, dtype=np.int64)
        federation.ledgers[name].noise = lambda size, bit=1 << number: np.full(size, bit)  # type: ignore[misc]  # bound now
    gone, silent = set(federation.names[:f]), set[str]()

    def lost(at: str, site: str) -> bool:
        if at == step and site in gone:
            silent.add(site)
        return site in silent

    federation.lost = lost
    found = federation.rounds(1).attempt("release-1", 1)
    assert found.total is not None
    shares = {name for i, name in enumerate(federation.names) if int(found.total[0]) >> i & 1}
    assert shares == set(found.survivors)
    promised = federation.agreed.membership.thresholds.honest_shares
    for colluding in combinations(federation.names, c):
        assert len(shares - set(colluding)) >= promised
    # and a site that was lost only after it delivered is still in the sum, its noise too
    assert (gone <= shares) == (step in (wire.CONSISTENCY, wire.UNMASK))


def test_what_is_charged_is_fixed_before_anybody_vanishes() -> None:
    # D^2 / (2 m 4^20) with m = t - c of the roster: the same with five answers and with four, and the sum of
    # five has a share more than was paid for.
    limits = Thresholds(5, 1, 1)
    release = plan_on(study(), limits, "0" * 64).releases[0]
    charged = release.charged_units(clear_sum=False)
    assert charged == release.scales.rho_units(3)
    with_all = release.scales.rho_units(limits.sites - limits.colluding)
    assert Fraction(with_all, charged) == pytest.approx(3 / 4, rel=1e-9)


def test_a_roster_that_counts_on_fewer_drop_outs_pays_less_and_opens_less() -> None:
    # n = 10, c = 2: with f = 0, 1, 2, 3 m is 8, 7, 6, 5; the same question costs more the more may vanish.
    prices = [cost_units(2**50, honest_shares=Thresholds(10, 2, f).honest_shares) for f in range(4)]
    assert prices == sorted(prices)
    with pytest.raises(PrivacyError, match="at least one share"):
        cost_units(2**50, honest_shares=Thresholds(3, 1, 2).honest_shares)
