"""What is too large for an event, in files named by what is in them: whole, and never changed by us."""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from pathlib import Path

from vibespace.durable import make_directory, refusal, sync_directory, write_new
from vibespace.errors import NotFound


class Blobs:
    """Each method waits for the disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, content: bytes) -> str:
        """Its name, once it is on the disk; one that was damaged is whole again. Raises `refusal`."""
        name = sha256(content).hexdigest()
        path = self._directory / name
        try:
            if not os.path.lexists(path):
                make_directory(self._directory)
                write_new(path, content)
            elif self._read(name) != content:
                self._mend(path, content)
        except OSError as e:
            raise refusal(e, self._directory) from e
        return name

    def get(self, name: str) -> bytes:
        """Raises NotFound BLOB_MISSING where the file is gone, or is not what it was."""
        content = self._read(name)
        if sha256(content).hexdigest() != name:
            raise NotFound("BLOB_MISSING", f"What the history keeps apart as {name[:12]} is gone or was changed.")
        return content

    def _mend(self, path: Path, content: bytes) -> None:
        """Have it whole in one step, however many do it at once: an event may name it by now."""
        whole = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            write_new(whole, content)
            whole.replace(path)
        finally:
            whole.unlink(missing_ok=True)
        sync_directory(path.parent)

    def _read(self, name: str) -> bytes:
        try:
            return (self._directory / name).read_bytes()
        except OSError:
            return b""
