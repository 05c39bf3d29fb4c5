"""The site's one DuckDB file: no network, written whole or not at all, readable by its owner only.

Tables (days are DOUBLE: days since 1970-01-01, or since any origin that the hospital's tables share; patients
are known by pseudonyms, see `pseudonyms`; ``source`` is the number of the file in ``loaded``)::

    patient(patient_id, origin, attributes...)      one row per patient
    drug(patient_id, day, code, line)               starts of treatments
    response(patient_id, day, method, status)
    event(patient_id, day, kind)
    follow_up(patient_id, day)                      last day known to be followed
    condition(patient_id, day, code)  procedure(patient_id, day, code)
    claim(patient_id, claim_id, day, total_paid, patient_paid, currency, fund_paid, setting, channel,
          payment_group)                            what stands after reversals and adjustments
    claim_line(patient_id, claim_id, line, day, code, quantity, amount, currency)
    enrolment(patient_id, day, until, scheme, reason)
                                                    insured from day to until (NULL: still), why it stopped
    vital_status(patient_id, day, status, how, reason)
                                                    alive or dead on a day, and how that was learned
    variant(patient_id, gene, protein_change, effect, catalogued, significance, genotype, depth,
            allele_fraction, filter)                catalogued: name in the catalogue of actionable variants
    admission(patient_id, day, discharge, code)     stays in hospital; code: main diagnosis
    adverse_event(patient_id, day, code, grade)     grade 1 to 5 (CTCAE), NULL where it is not known
    measurement(patient_id, day, code, value, unit) day with its fraction; the unit that values of the
    quantity
                                                    are kept in, see `fedvalue.study.quantities`
    test(patient_id, day, gene, status, panel, assay)
                                                    gene '*' means every gene; day NULL: report day not known;
                                                    status: see `scope`, only 'tested' makes a wild type
    store_meta(key, value)                          version of this layout, which tables the mapping fed, and
                                                    whether days are dates
    loaded(source, recipe, file, digest, place, report, reading)
                                                    each file that a table of the mapping was filled from
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from fedvalue.client.records.engines import Engine
from fedvalue.errors import OutputError, SourceMissing, SourceUnreadable

CANONICAL = (
    "patient", "drug", "response", "event", "follow_up", "condition", "procedure", "claim", "variant", "test",
    "admission", "adverse_event", "measurement", "claim_line", "enrolment", "vital_status",
)  # fmt: skip
FORMAT = 3
"""Version of the layout of the tables; `migrations` leads from one to the next and back."""
EVERY_GENE = "*"
UNSPECIFIED = "Unspecified"
"""Effect of a variant of which only the gene is known."""
UNREAD = "Unread"
"""Effect where a line that speaks of the gene cannot be read: whether there is a variant is unknown."""

_TABLES = """
CREATE TABLE drug(patient_id VARCHAR, day DOUBLE, code VARCHAR, line BIGINT, source INTEGER);
CREATE TABLE response(patient_id VARCHAR, day DOUBLE, method VARCHAR, status VARCHAR, source INTEGER);
CREATE TABLE event(patient_id VARCHAR, day DOUBLE, kind VARCHAR, source INTEGER);
CREATE TABLE follow_up(patient_id VARCHAR, day DOUBLE, source INTEGER);
CREATE TABLE condition(patient_id VARCHAR, day DOUBLE, code VARCHAR, source INTEGER);
CREATE TABLE procedure(patient_id VARCHAR, day DOUBLE, code VARCHAR, source INTEGER);
CREATE TABLE claim(patient_id VARCHAR, claim_id VARCHAR, day DOUBLE, total_paid DECIMAL(18,2),
                   patient_paid DECIMAL(18,2), currency VARCHAR, source INTEGER, fund_paid DECIMAL(18,2),
                   setting VARCHAR, channel VARCHAR, payment_group VARCHAR);
CREATE TABLE variant(patient_id VARCHAR, gene VARCHAR, protein_change VARCHAR, effect VARCHAR,
                     catalogued VARCHAR, significance VARCHAR, genotype VARCHAR, depth BIGINT,
                     allele_fraction DOUBLE, filter VARCHAR, source INTEGER);
CREATE TABLE admission(patient_id VARCHAR, day DOUBLE, discharge DOUBLE, code VARCHAR, source INTEGER);
CREATE TABLE adverse_event(patient_id VARCHAR, day DOUBLE, code VARCHAR, grade BIGINT, source INTEGER);
CREATE TABLE test(patient_id VARCHAR, day DOUBLE, gene VARCHAR, status VARCHAR, panel VARCHAR, assay VARCHAR,
                  source INTEGER);
