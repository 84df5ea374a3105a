"""Answers ApprovalService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import grpc

from vibespace.app import approvals as commands
from vibespace.app.feed import Feed
from vibespace.app.writer import Writer
from vibespace.daemon import convert, mutations
from vibespace.daemon.convert_approvals import approval_message
from vibespace.daemon.principal import request_of
from vibespace.domain import names
from vibespace.domain.approvals import ALLOWED, DENIED, Approval
from vibespace.v1 import approvals_pb2 as v1
from vibespace.v1.approvals_pb2_grpc import ApprovalServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class ApprovalServicer(ApprovalServiceServicer):
    """Translates; the commands decide."""

    def __init__(self, feed: Feed, writer: Writer) -> None:
        self._feed = feed
        self._writer = writer

    async def ListApprovals(self, request: v1.ListApprovalsRequest, context: Context) -> v1.ListApprovalsResponse:
        waiting = [approval_message(each) for each in self._waiting(self._parent(request.parent))]
        cursor = convert.cursor(self._feed.log_id, self._feed.state.position)
        return v1.ListApprovalsResponse(approvals=waiting, cursor=cursor)

    async def WatchApprovals(
        self, request: v1.WatchApprovalsRequest, context: Context
    ) -> AsyncIterator[v1.WatchApprovalsResponse]:
        only = self._parent(request.parent)
        position, changed = self._feed.state.position, list(self._waiting(only))
        while True:
            found = [approval_message(each) for each in changed]
            yield v1.WatchApprovalsResponse(approvals=found, cursor=convert.cursor(self._feed.log_id, position))
            while not (changed := self._changed(position, only)):
                position = self._feed.state.position
                await self._feed.news()
            position = self._feed.state.position

    def _parent(self, parent: str) -> str:
        name = names.parse_vibespace(parent, "parent") if parent else names.ANY
        return "" if name == names.ANY else self._feed.state.vibespace(name).name

    def _waiting(self, only: str) -> Iterator[Approval]:
        every = [each for of_agent in self._feed.state.approvals.values() for each in of_agent.values()]
        return (each for each in sorted(every, key=lambda each: each.created_on) if only in ("", each.vibespace))

    def _changed(self, position: int, only: str) -> list[Approval]:
        """After that position, in order."""
        state = self._feed.state
        found: list[tuple[int, Approval]] = [
            (state.positions[each.id], each) for each in state.changed_since(position) if isinstance(each, Approval)
        ]
        for gone in reversed(state.gone.values()):
            if gone.position <= position:
                break
            if isinstance(gone.aggregate, Approval):
                found.append((gone.position, gone.aggregate))
        found.sort(key=lambda pair: pair[0])
        return [each for _, each in found if only in ("", each.vibespace)]

    async def AllowApproval(self, request: v1.AllowApprovalRequest, context: Context) -> v1.AllowApprovalResponse:
        decide = partial(commands.decide, approval_id=request.name, input_hash=request.input_hash)
        command = partial(decide, verdict=ALLOWED, always=request.always)
        return v1.AllowApprovalResponse(**await self._run(command, request))

    async def DenyApproval(self, request: v1.DenyApprovalRequest, context: Context) -> v1.DenyApprovalResponse:
        decide = partial(commands.decide, approval_id=request.name, input_hash=request.input_hash)
        command = partial(decide, verdict=DENIED, reason=request.reason)
        return v1.DenyApprovalResponse(**await self._run(command, request))

    async def _run(self, command: Any, request: Any) -> dict[str, Any]:
        found, cursor = await mutations.run(self._feed, self._writer, command, request_of(request), Approval)
        return {"approval": approval_message(found), "cursor": cursor}
