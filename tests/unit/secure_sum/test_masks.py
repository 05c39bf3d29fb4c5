"""Masks cancel, and the fast way gives what the obvious way gives."""

from __future__ import annotations

import os

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from fedvalue.errors import VectorInvalid
from fedvalue.secure_sum import masks
from fedvalue.secure_sum.masks import Mask
from fedvalue.secure_sum.suite import Intl1

SUITE = Intl1()
WORDS = masks.CHUNK_BYTES // 8


def obvious(key: bytes, d: int) -> NDArray[np.uint64]:
    """The whole mask at once, from the whole key stream."""
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(8 * d))
    return np.frombuffer(stream, dtype="<u8")


@pytest.mark.parametrize("d", [0, 1, 7, WORDS - 1, WORDS, WORDS + 1, 2 * WORDS + 5])
def test_chunks_give_the_same_words_as_the_whole_stream(d: int) -> None:
    keys = [os.urandom(32) for _ in range(3)]
    start = np.arange(d, dtype="<u8")
    found = start.copy()
    masks.apply(SUITE, [Mask(keys[0], True), Mask(keys[1], False), Mask(keys[2], True)], found)
    wanted = start + obvious(keys[0], d) - obvious(keys[1], d) + obvious(keys[2], d)
    np.testing.assert_array_equal(found, wanted)


def test_what_is_added_can_be_subtracted() -> None:
    values = np.array([-(2**63), -1, 0, 1, 2**63 - 1], dtype=np.int64)
    words = masks.words_of(values)
    key = os.urandom(32)
    masks.apply(SUITE, [Mask(key, True)], words)
    assert (masks.integers_of(words) != values).all()  # five words of 64 bits each: one chance in 2^61
    masks.apply(SUITE, [Mask(key, False)], words)
    np.testing.assert_array_equal(masks.integers_of(words), values)


def test_masks_are_not_put_on_what_would_be_a_copy() -> None:
    frozen = np.zeros(4, dtype="<u8")
    frozen.flags.writeable = False
    for wrong in (
        np.zeros(8, dtype="<u8")[::2],
        np.zeros(4, dtype="<i8"),
        np.zeros((2, 2), dtype="<u8"),
        frozen,
    ):
        with pytest.raises(VectorInvalid):
            masks.apply(SUITE, [], wrong)


def test_the_words_of_a_mask_are_uniform() -> None:
    # chi-square of the top byte over 2^16 words, 255 degrees of freedom: above 347.7 once in 10,000 runs
    # for a uniform stream; the key is fixed, so that the test never fails by chance.
    words = np.zeros(2**16, dtype="<u8")
    masks.apply(SUITE, [Mask(bytes(range(32)), True)], words)
    counts = np.bincount((words >> np.uint64(56)).astype(np.int64), minlength=256)
    assert ((counts - 256.0) ** 2 / 256.0).sum() < 347.7
