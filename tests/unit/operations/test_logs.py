"""Log lines: JSON, rotated, private, to syslog; the text of a foreign error is in none of them."""

from __future__ import annotations

import json
import logging
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedvalue.errors import OutputError
from fedvalue.operations import logs

LOG = logging.getLogger("fedvalue.test")


@pytest.fixture(autouse=True)
def stopped() -> Iterator[None]:
    yield
    logs.stop()


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_event_is_one_json_object_with_its_fields(tmp_path: Path) -> None:
    logs.start(logs.Destinations(file=tmp_path / "logs" / "a.log"))
    logs.event(LOG, "message refused", kind="step", code="not_approved")
    (line,) = lines(tmp_path / "logs" / "a.log")
    assert str(line.pop("time")).endswith("+00:00")
    assert line == {
        "level": "info", "logger": "fedvalue.test", "event": "message refused", "kind": "step",
        "code": "not_approved",
    }  # fmt: skip


def test_a_message_that_is_json_gives_its_fields_and_cannot_change_who_said_it(tmp_path: Path) -> None:
    logs.start(logs.Destinations(file=tmp_path / "a.log"))
    LOG.info(json.dumps({"event": "session refused", "reason": "x", "logger": "root", "time": "never"}))
    LOG.info("{no json")
    first, second = lines(tmp_path / "a.log")
    assert (first["event"], first["reason"], first["logger"]) == ("session refused", "x", "fedvalue.test")
    assert first["time"] != "never"
    assert second["event"] == "{no json"


def test_of_an_exception_only_its_kind_is_written(tmp_path: Path) -> None:
    logs.start(logs.Destinations(file=tmp_path / "a.log"))
    try:
        int("Zhang San, 58")
    except ValueError:
        LOG.exception("it failed")
    text = (tmp_path / "a.log").read_text()
    assert "Zhang" not in text
    assert json.loads(text)["error"] == "ValueError"


def test_the_file_is_its_owners_alone_and_rotates_into_files_that_are_too(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    logs.start(logs.Destinations(file=path, file_bytes=400, files=2))
    for number in range(20):  # a line has about 110 bytes: 3 a file, so 20 lines fill more than 3 files
        logs.event(LOG, "an event of the site", number=number)
    found = sorted(p.name for p in tmp_path.iterdir())
    assert found == ["a.log", "a.log.1", "a.log.2"]
    assert {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()} == {0o600}
    assert lines(path)[-1]["number"] == 19


def test_a_syslog_of_the_hospital_gets_the_same_lines() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(5)
        logs.start(logs.Destinations(syslog=f"127.0.0.1:{syslog.getsockname()[1]}"))
        logs.event(LOG, "paused", level=logging.WARNING)
        head, _, body = syslog.recv(4096).decode().partition("fedvalue: ")
    assert head == "<12>"  # RFC 3164: facility 1 (user) x 8 + severity 4 (warning)
    assert json.loads(body)["event"] == "paused"


@pytest.mark.parametrize("where", ["nowhere", "host:port", "/no/such/socket"])
def test_a_syslog_that_cannot_be_is_refused_by_name(where: str) -> None:
    with pytest.raises(OutputError, match="syslog"):
        logs.start(logs.Destinations(syslog=where))


def test_a_file_that_cannot_be_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(OutputError, match="log cannot be written"):
        logs.start(logs.Destinations(file=tmp_path / "a" / "b.log"))


def test_other_programs_loggers_are_not_written(tmp_path: Path) -> None:
    logs.start(logs.Destinations(file=tmp_path / "a.log"))
    logging.getLogger("duckdb").warning("a row")
    assert (tmp_path / "a.log").read_text() == ""


def test_what_a_foreign_program_prints_is_text_whatever_it_looks_like() -> None:
    forged = json.dumps({"event": "bundle refused", "code": "x"})
    assert logs.printed(forged, ours=False) == {"event": "line", "text": forged}
    assert logs.printed(forged, ours=True) == {"event": "bundle refused", "code": "x"}
    assert logs.printed("\x1b[92mINFO\x1b[0m:\tgood\x07", ours=False)["text"] == "INFO:?good?"


def test_what_is_written_beside_ends_with_its_block(tmp_path: Path) -> None:
    with logs.writing(logs.Destinations(file=tmp_path / "a.log")):
        logs.event(LOG, "inside")
    logs.event(LOG, "outside")
    assert [line["event"] for line in lines(tmp_path / "a.log")] == ["inside"]
    assert logging.getLogger("fedvalue").handlers == []
