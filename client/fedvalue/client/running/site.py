"""A whole site under one supervisor: node, SuperNode, worker, health endpoint, one log."""

from __future__ import annotations

import fcntl
import importlib.metadata
import logging
import os
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from platform import python_version
from types import FrameType

from fedvalue.client.home import SITE_KEY, SiteHome, write_atomically
from fedvalue.client.identity import load_identity
from fedvalue.client.running.pause import paused
from fedvalue.client.running.settings import (
    FLOWER_HOME,
    TASK_SECRET,
    FlowerSettings,
    ServeSettings,
    destinations,
    load_settings,
    node_socket,
    status_address,
)
from fedvalue.client.running.supervisor import Part, Supervisor
from fedvalue.client.running.watched import DECLARED, ready, supernode_gave_up, supernode_ready, worker_ready
from fedvalue.client.serve import keep_secrets_in_memory
from fedvalue.errors import FedValueError, LedgerBusy, OutputError, StudyInvalid
from fedvalue.operations import logs
from fedvalue.operations.endpoint import Endpoint
from fedvalue.operations.metrics import Counting, Metrics
from fedvalue.quiet import quiet_environment
from fedvalue.study.passphrase import LOCKED
from fedvalue.study.passphrases import Ask, KeyRing

LOG = logging.getLogger("fedvalue.site")
LOCK = ".serving"
"""File in the home that a running supervisor holds."""

NODE, SUPERNODE, WORKER = "node", "supernode", "worker"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def serve_site(folder: Path, socket: Path | None, ask: Ask, *, settings: ServeSettings | None = None) -> None:
    """Run a site until SIGTERM or SIGINT.

    Args:
      folder: The site's home.
      socket: Where its node listens; None takes the home's own.
      ask: Gives the passphrase of the site's key, once, if it is under one.
      settings: None reads ``serve.toml``.

    Raises:
      LedgerBusy: this home is served already.
      PassphraseWrong: the site's key does not open.
      StudyInvalid: the settings or the home are not valid, or a SuperNode is wanted without what it needs.
      OutputError: log, socket or endpoint cannot be made.
    """
    folder = folder.resolve()
    chosen = settings or load_settings(folder)
    with _alone(folder), _told_to_stop() as stop:
        keep_secrets_in_memory()
        passphrase = _passphrase(folder, ask)
        metrics = Metrics(DECLARED)
        metrics.set("fedvalue_site_info", 1, _versions())
        logs.start(destinations(folder, chosen.logs), Counting(metrics.see))
        supervisor = Supervisor(parts_of(folder, chosen, node_socket(folder, socket), passphrase), _say)
        try:
            endpoint = Endpoint(
                status_address(folder, chosen),
                health=lambda: health(folder, supervisor),
                metrics=lambda: _measured(folder, supervisor, metrics),
            )
            logs.event(LOG, "site started", home=str(folder), status=endpoint.where)
            try:
                supervisor.run(stop)
            finally:
                endpoint.close()
                logs.event(LOG, "site stopped")
        finally:
            logs.stop()


def parts_of(
    folder: Path, settings: ServeSettings, socket: Path, passphrase: bytes = b""
) -> tuple[Part, ...]:
    """Return the processes of a site: its node, and with a SuperLink configured its SuperNode and worker.

    Args:
      folder: The site's home.
      settings: With what enrolment left filled in.
      socket: Where the node listens.
      passphrase: Of the site's key; empty if it is under none.

    Raises:
      StudyInvalid: a SuperNode is wanted without a key or a root.
      OutputError: the home cannot be written.
    """
    environment = quiet_environment()
    words = (sys.executable, "-P", "-m")
    node = Part(
        NODE,
        (*words, "fedvalue.client.running.process", str(folder), str(socket)),
        environment,
        ready,
        stdin=passphrase and passphrase + b"\n",
    )
    flower = settings.flower
    if not flower.superlink:
        return (node,)
    write_atomically(folder / TASK_SECRET, secrets.token_bytes(32))
    (folder / FLOWER_HOME).mkdir(mode=0o700, exist_ok=True)
    outside = _outside(environment, flower, folder)
    inside = {name: value for name, value in environment.items() if name not in PROXIES}
    return (
        node,
        Part(
            SUPERNODE,
            _supernode(flower, folder),
            outside,
            supernode_ready,
            ours=False,
            gave_up=supernode_gave_up,
        ),
        Part(
            WORKER, (*words, "fedvalue.client.running.worker", str(folder), str(socket)), inside, worker_ready
        ),
    )


