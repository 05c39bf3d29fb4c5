"""What Flower keeps to itself and a grid in process cannot do without.

A `flwr.app.Message` can only be made in a process that knows which task it is, and only a SuperLink
names messages. A grid without SuperLink has to do both, with names of Flower that are not public. They
are all in this module; ``tests/unit/server/grids/test_wire.py`` fails loudly when Flower changes one.

Messages and contexts cross as bytes of Flower's own protobuf (``flwr/proto/message.proto``), so that
what arrives is what a wire would have carried, and never the sender's object.
"""

from __future__ import annotations

import time

from flwr.app import Context, Error, Message, Metadata, RecordDict, UserConfig
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.common.serde import context_from_proto, context_to_proto, message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Context as ProtoContext
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

__all__ = [
    "SUPERLINK_NODE_ID",
    "ErrorCode",
    "Run",
    "empty_context",
    "name_message",
    "pack_context",
    "pack_message",
    "take_identity",
    "unavailable",
    "unpack_context",
    "unpack_message",
]


def take_identity(run_id: int) -> None:
    """Make this process the coordinator of a run, so that messages can be made in it.

    Args:
      run_id: The run that every message made from now on belongs to.
    """
    TaskIdentity.run_id = run_id
    TaskIdentity.node_id = SUPERLINK_NODE_ID
    TaskIdentity.task_id = SUPERLINK_NODE_ID


def name_message(message: Message, message_id: str) -> None:
    """Give a message its name, as the SuperLink does; replies refer to it by this name."""
    message.metadata.__dict__["_message_id"] = message_id


def pack_message(message: Message) -> bytes:
    """The message as the bytes that would travel."""
    return message_to_proto(message).SerializeToString()


def unpack_message(packed: bytes) -> Message:
    """A new message from the bytes that traveled."""
    return message_from_proto(ProtoMessage.FromString(packed))


def pack_context(context: Context) -> bytes:
    """A node's context as the bytes that its SuperNode would keep."""
    return context_to_proto(context).SerializeToString()


def unpack_context(packed: bytes) -> Context:
    """A new context from the bytes that a SuperNode kept."""
    return context_from_proto(ProtoContext.FromString(packed))


def empty_context(run_id: int, node_id: int, node_config: UserConfig, run_config: UserConfig) -> Context:
    """The context of a node that has answered nothing yet."""
    return Context(
        run_id=run_id, node_id=node_id, node_config=node_config, state=RecordDict(), run_config=run_config
    )


def unavailable(run_id: int, message_id: str, code: int, reason: str) -> Message:
    """The SuperLink's own error reply, for a message that no node can answer.

    Its source is the SuperLink, not the node that was asked, as with Flower's: match replies by
    ``reply_to_message_id``.

    Args:
      run_id: The run that the message belonged to.
      message_id: The message that gets no answer.
      code: One of `ErrorCode`.
      reason: A sentence; never a site's own words.
    """
    metadata = Metadata(
        run_id=run_id,
        message_id="",
        src_node_id=SUPERLINK_NODE_ID,
        dst_node_id=SUPERLINK_NODE_ID,
        reply_to_message_id=message_id,
        group_id="",
        created_at=time.time(),
        ttl=0.0,
        message_type="system",
    )
    # Flower's own way to make a message that replies to none it holds is not among the public signatures.
    message: Message = Message(metadata=metadata, error=Error(code=code, reason=reason))  # type: ignore[call-overload]
    return message
