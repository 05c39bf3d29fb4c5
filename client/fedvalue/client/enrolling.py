"""Join a federation: keys made here, a request for the authority, an answer for the coordinator.

The private halves never leave the home. The coordinator learns the SuperNode's public key and nothing that
a site accepts as an identity; the authority learns the site's card.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.durable import set_aside
from fedvalue.client.governance.policy import Policy
from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.client.places import COORDINATOR, NODE_KEY, TLS_ROOT
from fedvalue.errors import EntitiesUnconfirmed, PolicyForbids, TokenRefused
from fedvalue.study.identity.confirmation import spoken
from fedvalue.study.identity.enrolment import JoinAnswer, Token
from fedvalue.study.identity.request import CertificateRequest
from fedvalue.study.keys import make_key
from fedvalue.study.roster import Roster, entity_name
from fedvalue.study.signature import public_hex

USED = "tokens-used.txt"
"""In `SiteHome.identity_folder`: tokens that were answered."""


@dataclass(frozen=True, slots=True)
class Joining:
    """What a site sends after it read its token.

    Attributes:
      request: For the authority.
      answer: For the coordinator.
    """

    request: CertificateRequest
    answer: JoinAnswer


def join(home: SiteHome, token: Token, *, where: str) -> Joining:
    """Answer an enrolment token: make a SuperNode key here, keep the coordinator's address and TLS root.

    Args:
      home: The site.
      token: As the coordinator gave it.
      where: Names it in errors.

    Raises:
      TokenRefused: of another site, ended, or answered here before.
      CertificateInvalid: the site's names cannot stand in a certificate.
      OutputError: the home cannot be written.
    """
    token.require_for(home.policy.site, home.clock(), where=where)
    folder = home.identity_folder
    used = (folder / USED).read_text(encoding="ascii").split() if (folder / USED).exists() else []
    if token.id in used:
        raise TokenRefused(
            "the token was answered here before", where=where,
            do="send the answer that was written then, or ask the coordinator for a new token",
        )  # fmt: skip
    request = certificate_request(home)
    write_atomically(folder / USED, "\n".join([*used, token.id, ""]).encode())
    key = ec.generate_private_key(ec.SECP384R1())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    answer = JoinAnswer(token=token.id, site=home.card(), node_key=public).proven(token)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    write_atomically(folder / NODE_KEY, private)
    write_atomically(folder / f"{NODE_KEY}.pub", f"{public}\n".encode())
    write_atomically(folder / TLS_ROOT, token.tls_root.encode())
    write_atomically(folder / COORDINATOR, f"{token.address}\n".encode())
    AuditLog(home.audit_file, home.clock).write("enrolling", token=token.id)
    return Joining(request, answer)


def certificate_request(home: SiteHome) -> CertificateRequest:
    """Return a request for a certificate of the site's present key and officer: a first one or a renewal.

    Raises:
      CertificateInvalid: the site's names cannot stand in a certificate.
    """
    request = CertificateRequest.signed(home.card(), home.site_key())
    request.verify()
    return request


def new_officer(home: SiteHome, passphrase: bytes | None) -> str:
    """Make a new officer's key; the old one is set aside, and every approval has ended.

    Args:
      home: The site.
      passphrase: Locks the new key; None leaves it to the file's mode.

    Returns:
      The new public key, 64 hexadecimal digits.

    Raises:
      LedgerError, OutputError: the home cannot be written.
      PassphraseWrong: the passphrase is empty.
    """
    set_aside(home.officer_key_file)
    public = public_hex(make_key(home.officer_key_file, passphrase))
    write_atomically(home.officer_public_file, public.encode())
    AuditLog(home.audit_file, home.clock).write("new officer")
    return public


def confirm(home: SiteHome, entity: str, digits: str, roster: Roster | None = None) -> Policy:
    """Note in the policy which digits this site's people compared with a hospital.

    Args:
      home: The site.
      entity: Legal entity, as on the roster.
      digits: 32 hexadecimal digits as the hospital read them, in any grouping.
      roster: Where given, it must name the entity with this key.

    Returns:
      The policy as it is now; studies must be approved again under it.

    Raises:
      PolicyForbids: a simulated site confirms nobody.
      EntitiesUnconfirmed: these are no 32 digits, or the roster does not hold them for the entity.
      OutputError: the policy cannot be written.
    """
    policy, where = home.policy, f"policy.toml confirmed, {entity}"
    if policy.confirmed == "all" or policy.simulation:
        raise PolicyForbids("a simulated site confirms nobody", where="policy.toml simulation")
    others = {e: d for e, d in policy.confirmed.items() if entity_name(e) != entity_name(entity)}
    try:
        chosen = Policy.model_validate({**policy.model_dump(), "confirmed": {**others, entity: digits}})
    except ValueError:
        raise EntitiesUnconfirmed(
            "a fingerprint is 32 hexadecimal digits, all of them compared", where=where, do="compare again"
        ) from None
    if roster is not None:
        held = [site for site in roster.site if entity_name(site.entity) == entity_name(entity)]
        if not held or chosen.confirmed == "all" or spoken(held[0].public_key) != chosen.confirmed[entity]:
            raise EntitiesUnconfirmed(
                "the roster does not hold these digits for the entity", where=where,
                do="call the hospital again; if they differ again, the roster holds somebody else's key",
            )  # fmt: skip
    write_atomically(home.policy_file, chosen.to_toml().encode())
    AuditLog(home.audit_file, home.clock).write("confirmed", entity=entity[:200])
    return chosen


def supernode_command(home: Path, identity: Path, address: str) -> str:
    """Return the command that starts this site's SuperNode, for people to copy."""
    return (
        f"flower-supernode --superlink {address} --root-certificates {identity / TLS_ROOT} "
        f"--auth-supernode-private-key {identity / NODE_KEY} --node-config 'site-home=\"{home.resolve()}\"'"
    )
