"""Everything as it was at a moment -> proto."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from vibespace.app.live import State
from vibespace.daemon.convert import agent_message, cursor, host_message, timestamp, vibespace_message
from vibespace.daemon.convert_approvals import approval_message
from vibespace.daemon.convert_conversations import conversation_message, message_message
from vibespace.daemon.convert_credentials import credential_message
from vibespace.domain.aggregate import Aggregate
from vibespace.domain.approvals import Approval
from vibespace.domain.conversations import Conversation
from vibespace.domain.credentials import Credential
from vibespace.domain.messages import Message
from vibespace.v1 import conversations_pb2 as v1_conversations
from vibespace.v1 import events_pb2 as v1

A = TypeVar("A", bound=Aggregate)


def replay_message(state: State, log_id: str, time: datetime) -> v1.ReplayResponse:
    """All that there was in `state`, which is that of the event written at `time`."""
    assert state.host is not None
    return v1.ReplayResponse(
        cursor=cursor(log_id, state.position),
        time=timestamp(time),
        host=host_message(state.host, reachable=state.host.reachable),
        vibespaces=[vibespace_message(state.vibespaces[name], state, known=True) for name in sorted(state.vibespaces)],
        agents=[agent_message(agent, state, known=True) for agent in state.agents()],
        conversations=[conversation_message(each) for each in _every(Conversation, state)],
        messages=[_said(each, state) for each in _every(Message, state)],
        approvals=[approval_message(each) for each in _every(Approval, state)],
        credentials=[credential_message(each, state) for each in _every(Credential, state)],
    )


def _said(found: Message, state: State) -> v1_conversations.Message:
    """What it waits for on a terminal, and what to do about it, are told of the present alone."""
    message = message_message(found, state)
    message.reason, message.hint = found.reason, ""
    return message


def _every(kind: type[A], state: State) -> list[A]:
    """The oldest first."""
    there = (each for each in state.aggregates.values() if isinstance(each, kind))
    return sorted(there, key=lambda each: each.created_on)
