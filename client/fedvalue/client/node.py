"""The site node: the one long-lived process of a hospital that answers a coordinator.

It alone holds the records, the ledger, the site's key and, in memory only, the secrets of the private sum's
epochs. Order of a release: is the study approved, unchanged, in force? is the question in the plan, byte for
byte? is there budget? then the ledger is debited and synced, then the rows are touched, then noise and masks
are added, then the reply is kept, then it leaves. Every refusal is a code that cannot depend on patients; the
reason in words stays in the site's own audit log.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import threading
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

from flwr.app import RecordDict

from fedvalue.client.clear_share import clear_share
from fedvalue.client.governance.approvals import APPROVED_FILES, HASH, ApprovedStudy, approved, in_force
from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.journal import DurableJournal
from fedvalue.client.governance.receipts import Receipts
from fedvalue.client.home import Clock, SiteHome, system_clock
from fedvalue.client.identity import load_identity, state_of
from fedvalue.client.node_receipts import NodeReceipts
from fedvalue.client.pace import paced
from fedvalue.client.private_share import private_share
from fedvalue.client.running.pause import require_running
from fedvalue.client.sessions import Invitation, Sessions, Streaming
from fedvalue.errors import (
    FedValueError,
    LedgerBusy,
    LedgerError,
    MessageInvalid,
    OutputError,
    PolicyForbids,
    Refusal,
    RosterMismatch,
    SignatureInvalid,
    SiteFault,
    SitePaused,
)
from fedvalue.evidence import statements
from fedvalue.operations.logs import event
from fedvalue.privacy.randomness import NoiseSource, SystemNoise
from fedvalue.secure_sum.specification import RoundSpecification
from fedvalue.secure_sum.suite import Entropy
from fedvalue.strategies.secure_aggregation.messages import (
    NONCE,
    EnrolReply,
    EnrolRequest,
    Refused,
    Reply,
    Request,
    SessionReply,
    SessionRequest,
    StepReply,
    StepRequest,
    Wire,
)
from fedvalue.strategies.secure_aggregation.private_sum.agreed import Agreed, ChargedShare, agreed_on
from fedvalue.strategies.secure_aggregation.private_sum.site import SiteProtocol
from fedvalue.strategies.secure_aggregation.private_sum.wire import study_of
from fedvalue.study import signature
from fedvalue.study.approval import CLEAR_SUM, NO_NOISE
from fedvalue.study.identity.ends import warnings
from fedvalue.study.passphrases import Ask, KeyRing, nobody

LOG = logging.getLogger("fedvalue.node")
MOST_PORT = 65535
LOCK = ".node"
"""File in the home that a running node holds: two nodes would be two answers to one question."""


class SiteNode:
    """Answers the coordinator for one site; use it as a context manager, or call `close`."""

    def __init__(
        self,
        folder: Path,
        clock: Clock = system_clock,
        *,
        noise: NoiseSource | None = None,
        entropy: Entropy = os.urandom,
        ask: Ask = nobody,
        streaming: Streaming | None = None,
    ) -> None:
        """Start the node of the home at ``folder``; no other may run on it.

        Args:
          folder: The site's home.
          clock: Tells the time.
          noise: Source of privacy noise; None takes the operating system's.
          entropy: Where the secrets of the private sum come from.
          ask: Gives the passphrase of the site's key, once, if it is under one.
          streaming: Where it may dial for streaming rounds; None dials nowhere.

        Raises:
          PassphraseWrong: the site's key does not open.
          LedgerBusy: another node runs on this home.
          LedgerError: the journal or the receipts cannot be opened.
          StudyInvalid: there is no home, or its policy is not valid.
        """
        self._folder, self._clock, self._keys = folder, clock, KeyRing(ask)
        home = self._home()
        home.site_key()  # whoever has to be asked is asked now, and not by a message
        self._unlock = weakref.finalize(self, os.close, node_lock(folder))
        self._noise = noise or SystemNoise()
        self._known: dict[str, tuple[bytes, ApprovedStudy]] = {}
        self._guard = threading.Lock()
        self._sessions = Sessions(streaming)
        try:
            self._receipts = Receipts.open(home.receipts_file)
            self._journal = DurableJournal.open(home.journal_file, self._receipts)
        except BaseException:
            self._unlock()
            raise
        self._start = NodeReceipts(self._home, self._found, self._receipts, entropy)
        self._protocol = SiteProtocol(
            home.policy.site,
            home.site_key(),
            self._agreed,
            self._contribute,
            self._journal,
            entropy=entropy,
            receipts=self._start,
        )

    def close(self) -> None:
        """End every session, forget every epoch, and let another node run on the home."""
        self._sessions.close()
        if self._unlock.alive:
            self._protocol.leave()
            self._journal.close()
            self._receipts.close()
            self._unlock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def warnings(self) -> tuple[str, ...]:
        """Return a line for everything of this site's papers that has ended, ends soon, or does not hold."""
        home = self._home()
        if home.policy.simulation:
            return ()
        try:
            return warnings(load_identity(home).endings(), self._clock())
        except (Refusal, SignatureInvalid) as error:
            return (f"{error.code}: {error}; nothing is answered",)

    def answer(self, message_type: str, content: RecordDict) -> RecordDict:
        """Answer one message; never raises for what a message or the site's data hold."""
        reply: Reply
        name, about = message_type[:40], dict[str, str]()
        audit = AuditLog(self._folder / "audit.jsonl", self._clock)
        try:
            require_running(self._folder)
            request = Wire.request(message_type, content)
            name = f"{name} {request.step[:20]}" if isinstance(request, StepRequest) else name
            about = _about(request)
            reply = self._reply(request)
            require_running(self._folder)  # what a pause has overtaken is not sent
            audit.write("answered", message=name, **about)
        except (Refusal, LedgerError) as error:
            if isinstance(error, SitePaused):
                self._protocol.leave()
            reply = _refuse(audit, name, error, about)
        except Exception as error:
            # The text of a foreign error may hold a patient: only its kind is kept, and only here.
            reply = _refuse(audit, name, SiteFault(type(error).__name__), about)
        kind = message_type.removeprefix("query.") if message_type in Wire.REQUESTS else "other"
        code = reply.code if isinstance(reply, Refused) else ""
        event(LOG, "message refused" if code else "message answered", kind=kind, code=code)
        return Wire.pack(reply)

    def _reply(self, request: Request) -> Reply:
        if isinstance(request, StepRequest):
            return StepReply(self._protocol.answer(request.step, request.payload))
        home, found = self._home(), self._found(request.study_hash)
        if found.plan.roster_hash != request.roster_hash:
            raise RosterMismatch("the coordinator names another roster than the approved one")
        in_force(found.study, home)
        found.standing(home)
        if isinstance(request, EnrolRequest):
            return _enrolled(home, found, request)
        if isinstance(request, SessionRequest):
            return self._dialing(home, request)
        # a retransmission waits for the answer it repeats; so does a withdrawal
        with home.locked(), paced(home.policy.period):
            return clear_share(home, self._found(request.study_hash), request, self._noise)

    def _dialing(self, home: SiteHome, request: SessionRequest) -> SessionReply:
        """Dial the coordinator's port, and say with which certificate."""
        _require_nonce(request.nonce)
        _require_nonce(request.session)
        if not 1 <= request.port <= MOST_PORT:
            raise MessageInvalid("a session is at a port")
        site, key = home.policy.site, home.site_key()
        certificate = self._sessions.begin(
            site, Invitation(request.study_hash, request.session, request.port), self.answer,
            lambda said: signature.sign(said, key, "site"),
        )  # fmt: skip
        statement = statements.session_certificate(
            nonce=request.nonce, study_hash=request.study_hash, roster_hash=request.roster_hash, site=site,
            certificate=certificate,
        )  # fmt: skip
        return SessionReply(site, certificate, signature.sign(statement, key, "site").model_dump_json())

    def _home(self) -> SiteHome:
        """The home as it is now: a changed policy holds from the next message on."""
        return SiteHome.open(self._folder, self._clock, self._keys)

    def _found(self, study_hash: str) -> ApprovedStudy:
        """The approved study, checked anew only if a byte of what it rests on has changed."""
        home = self._home()
        state = _state(home, study_hash)
        with self._guard:
            known = self._known.get(study_hash)
            if known is not None and state is not None and known[0] == state:
                return known[1]
        found = approved(home, study_hash)
        if state is not None and state == _state(home, study_hash):  # nobody approved anew in between
            with self._guard:
                self._known[study_hash] = (state, found)
        return found

    def _agreed(self, study_hash: str) -> Agreed:
        found, home = self._found(study_hash), self._home()
        in_force(found.study, home)
        lapsed = found.standing(home)
        if CLEAR_SUM in found.approval.unsafe:
            raise PolicyForbids("the officer approved a sum in clear, and its price, for this study")
        exact = NO_NOISE in found.approval.unsafe
        return agreed_on(found.plan, found.roster, unsafe_exact=exact, lapsed=lapsed)

    def _contribute(self, asked: RoundSpecification, h: bytes) -> ChargedShare:
        home = self._home()
        # A withdrawal waits for the release under way. The pace is kept in here, where the protocol takes one
        # step at a time: else another message would be kept for as long as the rows took.
        with home.locked(), paced(home.policy.period):
            found = self._found(asked.settings.study_hash)
            return private_share(home, found, asked, h, self._noise, start=self._start)


