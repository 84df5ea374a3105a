"""What keeps values that the log must not have. `vibespace.vault.Vault` does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Vault(Protocol):
    """Values by agent uid and name."""

    def store(self, uid: str, values: Mapping[str, str]) -> None:
        """On the disk when this returns. Raises Exhausted DISK_FULL."""

    def values(self, uid: str) -> Mapping[str, str]:
        """All that can be read of that agent's. Does not wait for the disk."""

    def delete(self, uid: str) -> None:
        """That agent is gone, or was never recorded."""

    def fingerprint(self, value: str) -> str:
        """What may stand for a value where only equality matters."""
