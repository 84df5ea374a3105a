"""`vibespace ssh-proxy`: the ProxyCommand behind ssh-config. Joins its input and output to an agent's sshd."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import click

from vibespace.errors import InvalidArgument, NotFound
from vibespace.v1.agents_pb2 import DialRequest, DialResponse, GetAgentRequest
from vibespace_cli import names
from vibespace_cli.everywhere import Command
from vibespace_cli.session import Session

SSHD_PORT = 2222
"""Where the image's sshd listens."""

DOMAIN = ".vibespace"
_PIECE = 65536


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    return SshProxy(words[-1])


class SshProxy(Command):
    """Join input and output to an agent's sshd; ssh runs this, see ssh-config."""

    def __init__(self, name: str) -> None:
        host = click.Argument(["host"], metavar="AGENT.NAME.vibespace", help="Whom ssh wants to reach.")
        super().__init__(name, params=[host], help=type(self).__doc__, content=True)

    def invoke(self, ctx: click.Context) -> None:
        session: Session = ctx.find_root().obj
        host: str = ctx.params["host"]
        name = _agent(session, host)
        agent = session.call("AgentService/GetAgent", GetAgentRequest(name=name)).agent
        # Before the first byte: ssh looks for the key when sshd has greeted it.
        _pin(session.state.ssh / "hosts", host, _public_key(session.state.keys / agent.uid))
        for response in session.client.converse("AgentService/Dial", _requests(name), DialResponse):
            _write(response.data)


def _agent(session: Session, host: str) -> str:
    agent, _, vibespace = host.removesuffix(DOMAIN).partition(".")
    if not host.endswith(DOMAIN) or not agent or not vibespace or "/" in host:
        raise InvalidArgument("HOST_INVALID", f"'{host}' is no agent's.", hint="They are called AGENT.NAME.vibespace.")
    return names.agent(session, agent, vibespace)


def _requests(name: str) -> Iterator[DialRequest]:
    """The start, then what ssh says. gRPC's own thread reads it, the next piece when the one before is on its way."""
    yield DialRequest(name=name, port=SSHD_PORT)
    while data := os.read(0, _PIECE):
        yield DialRequest(data=data)
    yield DialRequest(closed=True)


def _public_key(path: Path) -> str:
    """The public half of an unencrypted OpenSSH key, which stands in the clear at its beginning (PROTOCOL.key)."""
    try:
        lines = path.read_text().split("\n")
    except FileNotFoundError:
        hint = "It is made when the agent first starts: vibespace agent start"
        raise NotFound("HOST_KEY_MISSING", "This agent has no host key yet.", hint=hint) from None
    blob = base64.b64decode("".join(line for line in lines if not line.startswith("-----")))
    rest = blob.removeprefix(b"openssh-key-v1\0")
    for _ in ("cipher", "kdf", "kdf options"):
        rest = rest[4 + int.from_bytes(rest[:4]) :]
    rest = rest[4:]  # how many keys: one
    public = rest[4 : 4 + int.from_bytes(rest[:4])]
    kind = public[4 : 4 + int.from_bytes(public[:4])].decode()
    return f"{kind} {base64.b64encode(public).decode()}"


def _pin(directory: Path, host: str, key: str) -> None:
    """Have ssh find this key and no other at `host`, on whichever port."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = directory / f".{host}.{os.getpid()}"
    draft.write_text(f"{host},[{host}]:* {key}\n")
    draft.replace(directory / host)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]
