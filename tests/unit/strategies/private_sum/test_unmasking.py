"""Secrets are rebuilt in spite of wrong shares, as long as t right ones can be found, and liars are named."""

from __future__ import annotations

import os
from itertools import combinations

import pytest

from fedvalue.errors import ShareInvalid
from fedvalue.secure_sum.shamir import draw, split
from fedvalue.strategies.secure_aggregation.private_sum.unmasking import Rebuilding

NAMES = [f"site-{number}" for number in range(1, 8)]
POINTS = {name: number for number, name in enumerate(NAMES, 1)}
T = 5


def shared() -> tuple[bytes, dict[str, bytes]]:
    secret = draw(os.urandom)
    shares = split(secret, threshold=T, points=list(POINTS.values()), entropy=os.urandom)
    return secret, dict(zip(NAMES, shares, strict=True))


def rebuilding(holders: list[str] | None = None) -> Rebuilding:
    return Rebuilding(T, POINTS, list(holders or NAMES))


@pytest.mark.parametrize("liars", [*combinations(NAMES, 1), *combinations(NAMES, 2)])
def test_up_to_two_liars_among_seven_are_named(liars: tuple[str, ...]) -> None:
    secret, shares = shared()
    told = shares | {liar: os.urandom(31).rjust(32, b"\x00") for liar in liars}
    work = rebuilding()
    assert work.secret("owner", told, lambda found: found == secret) == secret
    # a liar among the first five was noticed; one whose share was not needed has spoiled nothing
    assert {*work.accused} in ({*liars}, {*liars} - {*NAMES[T:]}, set())
    assert bool(work.accused) == bool({*liars} & {*NAMES[:T]})


def test_who_lies_about_more_owners_than_may_collude_is_proven_to_lie() -> None:
    work = rebuilding()
    for number in range(1, 4):
        secret, shares = shared()
        shares["site-1"] = bytes(32)
        owner = f"owner-{number}"
        assert work.secret(owner, shares, lambda found, s=secret: found == s) == secret  # type: ignore[misc]  # bound now
        assert work.proven(number - 1) == {"site-1"}
        assert work.proven(number) == set()


def test_owners_that_share_wrongly_frame_nobody_and_cost_no_sum() -> None:
    """Two owners gave wrong shares to two honest holders each: four of seven, where five are needed."""
    work = rebuilding()
    for owner, framed in (("owner-1", NAMES[:2]), ("owner-2", NAMES[2:4]), ("owner-3", [])):
        secret, shares = shared()
        shares |= dict.fromkeys(framed, bytes(32))
        assert work.secret(owner, shares, lambda found, s=secret: found == s) == secret  # type: ignore[misc]  # bound now
    assert {*work.accused} == {*NAMES[:4]}
    assert work.proven(1) == set()


@pytest.mark.parametrize("wrong", [b"", b"short", b"\xff" * 32])
def test_a_share_out_of_range_is_a_wrong_share(wrong: bytes) -> None:
    secret, shares = shared()
    work = rebuilding()
    assert work.secret("owner", shares | {"site-2": wrong}, lambda found: found == secret) == secret
    assert {*work.accused} == {"site-2"}


def test_more_liars_than_spare_holders_give_nothing() -> None:
    secret, shares = shared()
    told = shares | dict.fromkeys(NAMES[:3], bytes(32))
    with pytest.raises(ShareInvalid) as caught:
        rebuilding().secret("owner", told, lambda found: found == secret)
    assert caught.value.where == "owner"


def test_with_exactly_t_holders_a_wrong_share_gives_nothing() -> None:
    secret, shares = shared()
    with pytest.raises(ShareInvalid):
        rebuilding(NAMES[:T]).secret("owner", shares | {"site-1": bytes(32)}, lambda found: found == secret)
