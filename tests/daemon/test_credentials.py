"""Credentials over the wire: who gets which, and that nobody is shown any."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.running import DEMO, PRIMARY, Running, create, quiet, refused, serving
from tests.net.running import until
from vibespace.app import credentials, handing
from vibespace.daemon.sealing import Sealing
from vibespace.engine.fake_world import World
from vibespace.errors import Error, Exhausted, FailedPrecondition
from vibespace.net.gitaccess import GitAccessFiles
from vibespace.net.gitbase import GitAccess, GitLogin
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import credentials_pb2 as c
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import system_pb2 as s
from vibespace.v1 import vibespaces_pb2 as v
from vibespace.vault import Vault

VALUE, OTHER = "sk-ant-api03-correct-horse", "sk-ant-oat01-battery-staple"
HELPER = f"{DEMO}/agents/codex-1"


def setting(
    type: str, value: str = VALUE, parent: str = "", request_id: str = "", **said: Any
) -> c.SetCredentialRequest:
    kind = c.CredentialType.Value(f"CREDENTIAL_TYPE_{type.upper()}")
    return c.SetCredentialRequest(
        parent=parent, credential=c.CredentialSettings(type=kind, **said), value=value, request_id=request_id
    )


async def listed(daemon: Running, parent: str = "") -> list[c.Credential]:
    return list((await daemon.credentials.ListCredentials(c.ListCredentialsRequest(parent=parent))).credentials)


def sealed(home: Path) -> list[str]:
    return sorted(path.parent.name for path in (home / "vault").glob("*/*"))


def held(daemon: Running) -> list[str]:
    return sorted(credentials.owners(daemon.feed.state) - {agent.uid for agent in daemon.feed.state.agents()})


def environment(daemon: Running, name: str = "claude-1") -> Mapping[str, str]:
    state = daemon.feed.state
    return handing.environment(state, daemon.daemon._vault, state.agent("demo", name))


@pytest.fixture
async def two(demo: Running) -> Running:
    """With a Codex beside the primary, which is Claude Code."""
    settings = a.AgentSettings(type=a.AGENT_TYPE_CODEX, env=["MODE=fast"])
    await demo.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO, settings=settings))
    await demo.until(quiet)
    return demo


async def test_a_credentials_life(two: Running, home: Path) -> None:
    """Set, listed, replaced and deleted, each answered with the resource, a cursor, and no value; the vault has what
    the history says and nothing else.
    """
    api = two.credentials
    made = await api.SetCredential(setting("anthropic"))
    assert made.credential.name == f"credentials/{made.credential.uid}"
    assert (made.credential.scope, list(made.credential.used_by)) == (c.CREDENTIAL_SCOPE_HOST, ["claude-1@demo"])
    assert made.cursor.position == made.credential.position == two.feed.state.position
    assert sealed(home) == sorted([*held(two), two.feed.state.agent("demo", "codex-1").uid])
    again = await api.SetCredential(setting("anthropic", OTHER))
    assert (again.credential.uid, again.credential.create_time) == (made.credential.uid, made.credential.create_time)
    assert len(held(two)) == 1
    assert sealed(home) == sorted([*held(two), two.feed.state.agent("demo", "codex-1").uid])
    assert await listed(two) == [again.credential]
    for text in (VALUE, OTHER):
        assert text not in f"{made}{again}{await listed(two)}"
    rehearsed = await api.DeleteCredential(c.DeleteCredentialRequest(name=made.credential.name, validate_only=True))
    assert rehearsed.credential == again.credential
    gone = await api.DeleteCredential(c.DeleteCredentialRequest(name=made.credential.name))
    assert (gone.credential.uid, list(gone.credential.used_by)) == (made.credential.uid, [])
    assert (await listed(two), held(two)) == ([], [])
    assert sealed(home) == [two.feed.state.agent("demo", "codex-1").uid]
    twice = await refused(api.DeleteCredential(c.DeleteCredentialRequest(name=made.credential.name)))
    assert twice.reason == "CREDENTIAL_NOT_FOUND"
    assert environment(two) == {}


async def test_the_narrowest_wins(two: Running) -> None:
    """Of several of one kind an agent gets that of itself, else of its vibespace, else of all; the list says who."""
    wide, middle, narrow = [
        (await two.credentials.SetCredential(setting("environment", f"{n} value", parent, variable="T"))).credential
        for n, parent in enumerate(["", DEMO, PRIMARY])
    ]
    assert environment(two) == {"T": "2 value"}
    assert environment(two, "codex-1") == {"T": "1 value"}
    assert [each.name for each in await listed(two)] == [wide.name, middle.name, narrow.name]
    assert [list(each.used_by) for each in await listed(two)] == [[], ["codex-1@demo"], ["claude-1@demo"]]
    assert (middle.vibespace_id, narrow.vibespace_id, narrow.agent_id) == ("demo", "demo", "claude-1")
    assert not wide.HasField("vibespace_id")
    await two.credentials.DeleteCredential(c.DeleteCredentialRequest(name=narrow.name))
    assert environment(two) == {"T": "1 value"}
    await two.vibespaces.CreateVibespace(create("other"))
    assert [each.name for each in await listed(two, "vibespaces/other")] == [wide.name]


@pytest.mark.parametrize(("value", "variable"), [(VALUE, "ANTHROPIC_API_KEY"), (OTHER, "CLAUDE_CODE_OAUTH_TOKEN")])
async def test_each_program_gets_what_it_reads(two: Running, value: str, variable: str) -> None:
    """A key and a long-lived token in the variables that Claude Code has for them, OpenAI's for Codex, and for nobody
    what has no use.
    """
    await two.credentials.SetCredential(setting("anthropic", value))
    await two.credentials.SetCredential(setting("openai", "sk-proj-1"))
    await two.credentials.SetCredential(setting("git", "ghp_1", host="example.org"))
    assert environment(two) == {variable: value}
    assert environment(two, "codex-1") == {"OPENAI_API_KEY": "sk-proj-1"}


async def test_what_create_was_given_stands(demo: Running) -> None:
    """A variable of --env is not handed again, and where it is another form of the key there is none beside it."""
    env = ["NPM_TOKEN=mine", "ANTHROPIC_AUTH_TOKEN=of a gateway"]
    settings = a.AgentSettings(type=a.AGENT_TYPE_CLAUDE_CODE, env=env)
    await demo.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO, settings=settings))
    for request in (setting("environment", "theirs", variable="NPM_TOKEN"), setting("anthropic")):
        await demo.credentials.SetCredential(request)
    assert environment(demo, "claude-2") == {}
    assert environment(demo) == {"NPM_TOKEN": "theirs", "ANTHROPIC_API_KEY": VALUE}
    assert [list(each.used_by) for each in await listed(demo)] == [["claude-1@demo"], ["claude-1@demo"]]


async def test_the_container_has_no_part_of_it(two: Running) -> None:
    """What a program is to get is neither in its container's environment nor in what the engine is told."""
    await two.credentials.SetCredential(setting("anthropic"))
    await two.agents.StopAgent(a.StopAgentRequest(name=HELPER))
    await two.agents.StartAgent(a.StartAgentRequest(name=HELPER))
    await two.until(quiet)
    start = a.ExecStart(name=PRIMARY, command=["env"])
    said = b"".join([r.stdout async for r in two.agents.Exec(iter([a.ExecRequest(start=start)]))])
    assert VALUE.encode() not in said
    world = two.daemon._late.engine.world  # type: ignore[union-attr]  # the fake has one
    assert VALUE not in str(world.things)


