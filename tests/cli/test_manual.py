"""The man pages: of every command, and such that man has nothing to complain of. About three seconds."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from vibespace_cli import manual

ROOT = Path(__file__).parents[2]
PAGES = manual.pages()


def render(page: Path) -> tuple[str, str]:
    """What `man -l` shows, 80 columns wide, and what it complains of."""
    done = subprocess.run(
        ["man", "--warnings=w", "--encoding=UTF-8", "--local-file", str(page)],
        env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout, done.stderr


def test_the_pages_are_those_that_are_installed() -> None:
    """docs/man has what `make generate` would write, and the package takes all of it."""
    assert {page.name: page.read_text() for page in (ROOT / "docs/man").iterdir()} == PAGES
    assert '"share/man/man1" = ["docs/man/*.1"]' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_man_wants_it(name: str) -> None:
    """No warnings, and the sections that people look for."""
    shown, complaints = render(ROOT / "docs/man" / name)
    assert complaints == ""
    headings = [line for line in shown.splitlines() if line[:1].isalpha()]
    assert headings[1:4] == ["NAME", "SYNOPSIS", "DESCRIPTION"]


def test_a_page_says_what_the_help_says() -> None:
    """Flags with their meaning, the state directory with its tilde, quotes as they are typed."""
    shown, _ = render(ROOT / "docs/man/vibespace-uninstall.1")
    assert "--keep-data\n              Leave volumes, history, keys and settings where they are" in shown
    shown, _ = render(ROOT / "docs/man/vibespace.1")
    assert "~/.vibespace/config.yaml" in shown


def test_a_bad_page_is_noticed(tmp_path: Path) -> None:
    """The check above is not held by a man that sees nothing."""
    bad = tmp_path / "bad.1"
    bad.write_text('.TH BAD 1\n.SH NAME\nbad \\- worse\n.XX "no such request"\n')
    assert "XX" in render(bad)[1]
