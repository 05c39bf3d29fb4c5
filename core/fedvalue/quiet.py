"""Nothing that FedValue starts reports to anybody.

Flower posts usage events and asks its vendor for updates unless it is told not to; Ray, which the
benchmark starts, reports usage as well. A hospital's machine does neither: every process started here
gets `quiet_environment`, and a process that is about to import Flower calls `silence` first.

Flower reads its telemetry switch once, when ``flwr.supercore.telemetry`` is imported, and its update
switch at every check (flwr 1.41).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SWITCHES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
)
"""What each program reads to stay silent; the values are the words those programs compare with."""


def quiet_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process that we start: as given, with every report off.

    Args:
      environment: Names and values to start from; this process's own when ``None``.

    Returns:
      A new dictionary. The switches win over whatever the given environment says about them.
    """
    return {**(os.environ if environment is None else environment), **SWITCHES}


def silence() -> None:
    """Turn the reports of this process, and of every process it starts, off.

    Call it before Flower is imported. Called later it still holds, because what Flower has already
    read is set again: a notebook may well import ``flwr`` before us.
    """
    os.environ.update(SWITCHES)
    loaded = sys.modules.get("flwr.supercore.telemetry")
    if loaded is not None:
        setattr(loaded, "FLWR_TELEMETRY_ENABLED", "0")  # noqa: B010  (an attribute of a module that core may not import)
