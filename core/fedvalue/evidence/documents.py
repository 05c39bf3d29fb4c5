"""Documents that people sign: one canonical form, one identity, read back without guessing.

The canonical form is RFC 8785 JSON. A document is refused when it does not survive being read and
written again, so nothing is coerced, dropped or read twice under one key.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import rfc8785
from pydantic import ValidationError

from fedvalue.analyses.estimate import Value
from fedvalue.errors import EvidenceError, FedValueError, OutputError
from fedvalue.study.toml import problems

MAX_BYTES = 64_000_000

Document = TypeVar("Document", bound=Value)


def content(document: Value, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the document as JSON values, some of its top-level keys left out."""
    return document.model_dump(mode="json", by_alias=True, exclude=set(without))


def canonical(document: Value, *, without: frozenset[str] = frozenset()) -> bytes:
    """Return the RFC 8785 JSON of the document, the bytes that are hashed, signed and written."""
    return rfc8785.dumps(content(document, without=without))


def digest(document: Value) -> str:
    """Return the SHA-256 of the canonical form, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(document)).hexdigest()


def plain_digest(document: dict[str, Any]) -> str:
    """Return the SHA-256 of the canonical form of a document given as JSON values."""
    return hashlib.sha256(rfc8785.dumps(document)).hexdigest()


def read_bytes(path: Path, error: type[FedValueError] = EvidenceError) -> bytes:
    """Read a file that is not larger than a document may be.

    Raises:
      FedValueError: of the type ``error``: unreadable or too large.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise error(f"the file is larger than {MAX_BYTES} bytes", where=str(path))
        return path.read_bytes()
    except OSError as failure:
        raise error(
            f"the file cannot be read: {failure.strerror}",
            where=str(path),
            do="check the path and its permissions",
        ) from failure


def write(document: Value, path: Path) -> None:
    """Write the canonical form so that a reader sees the whole document or none of it.

    Raises:
      OutputError: the place cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(canonical(document))
        part.replace(path)
    except OSError as failure:
        part.unlink(missing_ok=True)
        raise OutputError(
            f"cannot be written: {failure.strerror}", where=str(path), do="choose a writable folder"
        ) from failure


def parse_json(raw: bytes, *, where: str, error: type[FedValueError] = EvidenceError) -> dict[str, Any]:
    """Parse a JSON object; a key that stands twice in one object is refused.

    Raises:
      FedValueError: of the type ``error``.
    """
    if len(raw) > MAX_BYTES:
        raise error(f"the document is larger than {MAX_BYTES} bytes", where=where)
    try:
        document = json.loads(raw, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as failure:
        raise error(
            f"not a JSON document: {failure}", where=where, do="give the file as it was written"
        ) from failure
    if not isinstance(document, dict):
        raise error("not a JSON object", where=where)
    return document


def parse(
    kind: type[Document], raw: bytes, *, where: str, error: type[FedValueError] = EvidenceError
) -> Document:
    """Read a document of type ``kind``.

    Args:
      kind: The model.
      raw: JSON, in canonical form or with other white space and order of keys.
      where: Names the document in errors.
      error: Type of error to raise.

    Raises:
      FedValueError: of the type ``error``: not JSON, a key twice, unknown or missing, a value out of range,
        or a value in another form than the canonical one.
    """
    plain = parse_json(raw, where=where, error=error)
    try:
        document = kind.model_validate_json(raw)
        same = canonical(document) == rfc8785.dumps(plain)
    except ValidationError as failure:
        raise error(f"the document does not follow its schema: {problems(failure)}", where=where) from None
    except (ValueError, RecursionError) as failure:
        raise error(f"the document has no canonical form: {failure}", where=where) from failure
    if not same:
        raise error("the document would read differently after being written again", where=where)
    return document


def prefix_with_digest(raw: bytes, wanted: str) -> bytes | None:
    """Return the beginning of an append-only file, ending at a line's end, that has the SHA-256 ``wanted``.

    Returns None when the file never had that content.
    """
    running, done = hashlib.sha256(), 0
    while True:
        if running.hexdigest() == wanted:
            return raw[:done]
        if done == len(raw):
            return None
        newline = raw.find(b"\n", done)
        end = len(raw) if newline < 0 else newline + 1
        if newline >= 0:
            bare = running.copy()
            bare.update(raw[done:newline])
            if bare.hexdigest() == wanted:
                return raw[:newline]
        running.update(raw[done:end])
        done = end


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        twice = sorted({key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1})
        raise ValueError(f"the key {twice[0]!r} stands twice")
    return keys
