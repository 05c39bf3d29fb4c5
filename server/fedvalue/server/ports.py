"""Where sites may dial in, as the coordinator's people write it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fedvalue.errors import FederationError

ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\s]+):(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?")
MOST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Ports:
    """Where sites may dial in: each study of a coordinator takes a port of its own while it runs.

    Attributes:
      host: Address to listen on.
      first: First port.
      last: Last port.
    """

    host: str
    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> Ports:
        """Read ``host:port`` or ``host:first-last``.

        Raises:
          FederationError: it is neither.
        """
        found = ADDRESS.fullmatch(text)
        first = int(found["first"]) if found else 0
        last = int(found["last"] or first) if found else 0
        if found is None or not 1 <= first <= last <= MOST_PORT:
            raise FederationError(
                f"{text!r} is no address for sessions", where="sessions", do="give 0.0.0.0:9093-9096, say"
            )
        return cls(found["host"], first, last)

    def addresses(self) -> tuple[str, ...]:
        """Return ``host:port`` for each port, in order."""
        return tuple(f"{self.host}:{port}" for port in range(self.first, self.last + 1))
