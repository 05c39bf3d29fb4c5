"""Shamir's (t, n) sharing of 32-byte secrets over the prime field of p = 2^256 - 189.

A secret is the constant term of a random polynomial of degree t - 1; site number x holds its value at x.
Any t values give the polynomial; t - 1 say nothing about the secret.

Shamir, A. How to share a secret. Communications of the ACM 22 (1979) 612-613.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedvalue.errors import ShareInvalid
from fedvalue.secure_sum.suite import Entropy

PRIME = 2**256 - 189
"""The largest prime below 2^256."""

SECRET_BYTES = 32
_STEPS = 8
"""Horner steps between two reductions: points below 256 add one byte a step."""


def draw(entropy: Entropy) -> bytes:
    """Return a uniform non-zero secret below p, 32 bytes big-endian."""
    while True:
        secret = entropy(SECRET_BYTES)
        if 0 < int.from_bytes(secret, "big") < PRIME:
            return secret


def split(secret: bytes, *, threshold: int, points: Sequence[int], entropy: Entropy) -> list[bytes]:
    """Share a secret.

    Args:
      secret: 32 bytes big-endian, below p.
      threshold: t, how many shares give it back, 1 to the number of points.
      points: Each holder's number, distinct, from 1 to 255.
      entropy: Where the other coefficients come from.

    Returns:
      The shares in the order of ``points``, 32 bytes each.

    Raises:
      ShareInvalid: the secret, the threshold or the points are out of range.
    """
    constant = int.from_bytes(secret, "big")
    distinct = len(set(points)) == len(points) and all(0 < x < 256 for x in points)
    if len(secret) != SECRET_BYTES or constant >= PRIME or not distinct or not 1 <= threshold <= len(points):
        raise ShareInvalid("a secret cannot be shared this way", do="this is a fault of the program")
    # From the highest coefficient down; any of them may be zero.
    rest = [_below_prime(entropy) for _ in range(threshold - 1)]
    return [_evaluate(rest, constant, x).to_bytes(SECRET_BYTES, "big") for x in points]


@dataclass(frozen=True, slots=True)
class Weights:
    """Lagrange's weights of one set of holders; made once, used for every secret that they rebuild.

    Attributes:
      points: The holders' numbers.
      at_zero: Weight of each, in the same order.
    """

    points: tuple[int, ...]
    at_zero: tuple[int, ...]

    @classmethod
    def of(cls, points: Sequence[int], at: int = 0) -> Weights:
        """Return the weights that give a polynomial's value at ``at``.

        Raises:
          ShareInvalid: a number is repeated or is 0.
        """
        if len(set(points)) != len(points) or not all(0 < x < 256 for x in points):
            raise ShareInvalid("shares of one holder twice", do="take one share of each holder")
        found = []
        for x in points:
            above, below = 1, 1
            for other in points:
                if other != x:
                    above = above * (at - other) % PRIME
                    below = below * (x - other) % PRIME
            found.append(above * pow(below, -1, PRIME) % PRIME)
        return cls(tuple(points), tuple(found))

    def combine(self, shares: Mapping[int, bytes]) -> bytes:
        """Return the secret of ``shares`` (holder's number to share), 32 bytes; wrong if a share is.

        Raises:
          ShareInvalid: a share is missing or out of range.
        """
        total = 0
        for x, weight in zip(self.points, self.at_zero, strict=True):
            share = shares.get(x, b"")
            value = int.from_bytes(share, "big")
            if len(share) != SECRET_BYTES or value >= PRIME:
                raise ShareInvalid("a share is missing or out of range", where=f"holder {x}")
            total += weight * value
        return (total % PRIME).to_bytes(SECRET_BYTES, "big")


def _below_prime(entropy: Entropy) -> int:
    while True:
        value = int.from_bytes(entropy(SECRET_BYTES), "big")
        if value < PRIME:
            return value


def _evaluate(rest: Sequence[int], constant: int, x: int) -> int:
    value = 0
    for step, coefficient in enumerate(rest, 1):
        value = value * x + coefficient
        if step % _STEPS == 0:
            value %= PRIME
    return (value * x + constant) % PRIME
