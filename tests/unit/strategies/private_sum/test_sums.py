"""The sum is exact whoever vanishes, at whatever step, while at least t sites remain."""

from __future__ import annotations

import contextlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.errors import BudgetSpent, TooFewSites
from fedvalue.privacy import gaussian
from fedvalue.privacy.randomness import SystemNoise
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.strategies.secure_aggregation.private_sum import wire
from tests.sum_federation import STEPS, Federation


@pytest.mark.parametrize(("n", "c", "f"), [(3, 1, 0), (4, 1, 1), (5, 1, 1), (10, 2, 1), (31, 6, 3)])
def test_the_sum_is_exact_when_nobody_vanishes(n: int, c: int, f: int) -> None:
    federation = Federation(n, c, f, dimension=17)
    found = federation.rounds(1).attempt("release-1", 1)
    assert found.failure is None
    assert found.survivors == tuple(federation.names)
    assert found.total is not None
    np.testing.assert_array_equal(found.total, federation.sum_of(federation.names))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("drops", [0, 1, 2, 3])
def test_any_sites_up_to_f_may_vanish_at_any_step(step: str, drops: int) -> None:
    federation = Federation(10, c=1, f=3)
    gone = set(federation.names[2 : 2 + drops])
    reached: set[str] = set()

    def lost(at: str, site: str) -> bool:
        if at == step and site in gone:
            reached.add(site)
        return site in reached

    federation.lost = lost
    found = federation.rounds(1).attempt("release-1", 1)
    assert reached == gone
    # a site that vanishes after it delivered is in the sum: its self-mask is rebuilt from the others' shares
    delivered = step in (wire.CONSISTENCY, wire.UNMASK)
    wanted = [name for name in federation.names if delivered or name not in gone]
    assert found.failure is None
    assert found.survivors == tuple(wanted)
    assert found.total is not None
    np.testing.assert_array_equal(found.total, federation.sum_of(wanted))
    assert {site for site, code in found.refusals.items() if code == "no_answer"} == gone


@pytest.mark.parametrize("step", STEPS)
def test_past_f_the_sum_is_refused_and_the_error_says_where_and_who(step: str) -> None:
    federation = Federation(10, c=1, f=3)
    gone = set(federation.names[:4])
    federation.lost = lambda at, site: at == step and site in gone
    rounds = federation.rounds(1)
    if step in (wire.KEYS, wire.SHARES, wire.MEMBERS):
        with pytest.raises(TooFewSites) as caught:
            rounds.attempt("release-1", 1)
        error = caught.value
        assert all(not ledger.debits for ledger in federation.ledgers.values())
    else:
        found = rounds.attempt("release-1", 1)
        assert found.total is None
        assert found.transcript is None
        assert found.failure is not None
        error = found.failure
    assert f"6 of 10 sites took the step {step!r}, 7 must" in str(error)
    assert all(name in str(error) for name in gone)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([None, *STEPS]), min_size=7, max_size=7))
def test_whatever_the_pattern_of_drops_the_sum_is_exact_or_refused(leaves: list[str | None]) -> None:
    federation = Federation(7, c=1, f=2)  # t = 5
    at = dict(zip(federation.names, leaves, strict=True))
    order = {step: number for number, step in enumerate(STEPS)}
    federation.lost = lambda step, site: at[site] is not None and order[step] >= order[at[site] or ""]
    remaining = sum(step is None for step in leaves)
    rounds = federation.rounds(1)
    if remaining < 5:
        with contextlib.suppress(TooFewSites):
            assert rounds.attempt("release-1", 1).total is None
        return
    found = rounds.attempt("release-1", 1)
    wanted = [name for name in federation.names if at[name] in (None, wire.CONSISTENCY, wire.UNMASK)]
    assert found.survivors == tuple(wanted)
    assert found.total is not None
    np.testing.assert_array_equal(found.total, federation.sum_of(wanted))


def test_different_sites_may_vanish_at_different_steps_and_rounds_go_on() -> None:
    federation = Federation(10, c=1, f=3)
    leaving = {wire.MASKED: federation.names[0], wire.CONSISTENCY: federation.names[5]}
    federation.lost = lambda step, site: leaving.get(step) == site
    rounds = federation.rounds(4)
    for attempt in range(1, 4):
        found = rounds.attempt(f"release-{attempt}", 1)
        assert found.total is not None
        assert found.survivors == tuple(federation.names[1:])
        np.testing.assert_array_equal(found.total, federation.sum_of(found.survivors))
    epochs = {debit[0] for debit in federation.ledgers[federation.names[1]].debits}
    assert len(epochs) == 1  # keys were made once


