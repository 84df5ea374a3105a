"""The gRPC server on the Unix socket."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from vibespace.app.feed import Feed
from vibespace.daemon.interceptors import Boundary
from vibespace.daemon.principal import LOCAL
from vibespace.errors import Unavailable
from vibespace.state import State
from vibespace.v1 import (
    agents_pb2_grpc,
    approvals_pb2_grpc,
    conversations_pb2_grpc,
    credentials_pb2_grpc,
    events_pb2_grpc,
    system_pb2_grpc,
    vibespaces_pb2_grpc,
)

_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 8 << 20),
    ("grpc.max_send_message_length", -1),
    # Clients ask for signs of life while they wait: else who asks more often than every five minutes is hung up on.
    ("grpc.http2.max_ping_strikes", 0),
)
GRACE = 2.0
"""Seconds that calls under way get at the end."""

_ADD: Mapping[str, Any] = {
    "vibespace.v1.VibespaceService": vibespaces_pb2_grpc.add_VibespaceServiceServicer_to_server,
    "vibespace.v1.AgentService": agents_pb2_grpc.add_AgentServiceServicer_to_server,
    "vibespace.v1.ConversationService": conversations_pb2_grpc.add_ConversationServiceServicer_to_server,
    "vibespace.v1.ApprovalService": approvals_pb2_grpc.add_ApprovalServiceServicer_to_server,
    "vibespace.v1.CredentialService": credentials_pb2_grpc.add_CredentialServiceServicer_to_server,
    "vibespace.v1.EventService": events_pb2_grpc.add_EventServiceServicer_to_server,
    "vibespace.v1.SystemService": system_pb2_grpc.add_SystemServiceServicer_to_server,
}


async def serve(
    state: State, feed: Feed, servicers: Mapping[str, Any], require_installed: Callable[[], None]
) -> grpc.aio.Server:
    """Listen on the state directory's socket, replacing a stale one: whoever holds the lock owns the path.

    `servicers` by full service name; `require_installed` is Boundary's. Raises Unavailable SOCKET_UNUSABLE.
    """
    server = grpc.aio.server(interceptors=[Boundary(LOCAL, feed, require_installed)], options=_OPTIONS)
    for name, servicer in servicers.items():
        _ADD[name](servicer, server)
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    names = [*servicers, health.SERVICE_NAME, reflection.SERVICE_NAME]
    reflection.enable_server_reflection(names, server)
    try:
        with suppress(FileNotFoundError):
            os.unlink(state.socket)
        server.add_insecure_port(f"unix:{quote(str(state.socket))}")  # gRPC reads it as a URI
        os.chmod(state.socket, 0o600)
        await server.start()
    except (RuntimeError, OSError) as e:
        raise Unavailable("SOCKET_UNUSABLE", f"{state.socket} cannot be listened on: {e}.") from e
    for name in ("", *servicers):
        await health_servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    return server
