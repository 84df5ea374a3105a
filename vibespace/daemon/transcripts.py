"""Tells a transcript: what the log has of it, and each piece of what is just being said where it belongs."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any
from uuid import UUID

from vibespace.app.blobs import Blobs
from vibespace.app.deltas import Deltas, Piece
from vibespace.app.feed import Feed
from vibespace.app.index import Wanted
from vibespace.app.recorder import Recorded
from vibespace.daemon import convert
from vibespace.daemon.blocks import blocks_of
from vibespace.daemon.convert_conversations import message_message
from vibespace.daemon.merging import either
from vibespace.daemon.reaching import not_running
from vibespace.domain import names, states
from vibespace.domain.messages import Message
from vibespace.domain.states import State
from vibespace.domain.transcripts import Place, transcript_id
from vibespace.errors import Error, InvalidArgument, NotFound
from vibespace.v1 import conversations_pb2 as v1

_ENDS = ("message.done", "message.failed", "message.uncertain")
_BACK = 500
"""Events before its beginning in which a stream looks first."""
_PIECE = 64 * 1024
"""Characters that are told at once of what lies apart."""

_log = logging.getLogger(__name__)


class TranscriptStream:
    """What one who called StreamTranscript is told."""

    def __init__(self, feed: Feed, deltas: Deltas, blobs: Blobs, request: v1.StreamTranscriptRequest) -> None:
        """Raises InvalidArgument, NotFound, FailedPrecondition LOG_CHANGED for what it asks for."""
        self._feed = feed
        self._request = request
        self._agent = feed.state.agent(*names.parse_agent(request.name))
        self._transcript = transcript_id(self._agent.uid)
        self._after = feed.check(request.after.log_id, request.after.position) if request.HasField("after") else 0
        self._awaited = _Awaited(_uid(request.until_message)) if request.until_message else None
        follows = request.follow or self._awaited is not None
        self._saying = _Saying(deltas, blobs, self._agent.uid) if follows and request.deltas else None

    async def responses(self) -> AsyncIterator[v1.StreamTranscriptResponse]:
        """Raises FailedPrecondition AGENT_NOT_RUNNING where what is waited for does not come, Exhausted where it may
        take for ever.
        """
        feed, wanted = self._feed, Wanted(vibespace=self._agent.vibespace)
        if awaited := self._awaited:
            if self._is_over(awaited.uid) and self._after == feed.state.position:
                cursor = convert.cursor(feed.log_id, self._after)
                yield v1.StreamTranscriptResponse(messages=self._told([awaited.uid]), cursor=cursor)
                return
            for recorded in await self._past(awaited.uid):
                awaited.take(recorded)
        follow = self._request.follow or awaited is not None
        self._tell((), self._after)
        resumed, check = self._request.resumed, self._must_go_on
        events = feed.events(self._after, follow=follow, resumed=resumed, wanted=wanted, check=check)
        async for told in either(events, self._saying.pieces() if self._saying else None):
            if isinstance(told, Piece):
                yield v1.StreamTranscriptResponse(deltas=[v1.Delta(**told._asdict())])
                continue
            page, upto = self._of_turn(*told)
            async for response in self._parts(page, upto):
                yield response
            self._tell(page, upto)
            if awaited and any(_is_end(each, awaited.uid) for each in page[-1:]):
                return
            if awaited and upto == feed.state.position and self._is_over(awaited.uid):
                return

    async def _parts(self, page: Sequence[Recorded], upto: int) -> AsyncIterator[v1.StreamTranscriptResponse]:
        """Before a text whose rest lies apart, that rest in pieces."""
        begin = 0
        for number, recorded in enumerate(page if self._saying else ()):
            assert self._saying
            if recorded.uid != self._transcript or not (rest := await self._saying.rest(recorded)):
                continue
            if begin < number:
                yield self._response(page[begin:number], page[number - 1].position)
            for piece in rest:
                yield v1.StreamTranscriptResponse(deltas=[v1.Delta(**piece._asdict())])
            begin = number
        yield self._response(page[begin:], upto)

    def _response(self, page: Sequence[Recorded], upto: int) -> v1.StreamTranscriptResponse:
        response = v1.StreamTranscriptResponse(cursor=convert.cursor(self._feed.log_id, upto))
        moved = dict[UUID, None]()
        for recorded in page:  # by uids: an earlier agent may have had its name
            if recorded.uid == self._transcript:
                response.blocks.extend(blocks_of(recorded, self._agent.uid, self._feed.log_id))
            elif recorded.topic.startswith("message."):
                moved[recorded.uid] = None
        response.messages.extend(self._told(moved))
        return response

    def _tell(self, page: Sequence[Recorded], upto: int) -> None:
        """Up to where everything of the log has been told."""
        if self._saying is None:
            return
        places = [each.data for each in page if each.uid == self._transcript and "seq" in each.data]
        place = Place(places[-1]["epoch"], places[-1]["seq"]) if places else Place(0, 0)
        transcript = self._feed.state.transcript(self._agent.uid)
        if transcript and upto == self._feed.state.position:
            place = transcript.place
        self._saying.tell(place, begun=not (self._awaited and self._awaited.waits))

    def _told(self, uids: Iterable[UUID]) -> list[v1.Message]:
        found = [self._message(uid) for uid in uids]
        its = [message for message in found if message and message.agent_uid == self._agent.uid]
        return [message_message(message, self._feed.state) for message in its]

    def _message(self, uid: UUID) -> Message | None:
        gone = self._feed.state.gone.get(uid)
        found = gone.aggregate if gone else self._feed.state.aggregates.get(uid)
        return found if isinstance(found, Message) else None

    async def _past(self, uid: UUID) -> list[Recorded]:
        """What happened to that message up to where the stream begins: its next event says how much that is, and it is
        looked for ever farther back until it is all there.
        """
        message = self._message(uid)
        assert message
        count, past, begin, back = message.version, list[Recorded](), self._after, _BACK
        async for later in self._events_of(uid, self._after, self._feed.state.position):
            count = later.version - 1
            break
        while begin and len(past) < count:
            begin, end, back = max(0, begin - back), begin, 2 * back
            past = [each async for each in self._events_of(uid, begin, end)] + past
        return past

    async def _events_of(self, uid: UUID, after: int, until: int) -> AsyncIterator[Recorded]:
        wanted = Wanted(vibespace=self._agent.vibespace, type="message")
        async for page, upto in self._feed.events(after, follow=False, wanted=wanted):
            for recorded in page:
                if recorded.uid == uid and recorded.position <= until:
                    yield recorded
            if upto >= until:
                return

    def _of_turn(self, page: Sequence[Recorded], upto: int) -> tuple[Sequence[Recorded], int]:
        """Of what happened while the message waits, only how far it got; and nothing after its end."""
        if (awaited := self._awaited) is None:
            return page, upto
        shown = list[Recorded]()
        for recorded in page:
            awaited.take(recorded)
            if recorded.uid == awaited.uid or not awaited.waits:
                shown.append(recorded)
            if _is_end(recorded, awaited.uid):
                return shown, recorded.position
        return shown, upto

    def _must_go_on(self) -> None:
        """Raises what holds the agent's program while the message waits; it is worked on all the same."""
        message = self._message(self._awaited.uid) if self._awaited else None
        if message and not message.gone and (why := self._feed.held.get(self._agent.uid)):
            raise why

    def _is_over(self, uid: UUID) -> bool:
        """Nothing more will come of that message. Raises FailedPrecondition AGENT_NOT_RUNNING, NotFound."""
        message, state = self._message(uid), self._feed.state
        if message is None or message.agent_uid != self._agent.uid:
            raise NotFound("MESSAGE_NOT_FOUND", "There is no such message, or its agent is gone.")
        if message.gone:
            return True
        now = state.agent(self._agent.vibespace, self._agent.name)
        assert state.host is not None
        home = state.vibespace_of(now)
        condition = states.agent_state(now, home, state.host)
        if self._feed.engine_seen and condition not in (State.RUNNING, State.STARTING):
            reason = states.agent_reason(now, home, state.host)
            raise not_running(now, condition, state.host.resting, reason, message=message)
        return False


