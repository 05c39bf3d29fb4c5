"""The coordinator's port for streaming rounds, open for one study; without one, Flower's own grid."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flwr.serverapp import Grid

from fedvalue.errors import FederationError, OutputError
from fedvalue.operations.logs import event
from fedvalue.server.grids.invitation import Study
from fedvalue.server.grids.invited import InvitedGrid, invited
from fedvalue.server.grids.pins import Pins
from fedvalue.server.grids.session_server import SessionServer
from fedvalue.server.ports import Ports
from fedvalue.server.provisioning.office import TLS

LOG = logging.getLogger("fedvalue.sessions")

GRACE_SECONDS = 2.0
"""How long sites get to hear that a study is over."""


def open_port(ports: Ports, pins: Pins, sites: int) -> SessionServer:
    """Listen on the first port that is free.

    Args:
      ports: Where.
      pins: Whom the port lets in.
      sites: How many sites may come.

    Raises:
      OutputError: none is free.
    """
    for address in ports.addresses():
        try:
            return SessionServer(address, pins.credentials(), sites=sites, peer=pins.require)
        except OutputError:
            continue
    raise OutputError(
        "every port for sessions is taken", where=f"{ports.host}:{ports.first}-{ports.last}",
        do="give more ports, or wait for another study to end",
    )  # fmt: skip


@contextmanager
def streaming(
    flower: Grid, study: Study, ports: str, office: Path | None, told: Callable[[str, int, int], None]
) -> Iterator[Grid]:
    """Give a grid whose sites may dial in; Flower's own where no port is given or free.

    Args:
      flower: Flower's own grid.
      study: What is streamed.
      ports: As `Ports.parse` reads it; empty for none.
      office: Folder of `fedvalue federation init`, for its TLS.
      told: Progress, in words.

    Raises:
      FederationError: the ports cannot be read, or no office is given for them.
      CertificateInvalid: the office's certificate cannot be read.
    """
    if not ports:
        yield flower
        return
    if office is None:
        raise FederationError(
            "a port for sessions needs the coordinator's certificate", where="sessions",
            do="give the folder of `fedvalue federation init` as --federation",
        )  # fmt: skip
    pins = Pins.of(office / TLS)
    try:
        server = open_port(Ports.parse(ports), pins, len(study.roster.site))
    except OutputError as error:
        # a study is not worth losing for its speed
        event(LOG, "sessions unavailable", level=logging.WARNING, reason=error.code)
        told(f"{error.what}: rounds go over Flower's own grid", 0, 0)
        yield flower
        return
    try:
        told(f"sites may dial in on port {server.port}", 0, 0)
        with invited(flower, server, pins, study) as grid:
            yield grid
            _note(grid)
    finally:
        server.stop(GRACE_SECONDS)


def _note(grid: InvitedGrid) -> None:
    sites = grid.sessions.site_ids().values()
    event(LOG, "sessions ended", sites=sum(1 for site in sites if grid.sessions.joined(site)))
