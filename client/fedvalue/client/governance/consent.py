"""What patients said of the use of their records: objections, withdrawals, consents, kept as keyed hashes.

The register holds no id: one HMAC-SHA256 a person under the site's secret, what was said, of what, and on
which day; nothing is ever taken out, and the latest word counts. A cohort is frozen without those who are not
in; a later withdrawal takes a frozen row out as long as the study has released nothing, and counts in the
next study otherwise, because all rounds of a study see the same rows. How many said what stays here.
"""

from __future__ import annotations

import csv
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from fedvalue.client.governance.durable import Tables
from fedvalue.client.governance.ledger import PATIENCE
from fedvalue.errors import SourceMissing, SourceUnreadable
from fedvalue.study.governance import Governance
from fedvalue.study.site_policy import Consent

NAME = "the register of consent"
SCHEMA = (
    (
        "CREATE TABLE word (number INTEGER PRIMARY KEY, person BLOB NOT NULL, said TEXT NOT NULL,"
        " scope TEXT NOT NULL, day TEXT NOT NULL, UNIQUE (person, said, scope, day))"
    ),
    "CREATE TABLE removed (study TEXT NOT NULL, rows INTEGER NOT NULL, day TEXT NOT NULL)",
    *(
        f"CREATE TRIGGER {table}_{verb} BEFORE {verb.upper()} ON {table}"
        f" BEGIN SELECT RAISE(ABORT, 'the register of consent forgets nothing'); END"
        for table in ("word", "removed")
        for verb in ("update", "delete")
    ),
)
SAID = ("consents", "objects", "withdraws")
RESEARCH = "research"
"""Scope of a word that is about research in general; any other scope is the id of one study."""

COLUMNS = ("patient_id", "day", "said", "scope")
LONGEST_FIELD = 200

Need = Literal["none", "broad", "specific"]


@dataclass(frozen=True, slots=True)
class Word:
    """What one patient said.

    Attributes:
      patient_id: As in the site's records.
      said: One of `SAID`.
      scope: `RESEARCH`, or a study id.
      day: On which it was said.
    """

    patient_id: str
    said: str
    scope: str
    day: date


@dataclass(frozen=True, slots=True)
class Counts:
    """How many people said what. For this site only.

    Attributes:
      people: Who said anything.
      out: Whose latest word on research in general is no.
      removed: Rows taken out of frozen cohorts, by study hash.
    """

    people: int
    out: int
    removed: Mapping[str, int]


def need_of(policy: Consent | None, governance: Governance, site: str) -> Need:
    """Return what must be on record of a patient: nothing, consent to research, or consent to this study.

    Where the policy takes objections only, nothing; else what the study's ethics line for this site says, and
    consent to research where it has none.
    """
    if policy != "recorded":
        return "none"
    lines = sorted(
        (line for line in governance.ethics if line.site in (site, "*")), key=lambda e: e.site == "*"
    )
    if not lines:
        return "broad"
    return "none" if lines[0].consent == "waived" else lines[0].consent


