"""What is too large for an event, in files named by what is in them. One that is there is whole, and never changes."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from vibespace.durable import make_directory, write_new
from vibespace.errors import Exhausted, NotFound


class Blobs:
    """Each method waits for the disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, content: bytes) -> str:
        """Its name, once it is on the disk. Raises Exhausted DISK_FULL."""
        name = sha256(content).hexdigest()
        path = self._directory / name
        try:
            if not path.exists():
                make_directory(self._directory)
                write_new(path, content)
        except OSError as e:
            raise Exhausted("DISK_FULL", f"It could not be kept: {e.strerror}.", hint="Make room.") from e
        return name

    def get(self, name: str) -> bytes:
        """Raises NotFound BLOB_MISSING where the file is gone, or is not what it was."""
        try:
            content = (self._directory / name).read_bytes()
        except OSError:
            content = b""
        if sha256(content).hexdigest() != name:
            raise NotFound("BLOB_MISSING", f"What the history keeps apart as {name[:12]} is gone or was changed.")
        return content
