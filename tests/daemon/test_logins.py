"""Logins that agents' programs keep themselves: shared or not, told where they are, and never read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from tests.daemon.running import DEMO, PRIMARY, Running, create, quiet, refused
from vibespace.errors import Unavailable
from vibespace.net.base import LoginLooker
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import credentials_pb2 as c

CODEX = a.AgentSettings(type=a.AGENT_TYPE_CODEX, share_credentials=True)
CLAUDE = a.AgentSettings(type=a.AGENT_TYPE_CLAUDE_CODE, share_credentials=True)


async def inside(daemon: Running, agent: str, script: str) -> str:
    """What a shell says there."""
    start = a.ExecStart(name=f"{DEMO}/agents/{agent}", command=["sh", "-c", script])
    responses = [each async for each in daemon.agents.Exec(iter([a.ExecRequest(start=start)]))]
    return b"".join(each.stdout for each in responses).decode()


async def listed(daemon: Running, parent: str = "vibespaces/-") -> tuple[list[tuple[Any, ...]], list[str]]:
    """Each login, short, and in whom nobody looked."""
    response = await daemon.credentials.ListCredentials(c.ListCredentialsRequest(parent=parent, view=a.VIEW_FULL))
    logins = [each for each in response.credentials if each.settings.type == c.CREDENTIAL_TYPE_LOGIN]
    return [(each.name, each.agent_type, each.scope, list(each.used_by)) for each in logins], list(response.unseen)


@pytest.fixture
async def five(demo: Running) -> Running:
    """Beside the primary, which is Claude Code, each program twice, to share its login."""
    for settings in (CODEX, CODEX, CLAUDE, CLAUDE):
        await demo.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO, settings=settings))
    await demo.until(quiet)
    return demo


async def test_it_is_fixed_when_an_agent_is_made(demo: Running) -> None:
    """It is told with the agent's settings, of a primary too, and nobody changes it."""
    await demo.vibespaces.CreateVibespace(create("other", agent=CLAUDE))
    await demo.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO, settings=CODEX))
    found = (await demo.agents.ListAgents(a.ListAgentsRequest())).agents
    assert [each.settings.share_credentials for each in found] == [False, True, True]
    changed = a.Agent(name=PRIMARY, settings=CLAUDE)
    mask = FieldMask(paths=["settings.share_credentials"])
    error = await refused(demo.agents.UpdateAgent(a.UpdateAgentRequest(agent=changed, update_mask=mask)))
    assert error.reason == "FIELD_IMMUTABLE"


async def test_logins_are_told_where_they_are(five: Running) -> None:
    """One that agents share once, with all who have it, and each of an agent's own; of those that do not run, nothing.
    What another agent of the vibespace keeps is none of it.
    """
    assert await listed(five) == ([], [])
    await inside(five, "codex-1", "echo secret > ~/.codex/auth.json")
    await inside(five, "claude-2", "echo secret > $CLAUDE_SECURESTORAGE_CONFIG_DIR/.credentials.json")
    shared = [
        (f"{DEMO}/logins/claude-code", a.AGENT_TYPE_CLAUDE_CODE, c.CREDENTIAL_SCOPE_VIBESPACE),
        (f"{DEMO}/logins/codex", a.AGENT_TYPE_CODEX, c.CREDENTIAL_SCOPE_VIBESPACE),
    ]
    users = ["claude-2@demo", "claude-3@demo"], ["codex-1@demo", "codex-2@demo"]
    theirs = [(*each, used) for each, used in zip(shared, users, strict=True)]
    assert await listed(five) == (theirs, [])
    await inside(five, "claude-1", "mkdir ~/.claude; echo own > ~/.claude/.credentials.json")
    own = (f"{PRIMARY}/logins/claude-code", a.AGENT_TYPE_CLAUDE_CODE, c.CREDENTIAL_SCOPE_AGENT, ["claude-1@demo"])
    assert await listed(five, DEMO) == ([own, *theirs], [])
    await five.agents.StopAgent(a.StopAgentRequest(name=PRIMARY))
    await five.until(quiet)
    assert await listed(five) == (theirs, ["claude-1@demo"])
    await five.vibespaces.CreateVibespace(create("other"))
    await five.until(quiet)
    assert await listed(five, "vibespaces/other") == ([], [])


