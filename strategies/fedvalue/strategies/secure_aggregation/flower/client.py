"""Client half: a Flower mod that keeps what the app's functions answer, and lets a masked vector out.

``ClientApp(mods=[SecureClient(...)])`` puts it around every function of an app. An answer of the train or
evaluate function is turned into integers, checked and handed to the site's node; the coordinator hears only
that it is there. The steps of the private sum come as messages of the same type and never reach the app.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from flwr.app import Context, Message, RecordDict
from flwr.clientapp.typing import ClientAppCallable

from fedvalue.errors import LedgerError, MessageInvalid, Refusal, SiteFault
from fedvalue.strategies.secure_aggregation.flower import records
from fedvalue.strategies.secure_aggregation.flower.participant import OFFER, PROPOSE, Answer
from fedvalue.strategies.secure_aggregation.flower.quantized import vector_of
from fedvalue.strategies.secure_aggregation.flower.question import question_of
from fedvalue.strategies.secure_aggregation.flower.terms import SecureTerms
from fedvalue.strategies.secure_aggregation.messages import WORD, Refused

LOG = logging.getLogger(__name__)


@final
@dataclass(frozen=True, slots=True)
class SecureClient:
    """A Flower mod; every message that is not one of a secured run is refused.

    Attributes:
      terms: The run's terms, from the site's own copy.
      answers: Gives the way to the site's node, from the context of the message: in process a
        `Participant`'s ``answer``, in a deployment a call to the long-lived node.
    """

    terms: SecureTerms
    answers: Callable[[Context], Answer]

    def __call__(self, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Answer one message; what fails in the app's function leaves as a code and nothing else."""
        try:
            content = records.pack(self._answered(message, context, call_next))
        except (Refusal, LedgerError) as error:
            LOG.warning("refused: %s", error)
            content = records.pack(Refused(error.code))
        except Exception as error:
            # The text of a foreign error may hold a patient; Flower would send it to the server as it is.
            LOG.exception("the app's function failed: %s", type(error).__name__, exc_info=False)
            content = records.pack(Refused(SiteFault.code))
        return Message(content, reply_to=message)

    def _answered(
        self, message: Message, context: Context, call_next: ClientAppCallable
    ) -> records.Ready | records.Answered:
        if not message.has_content():
            raise MessageInvalid("the message holds an error")
        asked, answer = records.request(message.content), self.answers(context)
        if isinstance(asked, records.Step):
            return records.Answered(answer(asked.step, asked.payload))
        content = records.without_ours(message.content)
        question, shapes = question_of(asked.label, message.metadata.message_type, content)
        packed = question.pack()
        answer(PROPOSE, packed)
        vector = vector_of(self.terms, question, shapes, self._local(message, content, context, call_next))
        site = answer(OFFER, packed + b"\n" + vector.astype(WORD).tobytes())
        return records.Ready(site.decode())

    def _local(
        self, message: Message, content: RecordDict, context: Context, call_next: ClientAppCallable
    ) -> RecordDict:
        message.content = content
        reply = call_next(message, context)
        if not reply.has_content():
            raise SiteFault("the app's function answers with an error")
        return reply.content
