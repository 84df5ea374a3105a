"""Which credentials an agent gets, and in which form: the environment of its program, and its logins for git."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vibespace.app.live import State
from vibespace.app.vault import Vault
from vibespace.domain import credentials as domain
from vibespace.domain.agents import Agent
from vibespace.domain.credentials import ANTHROPIC, ENVIRONMENT, GIT, OPENAI, Credential
from vibespace.errors import FailedPrecondition
from vibespace.net.gitbase import GitAccess, GitLogin

VALUE = "value"
"""What the vault calls a credential's value."""

ANONYMOUS = "x-access-token"
"""Who logs in where nobody was named: servers that look at the token alone take any name, and GitHub expects this."""

_PROGRAM = {ANTHROPIC: "claude-code", OPENAI: "codex"}
"""Type -> the agents whose program has use for it."""

_INSTEAD = {
    ANTHROPIC: {"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"},
    OPENAI: {"OPENAI_API_KEY", "CODEX_API_KEY"},
}
"""Type -> variables that say the same: whose `--env` has one of them gets no credential of that type."""

_LONG_LIVED = "sk-ant-oat"
"""How a token of `claude setup-token` begins, which is no API key."""


def in_use(state: State, agent: Agent) -> Mapping[tuple[str, str], Credential]:
    """What the agent gets, by type and key: of several the narrowest, and nothing that its `--env` says otherwise."""
    found: dict[tuple[str, str], Credential] = {}
    for parent in _parents(state, agent):
        found |= state.credentials.get(parent, {})
    return {place: credential for place, credential in found.items() if _has_use(agent, credential)}


def users(state: State, credential: Credential) -> Iterator[Agent]:
    """Those that get it: nobody, once it is gone."""
    place = credential.type, credential.key
    for agent in reached(state, credential):
        holders = [state.credentials[parent] for parent in _parents(state, agent) if parent in state.credentials]
        narrowest = next((held[place] for held in reversed(holders) if place in held), None)
        if narrowest is credential and _has_use(agent, credential):
            yield agent


def reached(state: State, credential: Credential) -> Iterator[Agent]:
    """Those in its scope, whether they get it or not."""
    return (agent for agent in state.agents() if credential.parent in _parents(state, agent))


def environment(state: State, vault: Vault, agent: Agent) -> Mapping[str, str]:
    """What the agent's program gets in its environment beside what its container has, and nobody else there.

    Names of the agent's `--env` are not among it: those values stand. Raises FailedPrecondition SECRET_UNREADABLE.
    """
    found: dict[str, str] = {}
    for (type, key), credential in in_use(state, agent).items():
        if type != GIT:
            value = _value(vault, credential)
            found[key or variable(type, value)] = value
    return found


def git_access(state: State, vault: Vault, agent: Agent) -> GitAccess:
    """What git gets inside. Raises FailedPrecondition SECRET_UNREADABLE.

    One author: of the narrowest credential that names one, and of several such of the first host.
    """
    held = [credential for _, credential in sorted(in_use(state, agent).items()) if credential.type == GIT]
    logins = [
        GitLogin(credential.key, credential.settings.get("username", ANONYMOUS), _value(vault, credential))
        for credential in held
    ]
    width = (domain.AGENT, domain.VIBESPACE, domain.HOST)
    authors = sorted((c for c in held if "author_name" in c.settings), key=lambda c: width.index(c.scope))
    emails = sorted((c for c in held if "author_email" in c.settings), key=lambda c: width.index(c.scope))
    return GitAccess(
        tuple(logins),
        authors[0].settings["author_name"] if authors else "",
        emails[0].settings["author_email"] if emails else "",
    )


def environment_marks(state: State, agent: Agent) -> tuple[str, ...]:
    """Differs whenever `environment` would; no secret is in it."""
    return tuple(sorted(credential.sealed for credential in in_use(state, agent).values() if credential.type != GIT))


def git_marks(state: State, agent: Agent) -> tuple[str, ...]:
    """Differs whenever git_access would; no secret is in it."""
    return tuple(sorted(credential.sealed for credential in in_use(state, agent).values() if credential.type == GIT))


def own_keys(agent: Agent) -> tuple[str, list[str]]:
    """The type of credential that its program is logged in with, and which variables of its `--env` say the same.

    The type is empty for a program that no credential is for: a person logs it in, or its environment does.
    """
    type = next((type for type, program in _PROGRAM.items() if program == agent.type), "")
    return type, sorted(_INSTEAD.get(type, set()) & set(agent.env))


def variable(type: str, value: str) -> str:
    """Where the program that a credential is for looks for such a value."""
    if type == OPENAI:
        return "OPENAI_API_KEY"
    return "CLAUDE_CODE_OAUTH_TOKEN" if value.startswith(_LONG_LIVED) else "ANTHROPIC_API_KEY"


def readable(vault: Vault, credential: Credential) -> bool:
    """Whether its value could be opened."""
    return VALUE in vault.values(credential.sealed)


def _parents(state: State, agent: Agent) -> tuple[str, str, str]:
    """Whose credentials are for the agent, the widest scope first."""
    return "", state.vibespace_of(agent).subject, agent.subject


def _has_use(agent: Agent, credential: Credential) -> bool:
    if credential.type == ENVIRONMENT:
        return credential.key not in agent.env
    if credential.type == GIT:
        return True
    return agent.type == _PROGRAM[credential.type] and _INSTEAD[credential.type].isdisjoint(agent.env)


def _value(vault: Vault, credential: Credential) -> str:
    value = vault.values(credential.sealed).get(VALUE)
    if value is None:
        raise FailedPrecondition(
            "SECRET_UNREADABLE",
            f"The value of {credential.called} cannot be read: the vault or its master key is not what it was.",
            hint="Set it again with 'vibespace credential set'.",
        )
    return value
