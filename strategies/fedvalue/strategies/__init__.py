"""How a round runs over Flower: both halves of each method in one place.

What a Flower app of somebody else needs is exported here: a strategy around theirs, a mod for their
ClientApp, and the terms that both agree on. The names are found when they are asked for, because a site
that only wants the protocol should not import Flower's strategies.
"""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fedvalue.strategies.secure_aggregation.flower.client import SecureClient
    from fedvalue.strategies.secure_aggregation.flower.simulated import (
        UnsafeSimulatedSites,
        unsafe_simulated_roster,
    )
    from fedvalue.strategies.secure_aggregation.flower.strategy import SecureAggregation
    from fedvalue.strategies.secure_aggregation.flower.terms import SecureTerms, UnsafeExactSum

__all__ = [
    "SecureAggregation",
    "SecureClient",
    "SecureTerms",
    "UnsafeExactSum",
    "UnsafeSimulatedSites",
    "unsafe_simulated_roster",
]

_HOMES: Final = MappingProxyType(
    {
        "SecureAggregation": "strategy",
        "SecureClient": "client",
        "SecureTerms": "terms",
        "UnsafeExactSum": "terms",
        "UnsafeSimulatedSites": "simulated",
        "unsafe_simulated_roster": "simulated",
    }
)


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.secure_aggregation.flower.{home}"), name)
