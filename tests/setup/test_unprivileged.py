"""What a user lacks is told, and by whom it is mended. Starts programs as a user of the test's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import USER, user
from vibespace.setup import unprivileged

PRINT = "from vibespace.setup.unprivileged import obstacles; print([o.message for o in obstacles()])"
PROGRAM = str(Path(sys.executable).parent / "vibespace")


def test_root_needs_nothing() -> None:
    """Root has no obstacles."""
    assert unprivileged.obstacles() == []


def test_a_prepared_user(tmp_path: Path) -> None:
    """A user with ids of his own and an open tun has no obstacles."""
    with user(tmp_path / "a home") as him:
        assert him.run(sys.executable, "-c", PRINT) == "[]\n"


@pytest.mark.parametrize(
    ("ids", "tun", "hint"),
    [
        (False, True, f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {USER}"),
        (True, False, "chmod 666"),
    ],
)
def test_an_unprepared_user(tmp_path: Path, ids: bool, tun: bool, hint: str) -> None:
    """`init` and `doctor` say what is missing, and what root types to mend it; `init` makes no engine."""
    with user(tmp_path / "a home", ids=ids, tun=tun) as him:
        refused = subprocess.run(him.command(PROGRAM, "init"), env=him.environment(), capture_output=True, text=True)
        assert refused.returncode == 16
        assert f"User {USER}" in refused.stderr
        assert hint in refused.stderr
        assert "Traceback" not in refused.stderr
        assert not (him.home / ".vibespace/engine").exists()
        examined = subprocess.run(him.command(PROGRAM, "doctor"), env=him.environment(), capture_output=True, text=True)
        assert hint in examined.stdout
        him.run("sh", "-c", "kill $(cat ~/.vibespace/daemon.lock)")


@pytest.mark.parametrize("text", ["", "other:100000:65536", "me:100000:500", "me:nonsense", "me:1:x"])
def test_ranges_that_do_not_do(tmp_path: Path, text: str) -> None:
    """A range of somebody else, one that is too small, or nonsense gives the user nothing."""
    (tmp_path / "subuid").write_text(f"{text}\n")
    assert not unprivileged._has_ids(tmp_path / "subuid", "me")
    (tmp_path / "subuid").write_text(f"{text}\nme:100000:65536\n")
    assert unprivileged._has_ids(tmp_path / "subuid", "me")
