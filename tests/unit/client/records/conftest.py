"""Fixtures of the records room."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.records_desk import Desk


@pytest.fixture
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Desk:
    """A hospital with its store: a DuckDB file, or on the server of the tests where the environment says so.

    ``FEDVALUE_TEST_STORE=postgresql`` asks the hand-worked answers of this folder of the other engine; tests
    that open the file itself are not for it.
    """
    folder, home = tmp_path / "hospital", tmp_path / "home"
    folder.mkdir()
    if os.environ.get("FEDVALUE_TEST_STORE") == "postgresql":
        place: Path = request.getfixturevalue("on_server")(home)
        return Desk(folder, place)
    return Desk(folder, home / "records.duckdb")
