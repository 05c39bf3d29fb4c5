"""The clear sum: adds exactly the shares that are signed by their sites, and fails below t."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from fedvalue.analyses.cohort import BinaryOutcome, Cohort
from fedvalue.errors import ReleaseUnknown, TooFewSites
from fedvalue.planning.plan import Plan, PlannedRelease, make_plan
from fedvalue.privacy.randomness import SystemNoise
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.strategies.secure_aggregation.clear_sum import UnsafeClearSum, noised
from fedvalue.strategies.secure_aggregation.messages import (
    EnrolReply,
    Refused,
    ReleaseReply,
    ReleaseRequest,
    Reply,
    signed_content,
)
from fedvalue.study.signature import sign
from tests.agreement import SMALL, key, roster, study

PLAN = make_plan(study(text=SMALL), roster(3))
FIVE = make_plan(study(), roster(5))
"""Of five, four must answer."""


SALT = b"s" * 32


def vector_of(release: PlannedRelease, site: str, attempt: int) -> np.ndarray:
    """A share that no other site or attempt has."""
    seed = int.from_bytes(site.encode(), "big") + attempt
    return np.random.default_rng(seed).integers(-(2**40), 2**40, release.dimension)


def added(plan: Plan, sites: tuple[int, ...], attempt: int = 1) -> list[int]:
    """The sum of those sites' shares."""
    total = np.zeros(plan.releases[0].dimension, dtype=np.int64)
    for number in sites:
        total += vector_of(plan.releases[0], f"s{number:02d}", attempt)
    return [int(value) for value in total]


def answer(request: ReleaseRequest, site: str, vector: np.ndarray, role: str = "site", by: str = "") -> Reply:
    data = vector.astype("<i8").tobytes()
    signed = sign(signed_content(request, site, SALT, data), key(f"site {by or site}"), role)
    return ReleaseReply(site, data, SALT, signed.model_dump_json())


Bend = Callable[[ReleaseRequest, str, Reply], Reply]


@dataclass
class Federation:
    """Sites that answer as they should, but for those that ``bent`` names."""

    plan: Plan
    bent: Mapping[str, Bend] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    asked: list[ReleaseRequest] = field(default_factory=list)

    def __call__(self, request: ReleaseRequest) -> dict[str, Reply]:
        self.asked.append(request)
        release = self.plan.release(request.release)
        replies: dict[str, Reply] = {}
        for number in range(1, self.plan.thresholds.sites + 1):
            site = f"s{number:02d}"
            if site in self.absent:
                continue
            reply = answer(request, site, vector_of(release, site, request.attempt))
            bend = self.bent.get(site)
            replies[site] = reply if bend is None else bend(request, site, reply)
        return replies

    def sum(self, attempts: int = 1) -> UnsafeClearSum:
        return UnsafeClearSum(self.plan, roster(self.plan.thresholds.sites), self, attempts)


def test_the_shares_of_all_sites_are_added_exactly() -> None:
    federation = Federation(PLAN)
    opened = federation.sum().open("release-1")
    assert opened.total.tolist() == added(PLAN, (1, 2, 3))
    assert set(opened.signatures) == set(opened.digests) == {"s01", "s02", "s03"}
    assert opened.refusals == {}
    assert opened.noise_variance == 3 * 4.0**LOG2_SCALE
    (request,) = federation.asked
    assert request == ReleaseRequest(
        PLAN.study_hash, PLAN.roster_hash, "release-1", 1, PLAN.specification(PLAN.releases[0])
    )


def test_the_blocks_of_the_sum_are_those_of_the_plan() -> None:
    opened = Federation(PLAN).sum().open("release-1")
    blocks = opened.blocks()
    assert list(blocks) == [block.name for block in PLAN.releases[0].blocks]
    joined = np.concatenate([block.total for block in blocks.values()])
    assert joined.tolist() == opened.total.tolist()
    for block in blocks.values():
        assert block.noise_variance == opened.noise_variance


