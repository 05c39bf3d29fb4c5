"""Paths into a FHIR resource, as a mapping names them: a small part of FHIRPath, and nothing that computes.

``code.coding[system=http://snomed.info/sct].code`` goes through objects and lists; ``[key=value]`` keeps
the entries of a list whose ``key`` has that value, and ``key`` may lead further down
(``component[code.coding.code=8480-6]``). ``a|b`` takes ``b`` where ``a`` has nothing. At the end
``:id`` takes what stands behind the last ``/`` of a reference, ``:date`` the day of a dateTime and ``:time``
the day with the time (FHIR writes both in the place's own time; a year or month alone stays what it is, and
is no day for the mapping). Several values are joined with ``;``, so that a code may be taken apart and
anything else is refused as no single value.

FHIRPath 2.0.0, http://hl7.org/fhirpath .
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fedvalue.errors import MappingInvalid

_STEP = re.compile(r"([A-Za-z][A-Za-z0-9]*)(?:\[([A-Za-z]+(?:\.[A-Za-z]+)*)=([^\]]*)\])?(?:\.|$)")
_ENDS = ("id", "date", "time")
_TIMED = 19
"""Characters of a day with its time, without fractions of a second and the offset from UTC."""
SEPARATOR = ";"


@dataclass(frozen=True, slots=True)
class Location:
    """One way into a resource.

    Attributes:
      steps: Element names, each with the key and value that a list's entries must have, or two empty texts.
      end: ``id``, ``date``, ``time``, or empty.
    """

    steps: tuple[tuple[str, str, str], ...]
    end: str = ""


@lru_cache(maxsize=512)
def parsed(path: str) -> tuple[Location, ...]:
    """Return the alternatives of a path.

    Raises:
      MappingInvalid: this is no path.
    """
    return tuple(_location(one.strip(), path) for one in _alternatives(path))


def _alternatives(path: str) -> list[str]:
    """Cut at ``|`` outside brackets: systems may hold one."""
    found, depth = [""], 0
    for letter in path:
        depth += (letter == "[") - (letter == "]")
        if letter == "|" and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return found


def _location(text: str, path: str) -> Location:
    body, end = text, ""
    for name in _ENDS:
        if text.endswith(f":{name}"):
            body, end = text.removesuffix(f":{name}"), name
    steps, at = list[tuple[str, str, str]](), 0
    while at < len(body):
        match = _STEP.match(body, at)
        if match is None:
            break
        steps.append((match[1], match[2] or "", match[3] or ""))
        at = match.end()
    if not steps or at != len(body) or body.endswith("."):
        raise MappingInvalid(
            f"{path[:80]!r} is no path into a resource",
            do="write it like code.coding[system=http://snomed.info/sct].code or subject.reference:id",
        )
    return Location(tuple(steps), end)


def text_at(resource: Mapping[str, object], places: Sequence[Location]) -> str | None:
    """Return what stands at the first place that holds something, as text; None where none does.

    Args:
      resource: A JSON object whose numbers are text.
      places: From `parsed`.
    """
    for place in places:
        values = [_ended(value, place.end) for value in _leaves(resource, place.steps)]
        if values:
            return SEPARATOR.join(dict.fromkeys(values))
    return None


def _leaves(value: object, steps: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    if isinstance(value, list):
        for entry in value:
            yield from _leaves(entry, steps)
    elif not steps:
        if isinstance(value, bool):
            yield "true" if value else "false"
        elif isinstance(value, str) and value.strip():
            yield value
    elif isinstance(value, Mapping):
        (name, key, wanted), *rest = steps
        below = value.get(name)
        if key:
            entries = below if isinstance(below, list) else [below]
            inside = [(step, "", "") for step in key.split(".")]
            below = [entry for entry in entries if wanted in _leaves(entry, inside)]
        yield from _leaves(below, rest)


def _ended(value: str, end: str) -> str:
    if end == "id":
        # urn:uuid:... and Patient/... alike; a version behind /_history/ is not part of the id
        return value.partition("/_history/")[0].rpartition("/")[2].removeprefix("urn:uuid:")
    if end == "time":
        return value[:_TIMED]
    return value.partition("T")[0] if end == "date" else value
