"""Start processes whose attempts to leave this machine are noted and refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def watched(environment: Mapping[str, str], log: Path) -> dict[str, str]:
    """The environment of a watched process; its children inherit the watch.

    Args:
      environment: What the process would have had.
      log: File that gets a line for each attempt; absent while there is none.
    """
    path = os.pathsep.join([str(FOLDER), *filter(None, [environment.get("PYTHONPATH")])])
    return {**environment, "PYTHONPATH": path, "FEDVALUE_OUTBOUND_LOG": str(log)}


def attempts(log: Path) -> list[str]:
    """One line for each attempt noted: what was called, where to, by which command."""
    return log.read_text().splitlines() if log.exists() else []
