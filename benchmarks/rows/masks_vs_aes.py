"""Masks of one site for 50 peers, against the machine's AES-256-CTR rate as ``openssl speed`` tells it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from benchmarks import masking
from benchmarks.row import Row

AT_LEAST = 0.7
PEERS = 50
RUNS = 4
OURS_A_RUN = 8  # openssl takes the best part of a second, ours a sixteenth
BLOCK = 65536
GIGABYTE = 1e9


def measure(folder: Path) -> Row:
    """Take turns and keep the fastest of each.

    Args:
      folder: Not needed.
    """
    del folder
    ours, other = 0.0, 0.0
    masking.ours(1)
    for _ in range(RUNS):
        fastest = min(masking.seconds(lambda: masking.ours(PEERS)) for _ in range(OURS_A_RUN))
        ours = max(ours, PEERS * masking.DIMENSION * 8 / fastest / GIGABYTE)
        other = max(other, openssl() / GIGABYTE)
    how = (
        f"masks of one site for {PEERS} peers, 1,000,000 words, added to the vector, against openssl speed "
        f"-evp aes-256-ctr with blocks of {BLOCK} bytes, fastest of each, taken in turns; the bar is 0.7"
    )
    return Row(ours=ours, other=other, ratio=ours / other, unit="GB/s", how=how)


def openssl() -> float:
    """The machine's AES-256-CTR rate on one core, in bytes a second.

    Raises:
      RuntimeError: there is no openssl, or it says something else.
    """
    command = ["openssl", "speed", "-elapsed", "-evp", "aes-256-ctr", "-seconds", "1", "-bytes", str(BLOCK)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeError("openssl speed cannot be run; install openssl") from error
    found = re.search(r"(?im)^aes-256-ctr\s+([0-9.]+)k\s*$", done.stdout)
    if found is None:
        raise RuntimeError(f"openssl speed said something else: {done.stdout[-500:]}")
    return float(found.group(1)) * 1000
