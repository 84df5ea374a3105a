"""What may be done about an agent's program, one at a time: what a plan comes to, and a driver does."""

from __future__ import annotations

from dataclasses import dataclass, field

from vibespace.domain.approvals import Approval
from vibespace.domain.messages import Message


@dataclass(frozen=True)
class Start:
    """A program, for the conversation."""

    on_terminal: bool = False


@dataclass(frozen=True)
class End:
    """The program."""

    at_once: bool = False


@dataclass(frozen=True)
class Write:
    """A line to the program, once under that name."""

    name: str
    line: bytes = field(repr=False)
    """It may be secret."""
    secret: bool = False
    message: Message | None = None
    """The line is that message."""
    approval: Approval | None = None
    """The line is the decision about that."""


@dataclass(frozen=True)
class Tell:
    """The decision, to who asked on the terminal."""

    name: str
    request: str
    words: bytes
    approval: Approval


@dataclass(frozen=True)
class Hand:
    """Record that the message is about to be written."""

    message: Message


@dataclass(frozen=True)
class Requeue:
    """Record that the message could not join what is over, and waits for a turn of its own."""

    message: Message


@dataclass(frozen=True)
class Withdraw:
    """Record that its program cannot be had, for all that is asked of it."""

    reason: str


@dataclass(frozen=True)
class Fail:
    """Record that the message will not be worked on."""

    message: Message
    reason: str


@dataclass(frozen=True)
class Lose:
    """Record that nobody knows whether the program has the message."""

    message: Message


@dataclass(frozen=True)
class Settle:
    """Record that the program works by the settings."""


Action = Start | End | Write | Tell | Withdraw | Requeue | Hand | Fail | Lose | Settle | None
"""None: there is nothing to do until something changes."""