async def test_they_are_looked_for_when_asked_to(five: Running) -> None:
    """Who lists what is stored alone wakes nobody and waits for nobody; pages go on behind it."""
    await inside(five, "codex-1", "echo secret > ~/.codex/auth.json")
    assert not (await five.credentials.ListCredentials(c.ListCredentialsRequest())).credentials
    key = c.CredentialSettings(type=c.CREDENTIAL_TYPE_OPENAI)
    await five.credentials.SetCredential(c.SetCredentialRequest(credential=key, value="sk-1"))
    asked = c.ListCredentialsRequest(view=a.VIEW_FULL, page_size=1)
    first = await five.credentials.ListCredentials(asked)
    asked.page_token = first.next_page_token
    second = await five.credentials.ListCredentials(asked)
    types = [page.credentials[0].settings.type for page in (first, second)]
    assert types == [c.CREDENTIAL_TYPE_OPENAI, c.CREDENTIAL_TYPE_LOGIN]
    assert second.next_page_token == ""


async def test_who_does_not_answer_keeps_nobody_waiting(five: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said of an agent that hangs, or that lies, is that it was not seen, or its own affair."""

    class Looks(LoginLooker):
        async def __call__(self, agent_uid: str, *_: Any) -> str:
            state = five.feed.state
            match next(agent.name for agent in state.agents() if agent.uid == agent_uid):
                case "claude-1":
                    return "shared"  # which it was not created to
                case "claude-2":
                    raise Unavailable("AGENT_UNREACHABLE", "It broke.")
                case "claude-3":
                    await asyncio.Event().wait()
            return ""

    monkeypatch.setattr("vibespace.daemon.logins._PATIENCE", 0.05)
    monkeypatch.setattr(five.daemon._logins, "_look", Looks())
    own = (f"{PRIMARY}/logins/claude-code", a.AGENT_TYPE_CLAUDE_CODE, c.CREDENTIAL_SCOPE_AGENT, ["claude-1@demo"])
    assert await listed(five) == ([own], ["claude-2@demo", "claude-3@demo"])


async def test_each_program_has_a_login_of_its_own(five: Running) -> None:
    """What is to be run on a terminal; where a link is replaced by it, that is made again behind it, and its exit code
    is the login's.
    """

    async def command(agent: str) -> list[str]:
        asked = c.GetLoginRequest(name=f"{DEMO}/agents/{agent}")
        return list((await five.credentials.GetLogin(asked)).command)

    assert await command("claude-1") == await command("claude-2") == ["claude", "auth", "login"]
    assert (await command("codex-1"))[-3:] == ["codex", "login", "--device-auth"]
    await five.agents.StopAgent(a.StopAgentRequest(name=PRIMARY))
    await five.until(quiet)
    assert (await refused(five.credentials.GetLogin(c.GetLoginRequest(name=PRIMARY)))).reason == "AGENT_NOT_RUNNING"
    none = c.GetLoginRequest(name=f"{DEMO}/agents/none")
    assert (await refused(five.credentials.GetLogin(none))).reason == "AGENT_NOT_FOUND"


async def test_nobody_sets_a_login(demo: Running) -> None:
    """It is no secret that we keep."""
    login = c.CredentialSettings(type=c.CREDENTIAL_TYPE_LOGIN)
    error = await refused(demo.credentials.SetCredential(c.SetCredentialRequest(credential=login, value="x")))
    assert error.reason == "CREDENTIAL_TYPE_UNKNOWN"
    assert "'vibespace credential login'" in error.sentence
