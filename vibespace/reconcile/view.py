"""What is known of one agent and its program, at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vibespace.domain.approvals import Approval
from vibespace.domain.conversations import Conversation
from vibespace.domain.messages import Message
from vibespace.harness.base import Harness, Settings
from vibespace.reconcile.live import Live


@dataclass(frozen=True)
class View:
    """What `conversations.plan` looks at."""

    harness: Harness
    settings: Settings
    """What the program should work by."""
    in_force: Settings
    """What it works by."""
    generation: int
    """Of the agent: another one, when its settings have changed."""
    conversation: Conversation | None
    messages: Sequence[Message]
    approvals: Sequence[Approval]
    started_for: str
    """The conversation that the running program was started for."""
    resumed: bool
    """The program knew it."""
    on_terminal: bool
    """The program is a person's own interface."""
    directory: str
    env: Mapping[str, str] = field(repr=False)
    """What its process gets beside its container's environment: secret values."""
    keys: Sequence[str]
    """What tells `env` from any other, without being secret."""
    keys_in_force: Sequence[str]
    """Of what the process got."""
    live: Live
    failures: int
    """Programs in a row that ended before they took anything up."""
    ended: bool
    """One has ended since it was driven."""
