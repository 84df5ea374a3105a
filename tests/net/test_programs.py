"""The way to what keeps an agent's program, sent in over a real sshd; and what may answer in its place."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from tests.net.running import AGENT, until
from tests.net.sshd import Sshd
from vibespace.errors import Error, FailedPrecondition, Unavailable
from vibespace.net.base import Attachment, Exit, Output, Process, Record, Room, Shell
from vibespace.net.files import MISSING
from vibespace.net.programs import BEGIN, LONGEST, RunnerPrograms
from vibespace.net.shell import SshShell

HELLO = b'{"hello": 0, "running": false, "first": [1, 1], "last": [0, 0]}\n'
SAYS = "import sys\nfor line in sys.stdin: print('heard', line, end='', flush=True)"


class Answering:
    """A Shell with one command, which says what it is told to, in the pieces in which it is told."""

    def __init__(self, *said: bytes, code: int = 1, stderr: bytes = b"") -> None:
        self._said, self._code, self._stderr = said, code, stderr

    async def start(self, _agent: str, _command: Sequence[str], **_: object) -> Process:
        return cast(Process, self)

    async def output(self) -> AsyncIterator[Output]:
        for piece in self._said:
            yield Output(piece)
        yield Output(self._stderr, stderr=True)

    async def write(self, data: bytes) -> None: ...

    async def write_eof(self) -> None: ...

    async def wait(self) -> Exit:
        return Exit(self._code)

    async def close(self) -> None: ...


async def attach(*said: bytes, **how: object) -> Attachment:
    shell = cast(Shell, Answering(*said, **how))  # type: ignore[arg-type]  # as it takes them
    return await RunnerPrograms(shell).attach(AGENT, (0, 0), "/")


async def heard(there: Attachment) -> tuple[list[Record], Error]:
    """All records, and the error that they end with."""
    seen: list[Record] = []
    try:
        async for record in there.records():
            assert isinstance(record, Record)
            seen.append(record)
    except Error as e:
        return seen, e
    raise AssertionError("they end without an error")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"garbage\n",
        b"[]\n",
        b'"hello"\n',
        b"{}\n",
        b'{"hello": 0}\n',
        b'{"hello": "x", "running": 1, "first": [1, 1], "last": [0, 0]}\n',
        b'{"hello": 0, "running": false, "first": 7, "last": []}\n',
        b'{"error": "no room"}\n',
        b'{"hello": 1e999, "running": true, "first": [1, 1], "last": [0, 0]}\n',
        b'{"x": 1, "length": -22}\n' * 2,
        b'{"x": 1, "length": "many"}\n',
        b"x" * (2 << 20),
        b"[" * 100_000 + b"\n",
    ],
)
async def test_no_hello(said: bytes) -> None:
    """Whatever is said in its place is no runner, and that is said."""
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable) as e:
            await attach(said)
    assert e.value.reason == "RUNNER_BROKEN"


@pytest.mark.parametrize(
    "said",
    [
        b"garbage\n",
        b'{"record": "stdout", "epoch": 1, "seq": 1, "length": -9}\n',
        b'{"record": "stdout"}\n',
        b'{"record": "stdout", "epoch": 1, "seq": 1e999, "length": 0}\n',
        b'{"reply": "start", "ref": 1e999}\n',
        b'{"record": "stdout", "epoch": [], "seq": {}, "length": 0}\n',
        b'{"record": "stdout", "epoch": 1, "seq": 1, "length": 100}\nhalf',
        b'{"error": "it stops"}\n',
    ],
)
async def test_wrong_frames(said: bytes) -> None:
    """What came before is there, and then it is broken: nothing spins, waits for ever or is made up."""
    good = b'{"record": "stdout", "epoch": 1, "seq": 1, "length": 3}\none'
    async with asyncio.timeout(20):
        attached = await attach(HELLO, good, said)
        seen, error = await heard(attached)
    assert ([record.data for record in seen], error.reason) == ([b"one"], "RUNNER_BROKEN")


async def test_whether_there_is_room_is_told() -> None:
    """In between the records, which wait where there is none."""
    attached = await attach(HELLO, b'{"full": true}\n', b'{"full": false}\n')
    told = attached.records()
    assert [await anext(told), await anext(told)] == [Room(left=False), Room(left=True)]


async def test_a_record_without_bounds() -> None:
    """Of one that is too long the beginning is taken, and the next is the next."""
    size, piece = LONGEST + 5, b"x" * (1 << 20)
    head = f'{{"record": "stdout", "epoch": 1, "seq": 1, "length": {size}}}\n'.encode()
    after = b'{"record": "exit", "epoch": 1, "seq": 2, "length": 2}\n{}'
    attached = await attach(HELLO, head, *[piece] * (LONGEST >> 20), b"x" * 5, after)
    seen, _ = await heard(attached)
    assert [(record.size, len(record.data) < 1 << 20) for record in seen] == [(size, True), (2, True)]


async def test_too_much_to_start_with() -> None:
    """What the runner would not read is not sent: who waits for the program hears what is wrong."""
    attached = await attach(HELLO)
    env = {f"V{n}": "x" * 65_000 for n in range(17)}
    with pytest.raises(FailedPrecondition) as e:
        await attached.start(["true"], env, socket="", files={}, note={}, beyond=0)
    assert e.value.reason == "ENVIRONMENT_TOO_LARGE"


async def test_an_image_without_python() -> None:
    """It is said what the image lacks."""
    with pytest.raises(FailedPrecondition) as e:
        await attach(code=MISSING)
    assert e.value.reason == "RUNNER_IMPOSSIBLE"


async def test_its_last_words() -> None:
    """What it wrote to its standard error is in the sentence."""
    with pytest.raises(Unavailable, match=r"ended with code 1 \(no space left\)"):
        await attach(stderr=b"Traceback\nno space left\n")


def test_a_full_home_is_not_filled_further(tmp_path: Path) -> None:
    """However often the runner cannot be sent in, nothing of it is left."""
    python = (sys.executable, "-I", "-S", "-B")  # no module of its own is to be compiled into half a file
    words = (*python, "-c", BEGIN, "digest", "3000", AGENT, "0", "0")
    limited = ("/bin/sh", "-c", 'ulimit -f 1; exec "$@"', "sh", *words)
    done = subprocess.run(limited, input=bytes(3000), capture_output=True, env={"HOME": str(tmp_path)}, check=False)
    assert (done.returncode, b"File too large" in done.stderr) == (1, True)
    assert list((tmp_path / ".vibespace").iterdir()) == []


@asynccontextmanager
async def attached(
    shell: SshShell, sshd: Sshd, after: tuple[int, int] = (0, 0), agent: str = AGENT
) -> AsyncIterator[Attachment]:
    there = await RunnerPrograms(shell).attach(agent, after, str(sshd.home))
    try:
        yield there
    finally:
        await there.close()


async def begin(there: Attachment) -> int:
    return await there.start(
        ["/usr/bin/python3", "-uc", SAYS], {}, socket="", files={".own": "ours"}, note={"for": "tests"}, beyond=4
    )


async def test_a_program_over_cuts(shell: SshShell, sshd: Sshd) -> None:
    """Sent in, started once, given each input once, and heard in order by whoever attaches where another left off."""
    seen: list[Record] = []

    async def hear(there: Attachment) -> None:
        async for record in there.records():
            assert isinstance(record, Record)
            seen.append(record)

    async with attached(shell, sshd) as there:
        hearing = asyncio.create_task(hear(there))
        assert (await begin(there), await begin(there)) == (5, 5)
        assert [await there.write("a", b"one\n"), await there.write("a", b"one\n")] == ["written", "repeated"]
        await until(lambda: seen[-1].data == b"heard one\n")
        hearing.cancel()
    async with attached(shell, sshd, (seen[-1].epoch, seen[-1].seq)) as there:
        assert there.hello.running
        hearing = asyncio.create_task(hear(there))
        assert await there.write("b", b"two\n", secret=True) == "written"
        await until(lambda: seen[-1].data == b"heard two\n")
        await there.end()
        await until(lambda: seen[-1].kind == "exit")
        hearing.cancel()
    assert [(record.kind, record.data) for record in seen if record.kind not in ("start", "mark")] == [
        ("input", b"a\none\n"),
        ("stdout", b"heard one\n"),
        ("input", b"b\n"),
        ("stdout", b"heard two\n"),
        ("exit", b'{"signal": 9}'),
    ]
    assert [record.seq for record in seen] == list(range(1, len(seen) + 1))
    assert (Path(sshd.home) / ".own").read_text() == "ours"


async def test_another_agent_in_the_same_home(shell: SshShell, sshd: Sshd) -> None:
    """A home that is used again tells the next agent nothing of the one before."""
    async with attached(shell, sshd) as there:
        hearing = asyncio.create_task(heard(there))
        await begin(there)
        hearing.cancel()
        await asyncio.wait([hearing])
    async with attached(shell, sshd) as again:
        assert (again.hello.running, again.hello.epoch) == (True, 5)
    other = await RunnerPrograms(cast(Shell, Renamed(shell))).attach(AGENT[:-1] + "2", (0, 0), str(sshd.home))
    assert (other.hello.running, other.hello.last) == (False, (0, 0))
    await other.close()


class Renamed:
    """The same place, by whatever name it is asked for."""

    def __init__(self, shell: SshShell) -> None:
        self._shell = shell

    async def start(self, _agent: str, command: Sequence[str], *, directory: str = "") -> Process:
        return await self._shell.start(AGENT, command, directory=directory)
