"""Ten thousand hostile inputs for every reader of the records room, whole loads, large ones, and links.

Law: an input is refused by an error of ours, or every record of it is kept or counted with file, line and
reason; rows looked at are rows kept and rows left out at every table; what is said to be kept is in the
store; a refused load leaves nothing. Time and memory are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from proofs import reader_extremes, reader_runs
from proofs.harness import Found, Report

TITLE = "Hostile input to every reader"
PAGE = "docs/evidence/readers.md"
SOURCES = (
    "client/fedvalue/client/records",
    "client/fedvalue/client/governance/policy.py",
    "core/fedvalue/payment/held.py",
    "proofs/reader_inputs.py",
    "proofs/reader_tables.py",
    "proofs/reader_forms.py",
    "proofs/reader_variants.py",
    "proofs/reader_laws.py",
    "proofs/reader_runs.py",
    "proofs/reader_extremes.py",
)
SEED = 20261122
INPUTS = 10_000
LOADS = 250
SETTING_TITLES = {
    "words": "molecular reports, words",
    "mapping": "mapping file",
    "policy": "policy file",
    "held": "payer-held figures",
}
_WORDS = f"""\
{INPUTS:,} seeded inputs for each reader alone (seed {SEED}), and {LOADS} whole loads of a folder
into a store: a load takes a tenth of a second and more, so the reader is asked more often than what
stands behind it. Inputs are made by a grammar with hostile cells (formulas, SQL, NUL, other
scripts, dates that are none, amounts that are none or astronomical, unknown codes, repeated ids,
genotypes, genome builds, deep JSON, half surrogates), and seven in ten of them have other bytes
besides: cut, flipped, doubled, another encoding, BOM, line ends, truncated gzip. BCF, Parquet and DuckDB
files are changed inside, with checksums that fit (BCF) or as they fall (the others).

*Read*: every record is in the reader's table or counted with its line; how many there are is known
by construction, or counted again without the readers. Where a file holds quotes the second count
gives bounds, for a cell may span lines. Of a changed Parquet or DuckDB file nobody but DuckDB counts
the rows: there it is only that nothing crashes. A record two of whose cells hold line breaks is left out line
by line, and is not among the inputs. *Loaded*: at every table of the mapping rows looked at are
rows kept and left out, each with file, line and reason; the store holds what is said to be kept, no
day or amount of it is empty, and every eighth folder is loaded twice and changes nothing. Generic
claims besides: reasons and sum are those of the rows that were made, to the cent. *Refused*: by an
error of the records room, and nothing is left behind. A crash, DuckDB's own complaint, a dead
process or more than {reader_runs.SECONDS} CPU s break the law."""


def fuzzed(key: str, what: str) -> Found:
    """Give inputs to one reader.

    Args:
      key: Of the reader.
      what: ``stage`` for the reader alone, ``load`` for whole loads.
    """
    tally = reader_runs.pooled(key, what, INPUTS if what == "stage" else LOADS, SEED)
    return {
        "key": key, "what": what, "ended": dict(sorted(tally.ended.items())), "broken_by": tally.broken[:20],
        "slowest": tally.slowest, "peak": tally.peak,
    }  # fmt: skip


STEPS: Mapping[str, Callable[[], Found]] = {
    "places": reader_extremes.places,
    "large": reader_extremes.large,
    **{f"load-{key}": partial(fuzzed, key, "load") for key in reader_runs.READERS},
    **{
        f"stage-{key}": partial(fuzzed, key, "stage") for key in (*reader_runs.SETTINGS, *reader_runs.READERS)
    },
}


def report(found: Mapping[str, Found]) -> Report:
    """Write the tables."""
    head = "| reader | inputs | {} | refused | laws broken | slowest, CPU s | peak, MiB |"
    lines, broken = [_WORDS, ""], list[str]()
    for what, title, taken in (("stage", "Each reader alone", "read"), ("load", "Whole loads", "loaded")):
        lines += [f"## {title}", "", head.format(taken), "|---|--:|--:|--:|--:|--:|--:|"]
        lines += [*(_row(found[name]) for name in STEPS if name.startswith(f"{what}-")), ""]
    lines += ["## Large inputs", "", "| input | what came of it | CPU s | peak, MiB |", "|---|---|--:|--:|"]
    for one in found["large"]["rows"]:
        lines.append(f"| {one['name']} | {one['ended']} | {one['seconds']:.1f} | {one['peak']:.0f} |")
        broken += [f"{one['name']}: {one['broken']}"] if one["broken"] else []
    asked, taken_in = found["places"]["asked"], found["places"]["broken"]
    places = (
        f"{asked} loads with a link out of the folder, to nothing, to itself or to /dev/zero, a pipe or "
        f"a folder where a reader's file should be: {len(taken_in)} taken."
    )
    lines += ["", "## Links and places", "", places]
    broken += taken_in
    for one in found.values():
        broken += [f"{one['key']}, {one['what']}: {sentence}" for sentence in one.get("broken_by", ())]
    return Report("\n".join(lines) + "\n", tuple(broken))


def _row(one: Found) -> str:
    ended = one["ended"]
    refused = sum(count for what, count in ended.items() if what.startswith("refused"))
    taken = sum(count for what, count in ended.items() if what in ("read", "loaded"))
    title = SETTING_TITLES.get(one["key"]) or reader_runs.READERS[one["key"]].title
    counts = f"{sum(ended.values()):,} | {taken:,} | {refused:,} | {ended.get('broken', 0)}"
    return f"| {title} | {counts} | {one['slowest']:.1f} | {one['peak']:.0f} |"
