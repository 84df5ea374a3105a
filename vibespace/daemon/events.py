"""Answers EventService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import grpc

from vibespace.app import audit
from vibespace.app.feed import Feed
from vibespace.app.index import Wanted
from vibespace.app.log import Log
from vibespace.app.recorder import Recorded
from vibespace.daemon import asked, convert, moments
from vibespace.daemon.auditor import Auditor
from vibespace.daemon.convert_events import event_message
from vibespace.daemon.convert_past import replay_message
from vibespace.domain import names
from vibespace.domain.agents import Agent
from vibespace.domain.aggregate import Aggregate
from vibespace.domain.vibespaces import Vibespace
from vibespace.errors import InvalidArgument, at_rest
from vibespace.v1 import events_pb2 as v1
from vibespace.v1.events_pb2_grpc import EventServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]
T = TypeVar("T")

_BATCH = 500
"""Most changes in one message."""
_SHARED = 8
"""Answers kept for who asks the same next: those who follow are all woken at once."""


_KINDS = {kind: v1.DamageKind.Value(f"DAMAGE_KIND_{kind.upper()}") for kind in audit.KINDS}


class EventServicer(EventServiceServicer):
    """Reads and follows the feed."""

    def __init__(self, feed: Feed, log: Log, auditor: Auditor, now: Callable[[], datetime]) -> None:
        self._feed = feed
        self._log = log
        self._auditor = auditor
        self._now = now
        self._shared = _Shared()

    async def Replay(self, request: v1.ReplayRequest, context: Context) -> v1.ReplayResponse:
        at = await self._moment(request)
        state = await asyncio.to_thread(self._log.replay, at)
        [last] = await asyncio.to_thread(self._log.read, at - 1, 1)
        return replay_message(state, self._feed.log_id, datetime.fromisoformat(last.time))

    async def _moment(self, request: v1.ReplayRequest) -> int:
        newest = self._feed.state.position
        at: int | datetime = request.at if request.HasField("at") else newest
        if request.moment:
            at = moments.parse(request.moment, self._now())
        if isinstance(at, datetime):
            return await self._position_at(at, newest)
        if not 1 <= at <= newest:
            raise asked.no_position(at, newest, "moment" if request.moment else "at")
        return at

    async def _position_at(self, time: datetime, newest: int) -> int:
        at = await asyncio.to_thread(self._log.position_at, time, newest)
        if at == 0:
            [first] = await asyncio.to_thread(self._log.read, 0, 1)
            # The second after it: what is told can be typed.
            begins = datetime.fromisoformat(first.time).astimezone(UTC) + timedelta(seconds=1)
            raise InvalidArgument(
                "MOMENT_TOO_EARLY", f"The history begins at {begins:%Y-%m-%dT%H:%M:%SZ}.", field="moment"
            )
        return at

    async def VerifyLog(self, request: v1.VerifyLogRequest, context: Context) -> v1.VerifyLogResponse:
        report = await self._auditor.examine()
        damages = [*report.damages, *self._auditor.lost()]
        return v1.VerifyLogResponse(
            cursor=convert.cursor(self._feed.log_id, report.position),
            damages=[v1.Damage(position=one.position, kind=_KINDS[one.kind], message=one.message) for one in damages],
            more=report.more,
        )

    async def Watch(self, request: v1.WatchRequest, context: Context) -> AsyncIterator[v1.WatchResponse]:
        feed, only = self._feed, names.parse_vibespace(request.parent, "parent") if request.parent else ""
        position = feed.check(request.after.log_id, request.after.position) if request.HasField("after") else 0
        snapshot, first = not request.HasField("after") or not _can_resume(feed, position), True
        while True:
            after, position, mood = None if snapshot else position, feed.state.position, feed.mood
            told = (position, mood, after, only, first)
            for response in self._shared.get(told, partial(_changes, feed, after, only, first)):
                yield response
            first = False
            if request.resumed and feed.at_rest:
                raise at_rest()
            while feed.state.position == position and feed.mood == mood:
                await feed.news()
            snapshot = feed.mood != mood or not _can_resume(feed, position)

    async def StreamEvents(
        self, request: v1.StreamEventsRequest, context: Context
    ) -> AsyncIterator[v1.StreamEventsResponse]:
        after, left = asked.position(request, self._feed), asked.limit(request)
        wanted = await asked.wanted(request, self._feed, self._log)
        async for page, upto in self._feed.events(after, follow=request.follow, resumed=request.resumed, wanted=wanted):
            told = (page[0].position if page else 0, len(page), upto, wanted)
            response = self._shared.get(told, partial(_events, page, upto, self._feed.log_id, wanted))
            if left is not None:
                response = _cut(response, left)
                left -= len(response.events)
            yield response
            if left == 0:
                return


class _Shared:
    """The last few answers: all who follow are told the same, and it is put into words once."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, Any] = {}

    def get(self, told: Hashable, make: Callable[[], T]) -> T:
        """The answer under the key `told`, which says all that it depends on. Nobody may change it."""
        if told not in self._answers:
            while len(self._answers) >= _SHARED:
                del self._answers[next(iter(self._answers))]
            self._answers[told] = make()
        answer: T = self._answers[told]
        return answer


