"""How counts and promises are shown to people, and the schema that programs read a package with."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from fedvalue.evidence.package import EvidencePackage
from fedvalue.planning.promises import Promise, three_promises


def banded(patients: float) -> str:
    """Return the band of a count for reports: ``<10``, ``10-19``, ``20-49``, ``50-99``, ``100-199``, ...

    Bands are 1-2-5 steps. They are for reading, not for protection: the released count is noisy already.

    Args:
      patients: A released count; may be negative.
    """
    count = math.floor(patients)
    if count < 10:
        return "<10"
    decade = 10 ** (len(str(count)) - 1)
    low, high = next((low, high) for low, high in ((5, 10), (2, 5), (1, 2)) if count >= low * decade)
    return f"{low * decade:,}-{high * decade - 1:,}"


def promises(package: EvidencePackage) -> tuple[Promise, ...]:
    """Return the three epsilons of a package in the order in which people are told.

    In a clear sum (`Unsafe`, simulations only) the coordinator sees every share; the other two promises are
    what a private sum would have given.
    """
    privacy, numbers = package.privacy, package.federation
    return three_promises(
        sites=numbers.n,
        colluding=numbers.c,
        promised=privacy.epsilon_promised,
        own_share=privacy.epsilon_own_share,
        no_collusion=privacy.epsilon_no_collusion,
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an evidence package."""
    schema = EvidencePackage.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "fedvalue.evidence/1", **schema}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), ensure_ascii=False, indent=1) + "\n")
