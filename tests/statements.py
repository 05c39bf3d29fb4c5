"""Signed statements for tests: one fixed institution's key, so that a settlement has something to read."""

from __future__ import annotations

from datetime import date
from typing import TypeVar

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.payment.mechanisms.settle import Realised, attest
from fedvalue.payment.mechanisms.underlying import Draws

F = TypeVar("F")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def stated(
    facts: F,
    *,
    institution: str = "hospital 1",
    start: date = date(2025, 1, 1),
    end: date = date(2025, 12, 31),
) -> Realised[F]:
    """Return an institution's signed statement of facts."""
    return attest(facts, institution=institution, contract="contract 1", start=start, end=end, key=KEY)


def certain(names: tuple[str, ...], values: list[float], *, runs: int = 2) -> Draws:
    """Return draws without any uncertainty, to reach the formulas behind them."""
    zeros = np.zeros((runs, len(names)))
    return Draws(names, np.array(values), zeros, zeros, "ev-test")
