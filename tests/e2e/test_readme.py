"""The commands that the documentation shows are run as they are written."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.installation import Installation, on_terminal
from tests.e2e.test_life import NOTHING

pytestmark = [pytest.mark.containers, pytest.mark.here("examples begin with init and end with uninstall")]

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", *(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))]

ON_CLUSTERS = "docs/kubernetes.md"
"""Typed by tests/e2e/test_cluster.py."""

NOT_RUN = {"make demo", "make test", "make check", "make bench", "make generate"}
"""What builds or runs whole suites: each is run by whoever works here, and by CI."""

BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """The command lines of a page's console blocks, in order, without their comments."""
    lines = "".join(BLOCK.findall((ROOT / page).read_text())).splitlines()
    typed = [line[2:].partition("  #")[0].rstrip() for line in lines if line.startswith("$ ")]
    return [line for line in typed if line not in NOT_RUN]


def test_examples_are_found() -> None:
    """The pages have examples, and the README has those of a whole life."""
    assert len(commands("README.md")) > 5


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page) and page != ON_CLUSTERS])
def test_examples(own: Installation, tmp_path: Path, page: str) -> None:
    """Every command of the page works, typed in this order in a checkout, with `y` where a question is asked."""
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "checkout"], check=True)
    for line in commands(page):
        for command in line.split(" && "):
            words = _words(command)
            if words[0] == "events" and "--follow" in words:
                _follow(own, *words)
                continue
            done = on_terminal(own, *words, typed="y\n", cwd=tmp_path / "checkout")
            assert done.returncode == 0, f"{command}\n{done.stdout}"
    assert own.objects() == NOTHING


def _words(command: str) -> list[str]:
    program, *words = command.split()
    assert program == "vibespace", command
    return words


def _follow(own: Installation, *words: str) -> None:
    with own.popen(*words) as following:
        assert following.stdout is not None
        assert following.stdout.readline()
        following.send_signal(signal.SIGINT)
        assert following.wait() == 14
