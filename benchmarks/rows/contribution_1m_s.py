"""How long one site of a million patients needs for its part of a release, whatever the analysis."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.row import Row
from fedvalue.quiet import quiet_environment

PATIENTS = 1_000_000
BAR_S = 10.0
AT_MOST = BAR_S
MOST_MIB = 256.0
"""Memory that contributions may take on top of the frozen rows, whatever the number of patients."""

ROOT = Path(__file__).resolve().parents[2]


def measure(folder: Path) -> Row:
    """Let a process of its own contribute to every release of every kind of analysis, in all their forms.

    Args:
      folder: Not needed.

    Raises:
      RuntimeError: the process failed, or its memory grew with the patients.
    """
    del folder
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.million", str(PATIENTS)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=quiet_environment(),
        timeout=900,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the site failed: {done.stderr[-500:]}")
    found = json.loads(done.stdout)
    if found["more_mib"] > MOST_MIB:
        raise RuntimeError(f"contributions took {found['more_mib']:.0f} MiB on top of the rows")
    seconds: dict[str, float] = found["seconds"]
    order = sorted(seconds, key=lambda form: -seconds[form])
    worst = "; ".join(f"{form} {seconds[form]:.2f} s" for form in order[:3])
    how = (
        f"slowest release (sum and noise) of {len(seconds)} forms of all kinds, {PATIENTS:,} patients at one "
        f"site, public numbers of their own rounds: {worst}; at most {found['more_mib']:.0f} MiB on top of "
        f"the {found['rows_mib']:.0f} MiB that hold the rows; other: the bar"
    )
    slowest = seconds[order[0]]
    return Row(ours=slowest, other=BAR_S, ratio=slowest, unit="s", how=how)
