"""A conversation in which nothing has been said yet: Claude Code keeps none, so that none can be resumed."""

from __future__ import annotations

import pytest

from tests.e2e.agents import KEY, claude
from tests.e2e.installation import Installation
from tests.e2e.person import person
from tests.models.script import say


def test_who_only_looks_at_claudes_terminal_leaves_nothing_in_the_way(own: Installation) -> None:
    """The agent answers afterwards."""
    with claude(own, [say("First answer.")]) as model:
        with person(own, "connect", "claude-1@shop") as there:
            there.sees("for.{1,60}agents")
            there.type("\x04\x04")
            there.wait()
        assert own.ok("ask", "-a", "claude-1@shop", "first words") == "First answer.\n"
        assert model.asked(KEY)[-1].texts("user")[-1] == "first words"


@pytest.mark.parametrize("left", ["nothing", "no message"])
def test_claude_ends_before_it_has_written_a_message_down(own: Installation, left: str) -> None:
    """As within half a second of /clear: whatever it left of that conversation, the agent answers."""
    with claude(own, [say("First answer."), say("Second answer."), say("Third answer.")]):
        own.ok("ask", "-a", "claude-1@shop", "first words")
        with person(own, "connect", "claude-1@shop") as there:
            there.sees("First.{1,60}answer")
            there.enters("/clear")
            own.inside("claude-1@shop", "until grep -ql /clear ~/.claude/projects/*/*.jsonl; do sleep 0.1; done")
            own.inside("claude-1@shop", "pkill -KILL -x claude")
            there.wait()
        cleared = "$(grep -l /clear ~/.claude/projects/*/*.jsonl)"
        cut = f"rm {cleared}" if left == "nothing" else f"sed -i 2,'$'d {cleared}"
        own.inside("claude-1@shop", cut)
        assert own.ok("ask", "-a", "claude-1@shop", "second words") == "Second answer.\n"
        assert own.ok("ask", "-a", "claude-1@shop", "third words") == "Third answer.\n"
        assert "first words" in own.ok("events", "--vibespace", "shop", "--type", "transcript", "-v")
