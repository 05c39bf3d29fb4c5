"""Spoiled messages at four doors: each is refused or dropped, and whoever comes next is answered.

A few hundred here; ``make prove KEY=intruders`` sends ten thousand.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedvalue.client.node import SiteNode
from fedvalue.client.relay import relayed, serving
from fedvalue.evidence import statements
from fedvalue.protos.v1 import session_pb2 as pb
from fedvalue.server.asking import ask
from fedvalue.server.grids.streamed import SessionGrid
from fedvalue.strategies.secure_aggregation.messages import (
    STEP,
    Refused,
    StepReply,
    StepRequest,
    Wire,
)
from fedvalue.study.signature import sign
from proofs import fuzz
from tests.agreement import key
from tests.federation import make_home, noon
from tests.session_desk import STUDY, port, running
from tests.unit.server.grids.test_streamed import echo, joined

SEED = 20261122
WORDS = (STUDY, "cd" * 32, "s01", "s02", "0" * 32, "ab" * 16, "x25519-aes256-1")


@pytest.fixture
def node() -> Iterator[SiteNode]:
    with tempfile.TemporaryDirectory(prefix="fv-") as short:  # a socket's path has 100 bytes
        home = make_home(Path(short), "s01", patients=3)
        with SiteNode(home.folder, noon) as found:
            yield found


def test_a_node_refuses_spoiled_questions_by_code_with_one_line_each_and_no_debit(node: SiteNode) -> None:
    said = fuzz.at_node(node.answer, random.Random(SEED), WORDS, 250)
    assert sum(said.values()) == 250
    assert "site_fault" not in said, said  # each refusal is meant
    home = node._home()
    lines = home.audit_file.read_text(encoding="utf-8").splitlines()
    assert sum('"refused"' in line or '"answered"' in line for line in lines) == 250
    with home.ledger() as ledger:
        assert [entry for entry in ledger.entries() if entry.kind == "debit"] == []


def test_a_nodes_socket_outlives_spoiled_bytes(node: SiteNode) -> None:
    socket = node._home().socket_file
    server = serving(node.answer, socket)
    fuzz.at_socket(f"unix:{socket}", random.Random(SEED), WORDS, 100)
    asked = Wire.pack(StepRequest("keys", b""))
    assert isinstance(Wire.reply(relayed(socket, STEP, asked)), Refused)
    server.stop(0).wait()


def test_the_port_for_sessions_outlives_spoiled_streams_of_a_site_that_may_come() -> None:
    with port() as at, SessionGrid(at.server, STUDY, at.roster) as grid:
        site = at.roster.site[0].id

        def hello(nonce: bytes) -> pb.Hello:
            said = statements.session(nonce=nonce.hex(), study_hash=STUDY, site=site)
            signed = sign(said, key(f"site {site}"), "site").model_dump_json()
            return pb.Hello(site=site, study_hash=STUDY, signature=signed)

        credentials = at.authority.client(site)
        ended = fuzz.at_port(at.address, credentials, hello, random.Random(SEED), WORDS, 100)
        assert sum(ended.values()) > 5
        with running(at.site(site, echo)):
            joined(grid, 1)
            assert dict(ask(grid, STEP, {2: StepRequest("x", b"y")}, timeout=10.0)) == {2: StepReply(b"xy")}


def test_a_coordinator_reads_spoiled_answers_as_none() -> None:
    with port() as at, SessionGrid(at.server, STUDY, at.roster) as grid:
        session = grid.session(at.roster.site[0].id)
        read = fuzz.at_coordinator(grid, session, 2, random.Random(SEED), 200)
    assert set(read) <= {"no_answer", "reply_invalid", "StepReply", "Refused"}
    assert sum(read.values()) == 200
