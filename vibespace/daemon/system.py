"""Answers SystemService."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import grpc

from vibespace.app import host as commands
from vibespace.app.feed import Feed
from vibespace.app.writer import Command, Request, Writer
from vibespace.daemon import convert, mutations
from vibespace.daemon.doctor import Doctor
from vibespace.daemon.isolation import Isolation
from vibespace.daemon.principal import request_of
from vibespace.domain import names, states
from vibespace.domain.host import Host
from vibespace.domain.states import State
from vibespace.errors import InvalidArgument
from vibespace.v1 import system_pb2 as v1
from vibespace.v1.system_pb2_grpc import SystemServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]
_ALL = f"vibespaces/{names.ANY}"
"""What the command line says where no vibespace was named."""


class SystemServicer(SystemServiceServicer):
    """Translates. `outside` is what lies outside the state directory; `initialized` hears of each `init`, and
    `end_at_rest` ends the daemon when all rests.
    """

    def __init__(
        self,
        feed: Feed,
        writer: Writer,
        doctor: Doctor,
        isolation: Isolation,
        *,
        home: str,
        version: str,
        outside: Callable[[], Sequence[str]],
        initialized: Callable[[], Awaitable[None]],
        end_at_rest: Callable[[], None],
    ) -> None:
        self._feed = feed
        self._writer = writer
        self._doctor = doctor
        self._isolation = isolation
        self._home = home
        self._version = version
        self._outside = outside
        self._initialized = initialized
        self._end_at_rest = end_at_rest
        self._started = time.monotonic()

    async def GetStatus(self, request: v1.GetStatusRequest, context: Context) -> v1.GetStatusResponse:
        state = self._feed.state
        assert state.host is not None
        agents = list(state.agents())
        running = sum(
            states.agent_state(agent, state.vibespace_of(agent), state.host) == State.RUNNING for agent in agents
        )
        uptime = int(time.monotonic() - self._started)
        return v1.GetStatusResponse(
            daemon=v1.Daemon(version=self._version, pid=os.getpid(), home=self._home, uptime_seconds=uptime),
            host=self._host(),
            vibespaces=len(state.vibespaces),
            agents=len(agents),
            agents_running=running if self._feed.engine_seen else 0,
            cursor=convert.cursor(self._feed.log_id, state.position),
            outside=self._outside(),
            kept=sorted(state.kept),
        )

    async def Diagnose(self, request: v1.DiagnoseRequest, context: Context) -> v1.DiagnoseResponse:
        if request.parent not in ("", _ALL) and not request.isolation:
            text = "Only the isolation can be tried from inside one vibespace."
            raise InvalidArgument(
                "ISOLATION_NOT_ASKED", text, field="parent", hint="Add --isolation, or name no vibespace."
            )
        if request.isolation:
            findings = await self._isolation.examine(request.parent)
        else:
            findings = await self._doctor.examine()
        return v1.DiagnoseResponse(findings=sorted(findings, key=lambda finding: -finding.severity))

    async def GetVersion(self, request: v1.GetVersionRequest, context: Context) -> v1.GetVersionResponse:
        return v1.GetVersionResponse(version=self._version, python=platform.python_version(), api="vibespace.v1")

    async def Initialize(self, request: v1.InitializeRequest, context: Context) -> v1.InitializeResponse:
        engine = {
            "brand": request.engine.brand,
            "version": request.engine.version,
            "address": request.engine.address,
            "private": request.engine.private,
            "rootless": request.engine.rootless,
            "unenforced_limits": list(request.engine.unenforced_limits),
        }
        if request.engine.HasField("enforces_network_policies"):
            engine["enforces_network_policies"] = request.engine.enforces_network_policies
        command = partial(commands.initialize, engine=engine, image=request.image, base=request.base)
        response = v1.InitializeResponse(**await self._run(command, request_of(request)))
        await self._initialized()
        return response

    async def Rest(self, request: v1.RestRequest, context: Context) -> v1.RestResponse:
        response = v1.RestResponse(**await self._run(commands.rest, request_of(request)))
        self._end_at_rest()
        return response

    async def Wake(self, request: v1.WakeRequest, context: Context) -> v1.WakeResponse:
        return v1.WakeResponse(**await self._run(commands.wake, request_of(request)))

    async def _run(self, command: Command, request: Request) -> dict[str, Any]:
        _, cursor = await mutations.run(self._feed, self._writer, command, request, Host)
        return {"host": self._host(), "cursor": cursor}

    def _host(self) -> v1.Host:
        found = self._feed.state.host
        assert isinstance(found, Host)
        return convert.host_message(found, reachable=self._feed.engine_seen)
