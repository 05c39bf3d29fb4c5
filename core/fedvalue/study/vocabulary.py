"""The OMOP vocabulary as a folder of its download: which codes lie below a concept."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from fedvalue.errors import StudyInvalid


class Vocabulary:
    """Concepts and their ancestors: ``CONCEPT.csv`` and ``CONCEPT_ANCESTOR.csv``, read when first asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._below: dict[int, list[int]] | None = None
        self._codes: dict[int, str] = {}
        self._numbers: dict[tuple[str, str], list[int]] | None = None

    def concepts(self, code: str, system: str) -> Sequence[int]:
        """Return the ids of the concepts that have a code in a vocabulary such as ``ICD10CM``.

        Raises:
          StudyInvalid: the folder is no vocabulary, or it does not hold the code.
        """
        if self._numbers is None:
            self._numbers = {}
            for number, own, its in _rows(
                self._folder, "CONCEPT.csv", "concept_id", "concept_code", "vocabulary_id"
            ):
                self._numbers.setdefault((its, own), []).append(int(number))
        found = self._numbers.get((system, code))
        if found is None:
            raise StudyInvalid(
                f"the vocabulary has no {system} {code}",
                where=str(self._folder),
                do="download the vocabulary that the list is of",
            )
        return found

    def descendants(self, concept: int) -> Sequence[str]:
        """Return the codes of the concepts below ``concept``, itself among them, in the order of their ids.

        Raises:
          StudyInvalid: the folder is no vocabulary, or it does not hold the concept.
        """
        if self._below is None:
            self._below = {}
            for above, below in _rows(
                self._folder, "CONCEPT_ANCESTOR.csv", "ancestor_concept_id", "descendant_concept_id"
            ):
                self._below.setdefault(int(above), []).append(int(below))
            self._codes = {
                int(number): code
                for number, code in _rows(self._folder, "CONCEPT.csv", "concept_id", "concept_code")
            }
        if concept not in self._codes:
            raise StudyInvalid(
                f"the vocabulary has no concept {concept}",
                where=str(self._folder),
                do="download the vocabularies that the concept set names",
            )
        found = sorted({concept, *self._below.get(concept, [])})
        return [self._codes[number] for number in found if number in self._codes]


def _rows(folder: Path, name: str, *columns: str) -> Iterator[list[str]]:
    """Yield some columns of a file of the vocabulary, cut by tabs or commas, its name in either case."""
    places = [place for place in folder.glob("*.csv") if place.name.lower() == name.lower()]
    if not places:
        raise StudyInvalid(f"there is no {name}", where=str(folder), do="give the folder of the vocabulary")
    try:
        with places[0].open(encoding="utf-8", newline="") as stream:
            head = stream.readline()
            mark = "\t" if "\t" in head else ","
            names = [cell.strip().strip('"').lower() for cell in head.split(mark)]
            at = [names.index(column) for column in columns]
            # the vocabulary's own download has tabs and no quotes
            quote = None if mark == "\t" else '"'
            for row in csv.reader(stream, delimiter=mark, quotechar=quote, quoting=0 if quote else 3):
                yield [row[position] for position in at]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, IndexError) as failure:
        raise StudyInvalid(
            f"{name} cannot be read", where=str(places[0]), do="download it again"
        ) from failure
