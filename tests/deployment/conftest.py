"""Real Flower processes for the tests in this folder; whatever a module starts has ended when it has."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.deployment.flower import FlowerFederation, StartFlower

RESULTS = {".git", "out", "build", "dist", "__pycache__", ".hypothesis"}


@pytest.fixture(scope="module")
def start_flower(tmp_path_factory: pytest.TempPathFactory, warm_commands: Path) -> Iterator[StartFlower]:
    """Start a SuperLink and one SuperNode for each node configuration.

    ``start_flower(['site-home="/path/a"', ...])``; ``extra`` gives all of them more variables. They run
    until the last test of the module, which may therefore share them.
    """
    started: list[FlowerFederation] = []

    def start(node_configs: Sequence[str], extra: Mapping[str, str] | None = None) -> FlowerFederation:
        federation = FlowerFederation(tmp_path_factory.mktemp("flower"), warm_commands, extra)
        started.append(federation)
        federation.start(node_configs)
        return federation

    try:
        yield start
    finally:
        for federation in started:
            federation.end()
        assert [pid for federation in started for pid in federation.tree.left()] == []


@pytest.fixture(scope="session")
def checkout(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout as people wrote it: Flower walks all of an app's folder, environments and caches too."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        return {
            name
            for name in names
            if name in RESULTS or name.endswith("_cache") or (Path(folder) / name / "pyvenv.cfg").exists()
        }

    return Path(shutil.copytree(repository, tmp_path_factory.mktemp("app") / "checkout", ignore=left_out))
