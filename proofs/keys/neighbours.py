"""Neighbouring data sets within the charged bound: 10,000 random and hostile pairs for every analysis."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial

from fedvalue.planning.plan import plan_on
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.study.schema import KINDS
from proofs.harness import Found, Report
from proofs.neighbour_forms import FORMS, TOGETHER, study
from proofs.neighbours import compare

TITLE = "How far one patient moves a release, for every analysis"
PAGE = "docs/evidence/neighbours.md"
SOURCES = (
    "core/fedvalue/analyses", "core/fedvalue/planning/plan.py", "core/fedvalue/privacy",
    "core/fedvalue/study", "proofs/neighbours.py", "proofs/neighbour_forms.py",
)  # fmt: skip

PAIRS = 10_000
PAIRS_TOGETHER = 2_000
"""For all kinds at once, each of which has its own pairs besides."""

EPSILONS = (0.5, 1.0, 2.0, 8.0)
SITES = 10


def compared(kind: str, form: int, *, pairs: int = PAIRS) -> Found:
    """Compare the pairs of every release of one form of one kind.

    Args:
      kind: Of the analysis.
      form: Which of its forms; also chooses the epsilon.
      pairs: For each release.
    """
    asked = study(kind, form, epsilon=EPSILONS[form % len(EPSILONS)])
    plan = plan_on(asked, thresholds(SITES), "0" * 64)
    rows = []
    for release in plan.releases:
        began = time.monotonic()
        moved = compare(asked, release, pairs, zlib.crc32(f"{kind} {form} {release.label}".encode()))
        rows.append(
            {
                "analyses": [part.analysis.label for part in release.parts],
                "release": release.label,
                "dimension": release.dimension,
                "blocks": len(release.blocks),
                "epsilon": asked.privacy.epsilon,
                "public": release.public_size,
                "seconds": time.monotonic() - began,
                **asdict(moved),
            }
        )
    return {"kind": kind, "rows": rows}


def forms_of(kind: str) -> int:
    """Return in how many forms pairs of a kind are drawn; 0 where the kind has none."""
    return 1 if kind == TOGETHER else len(FORMS.get(kind, ()))


STEPS: Mapping[str, Callable[[], Found]] = {
    f"{kind}_{form}": partial(compared, kind, form, pairs=PAIRS_TOGETHER if kind == TOGETHER else PAIRS)
    for kind in (*KINDS, TOGETHER)
    for form in range(forms_of(kind))
}

METHOD = f"""A pair is a site's cohort with one patient and without, drawn by `proofs/neighbours.py`: a third
of the cohorts as an honest table holds them, a third with three strange rows in ten, a third all strange (not
a number, infinite, huge, denormal, on an edge of the grid or one step beside it, codes of no level). In one
pair in five the patient is at two or three sites, with different rows at each; the bound is that of so many.
Both cohorts go through the planned release as a site computes it, with public numbers (*public*: how many)
that a coordinator might send. *Largest* is the largest distance over its bound D, in integers of the ring and
exact: up to 1 is kept. {SITES} sites, at most 3 a patient; the epsilon is of the study.
"""


ELSEWHERE = {"training": "model_neighbours"}
"""Kinds whose pairs another key draws."""


def without_forms(kinds: Iterable[str]) -> list[str]:
    """Return one sentence for each kind of analysis that no pairs are drawn for, here or elsewhere."""
    known = {*FORMS, *ELSEWHERE}
    return [f"the analysis {kind!r} has no neighbouring patients" for kind in kinds if kind not in known]


def report(found: Mapping[str, Found]) -> Report:
    """The page, and what was broken."""
    broken = without_forms(KINDS)
    lines = [
        "| analyses | release | epsilon | words | blocks | public | pairs | largest | over | failed |\n",
        "|---|---|---|---|---|---|---|---|---|---|\n",
    ]
    pairs = 0
    for step in STEPS:
        for row in found[step]["rows"]:
            pairs += row["pairs"]
            if row["over"] or row["failed"]:
                broken.append(f"{', '.join(row['analyses'])}, {row['release']}: {row['first']}")
            labels = ", ".join(f"`{label}`" for label in row["analyses"])
            lines.append(
                f"| {labels} | {row['release']} | {row['epsilon']:g} | "
                f"{row['dimension']:,} | {row['blocks']} | {row['public']} | {row['pairs']:,} | "
                f"{row['largest'] ** 0.5:.6f} | {row['over']} | {row['failed']} |\n"
            )
    verdict = (
        f"No patient moved any release by more than is charged, in {pairs:,} pairs."
        if not broken
        else "Broken: " + "; ".join(broken) + "."
    )
    return Report(f"{verdict}\n\n{METHOD}\n{''.join(lines)}", tuple(broken), (verdict,))
