"""Inputs that are large, unpack to no end or lead out of the folder, each in a process of its own."""

from __future__ import annotations

import gzip
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType

from fedvalue.client.records.load import load
from fedvalue.errors import SourceMissing
from proofs import reader_forms as forms
from proofs import reader_tables as tables
from proofs.harness import Found
from proofs.reader_inputs import Made
from proofs.reader_laws import MODEST, Broken, whole_load
from proofs.reader_runs import READERS

MOST_SECONDS = 60.0
MOST_MEMORY = 4096.0
"""MiB."""
MEGABYTE = 1_000_000
_SAID, _EMPTY_BCF, _MANY = b"no egfr l858r ", b"BCF\2\2\0\0\0\0\0", 20 * MEGABYTE
_PLACES = (
    "a link out of the folder",
    "a link to nothing",
    "a link to itself",
    "a link to /dev/zero",
    "a pipe",
    "a folder",
)
_CODED = (
    b'{"resourceType":"Condition","subject":{"reference":"Patient/P001"},'
    b'"onsetDateTime":"2025-01-01","code":{"coding":%b}}\n'
)
_REST = b",2026-01-11,5.00,CNY\n"
_TOLD = b"id,words,gene,day,panel\nP001,%b,EGFR,2025-01-01,a\n"
_CALL = b"chr7\t55191822\t.\tT\tG\t50\tPASS\t%b\tGT\t0/1\n"


def _rng() -> random.Random:
    return random.Random(20261122)  # noqa: S311 (made-up inputs)


def _claims(more: bytes, *, zipped: bool = False) -> Made:
    made = tables.claims(_rng())
    data = made.files["claims.csv"].removesuffix(b"\n") + b"\n" + more
    files = {**made.files, "claims.csv": gzip.compress(data, 1) if zipped else data}
    rows = {"people.csv": made.rows["people.csv"]}
    return Made(files, rows)


def _maf(more: bytes) -> Made:
    made = tables.maf(_rng(), hostile=0)
    return Made({**made.files, "calls.maf": made.files["calls.maf"].removesuffix(b"\n") + b"\n" + more}, {})


def _fhir(more: bytes) -> Made:
    made = forms.fhir(_rng(), hostile=0)
    return Made(
        {**made.files, "Condition.ndjson": made.files["Condition.ndjson"].rstrip() + b"\n" + more}, {}
    )


def _coded(coding: bytes) -> Made:
    return _fhir(_CODED % coding)


def _beside(name: str, data: bytes) -> Made:
    """Return one file of one person."""
    return Made({"people.csv": b"id\nP001\n", name: data}, {"people.csv": 1})


def _alleles() -> Made:
    return _vcf((_CALL % b"GENE=EGFR").replace(b"G\t50", b",".join([b"G"] * MEGABYTE) + b"\t50"))


def _vcf(lines: bytes) -> Made:
    names = b"#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT P001".replace(b" ", b"\t")
    head = b"##fileformat=VCFv4.2\n##reference=GRCh38\n" + names + b"\n"
    return _beside("calls.vcf", head + lines)


