"""The doctor's look at the PostgreSQL server that holds a site's records, where one does."""

from __future__ import annotations

from pathlib import Path

from fedvalue.client.places import RECORDS, RECORDS_SERVER
from fedvalue.client.running.doctor_words import Line
from fedvalue.errors import FedValueError


def server_lines(home: Path) -> list[Line]:
    """Look whether the server answers, keeps what it is told, and to itself; nothing without one."""
    place = home / RECORDS_SERVER
    if not place.exists():
        return []
    from fedvalue.client.records.server import at_rest  # only sites with such a store need it

    try:
        found = at_rest(place)
    except FedValueError as error:
        return [Line("records", "fail", "server_bad", {"why": error.what})]
    lines = [Line("records", "pass", "server_good", {"version": found["version"]})]
    if found["durable"] == "no":
        lines.append(Line("records", "warn", "server_forgets"))
    if found["private"] == "no":
        lines.append(Line("records", "fail", "server_schema_open"))
    if (home / RECORDS).exists():
        lines.append(Line("records", "warn", "records_left", {"path": str(home / RECORDS)}))
    return [*lines, Line("encryption", "warn", "server_disk")]
