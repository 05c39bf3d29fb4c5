"""Sites that stream with a coordinator on this machine, for the rows about transport."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import RecordDict

from benchmarks.certificates import Authority
from fedvalue.client.session import Answer, Dialing, SiteSession
from fedvalue.server.grids.session_server import SessionServer
from fedvalue.server.grids.streamed import SessionGrid
from fedvalue.strategies.secure_aggregation.messages import StepReply, StepRequest, Wire
from fedvalue.study.roster import Roster, Site
from fedvalue.study.signature import public_hex, sign

STUDY = "ab" * 32
JOIN_SECONDS = 30.0


def echo(message_type: str, content: RecordDict) -> RecordDict:
    """Answer a step with nothing: a round that does no work."""
    request = Wire.request(message_type, content)
    if not isinstance(request, StepRequest):
        raise TypeError("a step is asked here")
    return Wire.pack(StepReply(b""))


@contextmanager
def streaming(
    answers: dict[str, Answer], keys: dict[str, Ed25519PrivateKey] | None = None
) -> Iterator[SessionGrid]:
    """Run a session for each site, and give the grid once all have joined.

    Args:
      answers: What each site says, by site id.
      keys: The sites' keys; None makes them.

    Raises:
      RuntimeError: the sites do not join.
    """
    signing = keys or {site: Ed25519PrivateKey.generate() for site in answers}
    publics = {site: public_hex(key) for site, key in signing.items()}
    roster = Roster(
        site=tuple(
            Site(id=s, entity=s, operator=s, public_key=publics[s], officer_key=publics[s]) for s in answers
        )
    )
    authority = Authority.make()
    with (
        SessionServer("127.0.0.1:0", authority.server()) as server,
        SessionGrid(server, STUDY, roster) as grid,
    ):
        dialing = Dialing(f"localhost:{server.port}", authority.client("site"))
        sessions = [
            SiteSession(site, STUDY, dialing, answer, _signer(signing[site]))
            for site, answer in answers.items()
        ]
        threads = [threading.Thread(target=session.run, daemon=True) for session in sessions]
        for thread in threads:
            thread.start()
        until = time.monotonic() + JOIN_SECONDS
        while len(grid.get_node_ids()) < len(answers):
            if time.monotonic() > until:
                raise RuntimeError("the sites do not join")
            time.sleep(0.005)
        try:
            yield grid
        finally:
            for session in sessions:
                session.stop()


def _signer(key: Ed25519PrivateKey):  # type: ignore[no-untyped-def]  # a Sign, which only the session needs to name
    return lambda said: sign(said, key, "site")
