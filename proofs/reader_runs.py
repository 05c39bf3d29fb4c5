"""Many inputs for one reader, some at a time, in processes that may die: what came of each."""

from __future__ import annotations

import faulthandler
import random
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from fedvalue.client.governance.policy import load_policy
from fedvalue.client.records.mapping import parse_mapping
from fedvalue.client.records.scope import STATES
from fedvalue.client.records.store import scratch
from fedvalue.client.records.wording import read_words
from fedvalue.errors import FedValueError
from fedvalue.payment import held
from proofs import reader_forms as forms
from proofs import reader_tables as tables
from proofs import reader_variants as variants
from proofs.reader_inputs import Made, spoiled
from proofs.reader_laws import MODEST, Broken, stage, whole_load

SECONDS = 20
"""Of all threads, that one small input may take; most take some thousandths of it."""
HANGS = 300
"""Seconds on the clock after which a process that waits for something is ended."""
RENEW = 100
"""Inputs for one connection of DuckDB."""
SOUND = 0.3
"""Share of inputs whose bytes are left as they were made."""
Make = Callable[[random.Random], Made]


@dataclass(frozen=True, slots=True)
class Reader:
    """One reader and what it is given.

    Attributes:
      title: For the page.
      mapping: Of its files.
      stage: Makes what the reader alone reads: its last file.
      load: Makes what a whole load reads.
      strict: Whether the reader has to take every file that is as it was made.
    """

    title: str
    mapping: str
    stage: Make
    load: Make
    strict: bool = True


def _rif(rng: random.Random, only: str | None = None) -> Made:
    return tables.folder(rng, "cms-rif", hostile=0.15, delimiter="|", leave=0.8, only=only)


def _settlement(rng: random.Random, only: str | None = None) -> Made:
    encoding = rng.choice(("utf-8", "gb18030"))
    return tables.folder(rng, "settlement-list", hostile=0.15, encoding=encoding, leave=0.7, only=only)


def _cdm(rng: random.Random, only: str | None = None) -> Made:
    made = tables.folder(rng, "omop-csv", hostile=0.15, leave=0.5, only=only)
    words = b"concept_id\tconcept_code\tvocabulary_id\n101\tL01\tATC\n102\tx\ty\n"
    return Made({"concept.csv": words, **made.files}, made.rows)


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "delimited": Reader("delimited text through a mapping", tables.DELIMITED,
                            lambda rng: tables.folder(rng, tables.DELIMITED, hostile=0.3, only="drugs"),
                            lambda rng: tables.folder(rng, tables.DELIMITED, hostile=0.2)),
        "parquet": Reader("Parquet", tables.DELIMITED.replace(".csv", ".parquet"),
                          partial(forms.parquet, hostile=0.8, only=True),
                          partial(forms.parquet, hostile=0.4)),
        "maf": Reader("MAF", tables.MAF, partial(tables.maf, hostile=0.3), partial(tables.maf, hostile=0.1)),
        "vcf": Reader("VCF, plain and bgzipped", variants.VCF.format("vcf"),
                      partial(variants.vcf, hostile=0.3), partial(variants.vcf, hostile=0.15), strict=False),
        "bcf": Reader("BCF", variants.VCF.format("bcf"), partial(variants.bcf, hostile=0.8),
                      partial(variants.bcf, hostile=0.3)),
        "reports": Reader("molecular reports, table", tables.REPORTS, partial(tables.reports, hostile=0.3),
                          partial(tables.reports, hostile=0.2)),
        "claims": Reader("claims, generic", tables.CLAIMS, tables.claims, tables.claims),
        "rif": Reader("claims, CMS RIF", "cms-rif", partial(_rif, only="carrier"), _rif),
        "settlement": Reader("Chinese settlement list", "settlement-list",
                             partial(_settlement, only="settlements"), _settlement),
        "omop_csv": Reader("OMOP CDM, CSV", "omop-csv", partial(_cdm, only="drug_exposure"), _cdm),
        "omop_duckdb": Reader("OMOP CDM, DuckDB file", "omop-duckdb", partial(forms.omop, hostile=0.8),
                              partial(forms.omop, hostile=0.4)),
        "fhir": Reader("FHIR R4, NDJSON", "fhir-r4", partial(forms.fhir, hostile=0.4, only="Condition"),
                       partial(forms.fhir, hostile=0.3)),
    }
)  # fmt: skip
SETTINGS = ("words", "mapping", "policy", "held")
"""Readers of text alone: a laboratory's words, a mapping, a site's policy, a payer's held figures."""


@dataclass(slots=True)
class Tally:
    """What came of some inputs.

    Attributes:
      ended: How often what happened.
      broken: Seed and sentence of every law that was broken.
      slowest: Seconds of the slowest input.
      peak: Highest memory of a process, MiB.
    """

    ended: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    slowest: float = 0.0
    peak: float = 0.0

    def add(self, other: Tally) -> None:
        """Take in another tally."""
        self.ended.update(other.ended)
        self.broken += other.broken
        self.slowest, self.peak = max(self.slowest, other.slowest), max(self.peak, other.peak)


