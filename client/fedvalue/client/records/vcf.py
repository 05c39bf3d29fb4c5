"""VCF files, plain or gzip: one row per patient, gene and call that the patient carries.

The genotype decides whether a sample carries an allele. Genes, protein changes and effects come from VEP
(``CSQ``), SnpEff (``ANN``) or three INFO keys of the mapping. Several patients share a line: a genotype that
is none is one sample's missing call and leaves the line to the others. A line that cannot be read is counted
by reason with its number and left out; where its number of columns is wrong nobody can tell whose genotype is
whose, so the gene is unknown for every sample, not wild type. A file without its ``#CHROM`` line is refused.

Danecek, P. et al. The variant call format and VCFtools. Bioinformatics 27 (2011) 2156-2158; VCF 4.3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pandas as pd

from fedvalue.client.records.annotations import Annotation, Annotator, annotator
from fedvalue.client.records.connectors import Raw, Wanted, require_columns
from fedvalue.client.records.mapping import SourceFile
from fedvalue.client.records.report import SHOWN_LINES, FileReport, LeftOut
from fedvalue.client.records.store import UNREAD
from fedvalue.client.records.tabular import MALFORMED
from fedvalue.client.records.text_lines import blocks
from fedvalue.errors import SourceMissing, SourceUnreadable

COLUMNS = ("sample", "file", "gene", "protein_change", "effect")
NOT_PASSING = "call did not pass its filter"
NO_ANNOTATION = "no gene annotation"
NO_GENOTYPE = "no genotype"
BAD_GENOTYPE = "genotype that is none"
WRONG_WIDTH = "wrong number of columns"
_FIXED = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
_ALLELES = re.compile(r"[/|]")
_BASES = re.compile(r"[ACGTNacgtn]+")
_MOST_DIGITS = 6
"""Of the number of an allele; a line has far fewer alleles."""
_DATABASE_ROWS = 50_000


@dataclass(slots=True)
class _Tally:
    """Lines, or genotypes of lines, left out of one file, by reason."""

    counts: dict[str, int] = field(default_factory=dict)
    lines: dict[str, list[int]] = field(default_factory=dict)

    def add(self, reason: str, line: int, count: int = 1) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + count
        shown = self.lines.setdefault(reason, [])
        if len(shown) < SHOWN_LINES:
            shown.append(line)

    def left_out(self, file: str) -> tuple[LeftOut, ...]:
        return tuple(
            LeftOut(reason=reason, rows=count, file=file, lines=tuple(self.lines[reason]))
            for reason, count in sorted(self.counts.items())
        )


@dataclass(frozen=True, slots=True)
class _Header:
    samples: tuple[str, ...]
    positions: tuple[int, ...]
    width: int
    annotate: Annotator


@dataclass(frozen=True, slots=True)
class _Line:
    """What one line says.

    Attributes:
      carried: Sample and annotation of every call.
      fault: Why the line is left out; None where it is read.
      bad_genotypes: Samples whose genotype is none.
    """

    carried: list[tuple[str, Annotation]]
    fault: str | None = None
    bad_genotypes: int = 0


@dataclass(frozen=True, slots=True)
class Vcf:
    """VCF files as a table with the columns sample, file, gene, protein_change and effect."""

    def read(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: SourceFile,
        files: Sequence[tuple[str, Path]],
        wanted: Wanted,
        table: str,
    ) -> Raw:
        """Read the files; see `fedvalue.client.records.connectors.Connector.read`."""
        columns = {name: f"c{i}" for i, name in enumerate(COLUMNS)}
        text_columns = ", ".join(f"{column} VARCHAR" for column in columns.values())
        listed = f"{table}_listed"
        for name in (table, listed):
            connection.execute(f"CREATE TEMP TABLE {name} (file INTEGER, line BIGINT, {text_columns})")
        reports = []
        for index, (shown, path) in enumerate(files):
            require_columns(wanted.columns, COLUMNS, where=shown)
            reports.append(_file(connection, source, index, shown, path, table, listed))
        return Raw(table, columns, tuple(reports), listed)


def _file(
    connection: duckdb.DuckDBPyConnection,
    source: SourceFile,
    index: int,
    shown: str,
    path: Path,
    table: str,
    listed: str,
) -> FileReport:
    stem = path.name
    while Path(stem).suffix.lower() in (".vcf", ".gz", ".bgz"):
        stem = Path(stem).stem
    header: _Header | None = None
    meta: list[str] = []
    tally, rows, calls = _Tally(), list[tuple[int, int, str, str, str, str, str]](), 0
    # One sample's bytes that are no text must not cost the others their line.
    for block in blocks(path, source.encoding, where=shown, errors="replace"):
        for offset, line in enumerate(block.lines):
            number = block.first + offset
            if header is None:
                header = _header(line, number, meta, source, shown)
                continue
            if line == "":
                continue
            found = _call(line, header, source)
            if found.fault is not None:
                tally.add(found.fault, number)
            if found.bad_genotypes:
                tally.add(BAD_GENOTYPE, number, found.bad_genotypes)
            calls += found.fault is None
            rows += [
                (index, number, sample, stem, note.gene, note.protein_change, note.effect)
                for sample, note in found.carried
            ]
            if len(rows) >= _DATABASE_ROWS:
                _insert(connection, table, rows)
                rows.clear()
    if header is None:
        raise SourceUnreadable("the file has no #CHROM line", where=shown, do="is it a VCF, and whole?")
    _insert(connection, table, rows)
    _insert(connection, listed, [(index, 0, sample, stem, "", "", "") for sample in header.samples or ("",)])
    return FileReport(file=shown, rows=calls, left_out=tally.left_out(shown))


def _header(line: str | None, number: int, meta: list[str], source: SourceFile, shown: str) -> _Header | None:
    """Take in one line of the header; return the header at its last line."""
    if line is None or not line.startswith("#"):
        raise SourceUnreadable(
            "a line stands above #CHROM that is no header line",
            where=f"{shown}, line {number}",
            do="is it a VCF?",
        )
    if line.startswith("##"):
        meta.append(line)
        return None
    names = line.split("\t")
    if (
        tuple(names[:8]) != _FIXED
        or (len(names) > 8 and names[8] != "FORMAT")
        or len(set(names)) != len(names)
        or "\ufffd" in line
    ):
        raise SourceUnreadable(
            "the #CHROM line is not that of a VCF",
            where=f"{shown}, line {number}",
            do="columns are parted by tabs",
        )
    samples = tuple(names[9:])
    if absent := sorted(set(source.samples) - set(samples)):
        raise SourceMissing(
            f"the mapping expects the sample {', '.join(map(repr, absent))}",
            where=shown,
            do=f"the file has {len(samples)} other samples",
        )
    chosen = tuple(sample for sample in samples if not source.samples or sample in source.samples)
    return _Header(
        chosen, tuple(names.index(sample) for sample in chosen), len(names), annotator(meta, source.info)
    )


def _call(line: str | None, header: _Header, source: SourceFile) -> _Line:
    """Return who carries what, or the reason why the line is left out."""
    fields = line.split("\t") if line is not None else []
    if len(fields) < len(_FIXED):
        return _Line([], MALFORMED)
    _, position, _, reference, alternative, _, passed, info = fields[:8]
    if (
        not (position.isascii() and position.isdigit())
        or _BASES.fullmatch(reference) is None
        or not alternative
    ):
        return _Line([], MALFORMED)
    if source.only_passing and passed not in ("PASS", ".", ""):
        return _Line([], NOT_PASSING)
    alternatives = alternative.split(",")
    notes = header.annotate(info, reference, alternatives)
    if len(fields) != header.width:
        genes = sorted({note.gene for by_allele in notes for note in by_allele})
        samples = header.samples or ("",)
        return _Line([(who, Annotation(gene, "", UNREAD)) for who in samples for gene in genes], WRONG_WIDTH)
    if not any(notes):
        return _Line([], NO_ANNOTATION)
    if not header.positions:
        return _Line([("", note) for by_allele in notes for note in by_allele])
    keys = fields[8].split(":") if header.width > 8 else []
    if "GT" not in keys:
        return _Line([], NO_GENOTYPE)
    at = keys.index("GT")
    carried, bad = list[tuple[str, Annotation]](), 0
    for sample, column in zip(header.samples, header.positions, strict=True):
        values = fields[column].split(":")
        present = _alleles(values[at], len(alternatives)) if at < len(values) else set()
        if present is None:
            bad += 1
            continue
        carried += [(sample, note) for number in sorted(present - {0}) for note in notes[number - 1]]
    return _Line(carried, bad_genotypes=bad)


def _alleles(genotype: str, alternatives: int) -> set[int] | None:
    """Return the numbers of the alleles that are called, None where the genotype is none."""
    called = [allele for allele in _ALLELES.split(genotype) if allele != "."]
    if not all(allele.isascii() and allele.isdigit() and len(allele) <= _MOST_DIGITS for allele in called):
        return None
    present = set(map(int, called))
    return present if max(present, default=0) <= alternatives else None


def _insert(
    connection: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[int, int, str, str, str, str, str]]
) -> None:
    if not rows:
        return
    frame = pd.DataFrame(rows, columns=["file_number", "line", *COLUMNS])
    connection.register("calls", frame)
    nulls = ", ".join(f"nullif({name}, '')" for name in COLUMNS)
    connection.execute(f"INSERT INTO {table} SELECT DISTINCT file_number, line, {nulls} FROM calls")  # noqa: S608 (own names)
    connection.unregister("calls")
