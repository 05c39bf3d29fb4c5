"""Nodes of Flower that are asked to dial in: who does streams, who does not is reached as before."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from flwr.app import Message, RecordDict

from fedvalue.client.app import make_app
from fedvalue.client.node import SiteNode
from fedvalue.client.places import COORDINATOR, TLS_ROOT
from fedvalue.client.sessions import Invitation, Sessions, Streaming, make_certificate
from fedvalue.errors import (
    CertificateInvalid,
    FederationError,
    SessionUnavailable,
    SiteNameDiffers,
)
from fedvalue.evidence import statements
from fedvalue.evidence.chain import verify_chain
from fedvalue.evidence.package import EvidencePackage
from fedvalue.planning.concluding import quiet
from fedvalue.planning.plan import make_plan
from fedvalue.protos.v1 import session_pb2 as pb
from fedvalue.protos.v1 import session_pb2_grpc as rpc
from fedvalue.server.asking import ask
from fedvalue.server.coordinator import Coordinator
from fedvalue.server.enrolment import Progress
from fedvalue.server.grids.invitation import Study, everybody
from fedvalue.server.grids.invited import InvitedGrid, Patience
from fedvalue.server.grids.local import LocalGrid, LocalNode
from fedvalue.server.grids.pins import Pins, canonical
from fedvalue.server.grids.session_server import SessionServer
from fedvalue.server.ports import Ports
from fedvalue.server.provisioning import tls
from fedvalue.server.streaming import streaming
from fedvalue.strategies.secure_aggregation.messages import (
    SESSION,
    STEP,
    Refused,
    SessionReply,
    SessionRequest,
    StepReply,
    StepRequest,
    Wire,
)
from fedvalue.study.file import digest
from fedvalue.study.schema import Study as StudyFile
from fedvalue.study.signature import sign
from tests.agreement import SMALL, key, roster, study
from tests.federation import FIVE, Hospitals, make_hospitals, noon

STUDY, ROSTER = "ab" * 32, "cd" * 32
DAY = timedelta(days=1)
RULES = ("min_sites = 3", "min_sites = 5"), ("dropouts = 0", "dropouts = 1")
OTHER, THIRD = (study(*RULES, ('id = "small"', f'id = "{name}"'), text=SMALL) for name in ("other", "third"))
QUICK = Patience(answer=5.0, join=5.0, lost=0.2, again=2.0, look=0.05)

Answer = Callable[[str, RecordDict], RecordDict]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The coordinator's folder, as far as TLS goes."""
    folder, now = tmp_path_factory.mktemp("office"), datetime.now(UTC)
    tls.make_root(folder / "tls", "test", now)
    tls.make_server(folder / "tls", ("localhost", "127.0.0.1"), now)
    return folder


@dataclass(slots=True)
class Site:
    """A site without records: it dials in, and echoes.

    Attributes:
      name: Site id.
      sessions: Its sessions.
      signer: Whose key signs its certificate.
      asked: Steps that it was asked, with the way that they came.
    """

    name: str
    sessions: Sessions
    signer: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)

    def way(self, name: str) -> Answer:
        """Return how it answers what comes one way."""

        def answer(kind: str, content: RecordDict) -> RecordDict:
            request = Wire.request(kind, content)
            if isinstance(request, SessionRequest):
                try:
                    return Wire.pack(self.joins(request))
                except SessionUnavailable as error:
                    return Wire.pack(Refused(error.code))
            assert isinstance(request, StepRequest)
            self.asked.append((request.step, name))
            return Wire.pack(StepReply(request.step.encode() + request.payload))

        return answer

    def joins(self, request: SessionRequest) -> SessionReply:
        """Dial in."""
        asked = Invitation(request.study_hash, request.session, request.port)
        signer = key(f"site {self.signer or self.name}")
        certificate = self.sessions.begin(
            self.name, asked, self.way("stream"), lambda said: sign(said, key(f"site {self.name}"), "site")
        )
        said = statements.session_certificate(
            nonce=request.nonce, study_hash=request.study_hash, roster_hash=request.roster_hash,
            site=self.name, certificate=certificate,
        )  # fmt: skip
        return SessionReply(self.name, certificate, sign(said, signer, "site").model_dump_json())