def test_a_release_is_opened_once() -> None:
    federation = Federation(PLAN)
    clear_sum = federation.sum()
    assert clear_sum.open("release-1") is clear_sum.open("release-1")
    assert len(federation.asked) == 1
    assert len(clear_sum.opened) == 1


def test_a_release_that_is_not_planned_is_not_asked() -> None:
    federation = Federation(PLAN)
    with pytest.raises(ReleaseUnknown):
        federation.sum().open("release-2")
    assert federation.asked == []


def other(vector: Callable[[np.ndarray], np.ndarray]) -> Bend:
    """Bend the vector and sign what is sent."""

    def bend(request: ReleaseRequest, site: str, honest: Reply) -> Reply:
        assert isinstance(honest, ReleaseReply)
        return answer(request, site, vector(np.frombuffer(honest.vector, dtype="<i8")))

    return bend


def changed(**fields: object) -> Bend:
    """Change fields of the reply and keep its signature."""
    return lambda _, __, honest: replace(honest, **fields)  # type: ignore[arg-type]  # any reply, any field


def resigned(role: str = "site", by: str = "", as_site: str = "") -> Bend:
    def bend(request: ReleaseRequest, site: str, honest: Reply) -> Reply:
        assert isinstance(honest, ReleaseReply)
        return answer(request, as_site or site, np.frombuffer(honest.vector, dtype="<i8"), role, by or site)

    return bend


NOT_COUNTED: dict[str, tuple[Bend, str]] = {
    "that refuses": (lambda *_: Refused("budget_spent"), "budget_spent"),
    "whose signature is no signature": (changed(signature="{}"), "reply_invalid"),
    "whose signature is no JSON": (changed(signature="\ud7ff not json"), "reply_invalid"),
    "whose share was changed": (changed(vector=bytes(8 * FIVE.releases[0].dimension)), "reply_invalid"),
    "that signs with another site's key": (resigned(by="s01"), "reply_invalid"),
    "that signs as an officer": (resigned(role="officer"), "reply_invalid"),
    "that names another site": (changed(site="s01"), "reply_invalid"),
    "that answers and signs for another site": (resigned(by="s01", as_site="s01"), "reply_invalid"),
    "that sends a number too many": (other(lambda v: np.append(v, 0)), "reply_invalid"),
    "that sends a number too few": (other(lambda v: v[:-1]), "reply_invalid"),
    "that sends nothing": (other(lambda v: v[:0]), "reply_invalid"),
    "that answers another question": (lambda *_: EnrolReply("s05", "{}", "{}"), "reply_invalid"),
    "that answers an earlier attempt": (
        lambda request, site, _: answer(
            replace(request, attempt=request.attempt + 1), site, vector_of(FIVE.releases[0], site, 1)
        ),
        "reply_invalid",
    ),
}


@pytest.mark.parametrize("name", NOT_COUNTED)
def test_a_site_is_not_counted(name: str) -> None:
    bend, code = NOT_COUNTED[name]
    opened = Federation(FIVE, {"s05": bend}).sum().open("release-1")
    assert opened.total.tolist() == added(FIVE, (1, 2, 3, 4))
    assert set(opened.signatures) == {"s01", "s02", "s03", "s04"}
    assert opened.refusals == {"s05": code}
    # intervals use the shares that came, not those that were hoped for
    assert opened.noise_variance == 4 * 4.0**LOG2_SCALE


def test_a_reply_in_the_name_of_a_site_that_is_not_on_the_roster_is_not_counted() -> None:
    federation = Federation(FIVE)

    def with_stranger(request: ReleaseRequest) -> dict[str, Reply]:
        replies = federation(request)
        replies["s99"] = answer(request, "s99", vector_of(FIVE.releases[0], "s99", 1))
        return replies

    opened = UnsafeClearSum(FIVE, roster(5), with_stranger).open("release-1")
    assert "s99" not in opened.signatures
    assert opened.refusals == {"s99": "reply_invalid"}
    assert len(opened.signatures) == 5


