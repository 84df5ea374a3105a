"""What the image stands on: a reference that the engine can pull, or a tar of a Debian root file system here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from vibespace.engine.api import Api
from vibespace.errors import Aborted, Error, InvalidArgument, NotFound, Unavailable, ended
from vibespace.setup.context import pieces

DEFAULT = "docker.io/library/debian:bookworm-slim"
"""What the image stands on where nobody has said anything."""

IMPORTED = "localhost/vibespace-base"
"""What a tar is called in the engine."""
_KNOWN = "bases.json"
_WAY_OUT = "Give a tar of a Debian 12 root file system, such as mmdebstrap makes."


def identity(base: str, cache: Path) -> str:
    """What tells one base from another: a tar's sha256; of a reference the text.

    What a reference stands for moves on at its registry. That must not make an image of yesterday count as missing:
    it is `image build` that looks for a newer base. Blocking: reads a tar once, then trusts its size and date.
    Raises NotFound or InvalidArgument for a tar that cannot be read.
    """
    path = _tar(base)
    return _sha256(path, cache) if path else base


def absolute(base: str) -> str:
    """`base` as it is understood in every directory: of a tar, its whole path."""
    path = _tar(base)
    return str(path) if path else base


async def provide(api: Api, base: str, identity: str, progress: Callable[[str], None], *, newest: bool) -> str:
    """The name under which the engine has `base` now: imported, found or pulled. `newest` asks the registry anyway.

    Raises InvalidArgument BASE_INVALID, Unavailable BASE_UNREACHABLE.
    """
    path = _tar(base)
    if path is not None:
        return await _import(api, path, f"{IMPORTED}:{identity[:16]}", progress)
    name = base if ":" in base.rpartition("/")[2] or "@" in base else f"{base}:latest"
    there = await has(api, name)
    if newest or not there:
        progress(f"Pulling {name}")
        try:
            async for _ in api.stream("POST", "/images/create", fromImage=name):
                pass  # layers and their progress; a failure raises
        except (Aborted, NotFound) as e:
            if not there:
                raise _unreachable(name, e) from e
            progress(f"{name} cannot be pulled now: building on the one that is here")
    return name


async def _import(api: Api, path: Path, name: str, progress: Callable[[str], None]) -> str:
    if await has(api, name):
        return name
    progress(f"Importing {path.name}")
    try:
        with path.open("rb") as tar:
            # The tag inside the name: Podman 4.3 does not look at `tag`.
            async for _ in api.stream("POST", "/images/create", tar=pieces(tar), fromSrc="-", repo=name):
                pass  # one line, the id
    except Aborted as e:
        raise _invalid(path, f"the engine cannot import it: {e.message}") from e
    return name


async def has(api: Api, name: str) -> bool:
    """Whether the engine has an image of that name or id."""
    with suppress(NotFound):
        await api.get(f"/images/{name}/json")
        return True
    return False


def _tar(base: str) -> Path | None:
    """The path, when `base` is one: it looks like one, or is a file here."""
    looks = base.startswith(("/", "./", "../", "~")) or base.endswith((".tar", ".tar.gz", ".tar.xz"))
    path = Path(base).expanduser()
    return path.absolute() if looks or path.is_file() else None


def _sha256(path: Path, cache: Path) -> str:
    try:
        stat = path.stat()
    except OSError as e:
        message = f"{path} is not there, so no image can be built on it."
        raise NotFound("BASE_NOT_FOUND", message, hint=_WAY_OUT, field="base") from e
    if not path.is_file():
        raise _invalid(path, "it is not a file")
    known = _known(cache)
    stamp = [stat.st_size, stat.st_mtime_ns]
    if known.get(str(path), [])[:2] == stamp:
        return str(known[str(path)][2])
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as e:
        raise _invalid(path, e.strerror or str(e)) from e
    cache.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=cache, prefix=_KNOWN, delete=False) as part:
        json.dump({**known, str(path): [*stamp, digest]}, part)
    Path(part.name).replace(cache / _KNOWN)
    return digest


def _known(cache: Path) -> dict[str, list[int | str]]:
    """By path: size, date in nanoseconds, sha256. Only a cache: unreadable means empty."""
    try:
        found = json.loads((cache / _KNOWN).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _invalid(path: Path, why: str) -> Error:
    return InvalidArgument("BASE_INVALID", f"{path} cannot be the image's base: {why}.", field="base", hint=_WAY_OUT)


def _unreachable(name: str, cause: Error) -> Error:
    hint = (
        "See that its registry answers, or give a tar of a Debian 12 root file system with --base TAR, "
        "or as image.base in config.yaml."
    )
    return Unavailable(
        "BASE_UNREACHABLE", ended(f"The base {name} cannot be pulled: {cause.message}"), field="base", hint=hint
    )
