"""Neighbouring patients within the bound of a gradient: 10,000 hostile pairs for every architecture."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial

from fedvalue.study.architectures import ARCHITECTURES
from proofs.harness import Found, Report
from proofs.model_neighbours import FORMS, compare, inputs_of

TITLE = "How far one patient moves a gradient, for every architecture"
PAGE = "docs/evidence/model-neighbours.md"
SOURCES = (
    "core/fedvalue/study/architectures.py", "core/fedvalue/privacy/release.py",
    "strategies/fedvalue/strategies/training/models", "proofs/model_neighbours.py",
)  # fmt: skip

PAIRS = 10_000


def compared(kind: str, *, pairs: int = PAIRS) -> Found:
    """Compare the pairs of one architecture, its forms in equal parts.

    Args:
      kind: Of the architecture.
      pairs: Of all forms together.
    """
    forms = FORMS[kind]
    rows = []
    for i, architecture in enumerate(forms):
        share = pairs * (i + 1) // len(forms) - pairs * i // len(forms)
        moved = compare(architecture, share, zlib.crc32(f"{kind} {i}".encode()))
        words = architecture.model_dump(exclude={"kind"})
        rows.append({"form": ", ".join(f"{k} {v}" for k, v in words.items()), **asdict(moved)})
    return {"kind": kind, "columns": len(inputs_of(forms[0]).numeric), "rows": rows}


STEPS: Mapping[str, Callable[[], Found]] = {kind: partial(compared, kind) for kind in FORMS}

METHOD = """A pair is a site's rows with one patient and without, drawn by `proofs/model_neighbours.py`, with
parameters that a coordinator might send: as training leaves them, zero, a thousand times too large, near the
largest float, partly not a number, units that never wake. A third of the sites hold honest rows, a third
strange ones here and there, a third nothing else; some patients are there many times; one pair in ten fills
more than a block. *Largest* is the exact integer distance of the two quantised sums over the bound
`gamma C (1 + 2^-20) + 2 sqrt(d)`: up to 1 is kept.
"""


def report(found: Mapping[str, Found]) -> Report:
    """The page, and what was broken."""
    broken = [f"no pairs are drawn for {kind!r}" for kind in ARCHITECTURES if kind not in FORMS]
    lines = [
        "| architecture | form | pairs | largest | over | failed |\n",
        "|---|---|---|---|---|---|\n",
    ]
    pairs = 0
    for kind in STEPS:
        for row in found[kind]["rows"]:
            pairs += row["pairs"]
            if row["over"] or row["failed"]:
                broken.append(f"{kind} ({row['form']}): {row['first']}")
            lines.append(
                f"| {kind} | {row['form']} | {row['pairs']:,} | {row['largest']:.6f} | {row['over']} | "
                f"{row['failed']} |\n"
            )
    verdict = (
        f"No patient moved any gradient by more than is charged, in {pairs:,} pairs."
        if not broken
        else "Broken: " + "; ".join(broken) + "."
    )
    return Report(f"{verdict}\n\n{METHOD}\n{''.join(lines)}", tuple(broken), (verdict,))
