"""What every party of a Flower run agrees on before it: who takes part, and the ranges of what is summed.

Nothing in it depends on patients, and nothing in it is a default that somebody else may change: each party
makes its own from its own copy, and parties whose terms differ do not understand each other.

A value ``w`` of a site with ``n`` examples travels as the integer ``round(n w 2^b)`` in a ring of 64 bits.
With ``|w| <= B``, ``0 <= n <= N`` and ``S`` sites the sum stays in the ring iff ``S (N B 2^b + 1) < 2^63``;
the weighted mean is then wrong by at most ``2^-(b+1)``, because each site rounds by half a unit at most and
a site that rounds at all has an example.
"""

from __future__ import annotations

import hashlib
import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from fedvalue.errors import FederationError, PrivacyError, UnsafeWarning
from fedvalue.secure_sum.encoding import encode
from fedvalue.secure_sum.membership import Member, Membership
from fedvalue.secure_sum.specification import RING_BITS, ReleaseTerms
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.strategies.secure_aggregation.private_sum.agreed import Agreed
from fedvalue.study.roster import Roster

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
MOST_FRACTION_BITS = 52
"""A float64 has no more binary places after the first."""


@dataclass(frozen=True, slots=True)
class UnsafeExactSum:
    """Says by name that sums travel without noise; without it every party refuses.

    Secure aggregation hides each site's vector, not what the sum itself tells of a patient. A set of
    survivors other than the first one is refused, because two exact sums over different sites give the
    difference in clear.
    """

    def __post_init__(self) -> None:
        """Warn."""
        warnings.warn(
            "UnsafeExactSum adds no noise: the sum may tell of single patients", UnsafeWarning, stacklevel=3
        )


@dataclass(frozen=True, slots=True)
class SecureTerms:
    """The terms of one run.

    Attributes:
      run: Name of the run; a run on another set of sites needs another name.
      roster: Every site with its public key; the thresholds count its legal entities.
      train_metrics: Keys of the train function's metrics to be averaged; all others stay at the site.
      evaluate_metrics: The same for the evaluate function; without any, nothing is evaluated at sites.
      most_examples: N; a site with more examples counts as having N.
      largest: B; parameters and metrics are clipped to ``[-B, B]``.
      fraction_bits: b, binary places after the point.
      weighted_by_key: The metric that holds the number of examples.
      colluding: c; None takes ``max(1, floor(n / 5))``.
      dropouts: f; None takes ``max(1, floor(n / 10))``, and 0 at three sites.
    """

    run: str
    roster: Roster
    train_metrics: tuple[str, ...] = ()
    evaluate_metrics: tuple[str, ...] = ()
    most_examples: int = 2**20
    largest: float = 1024.0
    fraction_bits: int = 24
    weighted_by_key: str = "num-examples"
    colluding: int | None = None
    dropouts: int | None = None

    def __post_init__(self) -> None:
        """Refuse terms under which a sum could be wrong.

        Raises:
          FederationError: a name is none, or stands there twice.
          PrivacyError: the sum could leave the ring of 64 bits, or a range is none.
          TooFewSites: the roster cannot carry the thresholds.
          EntityRepeated: two sites of one legal entity.
        """
        if NAME.fullmatch(self.run) is None:
            raise FederationError("a run is named by letters, digits, dots and dashes", where=self.run[:40])
        for names in (self.train_metrics, self.evaluate_metrics):
            if isinstance(names, str) or len({*names, self.weighted_by_key}) != len(names) + 1:
                raise FederationError(
                    "metrics are named once each, in a tuple, without the number of examples",
                    where=str(names)[:80],
                    do=f"leave {self.weighted_by_key!r} out: it is always summed",
                )
        if not (self.most_examples >= 1 and math.isfinite(self.largest) and self.largest > 0):
            raise PrivacyError("most_examples is at least 1, and largest is a positive number")
        if not 0 <= self.fraction_bits <= MOST_FRACTION_BITS:
            raise PrivacyError(f"fraction_bits is 0 to {MOST_FRACTION_BITS}", where=str(self.fraction_bits))
        if len(self.roster.site) * (self.bound() + 1) >= 2 ** (RING_BITS - 1):
            raise PrivacyError(
                f"{len(self.roster.site)} sites with {self.most_examples} examples of up to {self.largest} "
                f"in steps of 2^-{self.fraction_bits} leave the ring of {RING_BITS} bits",
                where="SecureTerms",
                do="lower most_examples, largest or fraction_bits; log2 of their product with the number of "
                "sites must stay below 63",
            )
        self.membership()

    def bound(self) -> int:
        """Return the largest integer a site may send in a coordinate, ``ceil(N B 2^b (1 + 2^-52))``."""
        exact = Fraction(self.largest) * (self.most_examples << self.fraction_bits)
        # A product in float64 may round up by one part in 2^53.
        return math.ceil(exact * (1 + Fraction(1, 2**52)))

    def membership(self) -> Membership:
        """Return the sites and their thresholds."""
        members = tuple(Member(s.id, s.entity, bytes.fromhex(s.public_key)) for s in self.roster.site)
        limits = thresholds(len(members), colluding=self.colluding, dropouts=self.dropouts)
        return Membership(self.roster.digest(), members, limits)

    def metrics(self, kind: str) -> tuple[str, ...]:
        """Return the metrics that are averaged, of ``train`` or of ``evaluate``."""
        return self.train_metrics if kind == TRAIN else self.evaluate_metrics

    def digest(self) -> str:
        """Return the SHA-256 of all terms, 64 hexadecimal digits; it stands where a study's hash stands."""
        limits = self.membership().thresholds
        content = encode(
            "flower-run",
            self.run,
            self.roster.digest(),
            [limits.sites, limits.answers, limits.colluding],
            [list(self.train_metrics), list(self.evaluate_metrics), self.weighted_by_key],
            [self.most_examples, str(Fraction(self.largest)), self.fraction_bits],
        )
        return hashlib.sha256(content).hexdigest()

    def agreed(self, release: Callable[[str], ReleaseTerms], noise: UnsafeExactSum | None) -> Agreed:
        """Return the terms as the private sum needs them.

        Args:
          release: Gives a release by its label, as this party computes it.
          noise: What this party allows.
        """
        return Agreed(self.digest(), self.membership(), release, unsafe_exact=noise is not None)


TRAIN, EVALUATE = "train", "evaluate"
