"""Logins that agents' programs make and keep themselves: where each lies, and who shares one. Nobody here reads any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vibespace.domain.agents import Agent
from vibespace.engine.base import LOGINS
from vibespace.harness.base import OwnLogin
from vibespace.harness.registry import HARNESSES

_READ = "/etc/vibespace/environment"
"""What every command's shell reads first; read again, it takes a login that was just made to where it is shared."""
_THEN_SHARE = f'"$@"; code=$?; [ ! -r {_READ} ] || . {_READ}; exit $code'


def of(agent: Agent) -> OwnLogin:
    """What is to know of its program's."""
    return HARNESSES[agent.type].own_login()


def variables(agent: Agent) -> Mapping[str, str]:
    """What all that runs in its container is to have, so that the login is the shared one."""
    name = of(agent).alone
    return {name: _shared(agent)} if agent.shares_login and name else {}


def links(agent: Agent) -> Mapping[str, str]:
    """The same for a program that knows no such variable: paths in its home, and where they lead."""
    own = of(agent)
    if not agent.shares_login or own.alone:
        return {}
    return {f"{own.directory}/{own.file}": f"{_shared(agent)}/{own.file}"}


def command(agent: Agent) -> Sequence[str]:
    """Its program's login, to be run on a terminal inside."""
    own = of(agent)
    return ("bash", "-c", _THEN_SHARE, "login", *own.argv) if links(agent) else own.argv


def _shared(agent: Agent) -> str:
    """Its program's directory in the store."""
    return f"{LOGINS}/{agent.type}"
