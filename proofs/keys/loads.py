"""The loader killed with SIGKILL at ten points of a load, by its steps and by the clock, file and server.

Each kill meets a store that an earlier load has made, and a folder with one file more and one corrected.
After it, the store is what it was (a file byte for byte, a server row for row), or its rows are those of a
load that was not killed; the next load makes the latter of it and leaves nothing else beside it.
"""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from fedvalue.client.records.layouts import layout
from fedvalue.client.records.load import load
from fedvalue.client.records.server import server_file
from fedvalue.client.records.store import CANONICAL, MODEST
from fedvalue.client.records.stores import reading
from fedvalue.synthetic.settlement import write_region
from proofs.harness import Found, Report
from tests.postgres import started

TITLE = "The loader killed at ten points of a load"
PAGE = "docs/evidence/loads.md"
SOURCES = ("client/fedvalue/client/records", "core/fedvalue/synthetic/settlement.py")
SEED = 20261122
POINTS = 10
PEOPLE = 1_000
CHILD = """
import os, signal, sys
from pathlib import Path
from fedvalue.client.records.layouts import layout
from fedvalue.client.records.load import load
at, seen = int(sys.argv[3]), [0]
def stop(what, done, steps):
    seen[0] += 1
    if seen[0] == at:
        os.kill(os.getpid(), signal.SIGKILL)
sys.stdout.write("begun\\n"); sys.stdout.flush()
load(Path(sys.argv[1]), layout("settlement-list"), Path(sys.argv[2]), progress=stop)
"""


def content(database: Path) -> str:
    """Return the SHA-256 of every row of a store, whatever files they came from."""
    digest = hashlib.sha256()
    with reading(database, limits=MODEST) as store:
        for name in CANONICAL:
            rows = store.execute(
                f"SELECT COLUMNS(c -> c <> 'source') FROM {name} ORDER BY ALL"  # noqa: S608 (own names)
            ).fetchall()
            digest.update(f"{name} {rows!r}".encode())
    return digest.hexdigest()


@contextmanager
def placed(where: str, room: Path) -> Iterator[tuple[Path, Path]]:
    """Give the places of two stores, the first alone in its folder: files, or what names a server."""
    homes = (room / "home", room / "whole")
    for home in homes:
        home.mkdir()
    if where == "file":
        yield homes[0] / "records.duckdb", homes[1] / "records.duckdb"
        return
    with started() as address:
        places = (homes[0] / "records.toml", homes[1] / "records.toml")
        for place in places:
            place.write_bytes(server_file(address, place.parent.name))
            place.chmod(0o600)
        yield places


def state(database: Path) -> str:
    """Return the SHA-256 of a store as it is: of the file, or of the rows on the server."""
    if database.suffix == ".toml":
        return content(database)
    return hashlib.sha256(database.read_bytes()).hexdigest()


def killed(where: str, by: str, point: int) -> Found:
    """Kill one load.

    Args:
      where: ``file`` or ``server``.
      by: ``steps`` kills at a step that the loader tells of, ``clock`` at a share of the time it takes.
      point: 1 to `POINTS`.
    """
    with (
        tempfile.TemporaryDirectory(prefix="loads-") as room,
        placed(where, Path(room)) as (database, whole),
    ):
        folder = Path(room) / "in"
        region = write_region(Path(room) / "region", np.random.default_rng(SEED), people=PEOPLE, hospitals=1)
        region.payer[0].rename(folder)
        late = (folder / "feedetail.csv").rename(Path(room) / "feedetail.csv")
        load(folder, layout("settlement-list"), database)
        as_it_was, before = state(database), content(database)
        late.rename(folder / "feedetail.csv")
        deaths = folder / "deaths.csv"
        deaths.write_text("\n".join(deaths.read_text().splitlines()[:-5]) + "\n")
        began = time.monotonic()
        load(folder, layout("settlement-list"), whole)
        takes = time.monotonic() - began
        after = content(whole)
        steps = str(point * 2) if by == "steps" else "0"
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder), str(database), steps],
            stdout=subprocess.PIPE,
            text=True,
        )
        if by == "clock" and child.stdout is not None:
            child.stdout.readline()
            time.sleep(takes * point / POINTS)
            child.kill()
        ended = child.wait()
        found = "as before" if state(database) == as_it_was else "changed"
        if found == "changed":
            found = "as after" if content(database) == after else "something else"
        load(folder, layout("settlement-list"), database)
        beside = [path.name for path in database.parent.iterdir() if path != database]
        return {
            "where": where,
            "by": by,
            "point": point,
            "killed": ended == -signal.SIGKILL,
            "store": found,
            "differs": before != after,
            "next": content(database) == after,
            "beside": len(beside),
        }


STEPS: Mapping[str, Callable[[], Found]] = {
    f"{where}-{by}-{point}": partial(killed, where, by, point)
    for where in ("file", "server")
    for by in ("steps", "clock")
    for point in range(1, POINTS + 1)
}


def report(found: Mapping[str, Found]) -> Report:
    """Write the table."""
    lines = [
        (
            f"A made-up region of {PEOPLE:,} people (seed {SEED}); a store from an earlier load, then a load "
            "of one file more and one corrected. *Killed*: the load had not ended by itself."
        ),
        "",
        "| store | killed by | point | killed | it is then | the next load makes the rest | left beside it |",
        "|---|---|--:|---|---|---|--:|",
    ]
    broken = []
    for name, one in found.items():
        lines.append(
            f"| {one['where']} | {one['by']} | {one['point']} | {'yes' if one['killed'] else 'no'} | "
            f"{one['store']} | "
            f"{'yes' if one['next'] else 'no'} | {one['beside']} |"
        )
        if one["store"] == "something else" or not one["next"] or one["beside"] or not one["differs"]:
            broken.append(f"{name}: the store is {one['store']}, {one['beside']} files beside it")
    return Report("\n".join(lines) + "\n", tuple(broken))
