"""Processes that are started together and ended together, with everything that they started.

Flower's and Ray's children outlive their parents, change their sessions and are adopted by init, so a
process group does not hold them. Every process started here carries a mark in its environment, which
its descendants inherit; ending the tree ends, by process id, whatever still carries the mark. Linux
shows environments under ``/proc``; elsewhere the process groups have to do.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from fedvalue.errors import FederationError
from fedvalue.quiet import quiet_environment

MARK = "FEDVALUE_PROCESS_TREE"


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nothing listens on at the moment, all different."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def answers(port: int) -> bool:
    """Whether something on this machine accepts connections at a port."""
    with socket.socket() as one:
        one.settimeout(1.0)
        return one.connect_ex(("127.0.0.1", port)) == 0


class ProcessTree:
    """Processes with a common mark and one log file each.

    Attributes:
      folder: Where the logs are, ``NAME.log``.
      environment: What every process gets: quiet, marked, with this interpreter's commands on PATH and
        no proxy between processes of this machine.
    """

    def __init__(self, folder: Path, extra: Mapping[str, str] | None = None) -> None:
        """An empty tree.

        Args:
          folder: An existing folder for the logs.
          extra: Variables on top of this process's environment.
        """
        self.folder = folder
        self._mark = secrets.token_hex(16)
        commands = str(Path(sys.executable).parent)
        path = os.pathsep.join([commands, os.environ.get("PATH", os.defpath)])
        ours = {
            **quiet_environment({}),
            "PATH": path,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            MARK: self._mark,
        }
        self.environment = {**os.environ, **(extra or {}), **ours}
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def start(
        self, name: str, command: Sequence[str], extra: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start one process in a session of its own, its output in the log.

        Args:
          name: What the log is called.
          command: The program, found on the tree's PATH, and its arguments.
          extra: Variables for this process alone, and what it starts.
        """
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                ["/usr/bin/env", *command],
                env={**self.environment, **(extra or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started[name] = process
        return process

    def stop(self, name: str, patience: float = 8.0) -> None:
        """End one process, and forget it.

        Args:
          name: As it was started.
          patience: Seconds that it gets to end by itself after SIGTERM.
        """
        process = self._started.pop(name)
        _signal(process.pid, signal.SIGTERM)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def log(self, name: str) -> str:
        """What a process has said so far."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float) -> float:
        """Wait for something that the processes do.

        Args:
          condition: Looked at five times a second.
          what: What is waited for, for the message.
          seconds: Longest wait.

        Returns:
          How long it took, in seconds.

        Raises:
          FederationError: It took too long, or a process ended meanwhile; the message has the logs' ends.
        """
        began = time.monotonic()
        while not condition():
            ended = [name for name, process in self._started.items() if process.poll() is not None]
            late = time.monotonic() - began > seconds
            if ended or late:
                why = f"{', '.join(ended)} ended" if ended else f"{seconds:.0f} s are over"
                tails = "\n".join(f"--- {name}\n{self.log(name)[-2000:]}" for name in self._started)
                raise FederationError(
                    f"waiting for {what}: {why}", where=f"the processes' last words\n{tails}"
                )
            time.sleep(0.2)
        return time.monotonic() - began

    def left(self) -> list[int]:
        """Process ids of everything alive that carries the mark."""
        if not Path("/proc/self/environ").exists():
            return [p.pid for p in self._started.values() if p.poll() is None]
        mark = f"{MARK}={self._mark}".encode()
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    carries = mark in (entry / "environ").read_bytes().split(b"\0")
                except OSError:  # ended meanwhile, or another user's
                    continue
                if carries:
                    found.append(int(entry.name))
        return found

    def end(self, patience: float = 8.0) -> None:
        """End every process of the tree; nothing that carries the mark is alive afterwards.

        Args:
          patience: Seconds that the processes get to end by themselves after SIGTERM.
        """
        for process in reversed(self._started.values()):
            _signal(process.pid, signal.SIGTERM)
        until = time.monotonic() + patience
        for process in self._started.values():
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for word in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
            left = self.left()
            for pid in left:
                _signal(pid, word)
            until = time.monotonic() + 3.0
            while left and self.left() and time.monotonic() < until:
                time.sleep(0.05)
        self._started.clear()


def _signal(pid: int, word: signal.Signals) -> None:
    try:
        os.kill(pid, word)
    except ProcessLookupError:  # it ended by itself, which is what was wanted
        return
