"""A daemon that dies, or whose disk is full, amid a conversation: the transcript is the uncut one, each line once."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote

import grpc
import pytest

from tests.daemon import process
from tests.daemon.echoing import DONE, Talk, Told, echoing, home_of, prepare, said
from tests.daemon.running import Running, create, initialize
from tests.daemon.small import Small, small
from tests.daemon.test_full import until_full
from tests.daemon.test_kill import seed_of
from tests.net.running import until
from vibespace.app.writer import Command, Outcome, Request
from vibespace.domain.transcripts import Place
from vibespace.engine.fake_ssh import end_programs
from vibespace.engine.fake_world import World
from vibespace.errors import Exhausted
from vibespace.net.base import Attachment
from vibespace.net.programs import RunnerPrograms
from vibespace.reconcile import checkpoints
from vibespace.reconcile.checkpoints import Checkpoints
from vibespace.state import State
from vibespace.v1 import approvals_pb2 as p
from vibespace.v1 import conversations_pb2 as c
from vibespace.v1 import events_pb2 as ev
from vibespace.v1.events_pb2_grpc import EventServiceStub
from vibespace.v1.vibespaces_pb2_grpc import VibespaceServiceStub

ECHOES = "tests.daemon.echoing"
SEQUENCES, KILLS = 3, 4
LINES = 500
UNCUT = [str(number) for number in range(LINES)]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    end_programs(tmp_path)


@asynccontextmanager
async def dial(home: Path) -> AsyncIterator[Talk]:
    async with grpc.aio.insecure_channel(f"unix:{quote(str(State(home).socket))}") as channel:
        yield Talk(channel)


async def begin(talk: Talk) -> None:
    """Initialize, and have an agent."""
    await initialize(talk.channel)
    await VibespaceServiceStub(talk.channel).CreateVibespace(create())


async def allow(talk: Talk) -> None:
    """The one tool call that waits; it is waited for."""
    async for response in talk.approvals.WatchApprovals(p.WatchApprovalsRequest()):
        for approval in response.approvals:
            await talk.approvals.AllowApproval(p.AllowApprovalRequest(name=approval.uid))
            return


async def patient(talk: Talk, sent: c.SendMessageResponse) -> Told:
    """What came of it, for who asks again whenever he is told that there is no room."""
    while True:
        try:
            return await talk.outcome(sent)
        except grpc.aio.AioRpcError as e:
            if e.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise


async def is_uncut(talk: Talk, sent: list[c.SendMessageResponse]) -> None:
    """Each message is done and was taken up once, by one program; each line is there once, and the log is whole."""
    assert [(await patient(talk, one)).state for one in sent] == [DONE] * len(sent)
    blocks = await talk.transcript()
    assert [block.text.message for block in blocks if block.text.by_user] == [one.message.uid for one in sent]
    assert said(blocks) == UNCUT * len(sent)
    assert [block.WhichOneof("block") for block in blocks].count("program_started") == 1
    found = await EventServiceStub(talk.channel).VerifyLog(ev.VerifyLogRequest())
    assert (list(found.damages), found.more) == ([], 0)


async def met(talk: Talk, lines: int) -> None:
    """Return when so many lines are in the log."""
    async for response in talk.stub.StreamTranscript(c.StreamTranscriptRequest(name=talk.name, follow=True)):
        lines -= len(response.blocks)
        if lines <= 0:
            return


@pytest.mark.parametrize("sequence", range(SEQUENCES))
async def test_a_daemon_that_is_killed(home: Path, sequence: int) -> None:
    """Killed again and again, wherever it is: what was said meanwhile is told, once, and each message done once."""
    seed = seed_of(sequence)
    print(f"VIBESPACE_TEST_SEED={seed}")
    points = sorted(random.Random(seed).sample(range(1, 3 * LINES), KILLS))
    sent: list[c.SendMessageResponse] = []
    for point in points:
        with process.daemon(home, module=ECHOES) as daemon:
            async with dial(home) as talk:
                if not sent:
                    await begin(talk)
                    for _ in range(3):
                        sent.append(await talk.say(f"many {LINES}"))
                await met(talk, point)
                daemon.kill()
                daemon.wait()
    with process.daemon(home, module=ECHOES):
        async with dial(home) as talk:
            await is_uncut(talk, sent)


async def test_a_daemon_that_is_killed_while_a_decision_waits(home: Path) -> None:
    """The decision waits for the next daemon; made there, it reaches the program, once."""
    with process.daemon(home, module=ECHOES):
        async with dial(home) as talk:
            await begin(talk)
            sent = await talk.say(f"call echo x >> made; cat made\nmany {LINES}")
            await talk.until("approval_asked")
    with process.daemon(home, module=ECHOES):
        async with dial(home) as talk:
            await allow(talk)
    with process.daemon(home, module=ECHOES):
        async with dial(home) as talk:
            await is_uncut(talk, [sent])
            results = [block.tool_result.text for block in await talk.transcript() if block.HasField("tool_result")]
            assert results == ["x\n"]


async def test_a_start_hears_little_again(home: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a program that is amid a turn and has said much: only what came after what is kept of it."""
    every, begun = 50, []
    attach = RunnerPrograms.attach

    async def seen(self: RunnerPrograms, agent_uid: str, after: tuple[int, int], directory: str) -> Attachment:
        begun.append(after)
        return await attach(self, agent_uid, after, directory)

    monkeypatch.setattr(checkpoints, "EVERY", every)
    monkeypatch.setattr(RunnerPrograms, "attach", seen)
    async with echoing(home, world) as running:
        await prepare(running)
        talk = Talk(running.channel)
        sent = await talk.say(f"many {LINES - 10}\nwait go\nmore 10")
        uid, programs = running.feed.state.agent("demo", "claude-1").uid, Checkpoints(State(home).programs, str)
        await until(lambda: place_of(programs, uid) > (1, LINES - 10 - every))
    async with echoing(home, world) as running:
        (home_of(running, world) / "go").touch()
        await is_uncut(Talk(running.channel), [sent])
        first, again = begun
        assert first == (0, 0)
        assert (1, LINES - 10 - every) < again < (1, LINES)
        await Talk(running.channel).ask("crash")
        await until(lambda: place_of(programs, uid) == (0, 0))
        await until(lambda: place_of(programs, uid, running=False) > (1, LINES))


