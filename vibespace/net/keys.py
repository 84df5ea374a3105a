"""The ssh keys of one installation: ours, and the host key that each agent keeps for ever."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vibespace.durable import make_directory, write_new
from vibespace.errors import Internal, Unavailable

CLIENT = "client"


class KeyFiles:
    """Keys in a directory of ours (State.keys), one file each, 0600: `client`, and host keys by agent uid.

    A key is made when it is first asked for and is on the disk before it is handed out.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def client_key(self) -> bytes:
        """Our private key."""
        return self._kept(CLIENT)

    def authorized_key(self) -> str:
        """The public half of ours, the one line of an agent's authorized_keys (AgentSpec.authorized_key)."""
        return _public(self._kept(CLIENT))

    def make_host_key(self, agent_uid: str) -> bytes:
        """The private key of that agent's sshd, made the first time (AgentSpec.host_key)."""
        return self._kept(_checked(agent_uid))

    def host_key(self, agent_uid: str) -> str:
        """The public half of it. Raises Unavailable AGENT_UNREACHABLE when none was made."""
        try:
            return _public((self._directory / _checked(agent_uid)).read_bytes())
        except FileNotFoundError as e:
            raise Unavailable("AGENT_UNREACHABLE", "This agent has no host key; it was deleted.") from e

    def delete(self, agent_uid: str) -> None:
        """Forget the host key of an agent that is gone for good."""
        (self._directory / _checked(agent_uid)).unlink(missing_ok=True)

    def _kept(self, name: str) -> bytes:
        path = self._directory / name
        try:
            return path.read_bytes()
        except FileNotFoundError:
            make_directory(self._directory)
            write_new(path, _private())
            return path.read_bytes()


def _checked(agent_uid: str) -> str:
    """`agent_uid` as a file's name: only what a uid is made of, and never our own key."""
    if not agent_uid or agent_uid == CLIENT or not agent_uid.replace("-", "").isalnum():
        raise Internal("UID_INVALID", f"{agent_uid!r} is not an agent's uid.")
    return agent_uid


def _private() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )


def _public(private: bytes) -> str:
    key = serialization.load_ssh_private_key(private, password=None)
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return line.decode()
