"""The images and the compose file, read strictly: what a hospital's IT would look for, without an engine."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from fedvalue.quiet import quiet_environment
from proofs.compose_run import load
from proofs.images import DockerfileError, Stage, let_in, read

IMAGES = ("site", "site-training", "coordinator")
PROGRAMS = {"python", "nginx", "wget"}  # those of base images; every other one is a console script
OFFICIAL = re.compile(r"(python|nginx):[0-9][a-z0-9.-]*")
BESIDE = re.compile(r"(\./|\$\{[A-Z_]+:-\./)")


class Strict(BaseModel):
    """A key that nobody here knows is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Health(Strict):
    test: list[str]
    interval: str
    timeout: str
    start_period: str
    retries: int


class Service(Strict):
    """What a service of ours must and may say; the compose specification allows much more."""

    image: str
    build: dict[str, str] | None = None
    init: bool
    read_only: bool
    user: str
    cap_drop: list[str]
    security_opt: list[str]
    restart: str
    stop_grace_period: str
    tmpfs: list[str]
    ulimits: dict[str, int]
    pids_limit: int
    mem_limit: str
    memswap_limit: str
    cpus: float | int
    logging: dict[str, Any]
    networks: list[str]
    volumes: list[str]
    secrets: list[str | dict[str, str]]
    environment: dict[str, str] = {}
    entrypoint: list[str] | None = None
    command: list[str] | None = None
    ports: list[str] = []
    depends_on: dict[str, dict[str, str]] = {}
    healthcheck: Health | None = None


@pytest.fixture(scope="module")
def docker(repository: Path) -> Path:
    return repository / "docker"


@pytest.fixture(scope="module")
def stages(docker: Path) -> dict[str, tuple[Stage, ...]]:
    return {name: read((docker / f"{name}.Dockerfile").read_text(encoding="utf-8")) for name in IMAGES}


@pytest.fixture(scope="module")
def compose(docker: Path) -> dict[str, Any]:
    return load((docker / "compose.yaml").read_text(encoding="utf-8"), {})


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Service]:
    return {name: Service.model_validate(said) for name, said in compose["services"].items()}


@pytest.fixture(scope="module")
def programs() -> set[str]:
    scripts = importlib.metadata.entry_points(group="console_scripts")
    return {script.name for script in scripts} | PROGRAMS


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_built_in_two_stages_from_official_bases_and_runs_as_nobody(
    stages: dict[str, tuple[Stage, ...]], name: str
) -> None:
    build, final = stages[name]
    assert build.name == "build"
    assert final.name == ""
    assert all(OFFICIAL.fullmatch(stage.base) for stage in stages[name])  # no other registry, no floating tag
    user = final.last("USER")
    assert user is not None
    assert user.rest == "10001:10001"
    after = final.instructions[final.instructions.index(user) :]
    assert not [one for one in after if one.word in ("RUN", "COPY")]  # nothing is written as that user
    health = final.last("HEALTHCHECK")
    assert health is not None
    assert health.listed()[0] == "python"
    assert final.environment()["FLWR_TELEMETRY_ENABLED"] == "0"
    assert final.environment()["FLWR_DISABLE_UPDATE_CHECK"] == "1"


@pytest.mark.parametrize("name", IMAGES)
def test_nothing_is_fetched_but_wheels_and_what_is_installed_comes_from_them_alone(
    stages: dict[str, tuple[Stage, ...]], name: str
) -> None:
    ran = [one.rest for stage in stages[name] for one in stage.instructions if one.word == "RUN"]
    assert ran[0] == "sh docker/wheels.sh /wheels" + " train" * (name == "site-training")
    assert "--no-index -f /wheels" in ran[1]
    for line in ran:
        assert not re.search(r"https?:|\bcurl\b|\bwget\b|\bgit\b|apt|--trusted[-]host|--index[-]url", line)


def test_the_image_for_trainings_is_the_sites_with_one_extra(docker: Path) -> None:
    plain, training = (
        (docker / f"{name}.Dockerfile").read_text(encoding="utf-8").splitlines()
        for name in ("site", "site-training")
    )
    apart = [(a, b) for a, b in zip(plain, training, strict=True) if a != b and not b.startswith("#")]
    assert [(a.strip(), b.strip()) for a, b in apart] == [
        ("RUN sh docker/wheels.sh /wheels", "RUN sh docker/wheels.sh /wheels train"),
        ("install --no-index -f /wheels fedvalue", "install --no-index -f /wheels fedvalue[train]"),
    ]
    assert "train" in (importlib.metadata.metadata("fedvalue").get_all("Provides-Extra") or [])


