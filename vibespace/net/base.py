"""What reaching into a container means to those who need it: commands, streams, files and repositories over ssh."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
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


class Repositories(Protocol):
    """Puts a git repository into a vibespace. All-or-nothing: a failed or broken-off attempt leaves no directory.

    Both return the commit checked out (40 hex digits, empty for a repository without commits), return at once with it
    when an earlier attempt had already finished, and raise FailedPrecondition REPOSITORY_FAILED with git's own last
    line. One that is `bare` has no files, and what Worktrees needs; its commit is the one that they begin at.
    """

    async def clone(self, agent_uid: str, url: str, directory: str, branch: str, *, bare: bool = False) -> str:
        """Clone `url` from inside. An empty branch means the repository's own default."""

    async def receive(
        self,
        agent_uid: str,
        bundle: AsyncIterator[bytes],
        directory: str,
        branch: str,
        origin: str,
        *,
        bare: bool = False,
    ) -> str:
        """Clone from a git bundle that comes in pieces; `origin` becomes the remote's URL, or no remote is left."""


@dataclass(frozen=True)
class Work:
    """What git says of a worktree. The agent may lie in it."""

    branch: str
    """Checked out; empty for none."""
    base: str = ""
    """What `ahead` and `behind` are counted from."""
    ahead: int | None = None
    behind: int | None = None
    """None where there is no commit yet on one of the two."""
    uncommitted: int = 0
    """Files."""
    files: Sequence[str] = ()
    """A few of those, quoted as git does: in one line, without control characters."""
    unpushed: int = 0
    """Commits that are on no other branch, here or at a remote."""
    submodules: int = 0
    """Those with commits that are at no remote of theirs."""

    @property
    def unsaved(self) -> str:
        """What is nowhere else, in words; empty when that is nothing."""
        return _told(
            (self.uncommitted, "file", f"not committed ({self._some})"),
            (self.unpushed, "commit", "on no other branch"),
            (self.submodules, "submodule", "with commits that are at no remote"),
        )

    @property
    def lost(self) -> str:
        """What would go with its files, in words: not commits of a branch."""
        return _told(
            (self.uncommitted, "file", f"not committed ({self._some})"),
            (0 if self.branch else self.unpushed, "commit", "on no branch"),
            (self.submodules, "submodule", "with commits that are at no remote"),
        )

    @property
    def _some(self) -> str:
        """Names of some of the files that are not committed."""
        named = [name[:80] for name in self.files]
        return ", ".join([*named, "…"] if self.uncommitted > len(named) else named)


def _told(*what: tuple[int, str, str]) -> str:
    parts = [f"{count} {noun}{'' if count == 1 else 's'} {how}" for count, noun, how in what if count]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


class Worktrees(Protocol):
    """Working copies of a repository that was cloned `bare`, one an agent, on a branch called as the agent.

    All-or-nothing: a broken-off attempt leaves none, and the next one removes what it was at. `name` is whose it is,
    `agent_uid` from inside which agent of that vibespace it is done. All raise FailedPrecondition WORKTREE_FAILED with
    git's own last line.
    """

    async def make(self, agent_uid: str, name: str) -> list[str]:
        """Make it, unless it is there; returns what is not in it though the repository has it, a sentence each.

        A branch of that name is gone on with: one that is here, or else one at `origin`.
        """

    async def look(self, agent_uid: str, name: str) -> Work | None:
        """What is in it; None when it is not there."""

    async def remove(self, agent_uid: str, name: str, *, force: bool) -> str:
        """Take it away, and its branch when others have all of that; returns why it stays, empty when it is gone.

        It stays when work would go with it, but for `force`.
        """


@dataclass(frozen=True)
class GitLogin:
    """How git logs in at one server."""

    host: str
    """`example.org`, `example.org:8443`; over plain http `http://example.org`."""
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class GitAccess:
    """All that git is given inside: a login a host, and the author of commits where nobody else says who that is."""

    logins: Sequence[GitLogin] = ()
    author_name: str = ""
    author_email: str = ""


class GitKeeper(Protocol):
    """Gives agents what git needs inside, and takes it back."""

    async def give(self, agent_uid: str, access: GitAccess) -> None:
        """From now on git of that agent has exactly this, until its container ends.

        Raises Unavailable, and FailedPrecondition GIT_ACCESS_FAILED.
        """


class LoginLooker(Protocol):
    """Looks whether an agent's program keeps a login. The agent may lie in it."""

    async def __call__(self, agent_uid: str, store: str, directory: str, file: str, variables: Sequence[str]) -> str:
        """Where `file` is: `shared` when it lies below `store`, else `own`; empty when it is not there.

        It is looked for in `directory` of the home, or where the last of those of `variables` says that has a value.
        Raises Unavailable.
        """
