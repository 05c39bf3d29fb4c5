"""A site at the size of a province: a million patients, 20 million claim lines, five million variants.

Files are made once and kept under ``out/``. Each step runs in a process of its own and tells CPU seconds of
all threads and its peak memory, also for a tenth of the rows: time has to grow with the rows and no faster.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from benchmarks import claims_at_size, variants_at_size
from benchmarks.claims_at_size import CLAIMS_EACH, LINES_EACH, PEOPLE
from benchmarks.rows import cohort_vs_sql, load_vs_duckdb, vcf_vs_reader
from proofs.harness import Found, Report

TITLE = "A site's records at full size"
PAGE = "docs/evidence/size.md"
SOURCES = (
    "client/fedvalue/client/records",
    "benchmarks/claims_at_size.py",
    "benchmarks/variants_at_size.py",
    "benchmarks/rows/cohort_vs_sql.py",
)
VARIANTS = 5_000_000
SMALL = 10
"""The smaller run has so many times fewer rows."""
STEEPEST = load_vs_duckdb.STEEPEST
PEAK = load_vs_duckdb.PEAK_AT_MOST
_PLACE = Path("out/size")
_VCF = "benchmarks.variants_at_size"
_GROWING = {
    "claims": "load of claims",
    "cohort": "cohort and contribution",
    "variants": "load of variants",
}
_CLAIMS = "claims, beside DuckDB's own read of the same files"
_COHORT = "cohort, beside one SQL statement written by hand"
_VARIANTS = "variants, beside a bare loop of cyvcf2"
_WORDS = f"""\
{PEOPLE:,} made-up patients, {PEOPLE * CLAIMS_EACH:,} claims and {PEOPLE * CLAIMS_EACH * LINES_EACH:,}
claim lines as CSV; {VARIANTS:,} lines of a VEP-annotated VCF with three transcripts each. DuckDB has two
threads and 2 GiB. CPU seconds of all threads: other work on the machine moves them less than the clock, but
it does move them."""


def made(people: int, variants: int) -> Found:
    """Write the files that are not there.

    Raises:
      RuntimeError: what the load of variants is compared with is not installed.
    """
    if find_spec("cyvcf2") is None:
        raise RuntimeError("cyvcf2 is not installed; `make bench KEY=vcf_vs_reader` installs it")
    for part in (1, SMALL):
        claims_at_size.files(people // part)
        variants_at_size.files(_PLACE / f"variants-{variants // part}", variants // part)
    return {"free": shutil.disk_usage(_PLACE).free}


def claims(people: int) -> Found:
    """Load claims and their lines."""
    _, took = claims_at_size.store(people)
    return asdict(took)


def claims_by_duckdb(people: int) -> Found:
    """Read the same files with DuckDB's own reader."""
    place = _PLACE / "own.duckdb"
    took = claims_at_size.read_by_duckdb(claims_at_size.files(people), place)
    place.unlink()
    return asdict(took)


def cohort(people: int) -> Found:
    """Build a study's cohort and its contribution."""
    place, _ = claims_at_size.store(people)
    return asdict(claims_at_size.alone("cohort", str(place)))


def cohort_beside_sql(people: int) -> Found:
    """Build a study's cohort, and the same by one SQL statement."""
    return asdict(cohort_vs_sql.measure(_PLACE, people))


def variants(what: str, lines: int) -> Found:
    """Read a VCF: ``load`` into the store, ``bare`` by a loop of cyvcf2 alone."""
    return asdict(claims_at_size.alone(what, str(_PLACE / f"variants-{lines}"), module=_VCF))


def steps(people: int, lines: int) -> dict[str, Callable[[], Found]]:
    """Return every step for so many patients and variants."""
    return {
        "made": partial(made, people, lines),
        "claims-small": partial(claims, people // SMALL),
        "claims": partial(claims, people),
        "claims-duckdb": partial(claims_by_duckdb, people),
        "cohort-small": partial(cohort, people // SMALL),
        "cohort": partial(cohort, people),
        "cohort-sql": partial(cohort_beside_sql, people),
        "variants-small": partial(variants, "load", lines // SMALL),
        "variants": partial(variants, "load", lines),
        "variants-bare": partial(variants, "bare", lines),
    }


STEPS: Mapping[str, Callable[[], Found]] = steps(PEOPLE, VARIANTS)


def report(found: Mapping[str, Found]) -> Report:
    """Write the tables, and what is beyond its bar."""
    grown, broken = _growth(found)
    if found["variants"]["rows"] != VARIANTS or found["variants-bare"]["rows"] != VARIANTS:
        broken.append(f"{found['variants']['rows']:,} calls were read, and the file has {VARIANTS:,}")
    beside, beyond = _beside(found)
    lines = [_WORDS, "", *grown, "", *beside]
    return Report("\n".join(lines) + "\n", (*broken, *beyond))


def _growth(found: Mapping[str, Found]) -> tuple[list[str], list[str]]:
    lines = [
        "| step | rows | CPU s | s on the clock | peak, MiB | a tenth of it, CPU s | power of growth |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    broken = []
    for name, words in _GROWING.items():
        one, small = found[name], found[f"{name}-small"]
        power = math.log(one["cpu"] / small["cpu"], SMALL)
        took = f"{one['cpu']:.1f} | {one['wall']:.0f} | {one['peak']:.0f} | {small['cpu']:.1f} | {power:.2f}"
        lines.append(f"| {words} | {one['rows']:,} | {took} |")
        if one["cpu"] > SMALL * STEEPEST * small["cpu"]:
            broken.append(f"{words}: {one['cpu']:.0f} s, and {small['cpu']:.1f} s for a tenth")
        if one["peak"] > PEAK:
            broken.append(f"{words}: {one['peak']:.0f} MiB, and {PEAK:.0f} are allowed")
    return lines, broken


def _beside(found: Mapping[str, Found]) -> tuple[list[str], list[str]]:
    lines = ["| | ours, CPU s | the other, CPU s | times | at most |", "|---|--:|--:|--:|--:|"]
    sql, broken = found["cohort-sql"], []
    for words, ours, other, most in (
        (_CLAIMS, found["claims"]["cpu"], found["claims-duckdb"]["cpu"], load_vs_duckdb.AT_MOST),
        (_COHORT, sql["ours"], sql["other"], cohort_vs_sql.AT_MOST),
        (_VARIANTS, found["variants"]["cpu"], found["variants-bare"]["cpu"], vcf_vs_reader.AT_MOST),
    ):
        lines.append(f"| {words} | {ours:.2f} | {other:.2f} | {ours / other:.2f} | {most:g} |")
        if ours > most * other:
            broken.append(f"{words}: {ours / other:.2f} times")
    return lines, broken
