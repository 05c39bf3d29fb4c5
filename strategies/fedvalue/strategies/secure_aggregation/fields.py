"""A message of the coordinator as typed protobuf fields, for the ways that are not Flower's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flwr.app import ConfigRecord, RecordDict

from fedvalue.errors import MessageInvalid
from fedvalue.protos.v1 import site_node_pb2 as pb
from fedvalue.strategies.secure_aggregation.messages import RECORD

LONG = 1 << 16
"""Bytes from which a value travels beside its message: a copy of a long vector costs as much as its way."""


def fields_of(content: RecordDict) -> list[pb.NodeField]:
    """Return the fields of a message's one record.

    Raises:
      MessageInvalid: another shape, or a value that is no text, whole number or bytes.
    """
    return [_field(name, value) for name, value in _record(content).items()]


def apart(content: RecordDict) -> tuple[list[pb.NodeField], list[bytes]]:
    """Return the fields of a message's one record, and its long bytes beside them.

    Raises:
      MessageInvalid: as in `fields_of`.
    """
    fields: list[pb.NodeField] = []
    beside: list[bytes] = []
    for name, value in _record(content).items():
        if isinstance(value, bytes) and len(value) >= LONG:
            fields.append(pb.NodeField(name=name, beside=len(value)))
            beside.append(value)
        else:
            fields.append(_field(name, value))
    return fields, beside


def content_of(fields: Iterable[pb.NodeField], beside: Sequence[bytes] = ()) -> RecordDict:
    """Return the message whose fields these are.

    An empty one, which nobody takes, if a field stands twice or is empty, or if what came beside them is
    not what they say.
    """
    values: dict[str, Any] = {}
    left = list(beside)
    for each in fields:
        kind = each.WhichOneof("value")
        if kind is None or each.name in values:
            return RecordDict()
        if kind != "beside":
            values[each.name] = getattr(each, kind)
        elif left and len(left[0]) == each.beside:
            values[each.name] = left.pop(0)
        else:
            return RecordDict()
    return RecordDict() if left else RecordDict({RECORD: ConfigRecord(values)})


def _record(content: RecordDict) -> ConfigRecord:
    record = content.config_records.get(RECORD) if len(content) == 1 else None
    if record is None:
        raise MessageInvalid("the message does not parse")
    return record


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
