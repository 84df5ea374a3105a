"""What agents are set to: what their programs refuse is refused before it is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Protocol

from vibespace.app.feed import Feed
from vibespace.domain.agents import Agent
from vibespace.domain.approvals import timeout_of
from vibespace.errors import InvalidArgument
from vibespace.harness.base import Settings
from vibespace.harness.registry import HARNESSES

_PROGRAMS = tuple(field.name for field in fields(Settings))
OURS = ("approval_timeout",)
"""Settings that the daemon works by: no program is told them."""
CHANGEABLE = (*_PROGRAMS, *OURS)
"""What may change after create."""

LONGEST = 100_000
"""Bytes of a setting: it stays in the history for ever, and is in every answer that tells of its agent."""


class InForce(Protocol):
    """Who runs the agents' programs."""

    def settings(self, agent_uid: str) -> Settings | None:
        """What the living program of that agent works by; None: none runs, and the next takes all when it starts."""


class Programs:
    """InForce by what the transcripts say."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def settings(self, agent_uid: str) -> Settings | None:
        """See InForce."""
        transcript = self._feed.state.transcript(agent_uid)
        return settings_of(transcript.settings) if transcript and transcript.running else None


def wanted(agent: Agent) -> Settings:
    """What its program should work by."""
    return settings_of(agent.settings)


def check_settings(agent_type: str, stored: Mapping[str, Any], field: str) -> None:
    """Raises InvalidArgument for what that program or the daemon cannot do, naming the setting below `field`."""
    settings = settings_of(stored)
    try:
        if settings.max_turns < 0:
            raise InvalidArgument(
                "MAX_TURNS_INVALID",
                f"{settings.max_turns} is no number of turns.",
                field="max_turns",
                hint="Give 1 or more; 0 leaves it to the program.",
            )
        if not settings.model.isprintable() or settings.model != settings.model.strip():
            raise InvalidArgument(
                "MODEL_INVALID",
                f"{settings.model[:60]!a} is no name of a model.",
                field="model",
                hint="Give it on one line, without spaces around it; empty leaves it to the program.",
            )
        timeout_of(stored.get("approval_timeout", ""))
        HARNESSES[agent_type].check(settings)
        for name in _PROGRAMS:
            if _size(getattr(settings, name)) > LONGEST:
                raise InvalidArgument("SETTING_TOO_LONG", f"{name} may have {LONGEST} bytes at most.", field=name)
    except InvalidArgument as e:
        e.field = f"{field}.{e.field}"
        raise


def settings_of(stored: Mapping[str, Any]) -> Settings:
    """As a program is told them; what else is `stored` is none of its."""
    given = {name: stored[name] for name in _PROGRAMS if name in stored}
    told: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return Settings(**told)


def stored(settings: Settings) -> dict[str, Any]:
    """As events hold them."""
    told = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}


def _size(value: Any) -> int:
    texts = value if isinstance(value, tuple) else [str(value)]
    return sum(len(text.encode()) for text in texts)
