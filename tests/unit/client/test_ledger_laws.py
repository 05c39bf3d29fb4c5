"""Whatever is interleaved, and whenever the site dies: never above the budget, never a charge forgotten."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fedvalue.client.governance.ledger import Ledger
from fedvalue.errors import LedgerError, Refusal
from tests.ledger_cases import BUDGET, WHOLE, ask, plan

STUDIES = ("aa" * 32, "bb" * 32)
RELEASES = ("release-1", "release-2")
PARTITIONS = ("2025", "2026", "2027")

studies = st.sampled_from(STUDIES)
prices = st.sampled_from((WHOLE // 20, WHOLE // 9, WHOLE // 3))
touched = st.sampled_from(((), ("2025",), ("2025", "2026"), ("2026",), ("2027",)))
rarely = st.sampled_from((False, False, False, False, True))


class DiedError(Exception):
    """The process died inside a transaction."""


class Site(RuleBasedStateMachine):
    """A ledger driven at random beside a model of the only thing that counts: what was said to be charged."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-laws-"))
        self.path = self.folder / "ledger.sqlite"
        self.key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        self.dies = False
        self.prices: dict[str, int] = {}
        self.slots: dict[str, set[tuple[str, str, int]]] = {}
        self.touched: dict[str, tuple[str, ...]] = {}
        self.charged: dict[str, dict[tuple[str, str, int], int]] = {}
        self.closed: set[str] = set()

    def clock(self) -> datetime:
        # An entry asks for the time inside its transaction, before it is written.
        if self.dies:
            raise DiedError
        return datetime(2026, 3, 1, tzinfo=UTC)

    @initialize()
    def create(self) -> None:
        self.ledger = Ledger.create(self.path, BUDGET, self.key, self.clock, partitions=PARTITIONS[:2])
        self.charged = {name: {} for name in PARTITIONS[:2]}

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(self.path, self.key, self.clock, budget=BUDGET)

    @rule(study=studies, price=prices, attempts=st.integers(1, 2), partitions=touched, dies=rarely)
    def reserve(self, study: str, price: int, attempts: int, partitions: tuple[str, ...], dies: bool) -> None:
        self.dies = dies
        asked = plan(price, attempts=attempts, releases=RELEASES, study=study, partitions=partitions)
        with suppress(Refusal, LedgerError, DiedError):
            self.ledger.reserve(asked)
            assert study not in self.closed
            self.prices[study] = price
            self.slots[study] = {(study, each, n) for each in RELEASES for n in range(1, 1 + attempts)}
            if study not in self.touched:
                self.touched[study] = partitions or tuple(self.charged)
        self.settle(dies)

    @rule(
        study=studies, release=st.sampled_from(RELEASES), attempt=st.integers(1, 2), other=prices,
        reserve=st.booleans(), dies=rarely,
    )  # fmt: skip
    def debit(self, study: str, release: str, attempt: int, other: int, reserve: bool, dies: bool) -> None:
        self.dies = dies
        debit = ask(self.prices.get(study, other), attempt=attempt, release=release, study=study)
        with suppress(Refusal, LedgerError, DiedError):
            receipt = self.ledger.debit(debit, reserve=reserve)
            entry = self.ledger.entries()[receipt.number - 1]
            assert receipt.fresh is (debit.key not in {key for keys in self.charged.values() for key in keys})
            assert not (receipt.fresh and study in self.closed)
            for name in entry.partitions:
                self.charged[name][debit.key] = debit.price.rho_units or 0
        self.settle(dies)

    @rule(study=studies, dies=rarely, really=rarely)
    def close(self, study: str, dies: bool, really: bool) -> None:
        if not really:
            return  # a close ends a study for good, so that it must be rare to see much before it
        self.dies = dies
        with suppress(Refusal, LedgerError, DiedError):
            self.ledger.close_study(study)
            self.closed.add(study)
            self.slots.pop(study, None)
        self.settle(dies)

    @precondition(lambda self: PARTITIONS[2] not in self.charged)
    @rule()
    def open_partition(self) -> None:
        self.ledger.open_partition(PARTITIONS[2])
        self.charged[PARTITIONS[2]] = {}

    def settle(self, died: bool) -> None:
        self.dies = False
        if died:
            self.restart()

    @invariant()
    def nothing_exceeds_the_budget_and_no_charge_is_lost(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for account in self.ledger.accounts():
            spent, reserved = account.spent.rho_units or 0, account.reserved.rho_units or 0
            assert spent == sum(self.charged[account.name].values())
            charged = set().union(*self.charged.values())
            assert reserved == sum(
                self.prices[study] * len(slots - charged)
                for study, slots in self.slots.items()
                if account.name in self.touched[study]
            )
            assert spent + reserved <= WHOLE
            assert account.remaining_units == WHOLE - spent - reserved
        assert self.closed.isdisjoint(held.study_hash for held in self.ledger.reservations())

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()
        shutil.rmtree(self.folder)


TestAnyInterleaving = Site.TestCase
TestAnyInterleaving.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