def place_of(programs: Checkpoints, uid: str, *, running: bool = True) -> Place:
    """Up to where what is kept of a program tells."""
    kept = programs.read(uid, Place(1, 2 * LINES), running=running)
    return kept.place if kept else Place(0, 0)


@pytest.fixture
def disk() -> Iterator[Small]:
    with small() as made:
        yield made
        end_programs(made.home.parent)


def agent_home(home: Path) -> Path:
    """Of the one agent that has a program, on the fake engine of a daemon on `home`."""
    (found,) = Path(f"{home}.engine").glob("files/*/.vibespace")
    return found.parent


async def test_a_disk_that_is_full(disk: Small) -> None:
    """What cannot be recorded is recorded as soon as there is room: nothing is lost, and nothing done twice."""
    with disk.daemon(ECHOES):
        async with dial(disk.seen) as talk:
            await begin(talk)
            half = LINES // 2
            sent = await talk.say(f"many {half}\nwait go\nmore {half}\nchild touch ~/said")
            await met(talk, half)
            disk.fill()
            await until_full(talk.channel)
            await until_full(talk.channel)
            inside = agent_home(disk.home)
            (inside / "go").touch()
            await until(lambda: (inside / "said").exists())
            assert len(said(await talk.transcript())) < LINES
            (disk.seen / "filler").unlink()
            await is_uncut(talk, [sent])


WORK = "say one\ngarbage\nsay three"


@pytest.mark.parametrize("nth", range(1, 10))
async def test_a_record_that_is_refused(home: Path, world: World, nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever record of the program's has no room, be it the last one: it is tried again, and all is there once."""
    async with echoing(home, world) as running:
        await prepare(running)
        refuse_nth(running, nth, monkeypatch)
        talk = Talk(running.channel)
        told = await patient(talk, await talk.say(WORK))
        assert (told.state, told.reason) == (DONE, "completed")
        kinds = [block.WhichOneof("block") for block in await talk.transcript()]
        assert kinds == [
            "program_started",
            "turn_started",
            "text",
            *("text", "unparsed", "text"),
            *("turn_ended", "work_ended"),
        ]


def refuse_nth(running: Running, nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the `nth` command that takes what a program said have no room."""
    writer, taken = running.daemon._writer, count(1)
    run = writer.run

    async def refusing(command: Command, request: Request) -> Outcome:
        if request.actor.startswith("agent:") and next(taken) == nth:
            raise Exhausted("DISK_FULL", "There is no room.")
        return await run(command, request)

    monkeypatch.setattr(writer, "run", refusing)
