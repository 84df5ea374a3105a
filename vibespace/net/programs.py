"""Agents' programs, by the runner that keeps them: net.base.Programs over a Shell. The protocol: vibespace/runner."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import count
from typing import Any

from vibespace.errors import Error, FailedPrecondition, Unavailable
from vibespace.net.base import Hello, Process, Record, Room, Shell
from vibespace.net.command import TAIL
from vibespace.net.files import MISSING, PYTHON
from vibespace.net.runner_zip import packed

BEGIN = """\
import os, sys
place = os.path.expanduser("~/.vibespace")
program = os.path.join(place, "runner-" + sys.argv[1])
if not os.path.exists(program):
    os.makedirs(place, 0o700, exist_ok=True)
    os.write(1, b'{"missing": true}\\n')
    data, size = b"", int(sys.argv[2])
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            sys.exit(1)
        data += piece
    new = program + "." + str(os.getpid())
    try:
        with open(new, "wb") as file:
            file.write(data)
        os.rename(new, program)
    finally:
        if os.path.exists(new):
            os.unlink(new)
os.environ.pop("VIBESPACE_COMMAND", None)
os.environ["VIBESPACE_RUNNER"] = sys.argv[3]
os.execv(sys.executable, [sys.executable, "-I", "-S", program, "attach", "--after", *sys.argv[4:]])
"""
"""Has the runner sent in where it is not there yet. What it starts outlives this command, so it sheds its mark."""

_LONGEST_HEAD = 1 << 20
"""Bytes, its newline included, of which the runner reads no more either."""
LONGEST = 64 << 20
"""Bytes of a record that are taken; of a longer one its beginning."""
_BEGINNING = 16 << 10
_STRANGE = "it does not speak its protocol"
_REPLY = 60.0
"""Seconds that a request may take."""


class RunnerPrograms:
    """net.base.Programs."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    async def attach(self, agent_uid: str, after: tuple[int, int], directory: str) -> Attached:
        """See Programs."""
        program = packed()
        digest = sha256(program).hexdigest()[:16]
        words = (PYTHON, "-I", "-c", BEGIN, digest, str(len(program)), agent_uid, *map(str, after))
        process = await self._shell.start(agent_uid, words, directory=directory)
        attached = Attached(process, f'{PYTHON} -I -S "$HOME/.vibespace/runner-{digest}" hook')
        try:
            async with asyncio.timeout(_REPLY):
                await attached.greet(program)
        except TimeoutError:
            await attached.close()
            raise _broken("it does not answer") from None
        except BaseException:
            await attached.close()
            raise
        return attached


