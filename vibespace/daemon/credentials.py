"""Answers CredentialService."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import grpc

from vibespace.app import credentials as commands
from vibespace.app import handing
from vibespace.app import logins as login_commands
from vibespace.app.feed import Feed
from vibespace.app.live import State
from vibespace.app.vault import Vault
from vibespace.app.writer import Command, Request, Writer
from vibespace.daemon import convert, mutations, pages
from vibespace.daemon.convert_credentials import credential_message, credential_settings, credential_type
from vibespace.daemon.logins import Logins
from vibespace.daemon.principal import request_of
from vibespace.daemon.reaching import running
from vibespace.daemon.sealing import Sealing
from vibespace.domain import credentials as domain
from vibespace.domain import names
from vibespace.domain.credentials import Credential
from vibespace.v1 import agents_pb2
from vibespace.v1 import credentials_pb2 as v1
from vibespace.v1 import system_pb2 as v1_system
from vibespace.v1.credentials_pb2_grpc import CredentialServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class CredentialServicer(CredentialServiceServicer):
    """Translates; the commands decide, and the sealing keeps values apart from them."""

    def __init__(self, feed: Feed, writer: Writer, sealing: Sealing, logins: Logins) -> None:
        self._feed = feed
        self._writer = writer
        self._sealing = sealing
        self._logins = logins

    async def SetCredential(self, request: v1.SetCredentialRequest, context: Context) -> v1.SetCredentialResponse:
        asked, parent = request.credential, request.parent
        type = credential_type(asked)
        key = domain.check_key(type, asked.host, asked.variable, "credential")
        settings, value = credential_settings(asked), request.value
        domain.check_settings(type, settings, "credential")
        domain.check_value(type, key, value, "value")
        command = partial(commands.set_credential, parent=parent, type=type, key=key, settings=settings)
        request.value = await self._sealing.stand_in(value)
        origin = request_of(request)

        def held() -> str:
            known = self._feed.state.credentials.get(parent, {}).get((type, key))
            return known.sealed if known else ""

        response = await self._sealing.change(
            held, lambda uid: self._run(partial(command, sealed=str(uid)), origin), value
        )
        return v1.SetCredentialResponse(**response)

    async def ListCredentials(self, request: v1.ListCredentialsRequest, context: Context) -> v1.ListCredentialsResponse:
        state, parent = self._feed.state, names.parse_vibespace(request.parent or "vibespaces/-", "parent")
        only = "" if parent == names.ANY else state.vibespace(parent).subject
        kept = [each for each in self._all() if not only or _may_reach(each, only)]
        found = {_place(each): credential_message(each, state) for each in kept}
        unseen: list[str] = []
        if request.view == agents_pb2.VIEW_FULL:
            logins, unseen = await self._logins.found(state.agents(parent if only else None))
            found |= {f"{_LAST}/{each.name}": each for each in logins}
        page, token = pages.cut(sorted(found), request.page_size, request.page_token)
        return v1.ListCredentialsResponse(
            credentials=[found[place] for place in page],
            next_page_token=token,
            cursor=convert.cursor(self._feed.log_id, state.position),
            unseen=unseen,
        )

    async def GetLogin(self, request: v1.GetLoginRequest, context: Context) -> v1.GetLoginResponse:
        agent, _ = await running(self._feed, *names.parse_agent(request.name))
        return v1.GetLoginResponse(command=login_commands.command(agent))

    async def DeleteCredential(
        self, request: v1.DeleteCredentialRequest, context: Context
    ) -> v1.DeleteCredentialResponse:
        if request.validate_only:
            cursor = convert.cursor(self._feed.log_id, self._feed.state.position)
            found = credential_message(self._feed.state.credential(request.name), self._feed.state)
            return v1.DeleteCredentialResponse(credential=found, cursor=cursor)

        def held() -> str:
            return next((each.sealed for each in self._all() if each.subject == request.name), "")

        command = partial(commands.delete_credential, name=request.name)
        response = await self._sealing.change(held, lambda _: self._run(command, request_of(request)))
        return v1.DeleteCredentialResponse(**response)

    def _all(self) -> Iterator[Credential]:
        for held in self._feed.state.credentials.values():
            yield from held.values()

    async def _run(self, command: Command, request: Request) -> dict[str, Any]:
        found, cursor = await mutations.run(self._feed, self._writer, command, request, Credential)
        return {"credential": credential_message(found, self._feed.state), "cursor": cursor}


def findings(state: State, vault: Vault, now: datetime) -> Iterator[v1_system.Finding]:
    """Credentials that are of no use any more, for `doctor`."""
    for held in state.credentials.values():
        for credential in held.values():
            said = ""
            if not handing.readable(vault, credential):
                said = "Its value cannot be read: the vault or its master key is not what it was."
            elif datetime.fromisoformat(credential.settings.get("expires", "9999-12-31T00:00:00+00:00")) <= now:
                said = f"It expired at {credential.settings['expires']}, as was said when it was set."
            if said:
                hint = "Set it again with 'vibespace credential set', or delete it."
                severity = v1_system.SEVERITY_WARNING
                yield v1_system.Finding(severity=severity, subject=credential.called, message=said, hint=hint)


_SCOPES = (domain.HOST, domain.VIBESPACE, domain.AGENT)
_LAST = len(_SCOPES)
"""Where logins stand in lists."""


def _place(credential: Credential) -> str:
    """Where it stands in lists: the widest scope first."""
    width = _SCOPES.index(credential.scope)
    return f"{width}/{credential.parent}/{credential.type}/{credential.key}"


def _may_reach(credential: Credential, vibespace: str) -> bool:
    return credential.parent in ("", vibespace) or credential.parent.startswith(f"{vibespace}/")