CREATE TABLE store_meta(key VARCHAR, value VARCHAR);
"""
SINCE_2 = """
CREATE TABLE claim_line(patient_id VARCHAR, claim_id VARCHAR, line VARCHAR, day DOUBLE, code VARCHAR,
                        quantity DOUBLE, amount DECIMAL(18,2), currency VARCHAR, source INTEGER);
CREATE TABLE enrolment(patient_id VARCHAR, day DOUBLE, until DOUBLE, scheme VARCHAR, reason VARCHAR,
                       source INTEGER);
CREATE TABLE vital_status(patient_id VARCHAR, day DOUBLE, status VARCHAR, how VARCHAR, reason VARCHAR,
                          source INTEGER);
CREATE TABLE loaded(source INTEGER, recipe VARCHAR, file VARCHAR, digest VARCHAR, place VARCHAR,
                    report VARCHAR, reading VARCHAR);
"""
"""Tables that came with layout 2."""
SINCE_3 = """
CREATE TABLE measurement(patient_id VARCHAR, day DOUBLE, code VARCHAR, value DOUBLE, unit VARCHAR,
                         source INTEGER);
"""
"""The table that came with layout 3."""


_LAYOUT = "STORAGE_VERSION 'v1.3.0'"
"""Of DuckDB's own file: every version that is allowed reads it, and text is written faster than in v0.10."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may use.

    Attributes:
      threads: Worker threads.
      memory: Memory before DuckDB spills to disk, such as ``2GiB``.
    """

    threads: int = 2
    memory: str = "2GiB"


MODEST = Limits()
"""What a connection may use unless the site's settings say otherwise."""


def quoted(identifier: str) -> str:
    """Return an SQL identifier for a column that a file or a mapping names."""
    return '"' + identifier.replace('"', '""') + '"'


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the canonical tables but ``patient``, whose attributes the mapping names."""
    connection.execute(_TABLES + SINCE_2 + SINCE_3)


def require_format(connection: Engine, *, where: str) -> None:
    """Check that a store has the layout of this version.

    Raises:
      SourceUnreadable: it is older, newer, or no store.
    """
    found = format_of(connection)
    if found is None or found > FORMAT:
        raise SourceUnreadable(
            "this file is no store of this version", where=where, do="run `fedvalue site load` again"
        )
    if found < FORMAT:
        raise SourceUnreadable(
            f"the store has layout {found}, and this version reads {FORMAT}",
            where=where,
            do="run `fedvalue site migrate`, or `fedvalue site load` again",
        )


def format_of(connection: Engine) -> int | None:
    """Return the version of a store's layout, None where it is no store."""
    try:
        found = connection.execute("SELECT value FROM store_meta WHERE key = 'format'").fetchone()
    except duckdb.CatalogException:
        return None
    return int(found[0]) if found is not None and str(found[0]).isdigit() else None


