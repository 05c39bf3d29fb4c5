"""Identity keys that are worth a signature: on the curve, of high order, in their one spelling.

Josefsson, S., Liusvaara, I. Edwards-curve digital signature algorithm (EdDSA). RFC 8032, section 5.1.
"""

from __future__ import annotations

import re

from fedvalue.errors import KeyWeak

_PRIME = 2**255 - 19
_D = -121665 * pow(121666, -1, _PRIME) % _PRIME
_ORDER_8 = (
    2707385501144840649318225287225658788936804267575313519463743609750303402022,
    55188659117513257062467267217118295137698188065244968500265048394206261417927,
)
_LOW_ORDER = frozenset({0, 1, _PRIME - 1, *_ORDER_8})
"""The y of every point of order 1, 2, 4 or 8 of edwards25519 (RFC 8032, section 5.1)."""

_HEX = re.compile(r"[0-9a-f]{64}")


def require_sound_key(public_key: str, *, where: str) -> str:
    """Return an Ed25519 public key that only its holder signs for, and that has one spelling.

    Under a key of low order anybody's signature verifies; RFC 8032 decoding leaves both checks to the caller.

    Args:
      public_key: 64 hexadecimal digits.
      where: Names it in the error.

    Raises:
      KeyWeak: low order, not canonical, or no point of the curve.
    """
    encoded = int.from_bytes(bytes.fromhex(public_key), "little") if _HEX.fullmatch(public_key) else _PRIME
    y = encoded & ((1 << 255) - 1)
    u, v = (y * y - 1) % _PRIME, (_D * y * y + 1) % _PRIME
    # x^2 = u / v has a root iff u v is a square (Euler); v is never 0 on this curve.
    on_curve = pow(u * v, (_PRIME - 1) // 2, _PRIME) in (0, 1)
    if y >= _PRIME or y in _LOW_ORDER or not on_curve:
        raise KeyWeak(
            "the identity key is of low order, not canonical, or no key", where=where, do="make a new key"
        )
    return public_key
