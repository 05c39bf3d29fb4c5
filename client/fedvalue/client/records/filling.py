"""One load at work: reads what is new, fills the mapping's tables one by one, and takes out what is old."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import duckdb

from fedvalue.client.records import increments
from fedvalue.client.records.claim_sections import ClaimLine
from fedvalue.client.records.connectors import Connector, Raw
from fedvalue.client.records.increments import Earlier, Found, Memory
from fedvalue.client.records.mapping import Mapping as MappingFile
from fedvalue.client.records.pseudonyms import Pseudonyms
from fedvalue.client.records.report import FileReport, LoadReport, TableReport
from fedvalue.client.records.rules import BENIGN
from fedvalue.client.records.sections import Patient, Records, Variant
from fedvalue.client.records.store import CANONICAL, quoted
from fedvalue.client.records.tables import load_patient, load_table, wanted
from fedvalue.client.records.targets import Gone
from fedvalue.errors import TableEmpty

_KEYS = {"claim": ("patient_id", "claim_id"), "claim_line": ("patient_id", "claim_id", "line")}


@dataclass(frozen=True, slots=True)
class _Place:
    """One table of the mapping.

    Attributes:
      where: Its key there.
      table: What the mapping says.
      recipe: Digest of that.
      files: That it is read from today.
      kept: Those of them whose rows stay as they are.
    """

    where: str
    table: Records
    recipe: str
    files: tuple[Found, ...]
    kept: Mapping[str, Earlier]

    @property
    def target(self) -> str:
        """The canonical table of the same name."""
        return self.where.partition("[")[0]

    @property
    def new(self) -> frozenset[str]:
        """Files that have to be read."""
        return frozenset(file.shown for file in self.files) - frozenset(self.kept)


@dataclass(slots=True)
class Filling:
    """A store on its way to what the folder says.

    Attributes:
      connection: The store; it holds what the load before left, or empty tables. Of a store on a server it
        has the patients and files of the load before, and no other row.
      mapping: What files, columns and codes mean.
      found: The files of the folder, by their name in the mapping.
      connectors: What reads each format.
      memory: What the store knows of earlier loads.
      progress: Is told of every file and table.
      pseudonyms: Takes the place of the hospital's ids.
      repeats: Looks at the rows that ``connection`` lacks, see `fedvalue.client.records.targets.Change`.
    """

    connection: duckdb.DuckDBPyConnection
    mapping: MappingFile
    found: Mapping[str, Sequence[Found]]
    connectors: Mapping[str, Connector]
    memory: Memory
    progress: Callable[[str, int, int], None]
    pseudonyms: Pseudonyms | None
    repeats: Callable[[str, Sequence[str], Sequence[int], Sequence[int]], bool]
    _gone: set[int] = field(default_factory=set)
    _everything: bool = False
    _raws: dict[str, Raw] = field(default_factory=dict)
    _tables: int = 0
    _done: int = 0
    _steps: int = 0

    def run(self, *, fresh: bool) -> LoadReport:
        """Bring the tables to what the folder says; ``fresh`` where they are empty.

        Raises:
          SourceMissing, SourceUnreadable, TableEmpty: as in `fedvalue.client.records.load.load`.
        """
        people = self.mapping.patient.file
        tables = [item for item in self.mapping.tables() if item[1].file in self.found]
        self._steps = len(self.found) + len(tables)
        if not fresh:
            self.connection.execute("CREATE TEMP TABLE was AS SELECT patient_id, origin FROM patient")
        raw = self._read(people, {file.shown for file in self.found[people]})
        # no table is read before every file, so that a file that cannot be read is named first
        reports = [
            self._step("patient", lambda: load_patient(self.connection, self.mapping, raw, self.pseudonyms))
        ]
        if not fresh:
            self._compare()
        places = list(self._places())
        for name in self.found:
            new = {shown for place in places if place.table.file == name for shown in place.new}
            unused = not any(place.table.file == name for place in places)
            if name != people and (new or unused):
                self._read(name, new or {file.shown for file in self.found[name]})
        self._take_out(places)
        empty = self._empty(places)
        self._usable(reports[0], optional=False)
        for place in places:
            reports.append(self._step(place.where, lambda place=place: self._fill(place)))  # type: ignore[misc]  # bound now
            optional = self.mapping.files[place.table.file].optional or isinstance(place.table, Variant)
            self._usable(reports[-1], optional=optional)
        return LoadReport(
            files=tuple(self._readings(places)),
            tables=tuple(report.model_copy(update={"files": ()}) for report in reports),
            rows={},
            absent=tuple(empty),
            unchanged=tuple(self._unchanged()),
        )

    @property
    def gone(self) -> Gone:
        """What was taken out of the store of the load before."""
        return Gone(self._everything, frozenset(self._gone))

    def _step(self, what: str, work: Callable[[], TableReport]) -> TableReport:
        self.progress(what, self._done, self._steps)
        self._done += 1
        return work()

    def _read(self, name: str, shown: set[str]) -> Raw:
        """Read some files of a name into a table of text."""
        source = self.mapping.files[name]
        self.progress(source.path, self._done, self._steps)
        self._done += 1
        self._tables += 1
        files = [(file.shown, file.path) for file in self.found[name] if file.shown in shown]
        self._raws[name] = self.connectors[source.kind].read(
            self.connection, source, files, wanted(self.mapping, name), f"raw_{self._tables}"
        )
        return self._raws[name]

    def _compare(self) -> None:
        """See who has come, gone or moved; who is gone or has another origin makes every table new."""
        gone = self._any(
            "SELECT 1 FROM was LEFT JOIN patient p USING (patient_id) "
            "WHERE p.patient_id IS NULL OR p.origin IS DISTINCT FROM was.origin"
        )
        if gone or not self.memory.earlier:
            for name in (*CANONICAL[1:], "loaded"):
                self.connection.execute(f"TRUNCATE {name}")
            self.memory = Memory()
            self._everything = True
        self.memory.newcomers = self._any(
            "SELECT 1 FROM patient WHERE patient_id NOT IN (SELECT patient_id FROM was)"
        )

    def _any(self, sql: str) -> bool:
        return self.connection.execute(f"SELECT EXISTS ({sql})").fetchone() == (True,)

    def _places(self) -> Iterator[_Place]:
        seen = Counter[str]()
        for where, table in self.mapping.tables():
            if isinstance(table, Patient) or table.file not in self.found:
                continue
            made = increments.recipe(table, self.mapping.files[table.file])
            seen[made] += 1
            made = f"{made}-{seen[made]}"
            files = tuple(self.found[table.file])
            yield _Place(where, table, made, files, self.memory.standing(table, made, files))

    def _take_out(self, places: Sequence[_Place]) -> None:
        """Delete the rows of files that are gone, changed or read again."""
        stay = {entry.source for place in places for entry in place.kept.values()}
        self._delete([entry.source for entry in self.memory.earlier.values() if entry.source not in stay])

    def _delete(self, sources: Sequence[int]) -> None:
        if not sources:
            return
        self._gone |= set(sources)
        for name in (*CANONICAL[1:], "loaded"):
            self.connection.execute(
                f"DELETE FROM {name} WHERE list_contains($sources, source)",  # noqa: S608 (own names)
                {"sources": list(sources)},
            )

    def _fill(self, place: _Place) -> TableReport:
        """Fill one table of the mapping from the files that are new."""
        if not place.new:
            return increments.merged(place.where, [place.kept[file.shown].report for file in place.files])
        raw = self._raws[place.table.file]
        base = self.memory.last + 1
        self.memory.last += len(raw.files)
        positions = [at for at, file in enumerate(raw.files) if file.file in place.new]
        own = replace(raw, source=base)
        if len(positions) < len(raw.files):
            listed = ", ".join(map(str, positions))
            own = replace(own, table=f"(SELECT * FROM {raw.table} WHERE file IN ({listed}))")  # noqa: S608 (own names)
        report = load_table(
            self.connection, place.where, place.table, own, self.mapping.files[place.table.file]
        )
        made = {raw.files[at].file: base + at for at in positions}
        if place.kept and self._collides(place, list(made.values())):
            self._delete([*made.values(), *(entry.source for entry in place.kept.values())])
            if len(raw.files) < len(place.files):
                self._read(place.table.file, {file.shown for file in place.files})
            return self._fill(replace(place, kept={}))
        parts = {file: increments.split_report(report, file) for file in made}
        digests = {file.shown: file.digest for file in place.files}
        self.connection.executemany(
            "INSERT INTO loaded VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    made[one.file], place.recipe, one.file, digests[one.file], place.where,
                    parts[one.file].model_dump_json(), one.model_dump_json(),
                )
                for one in raw.files if one.file in made
            ],
        )  # fmt: skip
        if not place.kept:
            return report
        return increments.merged(
            place.where,
            [
                parts[file.shown] if file.shown in parts else place.kept[file.shown].report
                for file in place.files
            ],
        )

    def _collides(self, place: _Place, made: Sequence[int]) -> bool:
        """Tell whether a row of a new file has the key of a row that was there."""
        if isinstance(place.table, ClaimLine) and place.table.line is None:
            return False
        columns = _KEYS.get(place.target) or tuple(
            name
            for name, *_ in self.connection.execute(f"DESCRIBE {place.target}").fetchall()
            if name != "source"
        )
        same = f"hash({', '.join(quoted(name) for name in columns)})"
        sql = (
            f"SELECT EXISTS (SELECT 1 FROM {place.target} WHERE list_contains($new, source) AND {same} IN "  # noqa: S608 (own names)
            f"(SELECT {same} FROM {place.target} WHERE list_contains($old, source)))"
        )
        old = [entry.source for entry in place.kept.values()]
        if self.connection.execute(sql, {"new": list(made), "old": old}).fetchone() == (True,):
            return True
        return self.repeats(place.target, columns, made, old)

    def _readings(self, places: Sequence[_Place]) -> Iterator[FileReport]:
        """Yield how every file was read, now or before."""
        for name, files in self.found.items():
            known = {file.file: file for file in self._raws[name].files} if name in self._raws else {}
            for place in places:
                if place.table.file == name:
                    known |= {
                        shown: entry.reading for shown, entry in place.kept.items() if shown not in known
                    }
            yield from (known[file.shown] for file in files)

    def _unchanged(self) -> Iterator[str]:
        for name, files in self.found.items():
            read = {file.file for file in self._raws[name].files} if name in self._raws else set[str]()
            yield from (file.shown for file in files if file.shown not in read)

    def _empty(self, places: Sequence[_Place]) -> list[str]:
        """Refuse a file without a row; return the optional ones."""
        empty = []
        readings = {one.file: one.rows for one in self._readings(places)}
        for name, files in self.found.items():
            source = self.mapping.files[name]
            if source.kind == "vcf" or any(readings[file.shown] for file in files):
                continue
            if not source.optional:
                raise TableEmpty(
                    "the file has no usable row",
                    where=source.path,
                    do=f"export it again, or set optional = true in [files.{name}] if that is right",
                )
            empty.append(source.path)
        return empty

    def _usable(self, report: TableReport, *, optional: bool) -> None:
        """Refuse a table of which every row broke a rule."""
        broken = [item for item in report.left_out if item.reason not in BENIGN]
        if report.kept == 0 and (broken or report.table == "patient") and not optional:
            reasons = ", ".join(f"{item.rows} x {item.reason}" for item in broken)
            raise TableEmpty(
                f"no row of {report.table} is usable: {reasons or 'it has none'}",
                where=report.table,
                do="check the columns and codes of this table in the mapping",
            )
