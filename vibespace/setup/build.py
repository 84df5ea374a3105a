"""One run of the Containerfile in the engine: followed, written down, and its failure told in one sentence."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from vibespace.engine.api import Api
from vibespace.errors import Aborted, Error, Exhausted, ended
from vibespace.setup import context
from vibespace.setup.programs import Program

Progress = Callable[[str], None]
"""Told what begins now, a short line each."""

STEPS = {
    "AS system": "Installing Debian's packages",
    "AS fetch": "Fetching npm and uv",
    "AS tools": "Setting up the agent's user",
    "COPY programs/claude": "Adding claude",
    "COPY programs/codex": "Adding codex",
}
"""What the instructions of the Containerfile that take a while mean to a person."""


async def run(
    api: Api,
    archives: Mapping[Program, Path],
    on: str,
    progress: Progress,
    cache: Path,
    **options: Any,
) -> None:
    """One run of the Containerfile. It is tagged at its very end only, so a failure leaves nothing but a cache."""
    log = cache / "build.log"
    with await asyncio.to_thread(context.spool, archives, cache) as spooled, log.open("w") as output:
        answer = api.stream(
            "POST",
            "/build",
            tar=context.pieces(spooled),
            dockerfile="Containerfile",
            buildargs={"BASE": on, **_surroundings()},
            networkmode="host",  # apt and pip, also where the engine's own networks lead nowhere
            rm=True,
            forcerm=True,
            **options,
        )
        try:
            await _follow(answer, progress, output)
        except Aborted as e:
            output.write(f"{e.message}\n")
            output.flush()
            raise _failed(log) from e


@contextmanager
def full_disk(cache: Path) -> Iterator[None]:
    """A full disk, ours or the engine's, becomes one sentence."""
    try:
        yield
    except Exhausted as e:
        raise _no_space(cache) from e
    except OSError as e:
        if e.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _no_space(cache) from e


async def _follow(answer: AsyncIterator[dict[str, Any]], progress: Progress, output: IO[str]) -> None:
    async for item in answer:
        line = str(item.get("stream", ""))
        output.write(line)
        if "step " in line.lower():  # Podman says "STEP 1/4: …", Docker "Step 1/25 : …"
            for meaning in (meaning for sign, meaning in STEPS.items() if sign in line):
                progress(meaning)


def _surroundings() -> dict[str, str]:
    """How builds get out of this machine. Engines keep proxies out of all history; the stage `fetch`, the only one
    that reads the index, is no part of the image."""
    proxies = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    return {name: os.environ[name] for name in (*proxies, "PIP_INDEX_URL") if name in os.environ}


def _failed(log: Path) -> Error:
    """The sentence for a failed build: what the failing program complained of first is nearest to the cause."""
    lines = [" ".join(line.split()) for line in log.read_text(errors="replace").splitlines()]
    complaints = [line for line in lines if line.startswith(("E: ", "ERROR: ", "error: "))]
    last = [line for line in lines if line][-1:]
    why = (complaints or last or ["it did not say why"])[0]
    if any(sign in line.lower() for line in (*complaints, *last) for sign in ("no space left", "enough free space")):
        return _no_space(log.parent)
    return Aborted(
        "IMAGE_BUILD_FAILED",
        ended(f"The image could not be built: {why[:300]}"),
        hint=f"All that was said is in {log}. The image of before, if there was one, is still in use.",
    )


def _no_space(cache: Path) -> Error:
    return Exhausted(
        "IMAGE_NO_SPACE",
        f"The image needs about 5 GB to be built: no space is left for {cache} or in the engine's storage.",
        hint="Make room, then try again; what was fetched so far is kept.",
    )
