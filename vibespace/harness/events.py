"""What agent programs tell: the one vocabulary of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypedDict


class Source(StrEnum):
    """Which of a program's streams a line is from."""

    OUTPUT = "output"
    """What it writes to whoever drives it: standard output, or the frames of its socket."""
    RECORD = "record"
    """The file it keeps of a conversation, of both doors."""
    HOOK = "hook"
    """What it tells a command of ours while a person uses its own interface."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing a program told. The line it came from is kept beside it by whoever read the line.

    The class, `id` and `conversation` together name one thing: told again, by another stream or after a resume, it
    has the same three. `id` is empty only where nothing is told twice.
    """

    id: str = ""
    conversation: str = ""
    """The program's own id of the conversation; empty where the line names none."""
    turn: str = ""
    """As in TurnStarted.id; empty where it is not known."""
    parent: str = ""
    """The tool call within which a helper of the agent did this; empty for the agent itself."""


class Where(TypedDict, total=False):
    """What every event of a line says alike."""

    conversation: str
    turn: str
    parent: str


@dataclass(frozen=True, kw_only=True)
class TurnStarted(Event):
    """The agent begins to work on what it was told."""


class Reason(StrEnum):
    """Why a turn is over."""

    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    TURN_LIMIT = "turn_limit"
    """It took as many rounds as its settings allow."""
    LOST = "lost"
    """The program went away amid it."""


class Trouble(StrEnum):
    """What an error is about, so that we can say what mends it."""

    LOGIN = "login"
    MODEL = "model"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    UNREACHABLE = "unreachable"
    CONTEXT = "context"
    """The conversation is longer than the model takes."""
    BILLING = "billing"
    WARNING = "warning"
    """The program goes on."""
    OTHER = "other"


@dataclass(frozen=True)
class Usage:
    """Tokens of one turn."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    """Of `output`."""


@dataclass(frozen=True, kw_only=True)
class TurnEnded(Event):
    """The turn `id` is over; work that it left running in the background may go on."""

    reason: Reason
    detail: str = ""
    """The program's own words, when it failed."""
    trouble: Trouble | None = None
    """What its failure is about, as far as the line that tells of it says."""
    usage: Usage | None = None
    cost: int | None = None
    """Millionths of a US dollar; None where the program does not count it."""
    message: str = ""
    """Our id of the message that the program took last, where it tells: that is over too, be it repeated or not."""


@dataclass(frozen=True, kw_only=True)
class WorkEnded(Event):
    """The turn is over, and so is all that it left running: the agent is idle."""


@dataclass(frozen=True, kw_only=True)
class Text(Event):
    """Something said, whole."""

    text: str
    by_user: bool = False
    message: str = ""
    """Our id of the message, when it is one that we sent."""
    block: str = ""
    """As in Delta.block, when it was streamed."""


@dataclass(frozen=True, kw_only=True)
class Reasoning(Event):
    """What the model thought, whole; empty text when the program does not show it."""

    text: str
    block: str = ""


class Stream(StrEnum):
    """What a delta is a piece of."""

    TEXT = "text"
    REASONING = "reasoning"
    INPUT = "input"
    """The input of a tool call, as JSON text."""


@dataclass(frozen=True, kw_only=True)
class Delta(Event):
    """The next piece of a block that comes whole later. Not worth keeping once it has."""

    block: str
    stream: Stream
    text: str


@dataclass(frozen=True, kw_only=True)
class ToolCall(Event):
    """The agent wants to use a tool. It may still have to be allowed."""

    call: str
    tool: str
    input: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ToolProgress(Event):
    """A sign of life of a tool: what it wrote, or how long it runs."""

    call: str
    text: str = ""
    seconds: int | None = None


@dataclass(frozen=True, kw_only=True)
class ToolResult(Event):
    """What came of a tool call."""

    call: str
    text: str
    failed: bool = False
    exit_code: int | None = None


class Change(StrEnum):
    """What became of a file."""

    CREATED = "created"
    MODIFIED = "modified"
    DELETED = "deleted"


@dataclass(frozen=True, kw_only=True)
class FileChange(Event):
    """A tool of the agent changed a file. What commands change is not told."""

    call: str
    path: str
    change: Change
    moved_to: str = ""
    diff: str = ""
    """Unified, without a header; empty where the program shows none."""


@dataclass(frozen=True, kw_only=True)
class ApprovalAsked(Event):
    """A tool call waits for a decision. Whoever answers hands this very event to `Harness.answer`."""

    request: str
    """What an answer is addressed to. Asked again after a resume, it may be another."""
    call: str
    tool: str
    input: Mapping[str, Any]
    reason: str = ""
    """Why it asks, in the program's words."""
    rules: tuple[str, ...] = ()
    """What "always" would allow until the program ends, as tool rules; none when it cannot be allowed for longer."""
    terminal: bool = False
    """Asked on the program's own interface, where a person may answer as well."""


@dataclass(frozen=True, kw_only=True)
class ApprovalAnswered(Event):
    """A decision has reached the program, ours or one made on its own interface."""

    request: str
    allowed: bool | None = None
    """None where the program does not say."""


@dataclass(frozen=True, kw_only=True)
class ApprovalCancelled(Event):
    """Nobody waits for that decision any more."""

    request: str


@dataclass(frozen=True, kw_only=True)
class Error(Event):
    """Something went wrong between the program and its model."""

    trouble: Trouble
    text: str
    status: int | None = None
    """HTTP status, where there was one."""
    retrying: bool = False
    """The program tries again by itself."""


@dataclass(frozen=True, kw_only=True)
class RateLimit(Event):
    """How much of an allowance is used."""

    window: str
    """The program's word for the allowance."""
    percent: int | None
    resets: int | None
    """Seconds since 1970."""
    reached: bool


@dataclass(frozen=True, kw_only=True)
class ConversationSwitched(Event):
    """From here on the program is in the conversation `conversation`."""

    previous: str
    """Empty for the first one; the same where it is told again over another connection."""


@dataclass(frozen=True, kw_only=True)
class ConversationJoined(Event):
    """A person is in the conversation `conversation`, beside the one that the program is in and is at work in: what
    is said there is told once it is opened, and the program comes there when that work is over.
    """


@dataclass(frozen=True, kw_only=True)
class SettingsStrayed(Event):
    """The conversation `conversation` works by settings that nobody chose: a person's own interface has replaced some
    of them by its own. It is to be told them again.
    """


@dataclass(frozen=True, kw_only=True)
class Reverted(Event):
    """What was said last in the conversation was taken back: the agent does not know of it any more."""


@dataclass(frozen=True, kw_only=True)
class MessageDropped(Event):
    """The program will not take up the message `id` of ours."""


@dataclass(frozen=True, kw_only=True)
class Replied(Event):
    """The program has done, or refused, what a line asked of it: one reply a line that asks.

    `id` is what that line was sent under, so that several lines of one request have a reply each.
    """

    request: str
    """Ours, that the line belongs to."""
    refusal: str = ""


@dataclass(frozen=True, kw_only=True)
class Unparsed(Event):
    """A line that we make nothing of: garbage, or a kind that a newer program has."""

    why: str
    kind: str = ""
    """The program's word for it, where it has one."""
    request: str = ""
    """What to give to `Harness.decline`, when the program waits for an answer."""
