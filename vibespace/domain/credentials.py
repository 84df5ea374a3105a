"""A credential: what it is for, whose agents get it, and under which uid the vault has its value. Never the value."""

from __future__ import annotations

import re
from typing import Any

from eventsourcing.domain import event

from vibespace.domain import environment, names
from vibespace.domain.aggregate import Aggregate
from vibespace.errors import InvalidArgument

ANTHROPIC, OPENAI, GIT, ENVIRONMENT = "anthropic", "openai", "git", "environment"
TYPES = (ANTHROPIC, OPENAI, GIT, ENVIRONMENT)

HOST, VIBESPACE, AGENT = "host", "vibespace", "agent"
"""Scopes: every vibespace, one, or one agent."""

TYPED = {"ANTHROPIC_API_KEY": ANTHROPIC, "CLAUDE_CODE_OAUTH_TOKEN": ANTHROPIC, "OPENAI_API_KEY": OPENAI}
"""Variables that have a type of their own."""

_SERVER = re.compile(r"(?:http://)?(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:]{2,45}\])(?::[0-9]{1,5})?")
_LONGEST = 200
"""Characters of what is said of git."""

Settings = dict[str, str]
"""Those that were given: `username`, `author_name`, `author_email`, `expires` (ISO 8601)."""


class Credential(Aggregate):
    """One for each scope, type and key: of `git` its host, of `environment` its variable, else empty."""

    TOPIC = "credential"

    class Event(Aggregate.Event):
        """See Aggregate.Event."""

    @event("Created", topic="credential.created")
    def __init__(self, scope: str, parent: str, type: str, key: str, settings: Settings, sealed: str) -> None:
        self.scope = scope
        self.parent = parent
        self.type = type
        self.key = key
        self.settings = settings
        self.sealed = sealed
        self.deleted = False

    @classmethod
    def name_subject(cls, **created: Any) -> str:
        return _name(created["parent"], str(created["id"]))

    @property
    def subject(self) -> str:
        return _name(self.parent, self.uid)

    @property
    def gone(self) -> bool:
        return self.deleted

    @property
    def called(self) -> str:
        """As people say it."""
        whose = names.short(self.parent) if self.parent else "every vibespace"
        return f"credential {f'{self.type} {self.key}'.strip()} of {whose}"

    def replace(self, settings: Settings, sealed: str) -> None:
        """Another value, which the vault has under the uid `sealed`."""
        self._replace(settings=settings, sealed=sealed)

    def delete(self) -> None:
        """Nobody gets it any more."""
        self._delete()

    @event("Replaced", topic="credential.replaced")
    def _replace(self, settings: Settings, sealed: str) -> None:
        self.settings = settings
        self.sealed = sealed

    @event("Deleted", topic="credential.deleted")
    def _delete(self) -> None:
        self.deleted = True


def _name(parent: str, uid: str) -> str:
    return f"{parent}/credentials/{uid}".removeprefix("/")


def check_key(type: str, host: str, variable: str, field: str) -> str:
    """What tells this credential from others of its type. `field` is the path that the names of fields stand below.

    Raises InvalidArgument CREDENTIAL_TYPE_UNKNOWN, FIELD_NOT_FOR_TYPE, HOST_INVALID, ENV_INVALID, VARIABLE_HAS_TYPE.
    """
    if type not in TYPES:
        message = f"A credential is of one of the types {', '.join(TYPES)}."
        hint = "A program's own login is made by 'vibespace credential login'."
        raise InvalidArgument("CREDENTIAL_TYPE_UNKNOWN", message, field=f"{field}.type", hint=hint)
    for name, given, owner in (("host", host, GIT), ("variable", variable, ENVIRONMENT)):
        if given and type != owner:
            message = f"A {name} is given with type {owner}, not with {type}."
            raise InvalidArgument("FIELD_NOT_FOR_TYPE", message, field=f"{field}.{name}")
    if type == GIT:
        return _server(host, f"{field}.host")
    if type == ENVIRONMENT:
        environment.check_name(variable, f"{field}.variable")
        if variable in TYPED:
            message = f"{variable} has a type of its own: {TYPED[variable]}."
            raise InvalidArgument("VARIABLE_HAS_TYPE", message, field=f"{field}.variable", hint="Set that.")
    return variable


def check_settings(type: str, settings: Settings, field: str) -> None:
    """Raises InvalidArgument FIELD_NOT_FOR_TYPE, FIELD_INVALID."""
    for name in ("username", "author_name", "author_email"):
        said = settings.get(name)
        if said is None:
            continue
        if type != GIT:
            message = f"{name} is given with type git, not with {type}."
            raise InvalidArgument("FIELD_NOT_FOR_TYPE", message, field=f"{field}.{name}")
        if not said.strip() or not said.isprintable() or len(said) > _LONGEST or set(said) & set("<>"):
            message = f"{name} takes one line of at most {_LONGEST} characters, without < and >."
            raise InvalidArgument("FIELD_INVALID", message, field=f"{field}.{name}")


def check_value(type: str, key: str, value: str, field: str) -> None:
    """Raises InvalidArgument VALUE_MISSING, VALUE_INVALID, ENV_INVALID. None of them shows the value."""
    if not value:
        hint = "Write it to standard input, or type it when you are asked."
        raise InvalidArgument("VALUE_MISSING", "The value is empty.", field=field, hint=hint)
    if type == ENVIRONMENT:
        environment.parse([f"{key}={value}"], field)
    elif len(value) > environment.LONGEST or not all("!" <= c <= "~" for c in value):
        message = "The value has spaces, line breaks or other characters that no key, token or password has."
        raise InvalidArgument("VALUE_INVALID", message, field=field, hint="Give it alone, on one line.")


def _server(host: str, field: str) -> str:
    """As git's `credential` sections are told it, but for https, which is what is meant without a scheme."""
    found = host.lower().removeprefix("https://").rstrip("/")
    if not _SERVER.fullmatch(found):
        raise InvalidArgument(
            "HOST_INVALID", "A credential for git is for a host, such as github.com or example.org:8443.", field=field
        )
    return found
