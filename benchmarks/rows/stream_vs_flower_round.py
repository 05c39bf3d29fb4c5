"""One round that does no work: over sessions, and over Flower's own grid with a SuperLink and SuperNodes."""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path

from benchmarks.flower_app import described
from benchmarks.noop import timed
from benchmarks.processes import ProcessTree, answers, free_ports
from benchmarks.row import Row
from benchmarks.streaming import echo, streaming

AT_LEAST = 50.0
SITES = 3
ROUNDS, FLOWERS = 200, 4
ROOT = Path(__file__).resolve().parents[2]

APP = described("noop", sites=SITES, rounds=FLOWERS)


def measure(folder: Path) -> Row:
    """Run both.

    Args:
      folder: An empty folder for what the run leaves.
    """
    names = [f"s{number:02d}" for number in range(1, SITES + 1)]
    with streaming(dict.fromkeys(names, echo)) as grid:
        ours = statistics.median(timed(grid, grid.get_node_ids(), ROUNDS)[1:])
    other = statistics.median(over_flower(folder)[1:])
    how = (
        f"seconds for one question to {SITES} sites and every answer, no work, after warm-up: streams over "
        "mutual TLS; other: Flower's SuperLink and SuperNodes as processes, by its send_and_receive"
    )
    return Row(ours=ours, other=other, ratio=other / ours, unit="s", how=how)


def over_flower(folder: Path) -> list[float]:
    """Lengths of the rounds over Flower's own grid, in seconds.

    Raises:
      RuntimeError: Flower did not start, or the run failed; the message has its words.
    """
    times, app, home = folder / "times.json", folder / "noop", folder / "flwr"
    app.mkdir()
    home.mkdir()
    (app / "pyproject.toml").write_text(APP)
    (app / "README.md").write_text("This bundle carries names, never code.\n")
    link, *ports = free_ports(1 + SITES)
    (home / "config.toml").write_text(f'[superlink.bench]\naddress = "127.0.0.1:{link}"\ninsecure = true\n')
    with ProcessTree(folder, {"FLWR_HOME": str(home), "PYTHONPATH": str(ROOT)}) as tree:
        tree.start(
            "superlink",
            f"flower-superlink --insecure --host 127.0.0.1 --port {link} "
            "--disable-runtime-dependency-installation".split(),
        )
        tree.wait_until(lambda: answers(link), "the SuperLink", 60)
        for port in ports:
            tree.start(
                f"supernode-{port}",
                f"flower-supernode --insecure --superlink 127.0.0.1:{link} --port {port}".split(),
            )
        run = ["flwr", "run", str(app), "bench", "--stream", "--run-config", f'out="{times}"']
        done = subprocess.run(
            ["/usr/bin/env", *run],
            env=tree.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    if not times.exists():
        raise RuntimeError(f"the run did not finish:\n{(done.stdout + done.stderr)[-3000:]}")
    found: list[float] = json.loads(times.read_text())
    return found
