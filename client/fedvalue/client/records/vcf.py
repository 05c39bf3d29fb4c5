"""VCF and BCF files, plain or packed: one row per patient, gene and call that the patient carries.

The genotype decides whether a sample carries an allele. Genes, protein changes and effects come from VEP
(``CSQ``), SnpEff (``ANN``, ``EFF``) or three INFO keys of the mapping; what stands at a place of the
catalogue of actionable variants is known by its position too, if the genome build is known. Several patients
share a line: a genotype that is none is one sample's missing call and leaves the line to the others. A line
that cannot be read is counted by reason with its number and left out; where its number of columns is wrong
nobody can tell whose genotype is whose, so the gene is unknown for every sample, not wild type. A file
without its ``#CHROM`` line is refused.

Danecek, P. et al. The variant call format and VCFtools. Bioinformatics 27 (2011) 2156-2158; VCF 4.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import duckdb
import pandas as pd

from fedvalue.client.records.actionable import Positions, positions
from fedvalue.client.records.annotations import Annotation, Annotator, annotator, declares_genes
from fedvalue.client.records.builds import LENGTHS, agreed_build
from fedvalue.client.records.calls import called, depth_and_fraction, layout, strelka_call
from fedvalue.client.records.connectors import Raw, Wanted, require_columns
from fedvalue.client.records.htslib import bcf_blocks, is_bcf, require_whole
from fedvalue.client.records.mapping import SourceFile
from fedvalue.client.records.report import SHOWN_LINES, FileReport, LeftOut
from fedvalue.client.records.scope import BY_POSITION, BY_POSITION_NO_FUSIONS, EVERYTHING, NOTHING
from fedvalue.client.records.store import UNREAD
from fedvalue.client.records.tabular import MALFORMED
from fedvalue.client.records.text_lines import Block, blocks
from fedvalue.client.records.vcf_quick import Quick, quick_reader
from fedvalue.errors import SourceMissing, SourceUnreadable

COLUMNS = (
    "sample", "file", "gene", "protein_change", "effect", "genotype", "depth", "allele_fraction", "filter",
)  # fmt: skip
NOT_PASSING = "call did not pass its filter"
NO_ANNOTATION = "no gene annotation"
NO_GENOTYPE = "no genotype"
BAD_GENOTYPE = "genotype that is none"
WRONG_WIDTH = "wrong number of columns"
WRONG_BASE = "reference base of another genome build"
BEYOND = "position behind the end of its chromosome"
_FIXED = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
_BASES = "ACGTNacgtn"
_DATABASE_ROWS = 50_000
_NOT_CARRIED = frozenset(("0/0", "0|0", "./.", ".|.", "0", "."))
_PASSING = frozenset(("PASS", ".", ""))
_MOST_DIGITS = 10
"""Of a position."""


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
    """What the lines above the calls say.

    Attributes:
      samples: Those that are read, with the position of their column.
      width: Columns of a line.
      annotate: Reader of annotations.
      declared: True where the header promises genes.
      catalogue: The catalogue on the file's build, None where no build is known.
      lengths: Chromosome, as files write it, to its bases.
      rearranged: True where the file may hold breakpoints.
    """

    samples: tuple[tuple[str, int], ...]
    width: int
    annotate: Annotator
    declared: bool
    catalogue: Positions | None
    lengths: dict[str, int]
    rearranged: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Whom a line speaks of; one nameless person where the file has no samples."""
        return tuple(name for name, _ in self.samples) or ("",)

    def quick(self, meta: Sequence[str], stem: str, only_passing: bool) -> Quick | None:
        """Return the reader of this file's usual lines."""
        return quick_reader(
            meta,
            self.samples,
            width=self.width,
            stem=stem,
            only_passing=only_passing,
            lengths=self.lengths,
            catalogue=self.catalogue,
        )


class _Line(NamedTuple):
    """What one line says.

    Attributes:
      rows: Every call, as the tab-separated cells of `COLUMNS`.
      fault: Why the line is left out; None where it is read.
      annotated: True where the file itself names a gene.
      bad_genotypes: Samples whose genotype is none.
    """

    rows: list[str]
    fault: str | None
    annotated: bool
    bad_genotypes: int = 0


