"""The daemon for asynchronous programs: every method of the API, typed, and streams that outlive a daemon.

    async with Client() as client:
        found = await client.vibespaces.GetVibespace(GetVibespaceRequest(name="vibespaces/demo"))

What the daemon refuses is raised as it was raised there: a `vibespace.errors.Error`. docs/clients.md tells the rest.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from vibespace.channel import Channel
from vibespace.errors import Error
from vibespace.resume import Resume
from vibespace.resume import fold as fold  # of the public API, for who watches
from vibespace.state import state
from vibespace.v1.agents_pb2_grpc import AgentServiceStub
from vibespace.v1.approvals_pb2_grpc import ApprovalServiceStub
from vibespace.v1.conversations_pb2_grpc import ConversationServiceStub
from vibespace.v1.credentials_pb2_grpc import CredentialServiceStub
from vibespace.v1.cursor_pb2 import Cursor
from vibespace.v1.events_pb2 import Event, StreamEventsRequest, WatchRequest, WatchResponse
from vibespace.v1.events_pb2_grpc import EventServiceStub
from vibespace.v1.system_pb2_grpc import SystemServiceStub
from vibespace.v1.vibespaces_pb2_grpc import VibespaceServiceStub

if TYPE_CHECKING:
    import grpc

    from vibespace.v1.agents_pb2_grpc import AgentServiceAsyncStub
    from vibespace.v1.approvals_pb2_grpc import ApprovalServiceAsyncStub
    from vibespace.v1.conversations_pb2_grpc import ConversationServiceAsyncStub
    from vibespace.v1.credentials_pb2_grpc import CredentialServiceAsyncStub
    from vibespace.v1.events_pb2_grpc import EventServiceAsyncStub
    from vibespace.v1.system_pb2_grpc import SystemServiceAsyncStub
    from vibespace.v1.vibespaces_pb2_grpc import VibespaceServiceAsyncStub


class Client:
    """Calls to the daemon of one state directory, on one event loop. Nothing is dialled before the first call.

    A stub's method is awaited, or iterated where it streams. A call that a dying daemon leaves unanswered is made once
    more; requests that change something get a `request_id` for that, unless they have one.
    """

    vibespaces: VibespaceServiceAsyncStub
    agents: AgentServiceAsyncStub
    conversations: ConversationServiceAsyncStub
    approvals: ApprovalServiceAsyncStub
    credentials: CredentialServiceAsyncStub
    events: EventServiceAsyncStub
    system: SystemServiceAsyncStub

    def __init__(self, home: str | os.PathLike[str] = "", *, start: bool = True) -> None:
        """`home` is the state directory, where it is not VIBESPACE_HOME or ~/.vibespace.

        Without `start` no daemon is started: calls raise Unavailable DAEMON_NOT_RUNNING when there is none.
        """
        self._channel = Channel(state(home), start=start)
        stubbed = cast("grpc.aio.Channel", self._channel)
        self.vibespaces = VibespaceServiceStub(stubbed)
        self.agents = AgentServiceStub(stubbed)
        self.conversations = ConversationServiceStub(stubbed)
        self.approvals = ApprovalServiceStub(stubbed)
        self.credentials = CredentialServiceStub(stubbed)
        self.events = EventServiceStub(stubbed)
        self.system = SystemServiceStub(stubbed)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up. What the daemon has accepted goes on."""
        await self._channel.close()

    def watch(self, parent: str = "", after: Cursor | None = None) -> AsyncGenerator[WatchResponse, None]:
        """All vibespaces and agents, or those of `parent`, as they are, then what changes; for ever. See `fold`.

        `after` the cursor of an earlier response or of a mutation only what changed since comes. Raises
        FailedPrecondition LOG_CHANGED when that place is not in the history, or is no more: watch again without.
        """
        return self._resumed(self.events.Watch, WatchRequest(parent=parent, after=after))

    async def follow(
        self, after: Cursor | None = None, parent: str = "", type: str = ""
    ) -> AsyncGenerator[Event, None]:
        """Every event of the history after `after`, once and in order; for ever.

        Only those about `parent` and its agents, and only of a `type` such as `agent.created` or `agent`, if given.
        Raises FailedPrecondition LOG_CHANGED when that place is not in the history, or is no more.
        """
        request = StreamEventsRequest(after=after, parent=parent, type=type, follow=True)
        async for response in self._resumed(self.events.StreamEvents, request):
            for event in response.events:
                yield event

    async def _resumed(self, method: Any, request: Any) -> AsyncGenerator[Any, None]:
        resume: Resume[Any] = Resume(request)
        while True:
            try:
                async for piece in method(resume.request):
                    if (whole := resume.take(piece)) is not None:
                        yield whole
                return
            except Error as e:
                resume.broken(e)
