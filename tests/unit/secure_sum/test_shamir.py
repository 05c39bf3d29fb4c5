"""Shamir's sharing: hand-worked polynomials, laws, refusals."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.errors import ShareInvalid
from fedvalue.secure_sum.shamir import PRIME, Weights, draw, split


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def given_bytes(*values: int) -> Iterator[bytes]:
    return iter([word(value) for value in values])


def test_hand_worked_line() -> None:
    # secret 5, slope 3: the shares of holders 1, 2, 4 are 5 + 3 x = 8, 11, 17
    drawn = given_bytes(3)
    shares = split(word(5), threshold=2, points=[1, 2, 4], entropy=lambda _: next(drawn))
    assert shares == [word(8), word(11), word(17)]
    # at zero, holders 1 and 4 weigh (-4)/(1-4) = 4/3 and (-1)/(4-1) = -1/3: (4 * 8 - 17) / 3 = 5
    assert Weights.of([1, 4]).combine({1: word(8), 4: word(17)}) == word(5)


def test_the_prime_is_the_one_that_is_named() -> None:
    assert PRIME == 2**256 - 189
    assert all(pow(base, PRIME - 1, PRIME) == 1 for base in (2, 3, 5, 7, 11))  # Fermat


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_any_t_shares_give_the_secret_and_any_t_fit_every_other_secret(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    t = data.draw(st.integers(1, n))
    points = data.draw(st.permutations(range(1, 201)).map(lambda order: order[:n]))
    secret = word(data.draw(st.integers(0, PRIME - 1)))
    shares = dict(zip(points, split(secret, threshold=t, points=points, entropy=os.urandom), strict=True))
    for holders in itertools.islice(itertools.combinations(points, t), 20):
        assert Weights.of(holders).combine(shares) == secret


def test_fewer_than_t_shares_give_something_else() -> None:
    shares = dict(enumerate(split(word(7), threshold=3, points=[1, 2, 3], entropy=os.urandom), 1))
    assert Weights.of([1, 2]).combine(shares) != word(7)


def test_weights_give_the_polynomial_at_any_holder() -> None:
    shares = dict(enumerate(split(word(7), threshold=3, points=[1, 2, 3, 4], entropy=os.urandom), 1))
    assert Weights.of([1, 2, 3], at=4).combine(shares) == shares[4]


def test_the_largest_federation_shares_and_rebuilds() -> None:
    points = range(1, 201)
    secret = draw(os.urandom)
    shares = dict(zip(points, split(secret, threshold=180, points=points, entropy=os.urandom), strict=True))
    assert Weights.of(range(21, 201)).combine(shares) == secret


def test_a_secret_is_drawn_below_the_prime_and_never_zero() -> None:
    drawn = given_bytes(2**256 - 1, PRIME, 0, 9)
    assert draw(lambda _: next(drawn)) == word(9)


@pytest.mark.parametrize(
    ("secret", "t", "points"),
    [
        (word(PRIME), 1, [1]),
        (b"short", 1, [1]),
        (word(1), 0, [1]),
        (word(1), 3, [1, 2]),
        (word(1), 2, [1, 1]),
        (word(1), 2, [0, 1]),  # the share of holder 0 would be the secret
        (word(1), 2, [1, 256]),
    ],
)
def test_a_sharing_out_of_range_is_refused(secret: bytes, t: int, points: list[int]) -> None:
    with pytest.raises(ShareInvalid):
        split(secret, threshold=t, points=points, entropy=os.urandom)


def test_shares_out_of_range_are_refused() -> None:
    weights = Weights.of([1, 2])
    for wrong in ({1: word(1)}, {1: word(1), 2: b"short"}, {1: word(1), 2: word(PRIME)}):
        with pytest.raises(ShareInvalid):
            weights.combine(wrong)
    with pytest.raises(ShareInvalid):
        Weights.of([1, 1])
    with pytest.raises(ShareInvalid):
        Weights.of([0, 1])
