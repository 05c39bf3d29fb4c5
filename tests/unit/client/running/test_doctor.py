"""The doctor: each ailment by its line, in two languages, and nothing sent that is not said."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedvalue.client.cli import app
from fedvalue.client.home import SiteHome
from fedvalue.client.running import doctor_machine as machine_room
from fedvalue.client.running import doctor_network as network
from fedvalue.client.running.doctor import examine
from fedvalue.client.running.doctor_machine import GIB, Machine
from fedvalue.client.running.doctor_network import Target, chosen_proxy
from fedvalue.client.running.doctor_words import CHECKS, TO_DO, WORDS, Line
from fedvalue.server.provisioning import tls
from tests.federation import make_home
from tests.session_desk import Wire

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> SiteHome:
    return make_home(tmp_path_factory.mktemp("doctor"), "s01", patients=3)


def fake(root: Path, files: dict[str, str]) -> Machine:
    """A machine of which only these files are known."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Machine(root=root, synchronised=lambda: True, version=lambda _: "1.41.0")


def codes(lines: list[Line]) -> list[tuple[str, str]]:
    return [(line.verdict, line.found) for line in lines]


@contextmanager
def coordinator(folder: Path, clock: datetime = NOW) -> Iterator[int]:
    """A TLS server on this machine that answers every request with its time; gives its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / tls.SERVER, folder / tls.SERVER_KEY)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            try:
                line.settimeout(5)
                with context.wrap_socket(line, server_side=True) as secured:
                    secured.recv(4096)
                    date = format_datetime(clock, usegmt=True)
                    secured.sendall(f"HTTP/1.1 404 Not Found\r\ndate: {date}\r\n\r\n".encode())
            except OSError:
                line.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TLS material of a coordinator."""
    folder = tmp_path_factory.mktemp("tls")
    tls.make_root(folder, "Example", NOW)
    tls.make_server(folder, ("localhost",), NOW)
    return folder


def test_a_healthy_site_passes_and_the_command_says_so_for_people_and_for_programs(home: SiteHome) -> None:
    said = CliRunner().invoke(app, ["doctor", str(home.folder), "--json"])
    found = json.loads(said.output)
    assert said.exit_code == 0, found
    assert {line["check"] for line in found} >= {"home", "versions", "memory", "disk", "encryption", "clock"}
    chinese = CliRunner().invoke(app, ["doctor", str(home.folder), "--language", "zh"])
    assert "主目录" in chinese.output
    assert "FAIL" not in chinese.output


def test_a_home_that_others_can_read_and_one_that_is_none_fail(tmp_path: Path) -> None:
    made = make_home(tmp_path, "s02", patients=1).folder
    assert codes(machine_room.home_lines(made)) == [("pass", "home_private")]
    (made / "records.duckdb").chmod(0o640)
    assert codes(machine_room.home_lines(made)) == [("fail", "home_open")]
    assert codes(machine_room.home_lines(tmp_path)) == [("fail", "home_missing")]
    assert CliRunner().invoke(app, ["doctor", str(tmp_path)]).exit_code == 1


@pytest.mark.parametrize(
    ("gib", "limit", "wanted"),
    [(8, None, "pass"), (1.5, None, "warn"), (0.5, None, "fail"), (8, 1.5, "warn"), (8, 0.5, "fail")],
)
def test_memory_is_the_machines_or_the_containers_whichever_is_less(
    gib: float, limit: float | None, wanted: str, tmp_path: Path
) -> None:
    files = {"proc/meminfo": f"MemTotal: 1 kB\nMemAvailable: {int(gib * GIB / 1024)} kB\n"}
    if limit is not None:  # 1 GiB of it is used
        files["sys/fs/cgroup/memory.max"] = str(int((limit + 1) * GIB))
        files["sys/fs/cgroup/memory.current"] = str(GIB)
    assert [line.verdict for line in machine_room.memory_lines(fake(tmp_path, files))] == [wanted]


