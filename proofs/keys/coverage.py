"""Coverage of every interval that a conclusion prints, under noise: a thousand studies of each setting.

`proofs.coverage` has how an interval is counted, ``proofs.coverage_described``, ``_times``, ``_effects`` and
``_hazards`` the worlds, `proofs.coverage_page` what is promised. Two processes share a step's replications.
"""

from __future__ import annotations

import multiprocessing
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product

import numpy as np
import threadpoolctl  # type: ignore[import-untyped]  # it has no types

from fedvalue.study.schema import KINDS
from proofs import coverage_described, coverage_effects, coverage_hazards, coverage_times
from proofs.coverage import CURVE, Lines, Tally, World, joined, replicate
from proofs.coverage_page import AGAIN, FEWEST_SHARE, OFTEN, SHOWN, outside
from proofs.coverage_times import NAIVE
from proofs.harness import Found, Report

TITLE = "How often intervals hold the truth, with the privacy noise in them and without"
PAGE = "docs/evidence/coverage.md"
SOURCES = (
    "core/fedvalue/analyses", "core/fedvalue/planning/plan.py", "core/fedvalue/privacy",
    "core/fedvalue/study", "proofs/coverage.py", "proofs/coverage_draws.py", "proofs/coverage_described.py",
    "proofs/coverage_times.py", "proofs/coverage_effects.py", "proofs/coverage_hazards.py",
    "proofs/coverage_page.py",
)  # fmt: skip

WORLDS: tuple[World, ...] = (
    *coverage_described.WORLDS, *coverage_times.WORLDS, *coverage_effects.WORLDS, *coverage_hazards.WORLDS
)  # fmt: skip
FIRST = {"first": "least", "first_most": "most"}
"""What is kept of a row that is run again, and from where."""

DIAGNOSTICS = "diagnostics"
"""The checks of every study are no kind of question, and print intervals too."""

SLOW = ("cox", "treatment_effect", "regression")
"""Kinds that are studied last."""

PROCESSES = 2
PARTS = 8
"""Into how many parts the replications of a setting are cut; the seeds are those of the parts."""


WITHOUT_INTERVALS = {"training"}
"""Kinds that print no interval: what a model is worth is told by `model_evaluation`."""


def without_worlds(kinds: Iterable[str]) -> list[str]:
    """Return one sentence for each kind of analysis whose intervals nobody looks at."""
    known = {world.kind for world in WORLDS} | WITHOUT_INTERVALS
    return [
        f"the analysis {kind!r} has no coverage study" for kind in (*kinds, DIAGNOSTICS) if kind not in known
    ]


def covered(
    number: int, *, world: World | None = None, replications: int | None = None, many: int | None = None,
    processes: int = PROCESSES,
) -> Found:  # fmt: skip
    """Study one world: noise counted at every size and budget, and left out at the smallest of both.

    Args:
      number: Of the world in `WORLDS`.
      world: Another one instead.
      replications: Of each setting; left out, as the world has it.
      many: Patients whose estimate without noise stands for the truth; left out, a million.
      processes: At a time.
    """
    chosen = world or WORLDS[number]
    seed = zlib.crc32(chosen.label.encode())
    lines = Lines.of(chosen, seed, many)
    runs = replications or chosen.replications
    rows, untold = [], set[str]()
    for size in chosen.sizes:
        told, missing = _run(lines, size, chosen.epsilons, runs, seed + size, processes)
        untold |= missing
        for epsilon in chosen.epsilons:
            some = _rows(lines, size, epsilon, told[epsilon], runs)
            for look, times in enumerate(AGAIN if replications is None else (), start=1):
                if not (late := [row for row in some if outside(row, chosen.kind)]):
                    break
                again, _ = _run(lines, size, (epsilon,), times * runs, seed + size + look, processes)
                fresh = {(row["stratum"], row["name"]): row
                         for row in _rows(lines, size, epsilon, again[epsilon], times * runs)}  # fmt: skip
                for row in late:
                    first = {key: row.get(key, row[was]) for key, was in FIRST.items()}
                    row |= fresh.get((row["stratum"], row["name"]), {}) | first
            rows += some
    ignoring: list[Found] = []
    for size, epsilon in product(chosen.sizes, chosen.epsilons):
        if any(row["least"] is not None for row in ignoring):
            break
        ignored, _ = _run(lines, size, (epsilon,), min(runs, SHOWN), seed + 2, processes, counted=False)
        ignoring = _rows(lines, size, epsilon, ignored[epsilon], min(runs, SHOWN))
    return {
        "kind": chosen.kind, "name": chosen.name, "rows": rows, "ignoring": ignoring,
        "untold": sorted(untold),
        "patients": list(chosen.sizes), "epsilons": list(chosen.epsilons), "replications": runs,
    }  # fmt: skip


