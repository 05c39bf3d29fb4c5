"""Several processes that run together: what dies is started again, what is stopped leaves nothing behind.

Every process is tied to this one by `tether`, leads its own process group, and has its output read line by
line. After a death the rest of its group is killed before it is started anew, later and later while it keeps
dying.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedvalue.client.running import tether
from fedvalue.operations.logs import printed

STEADY = 60.0
"""Seconds after which a process that runs counts as well again."""

TICK = 0.2
LONGEST_LINE = 65_536
CHUNK = 65_536

Said = Callable[[str, Mapping[str, object]], None]
"""``(part, event)``: gets every line that a process printed, and what happened to it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A process to keep running.

    Attributes:
      name: For logs and numbers, such as ``node``.
      command: Program and arguments.
      environment: All of its environment.
      ready: Tells from one of its lines that it is ready; None: as soon as it runs.
      stdin: Bytes that it reads from standard input, such as a passphrase: in no file and no argument.
      ours: True if it prints our log lines.
      grace: Seconds that it gets to end by itself.
      gave_up: Tells from one of its lines that it will do nothing more, though it runs; it is then killed and
        started again as if it had died.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ready: Callable[[Mapping[str, object]], bool] | None = None
    stdin: bytes = field(default=b"", repr=False)
    ours: bool = True
    grace: float = 8.0
    gave_up: Callable[[Mapping[str, object]], bool] | None = None


@dataclass(frozen=True, slots=True)
class Waits:
    """How long to wait before a process is started again.

    Attributes:
      first: Seconds after its first death; doubled each time.
      longest: Most seconds.
    """

    first: float = 0.5
    longest: float = 60.0

    def after(self, deaths: int) -> float:
        """Return the seconds to wait after so many deaths in a row, at least one."""
        return float(min(self.first * 2.0 ** min(deaths - 1, 30), self.longest))


@dataclass(slots=True)
class _Running:
    """What is known of a part: changed by the supervisor's own thread only."""

    part: Part
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    began: float = 0.0
    restarts: int = 0
    deaths: int = 0
    due: float = 0.0
    status: int | None = None
    rest: bytes = b""


class Supervisor:
    """Keeps parts running until it is told to stop; `run` it in the main thread."""

    def __init__(self, parts: tuple[Part, ...], said: Said, waits: Waits = Waits()) -> None:
        """Prepare; nothing is started yet.

        Args:
          parts: Started in this order and stopped in the other.
          said: Gets lines and events; called in the thread that runs `run`.
          waits: Between a death and the next start.
        """
        self._running = {part.name: _Running(part) for part in parts}
        self._said, self._waits = said, waits
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()

    def state(self) -> dict[str, dict[str, object]]:
        """Return each part's ``state`` (ready, starting, waiting), ``restarts``, ``pid``, last ``exit``."""
        with self._lock:
            return {
                name: {
                    "state": "waiting" if each.process is None else "ready" if each.ready else "starting",
                    "restarts": each.restarts,
                    "pid": each.process.pid if each.process is not None else 0,
                    "exit": each.status,
                }
                for name, each in self._running.items()
            }

    def run(self, stop: threading.Event, tick: Callable[[], None] = lambda: None) -> None:
        """Start everything and keep it running until ``stop`` is set; then end everything.

        Args:
          stop: Set by a signal handler, say; looked at several times a second.
          tick: Called as often.
        """
        try:
            while not stop.is_set():
                for each in self._running.values():
                    if each.process is None and time.monotonic() >= each.due:
                        self._start(each)
                self._listen(TICK)
                for each in self._running.values():
                    self._look(each)
                tick()
        finally:
            self.end()

    def end(self) -> None:
        """End every part, the last one first: SIGTERM, its grace, then SIGKILL to its whole group."""
        for each in reversed(self._running.values()):
            process = each.process
            if process is None:
                continue
            with suppress(ProcessLookupError):
                process.terminate()
            until = time.monotonic() + each.part.grace
            while time.monotonic() < until and not _ended(process.pid):
                self._listen(0.05)
            self._bury(each)
            self._said(each.part.name, {"event": "part stopped", "exit": each.status})
        self._selector.close()
        self._selector = selectors.DefaultSelector()

    def _start(self, each: _Running) -> None:
        part = each.part
        words = (sys.executable, "-I", "-S", str(Path(tether.__file__)), str(os.getpid()), *part.command)
        try:
            process = subprocess.Popen(
                words,
                env=dict(part.environment),
                stdin=subprocess.PIPE if part.stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            self._died(each, f"cannot be started: {error.strerror}")
            return
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.write(part.stdin)
                process.stdin.close()
        if process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)
            self._selector.register(process.stdout, selectors.EVENT_READ, each)
        with self._lock:
            each.process, each.ready, each.began = process, part.ready is None, time.monotonic()
        self._said(part.name, {"event": "part started", "pid": process.pid})

    def _look(self, each: _Running) -> None:
        process = each.process
        if process is None:
            return
        if _ended(process.pid):
            self._bury(each)
            self._died(each, "ended")
        elif each.deaths and time.monotonic() - each.began > STEADY:
            each.deaths = 0

    def _died(self, each: _Running, why: str) -> None:
        with self._lock:
            each.deaths += 1
            each.restarts += 1
            wait = self._waits.after(each.deaths)
            each.due = time.monotonic() + wait
        self._said(
            each.part.name, {"event": "part died", "why": why, "exit": each.status, "again_in_seconds": wait}
        )

    def _bury(self, each: _Running) -> None:
        """Kill what is left of a part's group, read its last lines, and take its status."""
        process = each.process
        if process is None:
            return
        # its number is not free before it is waited for, so the group is still its own
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            process.kill()
        status = process.wait()
        if process.stdout is not None:
            self._read(process.stdout, each)
            with suppress(KeyError, ValueError):
                self._selector.unregister(process.stdout)
            process.stdout.close()
        with self._lock:
            each.process, each.ready, each.status, each.rest = None, False, status, b""

    def _listen(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            self._read(key.fileobj, key.data)

    def _read(self, pipe: Any, each: _Running) -> None:
        """Take what a part has printed; its end is seen by `_look`."""
        while True:
            try:
                data = os.read(pipe.fileno(), CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                with suppress(KeyError, ValueError):
                    self._selector.unregister(pipe)
                return
            *lines, each.rest = (each.rest + data).split(b"\n")
            if len(each.rest) > LONGEST_LINE:
                lines, each.rest = [*lines, each.rest], b""
            for line in lines:
                self._line(each, line)

    def _line(self, each: _Running, line: bytes) -> None:
        if not line.strip():
            return
        said = printed(line.decode("utf-8", "replace"), ours=each.part.ours)
        if not each.ready and each.part.ready is not None and each.part.ready(said):
            with self._lock:
                each.ready = True
        self._said(each.part.name, said)
        if each.process is not None and each.part.gave_up is not None and each.part.gave_up(said):
            each.process.kill()  # `_look` sees its end


def _ended(pid: int) -> bool:
    """Tell whether a child has ended, leaving it to be waited for."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
