"""Which canonical tables a study reads of the patients it has chosen, for stores that are elsewhere.

What this page does not know reads everything: a source that is added later costs time until it is named
here, and is never wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from fedvalue.client.records.store import CANONICAL
from fedvalue.study.cohort import Variable
from fedvalue.study.endpoints import Binary, TimeToEvent
from fedvalue.study.schema import Study

_GENES = frozenset({"variant", "test"})
_SHAPE = frozenset({"merge_into", "levels", "clip", "window", "unit", "between"})
"""Keys of a variable that say nothing of a table."""
_SOURCES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "variant": _GENES, "variants": _GENES, "person": frozenset(), "calendar": frozenset(),
        "claims": frozenset({"claim"}), "grade": frozenset({"adverse_event"}),
        "measurement": frozenset({"measurement"}), "sensor": frozenset({"measurement"}),
    }
)  # fmt: skip
_COUNTED = ("count", "first_day")
_BINARY: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "person": frozenset(), "response": frozenset({"response", "event"}),
        "readmission": frozenset({"admission"}), "targets": frozenset({"measurement", "event"}),
    }
)  # fmt: skip
_TIMED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "kind": frozenset(), "origin": frozenset(), "until": frozenset(), "grid": frozenset(),
        "events": frozenset({"event", "follow_up"}), "entry": frozenset(), "therapy": frozenset({"drug"}),
    }
)  # fmt: skip
"""Keys of a time to an event."""


def needed(study: Study) -> frozenset[str]:
    """Return the canonical tables that the variables and endpoints of a study read."""
    return needed_by(study.variables.values()).union(
        *(_endpoint(endpoint) for endpoint in study.endpoints.values())
    )


def needed_by(variables: Iterable[Variable]) -> frozenset[str]:
    """Return the canonical tables that some variables read."""
    return frozenset({"patient"}).union(*(_variable(variable) for variable in variables))


def _variable(variable: Variable) -> frozenset[str]:
    found: frozenset[str] = frozenset()
    for key in variable.model_fields_set - _SHAPE:
        said = getattr(variable, key)
        if said is None or said == ():
            continue
        if key in _COUNTED:
            found |= {said.of}
        else:
            found |= _SOURCES.get(key, frozenset(CANONICAL))
    return found


def _endpoint(endpoint: object) -> frozenset[str]:
    if isinstance(endpoint, TimeToEvent):
        return _GENES.union(  # who was tested when may delay the entry
            *(_TIMED.get(key, frozenset(CANONICAL)) for key in endpoint.model_fields_set)
        )
    if isinstance(endpoint, Binary):
        return _BINARY.get(endpoint.source, frozenset(CANONICAL))
    return frozenset(CANONICAL)
