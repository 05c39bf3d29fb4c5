"""Named lists of codes: ``[codes]`` of a study file, and lists that are made of a file and a vocabulary.

A study says ``tki = ["L01EB*", "L01ED01"]`` once and ``codes = ["@tki"]`` wherever it means it. The lists are
put in place before the study is checked: what is hashed, approved and signed are the codes themselves.
Descendants are looked up when the list is made, in the vocabulary of who writes the study, and not at each
hospital: two hospitals with two editions of a vocabulary would select by two studies.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedvalue.errors import StudyInvalid
from fedvalue.study.circe import NESTED
from fedvalue.study.vocabulary import Vocabulary

MARK = "@"
MAX_CODES = 5000
"""Most codes of one list."""
_KEYS = frozenset({"codes", "maintenance", "planned", "condition", "drug", "procedure"})
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CODE = re.compile(r"[^*@\s]{1,39}\*?")


def expanded(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study's document with every named list in its place, and without ``[codes]``.

    Raises:
      ValueError: a list is none, nobody uses it, or nobody says what a name stands for.
    """
    given = document.get("codes", {})
    rest = {key: value for key, value in document.items() if key != "codes"}
    if not isinstance(given, Mapping):
        raise ValueError("codes holds lists of codes by name")
    lists = {str(name): _checked(str(name), codes) for name, codes in given.items()}
    used: set[str] = set()
    for part in ("cohort", "variables", "endpoints"):
        if part in rest:
            rest[part] = _placed(rest[part], lists, used)
    if unused := sorted(set(lists) - used):
        raise ValueError(
            f"codes.{unused[0]}: nothing uses this list; write '{MARK}{unused[0]}' where it is meant"
        )
    return rest


def _checked(name: str, codes: Any) -> list[str]:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"codes: {name!r} is no name: lower-case letters, digits and _, at most 40")
    if not isinstance(codes, list | tuple) or not codes or len(codes) > MAX_CODES:
        raise ValueError(f"codes.{name} is a list of 1 to {MAX_CODES} codes")
    for code in codes:
        if not isinstance(code, str) or _CODE.fullmatch(code) is None:
            raise ValueError(f"codes.{name}: {code!r} is no code")
    return list(dict.fromkeys(codes))


def _placed(value: Any, lists: Mapping[str, list[str]], used: set[str], key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _placed(below, lists, used, str(name)) for name, below in value.items()}
    if not isinstance(value, list | tuple):
        return value
    if key not in _KEYS or not any(isinstance(one, str) and one.startswith(MARK) for one in value):
        return [_placed(one, lists, used) for one in value]
    codes: list[Any] = []
    for one in value:
        if not isinstance(one, str) or not one.startswith(MARK):
            codes.append(one)
            continue
        name = one.removeprefix(MARK)
        if name not in lists:
            raise ValueError(f"{one!r} stands for no list; [codes] has {sorted(lists)}")
        used.add(name)
        codes += lists[name]
    return list(dict.fromkeys(codes))


def list_from(
    path: Path, *, column: str | None = None, vocabulary: Vocabulary | None = None, system: str | None = None
) -> list[str]:
    """Return the codes of a file, with those below them if ``system`` is given.

    Args:
      path: CSV, or one code a line.
      column: Of the CSV that holds the codes; None: the first cell of every line, and no header.
      vocabulary: Where descendants are looked up; None: a wildcard says them, for codes that are a hierarchy.
      system: Vocabulary of the codes, such as ``ICD10CM``; None: no descendants.

    Raises:
      StudyInvalid: the file cannot be read, holds no code, or a code is not in the vocabulary.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = [
            row for row in csv.reader(io.StringIO(text, newline="")) if row and not row[0].startswith("#")
        ]
        at = 0 if column is None else [name.strip() for name in rows[0]].index(column)
        found = [row[at].strip() for row in rows[0 if column is None else 1 :] if len(row) > at]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, IndexError) as failure:
        raise StudyInvalid(
            "the list of codes cannot be read",
            where=str(path),
            do="give a CSV file, and --column of its codes",
        ) from failure
    codes = [code for code in dict.fromkeys(found) if code]
    if system is not None:
        codes = [below for code in codes for below in _below(code, system, vocabulary)]
    try:
        return _checked("list", codes)
    except ValueError as failure:
        raise StudyInvalid(str(failure), where=str(path), do="mend the list") from None


def _below(code: str, system: str, vocabulary: Vocabulary | None) -> list[str]:
    if code.endswith("*"):
        return [code]
    if vocabulary is not None:
        return [
            below
            for concept in vocabulary.concepts(code, system)
            for below in vocabulary.descendants(concept)
        ]
    if system not in NESTED:
        raise StudyInvalid(
            f"the descendants of {system} {code} need the vocabulary", do="give the folder of the vocabulary"
        )
    return [f"{code}*"]


def to_toml(name: str, codes: Sequence[str]) -> str:
    """Return a list as it stands in a study file."""
    lines = "".join(f"  {json.dumps(code, ensure_ascii=False)},\n" for code in codes)
    return f"[codes]\n{name} = [\n{lines}]\n"