@dataclass(slots=True)
class Town:
    """Three sites behind Flower's grid, and a coordinator's port."""

    sites: list[Site]
    grid: InvitedGrid
    pins: Pins
    server: SessionServer

    def settled(self, count: int, seconds: float = 15.0) -> list[int]:
        until = time.monotonic() + seconds
        while len(nodes := self.grid.get_node_ids()) < count:
            assert time.monotonic() < until, "the sites do not join"
            time.sleep(0.02)
        return nodes

    def ask(self, step: str, *nodes: int, timeout: float = 15.0) -> dict[int, object]:
        return dict(ask(self.grid, STEP, {node: StepRequest(step, b"") for node in nodes}, timeout=timeout))


@contextmanager
def town(
    office: Path,
    *,
    dialing: tuple[bool, ...] = (True, True, True),
    stands: Callable[[str], bool] = everybody,
    patience: Patience = QUICK,
) -> Iterator[Town]:
    at, root = roster(3), (office / "tls" / tls.ROOT).read_bytes()
    sites = [
        Site(site.id, Sessions(Streaming("localhost", root) if dials else None))
        for site, dials in zip(at.site, dialing, strict=True)
    ]
    by_name = {site.name: site for site in sites}
    app = make_app(lambda context: by_name[str(context.node_config["site"])].way("flower"))
    flower = LocalGrid({n: LocalNode(app, {"site": s.name}) for n, s in enumerate(sites, start=7)})
    pins = Pins.of(office / "tls")
    with ExitStack() as stack:
        server = stack.enter_context(SessionServer("127.0.0.1:0", pins.credentials(), peer=pins.require))
        for site in sites:
            stack.callback(site.sessions.close)
        grid = InvitedGrid(flower, server, pins, Study(STUDY, ROSTER, at, stands), patience=patience)
        stack.callback(grid.close)
        yield Town(sites, grid, pins, server)


def test_one_message_goes_over_flowers_grid_and_every_round_over_the_streams(office: Path) -> None:
    with town(office) as at:
        nodes = at.settled(3)
        assert nodes == [7, 8, 9]  # Flower's own ids
        assert at.ask("a", *nodes) == dict.fromkeys(nodes, StepReply(b"a"))
        assert [site.asked for site in at.sites] == [[("a", "stream")]] * 3


def test_a_site_that_does_not_dial_in_is_reached_over_flowers_grid_in_the_same_round(office: Path) -> None:
    with town(office, dialing=(True, False, True)) as at:
        nodes = at.settled(3)
        assert at.ask("a", *nodes) == dict.fromkeys(nodes, StepReply(b"a"))
        assert [site.asked[0][1] for site in at.sites] == ["stream", "flower", "stream"]
        replies = at.grid.send_and_receive(
            [Message(Wire.pack(StepRequest("b", b"")), node, STEP) for node in nodes], timeout=10
        )
        assert [reply.metadata.src_node_id for reply in replies] == nodes


def test_who_declines_at_once_is_not_counted_before_those_who_are_about_to_join(office: Path) -> None:
    with town(office, dialing=(False, True, True)) as at:
        seen = [at.grid.get_node_ids()]
        while seen[-1] != [7, 8, 9]:
            assert len(seen) < 1000, "the sites do not join"
            time.sleep(0.01)
            seen.append(at.grid.get_node_ids())
        assert all(7 not in nodes for nodes in seen[:-1])


def test_a_certificate_that_another_has_signed_and_a_site_that_was_revoked_are_not_let_in(
    office: Path,
) -> None:
    with town(office, stands=lambda site: site != "s03") as at:
        at.sites[0].signer = "s02"
        nodes = at.settled(3)
        assert at.ask("a", *nodes) == dict.fromkeys(nodes, StepReply(b"a"))
        assert [site.asked[0][1] for site in at.sites] == ["flower", "stream", "flower"]


