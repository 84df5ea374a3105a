"""How an agent's settings stand: what they are, who decides them, and whether its program works by them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from vibespace.app.settings import CHANGEABLE, OURS, InForce, wanted
from vibespace.domain.agents import Agent
from vibespace.harness.base import Settings
from vibespace.v1 import agents_pb2 as v1


def standing(agent: Agent, in_force: InForce, names: Collection[str] = CHANGEABLE) -> list[v1.Setting]:
    """One each of `names`, in the order in which there are settings."""
    now, asked = in_force.settings(agent.uid), wanted(agent)
    return [_setting(name, agent.settings.get(name), now, asked) for name in _ORDER if name in names]


_DEFAULTS = {True: v1.SETTING_SOURCE_DAEMON, False: v1.SETTING_SOURCE_PROGRAM}
_ORDER = [field.name for field in v1.AgentSettings.DESCRIPTOR.fields if field.name in CHANGEABLE]


def _setting(name: str, stored: Any, now: Settings | None, asked: Settings) -> v1.Setting:
    ours = name in OURS
    is_set = stored is not None
    return v1.Setting(
        setting=name,
        value=_text(stored) if is_set else "",
        source=v1.SETTING_SOURCE_SET if is_set else _DEFAULTS[ours],
        in_force=v1.IN_FORCE_YES if ours else _in_force(name, now, asked),
    )


def _in_force(name: str, now: Settings | None, asked: Settings) -> v1.InForce.ValueType:
    if now is None:
        return v1.IN_FORCE_AT_THE_NEXT_START
    same = getattr(now, name) == getattr(asked, name)
    return v1.IN_FORCE_YES if same else v1.IN_FORCE_AT_THE_NEXT_IDLE


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)
