"""The two sources of bits: which one is refused, and that no stream is ever shared."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from scipy import stats

from fedvalue.errors import PrivacyError, UnsafeWarning
from fedvalue.privacy import randomness
from fedvalue.privacy.randomness import NoiseSource, SystemNoise, UnsafeSeededNoise, require_production

MakeSeeded = Callable[[int], UnsafeSeededNoise]


def test_production_takes_the_system_source_and_refuses_the_seeded_one(seeded: MakeSeeded) -> None:
    require_production(SystemNoise())
    with pytest.raises(PrivacyError, match="UnsafeSeededNoise must not make noise for patients"):
        require_production(seeded(1))


def test_production_refuses_a_source_that_only_claims_to_be_fit() -> None:
    class Claims:
        production = True

        def words(self, count: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
            return np.zeros(count, dtype=np.uint64)

    source: NoiseSource = Claims()
    with pytest.raises(PrivacyError, match="Claims"):
        require_production(source)


def test_a_seeded_source_warns_where_it_is_made() -> None:
    with pytest.warns(UnsafeWarning, match="protects nobody") as caught:
        UnsafeSeededNoise(1)
    assert caught[0].filename == __file__


def test_only_the_system_source_says_it_is_fit_for_production(seeded: MakeSeeded) -> None:
    assert SystemNoise().production
    assert not seeded(1).production


def test_a_seed_means_the_same_words_whatever_the_portions(seeded: MakeSeeded) -> None:
    whole, parts = seeded(5), seeded(5)
    np.testing.assert_array_equal(
        whole.words(70_000), np.concatenate([parts.words(n) for n in (1, 0, 7, 49_992, 20_000)])
    )
    assert not np.array_equal(seeded(5).words(4), seeded(6).words(4))


def test_words_are_the_key_stream_of_aes_256_in_counter_mode() -> None:
    key = bytes(range(32))
    expected = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(8 * 40_000))
    words = randomness._key_stream(randomness._stream(key), 40_000)
    np.testing.assert_array_equal(words, np.frombuffer(expected, dtype="<u8"))
    # Little-endian: the first byte of the stream is the lowest byte of the first word.
    assert int(words[0]) & 0xFF == expected[0]


def test_words_have_the_shape_and_type_that_was_asked_for() -> None:
    for count in (0, 1, 16_384, 16_385, 100_000):
        words = SystemNoise().words(count)
        assert words.shape == (count,)
        assert words.dtype == np.uint64
    with pytest.raises(PrivacyError, match="-1 words"):
        SystemNoise().words(-1)


def test_every_byte_of_the_words_is_uniform(seeded: MakeSeeded) -> None:
    # Chi-square on 256 cells, 8e5 bytes; fixed seed, and another seed would fail once in 1e6.
    counts = np.bincount(seeded(11).words(100_000).view(np.uint8), minlength=256)
    assert stats.chisquare(counts).pvalue > 1e-6


def test_two_calls_and_two_sources_never_share_a_stream() -> None:
    source = SystemNoise()
    words = np.concatenate([source.words(1000), source.words(1000), SystemNoise().words(1000)])
    # 3000 words of 64 bits collide by chance with probability 3000^2 / 2^65 < 1e-12.
    assert len(np.unique(words)) == len(words)


def test_a_forked_child_and_its_parent_draw_different_words() -> None:
    source = SystemNoise()
    source.words(1000)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, source.words(1000).tobytes())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        theirs = np.frombuffer(pipe.read(), dtype=np.uint64)
    assert os.waitpid(child, 0)[1] == 0
    assert len(theirs) == 1000
    assert len(np.intersect1d(theirs, source.words(1000))) == 0


def test_threads_on_one_system_source_never_get_the_same_word() -> None:
    source = SystemNoise()
    with ThreadPoolExecutor(8) as pool:
        drawn = np.concatenate(list(pool.map(source.words, [500] * 80)))
    assert len(np.unique(drawn)) == 40_000


def test_threads_on_one_seeded_source_share_its_stream_without_tearing_it(seeded: MakeSeeded) -> None:
    source = seeded(3)
    with ThreadPoolExecutor(8) as pool:
        drawn = np.concatenate(list(pool.map(source.words, [500] * 80)))
    np.testing.assert_array_equal(np.sort(drawn), np.sort(seeded(3).words(40_000)))


def test_a_machine_without_randomness_releases_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(size: int) -> bytes:
        raise NotImplementedError

    monkeypatch.setattr(os, "urandom", broken)
    with pytest.raises(PrivacyError, match="no randomness"):
        SystemNoise().words(1)
