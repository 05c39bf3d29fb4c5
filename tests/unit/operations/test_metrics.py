"""Numbers for a monitor: Prometheus' format, nothing undeclared, an endpoint that nobody else reaches."""

from __future__ import annotations

import json
import logging
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from fedvalue.errors import OutputError
from fedvalue.operations.endpoint import Endpoint, ask
from fedvalue.operations.logs import event
from fedvalue.operations.metrics import Counting, Metric, Metrics, table

TRIES = Metric("tries_total", "counter", "Tries.", "Nobody's.", ("code",), ("tried",))
PAUSED = Metric("paused", "gauge", "1 if paused.", "People do it.")
ENDS = Metric("ends_total", "counter", "Ends.", "Nobody's.", (), ("ended",))


def test_the_text_is_that_of_prometheus_version_0_0_4() -> None:
    metrics = Metrics([TRIES, PAUSED, ENDS])
    metrics.count("tries_total", {"code": 'a"b\\c\nd'})
    metrics.count("tries_total", {"code": "x"}, by=2)
    metrics.set("paused", 0.5)
    # HELP and TYPE before the samples of each; \ " and the line's end escaped in labels
    assert metrics.text() == (
        "# HELP tries_total Tries.\n# TYPE tries_total counter\n"
        'tries_total{code="a\\"b\\\\c\\nd"} 1\ntries_total{code="x"} 2\n'
        "# HELP paused 1 if paused.\n# TYPE paused gauge\npaused 0.5\n"
        "# HELP ends_total Ends.\n# TYPE ends_total counter\nends_total 0\n"
    )


def test_a_counter_counts_the_log_lines_that_it_names_and_no_others() -> None:
    metrics, log = Metrics([TRIES, ENDS]), logging.getLogger("fedvalue.counted")
    handler = Counting(metrics.see)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        event(log, "tried", code="not_approved")
        event(log, "tried", code="not_approved")
        event(log, "ended")
        event(log, "something else")
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)
    assert 'tries_total{code="not_approved"} 2\n' in metrics.text()
    assert metrics.text().endswith("ends_total 1\n")


def test_what_nobody_declared_is_refused() -> None:
    metrics = Metrics([TRIES])
    with pytest.raises(OutputError, match="nobody declared"):
        metrics.count("patients_total")
    with pytest.raises(OutputError, match="nobody declared"):
        metrics.count("tries_total", {"patient": "x"})


def test_the_table_has_a_row_with_its_reason_for_each() -> None:
    assert table([TRIES, PAUSED]).splitlines()[2:] == [
        "| `tries_total` | code | Tries. | Nobody's. |",
        "| `paused` | - | 1 if paused. | People do it. |",
    ]


@pytest.mark.parametrize("kind", ["socket", "loopback"])
def test_the_endpoint_answers_health_and_metrics_and_nothing_else(kind: str) -> None:
    with tempfile.TemporaryDirectory(prefix="fv-") as short:
        where = f"{short}/status.sock" if kind == "socket" else "127.0.0.1:0"
        found = {"ok": True}
        endpoint = Endpoint(where, health=lambda: found, metrics=lambda: "up 1\n")
        try:
            assert ask(endpoint.where) == (200, json.dumps(found) + "\n")
            assert ask(endpoint.where, "/metrics") == (200, "up 1\n")
            assert ask(endpoint.where, "/policy.toml")[0] == 404
            found["ok"] = False
            assert ask(endpoint.where)[0] == 503
            if kind == "socket":
                assert stat.S_IMODE(Path(where).stat().st_mode) == 0o600
        finally:
            endpoint.close()
        with pytest.raises(OSError):
            ask(endpoint.where)
        assert list(Path(short).iterdir()) == []


@pytest.mark.parametrize(
    "where", ["0.0.0.0:0", "192.0.2.1:80", "example.org:80", "[::]:0", "9464", "127.0.0.1:x"]
)
def test_an_address_that_others_could_reach_is_refused(where: str) -> None:
    with pytest.raises(OutputError):
        Endpoint(where, health=dict, metrics=str)


def test_a_place_that_is_taken_or_no_socket_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OutputError, match="something else"):
        Endpoint(str(tmp_path / "file"), health=dict, metrics=str)
    assert (tmp_path / "file").read_text() == "kept"
    with socket.create_server(("127.0.0.1", 0)) as held, pytest.raises(OutputError, match="cannot listen"):
        Endpoint(f"127.0.0.1:{held.getsockname()[1]}", health=dict, metrics=str)
