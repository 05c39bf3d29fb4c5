"""Bad rows on purpose, one of each kind that a layout can hold, and the reason each must be counted under.

Every bad row is an extra copy of a good one with some cells changed, so leaving them all out gives back
exactly the planted hospital. The reasons are the words of the load report (``docs/mapping.md``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedvalue.synthetic.layouts import Layout

STRANGER = "nobody-00000"


@dataclass(frozen=True, slots=True)
class BadRow:
    """One extra row.

    Attributes:
      file: Table of the layout that it is added to.
      change: Our column name to the text that replaces the copied cell.
      left_out: Table of the store to the reason under which it is counted there.
    """

    file: str
    change: Mapping[str, str]
    left_out: Mapping[str, str]


def bad_rows(layout: Layout) -> tuple[BadRow, ...]:
    """Return the bad rows of a hospital that writes as ``layout`` says, in the order of its files."""
    stranger = "patient not in the patients table"
    rows = [
        BadRow("patients", {"sex": _local(layout, "sex", "male")},
               {"patient": "duplicate patient", "follow_up": "duplicate row"}),
        BadRow("patients", {"patient_id": ""}, {"patient": "missing id", "follow_up": "missing id"}),
        BadRow("treatments", {"patient_id": STRANGER}, {"drug": stranger}),
        BadRow("treatments", {"started": ""}, {"drug": "missing day"}),
        BadRow("responses", {"status": "mixed"}, {"response": "unknown code"}),
        BadRow("events", {"kind": "transferred"}, {"event": "unknown code"}),
        BadRow("events", {}, {"event": "duplicate row"}),
        BadRow("claims", {"claim_id": "X0000001", "total": "-120.00"},
               {"claim": "negative amount", "condition": "duplicate row"}),
        BadRow("claims", {"claim_id": "X0000002", "total": ""},
               {"claim": "missing amount", "condition": "duplicate row"}),
        BadRow("claims", {}, {"claim": "duplicate claim", "condition": "duplicate row"}),
        BadRow("tests", {"patient_id": STRANGER}, {"test": stranger}),
    ]  # fmt: skip
    if layout.words.get("drug"):
        rows.append(BadRow("treatments", {"drug": "新药"}, {"drug": "unknown code"}))
    if layout.currency_column:
        change = {"claim_id": "X0000003", "currency": "元"}
        rows.append(BadRow("claims", change, {"claim": "unknown currency", "condition": "duplicate row"}))
    return (*rows, *_bad_days(layout))


def _bad_days(layout: Layout) -> list[BadRow]:
    impossible = {"iso": "2024-02-31", "slash": "2024/02/31", "dotted": "31.02.2024"}.get(layout.calendar)
    reason = "unparseable date"
    if impossible is None:
        impossible, reason = "soon", "not a finite number"
    rows = [BadRow("responses", {"assessed": impossible}, {"response": reason})]
    if layout.calendar == "durations":
        rows.append(BadRow("events", {"happened": "-14"}, {"event": "negative time"}))
    elif layout.origin:
        rows.append(BadRow("events", {"happened": "1999-01-01"}, {"event": "before origin"}))
    return rows


def _local(layout: Layout, column: str, code: str) -> str:
    return layout.words.get(column, {}).get(code, code)
