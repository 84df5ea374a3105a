"""What agents' programs are started with, over a whole daemon: programs of ours, called as the real ones are."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.daemon.running import DEMO, PRIMARY, Running, create, quiet, whole
from tests.daemon.test_credentials import setting
from tests.net.gitsource import Source
from tests.net.running import until
from vibespace.engine import bodies
from vibespace.engine.fake_world import World
from vibespace.harness.base import NOTHING, Command, Settings
from vibespace.harness.codex import Codex
from vibespace.harness.registry import HARNESSES
from vibespace.net.gitscripts import MAKE
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import conversations_pb2 as c
from vibespace.v1 import credentials_pb2 as cr
from vibespace.v1 import vibespaces_pb2 as v
from vibespace.v1.conversations_pb2_grpc import ConversationServiceStub

NAMES = ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "OPENAI_API_KEY", "PLAIN"]

PROGRAM = f"""#!{sys.executable}
import json, os
found = dict(names=[name for name in {NAMES} if os.environ.get(name)], directory=os.getcwd())
path = os.path.expanduser("~/found")
with open(path + ".new", "w") as file:
    json.dump(found, file)
os.rename(path + ".new", path)
"""
"""Leaves word of which variables it has, not of their values, and where it was begun."""


class OnPipes(Codex):
    """Without its socket, whose path is too long where these tests have their homes."""

    def headless(
        self, settings: Settings, conversation: str, *, resume: bool, env: Mapping[str, str] = NOTHING
    ) -> Command:
        return replace(super().headless(settings, conversation, resume=resume, env=env), socket="")


@pytest.fixture(autouse=True)
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside, `claude` and `codex` are that program."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("claude", "codex"):
        (directory / name).write_text(PROGRAM)
        (directory / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(directory), prepend=":")
    monkeypatch.setattr("vibespace.daemon.__main__.HARNESSES", {**HARNESSES, "codex": OnPipes()})


async def say(daemon: Running, agent: str) -> None:
    """Something, so that its program is begun."""
    await ConversationServiceStub(daemon.channel).SendMessage(c.SendMessageRequest(parent=agent, text="hello"))


async def found(daemon: Running, world: World, name: str) -> tuple[list[str], str]:
    """What the program of that agent has left word of."""
    data = daemon.feed.state.vibespace("demo").data_uid
    path = world.files(bodies.home_volume(data, name)) / "found"
    await until(path.exists)
    left = json.loads(path.read_text())
    return left["names"], left["directory"]


@pytest.mark.parametrize(
    ("agent", "type", "value", "variable"),
    [
        (a.AGENT_TYPE_CLAUDE_CODE, "anthropic", "sk-ant-api03-correct-horse", "ANTHROPIC_API_KEY"),
        (a.AGENT_TYPE_CLAUDE_CODE, "anthropic", "sk-ant-oat01-battery-staple", "CLAUDE_CODE_OAUTH_TOKEN"),
        (a.AGENT_TYPE_CODEX, "openai", "sk-proj-correct-horse", "OPENAI_API_KEY"),
    ],
)
async def test_a_program_alone_has_its_login(
    daemon: Running, world: World, agent: a.AgentType.ValueType, type: str, value: str, variable: str
) -> None:
    """What else runs inside has what `--env` says; a login for another program is not the program's."""
    settings = a.AgentSettings(type=agent, env=["PLAIN=plain"])
    await daemon.vibespaces.CreateVibespace(create(spec=v.VibespaceSpec(), agent=settings))
    await daemon.until(quiet)
    name = daemon.feed.state.primary("demo").name
    other = "openai" if type == "anthropic" else "anthropic"
    await daemon.credentials.SetCredential(setting(type, value))
    await daemon.credentials.SetCredential(setting(other, "sk-of-another-program"))
    await say(daemon, f"{DEMO}/agents/{name}")
    assert (await found(daemon, world, name))[0] == [variable, "PLAIN"]
    start = a.ExecStart(name=f"{DEMO}/agents/{name}", command=["env"])
    shown = b"".join(each.stdout for each in await whole(daemon.agents.Exec(iter([a.ExecRequest(start=start)]))))
    assert b"PLAIN=plain" in shown
    assert not any(word in shown for word in (variable.encode(), value.encode()))


async def test_a_login_that_cannot_be_read_is_said(demo: Running, home: Path) -> None:
    """The message is not worked on, and its reason says what to do."""
    await demo.credentials.SetCredential(setting("anthropic"))
    (credential,) = (await demo.credentials.ListCredentials(cr.ListCredentialsRequest())).credentials
    held = demo.feed.state.credential(credential.name)
    demo.daemon._vault.delete(held.sealed)
    stub = ConversationServiceStub(demo.channel)
    sent = await stub.SendMessage(c.SendMessageRequest(parent=PRIMARY, text="hello"))
    request = c.StreamTranscriptRequest(name=PRIMARY, after=sent.cursor, until_message=sent.message.uid)
    moves = [message async for each in stub.StreamTranscript(request) for message in each.messages]
    assert moves[-1].state == c.MESSAGE_STATE_FAILED
    assert "cannot be read" in moves[-1].reason


async def test_a_program_waits_for_its_worktree(
    daemon: Running, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins there, and not before it is there, whatever it is told meanwhile."""
    source, gate = Source(tmp_path / "project"), tmp_path / "gate"
    source.commit()
    waiting = f"until [ -e {gate} ]; do sleep 0.02; done"
    monkeypatch.setattr("vibespace.net.worktrees.MAKE", f"{waiting}\n{MAKE}")
    spec = v.VibespaceSpec(repo=str(source.path), worktree=True)
    await daemon.vibespaces.CreateVibespace(create(spec=spec))
    await daemon.until(quiet)
    pieces = [v.UploadRepositoryRequest(name=DEMO, branch="main", data=source.bundle())]
    await daemon.vibespaces.UploadRepository(iter(pieces))
    await daemon.until(lambda feed: feed.state.vibespace("demo").repository == "ready")
    await daemon.until(lambda feed: feed.state.agent("demo", "claude-1").observed == "running")
    saying = asyncio.create_task(say(daemon, PRIMARY))
    done, _ = await asyncio.wait([saying], timeout=0.2)
    assert not done
    gate.touch()
    await saying
    assert (await found(daemon, world, "claude-1"))[1].endswith("/worktrees/claude-1")