def made_for(key: str, what: str, seed: str) -> tuple[Made, bool]:
    """Return an input by its seed, and whether its bytes are as they were made."""
    rng = random.Random(seed)  # noqa: S311 (made-up inputs)
    reader = READERS[key]
    made = (reader.stage if what == "stage" else reader.load)(rng)
    if rng.random() < SOUND or key in ("bcf", "omop_duckdb", "parquet"):
        return made, True
    last = list(made.files)[-1]
    only = Made({last: made.files[last]}, made.rows, made.encoding)
    harmed = spoiled(rng, only) if what == "stage" else spoiled(rng, made)
    files = {**{k: v for k, v in made.files.items() if k != last}, last: harmed.files[last]}
    return Made(files if what == "stage" else harmed.files, harmed.rows, made.encoding), False


def setting(key: str, rng: random.Random, room: Path) -> str:
    """Give one text to a reader of settings, or of words.

    Raises:
      Broken: a law is.
    """
    if key == "words":
        found = read_words(
            tables.words(rng), rng.choice(("", "EGFR", "KRAS")), rng.choice(((), ("EGFR", "ALK")))
        )
        if not found or any(one.state not in STATES for one in found):
            raise Broken(f"{found}")
        return "read"
    data = forms.texts(rng, _sound(key))
    try:
        if key == "mapping":
            parse_mapping(data, where="map.toml")
        elif key == "held":
            held.parse(data, where="held.yaml")
        else:
            (room / "policy.toml").write_bytes(data)
            load_policy(room / "policy.toml")
    except FedValueError as error:
        return f"refused, {type(error).__name__}"
    return "read"


def _sound(key: str) -> list[bytes]:
    if key == "mapping":
        return [text.encode() for text in (tables.DELIMITED, tables.CLAIMS, tables.MAF, tables.REPORTS)]
    return [forms.POLICY if key == "policy" else forms.HELD]


def run(key: str, what: str, seeds: range, base: int) -> Tally:
    """Give inputs to a reader, in this process.

    Args:
      key: Of `READERS` or `SETTINGS`.
      what: ``stage`` for the reader alone, ``load`` for a whole load.
      seeds: Numbers of the inputs.
      base: Of the seeds.
    """
    tally = Tally()
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  (own folder in it)
    with tempfile.TemporaryDirectory(prefix="readers-", dir=place) as name:
        room = Path(name)
        for begin in range(seeds.start, seeds.stop, RENEW):
            numbers = range(begin, min(begin + RENEW, seeds.stop))
            if key in SETTINGS or what == "load":
                for number in numbers:
                    here = room / f"{number}"
                    here.mkdir()
                    _one(tally, f"{base}-{key}-{what}-{number}", partial(_alone, key, here, number))
                    shutil.rmtree(here)
                continue
            with scratch(read_from=room, limits=MODEST) as connection:
                for number in numbers:
                    seed = f"{base}-{key}-{what}-{number}"

                    def work(seed: str, number: int = number) -> str:
                        made, whole = made_for(key, "stage", seed)
                        sound = whole and READERS[key].strict and len(made.rows) > len(made.files) - 1
                        return stage(connection, room, READERS[key].mapping, made, f"t{number}", sound=sound)

                    _one(tally, seed, work)
    tally.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return tally


def _alone(key: str, room: Path, number: int, seed: str) -> str:
    if key in SETTINGS:
        return setting(key, random.Random(seed), room)  # noqa: S311 (made-up inputs)
    made, _ = made_for(key, "load", seed)
    return whole_load(room, READERS[key].mapping, made, again=number % 8 == 0)


def _one(tally: Tally, seed: str, work: Callable[[str], str]) -> None:
    began = time.process_time()
    try:
        with _in_time():
            tally.ended[work(seed)] += 1
    except Exception as error:  # whatever it is, it is what is looked for
        tally.ended["broken"] += 1
        tally.broken.append(f"{seed}: {type(error).__name__}: {str(error)[:300]}")
    tally.slowest = max(tally.slowest, time.process_time() - began)


@contextmanager
def _in_time() -> Iterator[None]:
    """Raise where an input takes more CPU than `SECONDS`; end the process where nothing helps."""

    def late(_signal: int, _frame: object) -> NoReturn:
        raise Broken(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    faulthandler.dump_traceback_later(HANGS, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def pooled(key: str, what: str, count: int, base: int, *, workers: int = 2) -> Tally:
    """Give ``count`` inputs to a reader, in processes; one that dies is a broken law with its seed.

    Args:
      key: Of `READERS` or `SETTINGS`.
      what: As in `run`.
      count: Inputs.
      base: Of the seeds.
      workers: Processes.
    """
    total = Tally()
    left = [range(at, min(at + RENEW, count)) for at in range(0, count, RENEW)]
    while left:
        todo, left = left, []
        # where a process died, what was at work is tried again in smaller parts, down to one input
        with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
            waiting: list[tuple[range, Future[Tally]]] = [
                (part, pool.submit(run, key, what, part, base)) for part in todo
            ]
            for part, future in waiting:
                try:
                    total.add(future.result())
                except BrokenProcessPool:
                    left.append(part)
        if len(left) == len(todo) == 1 and len(left[0]) == 1:
            total.ended["broken"] += 1
            total.broken.append(f"{base}-{key}-{what}-{left[0].start}: the process died")
            left = []
        elif len(left) == len(todo):
            left = list(_halves(left))
    return total


def _halves(parts: list[range]) -> Iterator[range]:
    for part in parts:
        middle = (part.start + part.stop) // 2
        yield from (half for half in (range(part.start, middle), range(middle, part.stop)) if half)