def test_a_new_epoch_is_begun_when_the_keys_are_used_up() -> None:
    federation = Federation(4)
    rounds = federation.rounds(2)
    for number in range(1, 6):
        found = rounds.attempt(f"release-{number}", 1)
        assert found.total is not None
        np.testing.assert_array_equal(found.total, federation.sum_of(federation.names))
    debits = federation.ledgers[federation.names[0]].debits
    assert [number for _, number, _, _ in debits] == [1, 2, 1, 2, 1]


def test_a_second_attempt_is_a_new_epoch_with_fresh_noise_and_a_new_debit() -> None:
    source = SystemNoise()
    federation = Federation(4, noise=lambda size: gaussian.sample(source, size))
    gone = set(federation.names[:2])
    federation.lost = lambda step, site: step == wire.CONSISTENCY and site in gone
    rounds = federation.rounds(4)
    assert rounds.attempt("release-1", 1).total is None
    federation.lost = lambda step, site: False
    found = rounds.attempt("release-1", 2)
    assert found.total is not None
    np.testing.assert_array_equal(found.total, federation.sum_of(federation.names))
    for ledger in federation.ledgers.values():
        (first, second) = ledger.debits
        assert first[0] != second[0]
        assert (first[3], second[3]) == (1, 2)
        assert (ledger.sent[0] != ledger.sent[1]).any()  # five draws of SD 2^20 agree once in about 2^108


def test_a_site_that_restarted_counts_as_dropped_and_joins_the_next_epoch() -> None:
    federation = Federation(5)
    rounds = federation.rounds(8)
    assert rounds.attempt("release-1", 1).total is not None
    away = federation.names[3]
    federation.restart(away)
    found = rounds.attempt("release-2", 1)
    assert found.refusals == {away: "epoch_unknown"}
    assert found.total is not None
    np.testing.assert_array_equal(found.total, federation.sum_of(found.survivors))
    again = rounds.attempt("release-3", 1)
    assert again.survivors == tuple(federation.names)
    assert again.total is not None
    np.testing.assert_array_equal(again.total, federation.sum_of(federation.names))


@pytest.mark.parametrize("step", [wire.MASKED, wire.CONSISTENCY, wire.UNMASK])
def test_a_site_may_restart_in_the_middle_of_a_round(step: str) -> None:
    federation = Federation(5)
    away = federation.names[0]
    federation.after = lambda at, site: federation.restart(away) if (at, site) == (step, away) else None
    found = federation.rounds(2).attempt("release-1", 1)
    assert found.total is not None
    np.testing.assert_array_equal(found.total, federation.sum_of(federation.names))


def test_a_site_without_budget_counts_as_dropped() -> None:
    federation = Federation(5)
    federation.ledgers[federation.names[1]].refuses = BudgetSpent("nothing is left")
    found = federation.rounds(1).attempt("release-1", 1)
    assert found.refusals == {federation.names[1]: "budget_spent"}
    assert found.total is not None
    np.testing.assert_array_equal(found.total, federation.sum_of(found.survivors))


@pytest.mark.parametrize("dimension", [1, 2**14 - 1, 2**14, 2**14 + 1])
def test_sums_are_exact_at_the_edges_of_a_chunk(dimension: int) -> None:
    federation = Federation(4, dimension=dimension)
    gone = federation.names[1]
    federation.lost = lambda step, site: step == wire.MASKED and site == gone
    found = federation.rounds(1).attempt("release-1", 1)
    assert found.total is not None
    np.testing.assert_array_equal(found.total, federation.sum_of(found.survivors))


def test_fifty_sites_sum_exactly_with_five_lost() -> None:
    federation = Federation(50, c=10, f=5, dimension=3)
    gone = set(itertools.islice(federation.names, 20, 25))
    federation.lost = lambda step, site: step == wire.MASKED and site in gone
    found = federation.rounds(1).attempt("release-1", 1)
    assert found.total is not None
    assert len(found.survivors) == 45
    np.testing.assert_array_equal(found.total, federation.sum_of(found.survivors))


def test_what_the_coordinator_sees_of_one_site_says_nothing_of_its_vector() -> None:
    # the same vector twice: two masked vectors that share no word (17 words, one chance in 2^59 each)
    federation = Federation(4, dimension=17)
    rounds = federation.rounds(2)
    for number in (1, 2):
        rounds.attempt(f"release-{number}", 1)
    name = federation.names[0]
    replies = [r for step, site, _, r in federation.heard if (step, site) == (wire.MASKED, name)]
    one, two = (np.frombuffer(pb.MaskedInput.FromString(reply).vector, dtype="<i8") for reply in replies)
    assert not np.isin(one, two).any()
    assert not np.isin(one, federation.ledgers[name].vector).any()
