"""Which payment standards a study may move, and with what: the ``[[payments]]`` of a study file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from fedvalue.study.mechanisms import MechanismName
from fedvalue.study.model import Line, Part

_NAMED = re.compile(r"\s*([a-z][a-z0-9_]{0,39})\s*:(.*)")


@dataclass(frozen=True, slots=True)
class Use:
    """One group of one endpoint.

    Attributes:
      endpoint: The endpoint.
      levels: Variable to level; empty for all patients.
      text: As the study has it.
    """

    endpoint: str
    levels: Mapping[str, str]
    text: str


class Payment(Part):
    """A payment standard that this study may move.

    Attributes:
      standard: Path of the standard, such as ``lung/egfr_tki_outcome_linked``.
      mechanism: Name of the payment mechanism.
      purpose: ``set``: estimates and probabilities. Settling never goes through a study.
      uses: ``endpoint | variable=level, ...``: the stratum that decides. A standard that reads several
        quantities takes one for each, by name: ``control: hba1c | tier=low; admissions: admitted |
        tier=low``.
    """

    standard: str = Field(pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)+$")
    mechanism: MechanismName
    purpose: Literal["set"]
    uses: Line

    @model_validator(mode="after")
    def _uses_parse(self) -> Payment:
        _ = self.used
        return self

    @property
    def used(self) -> dict[str, Use]:
        """What the study gives, by the name of the quantity; ``""`` names the only one.

        Raises:
          ValueError: a part is not ``name: endpoint | variable=level``, or a name stands twice.
        """
        found: dict[str, Use] = {}
        parts = [part for part in self.uses.split(";") if part.strip()]
        for part in parts:
            named = _NAMED.fullmatch(part)
            name, text = (named[1], named[2].strip()) if named else ("", part.strip())
            if name in found or (len(parts) > 1 and not name):
                raise ValueError(
                    f"uses: {part.strip()!r} needs a name of its own: several uses are name: endpoint"
                )
            found[name] = Use(text.partition("|")[0].strip(), _levels(text), text)
        if not found:
            raise ValueError("uses: names no endpoint")
        return found

    @property
    def endpoint(self) -> str:
        """The endpoint that ``uses`` names first."""
        return next(iter(self.used.values())).endpoint

    @property
    def stratum(self) -> dict[str, str]:
        """Variable to level of the first use; empty for all patients."""
        return dict(next(iter(self.used.values())).levels)


def _levels(text: str) -> dict[str, str]:
    levels: dict[str, str] = {}
    for part in (part.strip() for part in text.partition("|")[2].split(",") if part.strip()):
        variable, equals, level = part.partition("=")
        if not equals or not level.strip() or variable.strip() in levels:
            raise ValueError(f"uses: {part!r} is not variable=level")
        levels[variable.strip()] = level.strip()
    return levels
