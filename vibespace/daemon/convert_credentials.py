"""Credentials and logins -> protos, and what is said of a credential from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from vibespace.app import handing
from vibespace.app.live import State
from vibespace.daemon.convert import AGENT_TYPES, position, timestamp
from vibespace.domain import credentials, names
from vibespace.domain.agents import Agent
from vibespace.domain.credentials import Credential
from vibespace.errors import InvalidArgument
from vibespace.v1 import credentials_pb2 as v1

_TYPES = {type: v1.CredentialType.Value(f"CREDENTIAL_TYPE_{type.upper()}") for type in credentials.TYPES}
_TYPE_NAMES = {number: name for name, number in _TYPES.items()}
_SCOPES = {
    scope: v1.CredentialScope.Value(f"CREDENTIAL_SCOPE_{scope.upper()}")
    for scope in (credentials.HOST, credentials.VIBESPACE, credentials.AGENT)
}
_TEXTS = ("username", "author_name", "author_email")


def credential_type(settings: v1.CredentialSettings) -> str:
    """The type asked for; empty when none was."""
    return _TYPE_NAMES.get(settings.type, "")


def credential_settings(message: v1.CredentialSettings) -> credentials.Settings:
    """What is said of a credential beside what it is for, as events hold it. Raises InvalidArgument TIME_INVALID."""
    found = {
        name: getattr(message, name)
        for name in _TEXTS
        if message.HasField(name)  # type: ignore[arg-type]  # each is one of its fields
    }
    if message.HasField("expire_time"):
        try:
            found["expires"] = message.expire_time.ToDatetime(UTC).isoformat()
        except (ValueError, OverflowError) as e:
            text = "The time it expires at is in none of the years 1 to 9999."
            raise InvalidArgument("TIME_INVALID", text, field="credential.expire_time") from e
    return found


def credential_message(found: Credential, state: State) -> v1.Credential:
    """`found` as it is in `state`."""
    settings = v1.CredentialSettings(type=_TYPES[found.type])
    for name in _TEXTS:
        if name in found.settings:
            setattr(settings, name, found.settings[name])
    if found.type == credentials.GIT:
        settings.host = found.key
    elif found.key:
        settings.variable = found.key
    if "expires" in found.settings:
        settings.expire_time.CopyFrom(timestamp(datetime.fromisoformat(found.settings["expires"])))
    made = v1.Credential(
        name=found.subject,
        uid=found.uid,
        settings=settings,
        scope=_SCOPES[found.scope],
        used_by=[agent.called for agent in handing.users(state, found)],
        create_time=timestamp(found.created_on),
        set_time=timestamp(found.modified_on),
        position=position(found, state),
    )
    if found.scope == credentials.VIBESPACE:
        made.vibespace_id = names.parse_vibespace(found.parent)
    if found.scope == credentials.AGENT:
        made.vibespace_id, made.agent_id = names.parse_agent(found.parent)
    return made


def login_message(parent: str, type: str, users: Sequence[Agent]) -> v1.Credential:
    """A login of that agent type, of the agent `parent`, or of the vibespace `parent` whose agents share it."""
    shared = "/agents/" not in parent
    return v1.Credential(
        name=f"{parent}/logins/{type}",
        settings=v1.CredentialSettings(type=v1.CREDENTIAL_TYPE_LOGIN),
        scope=_SCOPES[credentials.VIBESPACE if shared else credentials.AGENT],
        vibespace_id=users[0].vibespace,
        agent_id=None if shared else users[0].name,
        agent_type=AGENT_TYPES[type],
        used_by=[agent.called for agent in users],
    )