def naive(*, replications: int = 1_000) -> Found:
    """Kaplan-Meier that takes everybody for followed from day zero, where half were not."""
    lines = Lines.of(coverage_times.WORLDS[0], 1, 200_000)
    told, _ = _run(
        Lines(NAIVE, Lines.of(NAIVE, 1, 200_000).many), 2_000, NAIVE.epsilons, replications, 2, PROCESSES
    )
    kept = {key: count for key, count in told[NAIVE.epsilons[0]].items() if key[1] != CURVE}
    right, _ = _run(lines, 2_000, NAIVE.epsilons, replications, 2, PROCESSES)
    rows = [
        {"name": name, "naive": float(count.held[0] / count.printed[0]),
         "delayed": float(right[NAIVE.epsilons[0]][stratum, name].held[0]
                          / right[NAIVE.epsilons[0]][stratum, name].printed[0])}
        for (stratum, name), count in sorted(kept.items()) if stratum == "all"
    ]  # fmt: skip
    return {"rows": rows, "patients": 2_000, "epsilon": NAIVE.epsilons[0], "replications": replications}


def _part(
    lines: Lines, size: int, epsilons: tuple[float, ...], counted: bool, work: tuple[int, int]
) -> tuple[dict[float, Tally], set[str]]:
    with threadpoolctl.threadpool_limits(1):  # matrices are small: threads would wait for each other
        return replicate(lines, size, epsilons, work[0], work[1], counted=counted)


def _run(
    lines: Lines, size: int, epsilons: tuple[float, ...], replications: int, seed: int, processes: int, *,
    counted: bool = True,
) -> tuple[dict[float, Tally], set[str]]:  # fmt: skip
    """Share replications among processes; the world is found by each of them as this one has it."""
    seeds = np.random.SeedSequence(seed).generate_state(PARTS)
    work = [
        (len(part), int(s)) for part, s in zip(np.array_split(range(replications), PARTS), seeds, strict=True)
    ]
    one = partial(_part, lines, size, epsilons, counted)
    if processes == 1:
        found = [one(each) for each in work]
    else:
        forked = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(processes, mp_context=forked) as pool:
            found = list(pool.map(one, work))
    told = {epsilon: joined(tallies[epsilon] for tallies, _ in found) for epsilon in epsilons}
    return told, set[str]().union(*(missing for _, missing in found))


def _rows(lines: Lines, size: int, epsilon: float, tally: Tally, replications: int) -> list[Found]:
    """One row for each estimate, and for each line over its points."""
    rows = []
    for (stratum, name), count in sorted(tally.items()):
        some = count.printed >= max(FEWEST_SHARE * replications, 1)
        often = count.printed >= (1 - OFTEN) * replications
        enough = often if often.any() else some
        expected = lines.expected(size, stratum, name)
        shares = np.where(enough, count.held / np.maximum(count.printed, 1), np.nan)
        likely = enough & (expected >= 20) & (count.one_sided * 2 < np.maximum(count.printed, 1))
        rows.append(
            {
                "stratum": stratum, "name": name, "patients": size, "epsilon": epsilon, "points": len(shares),
                "refused": 1 - float(count.printed.max()) / replications, "replications": replications,
                "judged": int(enough.sum()), "least": float(np.nanmin(shares)) if enough.any() else None,
                "most": float(shares[likely].max()) if likely.any() else None,
                "printed": int(count.printed[enough].min()) if enough.any() else int(count.printed.max()),
                "expected": float(expected.min()),
                "missed": float(np.where(often, 0, (count.printed - count.held) / replications).max()),
            }
        )  # fmt: skip
    return rows


def _key(world: World) -> str:
    return world.label.replace(": ", "_").replace(", ", "_").replace(" ", "_")


STEPS: Mapping[str, Callable[[], Found]] = {
    "naive_kaplan_meier": naive,
    **{_key(WORLDS[number]): partial(covered, number)
       for number in sorted(range(len(WORLDS)), key=lambda number: WORLDS[number].kind in SLOW)},
}  # fmt: skip


def report(found: Mapping[str, Found]) -> Report:
    """The page, and what was broken; a step that was not run is."""
    from proofs.coverage_page import page  # the page is read with the constants above

    left = [f"{name} was not studied" for name in STEPS if name not in found]
    return page(found, [*without_worlds(KINDS), *left])