def test_fewer_than_t_shares_fail_and_the_error_names_who_refused_with_what() -> None:
    bent: dict[str, Bend] = {
        "s02": lambda *_: Refused("budget_spent"),
        "s04": NOT_COUNTED["whose signature is no signature"][0],
    }
    federation = Federation(FIVE, bent, absent=frozenset({"s01"}))
    clear_sum = federation.sum()
    with pytest.raises(TooFewSites) as refused:
        clear_sum.open("release-1")
    # the site that is absent did not answer either
    assert refused.value.what == "2 of 5 sites answered release-1, 4 must"
    assert refused.value.where == "s02: budget_spent, s04: reply_invalid"
    assert refused.value.do
    assert clear_sum.opened == []
    assert len(federation.asked) == 1


def test_a_second_attempt_asks_everybody_again_and_adds_only_its_own_shares() -> None:
    def late(request: ReleaseRequest, _: str, honest: Reply) -> Reply:
        return honest if request.attempt == 2 else Refused("no_answer")

    federation = Federation(FIVE, {"s01": late, "s02": late, "s03": lambda *_: Refused("budget_spent")})
    opened = federation.sum(attempts=3).open("release-1")
    assert [request.attempt for request in federation.asked] == [1, 2]
    assert opened.attempt == 2
    assert opened.total.tolist() == added(FIVE, (1, 2, 4, 5), attempt=2)


def test_whoever_may_have_been_debited_is_counted_as_charged() -> None:
    # s01 answers twice; s02 is silent first, so nobody knows; s03 refuses before it debits; s04 answers the
    # first attempt only
    def late(request: ReleaseRequest, _: str, honest: Reply) -> Reply:
        return honest if request.attempt == 2 else Refused("no_answer")

    def early(request: ReleaseRequest, _: str, honest: Reply) -> Reply:
        return honest if request.attempt == 1 else Refused("site_fault")

    def poor(request: ReleaseRequest, _: str, honest: Reply) -> Reply:
        return honest if request.attempt == 2 else Refused("budget_spent")

    six = make_plan(study(("tolerated_dropouts = 1", "tolerated_dropouts = 1")), roster(6))
    opened = Federation(six, {"s02": late, "s03": poor, "s04": early}).sum(attempts=2).open("release-1")
    assert opened.attempt == 2
    assert opened.charged == {"s01": 2, "s02": 2, "s03": 1, "s04": 2, "s05": 2, "s06": 2}


def test_when_every_attempt_fails_the_last_one_is_told() -> None:
    federation = Federation(PLAN, {"s02": lambda request, *_: Refused(f"code_{'ab'[request.attempt - 1]}")})
    with pytest.raises(TooFewSites, match="s02: code_b"):
        federation.sum(attempts=2).open("release-1")
    assert len(federation.asked) == 2


def test_a_share_is_the_contribution_and_fresh_noise() -> None:
    release = PLAN.releases[0]
    status = np.array([1, 0, 1, -1])
    cohort = Cohort(4, {"egfr": np.array([0, 1, 0, -1])}, binary={"responded": BinaryOutcome(status)})
    exact = release.contribution(cohort)
    one, other_one = (noised(release, cohort, SystemNoise()) - exact for _ in range(2))
    assert one.shape == exact.shape
    assert one.tolist() != other_one.tolist()
    # 36 coordinates: the mean square of a Gaussian lies between .2 and 3 times its variance, but for 1e-7
    assert 0.2 < float((one.astype(float) ** 2).mean()) / 4**LOG2_SCALE < 3


def test_without_noise_a_share_is_the_contribution() -> None:
    plan = make_plan(study(text=SMALL), roster(3), unsafe_exact=True)
    cohort = Cohort(2, {"egfr": np.array([0, 1])}, binary={"responded": BinaryOutcome(np.array([1, 0]))})
    sent = noised(plan.releases[0], cohort, SystemNoise())
    assert sent.tolist() == plan.releases[0].contribution(cohort).tolist()
    opened = Federation(plan).sum().open("release-1")
    assert opened.noise_variance == 0.0
