"""Credentials as a person says them: which one, whose, and who uses it."""

from __future__ import annotations

from typing import Any

from vibespace.catalog import choice_word
from vibespace.v1.credentials_pb2 import CREDENTIAL_SCOPE_AGENT, CREDENTIAL_SCOPE_HOST, CredentialType


def called(credential: Any) -> str:
    """`git github.com of demo`."""
    settings = credential.settings
    return " ".join(filter(None, [kind(settings.type), settings.host or settings.variable, "of", whose(credential)]))


def kind(number: Any) -> str:
    """The word for a type."""
    return choice_word("CredentialType", CredentialType.Name(number))


def whose(credential: Any) -> str:
    """Whose agents get it."""
    if credential.scope == CREDENTIAL_SCOPE_HOST:
        return "every vibespace"
    if credential.scope == CREDENTIAL_SCOPE_AGENT:
        return f"{credential.agent_id}@{credential.vibespace_id}"
    return str(credential.vibespace_id)


def used(credential: Any) -> str:
    """Who uses it: few by name, of more how many."""
    users = credential.used_by
    if not users:
        return "no agent uses it now"
    if len(users) == 1:
        return f"{users[0]} uses it"
    return f"{', '.join(users)} use it" if len(users) <= 3 else f"{len(users)} agents use it"
