"""How a site runs: ``serve.toml`` in its home, all of it optional, and what enrolment left there.

Nothing in it says what a site answers; that is the policy's, and an approval does not bind to this file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from fedvalue.client.places import COORDINATOR, NODE_KEY, SOCKET, TLS_ROOT
from fedvalue.errors import StudyInvalid
from fedvalue.operations.logs import FILE_BYTES, FILES, Destinations
from fedvalue.study.model import Part
from fedvalue.study.toml import load_toml

FILE = "serve.toml"
STATUS_SOCKET = "status.sock"
"""In the home: where ``/health`` and ``/metrics`` are, unless the settings name a loopback address."""

LOGS, FLOWER_HOME, TASK_SECRET = "logs", "flower", "tasks.secret"
"""In the home: log files; what Flower keeps; what SuperNode and worker share, made anew at each start."""

NAMES_ONLY = "names-only"
"""In the list of bundles: any bundle that carries no program and names our own ClientApp."""

BundleName = Annotated[str, Field(pattern=r"^(names-only|[0-9a-f]{64})$")]


class FlowerSettings(Part):
    """The site's SuperNode.

    Attributes:
      superlink: ``host:port``; empty takes what the enrolment token named, and without one no SuperNode runs.
      root_certificates: PEM file of whom to believe the SuperLink's certificate; empty takes the token's.
      key: OpenSSH private key that the SuperNode shows; empty takes the one made at enrolment.
      unsafe_insecure: Speak without TLS and show no key: for one machine.
      port: Of the SuperNode's own interface on 127.0.0.1, which hands work to our worker.
      proxy: ``http://host:port`` of an outbound proxy; empty for none, ``environment`` for the environment's.
      sessions: ``host:port`` to dial for streaming rounds, such as a gate's; empty takes the host of the
        enrolment token and the port that the coordinator names, ``none`` dials nowhere.
      bundles: Flower bundles that are let in: ``names-only``, or the SHA-256 of single ones.
    """

    superlink: str = Field(default="", pattern=r"^$|^\S+:\d{1,5}$")
    root_certificates: str = ""
    key: str = ""
    unsafe_insecure: bool = False
    port: int = Field(default=9094, ge=1, le=65535)
    proxy: str = Field(default="", pattern=r"^(|environment|https?://\S+)$")
    sessions: str = Field(default="", pattern=r"^(|none|\S+:\d{1,5})$")
    bundles: tuple[BundleName, ...] = Field(default=(NAMES_ONLY,), strict=False)


class LogSettings(Part):
    """Where log lines go, beside standard error.

    Attributes:
      file: ``true`` writes ``logs/site.log`` in the home.
      file_megabytes: Size at which a file is set aside.
      files: How many of those are kept.
      syslog: ``/dev/log``, or ``host:port`` (UDP) of the hospital's own.
      stderr: ``json``, ``plain`` or ``none``.
    """

    file: bool = True
    file_megabytes: int = Field(default=FILE_BYTES // 1_000_000, ge=1, le=1000)
    files: int = Field(default=FILES, ge=1, le=1000)
    syslog: str = ""
    stderr: Literal["json", "plain", "none"] = "plain"


class StatusSettings(Part):
    """The health endpoint.

    Attributes:
      listen: ``127.0.0.1:port`` for a Prometheus on this machine; empty is the socket in the home.
    """

    listen: str = ""


class ServeSettings(Part):
    """All of ``serve.toml``.

    Attributes:
      flower: The SuperNode.
      logs: Log lines.
      status: The health endpoint.
    """

    flower: FlowerSettings = FlowerSettings()
    logs: LogSettings = LogSettings()
    status: StatusSettings = StatusSettings()


def load_settings(home: Path) -> ServeSettings:
    """Read a home's settings, and fill in what its enrolment left; without a file they are the usual ones.

    Args:
      home: The site's home folder.

    Raises:
      StudyInvalid: the file is not valid.
    """
    path = home / FILE
    found = (
        load_toml(path, ServeSettings, failure=StudyInvalid, what="serve.toml", do="see docs/operations.md")
        if path.exists()
        else ServeSettings()
    )
    return found.model_copy(update={"flower": _enrolled(home / "identity", found.flower)})


def node_socket(home: Path, chosen: Path | None = None) -> Path:
    """Return where a home's node listens."""
    return chosen or home / SOCKET


def status_address(home: Path, settings: ServeSettings) -> str:
    """Return where a home's health endpoint is."""
    return settings.status.listen or str(home / STATUS_SOCKET)


def destinations(home: Path, settings: LogSettings) -> Destinations:
    """Return where a home's log lines go."""
    return Destinations(
        file=home / LOGS / "site.log" if settings.file else None,
        file_bytes=settings.file_megabytes * 1_000_000,
        files=settings.files,
        syslog=settings.syslog,
        stderr="" if settings.stderr == "none" else settings.stderr,
    )


def _enrolled(identity: Path, flower: FlowerSettings) -> FlowerSettings:
    named = flower.superlink
    if not named and os.path.lexists(identity / COORDINATOR):
        named = (identity / COORDINATOR).read_text(encoding="utf-8", errors="replace").strip()
    if not named or flower.unsafe_insecure:
        return flower.model_copy(update={"superlink": named})
    return flower.model_copy(
        update={
            "superlink": named,
            "root_certificates": flower.root_certificates or str(identity / TLS_ROOT),
            "key": flower.key or str(identity / NODE_KEY),
        }
    )
