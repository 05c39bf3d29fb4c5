"""How a site runs, what its SuperNode is started with, and which Flower bundles it lets in."""

from __future__ import annotations

import hashlib
import io
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.client.running.bundles import BundleList
from fedvalue.client.running.settings import NAMES_ONLY, FlowerSettings, ServeSettings, load_settings
from fedvalue.client.running.site import parts_of
from fedvalue.client.running.watched import DECLARED
from fedvalue.errors import BundleRefused, StudyInvalid
from fedvalue.operations.metrics import table

OURS = '[tool.flwr.app.components]\nclientapp = "fedvalue.client.app:app"\nserverapp = "anything:app"\n'


def bundle(files: dict[str, str]) -> bytes:
    """A zip file as Flower's."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as opened:
        for name, text in files.items():
            opened.writestr(name, text)
    return made.getvalue()


NAMES = bundle({".info/CONTENT": "x", "pyproject.toml": OURS, "docs/federation.md": "words"})
BY_NAMES = BundleList(frozenset({NAMES_ONLY}))


def test_a_bundle_of_names_is_let_in_by_the_usual_list() -> None:
    assert BY_NAMES.require(NAMES) == hashlib.sha256(NAMES).hexdigest()
    assert ServeSettings().flower.bundles == (NAMES_ONLY,)


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": OURS, "rogue.py": "import os"},
        {"pyproject.toml": OURS, "lib.so": ""},
        {"pyproject.toml": OURS, "fedvalue/client/app.py": ""},
        {"pyproject.toml": OURS, "../../x.md": ""},
        {"pyproject.toml": OURS, "a.pth": ""},
        {"pyproject.toml": OURS.replace("fedvalue.client.app:app", "os:system")},
        {"pyproject.toml": "[tool"},
        {"pyproject.toml": OURS + "#" * 300_000},
        {"README.md": "no settings"},
    ],
)
def test_what_is_more_than_names_is_refused(files: dict[str, str]) -> None:
    with pytest.raises(BundleRefused):
        BY_NAMES.require(bundle(files))


def test_a_list_of_digests_lets_in_those_bytes_and_an_empty_one_nothing() -> None:
    program = bundle({"pyproject.toml": OURS, "reviewed.py": ""})
    listed = BundleList(frozenset({hashlib.sha256(program).hexdigest()}))
    listed.require(program)
    with pytest.raises(BundleRefused, match="not on this site's list"):
        listed.require(NAMES)
    with pytest.raises(BundleRefused):
        BundleList(frozenset()).require(NAMES)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(NAMES) - 1), st.integers(1, 255), st.integers(0, len(NAMES)))
def test_a_damaged_bundle_is_refused_or_still_only_names(at: int, change: int, cut: int) -> None:
    damaged = bytearray(NAMES)
    damaged[at] ^= change
    for content in (bytes(damaged), NAMES[:cut], NAMES[cut:]):
        with suppress(BundleRefused):  # and nothing else
            BY_NAMES.require(content)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_bytes_that_are_no_bundle_are_refused_by_that_name_only(content: bytes) -> None:
    with pytest.raises(BundleRefused):
        BY_NAMES.require(content)


def write(home: Path, text: str) -> ServeSettings:
    (home / "serve.toml").write_text(text)
    return load_settings(home)


def enrolled(home: Path) -> None:
    (home / "identity").mkdir()
    for name, text in (
        ("coordinator.txt", "hub.example:9092\n"),
        ("coordinator-ca.crt", "x"),
        ("supernode", "x"),
    ):
        (home / "identity" / name).write_text(text)


def test_without_a_file_or_an_enrolment_the_node_runs_alone(tmp_path: Path) -> None:
    found = load_settings(tmp_path)
    assert found == ServeSettings()
    assert [part.name for part in parts_of(tmp_path, found, tmp_path / "n.sock")] == ["node"]


def test_an_enrolled_site_needs_no_file_for_its_supernode(tmp_path: Path) -> None:
    enrolled(tmp_path)
    parts = {part.name: part for part in parts_of(tmp_path, load_settings(tmp_path), tmp_path / "n.sock")}
    assert list(parts) == ["node", "supernode", "worker"]
    command = " ".join(parts["supernode"].command)
    identity = tmp_path / "identity"
    assert f"--superlink hub.example:9092 --root-certificates {identity}/coordinator-ca.crt" in command
    assert f"--auth-supernode-private-key {identity}/supernode" in command
    assert "--isolation process" in command  # in which a SuperNode starts no bundle's program
    assert "--insecure" not in command
    assert (tmp_path / "tasks.secret").stat().st_mode & 0o777 == 0o600
    for part in parts.values():
        assert part.environment["FLWR_TELEMETRY_ENABLED"] == "0"
        assert part.environment["FLWR_DISABLE_UPDATE_CHECK"] == "1"


def test_what_supernode_and_worker_share_is_new_at_each_start(tmp_path: Path) -> None:
    enrolled(tmp_path)
    found = []
    for _ in range(2):
        parts_of(tmp_path, load_settings(tmp_path), tmp_path / "n.sock")
        found.append((tmp_path / "tasks.secret").read_bytes())
    assert found[0] != found[1]
    assert len(found[0]) == 32


def test_a_key_that_is_missing_stops_the_start_and_is_named(tmp_path: Path) -> None:
    enrolled(tmp_path)
    (tmp_path / "identity" / "supernode").unlink()
    with pytest.raises(StudyInvalid, match="key is not there"):
        parts_of(tmp_path, load_settings(tmp_path), tmp_path / "n.sock")


def test_a_proxy_is_the_supernodes_alone_and_the_environments_only_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://other:1")
    enrolled(tmp_path)
    wanted = {"": None, "http://proxy:3128": "http://proxy:3128", "environment": "http://other:1"}
    for setting, proxy in wanted.items():
        found = write(tmp_path, f'[flower]\nproxy = "{setting}"\n')
        parts = {part.name: part for part in parts_of(tmp_path, found, tmp_path / "n.sock")}
        assert parts["supernode"].environment.get("HTTPS_PROXY") == proxy
        assert "HTTPS_PROXY" not in parts["worker"].environment


@pytest.mark.parametrize(
    "text",
    [
        "[flower]\nsuperlinc = 'a:1'",
        "[flower]\nsuperlink = 'a'",
        "[flower]\nport = 0",
        "[flower]\nbundles = ['everything']",
        "[flower]\nbundles = 'names-only'",
        "[flower]\nproxy = 'ftp://x'",
        "[logs]\nstderr = 'loud'",
        "nonsense = 1",
    ],
)
def test_a_setting_that_is_unknown_or_out_of_range_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(StudyInvalid, match=r"serve\.toml"):
        write(tmp_path, text)


OPERATIONS = Path(__file__).parents[4] / "docs" / "operations.md"


def test_every_number_and_its_reason_is_in_the_documents() -> None:
    assert table(DECLARED) in OPERATIONS.read_text(encoding="utf-8")


def test_every_key_of_the_settings_is_in_the_documents() -> None:
    text = OPERATIONS.read_text(encoding="utf-8")
    for name, part in ServeSettings.model_fields.items():
        assert f"[{name}]" in text
        for key in part.annotation.model_fields:  # type: ignore[union-attr]  # each is a model
            assert f"`{key}`" in text, key
    assert NAMES_ONLY in FlowerSettings().bundles
