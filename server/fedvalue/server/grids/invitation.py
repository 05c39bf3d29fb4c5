"""The question whether a site dials in, and what makes its answer good: its signature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from flwr.app import Message
from pydantic import ValidationError

from fedvalue.errors import CertificateInvalid, FedValueError, ReplyInvalid, SiteLapsed, SiteNotOnRoster
from fedvalue.evidence import statements
from fedvalue.server.grids.pins import canonical
from fedvalue.strategies.secure_aggregation.messages import (
    SESSION,
    Refused,
    SessionReply,
    SessionRequest,
    Wire,
)
from fedvalue.study.roster import Roster
from fedvalue.study.signature import Signature, verify


def everybody(site: str) -> bool:
    """Stand for a federation without an authority: a simulation's."""
    return bool(site)


@dataclass(frozen=True, slots=True)
class Dialing:
    """A site that dials in.

    Attributes:
      site: Site id.
      certificate: PEM, as it is pinned.
    """

    site: str
    certificate: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Study:
    """What is streamed.

    Attributes:
      study_hash: SHA-256 of the study.
      roster_hash: SHA-256 of the roster.
      roster: Its sites.
      stands: Tells whether the authority still vouches for a site id.
    """

    study_hash: str
    roster_hash: str
    roster: Roster
    stands: Callable[[str], bool] = everybody

    def invitation(self, node: int, nonce: str, session: str, port: int) -> Message:
        """Return the question for one of Flower's nodes.

        Args:
          node: Node id.
          nonce: Fresh, 32 hexadecimal digits.
          session: Name of the session, the same for as long as its questions are numbered on.
          port: Where the coordinator listens.
        """
        asked = SessionRequest(self.study_hash, self.roster_hash, nonce, session, port)
        return Message(Wire.pack(asked), dst_node_id=node, message_type=SESSION)

    def answered(self, message: Message, nonce: str) -> Dialing | str:
        """Return who dials in with which certificate, or the code of why not.

        Args:
          message: The node's answer, or Flower's error.
          nonce: Of the invitation.
        """
        if message.has_error():
            return ReplyInvalid.code  # software that knows no sessions, or a node that is gone
        try:
            reply = Wire.reply(message.content)
            return reply.code if isinstance(reply, Refused) else self._shown(reply, nonce)
        except FedValueError as error:
            return error.code

    def _shown(self, reply: object, nonce: str) -> Dialing:
        """Check who says that it dials in.

        Raises:
          FedValueError: it is not shown to be a site of the roster that stands.
        """
        if not isinstance(reply, SessionReply):
            raise ReplyInvalid("this is no answer to an invitation")
        site = self.roster.get(reply.site)
        if site is None:
            raise SiteNotOnRoster("the site is not on the roster", where=reply.site[:40])
        statement = statements.session_certificate(
            nonce=nonce, study_hash=self.study_hash, roster_hash=self.roster_hash, site=site.id,
            certificate=reply.certificate,
        )  # fmt: skip
        try:
            signed = Signature.model_validate_json(reply.signature)
        except ValidationError as error:
            raise CertificateInvalid("the certificate is not signed", where=site.id) from error
        if signed.role != "site":
            raise CertificateInvalid("signed in another capacity than a site's", where=site.id)
        verify(statement, signed, where=site.id, public_key=site.public_key)
        if not self.stands(site.id):
            raise SiteLapsed("the authority does not vouch for the site any more", where=site.id)
        return Dialing(site.id, canonical(reply.certificate.encode(), where=site.id))
