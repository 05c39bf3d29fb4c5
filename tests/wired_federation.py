"""Real site nodes, and a coordinator that may send any of them anything: `Asking` over whole hospitals."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from google.protobuf.message import Message

from fedvalue.client.governance.entries import Entry
from fedvalue.client.node import SiteNode
from fedvalue.strategies.secure_aggregation.messages import STEP, Refused, StepReply, StepRequest, Wire
from fedvalue.strategies.secure_aggregation.private_sum.agreed import Agreed, agreed_on
from fedvalue.strategies.secure_aggregation.private_sum.receipts import reopen
from tests.federation import Hospitals, noon
from tests.sum_attacker import Attacker
from tests.sum_federation import REPLIES


class SaidNo(Exception):
    """A node refused; all that it said is the code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Wired:
    """Running nodes of hospitals that approved one study; `start` and `stop` are a process each.

    Attributes:
      hospitals: Their homes.
      agreed: What the coordinator computes of the study.
      names: Sites, in the roster's order.
      nodes: Those that run.
      on_reply: May change what a site of the coordinator's says.
    """

    def __init__(self, hospitals: Hospitals, nodes: dict[str, SiteNode] | None = None) -> None:
        self.hospitals = hospitals
        self.agreed: Agreed = agreed_on(hospitals.plan, hospitals.roster)
        self.names = [site.id for site in hospitals.roster.site]
        self.on_reply: Callable[[str, str, Message], Message] = lambda step, site, message: message
        self._stack = ExitStack()
        self.nodes = nodes if nodes is not None else {name: self._started(name) for name in self.names}

    def __enter__(self) -> Wired:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _started(self, name: str) -> SiteNode:
        return self._stack.enter_context(SiteNode(self.hospitals.folder / name, noon))

    def begin(self, *names: str) -> None:
        """Start nodes that do not run yet."""
        for name in names:
            self.nodes[name] = self._started(name)

    def restart(self, name: str, before: Callable[[], object] = lambda: None) -> None:
        """End a node's process; do something to its folder; start it again."""
        self.nodes[name].close()
        before()
        self.nodes[name] = self._started(name)

    def reopened(self, *names: str) -> dict[str, str]:
        """Carry receipts to sites, all by default; return who stays closed and why."""
        return reopen(self.agreed, self.exchange, names or self.names)

    def attacker(self, *, rounds: int = 3) -> Attacker:
        """Hold a new epoch that everybody who can has joined."""
        return Attacker(self, epoch=os.urandom(16).hex(), rounds=rounds)

    def say(self, step: str, name: str, payload: bytes) -> bytes | Refused:
        """Send one payload, and return what came back."""
        reply = Wire.reply(self.nodes[name].answer(STEP, Wire.pack(StepRequest(step, payload))))
        if isinstance(reply, Refused):
            return reply
        assert isinstance(reply, StepReply)
        return reply.payload

    def ask(self, step: str, name: str, message: Message) -> Any:
        """Ask one site by hand."""
        said = self.say(step, name, message.SerializeToString())
        if isinstance(said, Refused):
            raise SaidNo(said.code)
        return REPLIES[step].FromString(said)

    def exchange(self, step: str, requests: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | Refused]]:
        """Ask several, as an honest coordinator does."""
        for name, payload in requests.items():
            said = self.say(step, name, payload)
            if isinstance(said, bytes):
                said = self.on_reply(step, name, REPLIES[step].FromString(said)).SerializeToString()
            yield name, said

    def code(self, step: str, name: str, message: Message) -> str:
        """Return the code with which a site refuses."""
        try:
            self.ask(step, name, message)
        except SaidNo as error:
            return error.code
        raise AssertionError(f"{name} took the step {step}")

    def debits(self, name: str) -> list[Entry]:
        """Return what a site's ledger was charged."""
        with self.hospitals.home(name).ledger() as ledger:
            return [entry for entry in ledger.entries() if entry.kind == "debit"]
