"""Fixtures of the records room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.records_desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "hospital"
    folder.mkdir()
    return Desk(folder, tmp_path / "home" / "records.duckdb")
