"""One unambiguous byte string for a list of values: what the private sum hashes and signs.

Wire messages are protobuf, whose bytes are not canonical. Each value here carries its kind and its
length, so that no two different lists have the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Value: TypeAlias = "bytes | str | int | Sequence[Value]"


def encode(*values: Value) -> bytes:
    """Return the canonical bytes of ``values``.

    Each is written as a letter for its kind (``b`` bytes, ``s`` text in UTF-8, ``i`` integer in decimal,
    ``l`` list), its length in 8 bytes big-endian (for a list the number of items), and its content.
    """
    out = bytearray()
    for value in values:
        _write(out, value)
    return bytes(out)


def _write(out: bytearray, value: Value) -> None:
    if isinstance(value, bytes):
        kind, content = b"b", value
    elif isinstance(value, str):
        kind, content = b"s", value.encode()
    elif isinstance(value, int):
        kind, content = b"i", b"%d" % value
    else:
        out += b"l" + len(value).to_bytes(8, "big")
        for item in value:
            _write(out, item)
        return
    out += kind + len(content).to_bytes(8, "big") + content
