"""What travels in a secured Flower run, beside Flower's own model and configuration.

One record named ``fedvalue`` in each message. To a site it either labels a model that is to be trained or
evaluated, or holds one request of the private sum; from a site it holds the site's id, a reply of the
private sum, or the code of a refusal. A site's message has no other record: no arrays, no metrics.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flwr.app import ConfigRecord, RecordDict

from fedvalue.errors import MessageInvalid, ReplyInvalid
from fedvalue.strategies.secure_aggregation.messages import CODE, RECORD, Refused
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.study.roster import SITE_ID


@dataclass(frozen=True, slots=True)
class Ask:
    """Stands beside a model: train or evaluate it, keep the answer, and say that it is there.

    Attributes:
      label: ``train-N`` or ``evaluate-N``.
    """

    label: str


@dataclass(frozen=True, slots=True)
class Step:
    """One request of the private sum.

    Attributes:
      step: One of `wire.REQUESTS`.
      payload: The request.
    """

    step: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """A site's answer is there, at the site.

    Attributes:
      site: Site id; believed for routing only, every protocol message is signed.
    """

    site: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A site's reply of the private sum.

    Attributes:
      payload: The reply.
    """

    payload: bytes


def pack(message: Ask | Step | Ready | Answered | Refused) -> RecordDict:
    """Return a message as Flower records."""
    kind = type(message).__name__.lower()
    values = {name: getattr(message, name) for name in message.__slots__}
    return RecordDict({RECORD: ConfigRecord({"kind": kind, **values})})


def request(content: RecordDict) -> Ask | Step:
    """Read what a site is asked.

    Raises:
      MessageInvalid: the message is not one of a secured run, or names no step of the private sum.
    """
    values = _values(content)
    match values:
        case {"kind": "ask", "label": str(label)} if len(values) == 2:
            return Ask(label)
        case {"kind": "step", "step": str(step), "payload": bytes(payload)} if len(values) == 3:
            # Other words are between ClientApp and node; they never come from a coordinator.
            if len(content) == 1 and step in wire.REQUESTS:
                return Step(step, payload)
    raise MessageInvalid(
        "the message is not one of a secured run", do="wrap the server's strategy in SecureAggregation"
    )


def reply(content: RecordDict) -> Ready | Answered | Refused:
    """Read what a site answered.

    Raises:
      ReplyInvalid: it is nothing that a secured ClientApp says; its content is not looked at.
    """
    values = _values(content)
    if len(content) == 1:
        match values:
            case {"kind": "ready", "site": str(site)} if len(values) == 2 and re.fullmatch(SITE_ID, site):
                return Ready(site)
            case {"kind": "answered", "payload": bytes(payload)} if len(values) == 2:
                return Answered(payload)
            case {"kind": "refused", "code": str(code)} if len(values) == 2 and CODE.fullmatch(code):
                return Refused(code)
    raise ReplyInvalid(
        "a node answers as no secured ClientApp does", do="give its ClientApp the mod SecureClient"
    )


def without_ours(content: RecordDict) -> RecordDict:
    """Return a message's content as the app's own function expects it."""
    return RecordDict({name: record for name, record in content.items() if name != RECORD})


def with_ours(content: RecordDict, message: Ask) -> RecordDict:
    """Return a model and configuration with our record beside them."""
    return RecordDict({**without_ours(content), **pack(message)})


def _values(content: RecordDict) -> dict[str, object]:
    return dict(content.config_records.get(RECORD, {}))
