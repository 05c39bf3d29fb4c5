"""The contract is prose, every field of it, and nothing is lost on the way through it."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from fedvalue.errors import MessageInvalid, ReplyInvalid
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.strategies.secure_aggregation.private_sum import wire
from tests.sum_attacker import Attacker
from tests.sum_federation import Federation


def lines(repository: Path) -> list[str]:
    return (repository / "protos/fedvalue/protos/v1/private_sum.proto").read_text().splitlines()


def test_every_message_and_every_field_has_a_sentence(repository: Path) -> None:
    found = lines(repository)
    bare = [
        line.strip()
        for before, line in itertools.pairwise(found)
        if re.match(r"message |  [a-zA-Z ]+ = \d+;|  (repeated )?\w+ \w+ = \d+;", line)
        and not re.search(r"^ *// .*[.?;,\w]$", before)
    ]
    assert bare == []


def test_the_generated_messages_are_those_of_the_contract(repository: Path) -> None:
    text = "\n".join(lines(repository))
    written = {
        name: re.findall(r"(\w+) = (\d+);", body)
        for name, body in re.findall(r"message (\w+) \{(.*?)\n\}", text, flags=re.DOTALL)
    }
    generated = {
        name: [(field.name, str(field.number)) for field in message.fields]
        for name, message in pb.DESCRIPTOR.message_types_by_name.items()
    }
    assert generated == written


def test_values_come_back_from_the_wire_as_they_went() -> None:
    federation = Federation(4)
    attacker = Attacker(federation)
    own = attacker.specification(2, attempt=3)
    assert wire.specification_of(wire.specification_message(own)) == own
    assert wire.settings_of(wire.settings_message(own.settings)) == own.settings
    for advert in attacker.epoch.keys.adverts.values():
        again = wire.advert_of(wire.advert_message(advert))
        assert (again, again.signature) == (advert, advert.signature)
    for entry in attacker.vectors(own).values():
        assert wire.input_of(wire.input_message(entry)) == entry


@pytest.mark.parametrize("failure", [MessageInvalid, ReplyInvalid])
def test_unknown_fields_are_refused_at_every_depth(failure: type[MessageInvalid | ReplyInvalid]) -> None:
    unknown = b"\xfa\x01\x01a"  # field 31, one byte
    inner = pb.EpochSettings(suite="intl-1").SerializeToString() + unknown
    nested = b"\x0a" + bytes([len(inner)]) + inner
    for payload in (unknown, nested):
        with pytest.raises(failure, match="does not know"):
            wire.parse(pb.KeysRequest, payload, failure)


def test_one_owner_has_one_share_of_one_holder() -> None:
    twice = wire.shares_message([("a", b"1"), ("a", b"2")])
    with pytest.raises(ReplyInvalid):
        wire.shares_of(twice, "holder")
