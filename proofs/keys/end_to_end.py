"""From planted truth to payment: how often five studies decide rightly, and each once through the front door.

A truth that meets its bar is decided *met* rightly, one that fails *not met*; the contrary answer is wrong.
On the bar both answers are errors, each promised in at most a tenth; insufficient evidence is honest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from proofs.end_to_end import SITES, World, decided
from proofs.end_to_end_worlds import worlds
from proofs.harness import Found, Report

TITLE = "From planted truth to payment decisions: right, insufficient and wrong"
PAGE = "docs/evidence/end-to-end.md"
SOURCES = (
    "core/fedvalue/payment", "core/fedvalue/analyses", "core/fedvalue/planning", "proofs/end_to_end.py",
    "proofs/end_to_end_worlds.py", "proofs/front_door.py", "proofs/studies",
)  # fmt: skip
REPETITIONS = 200
PROMISE, TOLERANCE = 0.10, 0.015
FRONT_DOORS = Path("out/proofs/end_to_end/front-door")


def repeated(world: World, *, repetitions: int = REPETITIONS) -> Found:
    """Answers of one study under each of its truths."""
    rows = []
    for number, truth in enumerate(world.truths):
        counted = Counter(
            decided(world, truth, np.random.default_rng([20261122, number, i]), f"{world.name}-{number}-{i}")
            for i in range(repetitions)
        )
        rows.append(
            {"truth": truth.name, "text": truth.text, "right": truth.right, "repetitions": repetitions,
             **{outcome: counted[outcome] for outcome in ("met", "insufficient_evidence", "not_met")}}
        )  # fmt: skip
    return {"title": world.title, "standard": world.study.payments[0].standard, "rows": rows}


def front_door(world: World) -> Found:
    """One study of a truth that meets its bar, from tables to an approved value."""
    from proofs.front_door import through  # Flower is not needed for the repetitions

    return {"title": world.title, **through(world, world.truths[0], FRONT_DOORS / world.name, seed=7)}


STEPS: Mapping[str, Callable[[], Found]] = {
    **{world.name: partial(repeated, world) for world in worlds()},
    **{f"{world.name}_front_door": partial(front_door, world) for world in worlds()},
}


def broken_promises(found: Mapping[str, Found]) -> tuple[str, ...]:
    """One sentence for each promise that was not kept."""
    broken = []
    for world in worlds():
        for row in found[world.name]["rows"]:
            n, name = row["repetitions"], f"{world.name}, {row['truth']}"
            allowed = PROMISE + TOLERANCE + 3 * (PROMISE * (1 - PROMISE) / n) ** 0.5
            wrong = [outcome for outcome in ("met", "not_met") if outcome != row["right"]]
            broken += [
                f"{name}: {outcome.replace('_', ' ')} in {row[outcome]} of {n}"
                for outcome in wrong
                if row[outcome] / n > allowed
            ]
            if row["right"] != "insufficient_evidence" and row[row["right"]] / n < 0.5:
                broken.append(f"{name}: right in {row[row['right']]} of {n} only")
        door = found[f"{world.name}_front_door"]
        if door["outcome"] != "met" or not door["replayed"] or "proposal" not in door:
            broken.append(f"{world.name}: the front door ended in {door['outcome']}")
        elif door["in_force_then"] != door["after"] or door["in_force_today"] != door["before"]:
            broken.append(f"{world.name}: the approved value is not what holds from its first day on")
    return tuple(broken)


METHOD = f"""Five studies run from made-up patients at {SITES} hospitals to a decision: the study's own plan
and budget, each hospital's clipped sum, every hospital's noise, the analyses' conclusions, the standard's
rule. Each row is {REPETITIONS} repetitions with new patients and new noise. Right is *met* where the truth
meets its bar and *not met* where it fails; wrong is the contrary. On the bar either answer is an error, each
promised in at most a tenth, and insufficient evidence is honest. The studies are in `proofs/studies`, the
truths in `proofs/end_to_end_worlds.py`.

Several criteria are met together or not at all. Where two lie on their bars at once, P(both) is about a
quarter for typical data, so *met* is rarer than promised; *not met* needs one of them to fail by itself, at
its share of the tenth.

"""
HEAD = "| study | truth | met | insufficient | not met | right | wrong |\n|---|---|---|---|---|---|---|\n"
DOOR = """
## Through the front door, once each

The same patients as tables of eight simulated hospitals, each with records, policy, approval and ledger of
its own, over Flower in one process with the private sum; then the payer's signed decision, the dated
proposal, the signatures it needs, approval into a copy of the standards, replay, and the report page. Noise
and keys come from the operating system, so identities differ from run to run.

"""


def report(found: Mapping[str, Found]) -> Report:
    """The page, and what was broken."""
    broken = broken_promises(found)
    verdict = "Every promise was kept." if not broken else "Broken: " + "; ".join(broken) + "."
    rows, doors = [], []
    for world in worlds():
        step = found[world.name]
        rows += [_row(step["title"], row) for row in step["rows"]]
        doors.append(_door(found[f"{world.name}_front_door"]))
    lines = tuple(line.replace(" | ", "  ").strip("| \n") for line in rows)
    return Report(verdict + "\n\n" + METHOD + HEAD + "".join(rows) + DOOR + "\n".join(doors), broken, lines)


def _row(title: str, row: Found) -> str:
    n, bar = row["repetitions"], row["right"] == "insufficient_evidence"
    right = f"{row[row['right']] / n:.3f}"
    wrong = n - row[row["right"]] if bar else row["not_met" if row["right"] == "met" else "met"]
    counts = " | ".join(f"{row[o] / n:.3f}" for o in ("met", "insufficient_evidence", "not_met"))
    return f"| {title} | {row['truth']}: {row['text']} | {counts} | {right} | {wrong / n:.3f} |\n"


def _door(door: Found) -> str:
    said = f"* **{door['title']}**: {door['outcome'].replace('_', ' ')} in {door['seconds']} s; "
    said += f"evidence `{door['evidence']}`, decision `{door['decision']}`"
    if "proposal" not in door:
        return said + ", no proposal.\n"
    changes = ", ".join(f"{key} {door['before'][key]} -> {door['after'][key]}" for key in door["after"])
    return (
        f"{said}, proposal `{door['proposal']}` signed as {', '.join(door['signed_by'])}, in force from "
        f"{door['effective_from']}: {changes}. Replayed bit for bit; report of {door['report_kb']} kB.\n"
    )