def _bomb(piece: bytes, size: int) -> bytes:
    with tempfile.TemporaryDirectory(prefix="bomb-") as room:
        place = Path(room) / "bomb.gz"
        with gzip.open(place, "wb", compresslevel=9) as out:
            part = piece * (MEGABYTE // len(piece))
            for _ in range(size):
                out.write(part)
        return place.read_bytes()


def _wide(columns: int) -> Made:
    header = b",".join([b"id,claim,day,total,currency", *(b"x%d" % at for at in range(columns))])
    row = b"P001,C1,2026-01-11,5.00,CNY" + b',"y"' * columns
    return Made(
        {"people.csv": b"id\nP001\n", "claims.csv": b"\n".join([header, row, b""])},
        {"people.csv": 1, "claims.csv": 1},
    )


LARGE: Mapping[str, tuple[str, Callable[[], Made]]] = MappingProxyType(
    {
        "CSV, a line of 10 MB": ("claims", lambda: _claims(b"x" * 10 * MEGABYTE + b"\n")),
        "CSV, a cell of 10 MB": ("claims", lambda: _claims(b"P001," + b"c" * 10 * MEGABYTE + _REST)),
        "CSV, a line of 100 MB": ("claims", lambda: _claims(b"x" * 100 * MEGABYTE + b"\n")),
        "CSV, 10 MB of quotes": ("claims", lambda: _claims(b'"' * 10 * MEGABYTE + b"\n")),
        "CSV, 200,000 lines with an open quote": ("claims", lambda: _claims(b'P001,"\n' * 200_000)),
        "CSV, one row 300,000 times": ("claims", lambda: _claims(b"P001,C1,2026-01-11,5.00,CNY\n" * 300_000)),
        "CSV, 5,000 columns in quotes": ("claims", lambda: _wide(5_000)),
        "CSV, 400 MB of zeros in gzip": ("claims", lambda: _beside("claims.csv", _bomb(b"\0", 400))),
        "CSV, 400 MB of line ends in gzip": ("claims", lambda: _beside("claims.csv", _bomb(b"\n", 400))),
        "MAF, a line of 10 MB": ("maf", lambda: _maf(b"x\t" * 5 * MEGABYTE + b"\n")),
        "FHIR, a line of 60 MB of empty lists": ("fhir", lambda: _coded(b"[" + b"[]," * _MANY + b"1]")),
        "FHIR, 10 MB of opening brackets": ("fhir", lambda: _fhir(b"[" * 10 * MEGABYTE + b"\n")),
        "FHIR, a code of 10 MB": ("fhir", lambda: _coded(b'{"code":"' + b"9" * 10 * MEGABYTE + b'"}')),
        "FHIR, a number of 10 MB": ("fhir", lambda: _coded(b'{"code":' + b"9" * 10 * MEGABYTE + b"}")),
        "VCF, INFO of 10 MB": ("vcf", lambda: _vcf(_CALL % (b"CSQ=" + b"|" * 10 * MEGABYTE))),
        "VCF, a million alleles": ("vcf", _alleles),
        "VCF, 400 MB of zeros in gzip": ("vcf", lambda: _beside("calls.vcf", _bomb(b"\0", 400))),
        "BCF, 400 MB of zeros in gzip": ("bcf", lambda: _beside("calls.bcf", _bomb(_EMPTY_BCF, 400))),
        "report, 10 MB of words": ("reports", lambda: _beside("reports.csv", _TOLD % (_SAID * 700_000))),
    }
)  # fmt: skip


def _measured(name: str) -> Found:
    key, make = LARGE[name]
    made = make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.process_time()
    with tempfile.TemporaryDirectory(prefix="large-") as room:
        try:
            ended, broken = whole_load(Path(room), READERS[key].mapping, made, again=False), ""
        except Broken as error:
            ended, broken = "broken", str(error)[:300]
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if not broken and (seconds > MOST_SECONDS or peak > MOST_MEMORY):
        broken = f"{seconds:.0f} s and {peak:.0f} MiB"
    return {"name": name, "ended": ended, "broken": broken, "seconds": seconds, "peak": peak, "made": before}


def _alone(work: Callable[[], Found]) -> Found:
    with ProcessPoolExecutor(1, mp_context=get_context("forkserver")) as pool:
        return pool.submit(work).result()


def large() -> Found:
    """Load every large input, each in a process of its own."""
    return {"rows": [_alone(partial(_measured, name)) for name in LARGE]}


def places() -> Found:
    """Put what is no file of the folder where each reader's file should be."""
    broken, asked = [], 0
    for key, reader in READERS.items():
        made = reader.load(_rng())
        last = list(made.files)[-1]
        for what in _PLACES:
            asked += 1
            with tempfile.TemporaryDirectory(prefix="places-") as room:
                folder = Path(room) / "in"
                folder.mkdir()
                for name, data in made.files.items():
                    (folder / name).write_bytes(data)
                secret = Path(room) / "outside"
                (folder / last).rename(secret)
                _put(folder / last, what, secret)
                try:
                    report = load(
                        folder,
                        tables.mapping_of(reader.mapping),
                        Path(room) / "home" / "r.duckdb",
                        limits=MODEST,
                    )
                    if what == _PLACES[0] or any(file.file == last for file in report.files):
                        broken.append(f"{key}: {what} is taken")
                except SourceMissing:
                    pass
    return {"asked": asked, "broken": broken}


def _put(place: Path, what: str, secret: Path) -> None:
    if what == "a pipe":
        os.mkfifo(place)
    elif what == "a folder":
        place.mkdir()
    else:
        aims = {
            _PLACES[0]: secret,
            _PLACES[1]: place.parent / "nothing",
            _PLACES[2]: place,
            _PLACES[3]: Path("/dev/zero"),
        }
        place.symlink_to(aims[what])
