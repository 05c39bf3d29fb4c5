"""Every site of a secured run in one process: for simulations, Flower's or ours.

The identity keys are made from the sites' names, so that the processes of a simulation agree on them and
anybody can make them. What protects a run, the secrets of each epoch, is drawn fresh and lives in one
`Participant` for each site, in the object that the app's ClientApp holds.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
from dataclasses import dataclass
from functools import partial
from typing import final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Context

from fedvalue.errors import SiteNotOnRoster, UnsafeWarning
from fedvalue.strategies.secure_aggregation.flower.elsewhere import BySite, SitesService
from fedvalue.strategies.secure_aggregation.flower.participant import Answer, Participant
from fedvalue.strategies.secure_aggregation.flower.terms import SecureTerms, UnsafeExactSum
from fedvalue.strategies.secure_aggregation.private_sum.journal import UnsafeMemoryJournal
from fedvalue.study.roster import Roster, Site

PARTITION = "partition-id"
"""What Flower's simulation engine says to a node of itself, from 0."""


def unsafe_simulated_roster(sites: int) -> Roster:
    """Return a roster of ``sites`` made-up hospitals whose keys anybody can make.

    Args:
      sites: n, 3 to 200.
    """
    return Roster(site=tuple(_site(number) for number in range(sites)))


@dataclass(slots=True)
class UnsafeLatestReplyJournal(UnsafeMemoryJournal):
    """Keeps one reply: a masked vector is as large as a model, and a run has one in every round.

    A site refuses to repeat a reply that is gone; it never makes another one in its place.
    """

    def store(self, epoch: str, number: int, step: str, reply: bytes) -> None:
        """Keep the one reply, and drop the one before."""
        with self.lock:
            kept = self.replies.get((epoch, number, step), reply)
            self.replies.clear()
            self.replies[epoch, number, step] = kept


@dataclass(frozen=True, slots=True)
class SimulatedNode:
    """Finds a node's site by its ``partition-id``, in this process or in the one that holds the sites.

    Attributes:
      sites: How many there are.
      answer: Gives the answer of a site.
    """

    sites: int
    answer: BySite

    def __call__(self, context: Context) -> Answer:
        """Return the way to the site that a node plays.

        Raises:
          SiteNotOnRoster: the node's configuration has no ``partition-id``, or one past the roster.
        """
        number = context.node_config.get(PARTITION)
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < self.sites:
            raise SiteNotOnRoster(
                f"the node plays none of the {self.sites} simulated sites",
                where=PARTITION,
                do="make the roster as large as the simulation's number of nodes",
            )
        return partial(self.answer, number)


@final
class UnsafeSimulatedSites:
    """All sites of a roster made by `unsafe_simulated_roster`.

    The sites live in the process that made this object; a copy in another process asks them there.
    """

    def __init__(self, terms: SecureTerms, noise: UnsafeExactSum | None = None) -> None:
        """Sites that have answered nothing yet.

        Args:
          terms: The run's terms.
          noise: None refuses every sum without noise.

        Raises:
          SiteNotOnRoster: the roster is of other sites than simulated ones.
        """
        warnings.warn(
            "UnsafeSimulatedSites holds every site's key in one process", UnsafeWarning, stacklevel=2
        )
        if terms.roster.digest() != unsafe_simulated_roster(len(terms.roster.site)).digest():
            raise SiteNotOnRoster(
                "the roster is not one of simulated sites", do="make it with unsafe_simulated_roster(n)"
            )
        self._sites = [
            Participant(_name(number), _key(number), terms, noise, UnsafeLatestReplyJournal())
            for number in range(len(terms.roster.site))
        ]
        self._node = SimulatedNode(len(self._sites), self._answer)
        self._service: SitesService | None = None
        self._lock = threading.Lock()

    def __call__(self, context: Context) -> Answer:
        """Return the way to the site that a node plays; see `SimulatedNode`."""
        return self._node(context)

    def __reduce__(self) -> tuple[type[SimulatedNode], tuple[int, BySite]]:
        """Copy as a way back to this process: a copied site would have half of the secrets."""
        with self._lock:
            self._service = self._service or SitesService(self._answer)
            return SimulatedNode, (len(self._sites), self._service.address.answer)

    def _answer(self, number: int, step: str, payload: bytes) -> bytes:
        if not 0 <= number < len(self._sites):
            raise SiteNotOnRoster("there is no such simulated site", where=str(number))
        return self._sites[number].answer(step, payload)


def _name(number: int) -> str:
    return f"site-{number:03d}"


def _key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(
        hashlib.sha256(b"fedvalue simulated " + _name(number).encode()).digest()
    )


def _site(number: int) -> Site:
    public = _key(number).public_key().public_bytes_raw().hex()
    return Site(
        id=_name(number),
        entity=f"Simulated hospital {number}",
        operator="simulation",
        public_key=public,
        officer_key=public,
    )
