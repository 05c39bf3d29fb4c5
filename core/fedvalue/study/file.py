"""Read a study file, refuse what it must not hold, and give it the one form that people sign.

The canonical form is RFC 8785 JSON of the validated study with defaults filled in, so two files that
mean the same have the same hash, and an added default in a later version shows as a changed hash.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import rfc8785
from pydantic import ValidationError

from fedvalue.errors import StudyInvalid
from fedvalue.study.code_lists import expanded
from fedvalue.study.schema import Study
from fedvalue.study.toml import parse_toml, problems

MAX_BYTES = 1_000_000
NONE = {"share": 0}
"""What the canonical form leaves out: a study without diagnostics."""


def load(path: Path) -> Study:
    """Read and validate the study at ``path``.

    Raises:
      StudyInvalid: unreadable, not TOML, a duplicate or unknown key, a wrong type, a value out of range.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise StudyInvalid(
            f"the study cannot be read: {error.strerror}", where=str(path), do="give the path of a study.toml"
        ) from error
    return parse(raw, where=str(path))


def parse(raw: bytes, *, where: str) -> Study:
    """Validate the bytes of a study file; ``where`` names them in errors.

    Raises:
      StudyInvalid: as in `load`.
    """
    if len(raw) > MAX_BYTES:
        raise StudyInvalid(
            f"the study is larger than {MAX_BYTES} bytes", where=where, do="a study is a few pages"
        )
    return parse_toml(
        raw,
        Study,
        failure=StudyInvalid,
        what="the study",
        where=where,
        do="see docs/study-file.md for every key and its values",
        prepare=expanded,
    )


def canonical(study: Study) -> bytes:
    """Return the RFC 8785 JSON of the study, the bytes that are hashed, approved and signed."""
    return rfc8785.dumps(study.model_dump(mode="json", by_alias=True))


def digest(study: Study) -> str:
    """Return the SHA-256 of the canonical form, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(study)).hexdigest()


def from_canonical(data: bytes, *, where: str = "canonical study") -> Study:
    """Read a study back from its canonical form.

    Raises:
      StudyInvalid: the bytes are not a study, or not in canonical form.
    """
    if len(data) > MAX_BYTES:
        raise StudyInvalid(f"the study is larger than {MAX_BYTES} bytes", where=where)
    try:
        document = json.loads(data)
        if isinstance(document, dict) and "diagnostics" not in document:
            # approved before there were any; a study file without them has the standing share
            study = Study.model_validate_json(json.dumps({**document, "diagnostics": NONE}))
        else:
            study = Study.model_validate_json(data)
    except ValidationError as error:
        raise StudyInvalid(f"the study is not valid: {problems(error)}", where=where) from None
    except (ValueError, RecursionError) as error:
        raise StudyInvalid("not the JSON form of a study", where=where) from error
    if not isinstance(document, dict) or canonical(study) != data:
        raise StudyInvalid("the study is not in canonical form (RFC 8785)", where=where)
    return study
