"""Fixtures that every test may use, and where their temporary files are."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedvalue.quiet import quiet_environment

if TYPE_CHECKING:
    from tests.loads import Loads

Place = Callable[[Path], Path]
"""Gives the file that names a server, in a folder."""
REPOSITORY = Path(__file__).resolve().parent.parent
MEMORY = Path("/dev/shm")
FIRST = ("deployment/", "unit/test_documents.py", "real/")
"""Files and folders whose tests take minutes together."""

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that the last process to end has not just begun one."""

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(REPOSITORY / "tests").as_posix()
        return next((number for number, first in enumerate(FIRST) if name.startswith(first)), len(FIRST))

    items.sort(key=place)


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
def postgres() -> Iterator[str]:
    """Address of a real PostgreSQL server on a socket of its own, one for this process."""
    from tests.postgres import started  # most tests need none

    with started() as address:
        yield address


@pytest.fixture
def on_server(postgres: str) -> Iterator[Place]:
    """Name the server of the tests in a folder, each time with a schema of its own, gone afterwards."""
    import psycopg

    from fedvalue.client.records.server import server_file

    made: list[str] = []

    def place(folder: Path) -> Path:
        made.append(f"s_{uuid.uuid4().hex[:12]}")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "records.toml"
        path.write_bytes(server_file(postgres, made[-1]))
        path.chmod(0o600)
        return path

    yield place
    with psycopg.connect(postgres, autocommit=True) as connection:
        for schema in made:
            connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'.encode())


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
