"""Worktrees through a whole daemon, on the fake engine, by the real git."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.daemon.running import DEMO, PRIMARY, Running, create, quiet, refused, serving, whole
from tests.net.gitsource import Source
from vibespace.engine.fake_world import World
from vibespace.errors import FailedPrecondition
from vibespace.net import worktrees
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import vibespaces_pb2 as v

SECOND = f"{DEMO}/agents/claude-2"
WHO = "-c user.name=A -c user.email=a@example.org"


@pytest.fixture
def source(tmp_path: Path) -> Source:
    made = Source(tmp_path / "project")
    made.commit()
    return made


async def send(daemon: Running, source: Source) -> None:
    """A vibespace with worktrees, on `source`."""
    spec = v.VibespaceSpec(repo=str(source.path), worktree=True)
    await daemon.vibespaces.CreateVibespace(create(spec=spec))
    await daemon.until(quiet)
    pieces = [v.UploadRepositoryRequest(name=DEMO, branch="main", data=source.bundle())]
    await daemon.vibespaces.UploadRepository(iter(pieces))
    await daemon.until(quiet)


@pytest.fixture
async def shared(daemon: Running, source: Source) -> Running:
    """With two agents."""
    await send(daemon, source)
    await daemon.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO))
    await daemon.until(quiet)
    return daemon


async def says(daemon: Running, agent: str, script: str) -> str:
    """What a script says inside."""
    start = a.ExecStart(name=agent, command=["sh", "-c", script])
    responses = [each async for each in daemon.agents.Exec(iter([a.ExecRequest(start=start)]))]
    assert responses[-1].exit.code == 0, responses
    return b"".join(each.stdout for each in responses).decode().strip()


async def agent(daemon: Running, name: str, view: a.View.ValueType = a.VIEW_FULL) -> a.Agent:
    return (await daemon.agents.GetAgent(a.GetAgentRequest(name=name, view=view))).agent


async def test_commands_begin_in_it(shared: Running) -> None:
    """Each agent's in its own; also those that are asked for before it is there."""
    for name in (PRIMARY, SECOND):
        assert (await says(shared, name, "pwd")).endswith("/worktrees/" + name.rpartition("/")[2])
        assert await says(shared, name, "git symbolic-ref --short HEAD") == name.rpartition("/")[2]
    await shared.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO, agent_id="third"))
    assert await says(shared, f"{DEMO}/agents/third", "git symbolic-ref --short HEAD") == "third"


async def test_without_a_repository_commands_can_be_run(daemon: Running, source: Source) -> None:
    """Where none was sent yet, in the shared files."""
    await daemon.vibespaces.CreateVibespace(create(spec=v.VibespaceSpec(repo=str(source.path), worktree=True)))
    assert await says(daemon, PRIMARY, "ls") == ""
    found = (await agent(daemon, PRIMARY)).status.worktree
    assert (found.state, found.directory) == (a.WORKTREE_STATE_PENDING, "/vibespace/worktrees/claude-1")