def test_a_node_that_shows_itself_as_a_site_that_is_there_already_is_not_let_in(office: Path) -> None:
    with town(office) as at:
        at.sites[1].name = at.sites[0].name  # the same key on two machines
        nodes = at.settled(3)
        at.ask("a", *nodes)
        assert sorted(site.asked[0][1] for site in at.sites) == ["flower", "stream", "stream"]


def test_a_site_that_was_started_again_is_asked_again_and_streams_on(office: Path) -> None:
    with town(office) as at:
        nodes = at.settled(3)
        first, root = at.sites[0], (office / "tls" / tls.ROOT).read_bytes()
        first.sessions.close()  # its process is gone
        first.sessions = Sessions(Streaming("localhost", root))
        assert at.ask("a", *nodes) == dict.fromkeys(nodes, StepReply(b"a"))
        assert first.asked == [("a", "stream")]
        first.sessions.close()


def test_a_session_of_the_same_name_goes_on_with_what_it_keeps_and_another_begins_anew(office: Path) -> None:
    with town(office) as at:
        at.settled(3)
        site = at.sites[0]
        before = site.sessions._running[STUDY].session
        asked = Invitation(STUDY, site.sessions._running[STUDY].name, at.server.port)

        def begin(invitation: Invitation) -> str:
            return site.sessions.begin(
                site.name, invitation, site.way("stream"), lambda said: sign(said, key("site s01"), "site")
            )

        assert begin(asked) != begin(asked)
        assert site.sessions._running[STUDY].session is before
        begin(Invitation(STUDY, "0" * 32, at.server.port))
        assert site.sessions._running[STUDY].session is not before


def test_a_site_that_stays_away_gives_no_answer_and_holds_nobody_up(office: Path) -> None:
    with town(office, patience=Patience(answer=5.0, join=5.0, lost=60.0)) as at:
        nodes = at.settled(3)
        at.grid.sessions._patience = 0.5
        at.sites[2].sessions.close()
        began = time.monotonic()
        found = at.ask("a", *nodes, timeout=30.0)
        assert found == {7: StepReply(b"a"), 8: StepReply(b"a"), 9: Refused("no_answer")}
        assert time.monotonic() - began < 10


# ---- intruders ------------------------------------------------------------------------------------


def dialed(at: Town, office: Path, certificate: tuple[bytes, bytes], site: str, signer: str) -> object:
    """Dial with a certificate, say who one is, and return what comes after the challenge."""
    root = (office / "tls" / tls.ROOT).read_bytes()
    said: list[pb.FromSite] = []
    ready = threading.Event()

    def outgoing() -> Iterator[pb.FromSite]:
        ready.wait(5)
        yield from said

    with grpc.secure_channel(
        f"localhost:{at.server.port}", grpc.ssl_channel_credentials(root, *certificate),
        options=[("grpc.use_local_subchannel_pool", 1)],
    ) as channel:  # fmt: skip
        call = rpc.SessionsStub(channel).Join(outgoing(), timeout=5)
        try:
            nonce = next(iter(call)).challenge.nonce
            statement = statements.session(nonce=nonce.hex(), study_hash=STUDY, site=site)
            signed = sign(statement, key(f"site {signer}"), "site").model_dump_json()
            said.append(pb.FromSite(hello=pb.Hello(site=site, study_hash=STUDY, signature=signed)))
            ready.set()
            return next(iter(call)).WhichOneof("said")
        except grpc.RpcError as error:
            return error.code()
        finally:
            ready.set()
            call.cancel()  # type: ignore[no-untyped-call]  # gRPC leaves it untyped


