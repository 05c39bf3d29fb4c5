"""The most memory that a coordinator holds, alone in its process, for 200 sites of a million words each."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from multiprocessing.connection import Listener
from pathlib import Path

import numpy as np

from benchmarks.private_sums import Sites
from benchmarks.row import Row
from fedvalue.quiet import quiet_environment
from fedvalue.strategies.secure_aggregation.messages import Refused

SITES = 200
DIMENSION = 1_000_000
BAR_MIB = 500.0
AT_MOST = BAR_MIB
ROOT = Path(__file__).resolve().parents[2]


def measure(folder: Path) -> Row:
    """Serve the sites to a coordinator in a process of its own.

    Args:
      folder: Where the socket is.

    Raises:
      RuntimeError: the coordinator failed, or its sum is not exact.
    """
    vector = np.random.default_rng(1).integers(-(2**40), 2**40, DIMENSION)
    sites = Sites([vector] * SITES, noise=False, keep=False)
    publics = ",".join(key.public_key().public_bytes_raw().hex() for key in sites.keys)
    address = str(folder / "sites")
    with Listener(address, family="AF_UNIX") as listener:
        coordinator = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.coordinator_process", address, str(DIMENSION), publics],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=quiet_environment(),
        )
        with coordinator:
            serve(listener, sites)
            said = coordinator.communicate(timeout=600)[0]
    if coordinator.returncode != 0:
        raise RuntimeError("the coordinator failed; its words are above")
    found = json.loads(said)
    wanted = hashlib.sha256((vector * SITES).astype("<i8").tobytes()).hexdigest()
    if found["sum"] != wanted or found["survivors"] != SITES:
        raise RuntimeError("the coordinator's sum is not exact")
    peak = float(found["mib"])
    how = (
        f"peak resident memory of the coordinator's process, {SITES} sites x {DIMENSION:,} words "
        f"({SITES * DIMENSION * 8 / 2**20:.0f} MiB of masked vectors), exact sum; other: the bar"
    )
    return Row(ours=peak, other=BAR_MIB, ratio=peak, unit="MiB", how=how)


def serve(listener: Listener, sites: Sites) -> None:
    """Answer until the coordinator says that it is done."""
    with listener.accept() as coordinator:
        while step := coordinator.recv_bytes().decode():
            name, payload = coordinator.recv_bytes().decode(), coordinator.recv_bytes()
            reply = sites.answer(step, name, payload)
            refused = isinstance(reply, Refused)
            coordinator.send_bytes(b"refused" if refused else b"answered")
            coordinator.send_bytes(reply.code.encode() if isinstance(reply, Refused) else reply)
