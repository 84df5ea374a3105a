"""Conversations and messages -> protos."""

from __future__ import annotations

from vibespace.app import mending
from vibespace.app.live import State
from vibespace.daemon.convert import timestamp
from vibespace.domain import messages, names
from vibespace.domain.conversations import Conversation
from vibespace.domain.messages import Message
from vibespace.v1 import conversations_pb2 as v1

_STATES = {
    state: v1.MessageState.Value(f"MESSAGE_STATE_{state.upper()}")
    for state in (
        messages.QUEUED,
        messages.HANDED,
        messages.ACKNOWLEDGED,
        messages.DONE,
        messages.FAILED,
        messages.UNCERTAIN,
    )
}


def conversation_message(found: Conversation) -> v1.Conversation:
    """A conversation."""
    return v1.Conversation(
        name=found.subject,
        uid=found.uid,
        agent=names.called(found.vibespace, found.agent),
        program_session=found.program_session,
        working=found.working,
        create_time=timestamp(found.created_on),
    )


def message_message(found: Message, state: State) -> v1.Message:
    """A message, as far as it is."""
    return v1.Message(
        name=found.subject,
        uid=found.uid,
        agent=names.called(found.vibespace, found.agent),
        author=found.author,
        text=found.text,
        state=_STATES[found.state],
        reason=found.reason or mending.waiting(found, state),
        create_time=timestamp(found.created_on),
        trouble=found.trouble,
        hint=mending.hint(found, state),
    )
