"""A coordinator alone in its process: ``python -m benchmarks.coordinator_process ADDRESS DIMENSION KEYS``.

It opens one private sum over sites in the process at the other end of a Unix socket and prints, as JSON,
the most memory it ever held, in MiB, and the hash of the sum.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Client, Connection

from benchmarks.memory import peak_mib
from benchmarks.private_sums import agreed_by
from fedvalue.strategies.secure_aggregation.messages import Refused
from fedvalue.strategies.secure_aggregation.private_sum.rounds import PrivateRounds


def main(address: str, dimension: int, publics: list[bytes]) -> None:
    """Open one sum and report."""
    with Client(address, family="AF_UNIX") as sites:

        def exchange(step: str, requests: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | Refused]]:
            for name, payload in requests.items():
                yield name, asked(sites, step, name, payload)

        found = PrivateRounds(agreed_by(publics, dimension), exchange, 1).attempt("release-1", 1)
        sites.send_bytes(b"")
    if found.total is None:
        raise RuntimeError(f"the private sum failed: {found.failure}")
    peak = peak_mib()
    digest = hashlib.sha256(found.total.astype("<i8").tobytes()).hexdigest()
    sys.stdout.write(json.dumps({"mib": peak, "sum": digest, "survivors": len(found.survivors)}))


def asked(sites: Connection, step: str, name: str, payload: bytes) -> bytes | Refused:
    """Ask one site: three byte strings there, a flag and a reply back."""
    for part in (step.encode(), name.encode(), payload):
        sites.send_bytes(part)
    refused = sites.recv_bytes() == b"refused"
    reply = sites.recv_bytes()
    return Refused(reply.decode()) if refused else reply


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), [bytes.fromhex(key) for key in sys.argv[3].split(",")])
