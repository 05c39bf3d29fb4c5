"""Sites of a simulation whose nodes run in other processes: Flower's simulation engine, which is Ray.

Ray copies a ClientApp into a worker process for every message; a copy of a site would be two sites, each
with half of the secrets. So the sites stay in the process that made them, and a copy is only a way back to
them: a Unix socket in a folder of mode 0700, with a key that is drawn for it.

A request is ``site number, step`` as JSON, a line break, and the payload; a reply is ``+`` and the answer,
or ``-`` and the code of a refusal.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import final

from fedvalue.errors import FedValueError, LedgerError, MessageInvalid, Refusal, SiteFault

BySite = Callable[[int, str, bytes], bytes]
"""``(site number, step, payload)``: the answer of one of the sites."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the sites are.

    Attributes:
      path: Of the socket.
      key: Lets a process in.
    """

    path: str
    key: bytes = field(repr=False)

    def answer(self, number: int, step: str, payload: bytes) -> bytes:
        """Ask a site in its own process.

        Raises:
          Refusal: of the kind that the site raised; its words stay there.
          SiteFault: the sites' process is gone.
        """
        head = json.dumps([number, step]).encode()
        try:
            with Client(self.path, family="AF_UNIX", authkey=self.key) as connection:
                connection.send_bytes(head + b"\n" + payload)
                reply = connection.recv_bytes()
        except (OSError, EOFError, AuthenticationError) as error:
            raise SiteFault("the process of the simulated sites does not answer") from error
        if reply[:1] == b"+":
            return reply[1:]
        code = reply[1:].decode()
        kind = next((kind for kind in _kinds(Refusal) if kind.code == code), SiteFault)
        raise kind("the site refuses", where=step, do="look at the log of the simulation's own process")


@final
class SitesService:
    """Answers the other processes of one simulation, as long as this object lives."""

    def __init__(self, answer: BySite) -> None:
        """Listen.

        Args:
          answer: Gives the answer of a site.
        """
        folder = tempfile.mkdtemp(prefix="fedvalue-sites-")  # mode 0700
        self.address = Address(f"{folder}/socket", secrets.token_bytes(32))
        listener = Listener(self.address.path, family="AF_UNIX", authkey=self.address.key)
        weakref.finalize(self, _end, listener, folder)
        threading.Thread(target=_serve, args=(listener, answer), daemon=True).start()


def _end(listener: Listener, folder: str) -> None:
    listener.close()
    shutil.rmtree(folder, ignore_errors=True)


def _serve(listener: Listener, answer: BySite) -> None:
    while True:
        try:
            connection = listener.accept()
        except (ConnectionError, EOFError, AuthenticationError):
            continue  # a stranger, or a process that ended while it asked
        except OSError:
            return  # closed
        threading.Thread(target=_one, args=(connection, answer), daemon=True).start()


def _one(connection: Connection, answer: BySite) -> None:
    with contextlib.suppress(OSError, EOFError), connection:
        connection.send_bytes(_reply(connection.recv_bytes(), answer))


def _reply(request: bytes, answer: BySite) -> bytes:
    head, _, payload = request.partition(b"\n")
    try:
        number, step = _head(head)
        return b"+" + answer(number, step, payload)
    except (Refusal, LedgerError) as error:
        return b"-" + error.code.encode()
    except Exception:
        return b"-" + SiteFault.code.encode()


def _head(head: bytes) -> tuple[int, str]:
    try:
        number, step = json.loads(head)
    except (ValueError, TypeError) as error:
        raise MessageInvalid("a request does not parse") from error
    if type(number) is not int or type(step) is not str:
        raise MessageInvalid("a request does not parse")
    return number, step


def _kinds(kind: type[FedValueError]) -> Iterator[type[FedValueError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)
