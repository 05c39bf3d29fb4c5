"""The append-only log: what was added cannot be changed, removed or reordered unseen."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fedvalue.errors import EvidenceError, OutputError
from fedvalue.evidence import log

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.log"
    for name in ("ev-1", "de-1", "pr-1"):
        log.append(path, document=name, document_digest="a" * 64, now=NOW)
    return path


def test_entries_are_chained_and_numbered(three: Path) -> None:
    entries = log.verify(three)
    assert [entry.document for entry in entries] == ["ev-1", "de-1", "pr-1"]
    assert [entry.sequence for entry in entries] == [1, 2, 3]
    assert [entry.previous for entry in entries] == [log.START, entries[0].hash, entries[1].hash]


def test_an_empty_log_holds(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    assert log.verify(tmp_path / "log") == ()


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_changed_line_is_named(three: Path, line: int) -> None:
    lines = three.read_text().splitlines(keepends=True)
    lines[line] = lines[line].replace('"document_digest":"a', '"document_digest":"b')
    three.write_text("".join(lines))
    with pytest.raises(EvidenceError, match="chain is broken") as error:
        log.verify(three)
    assert error.value.where.endswith(f"line {line + 1}")


def test_a_removed_and_a_moved_line_are_seen(three: Path) -> None:
    lines = three.read_text().splitlines(keepends=True)
    for kept in ([0, 2], [1, 0, 2], [0, 1, 1, 2]):
        three.write_text("".join(lines[i] for i in kept))
        with pytest.raises(EvidenceError, match="chain is broken"):
            log.verify(three)


def test_a_line_whose_hash_was_made_again_breaks_the_next_one(three: Path) -> None:
    lines = three.read_text().splitlines()
    entry = log.Entry.model_validate_json(lines[0]).model_copy(update={"document": "ev-2"})
    forged = entry.model_copy(update={"hash": log._hash(entry)})
    three.write_text("\n".join([forged.model_dump_json(), *lines[1:]]) + "\n")
    with pytest.raises(EvidenceError, match="chain is broken") as error:
        log.verify(three)
    assert error.value.where.endswith("line 2")


def test_a_cut_end_is_seen_by_who_remembers_the_head(three: Path) -> None:
    head = log.verify(three)[-1].hash
    assert log.verify(three, head=head)
    three.write_text("".join(three.read_text().splitlines(keepends=True)[:2]))
    assert len(log.verify(three)) == 2
    with pytest.raises(EvidenceError, match="seen earlier is gone"):
        log.verify(three, head=head)


def test_nothing_is_appended_to_a_broken_log(three: Path) -> None:
    raw = three.read_bytes()
    three.write_bytes(raw[:-10])
    with pytest.raises(EvidenceError, match="incomplete"):
        log.append(three, document="x", document_digest="a" * 64, now=NOW)
    assert three.read_bytes() == raw[:-10]


def test_a_line_is_json_with_sorted_keys(three: Path) -> None:
    for line in three.read_text().splitlines():
        assert list(json.loads(line)) == sorted(json.loads(line))


def test_a_log_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        log.append(tmp_path / "no folder" / "log", document="x", document_digest="a" * 64, now=NOW)
