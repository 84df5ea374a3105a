"""What people read before they type: every --help, word for word, and the page made of them.

`python -m tests.cli.test_help` writes the goldens anew; the difference is for a person to read.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from vibespace_cli import reference
from vibespace_cli.tree import all_words

GOLDENS = Path(__file__).parent.parent / "goldens" / "help"
PAGE = Path(__file__).parent.parent.parent / "docs" / "cli.md"

GROUPS: list[tuple[str, ...]] = [(), ("agent",), ("audit",), ("config",), ("credential",), ("image",)]
EVERY = sorted([*all_words(), *GROUPS])


def help_of(words: tuple[str, ...]) -> str:
    """The text of --help."""
    ctx = reference.context(words)
    return ctx.command.get_help(ctx) + "\n"


def golden(words: tuple[str, ...]) -> Path:
    """Where the text of a command is kept."""
    return GOLDENS / f"{'-'.join(('vibespace', *words))}.txt"


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_help_is_as_it_was_read_last(words: tuple[str, ...]) -> None:
    """The --help of every command is its golden file."""
    assert help_of(words) == golden(words).read_text()


def test_each_golden_is_of_a_command() -> None:
    """A command that went takes its golden along."""
    assert {p.name for p in GOLDENS.iterdir()} == {golden(words).name for words in EVERY}


def test_the_page_is_made_of_the_same() -> None:
    """docs/cli.md is what `make generate` would write."""
    assert PAGE.read_text() == reference.page()


if __name__ == "__main__":
    for each in EVERY:
        golden(each).write_text(help_of(each))
