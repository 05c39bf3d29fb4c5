"""What people say about a model: a small TOML file beside its evidence.

Purpose, limits and a reason for every variable are judgments; no evidence holds them. They are signed with
the package, in both languages, and a variable without a reason keeps the package from being made.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from fedvalue.errors import EvidenceError
from fedvalue.strategies.training.package.document import Check, Words
from fedvalue.study.model import Name, Part
from fedvalue.study.schema import Text
from fedvalue.study.toml import load_toml


class About(Part):
    """A model, in people's words.

    Attributes:
      name: Short name: lower-case letters, digits and hyphens.
      title: What it is.
      purpose: What it may be used for.
      limits: What it may not be used for, and what is not known.
      reasons: For every variable, why it is in the model.
      checks: Attacks that were run on it.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,62}$")
    title: Text
    purpose: Words
    limits: tuple[Words, ...] = Field(strict=False, min_length=1)
    reasons: dict[Name, Words]
    checks: tuple[Check, ...] = Field(default=(), strict=False)


def load_about(path: Path) -> About:
    """Read the file.

    Raises:
      EvidenceError: unreadable, not TOML, an unknown key, or a language that is missing.
    """
    return load_toml(
        path, About, failure=EvidenceError, what="what is said about the model",
        do="give name, title, purpose, limits and a reason for every variable, each in en and zh",
    )  # fmt: skip
