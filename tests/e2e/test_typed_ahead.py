"""What a person types on Claude Code's own terminal while it works, and what becomes of it when the terminal goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.agents import KEY, claude, ends
from tests.e2e.installation import Installation
from tests.e2e.person import Person, person
from tests.models.anthropic import Anthropic
from tests.models.script import Gate, Turn, say

pytestmark = pytest.mark.here("the scripted model listens where the engine is, and config.yaml opens the way to it")


@contextmanager
def typing_ahead(own: Installation, gate: Gate) -> Iterator[tuple[Anthropic, Person]]:
    """Claude is at the `second words` until `gate` lets it go on, and `third words` wait in its queue."""
    script = [say("First answer."), Turn(["I think and think."], gate), say("Third answer."), say("Fourth answer.")]
    with claude(own, script) as model:
        own.ok("ask", "-a", "claude-1@shop", "first words")
        with person(own, "connect", "claude-1@shop") as there:
            there.sees("First.{1,60}answer")
            there.enters("second words")
            while len(model.asked(KEY)) < 2:
                there.sees(".")
            there.enters("third words")
            record = "~/.claude/projects/*/*.jsonl"
            own.inside("claude-1@shop", f"until grep -q 'enqueue.*third words' {record}; do sleep 0.1; done")
            yield model, there


def test_it_goes_before_who_takes_over(own: Installation) -> None:
    """What waits in the program counts as at work: its words reach the model first, and then the terminal ends."""
    gate = Gate()
    with typing_ahead(own, gate) as (model, there):
        taking = own.popen("ask", "-a", "claude-1@shop", "--take-over", "fourth words")
        while not any(line["data"]["text"] == "fourth words" for line in own.events("--type", "message.said")):
            there.sees(".")
        model.loop.call_soon_threadsafe(gate.allow, 1000)
        assert taking.communicate(timeout=60)[0] == "Fourth answer.\n"
        assert there.wait() == 0
        said = [text for text in model.asked(KEY)[-1].texts("user") if text.endswith("words")]
        assert said == [f"{number} words" for number in ("first", "second", "third", "fourth")]
        assert set(ends(own)) == {"completed"}


def test_it_is_in_the_history_when_the_program_is_killed(own: Installation) -> None:
    """Once, and so is what it was at; that turn is over, and the next message is in the same conversation."""
    with typing_ahead(own, Gate()) as (_, there):
        own.inside("claude-1@shop", "pkill -KILL -x claude")
        there.wait()
        assert own.ok("ask", "-a", "claude-1@shop", "fourth words") == "Third answer.\n"
        told = [line["data"]["blocks"] for line in own.events("--vibespace", "shop", "--type", "transcript.line_read")]
        texts = [block["text"] for blocks in told for block in blocks if block["kind"] == "text" and "by_user" in block]
        assert texts == [f"{number} words" for number in ("first", "second", "third", "fourth")]
        assert ends(own, 3) == ["completed", "lost", "completed"]