class Attached:
    """net.base.Attachment."""

    def __init__(self, process: Process, hook: str) -> None:
        self.hook = hook
        self.hello = Hello(0, False, (0, 0), (0, 0))
        self._process = process
        self._frames = _Frames(process)
        self._refs = count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._over = False

    async def greet(self, program: bytes) -> None:
        """Send the runner in if it is missing, and hear how it stands."""
        head, _ = await self._frames.next()
        if "missing" in head:
            await self._process.write(program)
            head, _ = await self._frames.next()
        if "hello" not in head:
            raise _broken(str(head.get("error", "it does not say hello")))
        with _understood():
            first, last = ((int(epoch), int(seq)) for epoch, seq in (head["first"], head["last"]))
            self.hello = Hello(int(head["hello"]), bool(head["running"]), first, last)

    async def records(self) -> AsyncIterator[Record | Room]:
        """See Attachment. Replies to requests arrive only while this is read."""
        try:
            while True:
                head, data = await self._frames.next()
                if "record" in head:
                    with _understood():
                        size, epoch, seq = int(head.get("length", 0)), int(head["epoch"]), int(head["seq"])
                        record = Record(str(head["record"]), epoch, seq, data, size)
                    yield record
                elif "full" in head:
                    yield Room(head["full"] is not True)
                elif "reply" in head:
                    self._reply(head)
                elif "error" in head:
                    raise _broken(str(head["error"]))
        finally:
            self._over = True
            for asked in self._asked.values():
                asked.cancel()

    def _reply(self, head: dict[str, Any]) -> None:
        with _understood():
            asked = self._asked.pop(int(head.get("ref", 0)), None)
        if asked and not asked.done():
            asked.set_result(head)

    async def start(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        socket: str,
        files: Mapping[str, str | Mapping[str, Any]],
        note: Mapping[str, Any],
        beyond: int,
    ) -> int:
        spoken = {"socket": socket} if socket else {}
        what = {"argv": list(argv), "env": dict(env), "files": dict(files), "note": dict(note), "beyond": beyond}
        reply = await self._ask({"do": "start", **spoken, **what})
        with _understood():
            return int(reply["epoch"])

    async def write(self, name: str, data: bytes, *, secret: bool = False) -> str:
        return str((await self._ask({"do": "input", "input": name, "secret": secret}, data)).get("state"))

    async def tail(self, path: str, find: str) -> str:
        return str((await self._ask({"do": "tail", "path": path, "find": find})).get("state", ""))

    async def answer(self, request: str, words: bytes) -> bool:
        return (await self._ask({"do": "answer", "request": request}, words)).get("state") == "given"

    async def end_input(self) -> None:
        await self._ask({"do": "close"})

    async def end(self) -> None:
        await self._ask({"do": "end"})

    async def trim(self, epoch: int, seq: int) -> None:
        await self._ask({"do": "trim", "to": [epoch, seq]})

    async def close(self) -> None:
        with suppress(Error):
            await self._process.write_eof()
        await self._process.close()

    async def _ask(self, request: dict[str, Any], data: bytes = b"") -> dict[str, Any]:
        ref = next(self._refs)
        head = json.dumps({**request, "ref": ref, **({"length": len(data)} if data else {})}).encode()
        if len(head) >= _LONGEST_HEAD:  # only that of a start has anything to grow by
            raise FailedPrecondition(
                "ENVIRONMENT_TOO_LARGE",
                "The agent's program would be started with more than 1 MiB of environment and settings.",
                hint="Put what is long into files; 'vibespace credential list' shows what it gets.",
            )
        asked = self._asked[ref] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_REPLY):
                await self._process.write(head + b"\n" + data)
                reply: dict[str, Any] = await asked
                return reply
        except TimeoutError:
            raise _broken("it does not answer") from None
        except asyncio.CancelledError:
            if asked.cancelled() and self._over:
                raise _broken("the way to it broke") from None
            raise
        finally:
            self._asked.pop(ref, None)


class _Frames:
    """A header and what belongs to it, of the pieces in which they come."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._pieces = process.output()
        self._held = bytearray()
        self._said = bytearray()

    async def next(self) -> tuple[dict[str, Any], bytes]:
        """Raises Unavailable when there is none."""
        at = 0
        while (end := self._held.find(b"\n", at)) < 0:
            if len(self._held) > _LONGEST_HEAD:
                raise _broken(_STRANGE)
            at = len(self._held)
            await self._more()
        with _understood():
            head = json.loads(self._held[:end])
            size = int(head.get("length", 0))
        if size < 0:
            raise _broken(_STRANGE)
        del self._held[: end + 1]
        return head, await self._take(size)

    async def _take(self, size: int) -> bytes:
        """The next `size` bytes, or the beginning of what is too long; behind it, either way, comes the next header."""
        wanted = size if size <= LONGEST else _BEGINNING
        while len(self._held) < wanted:
            await self._more()
        data = bytes(memoryview(self._held)[:wanted])
        left = size
        while left:
            if not self._held:
                await self._more()
            gone = min(left, len(self._held))
            del self._held[:gone]
            left -= gone
        return data

    async def _more(self) -> None:
        while piece := await anext(self._pieces, None):
            if not piece.stderr:
                self._held += piece.data
                return
            self._said += piece.data
            del self._said[:-TAIL]
        code = (await self._process.wait()).code
        if code == MISSING:
            raise FailedPrecondition(
                "RUNNER_IMPOSSIBLE", f"The agent's image has no {PYTHON}, which keeping its program needs."
            )
        why = self._said.decode(errors="replace").strip().rpartition("\n")[2]
        raise _broken(f"it ended with code {code}{f' ({why[:200]})' if why else ''}")


@contextmanager
def _understood() -> Iterator[None]:
    """Whoever rules inside may say anything in the runner's place."""
    try:
        yield
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError):
        raise _broken(_STRANGE) from None


def _broken(why: str) -> Unavailable:
    return Unavailable(
        "RUNNER_BROKEN",
        f"What keeps the agent's program cannot be reached: {why}.",
        hint="See how the agent is with 'vibespace info'.",
    )
