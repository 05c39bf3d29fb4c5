"""Everything that a process tree started is gone when the tree has ended."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from fedvalue.errors import FederationError
from fedvalue.operations.processes import MARK, ProcessTree, answers, free_ports

# A child in a session of its own, whose parent ends at once: init adopts it, no group holds it.
ORPHAN = """
import subprocess, sys, time
child = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
print("started", flush=True)
if sys.argv[1] == "stay":
    time.sleep(600)
"""


@pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="only Linux shows what descends from what"
)
def test_an_orphan_that_ignores_the_word_is_ended_too(tmp_path: Path) -> None:
    tree = ProcessTree(tmp_path)
    with tree:
        tree.start("parent", [sys.executable, "-c", ORPHAN, "go"]).wait(20)
        deadline = time.monotonic() + 10
        while not tree.left() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(tree.left()) == 1
    assert tree.left() == []


def test_a_parent_and_its_child_are_ended_together(tmp_path: Path) -> None:
    with ProcessTree(tmp_path) as tree:
        parent = tree.start("parent", [sys.executable, "-c", ORPHAN, "stay"])
        took = tree.wait_until(lambda: "started" in tree.log("parent"), "the parent", 20)
        assert took < 20
    assert parent.returncode is not None
    assert tree.left() == []


def test_a_process_that_ends_while_waited_for_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with ProcessTree(tmp_path) as tree:
        tree.start("short", [sys.executable, "-c", "print('no such port')"])
        with pytest.raises(FederationError, match=r"waiting for the port: short ended[\s\S]*no such port"):
            tree.wait_until(lambda: False, "the port", 20)


def test_the_environment_is_quiet_marked_and_without_proxy(tmp_path: Path) -> None:
    environment = ProcessTree(tmp_path, {"FLWR_TELEMETRY_ENABLED": "1", "HOME": "/nowhere"}).environment
    assert environment["FLWR_TELEMETRY_ENABLED"] == "0"
    assert environment["NO_PROXY"] == "127.0.0.1"
    assert environment["HOME"] == "/nowhere"
    assert environment[MARK]
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_free_ports_are_different_and_nothing_answers_there() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert not any(answers(port) for port in ports)