def test_who_is_not_pinned_does_not_get_past_the_handshake_nor_a_pinned_one_into_anothers_session(
    office: Path,
) -> None:
    refused, outside = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE
    with town(office, dialing=(False, False, False)) as at:
        at.settled(3)
        own, now = make_certificate("s01", datetime.now(UTC)), datetime.now(UTC)
        assert dialed(at, office, own, "s01", "s01") == outside
        at.pins.pin("s01", own[1])
        assert dialed(at, office, own, "s02", "s02") == refused  # right certificate, wrong name
        assert dialed(at, office, own, "s01", "s02") == refused  # and without the site's own key
        assert dialed(at, office, own, "s01", "s01") == "welcome"
        minted = office / "minted"
        minted.mkdir(exist_ok=True)
        for name in (tls.ROOT, tls.ROOT_KEY):
            (minted / name).write_bytes((office / "tls" / name).read_bytes())
        tls.make_server(minted, ("s01",), now)  # of the coordinator's own root, in the site's name
        coordinators = (minted / tls.SERVER_KEY).read_bytes(), (minted / tls.SERVER).read_bytes()
        assert dialed(at, office, coordinators, "s01", "s01") == outside
        at.pins.drop("s01")
        assert dialed(at, office, own, "s01", "s01") == outside


def test_only_the_certificate_of_a_session_is_pinned(office: Path) -> None:
    pins, own = Pins.of(office / "tls"), make_certificate("s01", datetime.now(UTC))[1]
    assert canonical(own, where="s01") == own
    for wrong in (
        other_kind(ec.SECP256K1()),  # TLS here cannot read it, and would let nobody in any more
        other_kind(ec.SECP384R1()),
        b"",
        b"junk",
        own + own,
        (office / "tls" / tls.ROOT).read_bytes(),
        own * 20,
    ):
        with pytest.raises(CertificateInvalid):
            pins.pin("s01", wrong)
    pins.pin("s01", own)
    pins.require({"x509_pem_cert": [own]}, "s01")
    for shown in ({}, {"x509_pem_cert": [make_certificate("s01", datetime.now(UTC))[1]]}):
        with pytest.raises((SiteNameDiffers, CertificateInvalid)):
            pins.require(shown, "s01")
    with pytest.raises(CertificateInvalid, match="federation init"):
        Pins.of(office / "nowhere")


def other_kind(curve: ec.EllipticCurve) -> bytes:
    """A self-signed certificate on another curve than a session's."""
    made, name = ec.generate_private_key(curve), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "s01")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(name, name, made.public_key(), x509.random_serial_number(), now, now + DAY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(made, SHA256())
    )
    return built.public_bytes(Encoding.PEM)


# ---- where a site dials, and where a coordinator listens --------------------------------------------


def test_a_site_dials_the_host_of_its_token_or_of_its_own_people_and_else_nobody(tmp_path: Path) -> None:
    assert Streaming.of(tmp_path) is None
    (tmp_path / COORDINATOR).write_text("coordinator.example:9092\n")
    assert Streaming.of(tmp_path) is None  # no root to believe it by
    (tmp_path / TLS_ROOT).write_bytes(b"root")
    told = Streaming.of(tmp_path)
    assert told is not None
    assert told.address(9093) == "coordinator.example:9093"
    gate = Streaming.of(tmp_path, "gate.example:443", "http://proxy:8080")
    assert gate is not None
    assert (gate.address(9093), gate.proxy) == ("gate.example:443", "http://proxy:8080")
    assert Streaming.of(tmp_path, "none") is None
    (tmp_path / COORDINATOR).write_text("[2001:db8::1]:9092\n")
    six = Streaming.of(tmp_path)
    assert six is not None
    assert six.address(9093) == "[2001:db8::1]:9093"


def test_ports_are_one_or_a_row_of_them() -> None:
    assert Ports.parse("0.0.0.0:9093").addresses() == ("0.0.0.0:9093",)
    assert Ports.parse("[::1]:9093-9095").addresses() == ("[::1]:9093", "[::1]:9094", "[::1]:9095")
    for wrong in ("", "9093", "host:0", "host:9095-9093", "host:70000", "a b:9093"):
        with pytest.raises(FederationError, match="no address"):
            Ports.parse(wrong)


