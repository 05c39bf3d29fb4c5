"""A Flower federation on this machine: a SuperLink and its SuperNodes, as processes, on loopback."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ProcessTree, answers, free_ports
from tests.outbound.watch import attempts, watched

START_SECONDS = 90.0  # longest wait for the processes together; 6 to 12 on an idle machine
RUN_SECONDS = 420.0  # a study by the private sum is ten messages to each site, each a process of its own


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """One ``flwr run`` that has ended.

    Attributes:
      status: As ``flwr list`` says it, such as ``finished:completed`` or ``finished:failed``; ``not started``
        where the SuperLink refused the run.
      details: Why it failed, in the ServerApp's words; empty where it did not.
      output: What ``flwr run --stream`` printed: the ServerApp's log.
    """

    status: str
    details: str
    output: str


class FlowerFederation:
    """Processes of one federation; everything is in ``folder``, every process has its own FLWR_HOME.

    Attributes:
      folder: Logs, ``superlink.log`` and ``supernode-0.log`` and so on, and the homes.
      tree: The processes.
      started_in: Seconds until the SuperLink answered and until every SuperNode was registered.
    """

    def __init__(self, folder: Path, commands: Path, extra: Mapping[str, str] | None = None) -> None:
        """Nothing runs yet; use `start`, and `end` whatever happens.

        Args:
          folder: An empty folder.
          commands: Holds a ``flwr`` for the many questions, see `tests.warm`; runs are started by the
            installed one.
          extra: Variables that every process gets, such as PYTHONPATH.
        """
        self.folder = folder
        self._commands = commands
        self._outbound = folder / "outbound.log"
        self.tree = ProcessTree(folder, watched(extra or {}, self._outbound))
        self.started_in: tuple[float, float] = (0.0, 0.0)

    def start(self, node_configs: Sequence[str]) -> None:
        """Start the SuperLink and one SuperNode for each node configuration; wait until all registered.

        Args:
          node_configs: As ``flower-supernode --node-config`` takes them, ``site-home="/path"``.

        Raises:
          FederationError: Not everything was up in time; the message has the logs' ends.
        """
        link, *nodes = free_ports(1 + len(node_configs))
        caller = self._home("caller")
        connection = f'[superlink.here]\naddress = "127.0.0.1:{link}"\ninsecure = true\n'
        (caller / "config.toml").write_text(connection)
        self.tree.start(
            "superlink",
            f"flower-superlink --insecure --host 127.0.0.1 --port {link} "
            "--disable-runtime-dependency-installation".split(),
            {"FLWR_HOME": str(self._home("superlink"))},
        )
        link_up = self.tree.wait_until(lambda: answers(link), "the SuperLink", START_SECONDS)
        for number, (port, config) in enumerate(zip(nodes, node_configs, strict=True)):
            command = f"flower-supernode --insecure --superlink 127.0.0.1:{link} --port {port}".split()
            home = self._home(f"supernode-{number}")
            self.tree.start(
                f"supernode-{number}", [*command, "--node-config", config], {"FLWR_HOME": str(home)}
            )
        nodes_up = self.tree.wait_until(
            lambda: len(self.online()) == len(node_configs), "the SuperNodes", START_SECONDS
        )
        self.started_in = (link_up, link_up + nodes_up)

    def online(self) -> list[str]:
        """Node ids of the SuperNodes that are connected."""
        found = self._ask("supernode", "list", "here")
        nodes = found.get("nodes", [])
        return [node["node-id"] for node in nodes if node["status"] == "online"]

    def run(self, app: Path, **settings: str | float) -> FinishedRun:
        """Do ``flwr run APP here --stream`` and wait for its end.

        Args:
          app: Folder with the app's ``pyproject.toml``.
          settings: The run configuration; every key is declared in ``[tool.flwr.app.config]``.
        """
        chosen = " ".join(f'{k}="{v}"' if isinstance(v, str) else f"{k}={v}" for k, v in settings.items())
        command = ["flwr", "run", str(app), "here", "--stream", *(["--run-config", chosen] if chosen else [])]
        done = self._call(command)
        output = done.stdout + done.stderr
        started = re.search(r"Successfully started run (\d+)", output)
        if started is None:
            return FinishedRun("not started", "", output)
        (run,) = self._ask("list", "here", "--run-id", started[1])["runs"]
        return FinishedRun(run["status"], run["status-details"], output)

    def outbound(self) -> list[str]:
        """Attempts of any process to leave this machine, each refused before anything was sent."""
        return attempts(self._outbound)

    def end(self) -> None:
        """End every process, by its id, with everything that it started."""
        self.tree.end()

    def _home(self, name: str) -> Path:
        home = self.folder / "homes" / name
        home.mkdir(parents=True, exist_ok=True)
        return home

    def _call(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        environment = {**self.tree.environment, "FLWR_HOME": str(self._home("caller")), "NO_COLOR": "1"}
        return subprocess.run(
            ["/usr/bin/env", *command],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )

    def _ask(self, *question: str) -> dict[str, list[dict[str, str]]]:
        done = self._call([str(self._commands / "flwr"), *question, "--format", "json"])
        try:
            answer: dict[str, list[dict[str, str]]] = json.loads(done.stdout)
        except json.JSONDecodeError:
            return {}
        return answer


StartFlower = Callable[..., FlowerFederation]
"""The type of the fixture `start_flower`."""
