"""The names of Flower that are not public, and what we rely on. When this fails, look at wire.py first."""

from __future__ import annotations

import subprocess
import sys

import flwr
import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from fedvalue.quiet import quiet_environment
from fedvalue.server.grids import wire

UNSET = """
from flwr.app import Message, RecordDict
try:
    Message(RecordDict(), 7, "query")
except RuntimeError as error:
    print(error)
"""


def test_flower_is_a_release_that_this_was_read_against() -> None:
    # 1.41 and 1.42 were read; another release needs wire.py and local.py read against it again.
    assert flwr.__version__.split(".")[:2] in (["1", "41"], ["1", "42"])


def test_a_process_without_identity_cannot_make_a_message() -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNSET], env=quiet_environment(), capture_output=True, text=True, check=True
    )
    assert "is not set" in done.stdout  # if this fails, Flower no longer needs take_identity


def test_the_identity_taken_is_the_one_messages_carry() -> None:
    wire.take_identity(41)
    message = Message(RecordDict(), 7, "query.enrol")
    assert (message.metadata.run_id, message.metadata.src_node_id, message.metadata.dst_node_id) == (41, 1, 7)
    wire.take_identity(1)


def test_a_message_has_no_name_until_it_is_given_one() -> None:
    wire.take_identity(1)
    message = Message(RecordDict(), 7, "query")
    assert message.metadata.message_id == ""
    wire.name_message(message, "1-1")
    assert message.metadata.message_id == "1-1"
    assert Message(RecordDict(), reply_to=message).metadata.reply_to_message_id == "1-1"


def test_the_numbers_of_errors_and_of_the_superlink_are_the_documented_ones() -> None:
    codes = wire.ErrorCode
    assert wire.SUPERLINK_NODE_ID == 1
    assert codes.CLIENT_APP_RAISED_EXCEPTION == 2
    assert (codes.MESSAGE_UNAVAILABLE, codes.NODE_UNAVAILABLE, codes.CLIENT_APP_CRASHED) == (3, 5, 8)


def content() -> RecordDict:
    words = np.array([0, 1, 2**63, 2**64 - 1], dtype=np.uint64)
    return RecordDict(
        {
            "empty": ConfigRecord(),
            "config": ConfigRecord(
                {
                    "b": b"\x00\xff",
                    "big": 2**64 - 1,
                    "neg": -5,
                    "yes": True,
                    "x": 0.1,
                    "zh": "肺癌",
                    "list": [1, 2],
                }
            ),
            "metrics": MetricRecord({"n": 3, "loss": [0.5, float("inf")]}),
            "arrays": ArrayRecord({"z": Array(words), "a": Array(words), "none": Array(np.zeros((0, 3)))}),
        }
    )


def test_what_travels_equals_what_flowers_own_object_wire_carries() -> None:
    # flwr 1.41 sends messages as a tree of objects (deflate/inflate) and contexts as one protobuf message;
    # LocalGrid sends both as protobuf. The two must not differ in what arrives.
    wire.take_identity(1)
    message = Message(content(), 7, "query.release", group_id="3", ttl=60.0)
    name = message.object_id
    objects = {key: thing.deflate() for key, thing in get_all_nested_objects(message).items()}
    theirs = inflate_object_from_contents(name, objects)
    assert isinstance(theirs, Message)
    ours = wire.unpack_message(wire.pack_message(message))
    assert ours.metadata == theirs.metadata
    assert list(ours.content) == list(theirs.content)
    for key, record in theirs.content.items():
        assert ours.content[key] == record
    assert ours.content.array_records["arrays"]["z"].numpy().dtype == np.uint64


def test_an_error_arrives_with_its_code_and_reason() -> None:
    wire.take_identity(1)
    asked = Message(RecordDict(), 7, "query")
    wire.name_message(asked, "1-9")
    reply = wire.unpack_message(wire.pack_message(Message(Error(2, "why"), reply_to=asked)))
    assert reply.has_error()
    assert not reply.has_content()
    assert (reply.error.code, reply.error.reason) == (2, "why")


def test_a_context_keeps_its_state_and_both_configurations() -> None:
    context = wire.empty_context(1, 7, {"site-home": "/srv/h1", "n": 2}, {"seed": "5", "fast": True})
    context.state["memory"] = ConfigRecord({"rounds": 3})
    again = wire.unpack_context(wire.pack_context(context))
    assert again == context


def test_a_message_that_nobody_answered_comes_from_the_superlink() -> None:
    lost = wire.unavailable(1, "1-3", wire.ErrorCode.NODE_UNAVAILABLE, "gone")
    assert (lost.metadata.src_node_id, lost.metadata.reply_to_message_id) == (1, "1-3")
    assert lost.error.code == 5


def test_the_types_that_flower_refuses_are_refused_before_they_travel() -> None:
    with pytest.raises(TypeError):
        ConfigRecord({"n": np.int64(3)})  # type: ignore[dict-item]  # the refusal is what is tested
