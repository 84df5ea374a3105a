"""Files and folders into an archive and out of it, and what an archive made by somebody else can do."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from vibespace.archive import draft, tar
from vibespace.archive.failures import Failure
from vibespace.archive.pack import MOST_EXTENTS, pack
from vibespace.archive.tar import FILE, FOLDER, LINK, Entry
from vibespace.archive.unpack import DEEPEST, unpack

ODD = [b"a b", b"-rf", b"line\nbreak", b"\xff\xfe", "ä€𝄞".encode(), b"x" * 255, b"~", b"a:b", b"*", b"'\"\\"]


def archive(path: Path) -> bytes:
    return b"".join(pack(os.fsencode(path), os.fsencode(path.name), "here"))


def put(pieces: bytes, destination: Path, name: bytes = b"") -> None:
    unpack(iter([pieces]), os.fsencode(destination), name, "here")


def made(*entries: Entry | tuple[Entry, bytes]) -> bytes:
    """An archive of these, whole."""
    parts = [entry if isinstance(entry, tuple) else (entry, b"") for entry in entries]
    return b"".join(tar.head(e) + data + tar.padding(len(data)) for e, data in parts) + tar.END


def file(path: bytes, data: bytes = b"evil", mode: int = 0o644) -> tuple[Entry, bytes]:
    return Entry(path, FILE, mode, size=len(data), extents=[(0, len(data))]), data


def folder(path: bytes, mode: int = 0o755) -> Entry:
    return Entry(path, FOLDER, mode)


def listing(root: Path) -> list[tuple[object, ...]]:
    """All there is to know of a tree, owners aside."""
    found = subprocess.check_output(["find", root, "-print0"]).split(b"\0")[:-1]
    return sorted(_told(Path(os.fsdecode(path)), root) for path in found)


def _told(path: Path, root: Path) -> tuple[object, ...]:
    status = path.lstat()
    held: object = None
    if stat.S_ISREG(status.st_mode):
        held = path.read_bytes() if status.st_size < 1 << 20 else status.st_size
    elif stat.S_ISLNK(status.st_mode):
        held = os.readlink(path)
    return (str(path.relative_to(root)), status.st_mode, status.st_mtime_ns, held)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with all that there is in folders."""
    root = tmp_path / "source"
    (root / "deep/er").mkdir(parents=True)
    for name in ODD:
        (Path(os.fsdecode(os.path.join(os.fsencode(root), name)))).write_bytes(name)
    (root / "empty").touch(mode=0o600)
    (root / "run").write_bytes(b"#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "deep/er/file").write_bytes(os.urandom(300_001))
    (root / "link").symlink_to("../../nowhere")
    os.utime(root / "link", ns=(1, 1_234_567_890_123_456_789), follow_symlinks=False)
    os.utime(root / "deep/er/file", ns=(5, 987_654_321))
    os.utime(root / "empty", ns=(5, -1_500_000_000))
    (root / "deep/er").chmod(0o555)
    os.utime(root / "deep", ns=(7, 7_000_000_007))
    return root


def test_there_and_back(source: Path, tmp_path: Path) -> None:
    """Names of any bytes, contents, modes, times to the nanosecond, links: all as it was."""
    put(archive(source), tmp_path / "copy")
    assert listing(tmp_path / "copy") == listing(source)


def test_other_programs_read_it(source: Path, tmp_path: Path) -> None:
    """GNU tar and Python unpack the same."""
    (tmp_path / "a.tar").write_bytes(archive(source))
    (tmp_path / "gnu").mkdir()
    subprocess.run(["tar", "-xpf", "a.tar", "-C", "gnu"], cwd=tmp_path, check=True)
    assert listing(tmp_path / "gnu/source") == listing(source)
    with tarfile.open(tmp_path / "a.tar") as read:
        file = read.extractfile("source/deep/er/file")
        assert file is not None
        assert file.read() == (source / "deep/er/file").read_bytes()


@pytest.mark.parametrize("format", ["gnu", "pax", "ustar"])
def test_archives_of_other_programs(tmp_path: Path, format: str) -> None:
    """What GNU tar packs is unpacked."""
    root = tmp_path / "source"
    (root / ("d" * 90)).mkdir(parents=True)
    (root / ("d" * 90) / ("f" * 50)).write_text("long")
    (root / "link").symlink_to("x" * 90)
    packed = subprocess.check_output(["tar", "-cf", "-", f"--format={format}", "source"], cwd=tmp_path)
    put(packed, tmp_path / "copy")
    assert [told[0] for told in listing(tmp_path / "copy")] == [told[0] for told in listing(root)]


def test_one_file(tmp_path: Path) -> None:
    """A file gets the name of the destination, or goes into a folder that is there; a link to it is followed."""
    (tmp_path / "file").write_text("one")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").mkdir()
    packed = archive(tmp_path / "link")
    put(packed, tmp_path / "new")
    put(packed, tmp_path / "folder")
    put(packed, tmp_path / "folder", b"named")
    assert (tmp_path / "new").read_text() == "one"
    assert sorted(os.listdir(tmp_path / "folder")) == ["link", "named"]


def test_holes_stay_holes(tmp_path: Path) -> None:
    """A file of ten gigabytes with three bytes in it is a small archive, and a file with holes again."""
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as writing:
        for place in (0, 5 << 30, (10 << 30) - 1):
            writing.seek(place)
            writing.write(b"x")
    (tmp_path / "hole").touch()
    os.truncate(tmp_path / "hole", 1 << 30)
    for path in (sparse, tmp_path / "hole"):
        packed = archive(path)
        assert len(packed) < 100_000
        put(packed, tmp_path / "copy")
        copied = (tmp_path / "copy").stat()
        assert (copied.st_size, copied.st_blocks) == (path.stat().st_size, path.stat().st_blocks)
    with (tmp_path / "sparse").open("rb") as reading:
        reading.seek(5 << 30)
        assert reading.read(2) == b"x\0"


def test_scattered_file(tmp_path: Path) -> None:
    """A file with more holes than a map may tell travels whole."""
    path = tmp_path / "scattered"
    with path.open("wb") as writing:
        for number in range(MOST_EXTENTS + 5):
            writing.seek(number * 8192)
            writing.write(b"%d" % number)
    put(archive(path), tmp_path / "copy")
    subprocess.run(["cmp", path, tmp_path / "copy"], check=True)


def test_what_is_there(source: Path, tmp_path: Path) -> None:
    """A file is replaced, a link too and not what it points to, a folder is joined; what is not in the copy stays."""
    target = tmp_path / "there/source"
    (target / "deep").mkdir(parents=True)
    (target / "deep/other").write_text("stays")
    (target / "run").write_text("goes")
    (tmp_path / "outside").write_text("stays")
    (target / "empty").symlink_to(tmp_path / "outside")
    put(archive(source), tmp_path / "there")
    assert (target / "deep/other").read_text() == (tmp_path / "outside").read_text() == "stays"
    assert (target / "run").read_bytes() == b"#!/bin/sh\n"
    assert not (target / "empty").is_symlink()
    assert stat.S_IMODE((target / "deep/er").stat().st_mode) == 0o555


@pytest.mark.parametrize("kind", ["a file", "a link to a folder"])
def test_no_folder_there(source: Path, tmp_path: Path, kind: str) -> None:
    """Where something else has the name of one of its folders nothing is changed at all."""
    target = tmp_path / "there/source"
    target.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    if kind == "a file":
        (target / "deep").touch()
    else:
        (target / "deep").symlink_to(tmp_path / "outside")
    before = listing(tmp_path / "there")
    with pytest.raises(Failure) as refused:
        put(archive(source), tmp_path / "there")
    assert refused.value.reason == "FILE_EXISTS"
    assert [told[0] for told in listing(tmp_path / "there")] == [told[0] for told in before]
    assert os.listdir(tmp_path / "outside") == []


@pytest.mark.parametrize(
    ("destination", "reason"),
    [("no/such/place", "FILE_NOT_FOUND"), ("none/", "FILE_NOT_FOUND"), ("file/below", "FILE_NOT_FOUND")],
)
def test_nowhere(tmp_path: Path, destination: str, reason: str) -> None:
    """A place that is not there is told, and not made."""
    (tmp_path / "file").touch()
    with pytest.raises(Failure) as refused:
        unpack(iter([made(file(b"x"))]), os.path.join(os.fsencode(tmp_path), destination.encode()), b"", "here")
    assert refused.value.reason == reason
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", [b".", b"..", b"a/b", b"a\0b"])
def test_no_name(tmp_path: Path, name: bytes) -> None:
    """What is no name is no place in a folder."""
    with pytest.raises(Failure) as refused:
        put(made(file(b"x")), tmp_path, name)
    assert refused.value.reason == "NAME_NEEDED"


HOSTILE = {
    "up": [folder(b"top"), file(b"top/../../evil")],
    "up at once": [file(b"../evil")],
    "absolute": [file(b"/tmp/evil")],
    "through a link": [folder(b"top"), Entry(b"top/link", LINK, target=b"/tmp"), file(b"top/link/evil")],
    "a link is the top": [Entry(b"top", LINK, target=b"/tmp"), file(b"top/evil")],
    "a link turns into a file": [folder(b"top"), Entry(b"top/a", LINK, target=b"/tmp/evil"), file(b"top/a")],
    "twice": [folder(b"top"), file(b"top/a"), file(b"top/a")],
    "two tops": [folder(b"top"), file(b".bashrc")],
    "a folder again": [folder(b"top"), folder(b"top/a"), file(b"top/b"), file(b"top/a/evil")],
    "no folder": [file(b"top/evil")],
    "empty name": [folder(b"top"), file(b"top//evil")],
    "a dot": [folder(b"top"), file(b"top/.")],
    "NUL": [folder(b"top"), file(b"top/a\0b")],
    "nothing": [],
    "too deep": [folder(b"/".join([b"d"] * depth)) for depth in range(1, DEEPEST + 2)],
    "a link to NUL": [Entry(b"top", LINK, target=b"a\0b")],
    "a file larger than any": [Entry(b"top", FILE, size=9_999_999_999_999_999_999, extents=[(0, 0)])],
    "a map that goes back": [(Entry(b"top", FILE, size=9000, extents=[(5000, 10), (100, 10)]), bytes(20))],
    "a map beyond the end": [(Entry(b"top", FILE, size=9000, extents=[(8999, 10)]), bytes(10))],
}


@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_leads_out(tmp_path: Path, entries: list[Entry | tuple[Entry, bytes]]) -> None:
    """An archive whose names lead anywhere but below its one top is given up, and nothing of it is there."""
    (tmp_path / "into").mkdir()
    with pytest.raises(Failure):
        put(made(*entries), tmp_path / "into")
    assert os.listdir(tmp_path / "into") == []
    assert os.listdir(tmp_path) == ["into"]
    assert not os.path.exists("/tmp/evil")


def test_only_permissions_are_taken(tmp_path: Path) -> None:
    """No setuid, setgid or sticky bit arrives, no device, no FIFO, no hard link; what is left out is told."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as writing:
        for name, kind in [
            ("top", tarfile.DIRTYPE),
            ("top/suid", tarfile.REGTYPE),
            ("top/null", tarfile.CHRTYPE),
            ("top/disk", tarfile.BLKTYPE),
            ("top/fifo", tarfile.FIFOTYPE),
            ("top/hard", tarfile.LNKTYPE),
        ]:
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.linkname = kind, 0o7777, "/etc/shadow" if name == "top/hard" else ""
            member.devmajor, member.devminor = 1, 3
            writing.addfile(member)
    told: list[bytes] = []
    unpack(iter([packed.getvalue()]), os.fsencode(tmp_path / "copy"), b"", "here", left_out=told.append)
    assert os.listdir(tmp_path / "copy") == ["suid"]
    assert stat.S_IMODE((tmp_path / "copy/suid").stat().st_mode) == 0o777
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o777
    assert told == [b"top/null", b"top/disk", b"top/fifo", b"top/hard"]


def test_cut_anywhere(source: Path, tmp_path: Path) -> None:
    """An archive that ends too soon, wherever, leaves nothing: also between two files, and before its end."""
    packed = archive(source)
    ends = [*range(0, len(packed), 512 * 37), len(packed) - 1, len(packed) - 512, len(packed) - 1024]
    (tmp_path / "into").mkdir()
    for end in ends:
        with pytest.raises(Failure) as refused:
            put(packed[:end], tmp_path / "into")
        assert refused.value.reason == "COPY_BROKEN"
        assert os.listdir(tmp_path / "into") == []


@pytest.mark.parametrize("bits", [b"\xff" * 4096, Random(0).randbytes(4096), b"\0" * 4096, b"x" * 511])
def test_noise(tmp_path: Path, bits: bytes) -> None:
    """What is no archive is given up."""
    with pytest.raises(Failure):
        put(bits, tmp_path / "copy")
    assert os.listdir(tmp_path) == []


def test_headers_are_bounded(tmp_path: Path) -> None:
    """A header that says it is a terabyte long is not read."""

    def endless() -> Iterator[bytes]:
        yield tar._block(b"pax", b"x", 0, 1 << 40)
        while True:
            raise AssertionError("it was read")

    with pytest.raises(Failure):
        unpack(endless(), os.fsencode(tmp_path / "copy"), b"", "here")


def test_what_was_left_is_taken_away(tmp_path: Path) -> None:
    """The next copy removes what a killed one left, read-only folders too, and not what another one is just making."""
    left = tmp_path / os.fsdecode(draft.PREFIX + b"left")
    (left / "a/b").mkdir(parents=True)
    (left / "a/link").symlink_to("/etc")
    (left / "a").chmod(0o500)
    with draft.draft(os.fsencode(tmp_path)):
        put(made(file(b"x")), tmp_path)
        now = os.listdir(tmp_path)
    assert len(now) == 2
    assert os.listdir(tmp_path) == ["x"]


def test_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up is said so, and what was begun is gone."""

    def full(_descriptor: int, _data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vibespace.archive.unpack.os.write", full)
    with pytest.raises(Failure) as refused:
        put(made(folder(b"top"), file(b"top/file")), tmp_path / "copy")
    assert (refused.value.kind, refused.value.reason) == ("Exhausted", "DISK_FULL")
    assert "copy/file" in refused.value.message
    assert os.listdir(tmp_path) == []


def test_packing_what_cannot_be(tmp_path: Path) -> None:
    """A source that is not there, a FIFO, and a file that shrinks are told by name; what is no file is left out."""
    for path, reason in ((tmp_path / "none", "FILE_NOT_FOUND"), (Path("/dev/null"), "FILE_REFUSED")):
        with pytest.raises(Failure) as refused:
            archive(path)
        assert refused.value.reason == reason
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder/fifo")
    told: list[bytes] = []
    list(pack(os.fsencode(tmp_path / "folder"), b"folder", "here", left_out=told.append))
    assert told == [os.fsencode(tmp_path / "folder/fifo")]
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    packing = pack(os.fsencode(tmp_path / "file"), b"file", "here", counted=lambda _: os.truncate(tmp_path / "file", 5))
    with pytest.raises(Failure) as refused:
        list(packing)
    assert refused.value.reason == "FILE_CHANGED"