@pytest.mark.parametrize("name", IMAGES)
def test_every_source_of_a_copy_exists_and_is_let_into_the_build(
    repository: Path, stages: dict[str, tuple[Stage, ...]], name: str
) -> None:
    rules = (repository / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [one.copied() for stage in stages[name] for one in stage.instructions if one.word == "COPY"]
    ours = [source for stage, sources, _ in copied if stage is None for source in sources]
    assert {"client", "core", "protos", "server", "strategies", "constraints.txt"} <= set(ours)
    for source in ours:
        assert (repository / source).exists()
        assert let_in(source, rules), source
    assert {stage for stage, _, _ in copied} == {None, "build"}


def test_the_build_sees_no_environment_no_result_and_no_key(repository: Path) -> None:
    rules = (repository / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for path in (
        ".git/config", ".venv/bin/python", "out/demo/keys/coordinator.pem", "tests/conftest.py",
        "client/fedvalue/client/keys/site.pem", "core/fedvalue/__pycache__/errors.cpython-311.pyc",
        "docker/office/tls/server.key", "docker/secrets/superexec", "server/some.key",
    ):  # fmt: skip
        assert not let_in(path, rules), path
    assert let_in("client/fedvalue/client/cli.py", rules)


@pytest.mark.parametrize("name", IMAGES)
def test_every_command_of_an_image_is_a_program_that_the_wheel_installs(
    stages: dict[str, tuple[Stage, ...]], programs: set[str], name: str
) -> None:
    final = stages[name][-1]
    entry, command = final.last("ENTRYPOINT"), final.last("CMD")
    words = [*(entry.listed() if entry else []), *(command.listed() if command else [])]
    assert words[0] in programs


def test_every_service_is_read_only_without_capabilities_limited_and_watched(
    services: dict[str, Service], stages: dict[str, tuple[Stage, ...]]
) -> None:
    assert set(services) == {
        "superlink", "gate", "coordinator", "north-teaching", "river-cancer", "east-general"
    }  # fmt: skip
    for name, service in services.items():
        assert service.read_only, name
        assert service.user == "10001:10001", name
        assert service.cap_drop == ["ALL"], name
        assert service.security_opt == ["no-new-privileges:true"], name
        assert service.memswap_limit == service.mem_limit, name  # no secret is swapped to a disk
        assert service.ulimits["core"] == 0, name  # nor dumped to one
        assert service.pids_limit <= 512, name
        assert service.cpus > 0, name
        assert [line.partition(":")[0] for line in service.tmpfs] == ["/tmp"], name
        assert {"noexec", "nosuid", "nodev"} <= set(service.tmpfs[0].partition(":")[2].split(",")), name
        assert service.healthcheck or stages[service.image.removeprefix("fedvalue-")][-1].last("HEALTHCHECK")


def test_the_writable_places_are_the_named_ones(
    services: dict[str, Service], compose: dict[str, Any]
) -> None:
    for service in services.values():
        for volume in service.volumes:
            source, target, *mode = volume.split(":")
            if mode == ["ro"]:
                continue
            assert target in ("/var/lib/fedvalue", "/var/lib/fedvalue/office")
            assert source in compose["volumes"] or source == "./office"
            assert "docker.sock" not in volume


def test_the_superlink_is_on_the_inner_network_alone_and_hospitals_on_the_outer_one(
    services: dict[str, Service], compose: dict[str, Any]
) -> None:
    assert compose["networks"]["inside"] == {"internal": True}
    assert services["superlink"].networks == ["inside"]
    assert services["superlink"].ports == []
    sites = [name for name, service in services.items() if service.image == "fedvalue-site"]
    assert len(sites) == 3
    for name in sites:
        assert services[name].networks == ["outside"]
        assert services[name].ports == []
        assert services[name].depends_on == {}  # a hospital waits for nobody
    assert {name for name, service in services.items() if service.ports} == {"gate", "coordinator"}


def test_secrets_are_files_and_no_environment_holds_one(
    services: dict[str, Service], compose: dict[str, Any], docker: Path
) -> None:
    for said in compose["secrets"].values():
        assert set(said) == {"file"}
    for service in services.values():
        for secret in service.secrets:
            assert (secret if isinstance(secret, str) else secret["source"]) in compose["secrets"]
        for name, value in service.environment.items():
            assert name.endswith("_FILE")
            assert value.startswith("/run/secrets/")
    raw = (docker / "compose.yaml").read_text(encoding="utf-8")
    for line in re.findall(r"[{] file: \"([^\"]+)", raw):
        assert BESIDE.match(line), line  # no path of anybody's machine


def test_every_word_of_a_command_is_known_to_its_program(
    services: dict[str, Service], programs: set[str]
) -> None:
    for name in ("superlink", "coordinator"):
        command = services[name].command
        assert command is not None
        assert command[0] in programs
        program = Path(sys.executable).parent / command[0]
        done = subprocess.run(
            [program, "--help"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=quiet_environment(),
        )
        for word in command[1:]:
            assert word.partition("=")[0] in done.stdout, word
    for service in services.values():
        if service.healthcheck:
            assert service.healthcheck.test[0] == "CMD"
            assert service.healthcheck.test[1] in programs


def test_the_gate_lets_the_fleet_interface_through_and_nothing_else(docker: Path) -> None:
    text = "\n".join(
        line.partition("#")[0] for line in (docker / "gate.conf").read_text(encoding="utf-8").splitlines()
    )
    locations = re.findall(r"location ([^{]+?) \{\s*([^\n]*)", text)
    assert locations == [
        ("~ ^/v1/fleet/([a-z-]+)$", "limit_except POST { deny all; }"),
        ("/", "return 404; }"),
        ("= /health", "return 204; }"),
        ("/", "return 404; }"),
    ]
    assert re.findall(r"proxy_pass ([^;]+);", text) == ["https://superlink/v1/fleet/$1"]
    assert "proxy_ssl_verify on;" in text
    assert text.count("listen 9092 ssl;") == 1
    assert text.count("listen 127.0.0.1:8081;") == 1


def test_no_file_names_a_machine_or_another_registry(docker: Path, repository: Path) -> None:
    files = [path for path in docker.iterdir() if path.is_file()] + [repository / ".dockerignore"]
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w/])/(home|work|root|Users)/", text), path.name
        assert not re.search(r"\b[a-z0-9-]+\.(io|com|org|net|cn)/", text.replace("org.opencontainers", "")), (
            path.name
        )


@pytest.mark.parametrize(
    "text",
    [
        "RUN true",  # before the first FROM
        "FROM python:3.11\nADD . /",  # ADD unpacks and fetches
        "FROM python:3.11\nARG TOKEN",  # stays in the image's history
        "FROM python:3.11\nRUN true \\",
        "FROM --platform=linux/arm64 python:3.11",
        "",
    ],
)
def test_the_reader_refuses_what_it_does_not_know(text: str) -> None:
    with pytest.raises(DockerfileError):
        read(text)


def test_the_offline_bundle_is_checked_before_it_is_used(repository: Path, tmp_path: Path) -> None:
    # A checkout whose bundle is filled: a wheel that was changed on the way stops the build.
    root = tmp_path / "checkout"
    (root / "docker" / "bundle").mkdir(parents=True)
    script = root / "docker" / "wheels.sh"
    script.write_bytes((repository / "docker" / "wheels.sh").read_bytes())
    wheel = root / "docker" / "bundle" / "fedvalue-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    sums = subprocess.run(
        ["sha256sum", wheel.name], cwd=wheel.parent, capture_output=True, text=True, check=True
    ).stdout
    (wheel.parent / "SHA256SUMS").write_text(sums, encoding="utf-8")
    out = tmp_path / "wheels"
    good = subprocess.run(["sh", script, out], capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stderr
    assert (out / wheel.name).read_bytes() == b"wheel"
    wheel.write_bytes(b"other")
    bad = subprocess.run(["sh", script, tmp_path / "again"], capture_output=True, text=True, check=False)
    assert bad.returncode != 0
    assert not list((tmp_path / "again").glob("*.whl"))
