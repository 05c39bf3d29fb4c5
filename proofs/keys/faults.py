"""Five hospitals as processes, and one fault a study, each at one random moment.

Sites, the coordinator and the SuperLink killed with SIGKILL; a site's network cut; a slow line; a disk that
takes no more; a clock that is wrong; a site that stands still, and one that answers garbage. A study must
finish, go on when the same command is given again, or be refused by name; the ledgers must verify and hold
no more than the evidence says; nothing may hang and no process be left. Whatever a fault did to a study, the
same command afterwards must bring it to its end: rows say where that was needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from proofs import faults
from proofs.faults import SPOILED, Scene, befall, changed, cut, scene
from proofs.harness import Found, Report

TITLE = "Faults of a federation on real processes"
PAGE = "docs/evidence/faults.md"
SOURCES = (
    "client/fedvalue/client",
    "server/fedvalue/server",
    "server/fedvalue/simulation/machines.py",
    "strategies/fedvalue/strategies/secure_aggregation",
    "core/fedvalue/secure_sum",
    "proofs/faults.py",
    "proofs/door.py",
    "proofs/spoiled",
)
SEED = 20261122

Row = dict[str, Any]


def sites() -> Found:
    """Kill a node, a whole site (f), and one more than may fail (f + 1)."""
    with scene(SEED) as found:
        rows = [
            befall(found, None, "none"),
            befall(found, faults.node_killed, "kill-9-node"),
            befall(found, faults.site_killed, "kill-9-f-sites"),
            befall(found, faults.two_sites_killed, "kill-9-f-and-one"),
        ]
        return _ended(found, rows)


def coordinator() -> Found:
    """Kill the ServerApp, and the SuperLink."""
    with scene(SEED + 1) as found:
        rows = [
            befall(found, faults.coordinator_killed, "kill-9-coordinator"),
            befall(found, faults.superlink_killed, "kill-9-superlink"),
        ]
        return _ended(found, rows)


def checkpoint() -> Found:
    """Kill the ServerApp of a study of two releases after it has opened the first."""
    with scene(SEED + 4) as found:
        row = befall(found, faults.coordinator_killed, "kill-9-coordinator-between", after=1)
        return _ended(found, [row | {"told": f"{row['told']}, after the first of two releases"}])


def network() -> Found:
    """Cut the network of one site, and slow that of all."""
    with scene(SEED + 2) as found:
        rows = [
            befall(found, cut(1.0), "cut-1-s"),
            befall(found, cut(30.0), "cut-30-s"),
            befall(found, cut(None), "cut-for-good"),
            befall(found, faults.slow_line, "latency-300-ms"),
        ]
        return _ended(found, rows)


def machine() -> Found:
    """A full disk, a site that stands still, one that answers garbage, and wrong clocks."""
    with scene(SEED + 3) as found:
        rows = [befall(found, faults.disk_full, "disk-full"), befall(found, faults.stopped, "slow-site")]
        site, first = found.rng.choice(found.sites), found.rng.randint(1, 8)
        path = os.pathsep.join(each for each in (str(SPOILED), os.environ.get("PYTHONPATH", "")) if each)
        spoiled = {"PYTHONPATH": path, "FEDVALUE_SPOILED": str(first)}
        with changed(found, site, spoiled):
            found.machines.wait_for_sites()
            rows.append(befall(found, None, "garbage") | {"told": f"{site}, from its answer {first} on"})
        rows += [_clock(found, shift) for shift in ("+10m", "-10m")]
        return _ended(found, rows)


def _clock(found: Scene, shift: str) -> Row:
    """Run a study while one site's clock is wrong."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    name = "clock-10-min-" + ("ahead" if shift.startswith("+") else "behind")
    if library is None:
        return {"fault": name, "outcome": "not run: there is no libfaketime here", "broken": []}
    site = found.rng.choice(found.sites)
    wrong = {"LD_PRELOAD": str(library), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with changed(found, site, wrong):
        return befall(found, None, name) | {"told": site}


def _ended(found: Scene, rows: list[Row]) -> Found:
    """End every process and tell whether one is left."""
    found.machines.tree.end()
    return {"rows": rows, "left": len(found.machines.tree.left())}


def relayed() -> Found:
    """Run a study without a port for sessions: every message over Flower's own grid."""
    with scene(SEED + 5) as found:
        found.machines.streams = False
        return _ended(found, [befall(found, None, "none, over Flower's own grid")])


STEPS: Mapping[str, Callable[[], Found]] = {
    "sites": sites, "coordinator": coordinator, "checkpoint": checkpoint, "network": network,
    "machine": machine, "relayed": relayed,
}  # fmt: skip


def report(found: Mapping[str, Found]) -> Report:
    """Write the table."""
    lines = [
        (
            f"Seed {SEED}. Five hospitals, one may fail (n = 5, f = 1, c = 1); a study may be tried twice. "
            "*Moment*: seconds after approvals were asked for. *Resumed*: the command ended with a reason, "
            "and given again it went on. *Exact*: ledgers that hold just what the evidence states; for the "
            "others it states more, because a site that does not answer may have been charged."
        ),
        "",
        "| fault | befell | moment, s | outcome | sites in the sum | attempt | ledgers exact | seconds |",
        "|---|---|--:|---|--:|--:|--:|--:|",
    ]
    broken: list[str] = []
    for group, each in found.items():
        for row in each["rows"]:
            lines.append(
                f"| {row['fault']} | {row.get('told') or '-'} | {_shown(row.get('moment'))} "
                f"| {row['outcome']} | "
                f"{_several(row.get('answered'))} | {_several(row.get('attempts'))} | "
                f"{_shown(row.get('exact'))} | {_shown(row.get('seconds'))} |"
            )
            broken += [f"{row['fault']}: {sentence}" for sentence in row["broken"]]
            if not row["outcome"].startswith(("finished", "resumed", "refused", "not run")):
                broken.append(f"{row['fault']}: {row['outcome']}")
        if each["left"]:
            broken.append(f"{group}: {each['left']} processes are left")
    return Report("\n".join(lines) + "\n", tuple(broken), (f"seed {SEED}",))


def _shown(value: object) -> str:
    return "-" if value is None else str(value)


def _several(values: list[int] | None) -> str:
    return ", ".join(str(value) for value in values) if values else "-"
