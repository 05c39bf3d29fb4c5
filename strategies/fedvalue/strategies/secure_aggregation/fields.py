"""A message of the coordinator as typed protobuf fields, for the ways that are not Flower's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flwr.app import ConfigRecord, RecordDict

from fedvalue.errors import MessageInvalid
from fedvalue.protos.v1 import site_node_pb2 as pb
from fedvalue.strategies.secure_aggregation.messages import RECORD


def fields_of(content: RecordDict) -> list[pb.NodeField]:
    """Return the fields of a message's one record.

    Raises:
      MessageInvalid: another shape, or a value that is no text, whole number or bytes.
    """
    record = content.config_records.get(RECORD) if len(content) == 1 else None
    if record is None:
        raise MessageInvalid("the message does not parse")
    return [_field(name, value) for name, value in record.items()]


def content_of(fields: Iterable[pb.NodeField]) -> RecordDict:
    """Return the message whose fields these are; an empty one, which nobody takes, if a field stands twice."""
    values: dict[str, Any] = {}
    for each in fields:
        kind = each.WhichOneof("value")
        if kind is None or each.name in values:
            return RecordDict()
        values[each.name] = getattr(each, kind)
    return RecordDict({RECORD: ConfigRecord(values)})


def _field(name: str, value: object) -> pb.NodeField:
    try:
        if isinstance(value, str):
            return pb.NodeField(name=name, text=value)
        if isinstance(value, bytes):
            return pb.NodeField(name=name, data=value)
        if type(value) is int:
            return pb.NodeField(name=name, number=value)
    except ValueError as error:
        raise MessageInvalid("a value of the message cannot be carried") from error
    raise MessageInvalid("a value of the message is of another type")
