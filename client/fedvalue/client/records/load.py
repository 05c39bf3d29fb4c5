"""Load a hospital's folder through a mapping into the site's one store, and report what was left out.

Whatever breaks a rule is counted by reason and left out, never silently. The store appears whole or not at
all, and is what a first load of the folder would make of it, however many loads came before: files that are
as they were are not read again (`increments`).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dictionary
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import duckdb

from fedvalue.client.records.connectors import Connector
from fedvalue.client.records.databases import is_server
from fedvalue.client.records.fhir import Fhir
from fedvalue.client.records.filling import Filling
from fedvalue.client.records.increments import Found, Memory, digest_of, fingerprint, remember
from fedvalue.client.records.mapping import Mapping
from fedvalue.client.records.omop import Omop
from fedvalue.client.records.pseudonyms import Pseudonyms
from fedvalue.client.records.report import LoadReport
from fedvalue.client.records.rules import create_codes
from fedvalue.client.records.store import FORMAT, MODEST, Limits
from fedvalue.client.records.stores import exists, reading
from fedvalue.client.records.tables import fed_by
from fedvalue.client.records.tabular import DelimitedText, Parquet
from fedvalue.client.records.targets import target_of
from fedvalue.client.records.vcf import Vcf
from fedvalue.errors import MappingInvalid, SourceMissing

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done and how many there are."""

CONNECTORS: Dictionary[str, Connector] = MappingProxyType(
    {
        "csv": DelimitedText(),
        "tsv": DelimitedText(),
        "maf": DelimitedText(quotes=False, comments=True),
        "parquet": Parquet(),
        "vcf": Vcf(),
        "fhir": Fhir(),
        "omop": Omop(),
    }
)
"""Format in a mapping to what reads it."""


def silent(what: str, done: int, steps: int) -> None:
    """Report no progress."""


def load(
    folder: Path,
    mapping: Mapping,
    database_path: Path,
    *,
    pseudonyms: Pseudonyms | None = None,
    progress: Progress = silent,
    connectors: Dictionary[str, Connector] = CONNECTORS,
    limits: Limits = MODEST,
) -> LoadReport:
    """Bring the store at ``database_path`` to what the files of ``folder`` say.

    The same files again change nothing, not even the file's time. A new file is added, a corrected one takes
    the place of its rows, one that is gone takes its rows along.

    Args:
      folder: The hospital's folder.
      mapping: What its files, columns and codes mean.
      database_path: The DuckDB file to be; mode 0600, written beside it first and renamed when it is whole.
        Or a file that names a PostgreSQL server, see `fedvalue.client.records.server`.
      pseudonyms: Takes the place of the hospital's ids; None keeps them, as tests and simulations may.
      progress: Is told of every file and table.
      connectors: What reads each format.
      limits: Threads and memory.

    Returns:
      What was read, kept and left out, by reason and line number. For the hospital only.

    Raises:
      SourceMissing: a folder, file or column is not there; names what was expected and what exists.
      SourceUnreadable: a file cannot be parsed at all.
      TableEmpty: a file or table has no usable row.
      OutputError: the store cannot be written, or another load is at work.
    """
    folder = folder.resolve()
    found, absent = _found(folder, mapping)
    for name in found:
        if mapping.files[name].kind not in connectors:
            raise MappingInvalid(
                f"nothing reads the format {mapping.files[name].kind!r}",
                do=f"there are {', '.join(sorted(connectors))}",
            )
    made_of = fingerprint(mapping, found, "" if pseudonyms is None else pseudonyms.mark())
    store = target_of(database_path, limits)
    with store.alone():
        layout, said = store.known()
        if layout == FORMAT and said.get("fingerprint") == made_of and "report" in said:
            progress("done", 1, 1)
            files = tuple(file.shown for files in found.values() for file in files)
            return LoadReport.model_validate_json(said["report"]).model_copy(update={"unchanged": files})
        anew = layout != FORMAT
        with store.changing(folder, anew=anew) as change:
            connection = change.connection
            create_codes(connection)
            filling = Filling(
                connection=connection,
                mapping=mapping,
                found=found,
                connectors=connectors,
                memory=Memory() if anew else remember(connection),
                progress=progress,
                pseudonyms=pseudonyms,
                repeats=change.repeats,
            )
            report = filling.run(fresh=anew)
            report = report.model_copy(
                update={"absent": (*absent, *report.absent), "rows": change.settled(filling.gone)}
            )
            _meta(
                connection, mapping, made_of, report, known_by="" if pseudonyms is None else pseudonyms.mark()
            )
    progress("done", 1, 1)
    return report