def health(folder: Path, supervisor: Supervisor) -> dict[str, object]:
    """Return what ``/health`` says; ``ok`` if every process runs and the node is ready.

    A SuperNode that has not found its SuperLink is ``starting``: that is not this machine's fault, and no
    reason to start anything again.
    """
    parts = supervisor.state()
    running = all(part["state"] != "waiting" for part in parts.values())
    return {
        "ok": running and parts[NODE]["state"] == "ready",
        "paused": paused(folder),
        "parts": parts,
    }


def _measured(folder: Path, supervisor: Supervisor, metrics: Metrics) -> str:
    for name, part in supervisor.state().items():
        metrics.set("fedvalue_site_part_up", float(part["state"] == "ready"), {"part": name})
    metrics.set("fedvalue_site_paused", float(paused(folder)))
    try:
        home = SiteHome.open(folder)
        endings = () if home.policy.simulation else load_identity(home).endings()
    except FedValueError:
        endings = ()
    for ending in endings:
        metrics.set(
            "fedvalue_site_paper_ends_timestamp_seconds", ending.until.timestamp(), {"paper": ending.what}
        )
    return metrics.text()


def _say(part: str, said: Mapping[str, object]) -> None:
    fields = {
        key: value if isinstance(value, str | int | float | bool) else str(value)
        for key, value in said.items()
        if key not in {"event", "time", "level", "logger", "part"}
    }
    level = logging.getLevelNamesMapping().get(str(said.get("level", "info")).upper(), logging.INFO)
    logs.event(LOG, str(said.get("event", "line")), level=level, part=part, **fields)


def _supernode(flower: FlowerSettings, folder: Path) -> tuple[str, ...]:
    program = shutil.which("flower-supernode", path=str(Path(sys.executable).parent)) or "flower-supernode"
    trust: tuple[str, ...] = ("--insecure",)
    if not flower.unsafe_insecure:
        for name, path in (("root_certificates", flower.root_certificates), ("key", flower.key)):
            if not Path(path).is_file():
                raise StudyInvalid(
                    f"the SuperNode's {name} is not there", where=path,
                    do="enrol with `fedvalue site enrol`, or name it in serve.toml; see docs/operations.md",
                )  # fmt: skip
        trust = (
            "--root-certificates", flower.root_certificates, "--auth-supernode-private-key", flower.key
        )  # fmt: skip
    return (
        program, "--superlink", flower.superlink, *trust, "--isolation", "process", "--host", "127.0.0.1",
        "--port", str(flower.port), "--superexec-auth-secret-file", str(folder / TASK_SECRET),
    )  # fmt: skip


def _outside(environment: Mapping[str, str], flower: FlowerSettings, folder: Path) -> dict[str, str]:
    found = {**environment, "FLWR_HOME": str(folder / FLOWER_HOME)}
    if flower.proxy != "environment":
        found = {name: value for name, value in found.items() if name not in PROXIES}
        if flower.proxy:
            found |= {"https_proxy": flower.proxy, "HTTPS_PROXY": flower.proxy}
    return found


def _versions() -> dict[str, str]:
    version = importlib.metadata.version
    return {"fedvalue": version("fedvalue"), "flower": version("flwr"), "python": python_version()}


def _passphrase(folder: Path, ask: Ask) -> bytes:
    """Ask for the passphrase of the site's key once, try it, and keep it to hand to each new node."""
    home = SiteHome.open(folder)
    try:
        locked = home.site_key_file.read_bytes().lstrip().startswith(LOCKED)
    except OSError:
        locked = False
    if not locked:
        return b""
    given = ask(SITE_KEY, home.site_key_file)
    KeyRing(lambda *_: given).key(home.site_key_file, SITE_KEY)
    return given


@contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OutputError(f"cannot be locked: {error.strerror}", where=str(folder)) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LedgerBusy("this home is served already", where=str(folder), do="stop it first") from error
        yield
    finally:
        os.close(lock)
