"""The example app: both of its halves run, two lines differ, and the guide shows exactly those."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedvalue.errors import UnsafeWarning
from fedvalue.server.grids.local import LocalGrid, LocalNode, run_server_app

ROUNDS = 5


@pytest.fixture
def example(repository: Path) -> Path:
    return repository / "docs" / "examples" / "secure-aggregation"


@pytest.fixture(autouse=True)
def _forget_the_apps() -> Iterator[None]:
    yield
    forget()


def forget() -> None:
    """Both apps are packages of one name; the next import must find the other one."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "pressure"]:
        del sys.modules[name]


def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], list[float]]:
    """Run an app as its ``run.py`` does; return the model and the loss after each round."""
    forget()
    with monkeypatch.context() as patch, warnings.catch_warnings():
        patch.syspath_prepend(str(folder))
        patch.setattr(sys, "dont_write_bytecode", True)
        warnings.simplefilter("ignore", UnsafeWarning)
        client = importlib.import_module("pressure.client_app").app
        server = importlib.import_module("pressure.server_app").app
        nodes = {100 + number: LocalNode(client, {"partition-id": number}) for number in range(5)}
        state = run_server_app(server, LocalGrid(nodes), {"rounds": ROUNDS}).state
    losses: Any = state.config_records["losses"]["losses"]
    return {key: array.numpy() for key, array in state.array_records["model"].items()}, losses


def test_the_secured_app_learns_what_the_ordinary_one_learns(
    example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, losses = run(example / "before", monkeypatch)
    after, secured = run(example / "after", monkeypatch)
    # five rounds, each wrong by 2^-25 at most; a step of gradient descent makes no error larger
    for key, wanted in before.items():
        np.testing.assert_allclose(after[key], wanted, rtol=0, atol=ROUNDS * 2.0**-25)
    np.testing.assert_allclose(secured, losses, rtol=0, atol=1e-5)
    assert secured[-1] < 0.02 < secured[0]


def changed(example: Path, name: str) -> list[str]:
    """Lines that differ, without the module's docstring and imports."""

    def kept(side: str) -> list[str]:
        lines = (example / side / "pressure" / name).read_text().splitlines()[1:]
        return [line for line in lines if line and not re.match(r"(from|import) ", line)]

    return [line for line in difflib.ndiff(kept("before"), kept("after")) if line[0] in "+-"]


def test_two_lines_differ_and_the_guide_shows_them(example: Path, repository: Path) -> None:
    lines = [
        *changed(example, "server_app.py"),
        *changed(example, "client_app.py"),
        *changed(example, "task.py"),
    ]
    assert [line[0] for line in lines] == ["-", "+", "-", "+"]
    guide = (repository / "docs" / "secure-aggregation-for-flower.md").read_text()
    (shown,) = re.findall(r"```diff\n(.*?)```", guide, re.DOTALL)
    assert [line for line in shown.splitlines() if line[:1] in "+-" and line] == [
        line[0] + line[2:] for line in lines
    ]
    terms = (example / "after" / "pressure" / "federation.py").read_text().partition("\n\n")[2]
    assert f"```python\n{terms}```" in guide
