"""Ten thousand spoiled messages at four doors of a running federation.

Five site nodes are processes of their own, asked through their sockets; the coordinator's port for sessions
lets in one site that then sends what it likes; and a coordinator reads spoiled answers. No node may end, no
ledger may be charged, nothing may be answered but by a code, and afterwards a genuine study must end in
evidence that verifies.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import RecordDict

from fedvalue.client.relay import relayed
from fedvalue.client.sessions import make_certificate
from fedvalue.evidence import statements
from fedvalue.protos.v1 import session_pb2 as pb
from fedvalue.server.grids.pins import Pins
from fedvalue.server.grids.session_server import SessionServer
from fedvalue.server.grids.streamed import SessionGrid
from fedvalue.server.provisioning import tls
from fedvalue.study.file import digest
from fedvalue.study.roster import Roster, Site
from fedvalue.study.signature import public_hex, sign
from proofs import fuzz
from proofs.harness import Found, Report
from proofs.kill_matrix import Federation, Killing, federation, killed

TITLE = "Spoiled messages"
PAGE = "docs/evidence/intruders.md"
SOURCES = (
    "client/fedvalue/client",
    "server/fedvalue/server/grids",
    "strategies/fedvalue/strategies/secure_aggregation",
    "proofs/fuzz.py",
)
SEED = 20261122
NODE, SOCKET, PORT, COORDINATOR = 4000, 2000, 2000, 2000
"""Messages at each door."""


def nodes() -> Found:
    """Messages of every kind to five running nodes, and then raw bytes to their sockets."""
    rng = random.Random(SEED)  # noqa: S311 (which bit is flipped, nothing secret)
    with federation() as found:
        study = found.approved("fuzzed")
        words = (digest(study), "0" * 64, "ab" * 16, "s01", "s02", *(e[:32] for e in (digest(study),)))
        before = {site: _running(node) for site, node in found.nodes.items()}
        said, raw, broken = Counter[str](), Counter[str](), list[str]()
        share = NODE // len(found.nodes), SOCKET // len(found.nodes)
        for node in found.nodes.values():
            socket = node.home.socket_file

            def answer(kind: str, content: RecordDict, socket: Path = socket) -> RecordDict:
                return relayed(socket, kind, content)

            said += fuzz.at_node(answer, rng, words, share[0])
            raw += fuzz.at_socket(f"unix:{socket}", rng, words, share[1])
        if said["site_fault"] or said["site_unreachable"]:
            broken.append(f"nodes met faults that nobody meant: {dict(said)}")
        broken += [
            f"the node of {site} ended"
            for site, node in found.nodes.items()
            if _running(node) != before[site]
        ]
        broken += _charged(found)
        row = killed(found, Killing((), "none", "none", 0.0), "after-the-fuzz")
        broken += [str(each) for each in list(row["broken"])]  # type: ignore[call-overload]  # a list of sentences
        return {"doors": {"a node": dict(said), "a node's socket": dict(raw)}, "broken": broken}


def streams() -> Found:
    """Spoiled streams at the port for sessions, and spoiled answers at a coordinator."""
    rng = random.Random(SEED + 1)  # noqa: S311 (which bit is flipped, nothing secret)
    key, now, study = Ed25519PrivateKey.generate(), datetime.now(UTC), "ab" * 32
    roster = Roster(
        site=tuple(
            Site(id=s, entity=s, operator=s, public_key=public_hex(k), officer_key=public_hex(k))
            for s, k in (("s01", key), *((f"s0{n}", Ed25519PrivateKey.generate()) for n in (2, 3)))
        )
    )

    def hello(nonce: bytes) -> pb.Hello:
        said = statements.session(nonce=nonce.hex(), study_hash=study, site="s01")
        signed = sign(said, key, "site").model_dump_json()
        return pb.Hello(site="s01", study_hash=study, signature=signed)

    with tempfile.TemporaryDirectory(prefix="fv-fuzz-") as name:
        folder = Path(name)
        tls.make_root(folder, "fuzz", now)
        tls.make_server(folder, ("localhost",), now)
        pins, (private, certificate) = Pins.of(folder), make_certificate("s01", now)
        pins.pin("s01", certificate)
        root = (folder / tls.ROOT).read_bytes()
        with (
            SessionServer("127.0.0.1:0", pins.credentials(), peer=pins.require) as server,
            SessionGrid(server, study, roster) as grid,
        ):
            credentials = grpc.ssl_channel_credentials(root, private, certificate)
            words = (study, "s01", "s02", "0" * 64)
            ended = fuzz.at_port(f"localhost:{server.port}", credentials, hello, rng, words, PORT)
            read = fuzz.at_coordinator(grid, grid.session("s02"), 3, rng, COORDINATOR)
    strange = set(read) - {"no_answer", "reply_invalid", "StepReply", "Refused"}
    broken = [f"a coordinator read {sorted(strange)}"] if strange else []
    return {"doors": {"the port for sessions": dict(ended), "a coordinator": dict(read)}, "broken": broken}


STEPS: Mapping[str, Callable[[], Found]] = {"nodes": nodes, "streams": streams}


def report(found: Mapping[str, Found]) -> Report:
    """Write the table."""
    lines = [
        (
            f"Seed {SEED}. {NODE + SOCKET + PORT + COORDINATOR:,} messages, made from genuine ones by "
            "cutting, flipping, repeating and swapping. For the port the numbers are connections, each of up "
            "to eleven messages."
        ),
        "",
        "| door | what came of them |",
        "|---|---|",
    ]
    broken: list[str] = []
    for each in found.values():
        for door, said in each["doors"].items():
            words = ", ".join(f"{code} {count}" for code, count in sorted(said.items(), key=lambda i: -i[1]))
            lines.append(f"| {door} | {words} |")
        broken += each["broken"]
    if not broken:
        lines += [
            "",
            "No node ended, no ledger was charged, and a genuine study afterwards ended in evidence.",
        ]
    return Report("\n".join(lines) + "\n", tuple(broken), (f"seed {SEED}",))


def _running(node: object) -> int | None:
    process = getattr(node, "process", None)
    return process.pid if process is not None and process.poll() is None else None


def _charged(found: Federation) -> list[str]:
    charged = []
    for site, node in found.nodes.items():
        with node.home.ledger() as ledger:
            if any(entry.kind == "debit" for entry in ledger.entries()):
                charged.append(f"the ledger of {site} was charged")
    return charged
