"""Hospitals whose site nodes are real processes, killed with SIGKILL at one step of the private sum.

Five hospitals, one of which may fail; each has a home, records, a ledger and a node started with ``fedvalue
site serve``. The coordinator runs in this process over ClientApps that relay to the nodes' sockets, so that
every message passes a hook, which kills the victim at the wanted moment and starts it again.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Context, Message, RecordDict

from fedvalue.client.governance.approvals import approve
from fedvalue.client.governance.policy import Budget, Policy
from fedvalue.client.home import SiteHome
from fedvalue.client.loading import load_records
from fedvalue.client.records.mapping import load_mapping
from fedvalue.client.relay import relayed
from fedvalue.errors import FedValueError, TooFewSites
from fedvalue.evidence import statements
from fedvalue.evidence.chain import verify_chain
from fedvalue.evidence.package import EvidencePackage
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.server.coordinator import Coordinator
from fedvalue.server.grids.local import LocalGrid, LocalNode
from fedvalue.strategies.secure_aggregation.messages import STEP, Refused, StepReply, StepRequest, Wire
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.study.file import digest, parse
from fedvalue.study.roster import Roster
from fedvalue.study.schema import Study
from fedvalue.study.signature import sign

SITES = ("s01", "s02", "s03", "s04", "s05")
START_SECONDS = 60.0
MOMENTS = ("before", "during", "during", "after, answer delivered", "after, answer lost")
"""The five kills of a step: before it reaches the site, twice while the site works on it, and after it."""

LONGEST_STEP = 0.12
"""Seconds within which a kill ``during`` a step falls; an idle site takes about that long for the slowest."""

SERVE = "from fedvalue.cli import main; raise SystemExit(main())"

MAPPING = """
mapping = 1

[files.people]
path = "people.csv"

[patient]
file = "people"
patient_id = "id"

[patient.attributes]
egfr = "egfr"
responded = { column = "responded", type = "number" }
"""

STUDY = """
[study]
id = "kills-%s"
title = { en = "Killed nodes" }
question = { en = "Is a charge ever lost?" }
principal_investigator = "Dr. Example"
valid = { from = 2020-01-01, until = 2099-12-31 }

[privacy]
unit = "patient"
epsilon = 2.0
delta = 1e-6
patient_cap = 100000
max_sites_per_patient = { value = 1, basis = "linked" }
spare_attempts = 2

[federation]
min_sites = 5
colluding_sites = 1
tolerated_dropouts = 1
min_released_patients = 1

[governance]
profile = "none"

[cohort]
index = { first = "patient" }

[variables]
egfr = { person = "egfr", levels = ["mutated", "wild type"] }

[endpoints]
responded = { kind = "binary", source = "person", column = "responded" }

[[analyses]]
kind = "proportion"
endpoint = "responded"
by = ["egfr"]
budget = 1.0
"""


@dataclass(slots=True)
class Node:
    """A site node as a process.

    Attributes:
      home: Its home.
      process: The process, once started.
    """

    home: SiteHome
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        words = (sys.executable, "-c", SERVE, "site", "serve", "--node-only", str(self.home.folder))
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        ready = threading.Timer(START_SECONDS, self.process.kill)
        ready.start()
        try:
            line = self.process.stdout.readline() if self.process.stdout else b""
        finally:
            ready.cancel()
        if not line.startswith(b"answering"):
            raise RuntimeError(f"the node of {self.home.policy.site} does not start: {line!r}")

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            if self.process.poll() is None:
                os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None


@dataclass(slots=True)
class Killing:
    """One kill of some victims, and what left them.

    Attributes:
      victims: Whose nodes are killed.
      step: At which step.
      moment: One of `MOMENTS`.
      seconds: For a kill ``during``: after how long.
      done: Victims that were killed.
      left: ``(site, question)`` of each masked vector that left a victim, to the digests of its bytes.
      again: What victims said when a question was sent again, after their restart and after the study.
      asked: Victim to the question of the round in which it was killed.
    """

    victims: tuple[str, ...]
    step: str
    moment: str
    seconds: float
    done: set[str] = field(default_factory=set)
    left: dict[tuple[str, bytes], set[str]] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)
    asked: dict[str, RecordDict] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Federation:
    """Five hospitals with running nodes.

    Attributes:
      nodes: By site id.
      roster: Of them.
    """

    nodes: dict[str, Node]
    roster: Roster

    def approved(self, name: str) -> Study:
        """Let every officer approve a new study."""
        study = parse((STUDY % name).encode(), where="study.toml")
        for node in self.nodes.values():
            approve(node.home, study, self.roster, unsafe=())
        return study

    def run(self, study: Study, killing: Killing) -> EvidencePackage:
        """Run a study with a kill in it."""
        author, key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        signature = sign(statements.study_statement(digest(study)), author, "study")
        coordinator = Coordinator(
            study=study, roster=self.roster, key=key, study_signatures=(signature,), simulation=True,
            wait_seconds=0.0, step_seconds=30.0,
        )  # fmt: skip
        places = {number: LocalNode(self._relay(site, killing)) for number, site in enumerate(SITES, start=2)}
        with LocalGrid(places, threads=len(SITES)) as grid:
            return coordinator.run(grid)

    def _relay(self, site: str, killing: Killing) -> Callable[[Message, Context], Message]:
        node = self.nodes[site]

        def answer(message: Message, context: Context) -> Message:
            del context
            kind, content = message.metadata.message_type, message.content
            request = Wire.request(kind, content)
            step = request.step if kind == STEP and isinstance(request, StepRequest) else ""
            if site not in killing.victims or site in killing.done or step != killing.step:
                reply = relayed(node.home.socket_file, kind, content)
                _note(killing, site, request, reply)
                return Message(reply, reply_to=message)
            killing.done.add(site)
            if killing.moment == "before":
                node.kill()
            timer = threading.Timer(killing.seconds, node.kill)
            if killing.moment == "during":
                timer.start()
            reply = relayed(node.home.socket_file, kind, content)
            if killing.moment != "after, answer lost":
                _note(killing, site, request, reply)
            timer.join() if killing.moment == "during" else node.kill()
            node.start()
            if step == wire.MASKED:
                killing.asked[site] = content
                _ask_again(killing, node)
            if killing.moment == "after, answer lost":
                raise RuntimeError("the answer is lost")
            return Message(reply, reply_to=message)

        return answer


def _ask_again(killing: Killing, node: Node) -> None:
    """Send a victim's last question once more; whatever it answers, the bytes are compared in the end."""
    site = node.home.policy.site
    if (content := killing.asked.get(site)) is None:
        return
    told = relayed(node.home.socket_file, STEP, content)
    _note(killing, site, Wire.request(STEP, content), told)
    found = Wire.reply(told)
    killing.again.append(found.code if isinstance(found, Refused) else "answered")


