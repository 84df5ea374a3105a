"""What keeps values that the log must not have. `vibespace.vault.Vault` does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Vault(Protocol):
    """Values by the uid of who has them, an agent or a credential's value, and name."""

    def store(self, uid: str, values: Mapping[str, str]) -> None:
        """On the disk when this returns. Raises Exhausted DISK_FULL, Unavailable HOME_NOT_USABLE."""

    def values(self, uid: str) -> Mapping[str, str]:
        """All that can be read of its. Does not wait for the disk."""

    def delete(self, uid: str) -> None:
        """Who had them is gone, or was never recorded."""

    def fingerprint(self, value: str) -> str:
        """What may stand for a value where only equality matters. It waits for the disk."""


class Pieces(Protocol):
    """Takes secret values out of a text that comes in pieces."""

    def feed(self, piece: str) -> str:
        """As much as can be told now, without any."""
