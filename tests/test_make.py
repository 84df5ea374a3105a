"""The Makefile, by what it would do."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHOW = 'show:\n\t@printf \'%s\\n\' "$(BASE)" "$$VIBESPACE_TEST_CACHE" "$$VIBESPACE_TEST_BASE"'


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME"])
def test_a_space_on_the_way_to_the_cache(tmp_path: Path, variable: str) -> None:
    """Where make could not name the cache, it lies in the checkout, whose own path may have one too."""
    checkout = tmp_path / "new user" / "checkout"
    checkout.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    environ = {"PATH": os.environ["PATH"], "HOME": "/home/user", variable: str(tmp_path / "new user")}
    words = ["make", "-s", "-f", "Makefile", "--eval", SHOW, "show"]
    done = subprocess.run(words, cwd=checkout, env=environ, capture_output=True, text=True, check=True)
    cache = checkout / ".cache"
    assert done.stdout.splitlines() == [".cache/debian.tar", str(cache / "engine"), str(cache / "debian.tar")]
    words = ["make", "-n", "-f", "Makefile", "-o", ".venv/.installed", "demo"]
    plan = subprocess.run(words, cwd=checkout, env=environ, capture_output=True, text=True, check=True)
    assert f'tools/demo "{cache / "debian.tar"}"' in plan.stdout
