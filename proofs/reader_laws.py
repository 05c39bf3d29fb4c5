"""What has to hold of every input: refused by an error of ours, or every record kept or counted.

The records of an input are known by construction; where its bytes were spoiled they are counted here again,
with nothing of the readers: by lines, by gzip's own members, by the lengths that stand in a BCF.
"""

from __future__ import annotations

import fnmatch
import stat
import struct
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import duckdb

from fedvalue.client.records.cells import Cell
from fedvalue.client.records.load import CONNECTORS, load
from fedvalue.client.records.mapping import Mapping as MappingFile
from fedvalue.client.records.mapping import SourceFile
from fedvalue.client.records.report import FileReport, LoadReport
from fedvalue.client.records.store import Limits, reading
from fedvalue.client.records.tables import wanted
from fedvalue.client.records.vcf import BAD_GENOTYPE
from fedvalue.errors import FedValueError, RecordsError
from proofs.reader_inputs import BLANKS, Made
from proofs.reader_tables import mapping_of

MODEST = Limits(1, "512MiB")
AS_THEY_ARE = ("drug", "condition", "procedure", "claim", "claim_line", "enrolment", "admission")
"""Tables of the store that get one row for every row that a load says it kept."""
DISGUISED = ("DuckDB refused what it was asked", "the store cannot be read or written")
_HEAD = 9
_LINES_IN_QUOTES = 20


class Broken(Exception):
    """A law that an input broke."""


def allowed(error: BaseException) -> str:
    """Return the name of a refusal that is one.

    Raises:
      Broken: it is a crash, or DuckDB's own complaint in other words.
    """
    if not isinstance(error, RecordsError) or error.what in DISGUISED:
        what = error.what if isinstance(error, FedValueError) else str(error)[:200]
        cause = f" from {error.__cause__!r:.200}" if error.__cause__ else ""
        raise Broken(f"{type(error).__name__}: {what}{cause}") from error
    return f"refused, {type(error).__name__}"


def unpacked(data: bytes) -> bytes | None:
    """Return the bytes inside gzip, or the bytes themselves; None where the gzip is damaged."""
    if data[:2] != b"\x1f\x8b":
        return data
    found = []
    while data:
        press = zlib.decompressobj(31)
        try:
            found.append(press.decompress(data))
        except zlib.error:
            return None
        if not press.eof:
            return None
        data = press.unused_data.lstrip(b"\0")
    return b"".join(found)


