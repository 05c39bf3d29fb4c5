"""Masks: pseudo-random vectors that are added to a share and cancel in the sum, modulo 2^64.

The work goes chunk by chunk through all streams, so that a chunk of the vector stays in the processor's
cache while every peer's stream passes over it. Each stream is opened once and its key is never used
again. Words are little-endian on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedvalue.errors import VectorInvalid
from fedvalue.secure_sum.suite import CryptoSuite

WORD = np.dtype("<u8")
Words: TypeAlias = NDArray[np.uint64]
CHUNK_BYTES = 2**17
"""Between 64 and 256 KB: a whole-vector call falls out of the cache, a short one pays for its start."""


@dataclass(frozen=True, slots=True)
class Mask:
    """One pseudo-random vector.

    Attributes:
      key: Key of its stream, 32 bytes, used once ever.
      add: True to add it, False to subtract it.
    """

    key: bytes
    add: bool


def apply(suite: CryptoSuite, masks: Sequence[Mask], vector: Words) -> None:
    """Add and subtract masks in place, modulo 2^64.

    Args:
      suite: Makes the streams.
      masks: The masks; every machine gives the same words for a key.
      vector: Little-endian 64-bit words, contiguous and writable, shape ``(d,)``.

    Raises:
      VectorInvalid: the vector has another type or layout.
    """
    if (
        vector.dtype != WORD
        or vector.ndim != 1
        or not vector.flags.c_contiguous
        or not vector.flags.writeable
    ):
        raise VectorInvalid("masks go on contiguous little-endian 64-bit words in place")
    if not len(vector):
        return
    words = min(CHUNK_BYTES // WORD.itemsize, len(vector))
    buffer = np.empty(words, dtype=WORD)
    raw, zeros = buffer.data.cast("B"), bytes(words * WORD.itemsize)
    streams = [(suite.stream(mask.key).update_into, np.add if mask.add else np.subtract) for mask in masks]
    for start in range(0, len(vector), words):
        piece = vector[start : start + words]
        if len(piece) < words:
            raw, zeros, buffer = raw[: piece.nbytes], zeros[: piece.nbytes], buffer[: len(piece)]
        for update_into, combine in streams:
            update_into(zeros, raw)
            combine(piece, buffer, out=piece)


def words_of(values: NDArray[np.int64]) -> Words:
    """Return signed integers as ring words, a copy that may be masked in place, shape ``(d,)``."""
    return values.astype("<i8").view(WORD)


def integers_of(words: Words) -> NDArray[np.int64]:
    """Return ring words as signed integers from -2^63 to 2^63 - 1, shape ``(d,)``."""
    return words.view("<i8").astype(np.int64)