@dataclass(frozen=True, slots=True)
class Vcf:
    """VCF and BCF files as a table with the columns of `COLUMNS`."""

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
        listed = f"{table}_listed"
        cells = ", ".join(
            f"nullif(cells[{number}], '') AS {column}" for number, column in enumerate(columns.values(), 1)
        )
        for name in (table, listed):
            # Whole rows of text, cut where they are read: several times faster than a column for each value.
            connection.execute(f"CREATE TEMP TABLE {name}_rows (file INTEGER, line BIGINT, text VARCHAR)")
            connection.execute(
                f"CREATE TEMP VIEW {name} AS SELECT file, line, {cells} "  # noqa: S608 (own names)
                f"FROM (SELECT file, line, string_split(text, chr(9)) AS cells FROM {name}_rows)"
            )
        reports, scopes = [], []
        for index, (shown, path) in enumerate(files):
            require_columns(wanted.columns, COLUMNS, where=shown)
            report, scope = _file(connection, source, index, shown, path, table, listed)
            reports.append(report)
            scopes.append(scope)
        return Raw(table, columns, tuple(reports), listed, tuple(scopes))


def _blocks(path: Path, source: SourceFile, shown: str) -> Iterator[Block]:
    require_whole(path, where=shown)
    if is_bcf(path):
        return bcf_blocks(path, where=shown)
    # One sample's bytes that are no text must not cost the others their line.
    return blocks(path, source.encoding, where=shown, errors="replace")


def _file(
    connection: duckdb.DuckDBPyConnection,
    source: SourceFile,
    index: int,
    shown: str,
    path: Path,
    table: str,
    listed: str,
) -> tuple[FileReport, str]:
    """Read one file; return its report and what it can tell of genes."""
    stem = path.name.replace("\t", " ")
    while Path(stem).suffix.lower() in (".vcf", ".bcf", ".gz", ".bgz"):
        stem = Path(stem).stem
    header: _Header | None = None
    quick: Quick | None = None
    meta: list[str] = []
    tally, numbers, rows, calls = _Tally(), list[int](), list[str](), 0
    annotated, only_passing = False, source.only_passing
    for block in _blocks(path, source, shown):
        for number, line in enumerate(block.lines, start=block.first):
            if quick is not None and line is not None and (row := quick(line)) is not None:
                calls += 1
                annotated = True
                if row:
                    rows.append(row)
                    numbers.append(number)
                continue
            if header is None:
                header = _header(line, number, meta, source, shown)
                if header is not None:
                    quick = header.quick(meta, stem, only_passing)
                continue
            if line == "":
                continue
            found, fault, named, bad = _call(line, header, stem, only_passing)
            if fault is None:
                calls += 1
            else:
                tally.add(fault, number)
            if bad:
                tally.add(BAD_GENOTYPE, number, bad)
            annotated = annotated or named
            rows += found
            numbers += [number] * len(found)
        if len(rows) >= _DATABASE_ROWS:
            _insert(connection, table, index, numbers, rows)
            numbers, rows = [], []
    if header is None:
        raise SourceUnreadable("the file has no #CHROM line", where=shown, do="is it a VCF, and whole?")
    _insert(connection, table, index, numbers, rows)
    people = [f"{sample}\t{stem}" + "\t" * (len(COLUMNS) - 2) for sample in header.names]
    _insert(connection, listed, index, [0] * len(people), people)
    unnamed = NO_ANNOTATION in tally.counts
    return FileReport(file=shown, rows=calls, left_out=tally.left_out(shown)), _scope(
        header, annotated=annotated, unnamed=unnamed
    )


def _scope(header: _Header, *, annotated: bool, unnamed: bool) -> str:
    """Return what a file can tell of genes; one without a call tells of every gene that there is none."""
    if header.declared or annotated or not unnamed:
        return EVERYTHING
    if header.catalogue is None:
        return NOTHING
    return BY_POSITION if header.rearranged else BY_POSITION_NO_FUSIONS


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
        or "\0" in line
    ):
        raise SourceUnreadable(
            "the #CHROM line is not that of a VCF",
            where=f"{shown}, line {number}",
            do="columns are parted by tabs, and no sample stands twice",
        )
    samples = tuple(names[9:])
    if absent := sorted(set(source.samples) - set(samples)):
        raise SourceMissing(
            f"the mapping expects the sample {', '.join(map(repr, absent))}",
            where=shown,
            do=f"the file has {len(samples)} other samples",
        )
    build = agreed_build(meta, source.build, where=shown)
    longest = {
        name: max(lengths[name] for key, lengths in LENGTHS.items() if build in (None, key))
        for name in LENGTHS["GRCh38"]
    }
    return _Header(
        tuple(
            (sample, position)
            for position, sample in enumerate(names[9:], start=9)
            if not source.samples or sample in source.samples
        ),
        len(names),
        annotator(meta, source.info),
        declares_genes(meta, source.info),
        None if build is None else positions(build),
        longest | {f"chr{name}": length for name, length in longest.items()},
        any(one.startswith("##INFO=<ID=SVTYPE") for one in meta),
    )