def test_memory_that_cannot_be_read_is_said_and_no_failure(tmp_path: Path) -> None:
    assert codes(machine_room.memory_lines(fake(tmp_path, {}))) == [("warn", "memory_unknown")]


@pytest.mark.parametrize(
    ("uuid", "slave", "wanted"),
    [
        ("CRYPT-LUKS2-0123-disk", None, ("pass", "encrypted")),
        ("LVM-abc", "CRYPT-LUKS2-0123-disk", ("pass", "encrypted")),  # a volume on an encrypted disk
        ("LVM-abc", "LVM-def", ("warn", "not_encrypted")),
        ("LVM-abc", None, ("warn", "not_encrypted")),
    ],
)
def test_disk_encryption_is_seen_through_volumes(
    uuid: str, slave: str | None, wanted: tuple[str, str], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    mounts = f"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 253:0 / {data} rw shared:1 - xfs /dev/dm-0 rw\n"
    files = {"proc/self/mountinfo": mounts, "sys/class/block/dm-0/dm/uuid": uuid}
    if slave is not None:
        files["sys/class/block/dm-0/slaves/dm-1/dm/uuid"] = slave
    assert codes(machine_room.encryption_lines(data, fake(tmp_path / "root", files))) == [wanted]


def test_a_file_system_without_a_device_cannot_be_judged(tmp_path: Path) -> None:
    machine = fake(tmp_path / "root", {"proc/self/mountinfo": "1 0 0:5 / / rw - overlay overlay rw\n"})
    assert codes(machine_room.encryption_lines(tmp_path, machine)) == [("warn", "encryption_unknown")]


def test_versions_outside_what_the_package_asks_for_fail_by_name(tmp_path: Path) -> None:
    versions = {"flwr": "1.43.0", "grpcio": "1.81.1", "cryptography": "50.0.2", "fedvalue": "0.1.0"}
    machine = Machine(root=tmp_path, version=versions.__getitem__)
    (line,) = machine_room.version_lines(machine)
    assert line.verdict == "fail"
    assert "flwr 1.43.0 is not supported; 1.41 to before 1.43 is" in line.text()


def test_a_clock_that_nothing_keeps_right_is_a_warning(tmp_path: Path) -> None:
    for synchronised, wanted in ((True, "pass"), (False, "warn"), (None, "warn")):
        machine = Machine(root=tmp_path, synchronised=lambda state=synchronised: state)  # type: ignore[misc]
        assert [line.verdict for line in machine_room.clock_lines(machine)] == [wanted]


def test_a_coordinator_is_believed_by_its_root_and_its_clock_is_compared(papers: Path) -> None:
    with coordinator(papers) as port:
        target = Target(f"localhost:{port}", str(papers / tls.ROOT))
        assert codes(network.coordinator_lines(target, NOW)) == [
            ("pass", "tls_good"),
            ("pass", "clock_agrees"),
        ]
        for away, verdict in ((30, "warn"), (-600, "fail")):
            lines = network.coordinator_lines(target, NOW + timedelta(seconds=away))
            assert codes(lines)[1] == (verdict, "clock_off")


def test_a_coordinator_of_another_root_or_name_fails_with_the_reason(papers: Path, tmp_path: Path) -> None:
    tls.make_root(tmp_path, "Other", NOW)
    with coordinator(papers) as port:
        (line,) = network.coordinator_lines(Target(f"localhost:{port}", str(tmp_path / tls.ROOT)), NOW)
        assert (line.verdict, line.found) == ("fail", "tls_bad")
        (line,) = network.coordinator_lines(Target(f"127.0.0.1:{port}", str(papers / tls.ROOT)), NOW)
        assert "not valid for '127.0.0.1'" in line.text()


def test_a_port_where_nobody_listens_and_a_name_without_address_fail(papers: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    (line,) = network.coordinator_lines(Target(f"127.0.0.1:{port}"), NOW)
    assert (line.verdict, line.found) == ("fail", "tcp_bad")
    assert codes(network.dns_lines(Target("no..such:1"))) == [("fail", "dns_bad")]
    assert codes(network.dns_lines(Target("127.0.0.1:1"))) == [("pass", "dns_good")]


def test_a_proxy_is_asked_to_connect_and_its_password_is_not_shown(papers: Path) -> None:
    with coordinator(papers) as port, Wire(port, connect=True) as proxy:
        target = Target(
            f"localhost:{port}", str(papers / tls.ROOT), f"http://me:secret@127.0.0.1:{proxy.port}"
        )
        (line,) = network.proxy_lines(target)
        assert (line.verdict, line.found) == ("pass", "proxy_good")
        assert "secret" not in line.text()
        assert codes(network.coordinator_lines(target, NOW))[0] == ("pass", "tls_good")
        assert proxy.asked == [f"CONNECT localhost:{port} HTTP/1.1"] * 2


def test_a_proxy_that_says_no_fails_with_its_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            line, _ = listener.accept()
            with line:
                line.recv(4096)
                line.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

        threading.Thread(target=refuse, daemon=True).start()
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
        (line,) = network.proxy_lines(Target("hub.example:9092", proxy=proxy))
    assert line.found == "proxy_bad"
    assert "403 Forbidden" in line.text()


def test_the_environments_proxy_is_used_only_where_it_is_asked_for() -> None:
    environment = {"HTTPS_PROXY": "http://p:1"}
    assert chosen_proxy("", environment) == ""
    assert chosen_proxy("environment", environment) == "http://p:1"
    assert chosen_proxy("environment", {}) == ""
    assert codes(network.proxy_lines(Target("a:1"), environment)) == [("pass", "proxy_ignored")]
    assert codes(network.proxy_lines(Target("a:1"), {})) == [("pass", "proxy_none")]


def test_a_port_that_another_program_holds_fails_unless_it_is_our_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        assert codes(network.port_lines(port, running=False)) == [("fail", "port_taken")]
        assert codes(network.port_lines(port, running=True)) == [("pass", "port_ours")]
    assert codes(network.port_lines(port, running=False)) == [("pass", "port_free")]


def test_an_enrolled_site_is_looked_at_from_key_to_coordinator(
    home: SiteHome, papers: Path, tmp_path: Path
) -> None:
    with coordinator(papers) as port:
        (home.folder / "serve.toml").write_text(
            f'[flower]\nsuperlink = "localhost:{port}"\nroot_certificates = "{papers / tls.ROOT}"\n'
            f'key = "{tmp_path / "none"}"\n'
        )
        try:
            found = {line.check: line.found for line in examine(home.folder)}
        finally:
            (home.folder / "serve.toml").unlink()
    assert found["supernode"] == "key_missing"
    assert (found["dns"], found["coordinator"], found["node"]) == ("dns_good", "tls_good", "node_stopped")


def test_settings_that_are_not_valid_are_a_line_and_no_crash(home: SiteHome) -> None:
    (home.folder / "serve.toml").write_text("nonsense = 1\n")
    try:
        found = {line.check: line.found for line in examine(home.folder)}
    finally:
        (home.folder / "serve.toml").unlink()
    assert found["settings"] == "settings_bad"


def test_every_finding_has_words_in_both_languages_and_every_ailment_says_what_to_do() -> None:
    for words in (CHECKS, WORDS, TO_DO):
        for english, chinese in words.values():
            assert english
            assert chinese
    ailments = {
        key for key in WORDS if key.endswith(("_bad", "_missing", "_open", "_taken", "_little", "_off"))
    }
    assert ailments <= set(TO_DO)
    assert set(TO_DO) <= set(WORDS)
    for key in WORDS:
        names = [set(__import__("re").findall(r"\{(\w+)\}", text)) for text in WORDS[key]]
        assert names[0] == names[1]
