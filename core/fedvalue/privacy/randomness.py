"""Where noise bits come from: the operating system in production, a seed in tests only.

Privacy noise has a source of its own type, so that a generator meant for tests, simulations or
bootstraps cannot reach a release. Both sources expand a key with AES-256 in counter mode; they differ
in whose key it is.

Forks and threads: `SystemNoise` keeps nothing between calls. Each call draws a fresh 256-bit key from
the operating system, uses it once and forgets it. Two threads, or a parent and its forked child, or a
machine and its restored snapshot, therefore never share a stream, and no key is left to be found in
memory. A fresh key costs about 10 microseconds, which vectorised callers do not notice.
"""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
from typing import Protocol, final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from fedvalue.errors import PrivacyError, UnsafeWarning

WORD_BYTES = 8
CHUNK_BYTES = 2**17
"""Key stream is made in pieces that stay in the processor's cache."""


class NoiseSource(Protocol):
    """Gives independent uniform 64-bit words."""

    @property
    def production(self) -> bool:
        """True only if nobody outside the process can repeat the words."""

    def words(self, count: int) -> NDArray[np.uint64]:
        """Return ``count`` independent uniform words, shape ``(count,)``; no word is ever given twice."""


@final
class SystemNoise:
    """The production source: AES-256-CTR under a fresh key of the operating system for each call."""

    __slots__ = ()

    @property
    def production(self) -> bool:
        """True: the only source that a site accepts."""
        return True

    def words(self, count: int) -> NDArray[np.uint64]:
        """Return ``count`` independent uniform words, shape ``(count,)``.

        Raises:
          PrivacyError: the operating system gives no randomness.
        """
        try:
            key = os.urandom(32)
        except (OSError, NotImplementedError) as error:
            raise PrivacyError(
                "the operating system gives no randomness",
                do="release nothing from this machine until it does",
            ) from error
        return _key_stream(_stream(key), count)


@final
class UnsafeSeededNoise:
    """A source that anybody who knows the seed can repeat; for tests of the mathematics only.

    A site refuses it unless its policy says that it protects nobody. Words come from one stream, in
    order, so a test that asks for the same words in the same order gets the same noise.
    """

    __slots__ = ("_lock", "_state")

    def __init__(self, seed: int) -> None:
        warnings.warn(
            "UnsafeSeededNoise protects nobody: whoever knows the seed can subtract the noise",
            UnsafeWarning,
            stacklevel=2,
        )
        self._state = _stream(hashlib.sha256(b"fedvalue unsafe seeded noise %d" % seed).digest())
        self._lock = threading.Lock()

    @property
    def production(self) -> bool:
        """False: never to be used on patients."""
        return False

    def words(self, count: int) -> NDArray[np.uint64]:
        """Return the next ``count`` words of the seed's stream, shape ``(count,)``."""
        with self._lock:
            return _key_stream(self._state, count)


def require_production(source: NoiseSource) -> None:
    """Refuse a source that could be repeated.

    Raises:
      PrivacyError: the source is any other type than `SystemNoise`, whatever it says of itself.
    """
    if not isinstance(source, SystemNoise):
        raise PrivacyError(
            f"{type(source).__name__} must not make noise for patients",
            do="use SystemNoise; a policy for simulated patients may allow an unsafe source",
        )


def _stream(key: bytes) -> CipherContext:
    # A zero nonce is right because no key is ever used for a second stream.
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()


def _key_stream(stream: CipherContext, count: int) -> NDArray[np.uint64]:
    if count < 0:
        raise PrivacyError(f"{count} words of noise were asked for", do="ask for none or more")
    out = bytearray(count * WORD_BYTES)
    view, zeros = memoryview(out), bytes(min(CHUNK_BYTES, len(out)))
    for start in range(0, len(out), CHUNK_BYTES):
        piece = view[start : start + CHUNK_BYTES]
        stream.update_into(zeros[: len(piece)], piece)
    # Little-endian on every machine, so that a seed means the same words everywhere.
    return np.frombuffer(out, dtype="<u8").astype(np.uint64, copy=False)
