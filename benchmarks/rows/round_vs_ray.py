"""One round of federated averaging: in process, and in Flower's own simulation, which is Ray.

Both run `benchmarks.averaging` for the same rounds in one go. The simulation is started as Flower
documents it: a SuperLink in simulation mode, and ``flwr run``. A round is timed inside the ServerApp,
from one ``configure_train`` to the next; the first is left out on both sides, as warm-up. Our run takes
a tenth of a second, so it is done several times, before and after the other: one interruption by the
machine would otherwise decide.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
from pathlib import Path

from benchmarks.averaging import client, server
from benchmarks.flower_app import described
from benchmarks.processes import ProcessTree, answers, free_ports
from benchmarks.row import Row
from fedvalue.server.grids.local import LocalGrid, LocalNode, run_server_app

AT_LEAST = 20.0
CLIENTS = 10
ROUNDS = 11
RUNS = 5
ROOT = Path(__file__).resolve().parents[2]

APP = described("averaging", clients=CLIENTS, rounds=ROUNDS)


def measure(folder: Path) -> Row:
    """Run both.

    Args:
      folder: An empty folder for what the run leaves.
    """
    before = [in_process(folder) for _ in range(RUNS)]
    other = statistics.median(in_simulation(folder))
    after = [in_process(folder) for _ in range(RUNS)]
    ours = statistics.median(itertools.chain.from_iterable(before + after))
    how = (
        f"seconds for one FedAvg round (train and evaluate), {CLIENTS} clients, 100 parameters, median after "
        "warm-up; other: flwr run on Flower's Ray simulation with its defaults, in the same run"
    )
    return Row(ours=ours, other=other, ratio=other / ours, unit="s", how=how)


def rounds(times: Path) -> list[float]:
    """Lengths of the rounds after the first, in seconds."""
    moments: list[float] = json.loads(times.read_text())
    return [end - begin for begin, end in itertools.pairwise(moments[1:])]


def in_process(folder: Path) -> list[float]:
    """Run over a `LocalGrid`; the lengths of the rounds, in seconds."""
    times = folder / "process.json"
    nodes = {2 + number: LocalNode(client) for number in range(CLIENTS)}
    config: dict[str, bool | float | int | str] = {"clients": CLIENTS, "rounds": ROUNDS, "out": str(times)}
    run_server_app(server, LocalGrid(nodes), config)
    return rounds(times)


def in_simulation(folder: Path) -> list[float]:
    """Run in Flower's simulation; the lengths of the rounds, in seconds.

    Raises:
      RuntimeError: Flower did not start, or the run failed; the message has its log.
    """
    times, app, home = folder / "simulation.json", folder / "averaging", folder / "flwr"
    app.mkdir()
    home.mkdir()
    (app / "pyproject.toml").write_text(APP)
    (app / "README.md").write_text("This bundle carries names, never code.\n")
    (port,) = free_ports(1)
    (home / "config.toml").write_text(f'[superlink.bench]\naddress = "127.0.0.1:{port}"\ninsecure = true\n')
    extra = {"FLWR_HOME": str(home), "PYTHONPATH": str(ROOT)}
    with ProcessTree(folder, extra) as tree:
        tree.start(
            "superlink",
            f"flower-superlink --insecure --simulation --host 127.0.0.1 --port {port} "
            "--disable-runtime-dependency-installation".split(),
        )
        tree.wait_until(lambda: answers(port), "the SuperLink", 60)
        options = f"num-supernodes={CLIENTS}"
        run = ["flwr", "run", str(app), "bench", "--stream", "--run-config", f'out="{times}"']
        done = subprocess.run(
            ["/usr/bin/env", *run, "--federation-config", options],
            env=tree.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    if not times.exists():
        raise RuntimeError(f"Flower's simulation did not finish:\n{(done.stdout + done.stderr)[-3000:]}")
    return rounds(times)
