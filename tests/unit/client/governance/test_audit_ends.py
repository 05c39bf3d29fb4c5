"""The audit log's end: a torn line is no damage, a changed or missing one is seen; seals; the syslog."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.seals import Seal, export, require_seal, seal
from fedvalue.client.home import SiteHome
from fedvalue.errors import LedgerBroken, OutputError, PolicyForbids, SignatureInvalid
from tests.agreement import key
from tests.federation import noon
from tests.unit.client.governance.conftest import Desk


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    made = AuditLog(tmp_path / "audit.jsonl", noon)
    for number in range(3):
        made.write("answered", attempt=number)
    return made


def test_a_last_line_that_a_crash_tore_leaves_the_log_readable_and_it_goes_on(log: AuditLog) -> None:
    whole = log.path.read_bytes()
    for torn in (b'{"attempt":3,"bef', b"{", b'{"attempt":3}'):
        log.path.write_bytes(whole + torn)
        if torn.endswith(b"}"):
            # a whole object without a line's end is a line, and it was never signed
            with pytest.raises(LedgerBroken):
                log.entries()
            continue
        assert [entry["event"] for entry in log.entries()] == ["answered"] * 3 + ["torn"]
        log.write("refused", code="x")
        assert [entry["event"] for entry in log.entries()] == ["answered"] * 3 + ["torn", "refused"]
        log.path.write_bytes(whole)
        _head_of(log, whole)


def _head_of(log: AuditLog, content: bytes) -> None:
    """Put the note of the end back to where it was after ``content``, as a copy of the home would."""
    log.path.with_name("audit.head").unlink()
    log.path.write_bytes(content.rpartition(b"\n")[0].rpartition(b"\n")[0] + b"\n")
    log.write("answered", attempt=2)


def test_a_last_line_that_was_replaced_or_cut_off_is_seen(log: AuditLog) -> None:
    lines = log.path.read_bytes().splitlines(keepends=True)
    for instead in (b"", b"garbage", b"garbage\n", lines[2][:40], lines[2].replace(b"answered", b"approved")):
        log.path.write_bytes(b"".join(lines[:2]) + instead)
        with pytest.raises(LedgerBroken, match=r"the end of the audit log|not as it was signed|is no JSON"):
            log.entries()


def test_a_line_written_without_the_log_s_key_is_seen(log: AuditLog) -> None:
    # whoever can write the file but not read the key cannot go on with the chain
    forged = AuditLog(log.path.parent / "elsewhere" / "audit.jsonl", noon)
    forged.path.parent.mkdir()
    forged.path.write_bytes(log.path.read_bytes())
    forged.write("approved", study="0" * 64)
    log.path.write_bytes(forged.path.read_bytes())
    with pytest.raises(LedgerBroken, match="line 4 of the audit log is not as it was signed"):
        log.entries()


def test_lines_from_before_the_log_had_a_key_are_read_and_no_later_line_may_lack_a_signature(
    tmp_path: Path,
) -> None:
    path = tmp_path / "audit.jsonl"
    old = b'{"before":"' + b"0" * 64 + b'","event":"loaded","time":"2026-01-01T00:00:00+00:00"}\n'
    path.write_bytes(old)
    log = AuditLog(path, noon)
    assert [entry["event"] for entry in log.entries()] == ["loaded"]
    log.write("approved")
    assert [entry["event"] for entry in log.entries()] == ["loaded", "approved"]
    lines = path.read_bytes().splitlines()
    stripped = {k: v for k, v in json.loads(lines[1]).items() if k != "signature"}
    path.write_bytes(old + json.dumps(stripped, separators=(",", ":"), sort_keys=True).encode() + b"\n")
    path.with_name("audit.head").unlink()
    assert len(log.entries()) == 2  # nothing says that the log ever had a key: only a seal does
    log.write("answered")
    path.write_bytes(path.read_bytes() + lines[1] + b"\n")
    with pytest.raises(LedgerBroken):
        log.entries()


def test_a_seal_shows_later_that_what_was_sealed_is_still_there(desk: Desk, tmp_path: Path) -> None:
    home, path = desk.home, tmp_path / "seal.json"
    made = seal(home, home.officer_key())
    path.write_text(made.model_dump_json(), encoding="utf-8")
    AuditLog(home.audit_file, noon).write("approved")
    assert require_seal(home, path).lines == made.lines == 1
    with pytest.raises(PolicyForbids):
        seal(home, key("stranger"))
    for change in ({"lines": 2}, {"last": "0" * 64}, {"site": "s02"}):
        path.write_text(
            Seal.model_validate({**made.model_dump(), **change}).model_dump_json(), encoding="utf-8"
        )
        with pytest.raises(SignatureInvalid):
            require_seal(home, path)


def test_a_log_that_was_written_anew_with_every_key_does_not_match_its_seal(
    desk: Desk, tmp_path: Path
) -> None:
    home, path = desk.home, tmp_path / "seal.json"
    path.write_text(seal(home, home.officer_key()).model_dump_json(), encoding="utf-8")
    home.audit_file.unlink()
    home.audit_file.with_name("audit.head").unlink()
    AuditLog(home.audit_file, noon).write("nothing ever happened")
    assert len(AuditLog(home.audit_file, noon).entries()) == 1  # by itself it holds
    with pytest.raises(LedgerBroken, match="not those that were sealed"):
        require_seal(home, path)


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_each_line_goes_to_the_syslog_once_and_in_order(
    desk: Desk, tmp_path: Path, family: socket.AddressFamily
) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log") if family is socket.AF_UNIX else ("127.0.0.1", 0))
        server.settimeout(5)
        name = server.getsockname()
        address = name if family is socket.AF_UNIX else f"127.0.0.1:{name[1]}"
        log = AuditLog(desk.home.audit_file, noon)
        log.write("approved", study="ab")
        assert export(desk.home, address) == 2
        assert export(desk.home, address) == 0
        log.write("released", release="release-1")
        assert export(desk.home, address) == 1
        got = [server.recv(4096) for _ in range(3)]
    assert all(line.startswith(b"<110>fedvalue-audit: {") for line in got)
    found = [json.loads(line.partition(b": ")[2]) for line in got]
    assert [each["event"] for each in found] == ["loaded", "approved", "released"]
    assert {each["site"] for each in found} == {"s01"}


def test_a_syslog_that_is_not_there_is_said_to_be_and_nothing_counts_as_sent(
    desk: Desk, tmp_path: Path
) -> None:
    for address in (str(tmp_path / "none"), "no-port", "host:port"):
        with pytest.raises(OutputError, match="the syslog cannot be reached"):
            export(desk.home, address)
    assert not (desk.home.folder / "audit.exported").exists()


def test_a_log_whose_sent_lines_changed_is_not_sent_on(desk: Desk, tmp_path: Path) -> None:
    home: SiteHome = desk.home
    (home.folder / "audit.exported").write_text(f"1 {'0' * 64}\n", encoding="ascii")
    with pytest.raises(LedgerBroken, match="not those that were sent"):
        export(home, str(tmp_path / "none"))