async def test_they_go_with_whom_they_are_for(two: Running, home: Path) -> None:
    """An agent's go with it, a vibespace's with it, and those of all stay; no value is left of what is gone."""
    for parent in ("", DEMO, PRIMARY, HELPER):
        await two.credentials.SetCredential(setting("openai", "sk-proj-1", parent))
    await two.agents.DeleteAgent(a.DeleteAgentRequest(name=HELPER))
    await two.until(lambda feed: len(list(feed.state.agents())) == 1)
    assert len(await listed(two)) == 3
    assert sealed(home) == held(two)
    await two.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name=DEMO, keep_data=True))
    await two.until(lambda feed: not feed.state.vibespaces)
    assert [each.scope for each in await listed(two)] == [c.CREDENTIAL_SCOPE_HOST]
    assert sealed(home) == held(two)
    followed = two.events.StreamEvents(ev.StreamEventsRequest(parent=DEMO, type="credential"))
    told = [event.type async for response in followed for event in response.events]
    assert told == ["credential.created"] * 3 + ["credential.deleted"] * 3


async def test_repeats_and_refusals_leave_nothing(two: Running, home: Path) -> None:
    """A repeat is answered as the first was and its value not kept; another value under the same id is refused."""
    first = await two.credentials.SetCredential(setting("anthropic", request_id="once"))
    before = sealed(home)
    assert await two.credentials.SetCredential(setting("anthropic", request_id="once")) == first
    wrong = {
        "REQUEST_ID_REUSED": setting("anthropic", OTHER, request_id="once"),
        "VIBESPACE_NOT_FOUND": setting("anthropic", parent="vibespaces/none"),
        "AGENT_NOT_FOUND": setting("anthropic", parent=f"{DEMO}/agents/none"),
        "RESOURCE_NAME_INVALID": setting("anthropic", parent="demo"),
        "CREDENTIAL_TYPE_UNKNOWN": c.SetCredentialRequest(value=VALUE),
        "HOST_INVALID": setting("git"),
        "VALUE_MISSING": setting("anthropic", ""),
        "VALUE_INVALID": setting("anthropic", "two words"),
        "TIME_INVALID": setting("anthropic", expire_time={"seconds": 1 << 50}),
    }
    position = two.feed.state.position
    for reason, request in wrong.items():
        error = await refused(two.credentials.SetCredential(request))
        assert error.reason == reason
        assert "two words" not in error.sentence
    assert (two.feed.state.position, sealed(home)) == (position, before)
    digests = {recorded.body["digest"] for recorded in two.daemon._feed._log.read(0) if "credential" in recorded.topic}
    assert len(digests) == 1
    assert environment(two) == {"ANTHROPIC_API_KEY": VALUE}