@contextmanager
def writing(
    path: Path, *, read_from: Path | None = None, limits: Limits, onto: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection to a new DuckDB file that takes the place of ``path`` when the block ends well.

    The file grows in a folder that only its owner can enter and has mode 0600 before a row is written. An
    exception, Ctrl-C too, removes it and leaves ``path`` as it was.

    Args:
      path: The store to be.
      read_from: The one folder whose files SQL may read.
      limits: Threads and memory.
      onto: A store whose copy the new file begins as.

    Raises:
      OutputError: the place cannot be written.
    """
    with _room(path) as room:
        growing = room / "store.duckdb"
        if onto is not None:
            _copy(onto, growing)
        with _connected(
            growing, read_only=False, spill=room / "spill", read_from=read_from, limits=limits
        ) as connection:
            growing.chmod(0o600)
            yield connection
        try:
            growing.replace(path)
        except OSError as error:
            raise OutputError(
                f"the store cannot be put in place: {error.strerror}", where=str(path)
            ) from error


@contextmanager
def beside(
    path: Path, *, read_from: Path, limits: Limits
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """Give a connection to a DuckDB file that is thrown away, and the folder for what it hands on.

    Args:
      path: The folder lies beside it; only its owner may enter.
      read_from: The other folder whose files SQL may read.
      limits: Threads and memory.

    Raises:
      OutputError: the place cannot be written.
    """
    with _room(path) as room:
        growing, handed = room / "store.duckdb", room / "handed"
        handed.mkdir()
        with _connected(
            growing, read_only=False, spill=room / "spill", read_from=read_from, limits=limits, room=handed
        ) as connection:
            growing.chmod(0o600)
            yield connection, handed


@contextmanager
def _room(path: Path) -> Iterator[Path]:
    """Give a folder beside ``path`` that only its owner may enter, for as long as the block lasts."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise OutputError(
            f"the store cannot be written: {error.strerror}",
            where=str(path),
            do="choose a folder that you may write",
        ) from error
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _copy(store: Path, place: Path) -> None:
    """Copy a store; its owner alone may read the copy from before the first byte."""
    try:
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with place.open("wb") as copy, store.open("rb") as original:
            shutil.copyfileobj(original, copy, 16 << 20)
    except OSError as error:
        raise OutputError(
            f"the store cannot be copied: {error.strerror}", where=str(place), do="is the disk full?"
        ) from error


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a store to one load at a time, and clear away what a load that was killed has left.

    Raises:
      OutputError: another load is at work, or the place cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise OutputError(
            f"the store cannot be written: {error.strerror}",
            where=str(path),
            do="choose a folder that you may write",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in path.parent.glob(f".{path.name}.*/"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    except BlockingIOError as error:
        raise OutputError(
            "another load of this store is at work", where=str(path), do="wait until it has ended"
        ) from error
    finally:
        os.close(lock)


@contextmanager
def reading(path: Path, *, limits: Limits, room: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a read-only connection to a store.

    Args:
      path: The store.
      limits: Threads and memory.
      room: The one folder that SQL may write files into.

    Raises:
      SourceMissing: there is no such file.
      SourceUnreadable: it is no store.
    """
    if not path.is_file():
        raise SourceMissing("there is no store", where=str(path), do="run `fedvalue site load` first")
    spill = Path(tempfile.mkdtemp(prefix="fedvalue-spill-"))
    try:
        with _connected(
            path, read_only=True, spill=spill, read_from=None, limits=limits, room=room
        ) as connection:
            yield connection
    finally:
        shutil.rmtree(spill, ignore_errors=True)


@contextmanager
def scratch(*, read_from: Path, limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection that keeps nothing; SQL may read the files of one folder."""
    spill = Path(tempfile.mkdtemp(prefix="fedvalue-spill-"))
    try:
        with _connected(None, read_only=False, spill=spill, read_from=read_from, limits=limits) as connection:
            yield connection
    finally:
        shutil.rmtree(spill, ignore_errors=True)


@contextmanager
def _connected(
    path: Path | None,
    *,
    read_only: bool,
    spill: Path,
    read_from: Path | None,
    limits: Limits,
    room: Path | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    never: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
    }
    try:
        connection = duckdb.connect(":memory:", config=never)
    except duckdb.Error as error:
        if interrupted(error):
            raise KeyboardInterrupt from error
        raise SourceUnreadable("DuckDB does not start", where=type(error).__name__) from error
    try:
        connection.execute("SET threads = ?", [limits.threads])
        connection.execute("SET memory_limit = ?", [limits.memory])
        connection.execute("SET temp_directory = ?", [str(spill)])
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET enable_external_file_cache = false")  # a file is read as it is now
        if path is not None:
            _attach(connection, path, read_only=read_only)
        allowed = [str(folder.resolve()) for folder in (read_from, room) if folder is not None]
        connection.execute("SET allowed_directories = ?", [allowed])
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    except RuntimeError as error:
        if interrupted(error):
            raise KeyboardInterrupt from error
        raise
    except duckdb.OutOfMemoryException as error:
        raise OutputError(
            "DuckDB ran out of memory or disk",
            where=str(path or spill),
            do="raise the memory limit or free disk space",
        ) from error
    except duckdb.IOException as error:
        raise OutputError(
            "the store cannot be read or written", where=str(path or spill), do="is the disk full?"
        ) from error
    except duckdb.Error as error:
        if interrupted(error):
            raise KeyboardInterrupt from error
        raise SourceUnreadable(
            "DuckDB refused what it was asked",
            where=type(error).__name__,
            do="please report this with the mapping",
        ) from error
    finally:
        connection.close()


def interrupted(error: BaseException | None) -> bool:
    """Tell whether an error is a Ctrl-C: DuckDB passes one on as several types, by its moment."""
    while error is not None:
        if (
            isinstance(error, KeyboardInterrupt | duckdb.InterruptException)
            or "interrupt" in str(error).lower()
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def _attach(connection: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool) -> None:
    name = "'" + str(path).replace("'", "''") + "'"
    try:
        connection.execute(f"ATTACH {name} AS site (TYPE duckdb, {'READ_ONLY' if read_only else _LAYOUT})")
        connection.execute("USE site")
    except duckdb.Error as error:
        if interrupted(error):
            raise KeyboardInterrupt from error
        if read_only:
            raise SourceUnreadable(
                "this file is no store of this version", where=str(path), do="run `fedvalue site load` again"
            ) from error
        raise OutputError("the store cannot be created", where=str(path)) from error
