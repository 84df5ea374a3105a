"""What the real Codex says while what keeps it inside is hung, which then is killed: the next one tells it."""

from __future__ import annotations

import pytest

from tests.e2e.agents import KEY, codex, ends
from tests.e2e.installation import Installation
from tests.e2e.person import person
from tests.models.script import Gate, Turn, say

pytestmark = pytest.mark.here("the scripted model listens where the engine is, and config.yaml opens the way to it")


def test_what_codex_said_when_nobody_heard_it_is_told_by_the_next(own: Installation) -> None:
    """The turn was heard to begin, and is lost; what was said in it is not."""
    gate = Gate()
    with codex(own, [Turn(["First answer."], gate), say("Second answer.")]) as model:
        asking = own.popen("ask", "-a", "codex-1@shop", "first words")
        while not model.asked(KEY):
            assert asking.poll() is None
        own.inside("codex-1@shop", "pkill -STOP -f '[r]unner-.* serve'")
        model.loop.call_soon_threadsafe(gate.allow, 1000)
        own.inside("codex-1@shop", "until grep -rq 'First answer' ~/.codex/sessions; do sleep 0.1; done")
        own.inside("codex-1@shop", "pkill -KILL -f '[r]unner-.* serve'")
        assert asking.wait(60) == 15
        assert own.ok("ask", "-a", "codex-1@shop", "second words") == "Second answer.\n"
        told = [line["data"]["blocks"] for line in own.events("--vibespace", "shop", "--type", "transcript.line_read")]
        texts = [block["text"] for blocks in told for block in blocks if block["kind"] == "text"]
        assert texts == ["first words", "First answer.", "second words", "Second answer."]


def test_a_turn_of_codexs_that_nobody_heard_is_told_whole_by_the_next(own: Installation) -> None:
    """It was typed on the terminal, and is over by then."""
    with codex(own, [say("First answer."), say("Second answer."), say("Third answer.")]):
        own.ok("ask", "-a", "codex-1@shop", "first words")
        with person(own, "connect", "codex-1@shop") as there:
            there.sees("First.{1,60}answer")
            own.inside("codex-1@shop", "pkill -STOP -f '[r]unner-.* serve'")
            there.enters("second words")
            there.sees("Second.{1,60}answer")
            over = "until [ $(cat ~/.codex/sessions/*/*/*/*.jsonl | grep -c task_complete) = 2 ]; do sleep 0.1; done"
            own.inside("codex-1@shop", over)
            own.inside("codex-1@shop", "pkill -KILL -f '[r]unner-.* serve'")
            assert own.ok("ask", "-a", "codex-1@shop", "third words") == "Third answer.\n"
        assert ends(own, 3) == ["completed"] * 3
        told = [line["data"]["blocks"] for line in own.events("--vibespace", "shop", "--type", "transcript.line_read")]
        every = [block.get("text", block["kind"]) for blocks in told for block in blocks]
        turns = [word for word in every if word.endswith(("words", "answer.", "turn_started", "turn_ended"))]
        assert turns == [
            word
            for n in ("first", "second", "third")
            for word in ("turn_started", f"{n} words", f"{n.title()} answer.", "turn_ended")
        ]
