"""Fixtures of the privacy room."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fedvalue.errors import UnsafeWarning
from fedvalue.privacy.randomness import UnsafeSeededNoise

MakeSeeded = Callable[[int], UnsafeSeededNoise]


@pytest.fixture
def seeded() -> MakeSeeded:
    """Makes a repeatable source; its warning is expected here and an error anywhere else."""

    def make(seed: int) -> UnsafeSeededNoise:
        with pytest.warns(UnsafeWarning):
            return UnsafeSeededNoise(seed)

    return make
