"""Real Flower processes for the tests in this folder; whatever a test starts has ended when it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.deployment.flower import FlowerFederation, StartFlower


@pytest.fixture
def start_flower(tmp_path: Path) -> Iterator[StartFlower]:
    """Start a SuperLink and one SuperNode for each node configuration.

    ``start_flower(['site-home="/path/a"', ...])``; ``extra`` gives all of them more variables.
    """
    started: list[FlowerFederation] = []

    def start(node_configs: Sequence[str], extra: Mapping[str, str] | None = None) -> FlowerFederation:
        folder = tmp_path / f"flower-{len(started)}"
        folder.mkdir()
        federation = FlowerFederation(folder, extra)
        started.append(federation)
        federation.start(node_configs)
        return federation

    try:
        yield start
    finally:
        for federation in started:
            federation.end()
        assert [pid for federation in started for pid in federation.tree.left()] == []