class Register:
    """The register of one site, open in one thread."""

    def __init__(self, tables: Tables, secret: bytes) -> None:
        self._tables, self._secret = tables, secret

    @classmethod
    def open(cls, path: Path, secret: bytes) -> Self:
        """Open the register, or make an empty one (mode 0600).

        Raises:
          LedgerError: it cannot be read or made, or is none.
        """
        return cls(Tables.open(path, SCHEMA, name=NAME, patience=PATIENCE, create=True), secret)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tables.close()

    def add(self, words: Sequence[Word]) -> int:
        """Note what was said, all of it or nothing, and return how many words are new.

        Raises:
          LedgerError: the disk refuses.
        """
        rows = [(self._hash(word.patient_id), word.said, word.scope, word.day.isoformat()) for word in words]
        with self._tables.transaction("IMMEDIATE") as connection:
            before = connection.total_changes
            connection.executemany(
                "INSERT INTO word (person, said, scope, day) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", rows
            )
            return connection.total_changes - before

    def stays(self, ids: Sequence[str], study: str, need: Need) -> list[bool]:
        """Tell of each person, in the order of ``ids``, whether a study may count it.

        The latest word on research or on this study counts, and of one day the one that was noted last.

        Args:
          ids: As in the site's records.
          study: Id of the study, as in its file.
          need: From `need_of`.
        """
        whole, own = dict[bytes, str](), dict[bytes, str]()
        with self._tables.transaction("DEFERRED") as connection:
            found = connection.execute(
                "SELECT person, said, scope FROM word WHERE scope IN (?, ?) ORDER BY day, number",
                (RESEARCH, study),
            )
            for person, said, scope in found:
                whole[person] = said
                if scope == study:
                    own[person] = said
        if not whole and need == "none":
            return [True] * len(ids)
        hashes = map(self._hash, ids)
        return [self._in(whole.get(person), own.get(person), need) for person in hashes]

    def note_removed(self, study_hash: str, rows: int, day: date) -> None:
        """Note how many rows a withdrawal took out of a frozen cohort.

        Raises:
          LedgerError: the disk refuses.
        """
        with self._tables.transaction("IMMEDIATE") as connection:
            connection.execute("INSERT INTO removed VALUES (?, ?, ?)", (study_hash, rows, day.isoformat()))

    def counts(self) -> Counts:
        """Return how many people said what."""
        with self._tables.transaction("DEFERRED") as connection:
            people = connection.execute("SELECT count(DISTINCT person) FROM word").fetchone()[0]
            rows = connection.execute(
                "SELECT person, said FROM word WHERE scope = ? ORDER BY day, number", (RESEARCH,)
            )
            latest = dict(rows.fetchall())
            removed = connection.execute("SELECT study, sum(rows) FROM removed GROUP BY study").fetchall()
        return Counts(people, sum(said != "consents" for said in latest.values()), dict(removed))

    @staticmethod
    def _in(latest: str | None, own: str | None, need: Need) -> bool:
        if latest is None:
            return need == "none"
        return latest == "consents" and (need != "specific" or own == "consents")

    def _hash(self, patient_id: str) -> bytes:
        return hmac.digest(self._secret, b"\x00consent\x00" + patient_id.encode(), "sha256")


def read_words(path: Path, today: date) -> tuple[Word, ...]:
    """Read a CSV file of what patients said: columns patient_id, day, said, and scope if it is not research.

    Nothing is left out: a file with one bad row is refused, with the row's number and never its content.

    Args:
      path: UTF-8, with a header.
      today: No word is of a later day.

    Raises:
      SourceMissing: there is no such file, or a column is missing.
      SourceUnreadable: a row does not parse; names it.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return tuple(_rows(path, file, today))
    except OSError as error:
        raise SourceMissing(f"the file cannot be read: {error.strerror}", where=str(path)) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceUnreadable(
            "the file is no CSV in UTF-8", where=str(path), do="export it again"
        ) from error


def _rows(path: Path, file: Iterator[str], today: date) -> Iterator[Word]:
    rows = csv.reader(file, strict=True)
    header = tuple(name.strip() for name in next(rows, []))
    if header not in (COLUMNS, COLUMNS[:-1]):
        raise SourceMissing(
            f"the columns are {', '.join(COLUMNS)}; scope may be left out", where=f"{path}:1",
            do="name them in the first line",
        )  # fmt: skip
    for cells in rows:
        where = f"{path}:{rows.line_num}"
        if not any(cell.strip() for cell in cells):
            continue
        values = [cell.strip() for cell in cells]
        sound = all(len(value) <= LONGEST_FIELD and value.isprintable() for value in values)
        if len(values) != len(header) or not sound or not values[0]:
            raise SourceUnreadable("the row does not have its columns", where=where, do="mend the row")
        if values[2] not in SAID:
            raise SourceUnreadable(f"said is one of {', '.join(SAID)}", where=where, do="mend the row")
        try:
            day = date.fromisoformat(values[1])
        except ValueError as error:
            raise SourceUnreadable("the day is no date", where=where, do="write 2026-03-01") from error
        if day > today:
            raise SourceUnreadable("the day is yet to come", where=where, do="mend the row")
        yield Word(values[0], values[2], (values[3] if len(values) > 3 else "") or RESEARCH, day)
