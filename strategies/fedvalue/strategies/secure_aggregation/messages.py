"""What travels between coordinator and site, as Flower records.

Four questions only. ``query.session``: will you dial in, so that the rounds of this study run over one
stream? ``query.enrol``: did your officer approve this study on this roster? ``query.step``: one step of the
private sum, as the protobuf messages of ``protos`` say. ``query.release``, in simulations that ask for it by
name: your noised share of one planned release, in clear. A refusal is a code and nothing else: no free text
ever leaves.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from flwr.app import ConfigRecord, RecordDict
from numpy.typing import NDArray

from fedvalue.errors import MessageInvalid, ReplyInvalid
from fedvalue.evidence import statements

SESSION = "query.session"
ENROL = "query.enrol"
STEP = "query.step"
RELEASE = "query.release"
RECORD = "fedvalue"
WORD = "<i8"
"""Vectors travel as little-endian 64-bit integers."""

SALT_BYTES = 32
NONCE = re.compile(r"[0-9a-f]{32}")

CODE = re.compile(r"[a-z][a-z_]{1,39}")
"""What a refusal may say: one word of the error tree."""


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """Asks a site to dial in. It names no host: a site dials the one of its enrolment, or none.

    Attributes:
      study_hash: SHA-256 of the study, hexadecimal.
      roster_hash: SHA-256 of the roster, hexadecimal.
      nonce: Drawn for this question, 32 hexadecimal digits.
      session: Its name, 32 hexadecimal digits; a coordinator that was started anew has another one.
      port: Of the coordinator, 1 to 65535.
    """

    study_hash: str
    roster_hash: str
    nonce: str
    session: str
    port: int


@dataclass(frozen=True, slots=True)
class SessionReply:
    """A site dials in, and says with which certificate.

    Attributes:
      site: Site id.
      certificate: PEM of the TLS certificate that the site made for this session.
      signature: JSON of the site's signature over nonce, study, roster and certificate.
    """

    site: str
    certificate: str
    signature: str


@dataclass(frozen=True, slots=True)
class EnrolRequest:
    """Asks a site whether its officer approved.

    Attributes:
      study_hash: SHA-256 of the study, hexadecimal.
      roster_hash: SHA-256 of the roster, hexadecimal.
      nonce: Drawn for this question, 32 hexadecimal digits.
    """

    study_hash: str
    roster_hash: str
    nonce: str


@dataclass(frozen=True, slots=True)
class EnrolReply:
    """A site's yes.

    Attributes:
      site: Site id.
      approval: JSON of the signed approval.
      signature: JSON of the site's signature over the nonce: approvals are public, presence is not.
      certificate: The site's certificate, PEM; empty where the roster names no authority (simulations).
    """

    site: str
    approval: str
    signature: str
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class StepRequest:
    """One step of the private sum.

    Attributes:
      step: Its name, one of `private_sum.wire.REQUESTS`.
      payload: The protobuf request.
    """

    step: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class StepReply:
    """A site's answer to a step.

    Attributes:
      payload: The protobuf reply.
    """

    payload: bytes


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """Names one release of the approved plan; it chooses no parameter.

    Attributes:
      study_hash: SHA-256 of the study.
      roster_hash: SHA-256 of the roster.
      release: Label in the plan.
      attempt: 1 for the first, then spare attempts, each at its full price.
      specification: SHA-256 of everything that fixes the release, its public numbers too; a site recomputes
        it and compares.
      public: The release's public numbers.
    """

    study_hash: str
    roster_hash: str
    release: str
    attempt: int
    specification: str
    public: bytes = b""


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """A site's noised share.

    Attributes:
      site: Site id.
      vector: Contribution plus the site's own noise, bytes of ``WORD``.
      salt: 32 bytes that only site and coordinator know; it hides the vector behind its published digest.
      signature: JSON of the site's signature over `signed_content`.
    """

    site: str
    vector: bytes
    salt: bytes
    signature: str

    def values(self, dimension: int) -> NDArray[np.int64]:
        """Return the vector, shape ``(dimension,)``.

        Raises:
          ReplyInvalid: its length is another.
        """
        if len(self.vector) != dimension * 8:
            raise ReplyInvalid(
                f"a vector of {len(self.vector)} bytes came, {dimension * 8} are due", where=self.site
            )
        return np.frombuffer(self.vector, dtype=WORD).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Refused:
    """A site's no: a code of the error tree, nothing else."""

    code: str


Request = SessionRequest | EnrolRequest | StepRequest | ReleaseRequest
Reply = SessionReply | EnrolReply | StepReply | ReleaseReply | Refused


def commitment(salt: bytes, vector: bytes) -> str:
    """Return the published digest of a share: SHA-256 of salt and vector, 64 hexadecimal digits.

    Without the salt a reader could try the few bits of noise on a small vector.
    """
    return hashlib.sha256(salt + vector).hexdigest()


def signed_content(request: ReleaseRequest, site: str, salt: bytes, vector: bytes) -> dict[str, object]:
    """Return what a site signs when it answers ``request``; the specification covers study and roster."""
    return statements.reply(
        specification=request.specification,
        attempt=request.attempt,
        site=site,
        vector_digest=commitment(salt, vector),
    )


class Wire:
    """Both directions of the questions."""

    REQUESTS: ClassVar = {
        SESSION: SessionRequest, ENROL: EnrolRequest, STEP: StepRequest, RELEASE: ReleaseRequest
    }  # fmt: skip

    @staticmethod
    def pack(message: Request | Reply) -> RecordDict:
        """Return a message as Flower records."""
        kind = type(message).__name__
        values = {name: getattr(message, name) for name in message.__slots__}
        return RecordDict({RECORD: ConfigRecord({"kind": kind, **values})})

    @staticmethod
    def request(message_type: str, content: RecordDict) -> Request:
        """Read a request at a site.

        Raises:
          MessageInvalid: of another type, or with a field missing, extra or of the wrong type.
        """
        wanted = Wire.REQUESTS.get(message_type)
        found = None if wanted is None else _read(content, (wanted,))
        if not isinstance(found, Request):
            raise MessageInvalid("the message does not parse", where=message_type[:40])
        return found

    @staticmethod
    def reply(content: RecordDict) -> Reply:
        """Read a reply at the coordinator.

        Raises:
          ReplyInvalid: it is none of the known replies.
        """
        found = _read(content, (SessionReply, EnrolReply, StepReply, ReleaseReply, Refused))
        if not isinstance(found, Reply):
            raise ReplyInvalid("a reply does not parse")
        if isinstance(found, Refused) and CODE.fullmatch(found.code) is None:
            raise ReplyInvalid("a refusal is a code and nothing else")
        return found


def _read(content: RecordDict, kinds: tuple[type, ...]) -> object | None:
    record = content.config_records.get(RECORD) if len(content) == 1 else None
    if record is None:
        return None
    values = dict(record)
    name = values.pop("kind", None)
    for kind in kinds:
        types = {"str": str, "int": int, "bytes": bytes}
        fields = {key: types[str(hint)] for key, hint in kind.__annotations__.items()}
        if name != kind.__name__ or set(values) != set(fields):
            continue
        if all(type(values[key]) is wanted for key, wanted in fields.items()):
            found: object = kind(**values)
            return found
    return None
