"""Which Flower bundles a site lets in: a second lock behind the SuperLink's door.

A bundle is a zip file that the SuperLink hands out with a run. Whoever can submit a run chooses it. Our
worker takes no program from any bundle, so the list decides whether the site talks to a run at all.
"""

from __future__ import annotations

import hashlib
import io
import tomllib
import zipfile
from dataclasses import dataclass

from fedvalue.client.running.settings import NAMES_ONLY
from fedvalue.errors import BundleRefused

CLIENT_APP = "fedvalue.client.app:app"
"""The ClientApp that our own bundle names."""

PLAIN = (".md", ".txt", ".rst")
"""What a bundle of names may hold beside its manifest and its settings."""

SETTINGS, MANIFEST = "pyproject.toml", ".info/CONTENT"
MOST_BYTES, MOST_FILES, MOST_SETTINGS = 10_000_000, 1000, 262_144


@dataclass(frozen=True, slots=True)
class BundleList:
    """What a site lets in.

    Attributes:
      allowed: ``names-only``, and SHA-256 digests; empty lets nothing in.
    """

    allowed: frozenset[str]

    def require(self, content: bytes) -> str:
        """Refuse a bundle that is not on the list; nothing of it is unpacked to disk or run.

        Args:
          content: The bundle, a zip file.

        Returns:
          Its SHA-256.

        Raises:
          BundleRefused: it is not on the list.
        """
        digest = hashlib.sha256(content).hexdigest()
        if digest in self.allowed:
            return digest
        if NAMES_ONLY not in self.allowed:
            raise BundleRefused(f"the bundle {digest} is not on this site's list", where="serve.toml bundles")
        strange = _more_than_names(content)
        if strange:
            raise BundleRefused(f"the bundle {digest} {strange}", where="serve.toml bundles")
        return digest


def _more_than_names(content: bytes) -> str:
    """Say why a bundle is more than names; empty if it is not."""
    if len(content) > MOST_BYTES:
        return "is too large"
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as opened:
            names = [member.filename for member in opened.infolist()]
            extra = [name for name in names if name not in {SETTINGS, MANIFEST} and not _plain(name)]
            if extra or len(names) > MOST_FILES or len(set(names)) != len(names):
                return "carries more than names"
            if opened.getinfo(SETTINGS).file_size > MOST_SETTINGS:
                return "has too many settings"
            with opened.open(SETTINGS) as settings:
                found = tomllib.loads(settings.read(MOST_SETTINGS).decode("utf-8"))
        named = found["tool"]["flwr"]["app"]["components"]["clientapp"]
    except Exception:  # a hostile zip file or TOML fails in any way it likes
        return "cannot be read"
    return "" if named == CLIENT_APP else "names another ClientApp"


def _plain(name: str) -> bool:
    return name.endswith(PLAIN) and ".." not in name