def _call(line: str | None, header: _Header, stem: str, only_passing: bool) -> _Line:
    """Return who carries what, or the reason why the line is left out."""
    fields = line.split("\t") if line is not None else []
    if len(fields) < len(_FIXED):
        return _Line([], MALFORMED, False)
    chromosome, position, _, reference, alternative, _, passed, info = fields[:8]
    if (
        not (position.isdigit() and position.isascii() and len(position) <= _MOST_DIGITS)
        or reference.strip(_BASES)
        or not reference
        or not alternative
        or (line is not None and "\0" in line and any("\0" in one for one in fields[:9]))
    ):
        return _Line([], MALFORMED, False)
    at = int(position)
    if at > header.lengths.get(chromosome, at):
        return _Line([], BEYOND, False)
    if only_passing and passed not in _PASSING:
        return _Line([], NOT_PASSING, False)
    alternatives = alternative.split(",")
    notes = header.annotate(info, reference, alternatives)
    annotated = any(notes)
    catalogue = header.catalogue
    if catalogue is not None and catalogue.worth_a_look(chromosome, at, reference, alternative):
        if gene := catalogue.wrong_base(chromosome, at, reference):
            return _Line(_unread(header, stem, [gene]), WRONG_BASE, annotated)
        known = catalogue.found(chromosome, at, reference, alternatives, info)
        notes = [_merged(own, extra) if extra else own for own, extra in zip(notes, known, strict=True)]
    if len(fields) != header.width:
        genes = sorted({note.gene for by_allele in notes for note in by_allele})
        return _Line(_unread(header, stem, genes), WRONG_WIDTH, annotated)
    if not (annotated or any(notes)):
        return _Line([], NO_ANNOTATION, False)
    if not header.samples:
        every = [note for by_allele in notes for note in by_allele]
        return _Line(["\t".join(("", stem, *note, "", "", "", passed)) for note in every], None, annotated)
    return _carried(fields, header, stem, alternatives, notes, annotated)


def _carried(
    fields: list[str],
    header: _Header,
    stem: str,
    alternatives: list[str],
    notes: list[list[Annotation]],
    annotated: bool,
) -> _Line:
    """Return the calls of every sample of a line."""
    keys = layout(fields[8])
    gt, passed, bad = keys.gt, fields[6], 0
    if gt is None and not keys.strelka:
        return _Line([], NO_GENOTYPE, annotated)
    rows = []
    for sample, column in header.samples:
        values = fields[column].split(":")
        if gt is None:
            told = strelka_call(sample, fields[7], fields[3], alternatives)
            if told is None:
                return _Line([], NO_GENOTYPE, annotated)
            present, genotype = told
        else:
            genotype = values[gt] if gt < len(values) else "."
            if genotype in _NOT_CARRIED:
                continue
            numbers = called(genotype, len(alternatives))
            if numbers is None:
                bad += 1
                continue
            present = numbers
        for number in present:
            if notes[number - 1]:
                depth, fraction = depth_and_fraction(values, keys, number, alternatives)
                for gene, change, effect in notes[number - 1]:
                    rows.append(
                        f"{sample}\t{stem}\t{gene}\t{change}\t{effect}\t{genotype}\t{depth}\t{fraction}\t{passed}"
                    )
    return _Line(rows, None, annotated, bad)


def _unread(header: _Header, stem: str, genes: Sequence[str]) -> list[str]:
    return ["\t".join((who, stem, gene, "", UNREAD, *[""] * 4)) for who in header.names for gene in genes]


def _merged(own: list[Annotation], known: list[Annotation]) -> list[Annotation]:
    """Return a line's own annotations with what the catalogue knows of the place.

    A protein change of the file's own stays; the catalogue names what has none, such as rs7903146.
    """
    at = {note.gene: position for position, note in enumerate(own)}
    merged = list(own)
    for note in known:
        position = at.get(note.gene)
        if position is None:
            merged.append(note)
        elif not merged[position].protein_change:
            merged[position] = note
    return merged


def _insert(
    connection: duckdb.DuckDBPyConnection, table: str, index: int, numbers: list[int], rows: list[str]
) -> None:
    if not rows:
        return
    frame = pd.DataFrame({"line": numbers, "text": pd.Series(rows, dtype=object)})
    connection.register("calls", frame)
    connection.execute(f"INSERT INTO {table}_rows SELECT $file, line, text FROM calls", {"file": index})  # noqa: S608 (own names)
    connection.unregister("calls")
