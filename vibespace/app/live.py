"""What is true now: the fold of the log, by uid and by name.

A State has one owner and no lock. The writer's thread has one to decide on, the event loop has one to read from; both
take the same aggregates from the same batches, and an aggregate that is in a State is never changed again: commands
change drafts. Only a fold of the log changes its own in place, before anybody else has them.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from vibespace.domain.agents import Agent
from vibespace.domain.aggregate import Aggregate, Origin
from vibespace.domain.approvals import Approval
from vibespace.domain.conversations import Conversation
from vibespace.domain.credentials import Credential
from vibespace.domain.host import Host
from vibespace.domain.messages import Message
from vibespace.domain.transcripts import Transcript, transcript_id
from vibespace.domain.vibespaces import Vibespace
from vibespace.errors import NotFound

REMEMBERED = timedelta(hours=24)
"""How long a request_id is answered as the first time, and a deletion is told to watchers that were away.

In memory, in both States together, a request is 0.7 kB and a deletion 1.1 kB: of a vibespace that was created, stopped,
started and deleted, 5 kB for so long.
"""

_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBERED = re.compile(r"(.+)-([1-9][0-9]{0,8})")


class Answered(NamedTuple):
    """What a request_id stands for."""

    digest: str
    uid: UUID
    position: int
    time: datetime


@dataclass(frozen=True)
class Gone:
    """A resource that was deleted, as it was last."""

    aggregate: Aggregate
    position: int
    time: datetime


class State:
    """Everything live, everything recently gone, and what must be remembered of the past."""

    def __init__(self) -> None:
        self.position = 0
        self.host: Host | None = None
        self.aggregates: dict[UUID, Aggregate] = {}
        self.positions: dict[UUID, int] = {}
        """uid -> place in the log of what last changed it, the newest last; a vibespace counts its agents' changes."""
        self.vibespaces: dict[str, Vibespace] = {}
        self.members: dict[str, dict[str, Agent]] = {}
        """Vibespace's name -> agents by name, in the order of creation."""
        self.conversations: dict[str, Conversation] = {}
        """Agent's uid -> the one that is current."""
        self.messages: dict[str, dict[UUID, Message]] = {}
        """Agent's uid -> those on their way, in the order in which they were said."""
        self.approvals: dict[str, dict[UUID, Approval]] = {}
        """Agent's uid -> tool calls that wait, in the order in which they were asked."""
        self.numbers: dict[tuple[str, str], int] = {}
        """Vibespace's uid and prefix -> the highest number an agent there was ever called by."""
        self.kept: dict[str, str] = {}
        """Name -> data_uid of data that outlived its vibespace."""
        self.credentials: dict[str, dict[tuple[str, str], Credential]] = {}
        """Resource name of whom they are for, empty for all -> credentials by type and key."""
        self.requests: OrderedDict[str, Answered] = OrderedDict()
        self.gone: OrderedDict[UUID, Gone] = OrderedDict()
        self.forgotten = 0
        """Place of the newest deletion that is no longer in `gone`."""
        self.asked: dict[UUID, tuple[int, str]] = {}
        """uid -> place of the last event that a request led to, and that request."""

    def copy(self) -> State:
        """Another State that says the same, for another owner."""
        other = State()
        for name, value in vars(self).items():
            setattr(other, name, value.copy() if isinstance(value, dict) else value)
        for nested in ("members", "messages", "approvals", "credentials"):
            setattr(other, nested, {key: inner.copy() for key, inner in getattr(self, nested).items()})
        return other

    def take(self, aggregate: Aggregate, position: int, origin: Origin) -> None:
        """Move on by what `origin` did to `aggregate`, last in the event at `position`: the one way a State changes."""
        self.put(aggregate, position)
        self.position = position
        if origin.request_id:
            self.answer(origin.request_id, origin.digest, aggregate.id, position, origin.time)
        self.forget(origin.time)

    def put(self, aggregate: Aggregate, position: int) -> None:
        """`aggregate` is now so, by the event at `position`."""
        if aggregate.gone:
            self._take_away(aggregate, position)
            return
        self.aggregates[aggregate.id] = aggregate
        self._moved(aggregate.id, position)
        match aggregate:
            case Conversation() | Message() | Approval():
                self.hold(aggregate)
            case Host():
                self.host = aggregate
            case Vibespace():
                if aggregate.name not in self.vibespaces and self.kept.get(aggregate.name) == aggregate.data_uid:
                    del self.kept[aggregate.name]
                self.vibespaces[aggregate.name] = aggregate
                self.members.setdefault(aggregate.name, {})
            case Agent():
                self.members[aggregate.vibespace][aggregate.name] = aggregate
                self._moved(UUID(aggregate.vibespace_uid), position)
                if numbered := _NUMBERED.fullmatch(aggregate.name):
                    key = (aggregate.vibespace_uid, numbered[1])
                    self.numbers[key] = max(self.numbers.get(key, 0), int(numbered[2]))
            case Credential():
                self.credentials.setdefault(aggregate.parent, {})[aggregate.type, aggregate.key] = aggregate

    def hold(self, aggregate: Conversation | Message | Approval) -> None:
        """`aggregate`, which is not gone, is found by its agent."""
        match aggregate:
            case Conversation():
                self.conversations[aggregate.agent_uid] = aggregate
            case Message():
                self.messages.setdefault(aggregate.agent_uid, {})[aggregate.id] = aggregate
            case Approval():
                self.approvals.setdefault(aggregate.agent_uid, {})[aggregate.id] = aggregate

    def _take_away(self, aggregate: Aggregate, position: int) -> None:
        self._drop(aggregate.id)
        self.gone[aggregate.id] = Gone(aggregate, position, aggregate.modified_on)
        match aggregate:
            case Vibespace():
                del self.vibespaces[aggregate.name]
                del self.members[aggregate.name]
                self.numbers = {k: n for k, n in self.numbers.items() if k[0] != aggregate.uid}
                if aggregate.keep_data:
                    self.kept[aggregate.name] = aggregate.data_uid
            case Agent():
                del self.members[aggregate.vibespace][aggregate.name]
                self._moved(UUID(aggregate.vibespace_uid), position)
                self._drop_of(aggregate.uid)
            case Conversation():
                current = self.conversations.get(aggregate.agent_uid)
                if current and current.id == aggregate.id:  # one that came and went in one command never was
                    del self.conversations[aggregate.agent_uid]
            case Message() | Approval():
                held: dict[str, dict[UUID, Any]] = self.messages if isinstance(aggregate, Message) else self.approvals
                of_agent = held.get(aggregate.agent_uid, {})
                of_agent.pop(aggregate.id, None)
                if not of_agent:
                    held.pop(aggregate.agent_uid, None)
            case Credential():
                del self.credentials[aggregate.parent][aggregate.type, aggregate.key]
                if not self.credentials[aggregate.parent]:
                    del self.credentials[aggregate.parent]

    def _drop_of(self, agent_uid: str) -> None:
        """With an agent goes whatever is said to it and asked by it; the log alone keeps that."""
        conversation = self.conversations.pop(agent_uid, None)
        messages, approvals = self.messages.pop(agent_uid, {}), self.approvals.pop(agent_uid, {})
        for uid in (transcript_id(agent_uid), *([conversation.id] if conversation else ()), *messages, *approvals):
            self._drop(uid)

    def _drop(self, uid: UUID) -> None:
        for table in (self.aggregates, self.positions, self.asked):
            table.pop(uid, None)

    def _moved(self, uid: UUID, position: int) -> None:
        self.positions.pop(uid, None)  # so that the newest is last
        self.positions[uid] = position

    def changed_since(self, position: int) -> Iterator[Aggregate]:
        """What changed after `position`, the newest first."""
        for uid, changed in reversed(self.positions.items()):
            if changed <= position:
                return
            yield self.aggregates[uid]

    def gone_since(self, position: int) -> Iterator[Gone]:
        """What was deleted after `position`, the newest first, as far back as that is remembered."""
        for gone in reversed(self.gone.values()):
            if gone.position <= position:
                return
            yield gone

    def answer(self, request_id: str, digest: str, uid: UUID, position: int, time: datetime) -> None:
        """`request_id` led to an event of `uid` at `position`; of several, the first names the resource."""
        if uid in self.aggregates:
            self.asked[uid] = (position, request_id)
        known = self.requests.pop(request_id, None)
        self.requests[request_id] = Answered(digest, known.uid if known else uid, position, time)

    def cause(self, *aggregates: Aggregate) -> str:
        """The last request that led to an event of any of `aggregates`; empty when none did."""
        return max((self.asked.get(aggregate.id, (0, "")) for aggregate in aggregates), default=(0, ""))[1]

    def forget(self, now: datetime) -> None:
        """Drop what is remembered longer than REMEMBERED."""
        limit = now - REMEMBERED
        while self.requests and next(iter(self.requests.values())).time < limit:
            self.requests.popitem(last=False)
        while self.gone and next(iter(self.gone.values())).time < limit:
            self.forgotten = self.gone.popitem(last=False)[1].position

    def vibespace(self, name: str) -> Vibespace:
        """By bare name. Raises NotFound VIBESPACE_NOT_FOUND."""
        found = self.vibespaces.get(name)
        if found is None:
            raise NotFound(
                "VIBESPACE_NOT_FOUND",
                f"There is no vibespace {name[:60]!r}.",
                hint="'vibespace list' shows those there are.",
                vibespace=name,
            )
        return found

    def agent(self, vibespace: str, name: str) -> Agent:
        """By bare names. Raises NotFound."""
        found = self.members[self.vibespace(vibespace).name].get(name)
        if found is None:
            raise NotFound(
                "AGENT_NOT_FOUND",
                f"There is no agent {name[:60]!r} in vibespace '{vibespace}'.",
                hint=f"'vibespace agent list --vibespace {vibespace}' shows those there are.",
                vibespace=vibespace,
                agent=name,
            )
        return found

    def transcript(self, agent_uid: str) -> Transcript | None:
        """What that agent's program said; None before the first."""
        found = self.aggregates.get(transcript_id(agent_uid))
        return found if isinstance(found, Transcript) else None

    def credential(self, name: str) -> Credential:
        """By resource name. Raises NotFound CREDENTIAL_NOT_FOUND."""
        uid = name.rpartition("/")[2]
        found = self.aggregates.get(UUID(uid)) if _UID.fullmatch(uid) else None
        if not isinstance(found, Credential) or found.subject != name:
            raise NotFound(
                "CREDENTIAL_NOT_FOUND",
                f"There is no credential {name[:120]!a}.",
                hint="'vibespace credential list' shows those there are.",
            )
        return found

    def primary(self, vibespace: str) -> Agent:
        """The agent that came with it."""
        return next(agent for agent in self.agents(vibespace) if agent.primary)

    def agents(self, vibespace: str | None = None) -> Iterator[Agent]:
        """Of one vibespace, by its bare name, or of all: by vibespace, the primary first, then by age."""
        for name in sorted(self.vibespaces) if vibespace is None else [vibespace]:
            yield from self.members[name].values()

    def vibespace_of(self, agent: Agent) -> Vibespace:
        """Where it lives."""
        return self.vibespaces[agent.vibespace]