def has_pseudonyms(path: Path, *, limits: Limits = MODEST) -> bool | None:
    """Tell whether a store knows patients by pseudonyms; None where there is no store.

    Raises:
      SourceUnreadable: the file is no store.
    """
    if not exists(path):
        return None
    with reading(path, limits=limits, tables=()) as connection:
        found = connection.execute("SELECT value FROM store_meta WHERE key = 'pseudonyms'").fetchone()
    return found is not None and found[0] != ""


def _found(folder: Path, mapping: Mapping) -> tuple[dict[str, list[Found]], list[str]]:
    """Return each file of the mapping with its places, and the optional ones that are not there."""
    if not folder.is_dir():
        raise SourceMissing(
            "the hospital's folder is not there", where=str(folder), do="give the folder of its files"
        )
    found: dict[str, list[Found]] = {}
    absent: list[str] = []
    for name, source in mapping.files.items():
        pattern = PurePosixPath(source.path)
        place = folder / pattern.parent
        inside = place.resolve().is_relative_to(folder.resolve())
        name_pattern = pattern.name.replace("[", "[[]")
        matches = sorted(place.glob(name_pattern)) if inside and place.is_dir() else []
        files = [_one(match, folder) for match in matches if match.is_file()]
        if source.kind == "omop":
            files = [_with_vocabulary(file, folder, source.concepts) for file in files]
        if files:
            found[name] = files
        elif source.optional and name != mapping.patient.file:
            absent.append(source.path)
        else:
            there = sorted(path.name for path in folder.iterdir())[:40]
            raise SourceMissing(
                f"the mapping expects the file {source.path!r}",
                where=str(folder),
                do=f"the folder holds {', '.join(there) or 'nothing'}; or mend [files.{name}].path",
            )
    return found, absent


def _one(path: Path, folder: Path) -> Found:
    shown = path.relative_to(folder).as_posix()
    if not path.resolve().is_relative_to(folder):
        raise SourceMissing(
            "a link leads out of the hospital's folder", where=shown, do="put the file itself there"
        )
    try:
        return Found(shown, path, digest_of(path))
    except OSError as error:
        raise SourceMissing(f"the file cannot be read: {error.strerror}", where=shown) from error


def _with_vocabulary(file: Found, folder: Path, concepts: str | None) -> Found:
    """Give a file of a CDM a digest that tells of its vocabulary too.

    A server's file says nothing of what the server holds today: it is read again at every load.
    """
    if is_server(file.path):
        return Found(file.shown, file.path, secrets.token_hex(32))
    place = None if concepts is None else folder / concepts
    if place is None or not place.is_file():
        return file
    both = f"{file.digest} {digest_of(place)}".encode()
    return Found(file.shown, file.path, hashlib.sha256(both).hexdigest())


def _meta(
    connection: duckdb.DuckDBPyConnection,
    mapping: Mapping,
    made_of: str,
    report: LoadReport,
    *,
    known_by: str,
) -> None:
    fed = {name for where, table in mapping.tables() for name in fed_by(where, table)}
    rows: Sequence[tuple[str, str]] = [
        ("format", str(FORMAT)),
        ("calendar", str(mapping.calendar).lower()),
        ("pseudonyms", known_by),
        ("fingerprint", made_of),
        ("report", report.model_copy(update={"unchanged": ()}).model_dump_json()),
        *(("table", name) for name in sorted(fed)),
    ]
    connection.execute("DELETE FROM store_meta")
    connection.executemany("INSERT INTO store_meta VALUES (?, ?)", rows)
