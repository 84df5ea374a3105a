"""Directories are taken away whole, and nothing beside them. Mounts in a namespace of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vibespace.errors import Aborted
from vibespace.setup import tree

REMOVE = """
import sys
from pathlib import Path
from vibespace.errors import FailedPrecondition
from vibespace.setup import tree
try:
    tree.remove([Path(name) for name in sys.argv[1:]])
except FailedPrecondition as e:
    print(e.reason, e.message)
"""


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    """A link in the tree, and one in place of the tree, go; what they point to stays."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to(precious)
    (tmp_path / "top").symlink_to(precious)
    tree.remove([tmp_path / "tree", tmp_path / "top", tmp_path / "never-there"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious"]
    assert (precious / "file").exists()


def test_depth_is_no_hindrance(tmp_path: Path) -> None:
    """What an agent nested deeper than any path can say goes as well."""
    top = tmp_path / "tree"
    top.mkdir()
    descriptor = os.open(top, os.O_RDONLY)
    for _ in range(5000):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    tree.remove([top])
    assert not top.exists()


@pytest.mark.parametrize("mount", ["mount --bind precious", "mount -t tmpfs tmpfs"])
def test_what_is_mounted_is_left_alone(tmp_path: Path, mount: str) -> None:
    """A mount below, of the same file system or another, is named, and nothing at all is removed."""
    for name in ("precious", "one", "two/a b"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    script = f'{mount} "two/a b" && exec "$0" -c "$1" "$PWD/one" "$PWD/two"'
    told = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, sys.executable, REMOVE],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert told.stdout.startswith(f"MOUNTED {tmp_path}/two/a b is mounted")
    assert all((tmp_path / name / "file").exists() for name in ("precious", "one", "two/a b"))


def test_what_cannot_be_removed_is_said(tmp_path: Path) -> None:
    """The reason is the system's own."""
    with pytest.raises(Aborted, match="proc/self"):
        tree.remove([Path("/proc/self/status")])
