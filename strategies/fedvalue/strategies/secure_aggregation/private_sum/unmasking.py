"""Coordinator half of the last step: rebuild seeds from shares, check each, take the masks off the sum.

Every rebuilt secret is checked against what its owner published in the epoch's key list, so a wrong share
cannot change a sum in silence: other holders are tried, and the share that does not lie on the
polynomial names its sender.
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

    Attributes:
      threshold: t.
      points: Site to its number in Shamir's sharing.
      holders: Sites that released shares and have not lied, in the order of ids.
      liars: Sites whose shares did not fit.
    """

    threshold: int
    points: Mapping[str, int]
    holders: list[str]
    liars: set[str] = field(default_factory=set)
    _weights: Weights | None = None

    def secret(self, owner: str, shares: Mapping[str, bytes], right: Callable[[bytes], bool]) -> bytes:
        """Return the secret of ``owner``.

        Args:
          owner: Whose it is.
          shares: Holder to its share.
          right: Tells whether a candidate is what the owner published.

        Raises:
          ShareInvalid: no set of holders that was tried gives it; the owner shared wrongly, or too many lie.
        """
        if self._weights is None:
            self._weights = self._of(self.holders[: self.threshold])
        found = self._combined(self._weights, shares)
        if found is not None and right(found):
            return found
        for chosen in self._others():
            weights = self._of(chosen)
            found = self._combined(weights, shares)
            if found is not None and right(found):
                self._name_liars(chosen, shares)
                return found
        raise ShareInvalid("the shares of a secret do not give it", where=owner)

    def _others(self) -> Iterator[list[str]]:
        """Sets of t holders, those that leave out any one liar first, then any two, any three, ...

        To leave out any k, the holders are cut into runs of ``spare / k`` and every k runs are left out
        once: 190 sets for two liars among 200 holders of whom 20 are spare, where pairs would be 19,900.
        """
        spare = len(self.holders) - self.threshold
        sets = (
            [holder for holder in self.holders if holder not in set().union(*out)][: self.threshold]
            for liars in range(1, spare + 1)
            for out in combinations(self._runs(spare // liars), liars)
        )
        return islice(sets, MOST_SUBSETS)

    def _runs(self, length: int) -> list[list[str]]:
        return [self.holders[start : start + length] for start in range(0, len(self.holders), length)]

    def _name_liars(self, honest: list[str], shares: Mapping[str, bytes]) -> None:
        for holder in [h for h in self.holders if h not in honest]:
            fits = Weights.of([self.points[h] for h in honest], at=self.points[holder])
            if self._combined(fits, shares) != shares[holder]:
                self.liars.add(holder)
                self.holders.remove(holder)
        self._weights = None

    def _of(self, holders: list[str]) -> Weights:
        return Weights.of([self.points[holder] for holder in holders])

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
      rebuilding: Of these holders; its ``liars`` grow.
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
