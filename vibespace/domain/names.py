"""What things may be called, and how a resource name is written and read (AIP-122)."""

from __future__ import annotations

import re

from vibespace.errors import InvalidArgument

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")
_RESERVED = frozenset({"all"})

PREFIXES = {"claude-code": "claude", "codex": "codex"}
"""Agent type -> what its agents are called by default, followed by a number."""

ANY = "-"
"""Stands for every vibespace in the parent of a list (AIP-159)."""


def check_name(name: str, field: str) -> str:
    """`name`, if it may name a vibespace or an agent. Raises InvalidArgument NAME_INVALID, naming `field`."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            "NAME_INVALID",
            f"{_shown(name)} is not a name: it takes 1 to 30 small letters, digits and '-', "
            "a letter first and no '-' at the end.",
            field=field,
        )
    if name in _RESERVED:
        raise InvalidArgument("NAME_RESERVED", f"'{name}' is reserved: it means every agent.", field=field)
    return name


def vibespace_name(vibespace_id: str) -> str:
    """Resource name of a vibespace."""
    return f"vibespaces/{vibespace_id}"


def agent_name(vibespace_id: str, agent_id: str) -> str:
    """Resource name of an agent."""
    return f"vibespaces/{vibespace_id}/agents/{agent_id}"


def transcript_name(vibespace_id: str, agent_id: str) -> str:
    """Resource name of what an agent's program said."""
    return f"{agent_name(vibespace_id, agent_id)}/transcript"


def conversation_name(vibespace_id: str, agent_id: str, uid: str) -> str:
    """Resource name of a conversation with an agent."""
    return f"{agent_name(vibespace_id, agent_id)}/conversations/{uid}"


def message_name(vibespace_id: str, agent_id: str, uid: str) -> str:
    """Resource name of a message to an agent."""
    return f"{agent_name(vibespace_id, agent_id)}/messages/{uid}"


def approval_name(vibespace_id: str, agent_id: str, uid: str) -> str:
    """Resource name of a tool call that waits for a decision."""
    return f"{agent_name(vibespace_id, agent_id)}/approvals/{uid}"


def parse_vibespace(name: str, field: str = "name") -> str:
    """The bare name in `vibespaces/{vibespace}`. Raises InvalidArgument RESOURCE_NAME_INVALID."""
    match name.split("/"):
        case ["vibespaces", vibespace] if vibespace:
            return vibespace
    raise _malformed(name, "vibespaces/NAME", field)


def parse_agent(name: str, field: str = "name") -> tuple[str, str]:
    """The bare names in `vibespaces/{vibespace}/agents/{agent}`. Raises InvalidArgument RESOURCE_NAME_INVALID."""
    match name.split("/"):
        case ["vibespaces", vibespace, "agents", agent] if vibespace and agent:
            return vibespace, agent
    raise _malformed(name, "vibespaces/NAME/agents/AGENT", field)


def called(vibespace_id: str, agent_id: str) -> str:
    """An agent as people say it."""
    return f"{agent_id}@{vibespace_id}"


def short(name: str) -> str:
    """A vibespace or an agent as people say it; `name` is its resource name."""
    return called(*parse_agent(name)) if "/agents/" in name else parse_vibespace(name)


def _malformed(name: str, form: str, field: str) -> InvalidArgument:
    return InvalidArgument(
        "RESOURCE_NAME_INVALID", f"{_shown(name)} is not a resource name of the form {form}.", field=field
    )


def _shown(text: str) -> str:
    """`text` as an error may show it: quoted, as it was typed where that can be seen, on one line, not too long."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
