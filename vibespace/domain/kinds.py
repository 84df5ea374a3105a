"""Which aggregates there are, and of which types their events are."""

from __future__ import annotations

from collections.abc import Mapping

from eventsourcing.utils import get_topic

from vibespace.domain.agents import Agent
from vibespace.domain.aggregate import Aggregate
from vibespace.domain.approvals import Approval
from vibespace.domain.conversations import Conversation
from vibespace.domain.credentials import Credential
from vibespace.domain.host import Host
from vibespace.domain.messages import Message
from vibespace.domain.transcripts import Transcript
from vibespace.domain.vibespaces import Vibespace

KINDS: Mapping[str, type[Aggregate]] = {
    kind.TOPIC: kind for kind in (Host, Vibespace, Agent, Transcript, Conversation, Message, Approval, Credential)
}
"""By noun."""


def event_types(kind: type[Aggregate]) -> list[str]:
    """Sorted; `Event`, which all of them are, is none."""
    found = [each for each in vars(kind).values() if isinstance(each, type) and issubclass(each, Aggregate.Event)]
    return sorted(get_topic(each) for each in found if each is not kind.Event)
