"""Files in and out of a container: net.base.Files, by a program of ours that is sent in and run there over a Shell."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from importlib import resources

from vibespace.errors import (
    Aborted,
    AlreadyExists,
    Error,
    Exhausted,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from vibespace.net.base import Shell
from vibespace.net.command import TAIL, Command

MODULES = ("failures", "tar", "draft", "place", "pack", "unpack", "inside")
"""Of vibespace.archive, each after those that it imports."""

PYTHON = "/usr/bin/python3"
"""Not whatever the agent has put first on its PATH."""

BEGIN = """\
import json, sys, types
for name, source in json.loads(sys.stdin.buffer.readline()):
    sys.modules[name] = module = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
module.main(*sys.argv[1:])
"""
"""Reads the program from the first line of its input: as an argument it would stand in every list of processes."""

MESSAGE = 1 << 19
"""Bytes that are put together before they are handed on, so that there are fewer messages."""

MISSING = 127
"""Exit code of a shell that does not find a program."""


_KINDS: dict[str, type[Error]] = {
    kind.__name__: kind
    for kind in (
        Aborted,
        AlreadyExists,
        Exhausted,
        FailedPrecondition,
        InvalidArgument,
        NotFound,
        PermissionDenied,
        Unavailable,
    )
}


class Files:
    """net.base.Files."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._run = Command(shell)

    async def receive(self, agent_uid: str, directory: str, path: bytes, archive: AsyncIterator[bytes]) -> None:
        """See Files."""

        async def stdin() -> AsyncIterator[bytes]:
            yield _program()
            async for piece in archive:
                yield piece

        result = await self._run(agent_uid, *_command("in", path), stdin=stdin(), directory=directory)
        if result.code:
            raise _error(result.code, result.stderr)

    async def send(self, agent_uid: str, directory: str, path: bytes) -> AsyncIterator[bytes]:
        """See Files."""
        process = await self._shell.start(agent_uid, _command("out", path), directory=directory)
        try:
            await process.write(_program())
            said, held, size = bytearray(), list[bytes](), 0
            async for piece in process.output():
                if piece.stderr:
                    said += piece.data
                    del said[:-TAIL]
                    continue
                held.append(piece.data)
                size += len(piece.data)
                if size >= MESSAGE:
                    yield b"".join(held)
                    held, size = [], 0
            yield b"".join(held)
            if code := (await process.wait()).code:
                raise _error(code, bytes(said))
        finally:
            await process.close()


def _command(verb: str, path: bytes) -> Sequence[str]:
    return PYTHON, "-I", "-c", BEGIN, verb, path.hex()


def _program() -> bytes:
    package = resources.files("vibespace.archive")
    names = ("__init__", *MODULES)
    sources = [(f"vibespace.archive.{name}".removesuffix(".__init__"), package / f"{name}.py") for name in names]
    return json.dumps([(name, file.read_text()) for name, file in sources]).encode() + b"\n"


def _error(code: int, stderr: bytes) -> Error:
    """What the program said; whoever runs in the container may have said it in its place, so it is only words."""
    with suppress(ValueError, TypeError, RecursionError):
        kind, reason, message, hint = map(str, json.loads(stderr.rstrip().rpartition(b"\n")[2]))
        if kind in _KINDS and re.fullmatch("[A-Z_]{1,40}", reason):
            return _KINDS[kind](reason, message, hint=hint)
    if code == MISSING:
        return FailedPrecondition("COPY_IMPOSSIBLE", f"The agent's image has no {PYTHON}, which copies need.")
    return FailedPrecondition("COPY_FAILED", f"The copy ended with code {code}.", hint="Try again.")
