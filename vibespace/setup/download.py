"""Fetches a file whose digest is known: goes on where it was cut off, and never leaves one that is something else."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import aiohttp

from vibespace import durable
from vibespace.errors import FailedPrecondition, Unavailable, ended
from vibespace.setup.build import Progress

ATTEMPTS = 5
"""How often it is gone on with, where nothing more came in between, before it is given up."""
PAUSE = 1.0
SILENT_SECONDS = 30.0
"""How long a server may say nothing."""
_PIECE = 1 << 18


async def text(url: str) -> str:
    """What `url` says. Raises Unavailable DOWNLOAD_FAILED."""
    try:
        async with _session() as session, session.get(url) as answer:
            answer.raise_for_status()
            return await answer.text()
    except (aiohttp.ClientError, TimeoutError, OSError) as e:
        raise _failed(url, e) from e


async def fetch(url: str, path: Path, sha256: str, progress: Progress) -> None:
    """Have `path` be what `url` says, if that is what has this digest; one that is there already is not fetched again.

    Proxies are those of the environment. Raises Unavailable DOWNLOAD_FAILED, FailedPrecondition DOWNLOAD_INTEGRITY,
    Exhausted DISK_FULL; what has come so far stays for the next time, beside `path`, under the name of the digest: it
    is the beginning of nothing else.
    """
    part = path.with_name(f"{path.name}.{sha256}.part")
    try:
        if await asyncio.to_thread(_digest, path) == sha256:
            return
        _remove_others(part, path.name)
        await _fetch(url, part, lambda have: progress(f"Fetching {path.name}: {have}"))
        if (found := await asyncio.to_thread(_digest, part)) != sha256:
            part.unlink()
            raise FailedPrecondition(
                "DOWNLOAD_INTEGRITY",
                f"What came from {url} is not what it should be: its SHA-256 is {found}, and {sha256} was published.",
                hint="Try again; if it stays so, somebody on the way changes it.",
            )
        part.chmod(0o755)
        part.replace(path)
    except OSError as e:
        raise durable.refusal(e, path.parent) from e


def _remove_others(part: Path, name: str) -> None:
    """Away with beginnings of other versions, with which nobody goes on."""
    for other in part.parent.glob(f"{name}.*.part"):
        if other != part:
            other.unlink()


async def _fetch(url: str, part: Path, progress: Progress) -> None:
    """All of it in `part`, over as many connections as it takes."""
    left = ATTEMPTS
    while True:
        before = _size(part)
        try:
            await _go_on(url, part, before, progress)
            return
        except (aiohttp.ClientError, TimeoutError) as e:
            left = ATTEMPTS if _size(part) > before else left - 1
            if left == 0 or (isinstance(e, aiohttp.ClientResponseError) and e.status < 500):
                raise _failed(url, e) from e
        await asyncio.sleep(PAUSE)


async def _go_on(url: str, part: Path, begin: int, progress: Progress) -> None:
    headers = {"Range": f"bytes={begin}-"} if begin else {}
    async with _session() as session, session.get(url, headers=headers) as answer:
        if answer.status == 416:  # there is no more than we have
            return
        answer.raise_for_status()
        goes_on = answer.status == 206
        size = (answer.content_length or 0) + (begin if goes_on else 0)
        have = begin if goes_on else 0
        with part.open("ab" if goes_on else "wb") as file:
            async for piece in answer.content.iter_chunked(_PIECE):
                file.write(piece)
                have += len(piece)
                progress(f"{have >> 20} of {size >> 20} MiB")
            file.flush()
            os.fsync(file.fileno())
        if have < size:
            raise aiohttp.ClientPayloadError("it was cut off")


def _session() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=None, connect=SILENT_SECONDS, sock_read=SILENT_SECONDS)
    return aiohttp.ClientSession(trust_env=True, timeout=timeout)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path) -> str:
    """Empty where there is no such file."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _failed(url: str, cause: BaseException) -> Unavailable:
    why = str(cause) or "it did not answer in time"
    return Unavailable(
        "DOWNLOAD_FAILED",
        ended(f"{url} cannot be fetched: {why}"),
        hint="See that this machine reaches it; HTTPS_PROXY says by which proxy.",
    )
