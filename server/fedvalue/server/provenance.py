"""Which programs made the evidence."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import fedvalue
from fedvalue.evidence.package import Code

VOCABULARY = "fedvalue-canonical/1"
"""Version of the canonical tables and codes that mappings lead to."""


def installed_code() -> Code:
    """Return the version of the distribution and the SHA-256 over its Python sources, by name and content."""
    try:
        number = version("fedvalue")
    except PackageNotFoundError:
        number = "not installed"
    running = hashlib.sha256()
    for root in sorted(Path(folder) for folder in fedvalue.__path__):
        for source in sorted(root.rglob("*.py")):
            running.update(source.relative_to(root).as_posix().encode() + b"\0")
            running.update(hashlib.sha256(source.read_bytes()).digest())
    return Code(version=number, digest=running.hexdigest())
