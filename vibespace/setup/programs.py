"""The agents' own programs: which version of each, and that what came is what was pinned."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import tarfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from vibespace.errors import FailedPrecondition

Pack = Callable[[str, Path], Awaitable[Path]]
"""`npm pack`, wherever npm is: package and version, the folder to put the archive in; the archive."""


@dataclass(frozen=True)
class Program:
    """One program for one architecture, as programs.json pins it. Where it is fetched from is npm's business."""

    name: str
    version: str
    package: str
    """What npm is asked for: package@version."""
    integrity: str
    """`sha512-` and the digest of the archive in base64, as npm registries publish it."""
    root: str
    """The folder inside the archive that becomes the program's folder in the image."""
    leave_out: tuple[str, ...]
    """Folders below `root` that nobody needs in a container."""


def pins(architecture: str) -> tuple[Program, ...]:
    """The programs of the image. Raises FailedPrecondition where they do not exist for `architecture`."""
    table = json.loads(files("vibespace.image").joinpath("programs.json").read_text())
    found = []
    for name, entry in table.items():
        if architecture not in entry["platforms"]:
            known = " and ".join(entry["platforms"])
            raise FailedPrecondition(
                "ARCHITECTURE_UNSUPPORTED",
                f"There is no {name} for {architecture}, only for {known}.",
                hint="Use an engine on a machine of another architecture.",
            )
        leave_out = tuple(entry["leave_out"])
        found.append(Program(name, entry["version"], **entry["platforms"][architecture], leave_out=leave_out))
    return tuple(found)


async def fetch(program: Program, cache: Path, pack: Pack) -> Path:
    """The program's archive, from `cache` or by `pack`, checked either way.

    Raises FailedPrecondition PROGRAM_INTEGRITY, and what `pack` raises.
    """
    kept = cache / f"{program.name}-{program.integrity[7:23].translate(_NAMEABLE)}.tgz"
    if kept.exists() and await asyncio.to_thread(integrity, kept) == program.integrity:
        return kept
    with TemporaryDirectory(dir=cache, prefix="fetching-") as folder:
        archive = await pack(program.package, Path(folder))
        if await asyncio.to_thread(integrity, archive) != program.integrity:
            raise FailedPrecondition(
                "PROGRAM_INTEGRITY",
                f"What npm delivered as {program.package} is not what was pinned: its sha512 differs.",
                hint="Look at npm's registry and proxy settings: something in between changed it. It was thrown away.",
                package=program.package,
            )
        return archive.replace(kept)


def integrity(archive: Path) -> str:
    """The sha512 of a file, written as npm writes it."""
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return "sha512-" + base64.b64encode(digest).decode()


def unpack(program: Program, archive: Path, context: tarfile.TarFile) -> None:
    """Add the program's files to a build context as `programs/NAME/…`, without owner and date."""
    with tarfile.open(archive, "r|gz") as packed:
        for path, entry in _wanted(program, packed):
            entry.name = f"programs/{program.name}/{path}"
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            entry.mode = 0o755 if entry.mode & 0o100 else 0o644
            entry.pax_headers = {}
            context.addfile(entry, packed.extractfile(entry))


def _wanted(program: Program, packed: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """The plain files below the program's root. Links and devices have no business in these packages."""
    for entry in packed:
        path = entry.name.removeprefix(program.root)
        if path == entry.name or path.startswith(program.leave_out) or not entry.isreg():
            continue
        if ".." not in PurePosixPath(path).parts:
            yield path, entry


_NAMEABLE = str.maketrans("+/", "-_")
