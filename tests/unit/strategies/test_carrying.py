"""Long pieces by hand are protobuf's bytes; whatever is not plainly one goes through protobuf."""

from __future__ import annotations

import random

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from fedvalue.protos.v1 import session_pb2 as pb
from fedvalue.strategies.secure_aggregation.carrying import (
    LONG,
    coordinator_says,
    from_site,
    site_says,
    to_site,
)
from fedvalue.strategies.secure_aggregation.pieces import Piece

SMALL = st.integers(0, 2**32 - 1)


@given(st.integers(0, 2**62), SMALL, SMALL, st.booleans(), st.sampled_from([0, 1, LONG, 3 * LONG]))
def test_a_piece_is_read_as_protobuf_reads_it(
    number: int, index: int, part: int, last: bool, size: int
) -> None:
    piece = Piece(number, index, part, last, bytes(size))
    said, asked = site_says(piece), coordinator_says(piece)
    for found in (pb.FromSite.FromString(said).answer, pb.ToSite.FromString(asked).question):
        assert (found.number, found.index, found.part, found.last) == (number, index, part, last)
        assert found.data == piece.data
    for read in (from_site(said), to_site(asked)):
        if size >= LONG:
            assert read == piece
        else:
            assert isinstance(read, pb.FromSite | pb.ToSite)


def test_what_protobuf_writes_is_read_and_the_data_is_not_copied() -> None:
    data = random.Random(1).randbytes(LONG)
    message = pb.FromSite(answer=pb.Piece(number=3, index=2, last=True, data=data, part=1))
    raw = message.SerializeToString()
    read = from_site(raw)
    assert read == Piece(3, 2, 1, True, data)
    assert isinstance(read, Piece)
    assert isinstance(read.data, memoryview)
    assert read.data.obj is raw
    assert from_site(site_says(message)) == read


@pytest.mark.parametrize("seed", range(60))
def test_spoiled_bytes_are_read_as_protobuf_reads_them_or_not_at_all(seed: int) -> None:
    rng = random.Random(seed)
    raw = bytearray(site_says(Piece(3, 2, 1, True, bytes(LONG))))
    for _ in range(rng.randrange(1, 4)):
        raw[rng.randrange(24)] ^= 1 << rng.randrange(8)
    data = bytes(raw) + (b"\x12\x00" if seed % 3 == 0 else b"")
    try:
        wanted = pb.FromSite.FromString(data)
    except DecodeError:
        with pytest.raises(DecodeError):
            _ = from_site(data)
        return
    read = from_site(data)
    if isinstance(read, Piece):
        meant = wanted.answer
        assert (read.number, read.index, read.part, read.last, bytes(read.data)) == (
            meant.number, meant.index, meant.part, meant.last, meant.data
        )  # fmt: skip
    else:
        assert read == wanted
