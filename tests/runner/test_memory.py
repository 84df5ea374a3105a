"""Whether the kernel ended somebody for want of memory, in its own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from vibespace.runner import memory


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"events": "low 0\nmax 7\noom 2\noom_kill 3\n"}, 3),
        ({"control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"}, 2),
        ({"events": "low 0\n", "control": "oom_kill 1\n"}, 1),
        ({"control": "oom_kill_disable 0\n"}, 0),
        ({"events": "oom_kill many\n"}, 0),
        ({}, 0),
    ],
)
def test_either_version_of_control_groups_counts(tmp_path: Path, files: dict[str, str], count: int) -> None:
    """What is not told is no reason to fail."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert memory.ended((str(tmp_path / "events"), str(tmp_path / "control"))) == count
