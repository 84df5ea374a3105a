"""Who is calling. Set by the transport, never by metadata."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol
from uuid import uuid4

from vibespace.app.writer import Request
from vibespace.errors import InvalidArgument


@dataclass(frozen=True)
class Principal:
    """Whoever can open the socket is `local`; the other kinds come with other transports."""

    kind: str
    """local | device | agent | daemon"""
    uid: str = ""

    @property
    def actor(self) -> str:
        """As events name it."""
        return f"{self.kind}:{self.uid}" if self.uid else self.kind


LOCAL = Principal("local")

principal: ContextVar[Principal] = ContextVar("principal")
"""Of the call that is being answered."""


class Mutation(Protocol):
    """A request that changes something."""

    request_id: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...  # noqa: N802 (protobuf's name)


def request_of(message: Mutation) -> Request:
    """The caller and the request as the writer wants them. Raises InvalidArgument REQUEST_ID_INVALID."""
    request_id = message.request_id
    if len(request_id) > 64 or not request_id.isascii() or not all(c.isalnum() or c in "-_" for c in request_id):
        raise InvalidArgument(
            "REQUEST_ID_INVALID",
            "A request_id is up to 64 letters, digits, '-' and '_', such as a UUID.",
            field="request_id",
        )
    digest = sha256(f"{type(message).__name__}\n".encode() + message.SerializeToString(deterministic=True))
    return Request(principal.get().actor, request_id or str(uuid4()), digest.hexdigest()[:32])
