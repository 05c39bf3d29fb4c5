"""The health check of the containers against the health endpoint of the sites."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fedvalue.operations.endpoint import Endpoint
from fedvalue.operations.processes import free_ports


def status(repository: Path, *words: str) -> int:
    done = subprocess.run(
        [sys.executable, "-IS", repository / "docker" / "health.py", *words],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode


@pytest.mark.parametrize(("ok", "expected"), [(True, 0), (False, 1)])
def test_a_site_is_well_when_its_endpoint_says_so(repository: Path, ok: bool, expected: int) -> None:
    with tempfile.TemporaryDirectory(prefix="fv-") as folder:
        where = f"{folder}/status.sock"
        endpoint = Endpoint(where, health=lambda: {"ok": ok}, metrics=lambda: "")
        try:
            assert status(repository, f"unix:{where}") == expected
        finally:
            endpoint.close()


def test_nobody_there_a_wrong_address_and_no_address_are_not_well(repository: Path, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    assert status(repository, f"unix:{tmp_path}/none.sock") == 1
    assert status(repository, f"tcp:{port}") == 1
    assert status(repository, "tcp:nonsense") == 1
    assert status(repository, f"https://127.0.0.1:{port}", str(tmp_path / "no-root")) == 1
    assert status(repository) == 1