def counted(kind: str, data: bytes, encoding: str) -> tuple[int, int] | None:
    """Return how many records a file has at least and at most; None where it is damaged, or none can tell.

    Args:
      kind: Format, as a mapping names it.
      data: The file.
      encoding: Of its text.
    """
    inside = unpacked(data)
    if inside is None:
        return None
    if kind == "vcf" and inside[:3] == b"BCF":
        walked = _records_of_bcf(inside)
        return None if walked is None else (walked, walked)
    inside = inside.removeprefix(b"\xef\xbb\xbf")
    lines = [_text(line, encoding if kind != "fhir" else "utf-8") for line in inside.split(b"\n")]
    if kind == "vcf":
        plain = [line.decode("utf-8", "replace").removesuffix("\r") for line in inside.split(b"\n")]
        head = next((at for at, line in enumerate(plain) if line[:1] == "#" and line[:2] != "##"), len(plain))
        found = sum(line != "" for line in plain[head + 1 :])
        return found, found
    if kind == "fhir":
        found = sum(line is None or line.strip() != "" for line in lines)
        return found, found
    body = [line for line in lines if line is None or line.strip(BLANKS)]
    if kind == "maf":
        head = next((at for at, line in enumerate(body) if line is None or line[:1] != "#"), len(body))
        return len(body) - head - 1, len(body) - head - 1
    below = len(body) - 1
    return (below, below) if b'"' not in inside else (below // _LINES_IN_QUOTES, below)


def _text(line: bytes, encoding: str) -> str | None:
    try:
        return line.decode(encoding).removesuffix("\r")
    except UnicodeDecodeError:
        return None


def _records_of_bcf(data: bytes) -> int | None:
    if len(data) < _HEAD:
        return None
    at, found = _HEAD + struct.unpack("<I", data[5:_HEAD])[0], 0
    while at + 8 <= len(data):
        shared, rest = struct.unpack("<II", data[at : at + 8])
        at, found = at + 8 + shared + rest, found + 1
    return found if at == len(data) else None


def require_whole(report: FileReport, kind: str, made: Made) -> None:
    """Check that every record of a file was kept or counted.

    Raises:
      Broken: some were lost, or made up.
    """
    left = sum(item.rows for item in report.left_out if item.reason != BAD_GENOTYPE)
    for item in report.left_out:
        if item.rows and not (
            item.lines and min(item.lines) >= 1 and item.file == report.file and item.reason
        ):
            raise Broken(f"left out without line, file or reason: {item}")
    said, known = report.rows + left, made.rows.get(report.file)
    data = made.files[report.file]
    if known is not None:
        if said != known:
            raise Broken(f"{known} records by construction, {report.rows} kept and {left} left out")
        return
    if kind == "parquet" or (kind == "omop" and data[:2] != b"\x1f\x8b" and data[8:12] == b"DUCK"):
        return  # nobody but DuckDB counts in these files
    bounds = counted(kind, data, made.encoding)
    if bounds is None:
        raise Broken("a damaged file was taken")
    if not bounds[0] <= said <= bounds[1]:
        raise Broken(f"{bounds} records, {report.rows} kept and {left} left out")


def stage(
    connection: duckdb.DuckDBPyConnection, room: Path, text: str, made: Made, table: str, *, sound: bool
) -> str:
    """Read the last file of an input by its reader alone.

    Args:
      connection: Of DuckDB; ``room`` is what it may read.
      room: Folder for the file.
      text: The mapping.
      made: The input.
      table: Name of the table to be.
      sound: Whether the reader has to take it.

    Raises:
      Broken: a law is.
    """
    mapping = mapping_of(text)
    shown = list(made.files)[-1]
    for path, data in made.files.items():
        (room / path).write_bytes(data)
    name, source = _file_of(mapping, shown)
    source = source.model_copy(update={"encoding": made.encoding}) if source.kind != "fhir" else source
    try:
        raw = CONNECTORS[source.kind].read(
            connection, source, [(shown, room / shown)], wanted(mapping, name), table
        )
        inside = connection.execute(f"SELECT count(*) FROM {raw.table}").fetchone()  # noqa: S608 (own name)
    except Exception as error:  # what is none of ours is what is looked for
        said = allowed(error)
        if sound:
            raise Broken(f"a sound file is refused: {error}") from error
        return said
    for report in raw.files:
        require_whole(report, source.kind, made)
    if source.kind != "vcf" and inside != (raw.rows,):
        raise Broken(f"{raw.rows} rows are said, and the table has {inside}")
    return "read"


def _file_of(mapping: MappingFile, shown: str) -> tuple[str, SourceFile]:
    found = [(name, one) for name, one in mapping.files.items() if fnmatch.fnmatch(shown, one.path)]
    preferred = [item for item in found if item[0] == "drug_exposure"]
    return (preferred or found)[0]


def whole_load(room: Path, text: str, made: Made, *, again: bool) -> str:
    """Load an input as a site does.

    Args:
      room: An empty folder.
      text: The mapping.
      made: The input.
      again: Load twice, and look that the second load changes nothing.

    Raises:
      Broken: a law is.
    """
    folder, store = room / "in", room / "home" / "records.duckdb"
    folder.mkdir()
    for name, data in made.files.items():
        (folder / name).write_bytes(data)
    mapping = mapping_of(text)
    if made.encoding != "utf-8":
        files = {
            name: one.model_copy(update={"encoding": made.encoding}) for name, one in mapping.files.items()
        }
        mapping = mapping.model_copy(update={"files": files})
    try:
        report = load(folder, mapping, store, limits=MODEST)
    except Exception as error:  # what is none of ours is what is looked for
        said = allowed(error)
        if store.parent.is_dir() and list(store.parent.iterdir()):
            raise Broken(f"a refused load left {[path.name for path in store.parent.iterdir()]}") from error
        if made.expected and sum(made.expected.values()) < made.rows[list(made.rows)[-1]]:
            raise Broken(f"a load with sound rows is refused: {error}") from error
        return said
    if [path.name for path in store.parent.iterdir()] != [store.name] or stat.S_IMODE(
        store.stat().st_mode
    ) != 0o600:
        raise Broken("something lies beside the store, or others can read it")
    _consistent(report, mapping, made)
    _in_the_store(store, report, made)
    if again:
        before = store.read_bytes()
        second = load(folder, mapping, store, limits=MODEST)
        if store.read_bytes() != before or set(second.unchanged) != {file.file for file in report.files}:
            raise Broken("the same files again changed the store")
    return "loaded"


def _consistent(report: LoadReport, mapping: MappingFile, made: Made) -> None:
    for file in report.files:
        source = _file_of(mapping, file.file)[1]
        if not (source.kind == "omop" and file.file.endswith(".duckdb")):
            require_whole(file, source.kind, made)
    tables = dict(mapping.tables())
    for table in report.tables:
        left = sum(item.rows for item in table.left_out)
        if table.read != table.kept + left:
            raise Broken(f"{table.table}: {table.read} rows, {table.kept} kept and {left} left out")
        for item in (*table.left_out, *table.blanked):
            if not (item.lines and min(item.lines) >= 1 and item.file in made.files and item.reason):
                raise Broken(f"left out without line, file or reason: {item}")
        part = tables[table.table]
        source = mapping.files[part.file]
        if source.kind == "vcf" or source.path.endswith(".duckdb"):
            continue
        rows = sum(file.rows for file in report.files if fnmatch.fnmatch(file.file, source.path))
        several = any(isinstance(cell, Cell) and cell.several for _, cell in part)
        if table.read < rows or (table.read > rows and not several):
            raise Broken(f"{table.table}: {rows} rows in the file, and {table.read} were looked at")
    if made.total is not None:
        said = Counter({item.reason: item.rows for item in report.tables[-1].left_out})
        if said != Counter(made.expected):
            raise Broken(f"left out {dict(said)}, and it should be {dict(made.expected)}")


def _in_the_store(store: Path, report: LoadReport, made: Made) -> None:
    kept: Mapping[str, int] = Counter(table.table.partition("[")[0] for table in report.tables)
    with reading(store, limits=MODEST) as found:
        for name in (*AS_THEY_ARE, "patient"):
            if name not in kept:
                continue
            said = sum(table.kept for table in report.tables if table.table.partition("[")[0] == name)
            empty = "patient_id IS NULL"
            empty += "" if name == "patient" else " OR day IS NULL OR NOT isfinite(day)"
            money = " OR total_paid IS NULL OR total_paid < 0" if name == "claim" else ""
            money += " OR amount IS NULL" if name == "claim_line" else ""
            there, odd = found.execute(
                f"SELECT count(*), count(*) FILTER ({empty}{money}) FROM {name}"  # noqa: S608 (own names)
            ).fetchone() or (0, 0)
            if there != said or odd:
                raise Broken(
                    f"{name}: {said} rows are said to be kept, {there} are there, {odd} without a value"
                )
        if made.total is not None:
            (cents,) = found.execute(
                "SELECT CAST(coalesce(sum(total_paid), 0) * 100 AS HUGEINT) FROM claim"
            ).fetchone() or (0,)
            if int(cents) != made.total:
                raise Broken(f"{cents} cents in the store, {made.total} in the sound rows")
