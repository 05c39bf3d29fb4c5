"""On which line of a TOML file a key stands: for refusals that a reader can find.

The parser itself is asked: the first whole prefix of the file that holds the key ends with the statement that
sets it. No second reading of TOML can then differ from the first.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

Step = str | int
"""A key of a table, or a position in a list."""


@dataclass(frozen=True, slots=True)
class TomlLines:
    """The statements of a TOML file.

    Attributes:
      ends: Line on which each whole prefix ends, from 1.
      starts: Line on which the statement that ends there begins.
      documents: What each prefix holds.
    """

    ends: tuple[int, ...]
    starts: tuple[int, ...]
    documents: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, text: str) -> TomlLines:
        """Read a file; text that is no TOML has no lines."""
        lines = text.splitlines(keepends=True)
        ends, starts, documents = list[int](), list[int](), list[dict[str, Any]]()
        first = 0
        for number in range(1, len(lines) + 1):
            try:
                document = tomllib.loads("".join(lines[:number]))
            except (ValueError, RecursionError):
                continue
            while first < number - 1 and _says_nothing(lines[first]):
                first += 1
            ends.append(number)
            starts.append(first + 1)
            documents.append(document)
            first = number
        return cls(tuple(ends), tuple(starts), tuple(documents))

    def line(self, *steps: Step) -> int | None:
        """Return the line on which a key is first set, or that of the innermost table above it.

        Args:
          steps: Keys and positions from the top, such as ``("analyses", 0, "kind")``.

        Returns:
          From 1; None where nothing of it is in the file.
        """
        for length in range(len(steps), 0, -1):
            for start, document in zip(self.starts, self.documents, strict=True):
                if _holds(document, steps[:length]):
                    return start
        return None


def _says_nothing(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _holds(document: Any, steps: tuple[Step, ...]) -> bool:
    here = document
    for step in steps:
        if isinstance(here, list):
            if not (isinstance(step, int) and step < len(here)):
                return False
        elif not (isinstance(here, dict) and step in here):
            return False
        here = here[step]
    return True
