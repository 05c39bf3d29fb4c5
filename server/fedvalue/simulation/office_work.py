"""Make a federation's papers as its people do: every step is a command, files go from hand to hand.

The authority, the coordinator and each hospital have folders of their own below one folder. Nobody reads
another's folder: what a party gets is a file that its owner wrote for it, and digits that were read out.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedvalue.cli import main
from fedvalue.errors import FederationError

NAME = "Example Federation"
LIFETIME_EPSILON = "10"
AUTHORITY, OFFICE, SITES, POST = "authority", "coordinator", "sites", "post"
"""Folders: the authority's, the coordinator's, the hospitals', and what is under way between them."""

Said = Callable[[str], None]
"""Told of each step, in words, once it is done."""


@dataclass(frozen=True, slots=True)
class Papers:
    """A federation whose hospitals have papers and hold records; nothing runs.

    Attributes:
      folder: Of everything.
      sites: Site ids.
      superlink: Words of the command that starts the SuperLink, as `fedvalue federation init` printed them.
    """

    folder: Path
    sites: tuple[str, ...]
    superlink: tuple[str, ...]

    @property
    def authority(self) -> Path:
        """The authority's certificate."""
        return self.folder / AUTHORITY / "authority.crt"

    @property
    def revocations(self) -> Path:
        """The authority's newest list."""
        return self.folder / AUTHORITY / "revocations.pem"

    @property
    def office(self) -> Path:
        """The coordinator's folder."""
        return self.folder / OFFICE

    @property
    def roster(self) -> Path:
        """The roster as the authority signed it."""
        return self.folder / POST / "roster.toml"

    def home(self, site: str) -> Path:
        """Return a hospital's home."""
        return self.folder / SITES / site


def command(*words: str | Path) -> str:
    """Give one command of ``fedvalue``, and return what it printed.

    Raises:
      FederationError: it failed; the message has its words.
    """
    said, complained = io.StringIO(), io.StringIO()
    with redirect_stdout(said), redirect_stderr(complained):
        status = main([str(word) for word in words])
    if status != 0:
        raise FederationError(
            f"`fedvalue {words[0]} {words[1]}` ended with status {status}",
            where=complained.getvalue().strip(),
        )
    return said.getvalue()


def told(*words: str | Path) -> dict[str, Any]:
    """Give one command with ``--json``, and return what it said.

    Raises:
      FederationError: it failed.
    """
    found: dict[str, Any] = json.loads(command(*words, "--json"))
    return found


def make_papers(
    folder: Path, sites: Sequence[str], host: str, port: int, said: Said, *, admits_sampled: bool = False
) -> Papers:
    """Make an authority, a coordinator's office and the homes of hospitals, and let everybody join.

    Args:
      folder: An empty folder.
      sites: Site ids; each is a legal entity of its own.
      host: Name or address under which sites reach the coordinator.
      port: Of the SuperLink.
      said: Told of each step.
      admits_sampled: Open ledgers that bear trainings which draw patients by chance.

    Raises:
      FederationError: a step failed.
    """
    post = folder / POST
    post.mkdir(parents=True)
    fingerprint = told("authority", "init", folder / AUTHORITY, "--name", NAME)["fingerprint"]
    said("authority: key, certificate and first revocation list (fedvalue authority init)")
    office = told("federation", "init", folder / OFFICE, "--name", NAME, "--host", host, "--port", str(port))
    said("coordinator: TLS root, server certificate, key of evidence (fedvalue federation init)")
    papers = Papers(folder, tuple(sites), tuple(office["superlink"].split()))
    more = ("--admits-sampled",) if admits_sampled else ()
    digits = {site: _join(papers, site, fingerprint, *more) for site in sites}
    said(f"{len(digits)} hospitals joined: keys made at home, tokens used, certificates issued (site enrol)")
    for site in sites:
        for other in sites:
            if other != site:
                command("site", "confirm", papers.home(site), other, digits[other])
    command("authority", "sign-roster", folder / AUTHORITY, "--out", papers.roster)
    said("hospitals confirmed each other's keys; the authority signed the roster (authority sign-roster)")
    return papers


def _join(papers: Papers, site: str, fingerprint: str, *more: str) -> str:
    """Let one hospital join, and return the digits of its key."""
    home, post = papers.home(site), papers.folder / POST
    command(
        "site", "init", home, "--site", site, "--entity", site, "--epsilon", LIFETIME_EPSILON,
        "--profile", "none", *more,
    )  # fmt: skip
    token = post / f"{site}.token.json"
    command("federation", "add-site", papers.office, site, "--out", token)
    joining = told("site", "enrol", home, token, "--out", post)
    command("federation", "admit", papers.office, joining["answer"])
    issued = post / f"{site}.papers.json"
    command(
        "authority", "issue", papers.folder / AUTHORITY, joining["request"], "--digits", joining["digits"],
        "--out", issued,
    )  # fmt: skip
    command("site", "certify", home, issued, "--authority", fingerprint)
    return str(joining["digits"])


def load_all(papers: Papers, hospitals: Path) -> None:
    """Let each hospital load its tables from a folder of its name, with the ``map.toml`` there.

    Raises:
      FederationError: a hospital could not.
    """
    for site in papers.sites:
        raw = hospitals / site
        command("site", "load", papers.home(site), "--from", raw, "--mapping", raw / "map.toml")


def sign_roster(papers: Papers, sites: Sequence[str], out: Path) -> None:
    """Let the authority sign a roster of some of its hospitals.

    Raises:
      FederationError: it cannot be signed.
    """
    chosen = [word for site in sites for word in ("--site", site)]
    command("authority", "sign-roster", papers.folder / AUTHORITY, "--out", out, *chosen)


def approve_all(
    papers: Papers, study: Path, *, roster: Path | None = None, sites: Sequence[str] = ()
) -> None:
    """Sign a study with a key of its author's, and let each hospital's officer look at it and approve it.

    Args:
      papers: Who takes part.
      study: The study file.
      roster: Whom it is asked of; None takes everybody.
      sites: Who approves; empty for all.

    Raises:
      FederationError: somebody refused.
    """
    command("study", "sign", study, "--key", papers.folder / "author" / "author.pem")
    for site in sites or papers.sites:
        for word in ("check", "approve"):
            command("site", word, papers.home(site), study, "--roster", roster or papers.roster)
