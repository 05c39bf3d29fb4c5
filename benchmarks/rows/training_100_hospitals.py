"""A network over a hundred simulated hospitals in one process: homes, approvals, rounds, evidence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.hundred import PATIENTS, ROUNDS, SITES
from benchmarks.row import Row
from fedvalue.quiet import quiet_environment

BAR_SECONDS = 180.0
AT_MOST = BAR_SECONDS
BAR_MIB = 1024.0
ROOT = Path(__file__).resolve().parents[2]


def measure(folder: Path) -> Row:
    """Train in a process of its own, whose memory is then its alone.

    Raises:
      RuntimeError: it failed, a round is missing, or it held more memory than its bar.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.hundred", str(folder)],
        cwd=ROOT, env=quiet_environment(), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"the training failed: {done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    if found["released"] != ROUNDS or found["answered"] != SITES or found["mib"] > BAR_MIB:
        raise RuntimeError(f"not {ROUNDS} rounds of {SITES} hospitals within {BAR_MIB:.0f} MiB: {found}")
    how = (
        f"{SITES} hospitals of {PATIENTS} patients, {ROUNDS} rounds of a network of 16 units: all of "
        f"`fedvalue simulate`, {found['rounds']:.0f} s of it for {1 + ROUNDS} private sums; peak "
        f"{found['mib']:.0f} MiB; other: the bar"
    )
    return Row(found["seconds"], BAR_SECONDS, found["seconds"], "s", how)