async def test_one_that_takes_long(shared: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command waits for it only so long, and says what it waited for."""
    monkeypatch.setattr("vibespace.daemon.reaching._PATIENCE", 0.2)
    monkeypatch.setattr(worktrees, "MAKE", "sleep 600")
    await shared.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO, agent_id="slow"))
    await shared.until(lambda feed: feed.state.agent("demo", "slow").observed == "running")
    start = a.ExecStart(name=f"{DEMO}/agents/slow", command=["true"])
    error = await refused(whole(shared.agents.Exec(iter([a.ExecRequest(start=start)]))))
    assert error.message == "Agent 'slow' of 'demo' is starting: making its worktree."


async def test_what_is_in_it_is_told_to_who_asks(shared: Running) -> None:
    """With VIEW_FULL, also of an agent at rest as long as another runs; else only where it lies."""
    await says(shared, SECOND, f"echo x > new; git {WHO} commit -q --allow-empty -m x")
    await shared.agents.StopAgent(a.StopAgentRequest(name=SECOND))
    await shared.until(quiet)
    expected = a.Worktree(
        directory="/vibespace/worktrees/claude-2",
        state=a.WORKTREE_STATE_READY,
        branch="claude-2",
        base="main",
        ahead=1,
        behind=0,
        uncommitted=1,
        unpushed=1,
    )
    assert (await agent(shared, SECOND)).status.worktree == expected
    both = await shared.vibespaces.GetVibespace(v.GetVibespaceRequest(name=DEMO, view=a.VIEW_FULL))
    assert [each.status.worktree.branch for each in both.agents] == ["claude-1", "claude-2"]
    assert both.vibespace.status.repository.directory == "/vibespace/.bare-repo"
    brief = a.Worktree(directory=expected.directory, state=expected.state)
    assert (await agent(shared, SECOND, a.VIEW_BASIC)).status.worktree == brief
    await shared.agents.StopAgent(a.StopAgentRequest(name=PRIMARY))
    await shared.until(quiet)
    assert (await agent(shared, SECOND)).status.worktree == brief


async def test_git_that_is_slow_keeps_no_answer(shared: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not say in time is left out."""
    monkeypatch.setattr("vibespace.daemon.looking._PATIENCE", 0.2)
    monkeypatch.setattr(worktrees, "LOOK", "sleep 600")
    assert not (await agent(shared, PRIMARY)).status.worktree.HasField("branch")


async def test_an_agent_with_work_is_not_deleted(shared: Running) -> None:
    """What is nowhere else is said, also by a rehearsal; with force files go, and commits stay on its branch."""
    await says(shared, SECOND, f"git {WHO} commit -q --allow-empty -m x; echo x > new")
    for validate_only in (False, True):
        request = a.DeleteAgentRequest(name=SECOND, validate_only=validate_only)
        error = await refused(shared.agents.DeleteAgent(request))
        assert (type(error), error.reason) == (FailedPrecondition, "WORKTREE_HAS_WORK")
        told = "1 file not committed (new) and 1 commit on no other branch"
        assert error.message == f"'claude-2' of 'demo' has work that is nowhere else: {told}."
    commit = await says(shared, SECOND, "git rev-parse HEAD")
    forced = a.DeleteAgentRequest(name=SECOND, force=True, request_id="once")
    await shared.agents.DeleteAgent(forced)
    await shared.until(lambda feed: quiet(feed) and len(feed.state.members["demo"]) == 1)
    assert await says(shared, PRIMARY, "ls -A ..") == "claude-1"
    assert await says(shared, PRIMARY, "git rev-parse claude-2") == commit
    assert (await shared.agents.DeleteAgent(forced)).agent.name == SECOND
    rehearsed = a.DeleteAgentRequest(name=SECOND, validate_only=True, request_id="once")
    assert (await refused(shared.agents.DeleteAgent(rehearsed))).reason == "AGENT_NOT_FOUND"


async def test_a_clean_agent_is_deleted(shared: Running) -> None:
    """With its worktree and its branch; of the same name a new one begins anew."""
    await shared.agents.DeleteAgent(a.DeleteAgentRequest(name=SECOND))
    await shared.until(lambda feed: quiet(feed) and len(feed.state.members["demo"]) == 1)
    assert await says(shared, PRIMARY, "git branch --format='%(refname:short)'") == "claude-1\nmain"
    await shared.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO, agent_id="claude-2"))
    await shared.until(quiet)
    assert await says(shared, SECOND, "git status --short --branch") == "## claude-2"


async def test_nobody_who_could_look(shared: Running) -> None:
    """With all at rest it is not known whether work would be lost: that takes force. What it leaves goes later."""
    await shared.vibespaces.StopVibespace(v.StopVibespaceRequest(name=DEMO))
    await shared.until(quiet)
    error = await refused(shared.agents.DeleteAgent(a.DeleteAgentRequest(name=SECOND)))
    assert (type(error), error.reason) == (FailedPrecondition, "WORKTREE_UNSEEN")
    await shared.agents.DeleteAgent(a.DeleteAgentRequest(name=SECOND, force=True))
    await shared.until(lambda feed: len(feed.state.members["demo"]) == 1)
    await shared.vibespaces.StartVibespace(v.StartVibespaceRequest(name=DEMO))
    await shared.until(quiet)
    assert await says(shared, PRIMARY, "ls -A ..") == "claude-1"


