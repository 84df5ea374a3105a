"""What reaching into a container means to those who need it: commands, streams, programs and files over ssh."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Exit:
    """How a command ended."""

    code: int
    """Exit code; 128 plus the signal's number when a signal ended it."""
    signal: str = ""
    """Name without SIG, empty when none did."""


@dataclass(frozen=True)
class Output:
    """Next bytes that a command wrote."""

    data: bytes
    stderr: bool = False


@dataclass(frozen=True)
class Terminal:
    """What a command gets when it is to run on a terminal."""

    type: str
    """As in TERM."""
    columns: int
    rows: int


class Dialer(Protocol):
    """The one thing of an engine that this room needs; every Engine is one."""

    async def dial(self, agent_uid: str) -> socket.socket:
        """A connected, non-blocking stream socket to that agent's sshd; the caller closes it.

        Raises Unavailable AGENT_UNREACHABLE when there is no running container.
        """


class Keys(Protocol):
    """Who we are and who must answer. OpenSSH formats; kept for ever, so an agent keeps its host key."""

    def client_key(self) -> bytes:
        """Our private key, the only one that agents let in."""

    def host_key(self, agent_uid: str) -> str:
        """The public host key that this agent's sshd must show, one line.

        Raises Unavailable AGENT_UNREACHABLE when there is none: the agent was deleted.
        """


class Process(Protocol):
    """A running command. Binary clean; a slow reader slows the command down, a slow command slows the writer down."""

    async def write(self, data: bytes) -> None:
        """Give it standard input; returns when there is room for more. After it has ended: nothing happens."""

    async def write_eof(self) -> None:
        """End its standard input."""

    def signal(self, name: str) -> None:
        """Send a signal, named without SIG, to its process group. Raises InvalidArgument SIGNAL_UNKNOWN."""

    def resize(self, columns: int, rows: int) -> None:
        """Its terminal has another size now. Raises InvalidArgument TERMINAL_INVALID."""

    def output(self) -> AsyncIterator[Output]:
        """Its output as it comes, both streams, until both have ended."""

    async def wait(self) -> Exit:
        """How it ended; call after `output` is exhausted.

        Raises Unavailable AGENT_UNREACHABLE when the connection broke before it did.
        """

    async def close(self) -> None:
        """Give up on it: hang up, so that nothing of it goes on running. Harmless when it has ended.

        A terminal hangs up as any does: what has left it before (nohup, tmux) goes on.
        Goes on to the end although the caller is cancelled.
        """


class Stream(Protocol):
    """Bytes to and from one port inside. A slow side slows the other one down."""

    async def read(self, limit: int) -> bytes:
        """Up to `limit` bytes; empty at the end."""

    async def write(self, data: bytes) -> None:
        """Returns when there is room for more."""

    async def write_eof(self) -> None:
        """End this direction; the other stays open."""

    async def close(self) -> None:
        """End both."""


class Shell(Protocol):
    """One kept connection an agent, on which everything rides. All raise Unavailable AGENT_UNREACHABLE."""

    async def start(
        self, agent_uid: str, command: Sequence[str], *, directory: str = "", terminal: Terminal | None = None
    ) -> Process:
        """Run `command` (passed on word for word) in `directory`, or in the home when it is empty.

        A program that is not there ends with exit code 127, as in a shell.
        Raises InvalidArgument COMMAND_INVALID (empty, or a NUL in it), COMMAND_TOO_LONG, TERMINAL_INVALID, and
        Exhausted TOO_MANY_COMMANDS.
        """

    async def dial(self, agent_uid: str, port: int) -> Stream:
        """Connect to `port` on the container's own loopback (127.0.0.1, then ::1).

        Raises Unavailable PORT_CLOSED when nothing listens there.
        """

    async def forget(self, agent_uid: str) -> None:
        """Close that agent's connection: its container is gone or another one."""

    async def close(self) -> None:
        """Close all of them."""


@dataclass(frozen=True)
class Hello:
    """How it stands with an agent's program when somebody attaches."""

    epoch: int
    """Which life of the program is the latest; 0 when there was none."""
    running: bool
    first: tuple[int, int]
    """(epoch, seq) of the first record that the journal still has."""
    last: tuple[int, int]
    """(epoch, seq) of the newest."""


@dataclass(frozen=True)
class Record:
    """One thing of the journal that is kept beside an agent's program; see vibespace/runner."""

    kind: str
    epoch: int
    seq: int
    data: bytes
    size: int
    """Bytes that it has in the journal: of what is too long, `data` is the beginning."""


