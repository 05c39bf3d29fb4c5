"""TOML files read through a strict schema, and errors that name file, key and what is allowed."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fedvalue.errors import FedValueError
from fedvalue.study.toml_lines import TomlLines

M = TypeVar("M", bound=BaseModel)


def load_toml(
    path: Path, model: type[M], *, failure: type[FedValueError], what: str, do: str, lines: bool = False
) -> M:
    """Read the file at ``path`` as ``model``.

    Args:
      path: A TOML file.
      model: Strict pydantic model of its content.
      failure: The error to raise.
      what: What the file is, for the message, such as ``the policy``.
      do: What the reader can do about a fault.
      lines: True to say on which line each problem stands.

    Raises:
      FedValueError: ``failure``, for an unreadable file, bad TOML (duplicate keys too) or a bad value.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise failure(f"{what} cannot be read: {error.strerror}", where=str(path), do=do) from error
    return parse_toml(raw, model, failure=failure, what=what, where=str(path), do=do, lines=lines)


def parse_toml(
    raw: bytes,
    model: type[M],
    *,
    failure: type[FedValueError],
    what: str,
    where: str,
    do: str,
    lines: bool = False,
    prepare: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> M:
    """Read the bytes of a TOML file as ``model``; ``where`` names them.

    ``prepare`` puts what the file abbreviates in place first, and raises ValueError where it cannot.

    Raises:
      FedValueError: as in `load_toml`.
    """
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        # tomllib also lets the errors of int() and of its own depth through.
        raise failure(
            f"{what} is not a TOML file: {error}", where=where, do="mend the line that is named"
        ) from error
    try:
        document = document if prepare is None else prepare(document)
    except ValueError as error:
        raise failure(f"{what} is not valid: {error}", where=where, do=do) from None
    try:
        return model.model_validate(document)
    except ValidationError as error:
        stand = TomlLines.of(raw.decode("utf-8")) if lines else None
        raise failure(
            f"{what} is not valid: {problems(error, document, stand)}", where=where, do=do
        ) from None


def problems(error: ValidationError, document: object = None, lines: TomlLines | None = None) -> str:
    """Return every problem as ``key: what is wrong``, joined by semicolons.

    Args:
      error: What pydantic found.
      document: What was validated: pydantic names a union's choice like a key, and only the document tells.
      lines: Of the document's file, to say on which line each key stands.
    """
    found = []
    for item in error.errors(include_url=False):
        if item["type"] == "too_short" and error.error_count() > 1:
            continue  # a list whose items are all invalid is also reported as empty
        steps = item["loc"] if document is None else _keys(item["loc"], document, item["type"] == "missing")
        key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
        message = (
            "unknown key" if item["type"] == "extra_forbidden" else item["msg"].removeprefix("Value error, ")
        )
        line = None if lines is None else lines.line(*steps)
        at = "" if line is None else f"line {line}: "
        found.append(f"{at}{key}: {message}" if key else message)
    return "; ".join(found)


def _keys(steps: tuple[int | str, ...], document: object, missing: bool) -> list[int | str]:
    """Leave out the steps that are no keys of the document; the last one of a missing key is kept."""
    here: Any = document
    kept = []
    for position, step in enumerate(steps):
        known = range(len(here)) if isinstance(here, list) else here if isinstance(here, dict) else ()
        if step in known:
            here = here[step]
        elif not (missing and position == len(steps) - 1):
            continue
        kept.append(step)
    return kept


def quoted(text: str) -> str:
    """Return ``text`` as a TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'


def listed(items: tuple[str, ...]) -> str:
    """Return strings as a TOML array."""
    return "[" + ", ".join(quoted(item) for item in items) + "]"