async def test_one_that_cannot_be_made(shared: Running) -> None:
    """Its agent runs, and the reason is told; `start` makes it once that is mended."""
    await says(shared, PRIMARY, "git branch claude-3/x")
    await shared.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO))
    await shared.until(lambda feed: "claude-3" in feed.state.members["demo"] and quiet(feed))
    third = await agent(shared, f"{DEMO}/agents/claude-3")
    assert (third.status.state, third.status.worktree.state) == (a.AGENT_STATE_RUNNING, a.WORKTREE_STATE_FAILED)
    assert "'refs/heads/claude-3/x' exists" in third.status.worktree.reason
    assert (await says(shared, third.name, "ls -A")) == ".bare-repo\nworktrees"
    await says(shared, PRIMARY, "git branch -d claude-3/x")
    await shared.agents.StartAgent(a.StartAgentRequest(name=third.name))
    await shared.until(quiet)
    assert await says(shared, third.name, "git symbolic-ref --short HEAD") == "claude-3"


async def test_kept_data_is_gone_on_with(shared: Running, source: Source) -> None:
    """The same repository, worktrees and branches, with all that was in them."""
    await says(shared, PRIMARY, "echo mine > new")
    await shared.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name=DEMO, keep_data=True))
    await shared.until(lambda feed: not feed.state.vibespaces)
    spec = v.VibespaceSpec(repo=str(source.path), worktree=True)
    await shared.vibespaces.CreateVibespace(create(spec=spec, reuse_data=True))
    await shared.until(quiet)
    source.commit("later")
    pieces = [v.UploadRepositoryRequest(name=DEMO, branch="main", data=source.bundle())]
    await shared.vibespaces.UploadRepository(iter(pieces))
    await shared.until(quiet)
    assert await says(shared, PRIMARY, "cat new; ls") == "mine\nfile\nnew"


async def test_another_daemon_goes_on(tmp_path: Path, source: Source) -> None:
    """What was made is not made again, and where nothing was recorded of it, it is looked at and left as it is."""
    world = World()
    async with serving(tmp_path / "home", world) as daemon:
        await daemon.init()
        await send(daemon, source)
        await says(daemon, PRIMARY, "echo mine > new")
    async with serving(tmp_path / "home", world) as daemon:
        await daemon.until(quiet)
        assert await says(daemon, PRIMARY, "cat new") == "mine"
        await daemon.agents.StopAgent(a.StopAgentRequest(name=PRIMARY))
        await daemon.agents.StartAgent(a.StartAgentRequest(name=PRIMARY))
        await daemon.until(quiet)
        assert await says(daemon, PRIMARY, "cat new") == "mine"
    world.close()


async def test_a_daemon_that_ends_amid_one(tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one makes it."""
    world = World()
    async with serving(tmp_path / "home", world) as daemon:
        await daemon.init()
        with monkeypatch.context() as patch:
            patch.setattr(worktrees, "MAKE", "sleep 600")
            spec = v.VibespaceSpec(repo=str(source.path), worktree=True)
            await daemon.vibespaces.CreateVibespace(create(spec=spec))
            await daemon.until(quiet)
            pieces = [v.UploadRepositoryRequest(name=DEMO, branch="main", data=source.bundle())]
            sent = await daemon.vibespaces.UploadRepository(iter(pieces))
            assert sent.vibespace.status.state == v.VIBESPACE_STATE_STARTING
            daemon.daemon._stop.set()
            await asyncio.wait({daemon.task})
    async with serving(tmp_path / "home", world) as daemon:
        await daemon.until(quiet)
        assert await says(daemon, PRIMARY, "git status --short --branch; ls") == "## claude-1\nfile"
    world.close()