@dataclass(frozen=True)
class Room:
    """Whether there is any for the journal: a program is held where there is none for what it says."""

    left: bool


class Attachment(Protocol):
    """The way to an agent's program, through the runner that keeps it. All raise Unavailable when it breaks."""

    hello: Hello
    hook: str
    """A shell command for inside, which hands on what a program tells its hooks."""

    def records(self) -> AsyncIterator[Record | Room]:
        """Every record after the place that was asked for, in order, and new ones as they come. Once.

        In between, when there is no room for more, and when there is again.
        """

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
        """Start a program, unless one runs; the epoch of the one that does.

        One with a `socket`, a path in the home, is spoken with over that, else by its pipes. `files` are put into the
        home before, by their path there: a text, or fields to add to a JSON object. `note` stands in the record of the
        start. Its epoch is later than `beyond`.
        """

    async def write(self, name: str, data: bytes, *, secret: bool = False) -> str:
        """Give it `data`, once under that `name`: `written`, `repeated`, `uncertain` or `refused`.

        What is `secret` is not in the journal.
        """

    async def tail(self, path: str, find: str) -> str:
        """Each new line of that file in the home is a record of its own, whoever writes it.

        Whether it is `missing`, or `find` is in it: `found`, `without`. Empty of an earlier build's runner.
        """

    async def answer(self, request: str, words: bytes) -> bool:
        """What the hook that asked under that name prints; whether it still waited."""

    async def end_input(self) -> None:
        """Nothing more is said to the program."""

    async def end(self) -> None:
        """End the program and all that it has started; returns when its exit is in the journal."""

    async def trim(self, epoch: int, seq: int) -> None:
        """All up to there is in the log, and needed in the journal no longer."""

    async def close(self) -> None:
        """Go; the program stays."""


class Programs(Protocol):
    """Keeps agents' programs, by a runner that is sent in."""

    async def attach(self, agent_uid: str, after: tuple[int, int], directory: str) -> Attachment:
        """To the runner of that agent, which is started if need be, and to its journal after (epoch, seq). What is
        started begins in `directory`.

        Raises Unavailable AGENT_UNREACHABLE, RUNNER_BROKEN; FailedPrecondition RUNNER_IMPOSSIBLE for an image without
        Python.
        """


class Files(Protocol):
    """Copies files and folders, as an archive (vibespace/archive), in and out. A path is relative to `directory`, or
    to the home when it begins with `~`.

    What is refused inside is raised as the kind of error that it is, with a sentence that says `inside`: NotFound
    FILE_NOT_FOUND, PermissionDenied FILE_DENIED, Exhausted DISK_FULL, AlreadyExists FILE_EXISTS, …
    """

    async def receive(self, agent_uid: str, directory: str, path: bytes, archive: AsyncIterator[bytes]) -> None:
        """Unpack to `path`. An archive that ends too soon, or is broken off, leaves nothing."""

    def send(self, agent_uid: str, directory: str, path: bytes) -> AsyncIterator[bytes]:
        """The archive of `path`, as whoever rules inside makes it."""


Target = tuple[str, int]
"""An address and a port."""


USER_NAMESPACES = "UserNamespaces"
"""Of `Seen.powers`: 1 where it may make a user namespace, in which it has all capabilities; 0 where that is refused."""


@dataclass(frozen=True)
class Seen:
    """What was found from inside. The agent may lie in it."""

    reached: Sequence[Target]
    """Those that accepted a connection."""
    loopback: Sequence[Target]
    """What was tried to reach the ports of the machine's loopback."""
    opened: Sequence[str]
    """Paths at which there is a file, or somebody listens."""
    powers: Mapping[str, str]
    """What it may do: as in /proc/self/status, and whether it may make a user namespace; see net/probe.py."""


class Prober(Protocol):
    """Looks around from inside an agent's container."""

    async def __call__(
        self,
        agent_uid: str,
        *,
        targets: Sequence[Target] = (),
        loopback: Sequence[int] = (),
        paths: Sequence[str] = (),
    ) -> Seen:
        """Try `targets`, ports of the machine's own `loopback`, and `paths`. Raises Unavailable."""


class LoginLooker(Protocol):
    """Looks whether an agent's program keeps a login. The agent may lie in it."""

    async def __call__(self, agent_uid: str, store: str, directory: str, file: str, variables: Sequence[str]) -> str:
        """Where `file` is: `shared` when it lies below `store`, else `own`; empty when it is not there.

        It is looked for in `directory` of the home, or where the last of those of `variables` says that has a value.
        Raises Unavailable.
        """
