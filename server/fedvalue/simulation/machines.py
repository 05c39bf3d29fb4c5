"""A whole federation as processes of this machine: a SuperLink and sites, with TLS and authentication.

Nothing is simulated but the hospitals' records: each party is a process of its own with a folder of its own,
started by the command that its people type, on ports of the loopback interface.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from fedvalue.errors import FederationError
from fedvalue.operations.endpoint import ask
from fedvalue.operations.processes import ProcessTree, answers, free_ports
from fedvalue.simulation.office_work import Papers

HOST = "127.0.0.1"
START_SECONDS = 120.0
CONNECTION = "here"
STUDIES = 3
"""Side by side, each with a port of its own."""

SIDE_BY_SIDE = 3
"""Registrations at once: each is a process that mostly imports."""

TRIES, MOST_PORT = 20, 65535
LOGS, FLOWER = "logs", "flower"

SETTINGS = """
[flower]
port = {port}
{superlink}
{sessions}
[status]
listen = "{host}:{status}"

[logs]
stderr = "json"
"""


@dataclass(slots=True)
class Machines:
    """The processes of one federation; use it as a context manager: all of them end with the block.

    Attributes:
      papers: Who takes part.
      extra: Variables that every process gets.
      flwr: Flower's command, for the registration of SuperNodes and the start of runs.
      doors: Site id to the ``host:port`` that it dials instead of the SuperLink's own, such as a proxy's.
      session_doors: Site id to the ``host:port`` that it dials for sessions, or ``none``.
      streams: Let studies run over sessions; else over Flower's own grid.
      ports: Where sites may dial in; empty takes a free port for each of three studies side by side.
      tree: The processes.
    """

    papers: Papers
    extra: Mapping[str, str] = field(default_factory=dict)
    flwr: str = "flwr"
    doors: Mapping[str, str] = field(default_factory=dict)
    session_doors: Mapping[str, str] = field(default_factory=dict)
    streams: bool = True
    ports: str = ""
    tree: ProcessTree = field(init=False)
    _sockets: Path = field(init=False)
    _status: dict[str, str] = field(init=False, default_factory=dict)

    def __enter__(self) -> Self:
        logs, flower = self.papers.folder / LOGS, self.papers.folder / FLOWER
        for folder in (logs, flower):
            folder.mkdir(exist_ok=True)
        self.tree = ProcessTree(logs, {**self.extra, "FLWR_HOME": str(flower), "NO_COLOR": "1"})
        self.ports = self.ports or f"{HOST}:{_run_of_ports(STUDIES)}"
        self._sockets = Path(tempfile.mkdtemp(prefix="fv-"))  # a socket's path has 107 bytes at most
        root = self.papers.office / "tls" / "ca.crt"
        address = f'address = "{HOST}:{self.port}"\nroot-certificates = "{root.resolve()}"\n'
        (flower / "config.toml").write_text(f"[superlink.{CONNECTION}]\n{address}", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tree.end()
        shutil.rmtree(self._sockets, ignore_errors=True)

    @property
    def port(self) -> int:
        """The SuperLink's."""
        words = self.papers.superlink
        return int(words[words.index("--port") + 1])

    def begin_superlink(self) -> None:
        """Start the SuperLink with TLS and node authentication."""
        words = list(self.papers.superlink)
        words[words.index("--host") + 1] = HOST
        self.tree.start("superlink", words)

    def start_superlink(self) -> None:
        """Start the SuperLink, and wait until it answers.

        Raises:
          FederationError: it does not start.
        """
        self.begin_superlink()
        self.wait_for_superlink()

    def wait_for_superlink(self) -> None:
        """Wait until the SuperLink answers.

        Raises:
          FederationError: it does not, or has ended.
        """
        self.tree.wait_until(lambda: answers(self.port), "the SuperLink", START_SECONDS)

    def register(self) -> None:
        """Register every SuperNode's key at the SuperLink.

        Raises:
          FederationError: one is refused.
        """
        keys = [self.papers.office / "nodes" / f"{site}.pub" for site in self.papers.sites]
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(lambda key: self.run(self.flwr, "supernode", "register", key, CONNECTION), keys))

    def start_sites(self, *sites: str, extra: Mapping[str, str] | None = None) -> None:
        """Start ``fedvalue site serve`` for sites, all by default.

        Args:
          sites: Site ids.
          extra: More variables for these.

        Raises:
          OutputError: a home cannot be written.
        """
        chosen = sites or self.papers.sites
        ports = free_ports(2 * len(chosen))
        for site, own, status in zip(chosen, ports[::2], ports[1::2], strict=True):
            door = f'superlink = "{self.doors[site]}"' if site in self.doors else ""
            way = f'sessions = "{self.session_doors[site]}"' if site in self.session_doors else ""
            text = SETTINGS.format(port=own, superlink=door, sessions=way, host=HOST, status=status)
            (self.papers.home(site) / "serve.toml").write_text(text, encoding="utf-8")
            self._status[site] = f"{HOST}:{status}"
            socket = self._sockets / site
            words = ["fedvalue", "site", "serve", str(self.papers.home(site)), "--socket", str(socket)]
            self.tree.start(site, words, extra)

    def wait_for_sites(self, *sites: str) -> None:
        """Wait until sites, all by default, have their node, SuperNode and worker ready.

        Raises:
          FederationError: one is not ready in time, or has ended.
        """
        chosen = sites or self.papers.sites
        self.tree.wait_until(lambda: all(self.ready(site) for site in chosen), "the sites", START_SECONDS)

    def ready(self, site: str) -> bool:
        """Tell whether all parts of a site are ready."""
        return set(self.states(site).values()) == {"ready"}

    def states(self, site: str) -> dict[str, str]:
        """Return the state of each part of a site; empty while it does not answer."""
        return {name: str(part["state"]) for name, part in self._parts(site).items()}

    def pids(self, site: str) -> dict[str, int]:
        """Return the process id of each part of a site."""
        return {name: int(str(part["pid"])) for name, part in self._parts(site).items()}

    def _parts(self, site: str) -> dict[str, dict[str, object]]:
        try:
            found: dict[str, dict[str, object]] = json.loads(ask(self._status[site])[1])["parts"]
        except (OSError, ValueError, KeyError):
            return {}
        return found

    def study_command(self, study: Path, out: Path, *more: str, roster: Path | None = None) -> list[str]:
        """Return the words with which the coordinator's people run a study here; by default over all."""
        papers = self.papers
        words: list[str | Path] = [
            "fedvalue", "study", "run", study, "--roster", roster or papers.roster,
            "--authority", papers.authority, "--revocations", papers.revocations, "--out", out,
            "--federation", papers.office, "--connection", CONNECTION,
            *(("--sessions", self.ports) if self.streams else ()), *more,
        ]  # fmt: skip
        return [str(word) for word in words]

    def run(self, *words: str | Path, seconds: float = START_SECONDS) -> str:
        """Run one command among these processes to its end, and return what it printed.

        Raises:
          FederationError: it failed or took too long; the message has its last words.
        """
        try:
            done = subprocess.run(
                ["/usr/bin/env", *map(str, words)],
                env=self.tree.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise FederationError(
                f"`{words[0]} {words[1]}` did not end", where=f"within {seconds:.0f} s"
            ) from error
        if done.returncode != 0:
            raise FederationError(
                f"`{words[0]} {words[1]}` ended with status {done.returncode}",
                where=(done.stdout + done.stderr)[-2000:],
            )
        return done.stdout + done.stderr


def _run_of_ports(count: int) -> str:
    """Return ``first-last`` of ports that nobody listens on now.

    Raises:
      FederationError: there are none.
    """
    for first in free_ports(TRIES):
        if first + count <= MOST_PORT and not any(answers(port) for port in range(first, first + count)):
            return f"{first}-{first + count - 1}"
    raise FederationError("no ports are free", where=HOST, do="try again")
