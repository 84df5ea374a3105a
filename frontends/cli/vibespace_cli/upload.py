"""Sends a repository of this machine to the vibespace that waits for it, once its primary agent runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vibespace import amounts
from vibespace.errors import Cancelled, Error, NotFound, Unavailable
from vibespace.v1.agents_pb2 import AGENT_STATE_FAILED, AGENT_STATE_RUNNING, Agent
from vibespace.v1.events_pb2 import WatchRequest
from vibespace.v1.vibespaces_pb2 import (
    GetVibespaceRequest,
    GetVibespaceResponse,
    UploadRepositoryRequest,
    UploadRepositoryResponse,
    Vibespace,
)
from vibespace_cli import names, repository, settle
from vibespace_cli.progress import Progress
from vibespace_cli.repository import Repository
from vibespace_cli.session import Session


def send(session: Session, vibespace: Vibespace, cursor: Any, source: Repository) -> UploadRepositoryResponse:
    """Wait for the primary agent, then send `source`; returns the vibespace with its repository."""
    name = names.short(vibespace.name)
    with Progress(session.output) as progress:
        pieces = _Pieces(vibespace.name, source, progress)
        try:
            _wait_for_primary(session, vibespace, cursor, progress)
            return session.client.upload("VibespaceService/UploadRepository", pieces, UploadRepositoryResponse)
        except Error as e:
            raise pieces.error or e from None
        except KeyboardInterrupt:
            again = f"'vibespace start {name}' sends it again"
            if pieces.ended:
                message = "Interrupted after the repository was sent, before the daemon said whether it has it."
                hint = f"'vibespace info {name}' shows that; if not, {again}."
                raise Cancelled("NOT_WAITED", message, hint=hint) from None
            raise Cancelled("NOT_SENT", "Interrupted; the repository was not sent.", hint=f"{again}.") from None


class _Pieces:
    """The requests of one upload. What goes wrong while git is read is kept: gRPC tells only that something did."""

    def __init__(self, name: str, source: Repository, progress: Progress) -> None:
        self._name, self._source, self._progress = name, source, progress
        self.error: Error | None = None
        self.ended = False
        """Whether all of them were handed over."""

    def __iter__(self) -> Iterator[UploadRepositoryRequest]:
        first = UploadRepositoryRequest(name=self._name, branch=self._source.branch, origin=self._source.origin)
        sent = 0
        try:
            for piece in repository.bundle(self._source.root):
                first.data = piece
                yield first
                first, sent = UploadRepositoryRequest(), sent + len(piece)
                self._progress.show(f"{names.short(self._name)}: sending {self._source.root} ({amounts.size(sent)})")
            self.ended = True
        except Error as e:
            self.error = e
            raise


def _wait_for_primary(session: Session, vibespace: Vibespace, cursor: Any, progress: Progress) -> None:
    request = GetVibespaceRequest(name=vibespace.name)
    agents = session.client.unary("VibespaceService/GetVibespace", request, GetVibespaceResponse).agents
    if any(a.primary and a.status.state == AGENT_STATE_RUNNING for a in agents):
        return
    for batch in settle.changes(session, WatchRequest(after=cursor, parent=vibespace.name)):
        if settle.is_gone(batch, vibespace.name):
            raise NotFound("DELETED_MEANWHILE", f"{names.short(vibespace.name)} was deleted meanwhile.")
        for change in batch.changes:
            if change.agent.primary:
                progress.show(settle.doing(change.agent))
                if change.agent.status.state == AGENT_STATE_RUNNING:
                    return
                settle.refuse_unreachable(change.agent)
                settle.refuse_stopped(change.agent)
                _refuse_failed(change.agent)


def _refuse_failed(agent: Agent) -> None:
    if agent.status.state == AGENT_STATE_FAILED:
        reason = agent.status.reason.rstrip(".")
        raise Unavailable(
            "NOT_RUNNING",
            f"{names.short(agent.name)} does not run, so the repository cannot be sent: {reason}.",
            hint=f"Once that is mended: vibespace start {agent.vibespace_id}",
        )