def _events(page: Sequence[Recorded], upto: int, log_id: str, wanted: Wanted) -> v1.StreamEventsResponse:
    events = [event_message(r, log_id) for r in page if not wanted or wanted.has(r.body["subject"], r.topic)]
    return v1.StreamEventsResponse(events=events, cursor=convert.cursor(log_id, upto))


def _cut(response: v1.StreamEventsResponse, most: int) -> v1.StreamEventsResponse:
    """A page of its own with the first `most` events; who asks for more resumes after the last of them."""
    if len(response.events) < most:
        return response
    first = response.events[:most]
    return v1.StreamEventsResponse(events=first, cursor=first[-1].cursor)


def _changes(feed: Feed, after: int | None, only: str, first: bool) -> list[v1.WatchResponse]:
    """What changed after the position `after`, or everything; a batch or more, the last with the cursor."""
    changes = _everything(feed, only) if after is None else _since(feed, after, only)
    batches = [changes[start : start + _BATCH] for start in range(0, len(changes), _BATCH)] or [[]]
    responses = [v1.WatchResponse(changes=batch, snapshot=after is None) for batch in batches]
    responses[-1].cursor.CopyFrom(convert.cursor(feed.log_id, feed.state.position))
    responses[-1].caught_up = first
    if after is None:
        assert feed.state.host is not None
        responses[-1].host.CopyFrom(convert.host_message(feed.state.host, reachable=feed.engine_seen))
    return responses


def _everything(feed: Feed, only: str) -> list[v1.Change]:
    return [_change(feed, found) for found in reversed(list(feed.state.changed_since(0))) if _belongs(found, only)]


def _since(feed: Feed, position: int, only: str) -> list[v1.Change]:
    """What changed after `position`, by the place of each thing's last change."""
    state = feed.state
    placed: list[tuple[int, v1.Change]] = [
        (state.positions[found.id], _change(feed, found))
        for found in state.changed_since(position)
        if _belongs(found, only)
    ]
    for gone in reversed(state.gone.values()):
        if gone.position <= position:
            break
        if _belongs(gone.aggregate, only):
            placed.append((gone.position, v1.Change(deleted=gone.aggregate.subject)))
    placed.sort(key=lambda pair: pair[0])
    return [change for _, change in placed]


def _change(feed: Feed, found: Aggregate) -> v1.Change:
    if isinstance(found, Vibespace):
        return v1.Change(vibespace=convert.vibespace_message(found, feed.state, known=feed.engine_seen))
    assert isinstance(found, Agent)
    held = feed.held.get(found.uid)
    return v1.Change(agent=convert.agent_message(found, feed.state, known=feed.engine_seen, held=held))


def _belongs(found: Aggregate, only: str) -> bool:
    match found:
        case Vibespace():
            return not only or found.name == only
        case Agent():
            return not only or found.vibespace == only
    return False


def _can_resume(feed: Feed, position: int) -> bool:
    """What changed after `position` is all there is to tell: every deletion since is still remembered, and nothing
    else that all states depend on can have changed meanwhile.
    """
    state = feed.state
    assert state.host is not None
    return feed.engine_seen and position >= max(state.forgotten, state.positions[state.host.id])
