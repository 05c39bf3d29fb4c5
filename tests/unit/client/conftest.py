"""Fixtures of the site's room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.client.governance.ledger import Ledger
from tests.ledger_cases import BUDGET

Clock = Callable[[], datetime]


@pytest.fixture
def site_key() -> Ed25519PrivateKey:
    """The same key in every test and in the processes that a test starts."""
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at noon, 1 March 2026, UTC."""
    return lambda: datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger of a test lies."""
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path, site_key: Ed25519PrivateKey, clock: Clock) -> Iterator[Ledger]:
    """A new ledger of the usual budget."""
    with Ledger.create(path, BUDGET, site_key, clock) as made:
        yield made


@pytest.fixture
def reopen(path: Path, site_key: Ed25519PrivateKey, clock: Clock) -> Iterator[Callable[[], Ledger]]:
    """Opens the same file again, verifying all of it."""
    opened: list[Ledger] = []

    def again() -> Ledger:
        opened.append(Ledger.open(path, site_key, clock, budget=BUDGET))
        return opened[-1]

    yield again
    for each in opened:
        each.close()
