"""The coordinator's office: who was invited, who came, and which SuperNode key is whose.

A token is good once, for one site, until a day. It lets that site's SuperNode be registered; who the site is,
its certificate says, of which the coordinator has no part.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import Field, ValidationError

from fedvalue.errors import FederationError, OutputError, TokenRefused
from fedvalue.server.provisioning import tls
from fedvalue.study.identity.clock import Clock, utc
from fedvalue.study.identity.ends import Ending
from fedvalue.study.identity.enrolment import JoinAnswer, Token
from fedvalue.study.keys import make_key, replace_file
from fedvalue.study.model import Line, Part
from fedvalue.study.roster import SITE_ID, Moment
from fedvalue.study.toml import problems

STATE, TLS, NODES, KEY = "federation.json", "tls", "nodes", "coordinator.pem"
"""What the office's folder holds: its state, TLS material, SuperNodes' public keys, the key of evidence."""


class Invited(Part):
    """A site that was given a token.

    Attributes:
      token: The token as it was given.
      used: When it was used; None while it is good.
      node_key: The SuperNode's public key that came with it.
    """

    token: Token
    used: Moment | None = None
    node_key: str = ""


class State(Part):
    """The office's state.

    Attributes:
      name: What the federation calls itself.
      hosts: Names and addresses of the coordinator; sites are told the first.
      port: Of the SuperLink.
      invited: Every token ever given, oldest first.
    """

    name: Line
    hosts: tuple[Line, ...] = Field(strict=False, min_length=1)
    port: int = Field(ge=1, le=65535)
    invited: tuple[Invited, ...] = Field(default=(), strict=False)

    @property
    def address(self) -> str:
        """Where sites reach the SuperLink."""
        host = self.hosts[0]
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Office:
    """The folder of one coordinator.

    Attributes:
      folder: Where; mode 0700.
      clock: Tells the time.
    """

    folder: Path
    clock: Clock

    def make(self, name: str, hosts: tuple[str, ...], port: int) -> State:
        """Make TLS material, the key that signs evidence, and an empty list of tokens.

        Raises:
          OutputError: there is an office already, or the place cannot be written.
          FederationError: a host is no name and no address.
        """
        if (self.folder / STATE).exists():
            raise OutputError("there is a federation already", where=str(self.folder), do="use it")
        tls.require_hosts(hosts)
        try:
            state = State(name=name, hosts=hosts, port=port)
        except ValidationError as error:
            raise FederationError(problems(error), where="command line") from None
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.chmod(0o700)
        except OSError as error:
            raise OutputError(
                f"the folder cannot be made: {error.strerror}", where=str(self.folder)
            ) from error
        now = self.clock()
        tls.make_root(self.folder / TLS, name, now)
        tls.make_server(self.folder / TLS, state.hosts, now)
        make_key(self.folder / KEY)
        self._save(state)
        return state

    def state(self) -> State:
        """Read the office's state.

        Raises:
          FederationError: there is none, or it cannot be read.
        """
        path = self.folder / STATE
        try:
            return State.model_validate_json(path.read_bytes())
        except OSError as error:
            raise FederationError(
                f"there is no federation here: {error.strerror}", where=str(path),
                do="make one with `fedvalue federation init`",
            ) from error  # fmt: skip
        except ValidationError as error:
            raise FederationError(f"it cannot be read: {problems(error)}", where=str(path)) from None

    def invite(self, site: str, days: int) -> Token:
        """Give a token to a site; an earlier one of the same site that was not used is good no longer.

        Raises:
          FederationError: the name is no site id.
        """
        state, now = self.state(), utc(self.clock()).replace(microsecond=0)
        try:
            token = Token(
                federation=state.name,
                site=site,
                id=secrets.token_hex(16),
                secret=secrets.token_hex(32),
                until=now + timedelta(days=days),
                address=state.address,
                tls_root=(self.folder / TLS / tls.ROOT).read_text(encoding="ascii"),
            )
        except ValidationError as error:
            raise FederationError(
                f"no token can be for {site!r}: {problems(error)}", where="site id",
                do=f"a site id matches {SITE_ID}",
            ) from None  # fmt: skip
        except OSError as error:
            raise FederationError(f"the TLS root cannot be read: {error.strerror}", where=tls.ROOT) from error
        kept = tuple(each for each in state.invited if each.token.site != site or each.used is not None)
        self._save(state.model_copy(update={"invited": (*kept, Invited(token=token))}))
        return token

    def admit(self, answer: JoinAnswer) -> Path:
        """Take a site's answer to its token, once, and return the file of its SuperNode's public key.

        Raises:
          TokenRefused: the token was never given, was used before, has ended, or the answer is another's.
        """
        state, now = self.state(), utc(self.clock()).replace(microsecond=0)
        where = f"token {answer.token[:8]} of {answer.site.id}"
        known = next((each for each in state.invited if each.token.id == answer.token), None)
        if known is None:
            raise TokenRefused(
                "this token was not given here, or another took its place", where=where,
                do="give the site a new one with `fedvalue federation add-site`",
            )  # fmt: skip
        answer.require_proof(known.token, where=where)
        if known.used is not None:
            raise TokenRefused(
                f"the token was used on {known.used:%Y-%m-%d}", where=where,
                do="a token is good once; if that was not the site itself, tell the authority today",
            )  # fmt: skip
        known.token.require_for(answer.site.id, now, where=where)
        for each in state.invited:
            if each.node_key == answer.node_key:
                raise TokenRefused("the SuperNode's key is registered already", where=where)
        used = known.model_copy(update={"used": now, "node_key": answer.node_key})
        self._save(
            state.model_copy(update={"invited": tuple(used if e is known else e for e in state.invited)})
        )
        path = self.folder / NODES / f"{answer.site.id}.pub"
        replace_file(path, f"{answer.node_key}\n".encode(), mode=0o644)
        return path

    def renew(self) -> None:
        """Make a new server key and certificate under the root that sites trust already.

        Raises:
          CertificateInvalid: the root cannot be read.
        """
        tls.make_server(self.folder / TLS, self.state().hosts, self.clock())

    def endings(self) -> tuple[Ending, ...]:
        """Return what ends, for warnings.

        Raises:
          CertificateInvalid: a certificate cannot be read.
        """
        return (
            Ending(
                "the SuperLink's certificate", tls.ends(self.folder / TLS / tls.SERVER),
                "`fedvalue federation renew`, and start the SuperLink anew",
            ),
            Ending(
                "the TLS root", tls.ends(self.folder / TLS / tls.ROOT),
                "make a new federation folder, and enrol every site again",
            ),
        )  # fmt: skip

    def _save(self, state: State) -> None:
        text = json.dumps(state.model_dump(mode="json", exclude_none=True), indent=1, ensure_ascii=False)
        replace_file(self.folder / STATE, text.encode(), mode=0o600)
