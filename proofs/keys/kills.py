"""A real site process killed with SIGKILL at every step of the private sum, five times each.

After each kill the node is started again, the study goes on, and then every ledger is read: a masked vector
that left a site must stand in its ledger, no question may have two answers, the evidence must not say less
than the ledgers hold, and the study must have ended or resumed in a new epoch. A question that was under way
is sent again to the restarted node. The last rows kill two sites at once, one more than may fail, so that the
attempt fails and the study has to resume.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from proofs.harness import Found, Report
from proofs.kill_matrix import MOMENTS, federation, killed, kills_of, stamp

TITLE = "Site processes killed at every step of the private sum"
PAGE = "docs/evidence/kills.md"
SOURCES = (
    "client/fedvalue/client",
    "strategies/fedvalue/strategies/secure_aggregation",
    "core/fedvalue/secure_sum",
    "server/fedvalue/server/sums.py",
    "proofs/kill_matrix.py",
)
PROTOCOL = (
    "keys", "shares", "members", "masked", "consistency", "unmask", "reopen", "receipt", "receipts",
)  # fmt: skip
SEED = 20261122


def one_step(step: str, seed: int, victims: int = 1) -> Found:
    """Kill at one step, five times."""
    rows = []
    with federation() as found:
        for killing in kills_of(step, seed=seed, victims=victims):
            if step.startswith("re"):  # only sites that were just started are asked for receipts
                for site in killing.victims:
                    found.nodes[site].kill()
                    found.nodes[site].start()
            row: dict[str, Any] = killed(found, killing, stamp())
            rows.append(row | {"moment": killing.moment, "victims": list(killing.victims)})
    return {"step": step, "rows": rows}


STEPS: Mapping[str, Callable[[], Found]] = {
    **{step: partial(one_step, step, SEED + n) for n, step in enumerate(PROTOCOL)},
    **{
        f"two-{step}": partial(one_step, step, SEED + 100 + n, 2)
        for n, step in enumerate(("masked", "unmask"))
    },
}


def report(found: Mapping[str, Found]) -> Report:
    """Write the table."""
    lines = [
        (
            f"Seed {SEED}; {len(MOMENTS)} kills a row: {', '.join(MOMENTS)}. *Ended*: in the first attempt. "
            "*Resumed*: in a later attempt, in a new epoch, at its full price."
        ),
        "",
        "| step | sites killed | kills | ended | resumed | sent again after the restart | broken |",
        "|---|--:|--:|--:|--:|---|--:|",
    ]
    broken: list[str] = []
    for name, each in found.items():
        rows = each["rows"]
        outcomes = Counter(row["outcome"] for row in rows)
        again = Counter(word for row in rows for word in row["again"])
        faults = [f"{name}, {row['moment']}: {sentence}" for row in rows for sentence in row["broken"]]
        lost = [
            f"{name}, {row['moment']}: {row['outcome']}"
            for row in rows
            if row["outcome"] not in ("ended", "resumed")
        ]
        broken += faults + lost
        said = "; ".join(f"{word} {count}" for word, count in sorted(again.items())) or "-"
        lines.append(
            f"| {each['step']} | {len(rows[0]['victims'])} | {len(rows)} | {outcomes['ended']} | "
            f"{outcomes['resumed']} | {said} | {len(faults) + len(lost)} |"
        )
    return Report("\n".join(lines) + "\n", tuple(broken))
