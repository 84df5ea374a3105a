"""The kept ssh connections, one an agent: made when first needed, shared by all, replaced when dead."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import asyncssh

from vibespace.errors import Unavailable
from vibespace.net.base import Dialer, Keys

# asyncssh logs whole commands at INFO, and what people type into commands is theirs.
logging.getLogger("asyncssh").setLevel(logging.WARNING)

CONNECT_SECONDS = 20.0
"""For dialling, key exchange and login together; 50 ms is usual."""

KEEPALIVE_SECONDS = 10
KEEPALIVE_TRIES = 2
"""An agent that vanished without a word is noticed after KEEPALIVE_SECONDS * (KEEPALIVE_TRIES + 1)."""

CIPHERS = ("aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com")
"""The first is the faster one by a third where the processor knows AES."""


class Connections:
    """Connections by agent uid. All methods belong to one event loop."""

    def __init__(self, dialer: Dialer, keys: Keys, user: str) -> None:
        self._dialer = dialer
        self._keys = keys
        self._user = user
        self._made: dict[str, asyncio.Task[asyncssh.SSHClientConnection]] = {}

    async def get(self, agent_uid: str) -> asyncssh.SSHClientConnection:
        """The live connection to that agent. Raises Unavailable AGENT_UNREACHABLE."""
        making = self._made.get(agent_uid)
        if making is None or _dead(making):
            making = asyncio.create_task(self._connect(agent_uid))
            making.add_done_callback(partial(self._settle, agent_uid))
            self._made[agent_uid] = making
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            if not making.cancelled():
                raise
            raise Unavailable("AGENT_UNREACHABLE", "The agent was stopped while it was being reached.") from None

    async def drop(self, agent_uid: str, connection: asyncssh.SSHClientConnection | None = None) -> None:
        """Close that agent's connection; with `connection`, only if it is still that one."""
        making = self._made.get(agent_uid)
        if making is None or (connection is not None and not _is(making, connection)):
            return
        del self._made[agent_uid]
        await _close(making)

    async def close(self) -> None:
        """Close all."""
        made, self._made = list(self._made.values()), {}
        await asyncio.gather(*map(_close, made))

    def _settle(self, agent_uid: str, making: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
        """Keep no failure: its agent may be gone, and then nobody asks again. Whoever waited has it.

        Looking at it here marks it as seen: when all who waited have left, nobody wants it.
        """
        if (making.cancelled() or making.exception()) and self._made.get(agent_uid) is making:
            del self._made[agent_uid]

    async def _connect(self, agent_uid: str) -> asyncssh.SSHClientConnection:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._login(agent_uid)
        except asyncssh.HostKeyNotVerifiable as e:
            raise _unreachable("What answers in the agent's place does not have its host key.") from e
        except asyncssh.PermissionDenied as e:
            raise _unreachable("The agent's sshd does not let us in.") from e
        except TimeoutError as e:
            raise _unreachable(f"The agent did not answer within {CONNECT_SECONDS:g} seconds.") from e
        except (OSError, asyncssh.Error) as e:
            raise _unreachable("The agent's sshd ended the connection.") from e

    async def _login(self, agent_uid: str) -> asyncssh.SSHClientConnection:
        host_key = asyncssh.import_public_key(self._keys.host_key(agent_uid))
        client_key = asyncssh.import_private_key(self._keys.client_key())
        sock = await self._dialer.dial(agent_uid)
        try:
            return await asyncssh.connect(
                agent_uid,  # looked up nowhere; without it asyncssh wants the socket to have an address
                sock=sock,
                username=self._user,
                client_keys=[client_key],
                known_hosts=([host_key], [], []),
                config=None,
                agent_path=None,
                preferred_auth=["publickey"],
                disable_trivial_auth=True,
                server_host_key_algs=["ssh-ed25519"],
                kex_algs=["curve25519-sha256"],
                encryption_algs=list(CIPHERS),
                compression_algs=["none"],
                keepalive_interval=KEEPALIVE_SECONDS,
                keepalive_count_max=KEEPALIVE_TRIES,
            )
        except BaseException:
            sock.close()
            raise


def _unreachable(message: str) -> Unavailable:
    return Unavailable("AGENT_UNREACHABLE", message, hint="See how the agent is with 'vibespace info'.")


def _is(making: asyncio.Task[asyncssh.SSHClientConnection], connection: asyncssh.SSHClientConnection) -> bool:
    return making.done() and not making.cancelled() and not making.exception() and making.result() is connection


def _dead(making: asyncio.Task[asyncssh.SSHClientConnection]) -> bool:
    return making.done() and (making.cancelled() or bool(making.exception()) or making.result().is_closed())


async def _close(making: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
    making.cancel()
    await asyncio.wait([making])
    if not making.cancelled() and not making.exception():
        making.result().abort()
        await making.result().wait_closed()