def test_without_a_port_or_where_all_are_taken_a_study_runs_over_flowers_own_grid(office: Path) -> None:
    flower, told = LocalGrid({}), list[str]()
    study = Study(STUDY, ROSTER, roster(3))

    def tell(text: str, done: int, total: int) -> None:
        told.append(text)

    with streaming(flower, study, "", None, tell) as grid:
        assert grid is flower
    with pytest.raises(FederationError, match="certificate"), streaming(flower, study, "h:1", None, tell):
        pass
    with streaming(flower, study, "127.0.0.1:39871-39872", office, tell) as first:
        assert isinstance(first, InvitedGrid)
        with streaming(flower, study, "127.0.0.1:39871", office, tell) as second:
            assert second is flower
    assert "Flower's own grid" in told[-1]


# ---- whole studies --------------------------------------------------------------------------------


@dataclass(slots=True)
class Nodes:
    """Five hospitals' site nodes, of which the last dials nowhere."""

    hospitals: Hospitals
    nodes: dict[str, SiteNode]
    office: Path
    over_flower: list[str] = field(default_factory=list)

    def run(self, study: StudyFile, progress: Progress = quiet) -> EvidencePackage:
        """Run a study as a ServerApp does."""
        signed = sign(statements.study_statement(digest(study)), key("author"), "study")
        coordinator = Coordinator(
            study=study, roster=self.hospitals.roster, key=key("coordinator"), study_signatures=(signed,),
            simulation=True, wait_seconds=20.0, step_seconds=30.0, clock=noon, progress=progress,
        )  # fmt: skip
        plan = make_plan(study, self.hospitals.roster)
        app = make_app(lambda context: self.through(str(context.node_config["site"])))
        flower = LocalGrid({n: LocalNode(app, {"site": s}) for n, s in enumerate(self.nodes, start=2)})
        streamed = Study(plan.study_hash, plan.roster_hash, self.hospitals.roster)
        with streaming(flower, streamed, "127.0.0.1:39881-39889", self.office, lambda *_: None) as grid:
            return coordinator.run(grid)

    def through(self, name: str) -> Answer:
        def answer(kind: str, content: RecordDict) -> RecordDict:
            self.over_flower.append(f"{name} {kind}")
            return self.nodes[name].answer(kind, content)

        return answer


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, office: Path) -> Iterator[Nodes]:
    hospitals = make_hospitals(tmp_path_factory.mktemp("invited") / "homes", clear_sum=False)
    for other in (OTHER, THIRD):
        replace(hospitals, study=other).approve()
    root = (office / "tls" / tls.ROOT).read_bytes()
    with ExitStack() as stack:
        found = {}
        for site in hospitals.roster.site:
            way = None if site.id == "s05" else Streaming("localhost", root)
            found[site.id] = stack.enter_context(SiteNode(hospitals.folder / site.id, noon, streaming=way))
        yield Nodes(hospitals, found, office)


def test_a_study_whose_sites_dial_in_ends_in_evidence_whose_every_link_holds(nodes: Nodes) -> None:
    evidence = nodes.run(FIVE)
    verify_chain(evidence, study=FIVE)
    assert len(evidence.releases[0].answered) == 5
    assert sorted(each for each in nodes.over_flower if each.split()[0] != "s05") == [
        f"s0{n} {SESSION}" for n in range(1, 5)
    ]
    assert f"s05 {STEP}" in nodes.over_flower
    lines = (nodes.hospitals.folder / "s01" / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [line for line in map(json.loads, lines) if line["event"] == "answered"]
    assert {line["message"] for line in asked} >= {SESSION, "query.enrol", f"{STEP} keys", f"{STEP} masked"}
    assert {line["study"] for line in asked} == {digest(FIVE)}  # each line names its study


def test_a_second_study_finishes_while_the_first_still_runs(nodes: Nodes) -> None:
    begun, may_end, first = threading.Event(), threading.Event(), list[EvidencePackage]()

    def hold(text: str, done: int, total: int) -> None:
        if text.startswith("opening"):
            begun.set()
            assert may_end.wait(30)

    runs = threading.Thread(target=lambda: first.append(nodes.run(THIRD, hold)), daemon=True)
    runs.start()
    assert begun.wait(30)
    verify_chain(nodes.run(OTHER), study=OTHER)
    assert not first
    may_end.set()
    runs.join(30)
    verify_chain(first[0], study=THIRD)
    assert len(first[0].releases[0].answered) == 5
