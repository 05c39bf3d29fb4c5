"""After every attack: no round with two vectors of one site, and nobody's two secrets in one hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.sum_federation import Federation


@pytest.fixture
def federate() -> Iterator[Callable[..., Federation]]:
    """Makes federations, and checks at the end that nothing leaked from any of them."""
    made: list[Federation] = []

    def make(n: int = 5, c: int = 1, f: int = 1, **settings: object) -> Federation:
        made.append(Federation(n, c, f, **settings))  # type: ignore[arg-type]  # passed on as they came
        return made[-1]

    yield make
    for federation in made:
        federation.nothing_leaked()