class _Awaited:
    """A message whose end a stream waits for, as far as what happened to it was taken."""

    def __init__(self, uid: UUID) -> None:
        self.uid = uid
        self.waits = True
        """What happens is not for it: its turn has not begun, or the one that it is to join goes on without it."""
        self._joins = False

    def take(self, recorded: Recorded) -> None:
        """The next event. One that joins a turn waits until it is acknowledged; any other has a turn of its own from
        when it is handed on, in which requests to a model may fail before it is acknowledged.
        """
        match recorded.topic if recorded.uid == self.uid else "":
            case "message.said":
                self._joins = recorded.data["steers"]
            case "message.handed":
                self.waits = self.waits and self._joins
            case "message.acknowledged":
                self.waits = False
            case "message.queued_again":
                self.waits, self._joins = True, False
            case "message.resumed":
                self._joins = False


class _Saying:
    """What one stream is told of what an agent is just saying: each piece in its place, and each block to its end."""

    def __init__(self, deltas: Deltas, blobs: Blobs, agent_uid: str) -> None:
        self._deltas = deltas
        self._blobs = blobs
        self._agent_uid = agent_uid
        self._begun = False
        self._place = Place(0, 0)
        """Up to where the log has been told."""
        self._sent: dict[str, int] = {}
        """Characters of each block that is not whole."""

    async def pieces(self) -> AsyncIterator[Piece]:
        """As they come, once everything before them was told."""
        async for piece in self._deltas.follow(self._agent_uid, lambda after: self._begun and after <= self._place):
            self._sent[piece.block] = piece.offset + len(piece.text)
            yield piece

    def tell(self, place: Place, *, begun: bool) -> None:
        """The log was told up to there; whether what comes is wanted."""
        if place > self._place or begun != self._begun:
            self._place, self._begun = max(place, self._place), begun
            self._deltas.wake(self._agent_uid)

    async def rest(self, recorded: Recorded) -> list[Piece]:
        """What has not been sent of the texts of a line, where the line itself has but their beginnings."""
        data: Any = recorded.data
        texts = [each for each in data.get("blocks", ()) if each["kind"] == "text" and each.get("block")]
        sent = {each["block"]: self._sent.pop(each["block"], 0) for each in texts}
        if not any(each.get("cut") for each in texts):
            return []
        try:
            whole = json.loads(await asyncio.to_thread(self._blobs.get, data["blob"]))["blocks"]
        except Error as e:
            _log.warning("%s", e.message)
            return []
        return [
            Piece(each.get("turn", ""), each["block"], offset, each["text"][offset : offset + _PIECE])
            for each in whole
            if each["kind"] == "text" and each.get("block") in sent
            for offset in range(sent[each["block"]], len(each["text"]), _PIECE)
        ]


def _is_end(recorded: Recorded, message: UUID) -> bool:
    return recorded.uid == message and recorded.topic in _ENDS


def _uid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidArgument("UID_INVALID", f"{text[:60]!a} is no uid.", field="until_message") from None
