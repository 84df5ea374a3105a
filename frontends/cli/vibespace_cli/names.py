"""What a person calls things: `demo`, `claude-1@demo`, or nothing at all when only one thing can be meant."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vibespace.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from vibespace_cli.session import Session

EVERY_VIBESPACE = "vibespaces/-"
"""AIP-159: every parent there is."""

_BESIDE_AGENT = "AGENT@VIBESPACE, --vibespace NAME"
"""How the command line takes the vibespace of an agent."""


def vibespace(session: Session, typed: str | None, how: str, *, explicit: bool = False) -> str:
    """Resource name of the vibespace that is meant: the one typed, VIBESPACE_NAME's, or the only one there is.

    Raises InvalidArgument when nothing says which, with `how` this command would take it; with `explicit`, the only one
    is not enough.
    """
    say_which = f"Say which: {how}, or VIBESPACE_NAME."
    typed = typed if typed is not None else named_by_environment()
    if typed is not None:
        return f"vibespaces/{_bare(typed, 'vibespaces/')}"
    if explicit:
        raise InvalidArgument("VIBESPACE_NEEDED", "This stops or changes something.", hint=say_which)
    found = session.call("VibespaceService/ListVibespaces").vibespaces
    if not found:
        raise NotFound("NO_VIBESPACE", "There is no vibespace yet.", hint="vibespace create NAME -t claude-code")
    if len(found) > 1:
        several = ", ".join(v.vibespace_id for v in found)
        raise InvalidArgument("VIBESPACE_AMBIGUOUS", f"There are several vibespaces: {several}.", hint=say_which)
    return str(found[0].name)


def named_by_environment() -> str | None:
    """The vibespace that VIBESPACE_NAME names; empty is as good as not set."""
    return os.environ.get("VIBESPACE_NAME") or None


def agent(session: Session, typed: str | None, beside: str | None, *, explicit: bool = False) -> str:
    """Resource name of the agent that is meant. `beside` is the value of --vibespace; without an agent, the primary."""
    if typed is not None and typed.startswith("vibespaces/"):
        return typed
    name, at, place = (typed or "").partition("@")
    if at and beside is not None and beside != place:
        raise InvalidArgument("VIBESPACE_CONTRADICTED", f"{typed} is not in --vibespace {beside}: leave one out.")
    parent = vibespace(session, place if at else beside, _BESIDE_AGENT, explicit=explicit)
    if name or typed == "":  # a variable in a script that is not set: no word for the primary
        return f"{parent}/agents/{_bare(name, '')}"
    return _primary(session, parent)


def short(resource: str) -> str:
    """A resource name as a person says it: `demo`, `claude-1@demo`."""
    parts = resource.split("/")
    return f"{parts[3]}@{parts[1]}" if len(parts) == 4 and parts[2] == "agents" else parts[-1]


def kind(resource: str) -> str:
    """Of what it is the name: `agents`; empty where it is none."""
    return resource.rpartition("/")[0].rpartition("/")[2]


def told(resource: str) -> str:
    """As `short`; of what has no name of its own, what it is and whose: `message 1a2b3c4d of claude-1@demo`."""
    of = kind(resource)
    if of in ("", "vibespaces", "agents"):
        return short(resource)
    parent, _, uid = resource.rpartition(f"{of}/")
    whose = f" of {short(parent.rstrip('/'))}" if parent else ""
    return f"{of.removesuffix('s')} {uid[:8]}{whose}"


def all_agents(session: Session, parent: str = EVERY_VIBESPACE) -> Sequence[Any]:
    """The agents of one vibespace, or of all."""
    from vibespace.v1.agents_pb2 import ListAgentsRequest

    agents: Sequence[Any] = session.call("AgentService/ListAgents", ListAgentsRequest(parent=parent)).agents
    return agents


def _primary(session: Session, parent: str) -> str:
    found = next((a.name for a in all_agents(session, parent) if a.primary), None)
    if found is None:
        raise NotFound("NO_PRIMARY", f"{short(parent)} has no primary agent.")
    return str(found)


def _bare(typed: str, prefix: str) -> str:
    """`typed` without its collection; a path would name something else than what was meant."""
    name = typed.removeprefix(prefix) if prefix else typed
    place = name.rpartition("@")[2]
    if prefix and place != name and place:
        raise InvalidArgument(
            "NAME_INVALID",
            f"{typed!r} is an agent, and a vibespace is meant.",
            hint=f"Say {place!r}, or see 'vibespace agent --help'.",
            field="name",
        )
    if not name or "/" in name or "@" in name or not name.isprintable():  # a byte that is no character is not
        raise InvalidArgument(
            "NAME_INVALID",
            f"{typed!r} is not a name.",
            hint="Names are small letters, digits and '-', at most 30.",
            field="name",
        )
    return name
