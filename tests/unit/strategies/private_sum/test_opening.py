"""The private sum of a real plan, behind the interface of the clear sum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.errors import (
    BudgetSpent,
    FedValueError,
    PolicyForbids,
    ReleaseUnknown,
    TooFewSites,
    UnsafeWarning,
)
from fedvalue.planning.plan import Plan, make_plan
from fedvalue.privacy import gaussian
from fedvalue.privacy.randomness import SystemNoise
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.secure_sum.specification import RoundSpecification
from fedvalue.strategies.secure_aggregation.messages import Refused
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.strategies.secure_aggregation.private_sum.agreed import ChargedShare, agreed_on
from fedvalue.strategies.secure_aggregation.private_sum.journal import LedgerEnd, UnsafeMemoryJournal
from fedvalue.strategies.secure_aggregation.private_sum.opening import PrivateSum, UnsafeExactSum
from fedvalue.strategies.secure_aggregation.private_sum.site import SiteProtocol
from fedvalue.study.roster import Roster, Site
from fedvalue.study.signature import public_hex
from tests.agreement import SMALL, study

STUDY = study(("min_sites = 3", "min_sites = 5"), ("dropouts = 0", "dropouts = 1"), text=SMALL)


@dataclass
class Hospitals:
    """Five sites that approved the plan; each contributes its own constant vector."""

    exact: bool = False
    lost: dict[str, str] = field(default_factory=dict)
    poor: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        keys = {f"h{n}": Ed25519PrivateKey.generate() for n in range(1, 6)}
        self.roster = Roster(
            site=tuple(
                Site(
                    id=name, entity=f"Hospital {name}", operator="itself",
                    public_key=public_hex(key), officer_key=public_hex(key),
                )
                for name, key in keys.items()
            )
        )  # fmt: skip
        self.plan: Plan = make_plan(STUDY, self.roster, unsafe_exact=self.exact)
        agreed = agreed_on(self.plan, self.roster, unsafe_exact=self.exact)
        self.shares: dict[str, list[object]] = {name: [] for name in keys}

        def give(name: str, asked: RoundSpecification) -> ChargedShare:
            if name in self.poor:
                raise BudgetSpent("nothing is left")
            vector = np.full(asked.release.dimension, int(name[1:]), dtype=np.int64)
            if not asked.release.exact:
                vector = vector + gaussian.sample(SystemNoise(), len(vector), log2_scale=LOG2_SCALE)
            self.shares[name].append(vector)
            return ChargedShare(vector, LedgerEnd(len(self.shares[name]), bytes(32)))

        self.sites = {
            name: SiteProtocol(
                name,
                key,
                lambda study_hash: agreed,
                lambda asked, question, name=name: give(name, asked),  # type: ignore[misc]  # bound now
                UnsafeMemoryJournal(),
            )
            for name, key in keys.items()
        }

    def exchange(self, step: str, requests: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | Refused]]:
        for name, payload in requests.items():
            if self.lost.get(name) == step:
                continue
            try:
                yield name, self.sites[name].answer(step, payload)
            except FedValueError as error:
                yield name, Refused(error.code)


def test_a_planned_release_opens_with_the_noise_of_those_that_delivered() -> None:
    hospitals = Hospitals(lost={"h2": wire.MASKED})
    private = PrivateSum(hospitals.plan, hospitals.roster, hospitals.exchange, attempts=2)
    label = hospitals.plan.releases[0].label
    opened = private.open(label)
    assert opened.survivors == ("h1", "h3", "h4", "h5")
    wanted = sum(hospitals.shares[name][0] for name in opened.survivors)  # type: ignore[misc]  # arrays
    np.testing.assert_array_equal(opened.total, wanted)
    assert opened.noise_variance == 4 * 4.0**20
    assert opened.charged == {"h1": 1, "h2": 1, "h3": 1, "h4": 1, "h5": 1}  # h2 may have paid
    assert set(opened.blocks()) == {block.name for block in opened.release.blocks}
    assert private.open(label) is opened  # a release is opened once
    transcript = wire.transcript_of(opened.transcript)
    agreed = agreed_on(hospitals.plan, hospitals.roster)
    transcript.verify(agreed.suite, agreed.membership, opened.total.astype("<i8").tobytes())
    assert transcript.specification.release.query == hospitals.plan.specification(opened.release)


def test_a_site_that_says_no_before_its_debit_is_not_counted_as_charged() -> None:
    hospitals = Hospitals(poor={"h3"})
    private = PrivateSum(hospitals.plan, hospitals.roster, hospitals.exchange)
    opened = private.open(hospitals.plan.releases[0].label)
    assert opened.refusals == {"h3": "budget_spent"}
    assert opened.charged == {"h1": 1, "h2": 1, "h4": 1, "h5": 1}


def test_a_failed_attempt_is_charged_and_the_next_one_opens() -> None:
    hospitals = Hospitals(lost={"h1": wire.CONSISTENCY, "h2": wire.CONSISTENCY})
    private = PrivateSum(hospitals.plan, hospitals.roster, hospitals.exchange, attempts=2)
    exchange = private.exchange

    def mended(step: str, requests: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | Refused]]:
        yield from exchange(step, requests)
        if step == wire.CONSISTENCY:
            hospitals.lost.clear()

    private.exchange = mended
    opened = private.open(hospitals.plan.releases[0].label)
    assert opened.attempt == 2
    assert set(opened.charged.values()) == {2}
    wanted = sum(shares[1] for shares in hospitals.shares.values())  # type: ignore[misc]  # arrays
    np.testing.assert_array_equal(opened.total, wanted)


def test_too_few_sites_in_every_attempt_is_an_error_that_names_them() -> None:
    hospitals = Hospitals(lost={"h1": wire.MASKED, "h2": wire.MASKED})
    private = PrivateSum(hospitals.plan, hospitals.roster, hospitals.exchange, attempts=2)
    with pytest.raises(TooFewSites, match="3 of 5 sites took the step 'masked', 4 must") as caught:
        private.open(hospitals.plan.releases[0].label)
    assert "h1: no_answer, h2: no_answer" in str(caught.value)


def test_a_release_outside_the_plan_is_refused_before_anybody_is_asked() -> None:
    hospitals = Hospitals()
    with pytest.raises(ReleaseUnknown):
        PrivateSum(hospitals.plan, hospitals.roster, hospitals.exchange).open("release-99")
    assert not any(hospitals.shares.values())


def test_a_plan_without_noise_needs_its_unsafe_name_and_warns() -> None:
    hospitals = Hospitals(exact=True)
    with pytest.raises(PolicyForbids):
        PrivateSum(hospitals.plan, hospitals.roster, hospitals.exchange).open("release-1")
    with pytest.warns(UnsafeWarning):
        exact = UnsafeExactSum(hospitals.plan, hospitals.roster, hospitals.exchange)
    opened = exact.open(hospitals.plan.releases[0].label)
    assert set(opened.total.tolist()) == {1 + 2 + 3 + 4 + 5}
    assert opened.noise_variance == 0.0
