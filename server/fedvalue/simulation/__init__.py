"""A whole federation on one machine, for tests, notebooks and the demonstration.

>>> from pathlib import Path
>>> from fedvalue.simulation import run, SiteFolders  # doctest: +SKIP
>>> result = run(Path("study.toml"), SiteFolders(Path("hospitals")), out=Path("out"))  # doctest: +SKIP
>>> result.evidence.conclusions[0].stratum("all").estimates["proportion"]  # doctest: +SKIP

`run` makes a fresh home, throwaway keys, approvals and a ledger for every hospital below its output folder,
runs the study through Flower's ServerApp and ClientApp in this process, and never opens a real ledger.
"""

from __future__ import annotations

from fedvalue.quiet import silence

silence()

from fedvalue.simulation.run import Simulation, run  # noqa: E402 - Flower must find its reports switched off
from fedvalue.simulation.sources import PooledTable, SiteFolders  # noqa: E402 - the same

__all__ = ["PooledTable", "Simulation", "SiteFolders", "run"]
