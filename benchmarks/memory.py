"""The most memory that a process held. What started it does not count: `ru_maxrss` would have it counted."""

from __future__ import annotations

import resource
from pathlib import Path


def peak_mib() -> float:
    """Return the most memory that this process has held since its start, or since `forget_peak`, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def forget_peak() -> None:
    """Let `peak_mib` begin anew where the system can; elsewhere it goes on from the start of the process."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
