"""Fixtures that every test may use, and where their temporary files are."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedvalue.quiet import quiet_environment

if TYPE_CHECKING:
    from tests.loads import Loads

REPOSITORY = Path(__file__).resolve().parent.parent
MEMORY = Path("/dev/shm")
ROOM = 6 * 2**30
"""Free bytes that all files of a whole run need there, twice over."""


def pytest_configure() -> None:
    """Save what no test is about: compiling again and again, and waiting for a disk.

    Processes that tests start may keep what they compiled even where the machine says otherwise. Temporary
    files are in memory where there is room: stores and ledgers ask for the disk so often.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # asked again, now with the variable


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later search for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets; a test that needs it skips, saying so, where it is absent."""
    folder = Path(os.environ.get("FEDVALUE_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not at {folder}; set FEDVALUE_REAL_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def warm_commands() -> Iterator[Path]:
    """Folder of a ``fedvalue`` and a ``flwr`` that import nothing anew; see `tests.warm`."""
    from tests import warm  # most tests need no room

    with warm.started({**quiet_environment(), "COLUMNS": "160", "NO_COLOR": "1"}) as folder:
        yield folder


@pytest.fixture(scope="session")
def loads(tmp_path_factory: pytest.TempPathFactory) -> Loads:
    """Loads a table once in this run of the tests."""
    from tests.loads import Loads

    return Loads(tmp_path_factory.mktemp("loads"))


@pytest.fixture
def load_once(loads: Loads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulations of one test share the stores that others loaded from the same tables."""
    from fedvalue.client import loading

    monkeypatch.setattr(loading, "load", loads)
