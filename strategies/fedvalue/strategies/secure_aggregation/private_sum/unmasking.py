"""Coordinator half of the last step: rebuild seeds from shares, check each, take the masks off the sum.

Every rebuilt secret is checked against what its owner published in the epoch's key list, so a wrong share
cannot change a sum in silence: other holders are tried, and the share that does not lie on the
polynomial is noted with its holder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, islice

from fedvalue.errors import ShareInvalid
from fedvalue.secure_sum import masks
from fedvalue.secure_sum.epoch import pair_mask_key, self_mask_key
from fedvalue.secure_sum.key_list import KeyList, seed_hash
from fedvalue.secure_sum.masks import Mask
from fedvalue.secure_sum.shamir import Weights
from fedvalue.secure_sum.suite import CryptoSuite

MOST_SUBSETS = 500
"""How many sets of holders are tried for one secret before its owner is held to have shared wrongly."""


@dataclass(slots=True)
class Rebuilding:
    """Rebuilds secrets from one round's shares.

    A share that does not fit may be its holder's lie, or what a lying owner gave to an honest holder; the
    two look the same. So whoever is accused is asked last and never put aside, and only a holder whose
    shares do not fit for more owners than may collude is proven to lie.

    Attributes:
      threshold: t.
      points: Site to its number in Shamir's sharing.
      holders: Sites that released shares, in the order of ids.
      accused: Holder to the owners of whose secrets its share did not fit.
    """

    threshold: int
    points: Mapping[str, int]
    holders: list[str]
    accused: dict[str, set[str]] = field(default_factory=dict)
    _weights: dict[tuple[tuple[str, ...], int], Weights] = field(default_factory=dict)

    def secret(self, owner: str, shares: Mapping[str, bytes], right: Callable[[bytes], bool]) -> bytes:
        """Return the secret of ``owner``.

        Args:
          owner: Whose it is.
          shares: Holder to its share.
          right: Tells whether a candidate is what the owner published.

        Raises:
          ShareInvalid: no set of holders that was tried gives it; the owner shared wrongly, or too many lie.
        """
        order = sorted(self.holders, key=lambda holder: len(self.accused.get(holder, ())))
        first = order[: self.threshold]
        found = self._combined(self._of(first), shares)
        if found is not None and right(found):
            self._accuse(owner, first, [holder for holder in order if holder in self.accused], shares)
            return found
        for chosen in self._others(order):
            found = self._combined(Weights.of([self.points[holder] for holder in chosen]), shares)
            if found is not None and right(found):
                self._weights.clear()
                self._accuse(owner, chosen, order, shares)
                return found
        raise ShareInvalid("the shares of a secret do not give it", where=owner)

    def proven(self, colluding: int) -> set[str]:
        """Return the holders whose shares did not fit for more than ``colluding`` owners."""
        return {holder for holder, owners in self.accused.items() if len(owners) > colluding}

    def _others(self, order: list[str]) -> Iterator[list[str]]:
        """Sets of t holders, those that leave out any one liar first, then any two, any three, ...

        To leave out any k, the holders are cut into runs of ``spare / k`` and every k runs are left out
        once: 190 sets for two liars among 200 holders of whom 20 are spare, where pairs would be 19,900.
        """
        spare = len(order) - self.threshold

        def without(out: tuple[list[str], ...]) -> list[str]:
            gone = {holder for run in out for holder in run}
            return [holder for holder in order if holder not in gone][: self.threshold]

        def runs(length: int) -> list[list[str]]:
            return [order[start : start + length] for start in range(0, len(order), length)]

        sets = (without(out) for k in range(1, spare + 1) for out in combinations(runs(spare // k), k))
        return islice(sets, MOST_SUBSETS)

    def _accuse(self, owner: str, honest: list[str], whom: list[str], shares: Mapping[str, bytes]) -> None:
        for holder in whom:
            if holder not in honest:
                fits = self._combined(self._of(honest, at=self.points[holder]), shares)
                if fits != shares[holder]:
                    self.accused.setdefault(holder, set()).add(owner)

    def _of(self, holders: list[str], at: int = 0) -> Weights:
        """Weights are made once for a set of holders: most secrets take the same."""
        key = (tuple(holders), at)
        if key not in self._weights:
            self._weights[key] = Weights.of([self.points[holder] for holder in holders], at=at)
        return self._weights[key]

    def _combined(self, weights: Weights, shares: Mapping[str, bytes]) -> bytes | None:
        try:
            return weights.combine({self.points[holder]: share for holder, share in shares.items()})
        except ShareInvalid:
            return None


@dataclass(frozen=True, slots=True)
class Revealed:
    """What one survivor released.

    Attributes:
      self_masks: Survivor to the share of its seed.
      mask_keys: Lost member to the share of its mask secret.
    """

    self_masks: Mapping[str, bytes] = field(repr=False)
    mask_keys: Mapping[str, bytes] = field(repr=False)


def take_off(
    suite: CryptoSuite,
    keys: KeyList,
    *,
    number: int,
    question: bytes,
    survivors: tuple[str, ...],
    lost: tuple[str, ...],
    revealed: Mapping[str, Revealed],
    rebuilding: Rebuilding,
    total: masks.Words,
) -> None:
    """Take every mask that does not cancel off the sum, in place.

    Args:
      suite: Crypto suite.
      keys: The epoch's key list.
      number: Round.
      question: h.
      survivors: U3, whose vectors are in the sum; their self-masks are taken off.
      lost: Members outside U3; what the survivors share with them is taken off.
      revealed: Holder to what it released, at least t of them.
      rebuilding: Of these holders; its ``accused`` grow.
      total: Sum of the survivors' masked vectors, shape ``(d,)``.

    Raises:
      ShareInvalid: a secret cannot be rebuilt; the error names its owner.
    """
    settings, pads = keys.settings, []
    for owner in survivors:
        wanted = keys.adverts[owner].rounds[number - 1].seed_hash
        seed = rebuilding.secret(
            owner,
            {holder: given.self_masks[owner] for holder, given in revealed.items()},
            lambda s, o=owner, w=wanted: seed_hash(suite, settings, o, number, s) == w,  # type: ignore[misc]  # bound now
        )
        pads.append(Mask(self_mask_key(suite, settings, owner, number, question, seed), False))
    for owner in lost:
        public = keys.adverts[owner].rounds[number - 1].mask_key
        secret = rebuilding.secret(
            owner,
            {holder: given.mask_keys[owner] for holder, given in revealed.items()},
            lambda s, p=public: suite.agreement_key(s).public == p,  # type: ignore[misc]  # bound now
        )
        half = suite.agreement_key(secret)
        for survivor in survivors:
            key = pair_mask_key(keys, owner, survivor, number, question, half)
            # The survivor added it if it stands first: what was added is subtracted.
            pads.append(Mask(key, not survivor < owner))
    masks.apply(suite, pads, total)