def _note(killing: Killing, site: str, request: object, reply: RecordDict) -> None:
    if not isinstance(request, StepRequest) or request.step != wire.MASKED:
        return
    found = Wire.reply(reply)
    if isinstance(found, StepReply):
        question = pb.MaskedRequest.FromString(request.payload).question
        killing.left.setdefault((site, question), set()).add(hashlib.sha256(found.payload).hexdigest())


@contextmanager
def federation() -> Iterator[Federation]:
    """Make five hospitals and run their nodes; all processes end with the block."""
    with tempfile.TemporaryDirectory(prefix="fv-kills-") as name, ExitStack() as stack:
        folder = Path(name)
        homes = [_home(folder, site, number) for number, site in enumerate(SITES)]
        roster = Roster(site=tuple(home.card() for home in homes))
        nodes = {home.policy.site: Node(home) for home in homes}
        for node in nodes.values():
            stack.callback(node.kill)
            node.start()
        yield Federation(nodes, roster)


def killed(found: Federation, killing: Killing, name: str) -> dict[str, object]:
    """Run one study with one kill, and check what must hold of every ledger afterwards.

    Returns:
      ``outcome``: ``ended``, ``resumed`` (in a later attempt, in a new epoch) or a code; ``again``;
      ``broken``: sentences.
    """
    study = found.approved(name)
    broken: list[str] = []
    evidence: EvidencePackage | None = None
    try:
        evidence = found.run(study, killing)
    except TooFewSites as error:
        outcome = error.code
    except FedValueError as error:
        outcome = error.code
        broken.append(f"the study failed: {error}")
    else:
        outcome = "ended" if evidence.releases[0].attempt == 1 else "resumed"
        try:
            verify_chain(evidence, study=study)
        except FedValueError as error:
            broken.append(f"the evidence does not hold: {error}")
    if killing.done != set(killing.victims):
        broken.append("the kill did not take place")
    for site in killing.victims:
        _ask_again(killing, found.nodes[site])
    study_hash = digest(study)
    for site, node in found.nodes.items():
        with node.home.ledger() as ledger:  # verifies all of it
            debits = [e.body for e in ledger.entries() if e.kind == "debit" and e.body["study"] == study_hash]
            units = sum(e.price.rho_units or 0 for e in ledger.entries() if e.body.get("study") == study_hash)
        questions = {body["h"] for body in debits}
        for (sender, question), answers in killing.left.items():
            if sender == site and question.hex() not in questions:
                broken.append(f"a vector left {site} that its ledger was not charged for")
            if sender == site and len(answers) > 1:
                broken.append(f"{site} answered one question with different bytes")
        if evidence is not None:
            stated = next(entry for entry in evidence.privacy.spent if entry.site == site)
            if stated.rho_units < units:
                broken.append(f"the evidence says that {site} spent less than its ledger holds")
    return {"outcome": outcome, "again": killing.again, "broken": broken}


def kills_of(step: str, *, seed: int, victims: int = 1) -> list[Killing]:
    """Return five kills of one step, with victims and moments drawn from ``seed``."""
    rng = random.Random(seed)  # noqa: S311 (which site dies when, nothing secret)
    return [
        Killing(tuple(sorted(rng.sample(SITES, victims))), step, moment, rng.uniform(0.0, LONGEST_STEP))
        for moment in MOMENTS
    ]


def _home(folder: Path, site: str, number: int) -> SiteHome:
    policy = Policy(
        site=site, entity=site, operator=site, budget=Budget(epsilon=10_000, delta=1e-6),
        profiles=("none",), simulation=True,
    )  # fmt: skip
    home = SiteHome.create(folder / site, policy, lambda: datetime.now(UTC))
    source = folder / f"{site}-source"
    source.mkdir()
    rng = np.random.default_rng(number)
    people = [f"P{i},{rng.choice(['mutated', 'wild type'])},{rng.integers(2)}" for i in range(60)]
    (source / "people.csv").write_text("\n".join(["id,egfr,responded", *people]) + "\n", encoding="utf-8")
    (source / "map.toml").write_text(MAPPING, encoding="utf-8")
    load_records(home, source, load_mapping(source / "map.toml"))
    return home


def stamp() -> str:
    """Return a name for a study that no other has."""
    return f"{time.time_ns():x}"