async def test_many_at_once_leave_one(two: Running, home: Path) -> None:
    """However many set the same at once, one value is kept: that of the last."""
    values = [f"sk-ant-api03-value-{n}" for n in range(10)]
    await asyncio.gather(*(two.credentials.SetCredential(setting("anthropic", value)) for value in values))
    assert len(held(two)) == 1
    assert sealed(home) == sorted([*held(two), two.feed.state.agent("demo", "codex-1").uid])
    assert environment(two)["ANTHROPIC_API_KEY"] in values


@pytest.mark.parametrize("recorded", [False, True])
async def test_a_crash_leaves_the_old_or_the_new(
    home: Path, world: World, recorded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the event the old value is in force, killed after it the new one; the other is swept away."""
    async with serving(home, world) as first:
        await first.init()
        await first.vibespaces.CreateVibespace(create())
        await first.credentials.SetCredential(setting("anthropic"))
        monkeypatch.setattr(first.daemon._vault, "delete", lambda uid: None)  # it is dead by then
        if recorded:
            await first.credentials.SetCredential(setting("anthropic", OTHER))
        else:
            unrecorded = partial(asyncio.sleep, 0)
            await Sealing(first.feed, first.daemon._vault).change(lambda: "", lambda _: unrecorded(), OTHER)
        assert len(sealed(home)) == 2
    async with serving(home, world) as daemon:
        assert list(environment(daemon).values()) == [OTHER if recorded else VALUE]
        assert sealed(home) == held(daemon)


async def test_nobody_waits_for_the_vault(two: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands for a value in the log is made with the master key, which lies on the disk: beside the event loop."""
    fingerprint, at_work = Vault.fingerprint, set[threading.Thread]()

    def watched(self: Vault, value: str) -> str:
        at_work.add(threading.current_thread())
        return fingerprint(self, value)

    monkeypatch.setattr(Vault, "fingerprint", watched)
    settings = a.AgentSettings(type=a.AGENT_TYPE_CODEX, env=["MODE=slow"])
    await two.credentials.SetCredential(setting("anthropic"))
    await two.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO, settings=settings))
    assert at_work
    assert threading.current_thread() not in at_work


