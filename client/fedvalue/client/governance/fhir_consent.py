"""What patients said, read from FHIR R4 Consent resources, one JSON object a line (bulk data, NDJSON).

HL7 FHIR R4 (4.0.1), resource Consent: ``status``, ``scope``, ``patient``, ``dateTime``, ``provision.type``.
Only ``scope`` research counts. A resource that says neither yes nor no says nothing here, and is counted, so
that nobody is taken to have agreed.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from fedvalue.client.governance.consent import LONGEST_FIELD, RESEARCH, Word
from fedvalue.errors import SourceMissing, SourceUnreadable

LONGEST_LINE = 1_000_000
"""Characters of one resource; a longer line is refused before it is read whole."""


@dataclass(frozen=True, slots=True)
class FhirConsents:
    """What a file holds.

    Attributes:
      words: What patients said.
      skipped: Why a resource says nothing here, and how many do. For this site only.
    """

    words: tuple[Word, ...]
    skipped: Mapping[str, int]


def read_consents(path: Path, today: date) -> FhirConsents:
    """Read the Consent resources of a file, plain or gzipped.

    Args:
      path: NDJSON; resources of other types are passed over.
      today: No word is of a later day.

    Raises:
      SourceMissing: there is no such file.
      SourceUnreadable: a line is no JSON object, or is longer than `LONGEST_LINE`; names the line.
    """
    words, skipped = list[Word](), Counter[str]()
    for where, resource in _resources(path):
        if resource.get("resourceType") != "Consent":
            continue
        found = _word(resource, where, today)
        if isinstance(found, Word):
            words.append(found)
        else:
            skipped[found] += 1
    return FhirConsents(tuple(words), dict(skipped))


def _resources(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    opened = gzip.open if path.name.endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8-sig") as file:
            number = 0
            while line := file.readline(LONGEST_LINE):
                number += 1
                where = f"{path}:{number}"
                if not line.strip():
                    continue
                try:
                    resource = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise SourceUnreadable("the line is no JSON object", where=where) from error
                if not isinstance(resource, dict):
                    raise SourceUnreadable("the line is no JSON object", where=where)
                yield where, resource
    except (UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceUnreadable(
            "the file cannot be read whole", where=str(path), do="export it again"
        ) from error
    except OSError as error:
        raise SourceMissing(f"the file cannot be read: {error.strerror}", where=str(path)) from error


def _word(resource: dict[str, Any], where: str, today: date) -> Word | str:
    """Return what a Consent says, or why it says nothing here."""
    if RESEARCH not in _codes(resource.get("scope")):
        return "its scope is not research"
    said = _said(resource.get("status"), resource.get("provision"))
    if said is None:
        return "it says neither yes nor no"
    reference = resource.get("patient")
    text = reference.get("reference") if isinstance(reference, dict) else None
    patient = _id(text) if isinstance(text, str) else ""
    if not patient or len(patient) > LONGEST_FIELD or not patient.isprintable():
        return "it names no patient"
    try:
        day = date.fromisoformat(str(resource.get("dateTime"))[:10])
    except ValueError:
        return "it has no day"
    if day > today:
        raise SourceUnreadable("the day is yet to come", where=where, do="mend the resource")
    return Word(patient, said, RESEARCH, day)


def _said(status: object, provision: object) -> str | None:
    kind = provision.get("type") if isinstance(provision, dict) else None
    if status == "active" and kind == "permit":
        return "consents"
    if status == "rejected" or (status == "active" and kind == "deny"):
        return "objects"
    return "withdraws" if status == "inactive" else None


def _codes(concept: object) -> list[object]:
    coding = concept.get("coding") if isinstance(concept, dict) else None
    listed = coding if isinstance(coding, list) else []
    return [each.get("code") for each in listed if isinstance(each, dict)]


def _id(reference: str) -> str:
    """Return the id in ``Patient/7``, ``urn:uuid:...`` or an address, without a version."""
    return reference.partition("/_history/")[0].rpartition("/")[2].removeprefix("urn:uuid:")
