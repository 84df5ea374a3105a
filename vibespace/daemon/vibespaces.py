"""Answers VibespaceService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import grpc

from vibespace.app import vibespaces as commands
from vibespace.app.feed import Feed
from vibespace.app.writer import Command, Request, Writer
from vibespace.daemon import convert, masks, mutations, pages, streams
from vibespace.daemon.guard import Guard
from vibespace.daemon.hostpaths import HostPaths
from vibespace.daemon.looking import Looking
from vibespace.daemon.measuring import Measuring
from vibespace.daemon.principal import principal, request_of
from vibespace.daemon.sealing import Sealing
from vibespace.domain import environment, images, mounts, names, repositories, states
from vibespace.domain.states import State
from vibespace.domain.vibespaces import NONE, Spec, Vibespace
from vibespace.errors import FailedPrecondition
from vibespace.net.gitbase import Repositories
from vibespace.v1 import agents_pb2, cursor_pb2
from vibespace.v1 import vibespaces_pb2 as v1
from vibespace.v1.vibespaces_pb2_grpc import VibespaceServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class VibespaceServicer(VibespaceServiceServicer):
    """Translates; the commands decide."""

    def __init__(
        self,
        feed: Feed,
        writer: Writer,
        repositories: Repositories,
        sealing: Sealing,
        paths: HostPaths,
        examine: Callable[[str], Awaitable[None]],
        measuring: Measuring,
        looking: Looking,
        guard: Guard,
        allowed: Callable[[], Sequence[str]],
    ) -> None:
        """`examine` raises what an image lacks to be an agent's computer; `allowed` is what config.yaml opens now."""
        self._feed = feed
        self._writer = writer
        self._repositories = repositories
        self._sealing = sealing
        self._paths = paths
        self._examine = examine
        self._measuring = measuring
        self._looking = looking
        self._guard = guard
        self._allowed = allowed

    async def CreateVibespace(self, request: v1.CreateVibespaceRequest, context: Context) -> v1.CreateVibespaceResponse:
        values = environment.parse(request.agent.env, "agent.env")
        spec = convert.spec(request.spec)
        if mutations.is_new(self._feed, request):
            spec = await self._possible(spec)
        command = partial(
            commands.create_vibespace,
            name=request.vibespace_id,
            spec=spec,
            agent_name=request.agent_id,
            agent_type=convert.agent_type(request.agent),
            reuse_data=request.reuse_data,
            env=list(values),
            share_credentials=request.agent.share_credentials,
            settings=convert.agent_settings(request.agent),
        )
        await self._sealing.conceal(request.agent)
        asked = request_of(request)
        created = await self._sealing.run(values, lambda uid: self._run(partial(command, agent_uid=uid), asked))
        return v1.CreateVibespaceResponse(**created)

    async def GetVibespace(self, request: v1.GetVibespaceRequest, context: Context) -> v1.GetVibespaceResponse:
        state, known, held = self._feed.state, self._feed.engine_seen, self._feed.held
        found = state.vibespace(names.parse_vibespace(request.name))
        agents = [
            convert.agent_message(agent, state, known=known, held=held.get(agent.uid))
            for agent in state.agents(found.name)
        ]
        response = v1.GetVibespaceResponse(
            vibespace=convert.vibespace_message(found, state, known=known), agents=agents
        )
        if request.view == agents_pb2.VIEW_FULL:
            await asyncio.gather(
                self._measuring.add([response.vibespace], response.agents), self._looking.add(response.agents)
            )
            response.limits.extend(await self._measuring.limits(found.spec))
            response.guard.CopyFrom(await self._guard.of(found))
        return response

    async def ListVibespaces(self, request: v1.ListVibespacesRequest, context: Context) -> v1.ListVibespacesResponse:
        state, known = self._feed.state, self._feed.engine_seen
        page, token = pages.cut(sorted(state.vibespaces), request.page_size, request.page_token)
        found = [convert.vibespace_message(state.vibespaces[name], state, known=known) for name in page]
        if request.usage:
            await self._measuring.add(found)
        return v1.ListVibespacesResponse(vibespaces=found, next_page_token=token, cursor=self._cursor(state.position))

    async def UpdateVibespace(self, request: v1.UpdateVibespaceRequest, context: Context) -> v1.UpdateVibespaceResponse:
        fields = masks.fields(request.update_mask, "spec")
        name = names.parse_vibespace(request.vibespace.name, "vibespace.name")
        spec = convert.spec(request.vibespace.spec)
        if mutations.is_new(self._feed, request):
            self._feed.state.vibespace(name)  # one that is not there is told first
            await self._measuring.check({field: spec[field] for field in fields if field in spec})
        command = partial(commands.change_vibespace, name=name, spec=spec, fields=fields)
        return v1.UpdateVibespaceResponse(**await self._run(command, request_of(request)))

    async def StartVibespace(self, request: v1.StartVibespaceRequest, context: Context) -> v1.StartVibespaceResponse:
        command = partial(commands.start_vibespace, name=names.parse_vibespace(request.name))
        return v1.StartVibespaceResponse(**await self._run(command, request_of(request)))

    async def StopVibespace(self, request: v1.StopVibespaceRequest, context: Context) -> v1.StopVibespaceResponse:
        command = partial(commands.stop_vibespace, name=names.parse_vibespace(request.name))
        return v1.StopVibespaceResponse(**await self._run(command, request_of(request)))

    async def DeleteVibespace(self, request: v1.DeleteVibespaceRequest, context: Context) -> v1.DeleteVibespaceResponse:
        name = names.parse_vibespace(request.name)
        if request.validate_only:
            found, cursor = self._feed.state.vibespace(name), self._cursor(self._feed.state.position)
            kept = found.keep_data if found.deleting else request.keep_data
        else:
            command = partial(commands.delete_vibespace, name=name, keep_data=request.keep_data)
            found, cursor = await mutations.run(self._feed, self._writer, command, request_of(request), Vibespace)
            kept = found.keep_data
        return v1.DeleteVibespaceResponse(vibespace=self._message(found), cursor=cursor, data_kept=kept)

    async def UploadRepository(
        self, requests: AsyncIterator[v1.UploadRepositoryRequest], context: Context
    ) -> v1.UploadRepositoryResponse:
        rest = aiter(requests)
        first = await streams.upload_start(rest)
        found = self._awaiting_upload(names.parse_vibespace(first.name))
        if first.branch:
            repositories.check_branch(first.branch, "branch")
        if first.origin:
            repositories.check_source(first.origin, "origin")
        branch = found.spec.get("branch") or first.branch
        request = Request(principal.get().actor, cause=self._feed.state.cause(found))
        try:
            commit = await self._repositories.receive(
                self._feed.state.primary(found.name).uid,
                streams.upload_chunks(first, rest),
                found.directory,
                branch,
                first.origin,
                bare=found.worktree,
            )
        except FailedPrecondition as e:
            failed = partial(commands.repository_failed, uid=found.id, reason=e.sentence)
            await self._writer.run(failed, request)
            raise
        ready = partial(commands.repository_ready, uid=found.id, commit=commit)
        return v1.UploadRepositoryResponse(**await self._run(ready, request))

    def _awaiting_upload(self, name: str) -> Vibespace:
        state = self._feed.state
        found = state.vibespace(name)
        if not found.waits_for_upload:
            raise FailedPrecondition(
                "UPLOAD_NOT_AWAITED", f"Vibespace '{name}' does not wait for a repository.", vibespace=name
            )
        assert state.host is not None
        primary = state.primary(name)
        if states.agent_state(primary, found, state.host) != State.RUNNING or not self._feed.engine_seen:
            raise FailedPrecondition(
                "AGENT_NOT_RUNNING", f"Agent '{primary.name}' of '{name}' is not running.", hint="Wait, or start it."
            )
        return found

    async def _possible(self, spec: Spec) -> Spec:
        """As it is agreed to. Raises what this machine, its engine or the image cannot do."""
        spec = await self._resolved(spec)
        await self._measuring.check(spec)
        if "image" in spec:
            await self._examine(images.check_reference(spec["image"], "spec.image"))
        return spec

    async def _resolved(self, spec: Spec) -> Spec:
        """With what config.yaml opens, and the real paths of this machine in its mounts: what is agreed to now is what
        is shown later.
        """
        if spec.get("network") != NONE and (allowed := await asyncio.to_thread(self._allowed)):
            spec = spec | {"allow": list(allowed)}
        if "mounts" not in spec:
            return spec
        asked = [mounts.parse(text, "spec.mounts") for text in spec["mounts"]]
        real = await asyncio.to_thread(lambda: [self._paths.resolve(mount.source) for mount in asked])
        return spec | {"mounts": [str(m._replace(source=s)) for m, s in zip(asked, real, strict=True)]}

    async def _run(self, command: Command, request: Request) -> dict[str, Any]:
        found, cursor = await mutations.run(self._feed, self._writer, command, request, Vibespace)
        return {"vibespace": self._message(found), "cursor": cursor}

    def _message(self, found: Vibespace) -> v1.Vibespace:
        return convert.vibespace_message(found, self._feed.state, known=self._feed.engine_seen)

    def _cursor(self, position: int) -> cursor_pb2.Cursor:
        return convert.cursor(self._feed.log_id, position)