async def test_a_full_disk_keeps_the_old_one(two: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that cannot be kept is refused before anything is recorded."""
    await two.credentials.SetCredential(setting("anthropic"))

    def full(uid: str, values: Mapping[str, str]) -> None:
        raise Exhausted("DISK_FULL", "The values could not be kept.")

    monkeypatch.setattr(two.daemon._vault, "store", full)
    assert (await refused(two.credentials.SetCredential(setting("anthropic", OTHER)))).reason == "DISK_FULL"
    assert environment(two) == {"ANTHROPIC_API_KEY": VALUE}


async def test_a_lost_key_is_told(home: Path, world: World) -> None:
    """What cannot be opened any more is not left out in silence; set again, it is there."""
    async with serving(home, world) as first:
        await first.init()
        await first.vibespaces.CreateVibespace(create())
        await first.credentials.SetCredential(setting("anthropic"))
    (home / "vault/master").unlink()
    async with serving(home, world) as daemon:
        with pytest.raises(FailedPrecondition, match="anthropic of every vibespace cannot be read") as e:
            environment(daemon)
        assert isinstance(e.value, Error)
        assert e.value.reason == "SECRET_UNREADABLE"
        await daemon.credentials.SetCredential(setting("anthropic", OTHER))
        assert environment(daemon) == {"CLAUDE_CODE_OAUTH_TOKEN": OTHER}


def passwords(daemon: Running, world: World, name: str) -> list[str]:
    """What git finds inside, in files of the agent's alone."""
    memory = world.files(f"vs-{daemon.feed.state.agent('demo', name).uid}") / "vibespace-git"
    found: list[str] = []
    for path in memory.glob("[!.]*"):  # what begins with a dot is not yet in place
        with suppress(FileNotFoundError), path.open() as file:  # as another takes its place
            assert path.name == "config" or os.fstat(file.fileno()).st_mode & 0o777 == 0o600
            found += re.findall("password=(.*)", file.read())
    return sorted(found)


async def test_doctor_tells_what_is_of_no_use(two: Running) -> None:
    """What has expired, and what cannot be read, by what it is for and whose."""
    for parent, seconds in (("", 1), (DEMO, 1 << 33), (HELPER, 1)):
        await two.credentials.SetCredential(setting("openai", "sk-1", parent, expire_time={"seconds": seconds}))
    await two.credentials.SetCredential(setting("git", "ghp_1", PRIMARY, host="example.org"))
    lost = two.feed.state.credentials[PRIMARY]["git", "example.org"]
    two.daemon._vault.delete(lost.sealed)
    found = {f.subject: f.message for f in (await two.system.Diagnose(s.DiagnoseRequest())).findings}
    assert {subject: message[:24] for subject, message in found.items() if "credential" in subject} == {
        "credential openai of every vibespace": "It expired at 1970-01-01",
        "credential openai of codex-1@demo": "It expired at 1970-01-01",
        "credential git example.org of claude-1@demo": "Its value cannot be read",
    }


async def test_git_has_its_logins_inside(two: Running, world: World) -> None:
    """Those of all and its own, at once, in memory that goes with the container; what is deleted is taken back."""

    async def have(claude: list[str], codex: list[str]) -> None:
        await until(lambda: [passwords(two, world, name) for name in ("claude-1", "codex-1")] == [claude, codex])

    wide = await two.credentials.SetCredential(setting("git", "ghp_wide", host="example.org"))
    await two.credentials.SetCredential(setting("git", "ghp_mine", PRIMARY, host="example.com"))
    await have(["ghp_mine", "ghp_wide"], ["ghp_wide"])
    await two.agents.StopAgent(a.StopAgentRequest(name=HELPER))
    await two.until(quiet)
    assert passwords(two, world, "codex-1") == []
    await two.agents.StartAgent(a.StartAgentRequest(name=HELPER))
    await have(["ghp_mine", "ghp_wide"], ["ghp_wide"])
    await two.credentials.SetCredential(setting("git", "ghp_new", host="example.org"))
    await have(["ghp_mine", "ghp_new"], ["ghp_new"])
    await two.credentials.DeleteCredential(c.DeleteCredentialRequest(name=wide.credential.name))
    await have(["ghp_mine"], [])


async def test_what_was_deleted_before_a_restart_is_taken_back(
    home: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the daemon died before it could: the next one looks, where something may have been given."""
    async with serving(home, world) as first:
        await first.init()
        await first.vibespaces.CreateVibespace(create())
        made = await first.credentials.SetCredential(setting("git", "ghp_1", host="example.org"))
        await until(lambda: passwords(first, world, "claude-1") == ["ghp_1"])

        async def hangs(*_: Any, **__: Any) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(first.daemon._shell, "start", hangs)
        await first.credentials.DeleteCredential(c.DeleteCredentialRequest(name=made.credential.name))
        assert passwords(first, world, "claude-1") == ["ghp_1"]
    async with serving(home, world) as daemon:
        await until(lambda: passwords(daemon, world, "claude-1") == [])


async def test_an_agent_that_takes_nothing_is_stopped_all_the_same(
    two: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose shell hangs keeps neither its own end nor another agent waiting."""
    asked: list[str] = []

    async def hangs(_: GitAccessFiles, agent_uid: str, access: GitAccess) -> None:
        asked.append(agent_uid)
        await asyncio.Event().wait()

    monkeypatch.setattr(GitAccessFiles, "give", hangs)
    await two.credentials.SetCredential(setting("git", "ghp_1", host="example.org"))
    await until(lambda: len(asked) == 2)
    await two.agents.DeleteAgent(a.DeleteAgentRequest(name=HELPER))
    await two.vibespaces.StopVibespace(v.StopVibespaceRequest(name=DEMO))
    await two.until(lambda feed: quiet(feed) and len(list(feed.state.agents())) == 1)


async def test_one_author_is_told_to_git(two: Running) -> None:
    """Of the narrowest that names one; who logs in is said, or a name that servers take with a token."""
    await two.credentials.SetCredential(
        setting("git", "ghp_1", host="a.org", author_name="Wide", author_email="wide@a.org")
    )
    await two.credentials.SetCredential(
        setting("git", "ghp_2", DEMO, host="b.org", username="me", author_name="Narrow")
    )
    state = two.feed.state
    access = handing.git_access(state, two.daemon._vault, state.agent("demo", "claude-1"))
    logins = (GitLogin("a.org", "x-access-token", "ghp_1"), GitLogin("b.org", "me", "ghp_2"))
    assert access == GitAccess(logins, "Narrow", "wide@a.org")
    assert "ghp_" not in repr(access)
