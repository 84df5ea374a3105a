"""What the engine is sent to build from: the files of vibespace/image, the programs, this machine's CA bundle."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import ssl
import tarfile
from collections.abc import AsyncIterator, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from vibespace.setup.programs import Program, unpack

_PIECE = 1 << 20


def inputs() -> Iterator[tuple[str, bytes]]:
    """The files of vibespace/image by name: whatever changes in them makes another image."""
    for entry in sorted(files("vibespace.image").iterdir(), key=lambda entry: entry.name):
        if entry.is_file() and not entry.name.startswith("__"):
            yield entry.name, entry.read_bytes()


def digest(base: str) -> str:
    """The name of what comes of our files on the base of identity `base`: 16 hexadecimal digits."""
    found = hashlib.sha256(base.encode())
    for name, content in inputs():
        found.update(f"\0{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()[:16]


def spool(programs: Mapping[Program, Path], folder: Path) -> IO[bytes]:
    """The build context as an open, nameless file: it is gone when closed, also after a crash. Blocking."""
    file = TemporaryFile(dir=folder)  # noqa: SIM115 - the caller's
    try:
        with tarfile.open(fileobj=file, mode="w") as context:
            for name, content in inputs():
                _add(context, name, content, 0o755 if name == "entry" else 0o644)
            bundle = ca_bundle()
            _add(context, "ca.crt", bundle.read_bytes() if bundle else b"", 0o644)
            for program, archive in programs.items():
                unpack(program, archive, context)
        file.truncate(context.offset)  # Podman stops reading where an archive ends, and chokes on padding behind it
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


async def pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    """A file's content for an upload, without holding up the loop."""
    while piece := await asyncio.to_thread(file.read, _PIECE):
        yield piece


def ca_bundle() -> Path | None:
    """The certificate authorities this machine trusts, in one file; the image never gets to keep it."""
    candidates = (
        os.environ.get("SSL_CERT_FILE"),
        ssl.get_default_verify_paths().cafile,
        "/etc/ssl/certs/ca-certificates.crt",
    )
    return next((Path(path) for path in candidates if path and os.path.isfile(path)), None)


def _add(context: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    context.addfile(entry, io.BytesIO(content))
