"""What speaking with an agent program means to those who need it: how it is started, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, Self

from vibespace.harness.events import ApprovalAsked, Event, Source


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an agent is set to. Empty or 0 leaves it to the program."""

    model: str = ""
    effort: str = ""
    max_turns: int = 0
    system_prompt: str = ""
    """Added to the program's own."""
    allowed_tools: tuple[str, ...] = ()
    """Tool rules, `Tool` or `Tool(prefix:*)`."""
    disallowed_tools: tuple[str, ...] = ()
    skip_permissions: bool = False


@dataclass(frozen=True)
class Command:
    """How a program is started."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    """What a user's own environment may override."""
    files: Mapping[str, str | Mapping[str, Any]] = field(default_factory=dict)
    """Files that must be there first, by their path in the agent's home: ours, with this text; or the program's own, a
    JSON object to which these fields are added where they are missing."""
    socket: str = ""
    """Where it serves the WebSocket that it is spoken with over, in the agent's home; empty: by its pipes."""


@dataclass(frozen=True)
class Update:
    """How changed settings come into force."""

    lines: Mapping[str, bytes] = field(default_factory=dict)
    """To send to the living program, each by the request that it is replied to under."""
    restart: tuple[str, ...] = ()
    """Settings that only a new process takes."""


@dataclass(frozen=True)
class OwnLogin:
    """How a program is logged in by a person, and where it keeps that."""

    argv: tuple[str, ...]
    """On a terminal inside. Whoever opens the address that it shows may be on another machine."""
    directory: str
    """Where its login lies, by its path in the agent's home."""
    file: str
    """The name that it has there."""
    home: str
    """Variable by which a user moves all that the program keeps in that directory."""
    alone: str = ""
    """Variable that moves the login alone. Without one it reads and renews what a link in its place leads to."""


@dataclass(frozen=True)
class Kept:
    """The file in which a program keeps a conversation."""

    path: str
    """In the home."""
    mark: str
    """What is in it once anything was said. Before that there is nothing to resume."""


@dataclass(frozen=True)
class Answer:
    """A decision on a tool call."""

    allow: bool
    rules: tuple[str, ...] = ()
    """Tool rules to allow until the program ends, of those in ApprovalAsked.rules."""
    reason: str = ""
    """For the agent, when it is denied."""


NOTHING: Mapping[str, str] = MappingProxyType({})


class Parser(Protocol):
    """Makes events of the lines of one agent, in the order in which they were read.

    Its state is what the lines so far amount to, so another one that is fed the same lines from the start of the
    process on is its equal. A later start is not enough: what runs in the background, which conversation is open and
    which turns are over may be told long before. Or one that is given that state. A line never raises.
    """

    def feed(self, line: bytes, source: Source = Source.OUTPUT) -> tuple[Event, ...]:
        """What `line` tells; nothing when it is known to say nothing about the conversation."""

    def lost(self) -> tuple[Event, ...]:
        """The program is gone: what that ends."""

    def next(self) -> Self:
        """One for the process that comes after it."""

    def state(self) -> dict[str, Any] | None:
        """What the lines so far amount to, in JSON values; None while a tool call waits: that is not to be kept."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Be as the parser of this build was, of whose `state` that is."""


class Harness(Protocol):
    """What is to know about one agent program. All methods are pure; ids are given from outside and unique.

    Lines to send are without their newline. A `request` has no spaces; each line that asks is replied to under it,
    or under one of an Update's own.
    """

    shares: bool
    """A person's own interface and we are in a conversation at once; else whoever has it has it alone."""
    counted: frozenset[str]
    """Names of settings that the program does not know, and that we hold by counting."""

    def check(self, settings: Settings) -> None:
        """Raises InvalidArgument for what this program cannot do, naming it."""

    def headless(
        self, settings: Settings, conversation: str, *, resume: bool, env: Mapping[str, str] = NOTHING
    ) -> Command:
        """The program, driven by us, with `env` beside its container's environment.

        `conversation` is ignored where the program makes up the id.
        """

    def terminal(
        self, settings: Settings, conversation: str, *, resume: bool, hook: str, directory: str, env: Mapping[str, str]
    ) -> Command:
        """The program's own interface on that conversation, in `directory`, with what of `env` it is to know first.

        It runs the shell command `hook` for each line of Source.HOOK, where it has such.
        """

    def record(self, conversation: str, directory: str) -> Kept | None:
        """The file of Source.RECORD, where there is one."""

    def named(self, line: bytes) -> Sequence[str]:
        """The ids of what a line of Source.RECORD tells, as Source.OUTPUT has them."""

    def parser(self) -> Parser:
        """One for a process that begins."""

    def greet(self, request: str) -> tuple[bytes, ...]:
        """What a process is told first."""

    def login(self, env: Mapping[str, str], request: str) -> tuple[bytes, ...]:
        """What a process that was greeted is told to be logged in, where it does not look into that environment.

        It is secret, and nothing else is asked of the process before it has replied.
        """

    def own_login(self) -> OwnLogin:
        """What to know of the login that a person makes with the program itself."""

    def open(self, settings: Settings, conversation: str, directory: str, request: str) -> tuple[bytes, ...]:
        """Begins a conversation (empty), or goes on with it, in a process that was greeted.

        Nothing where a process has one conversation, that of its command line.
        """

    def has_lost(self, refusal: str) -> bool:
        """Whether it refuses so to go on with a conversation because it has none of that id any more."""

    def is_busy(self, refusal: str) -> bool:
        """Whether it refuses a message so while it does what takes none, and would take it afterwards."""

    def name(self, conversation: str, name: str, request: str) -> tuple[bytes, ...]:
        """Names a conversation that is open, where the program would otherwise ask its model for a name."""

    def say(
        self, conversation: str, text: str, message: str, request: str, *, turn: str = "", command: bool = False
    ) -> bytes:
        """A message, with our id; into the running `turn`, when one is given. A refusal is told of the `request`, of
        which each try has its own.

        As a `command` it may be one of the program's own, which begin with '/'; else it is never taken for one.
        Raises InvalidArgument for what the program does not take.
        """

    def look_up(self, conversation: str, message: str, request: str) -> tuple[bytes, ...]:
        """Asks whether a message has arrived, which is then told as any that does; without one, for what was said there
        when nobody heard it, which is told then.

        Nothing where a repeat is ignored by the program, so that sending again is safe, and where it keeps a file of
        all that is said.
        """

    def interrupt(self, conversation: str, turn: str, request: str) -> tuple[bytes, ...]:
        """Ends the turn, and what it runs."""

    def answer(self, asked: ApprovalAsked, answer: Answer) -> bytes:
        """Lets the program go on; on a terminal, what the hook that told of it prints."""

    def decline(self, request: str) -> bytes:
        """Tells the program that we do not know what it asks (Unparsed.request), so that it does not wait for ever."""

    def update(self, conversation: str, old: Settings, new: Settings, request: str) -> Update:
        """What brings a process that runs by `old` to `new`."""
