"""Enrolment: a one-time token from the coordinator, and what a site answers to it.

The token says where the coordinator is and lets one site's SuperNode be registered there, once. It says
nothing about who a hospital is: that is the authority's word, on a request that never passes the coordinator.
The answer is bound to the token by a MAC, so the token's secret itself does not travel back.

Krawczyk, H., Bellare, M., Canetti, R. HMAC: keyed-hashing for message authentication. RFC 2104.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import rfc8785
from pydantic import Field, ValidationError

from fedvalue.errors import TokenRefused
from fedvalue.study.identity.clock import utc
from fedvalue.study.identity.names import MAX_BYTES
from fedvalue.study.model import Line, Part
from fedvalue.study.roster import SITE_ID, Moment, Site
from fedvalue.study.toml import problems

M = TypeVar("M", bound=Part)

TOKEN_DAYS = 14


class Token(Part):
    """One site's way in, once.

    Attributes:
      federation: What the federation calls itself.
      site: Site id that it is for.
      id: Number of the token, 32 hexadecimal digits; public.
      secret: 64 hexadecimal digits; whoever holds it may register one SuperNode as this site.
      until: Last second.
      address: Host and port of the SuperLink.
      tls_root: Certificate of the coordinator's TLS root, PEM.
    """

    federation: Line
    site: str = Field(pattern=SITE_ID)
    id: str = Field(pattern=r"^[0-9a-f]{32}$")
    secret: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    until: Moment
    address: Line
    tls_root: str = Field(max_length=MAX_BYTES)

    def require_for(self, site: str, now: datetime, *, where: str) -> None:
        """Refuse a token of another site, or one that has ended.

        Raises:
          TokenRefused: it is.
        """
        if self.site != site:
            raise TokenRefused(
                f"the token is for site {self.site}, and this is {site}", where=where,
                do="ask the coordinator for one of your own",
            )  # fmt: skip
        if utc(now) > self.until:
            raise TokenRefused(
                f"the token was good until {self.until:%Y-%m-%dT%H:%M:%SZ}", where=where,
                do="ask the coordinator for a new one (`fedvalue federation add-site`)",
            )  # fmt: skip

    def proof(self, answer: JoinAnswer) -> str:
        """Return the MAC that binds an answer to this token, 64 hexadecimal digits."""
        return hmac.new(bytes.fromhex(self.secret), answer.content(), hashlib.sha256).hexdigest()


class JoinAnswer(Part):
    """What a site sends back to the coordinator.

    Attributes:
      token: The token's number.
      site: Public keys and names, as on the site's card.
      node_key: Public key of the site's SuperNode, one line as OpenSSH writes it.
      proof: MAC under the token's secret over all of it.
    """

    token: str = Field(pattern=r"^[0-9a-f]{32}$")
    site: Site
    node_key: Line = Field(pattern=r"^ecdsa-sha2-nistp(256|384|521) [A-Za-z0-9+/=]+$")
    proof: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")

    def content(self) -> bytes:
        """Return the canonical bytes that the proof is over."""
        return rfc8785.dumps(self.model_dump(mode="json", exclude={"proof"}, exclude_none=True))

    def proven(self, token: Token) -> JoinAnswer:
        """Return the answer with its proof."""
        return self.model_copy(update={"proof": token.proof(self)})

    def require_proof(self, token: Token, *, where: str) -> None:
        """Refuse an answer that the token's holder did not make as it stands.

        Raises:
          TokenRefused: another token, or the answer was changed.
        """
        if token.id != self.token or not hmac.compare_digest(token.proof(self), self.proof):
            raise TokenRefused(
                "the answer was not made with this token, or was changed", where=where,
                do="have the site enrol again with a new token",
            )  # fmt: skip


def read_token(path: Path) -> Token:
    """Read a token file.

    Raises:
      TokenRefused: it cannot be read, or holds something else.
    """
    return _read(path, Token, "token")


def read_answer(path: Path) -> JoinAnswer:
    """Read a site's answer.

    Raises:
      TokenRefused: it cannot be read, or holds something else.
    """
    return _read(path, JoinAnswer, "answer to a token")


def _read(path: Path, model: type[M], what: str) -> M:
    try:
        with path.open("rb") as file:
            return model.model_validate_json(file.read(2 * MAX_BYTES))
    except OSError as error:
        raise TokenRefused(f"the {what} cannot be read: {error.strerror}", where=str(path)) from error
    except ValidationError as error:
        raise TokenRefused(f"this is no {what}: {problems(error)}", where=str(path)) from None
