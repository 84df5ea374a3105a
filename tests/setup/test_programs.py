"""The agents' programs: what is pinned, and that nothing else gets in."""

from __future__ import annotations

import base64
import io
import tarfile
from importlib.resources import files
from pathlib import Path

import pytest

from vibespace.errors import FailedPrecondition
from vibespace.setup.programs import Program, fetch, integrity, pins, unpack

ARCHITECTURES = ("amd64", "arm64")


def packed(path: Path, **content: str) -> Path:
    """An npm archive of these files, where `__` in a name is a slash."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in content.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            entry.size, entry.uid, entry.mtime, entry.mode = len(text), 501, 1, 0o775
            archive.addfile(entry, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("package/escape")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
        archive.addfile(link)
        up = tarfile.TarInfo("package/../../etc/passwd")
        archive.addfile(up)
    return path


def program(archive: Path, *leave_out: str) -> Program:
    return Program("tool", "1.0", "tool@1.0", integrity(archive), "package/", leave_out)


class Registry:
    """Delivers one archive, whatever is asked for, and remembers what was."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked: list[str] = []

    async def pack(self, package: str, into: Path) -> Path:
        self.asked.append(package)
        archive = into / "delivered.tgz"
        archive.write_bytes(self.content)
        return archive


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pins(architecture: str) -> None:
    """Both programs are pinned to one version, of which npm is asked for exactly, and to a whole sha512."""
    found = pins(architecture)
    assert [pin.name for pin in found] == ["claude", "codex"]
    for pin in found:
        assert pin.version in pin.package
        assert pin.integrity.startswith("sha512-")
        assert len(base64.b64decode(pin.integrity.removeprefix("sha512-"), validate=True)) == 64


def test_pins_are_of_one_version() -> None:
    """Every architecture gets the same versions, and no two the same archive."""
    amd64, arm64 = map(pins, ARCHITECTURES)
    assert [pin.version for pin in amd64] == [pin.version for pin in arm64]
    assert len({pin.integrity for pin in (*amd64, *arm64)}) == 4


@pytest.mark.parametrize("name", ["programs.json", "wheels.txt", "npmrc", "pip.conf"])
def test_no_addresses(name: str) -> None:
    """Where packages come from is for each machine to say: our files name no registry."""
    assert "://" not in files("vibespace.image").joinpath(name).read_text()


def test_unknown_architecture() -> None:
    """Where a program does not exist, the refusal says where it does."""
    with pytest.raises(FailedPrecondition, match=r"no claude for riscv64, only for amd64 and arm64") as refusal:
        pins("riscv64")
    assert refusal.value.reason == "ARCHITECTURE_UNSUPPORTED"


async def test_fetched_once(tmp_path: Path) -> None:
    """What was fetched is kept, and found again without asking npm."""
    archive = packed(tmp_path / "a.tgz", package__tool="x")
    registry, cache = Registry(archive.read_bytes()), tmp_path / "cache"
    cache.mkdir()
    first = await fetch(program(archive), cache, registry.pack)
    assert await fetch(program(archive), cache, registry.pack) == first
    assert registry.asked == ["tool@1.0"]
    assert list(cache.iterdir()) == [first]


async def test_tampered_with(tmp_path: Path) -> None:
    """An archive that is not the pinned one is refused by name, and nothing of it stays."""
    archive = packed(tmp_path / "a.tgz", package__tool="x")
    cache = tmp_path / "cache"
    cache.mkdir()
    with pytest.raises(FailedPrecondition, match=r"tool@1\.0 is not what was pinned") as refusal:
        await fetch(program(archive), cache, Registry(archive.read_bytes() + b"\0").pack)
    assert refusal.value.reason == "PROGRAM_INTEGRITY"
    assert list(cache.iterdir()) == []


async def test_damaged_cache(tmp_path: Path) -> None:
    """A kept archive is checked at every use; a damaged one is fetched again."""
    archive = packed(tmp_path / "a.tgz", package__tool="x")
    registry, cache = Registry(archive.read_bytes()), tmp_path / "cache"
    cache.mkdir()
    kept = await fetch(program(archive), cache, registry.pack)
    kept.write_bytes(b"half an archi")
    assert await fetch(program(archive), cache, registry.pack) == kept
    assert kept.read_bytes() == archive.read_bytes()


def test_unpacked(tmp_path: Path) -> None:
    """The image gets the plain files below the program's root: no link, no way out, nobody's uid or date."""
    archive = packed(tmp_path / "a.tgz", package__bin__tool="run", package__voice__big="no", elsewhere="no")
    with tarfile.open(tmp_path / "context.tar", "w") as context:
        unpack(program(archive, "voice/"), archive, context)
    with tarfile.open(tmp_path / "context.tar") as context:
        entries = [(entry.name, entry.isreg(), entry.uid, entry.mtime, entry.mode) for entry in context]
        content = context.extractfile("programs/tool/bin/tool")
        assert content is not None
        assert content.read() == b"run"
    assert entries == [("programs/tool/bin/tool", True, 0, 0, 0o755)]
