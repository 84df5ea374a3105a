"""Whatever is typed, the command line answers with an exit code of its table, and never with a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from vibespace_cli import main
from vibespace_cli.output import EXIT_CODES
from vibespace_cli.tree import all_words

from tests.cli.conftest import daemon, home
from tests.cli.daemon import Daemon
from vibespace.errors import NotFound

__all__ = ["daemon", "home"]

MACHINE = {"init", "image", "doctor", "uninstall"}
"""Commands that look at the machine, or change it: what they do is not made up here."""
COMMANDS = sorted(words for words in all_words() if words and words[0] not in MACHINE)
CODES = {0, *EXIT_CODES.values()} - {1}

TEXT = st.text(st.characters(exclude_characters="\0"), max_size=20) | st.text("az0-@/:=.\udcff ", max_size=12)
WORDS = (
    TEXT
    | st.sampled_from(["--json", "--plain", "--header", "-q", "-v", "--no-color", "--help", "--", "-", "--force", "-t"])
    | st.sampled_from(["demo", "claude-1@demo", "claude-code", "--vibespace", "--cpu", "1", "--repo", "--after", "-n"])
    | st.builds("--{}={}".format, st.text("abcdefghij-", max_size=8), TEXT)
)
LINES = st.builds(
    lambda before, command, after: [*before, *command, *after],
    st.lists(WORDS, max_size=2),
    st.sampled_from(COMMANDS) | st.lists(TEXT, max_size=2),
    st.lists(WORDS, max_size=6),
)


class Refuses(dict[str, Callable[[Any], Any]]):
    """A daemon that has nothing of what it is asked for, whatever that is."""

    def __contains__(self, method: object) -> bool:
        return True

    def __getitem__(self, method: str) -> Callable[[Any], Any]:
        def answer(_: Any) -> Any:
            raise NotFound("NOT_THERE", "There is no such thing.")

        return answer


@settings(
    max_examples=1200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(line=LINES)
@example(line=["--", "-0"])
@example(line=["events", "--after", "9" * 20])
@example(line=["agent", "create", "--vibespace", "\udcff"])
@example(line=["create", "demo", "--cpu", "\udcff", "--json"])
def test_a_line_is_answered(daemon: Daemon, capfd: pytest.CaptureFixture[str], line: list[str]) -> None:
    """Help, an answer or one sentence."""
    if MACHINE & set(line):
        return
    daemon.answers = Refuses()
    code = main.run(line)
    out, err = capfd.readouterr()
    assert code in CODES, (out, err)
    assert "Traceback" not in out + err
    assert code == 0 or err.count("\n") == 1
