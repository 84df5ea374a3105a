"""What may be written after --mount, whatever the machine holds."""

from __future__ import annotations

import pytest

from vibespace.domain import mounts
from vibespace.domain.mounts import Mount
from vibespace.errors import InvalidArgument


def test_forms() -> None:
    """Two paths, and `ro` behind them; written back as it was."""
    assert mounts.parse("/srv/a b:/mnt/data", "f") == Mount("/srv/a b", "/mnt/data")
    assert mounts.parse("/srv:/mnt:ro", "f") == Mount("/srv", "/mnt", read_only=True)
    for text in ("/srv:/mnt/data", "/srv:/mnt/data:ro"):
        assert str(mounts.parse(text, "f")) == text


@pytest.mark.parametrize(
    "text", ["", "/srv", "/srv:", ":/mnt", "srv:/mnt", "/srv:mnt", "/srv:/mnt:rw", "/a:/b:/c", "/srv:/m\nt", "~:/mnt"]
)
def test_other_forms(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(InvalidArgument) as refused:
        mounts.parse(text, "spec.mounts")
    assert (refused.value.reason, refused.value.field) == ("MOUNT_INVALID", "spec.mounts")


@pytest.mark.parametrize(
    "target", ["/mnt", "/mnt/data", "/data", "/srv/www", "/opt/tools", "/vibespaces", "/home/other"]
)
def test_places(target: str) -> None:
    """Where the agent has nothing."""
    mounts.check([f"/srv:{target}"], "f")


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/vibespace", "/vibespace/repo", "/home/agent", "/home/agent/.ssh", "/home", "/opt", "/opt/claude"),
        *("/vibespace-logins", "/vibespace-logins/codex"),
        *("/etc", "/etc/vibespace", "/usr", "/usr/local/bin", "/proc", "/sys/fs", "/dev/shm", "/run", "/lib64", "/tmp"),
        *("//etc", "/mnt/../etc", "/mnt/", "/mnt//data", "/./etc", "/mnt/."),
    ],
)
def test_taken_places(target: str) -> None:
    """Over, in or around what the agent needs, however it is written."""
    with pytest.raises(InvalidArgument):
        mounts.check([f"/srv:{target}"], "f")


def test_no_place_twice() -> None:
    """Two mounts in one place would hide one another."""
    mounts.check(["/srv:/mnt/a", "/srv:/mnt/b"], "f")
    with pytest.raises(InvalidArgument):
        mounts.check(["/srv:/mnt/a", "/var:/mnt/a:ro"], "f")
