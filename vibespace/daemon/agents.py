"""Answers AgentService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc

from vibespace.app import agents as commands
from vibespace.app.feed import Feed
from vibespace.app.settings import InForce
from vibespace.app.writer import Command, Request, Writer
from vibespace.daemon import convert, masks, mutations, pages, streams
from vibespace.daemon.looking import Looking
from vibespace.daemon.measuring import Measuring
from vibespace.daemon.principal import request_of
from vibespace.daemon.reaching import must_run_on, running
from vibespace.daemon.sealing import Sealing
from vibespace.daemon.settings import standing
from vibespace.domain import environment, names, worktrees
from vibespace.domain.agents import Agent
from vibespace.domain.vibespaces import Vibespace
from vibespace.engine.base import Logs
from vibespace.errors import Unavailable
from vibespace.net.base import Files, Shell
from vibespace.v1 import agents_pb2 as v1
from vibespace.v1.agents_pb2_grpc import AgentServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class AgentServicer(AgentServiceServicer):
    """Translates; the commands decide, and the shell carries the streams."""

    def __init__(
        self,
        feed: Feed,
        writer: Writer,
        shell: Shell,
        sealing: Sealing,
        measuring: Measuring,
        looking: Looking,
        files: Files,
        logs: Logs,
        in_force: InForce,
    ) -> None:
        self._feed = feed
        self._writer = writer
        self._shell = shell
        self._sealing = sealing
        self._measuring = measuring
        self._looking = looking
        self._files = files
        self._logs = logs
        self._in_force = in_force

    async def CreateAgent(self, request: v1.CreateAgentRequest, context: Context) -> v1.CreateAgentResponse:
        values = environment.parse(request.settings.env, "settings.env")
        command = partial(
            commands.create_agent,
            vibespace=names.parse_vibespace(request.parent, "parent"),
            name=request.agent_id,
            type=convert.agent_type(request.settings),
            env=list(values),
            share_credentials=request.settings.share_credentials,
            settings=convert.agent_settings(request.settings),
        )
        await self._sealing.conceal(request.settings)
        asked = request_of(request)
        created = await self._sealing.run(values, lambda uid: self._run(partial(command, uid=uid), asked))
        return v1.CreateAgentResponse(**created)

    async def GetAgent(self, request: v1.GetAgentRequest, context: Context) -> v1.GetAgentResponse:
        found = self._message(self._feed.state.agent(*names.parse_agent(request.name)))
        if request.view == v1.VIEW_FULL:
            await asyncio.gather(self._measuring.add(agents=[found]), self._looking.add([found]))
        return v1.GetAgentResponse(agent=found)

    async def GetAgentSettings(
        self, request: v1.GetAgentSettingsRequest, context: Context
    ) -> v1.GetAgentSettingsResponse:
        found = self._feed.state.agent(*names.parse_agent(request.name))
        return v1.GetAgentSettingsResponse(settings=standing(found, self._in_force))

    async def UpdateAgent(self, request: v1.UpdateAgentRequest, context: Context) -> v1.UpdateAgentResponse:
        fields = masks.fields(request.update_mask, "settings")
        vibespace, name = names.parse_agent(request.agent.name, "agent.name")
        settings = convert.agent_settings(request.agent.settings)
        command = partial(commands.change_agent, vibespace=vibespace, name=name, settings=settings, fields=fields)
        await self._sealing.conceal(request.agent.settings)
        found, cursor = await mutations.run(self._feed, self._writer, command, request_of(request), Agent)
        settled = standing(found, self._in_force, fields)
        return v1.UpdateAgentResponse(agent=self._message(found), cursor=cursor, settings=settled)

    async def ListAgents(self, request: v1.ListAgentsRequest, context: Context) -> v1.ListAgentsResponse:
        state, parent = self._feed.state, names.parse_vibespace(request.parent or "vibespaces/-", "parent")
        agents = state.agents() if parent == names.ANY else state.agents(state.vibespace(parent).name)
        found = {f"{a.vibespace}/{not a.primary:d}/{a.created_on.isoformat()}/{a.uid}": a for a in agents}
        page, token = pages.cut(sorted(found), request.page_size, request.page_token)
        return v1.ListAgentsResponse(
            agents=[self._message(found[key]) for key in page],
            next_page_token=token,
            cursor=convert.cursor(self._feed.log_id, state.position),
        )

    async def StartAgent(self, request: v1.StartAgentRequest, context: Context) -> v1.StartAgentResponse:
        vibespace, name = names.parse_agent(request.name)
        command = partial(commands.start_agent, vibespace=vibespace, name=name)
        return v1.StartAgentResponse(**await self._run(command, request_of(request)))

    async def StopAgent(self, request: v1.StopAgentRequest, context: Context) -> v1.StopAgentResponse:
        vibespace, name = names.parse_agent(request.name)
        command = partial(commands.stop_agent, vibespace=vibespace, name=name)
        return v1.StopAgentResponse(**await self._run(command, request_of(request)))

    async def DeleteAgent(self, request: v1.DeleteAgentRequest, context: Context) -> v1.DeleteAgentResponse:
        vibespace, name = names.parse_agent(request.name)
        if request.validate_only or mutations.is_new(self._feed, request):
            found = self._feed.state.agent(vibespace, name)
            found.check_deletion()
            if not request.force:
                await self._looking.refuse_unsaved(found)
        if request.validate_only:
            cursor = convert.cursor(self._feed.log_id, self._feed.state.position)
            return v1.DeleteAgentResponse(agent=self._message(found), cursor=cursor)
        command = partial(commands.delete_agent, vibespace=vibespace, name=name, force=request.force)
        return v1.DeleteAgentResponse(**await self._run(command, request_of(request)))

    async def Exec(self, requests: AsyncIterator[v1.ExecRequest], context: Context) -> AsyncIterator[v1.ExecResponse]:
        rest = aiter(requests)
        start = await streams.exec_start(rest)
        agent, vibespace = await self._reached(start.name, "start.name")
        place = worktrees.directory(agent, vibespace)
        try:
            async for response in streams.exec_stream(self._shell, agent.uid, place, start, rest):
                yield response
        except Unavailable:
            await must_run_on(self._feed, agent)
            raise

    async def Dial(self, requests: AsyncIterator[v1.DialRequest], context: Context) -> AsyncIterator[v1.DialResponse]:
        rest = aiter(requests)
        start = await streams.dial_start(rest)
        agent, _ = await self._reached(start.name, "name")
        async for response in streams.dial_stream(self._shell, agent.uid, start, rest):
            yield response

    async def UploadFiles(
        self, requests: AsyncIterator[v1.UploadFilesRequest], context: Context
    ) -> v1.UploadFilesResponse:
        rest = aiter(requests)
        first = await streams.files_start(rest)
        agent, vibespace = await self._reached(first.name, "name")
        pieces = streams.files_pieces(first, rest)
        await self._files.receive(agent.uid, worktrees.directory(agent, vibespace), first.path, pieces)
        return v1.UploadFilesResponse()

    async def DownloadFiles(
        self, request: v1.DownloadFilesRequest, context: Context
    ) -> AsyncIterator[v1.DownloadFilesResponse]:
        streams.check_path(request.path)
        agent, vibespace = await self._reached(request.name, "name")
        async for piece in self._files.send(agent.uid, worktrees.directory(agent, vibespace), request.path):
            yield v1.DownloadFilesResponse(data=piece)

    async def StreamLogs(self, request: v1.StreamLogsRequest, context: Context) -> AsyncIterator[v1.StreamLogsResponse]:
        agent = self._feed.state.agent(*names.parse_agent(request.name))
        since = request.since.seconds + request.since.nanos / 1e9
        async for piece in self._logs.logs(agent.uid, follow=request.follow, since=since):
            yield streams.log_response(piece)

    async def _reached(self, name: str, field: str) -> tuple[Agent, Vibespace]:
        return await running(self._feed, *names.parse_agent(name, field))

    async def _run(self, command: Command, request: Request) -> dict[str, Any]:
        found, cursor = await mutations.run(self._feed, self._writer, command, request, Agent)
        return {"agent": self._message(found), "cursor": cursor}

    def _message(self, found: Agent) -> v1.Agent:
        feed = self._feed
        return convert.agent_message(found, feed.state, known=feed.engine_seen, held=feed.held.get(found.uid))