def _enrolled(home: SiteHome, found: ApprovedStudy, request: EnrolRequest) -> EnrolReply:
    _require_nonce(request.nonce)
    site = home.policy.site
    statement = statements.enrolment(
        nonce=request.nonce,
        study_hash=found.plan.study_hash,
        roster_hash=found.plan.roster_hash,
        site=site,
    )
    signed = signature.sign(statement, home.site_key(), "site")
    certificate = "" if found.identity is None else found.identity.pem
    return EnrolReply(site, found.approval.model_dump_json(), signed.model_dump_json(), certificate)


def _require_nonce(nonce: str) -> None:
    if NONCE.fullmatch(nonce) is None:
        raise MessageInvalid("a nonce has 32 hexadecimal digits")


def _refuse(audit: AuditLog, name: str, error: FedValueError, about: dict[str, str]) -> Refused:
    try:
        audit.write("refused", message=name, code=error.code, reason=error.what[:200], **about)
    except OutputError:
        return Refused(SiteFault.code)
    return Refused(error.code)


def _about(request: Request) -> dict[str, str]:
    """The study that a message names, for the audit log; only if it reads as one: a stranger wrote it."""
    named = (
        study_of(request.step, request.payload) if isinstance(request, StepRequest) else request.study_hash
    )
    return {"study": named} if HASH.fullmatch(named) else {}


def _state(home: SiteHome, study_hash: str) -> bytes | None:
    """A digest of everything that an approval rests on; None if a file of it cannot be read."""
    if HASH.fullmatch(study_hash) is None:
        return None
    state = hashlib.sha256(home.policy.digest().encode())
    try:
        for name in APPROVED_FILES:
            content = (home.study_folder(study_hash) / name).read_bytes()
            state.update(hashlib.sha256(content).digest())
        for path in (home.officer_public_file, home.site_key_file):
            state.update(hashlib.sha256(path.read_bytes()).digest())
        state.update(state_of(home))
    except (OSError, ValueError):
        return None
    return state.digest()


def node_lock(folder: Path) -> int:
    """Take the home for one process, and return what to close to give it back.

    Raises:
      LedgerBusy: a node runs on it.
      OutputError: the folder cannot be written.
    """
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OutputError(f"cannot be locked: {error.strerror}", where=str(folder)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise LedgerBusy(
            "another site node runs on this home",
            where=str(folder),
            do="stop it first; one home has one node",
        ) from error
    return lock
