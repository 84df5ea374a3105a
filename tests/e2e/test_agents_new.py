"""Another conversation that is begun inside the programs, by the real ones on models that say what is written down."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.agents import KEY, claude, codex
from tests.e2e.installation import Installation
from tests.e2e.person import person
from tests.models.endpoint import Endpoint
from tests.models.script import Gate, Turn, say

pytestmark = pytest.mark.here("the scripted model listens where the engine is, and config.yaml opens the way to it")


def texts(own: Installation) -> list[str]:
    """What the history has of what was said."""
    lines = own.events("--vibespace", "shop", "--type", "transcript.line_read")
    return [block["text"] for line in lines for block in line["data"]["blocks"] if block["kind"] == "text"]


def all_is_there(own: Installation, model: Endpoint) -> None:
    """What was said to it and by it, once and in order; the model was told what was since the new one was begun."""
    said = [text for text in texts(own) if text.endswith(("words", "answer."))]
    assert said == [each for n in ("first", "second", "third") for each in (f"{n} words", f"{n.title()} answer.")]
    words = [text for text in model.asked(KEY)[-1].texts("user") if text.endswith("words")]
    assert words == ["second words", "third words"]


def test_claude_clears(own: Installation) -> None:
    """A new conversation, and what is said in it is in the history with the rest; with it `ask` goes on."""
    script = [say(f"{number} answer.") for number in ("First", "Second", "Third", "Fourth")]
    with claude(own, script) as model:
        own.ok("ask", "-a", "claude-1@shop", "first words")
        with person(own, "connect", "claude-1@shop") as there:
            there.sees("First.{1,60}answer")
            there.enters("/clear")
            there.enters("second words")
            there.sees("Second.{1,60}answer")
            there.enters("/exit")
            there.wait()
        assert own.ok("ask", "-a", "claude-1@shop", "third words") == "Third answer.\n"
        all_is_there(own, model)
        with person(own, "connect", "claude-1@shop") as there:
            there.sees("Third.{1,60}answer")
            there.enters("/clear")
            while own.types("--vibespace", "shop", "--type", "conversation").count("conversation.superseded") < 2:
                pass
            taken = own.ok("ask", "--take-over", "-a", "claude-1@shop", "fourth words")  # nothing is at work there
            assert taken == "Fourth answer.\n"


def test_codex_begins_a_new_one(own: Installation) -> None:
    """There, it is the agent's: what is said in it is in the history, and `ask` goes on with it."""
    script = [say("First answer."), say("Second answer."), say("Third answer.")]
    with codex(own, script) as model:
        own.ok("ask", "-a", "codex-1@shop", "first words")
        with person(own, "connect", "codex-1@shop") as there:
            there.sees("First.{1,60}answer")
            there.enters("/new")
            while "conversation.superseded" not in own.types("--vibespace", "shop", "--type", "conversation"):
                pass
            there.enters("second words")
            there.sees("Second.{1,60}answer")
            assert own.ok("ask", "-a", "codex-1@shop", "third words") == "Third answer.\n"
            there.sees("Third.{1,60}answer")
        all_is_there(own, model)


def test_codex_leaves_a_former_conversation(own: Installation) -> None:
    """A terminal that was on it, looked at or not, is over when another is begun; `connect` is on that one."""
    script = [say("First answer."), say("Second answer."), say("Third answer.")]
    with codex(own, script) as model:
        own.ok("ask", "-a", "codex-1@shop", "first words")
        with person(own, "connect", "codex-1@shop") as there:
            there.sees("First.{1,60}answer")
            own.ok("agent", "new-conversation", "codex-1@shop")
            there.sees("Another conversation was begun")
            there.wait()
        assert own.ok("ask", "-a", "codex-1@shop", "second words") == "Second answer.\n"
        with person(own, "connect", "codex-1@shop") as there:
            there.sees("Second.{1,60}answer")
            there.enters("third words")
            there.sees("Third.{1,60}answer")
        assert "Third answer." in texts(own)
        words = [text for text in model.asked(KEY)[-1].texts("user") if text.endswith("words")]
        assert words == ["second words", "third words"]


def test_codex_is_connected_to_as_soon_as_it_is_started(own: Installation) -> None:
    """Its program is begun for whoever connects; what is said there is in the history."""
    with codex(own, [say("First answer."), say("Second answer.")]):
        own.ok("ask", "-a", "codex-1@shop", "first words")
        for verb in ("stop", "start"):
            own.ok("agent", verb, "codex-1@shop")
        with person(own, "connect", "codex-1@shop") as there:
            there.sees("First.{1,60}answer")
            there.enters("second words")
            there.sees("Second.{1,60}answer")
        while texts(own)[-1] != "Second answer.":
            pass


def test_codex_goes_back_to_an_earlier_conversation(own: Installation) -> None:
    """Whether its program has that open or not: what is said there is in the history, and `ask` goes on there."""
    with codex(own, [say(f"{number} answer.") for number in ("First", "Second", "Third", "Fourth")]) as model:
        own.ok("ask", "-a", "codex-1@shop", "first words")
        own.ok("agent", "new-conversation", "codex-1@shop")
        own.ok("ask", "-a", "codex-1@shop", "second words")
        with person(own, "connect", "codex-1@shop") as there:
            there.sees("Second.{1,60}answer")
            for number, words in ((2, "third words"), (3, "fourth words")):
                for letter in "/resume":  # what comes faster than anybody types is pasted, with the Enter in it
                    there.type(letter)
                    there.sees(letter)
                there.sees("resume a saved chat")
                there.type("\r")
                there.sees("1 / 2")
                there.type("\x1b[B\r")
                topics = own.types("--vibespace", "shop", "--type", "conversation")
                while topics.count("conversation.superseded") < number:
                    topics = own.types("--vibespace", "shop", "--type", "conversation")
                if words == "third words":
                    there.enters(words)
                    there.sees("Third.{1,60}answer")
            assert own.ok("ask", "-a", "codex-1@shop", "fourth words") == "Fourth answer.\n"
        said = [text for text in texts(own) if text.endswith(("words", "answer."))]
        assert said[4:] == ["third words", "Third answer.", "fourth words", "Fourth answer."]
        asked = [text for text in model.asked(KEY)[-1].texts("user") if text.endswith("words")]
        assert asked == ["second words", "fourth words"]


def test_codex_is_elsewhere_amid_a_turn(own: Installation) -> None:
    """Who begins another conversation while the agent works goes alone: its turn goes on and ends its message, both are
    in the history, and then the agent is there as well, though its daemon was killed meanwhile.
    """
    gate = Gate()
    script = [say("First answer."), Turn(["Slow answer."], gate), say("Second answer."), say("Third answer.")]
    with codex(own, script) as model:
        own.ok("ask", "-a", "codex-1@shop", "first words")
        with person(own, "connect", "codex-1@shop") as there:
            there.sees("First.{1,60}answer")
            slow = own.popen("ask", "-a", "codex-1@shop", "slow words")
            asyncio.run_coroutine_threadsafe(gate.arrived(), model.loop).result(60)
            there.sees("Working")
            there.type("\x1b[D")
            there.sees("Tasks")
            there.type("n")
            there.sees("OpenAI.{1,60}Codex")
            there.sees("codex-1@shop")  # it is heard, and the screen is drawn
            there.enters("second words")
            there.sees("Second.{1,60}answer")
        while texts(own)[-1] != "Second answer.":
            pass
        third = own.popen("ask", "-a", "codex-1@shop", "third words")
        while own.types("--vibespace", "shop", "--type", "message").count("message.said") < 3:
            pass
        own.kill()
        assert "conversation.superseded" not in own.types("--vibespace", "shop", "--type", "conversation")
        model.loop.call_soon_threadsafe(gate.allow, 1000)
        assert [each.communicate(timeout=60)[0] for each in (slow, third)] == ["Slow answer.\n", "Third answer.\n"]
        said = [text for text in texts(own) if text.endswith(("words", "answer."))]
        assert said[2:] == [
            "slow words",
            "second words",
            "Second answer.",
            "Slow answer.",
            "third words",
            "Third answer.",
        ]
        words = [text for text in model.asked(KEY)[-1].texts("user") if text.endswith("words")]
        assert words == ["second words", "third words"]


def test_codex_is_there_again_for_who_is_attached(own: Installation) -> None:
    """Its program is killed while nothing is at work: another one is begun, for he cannot ask for it."""
    with codex(own, [say("First answer."), say("Second answer.")]):
        own.ok("ask", "-a", "codex-1@shop", "first words")
        with person(own, "connect", "codex-1@shop") as there:
            there.sees("First.{1,60}answer")
            own.ok("exec", "codex-1@shop", "--", "pkill", "-9", "-f", "app-server")
            there.sees("OpenAI.{1,40}Codex")  # it shows all anew once it is there
            there.enters("second words")
            there.sees("Second.{1,60}answer")
        while texts(own)[-1] != "Second answer.":
            pass


def test_codex_in_a_shell_is_another_program(own: Installation) -> None:
    """It serves nobody, so that the agent's own has its place, before, meanwhile and after."""
    with codex(own, [say("An answer.")] * 10):  # it asks for titles as well
        for words in ("typed words", "other words"):
            with person(own, "exec", "-it", "codex-1@shop", "--", "codex") as there:
                there.sees("model")
                there.enters(words)
                there.sees("An.{1,60}answer")
                assert own.ok("ask", "-a", "codex-1@shop", "said meanwhile") == "An answer.\n"
            assert own.ok("ask", "-a", "codex-1@shop", "said after it") == "An answer.\n"
        assert texts(own) == ["said meanwhile", "An answer.", "said after it", "An answer."] * 2


def test_claude_goes_on_with_what_is_locked(own: Installation) -> None:
    """`claude --continue` in a shell takes what was begun there, and leaves the agent's own to the agent."""
    script = [say("First answer."), say("Second answer."), say("Third answer."), say("Fourth answer.")]
    with claude(own, script):
        with person(own, "connect", "claude-1@shop") as there:  # so that it asks nothing when it is typed
            there.sees("for.{1,60}agents")
            there.enters("/exit")
            there.wait()
        own.ok("agent", "new-conversation", "claude-1@shop")
        with person(own, "exec", "-it", "claude-1@shop", "--", "claude") as there:
            there.sees("for.{1,60}agents")
            there.enters("typed words")
            there.sees("First.{1,60}answer")
            there.enters("/exit")
            there.wait()
        assert own.ok("ask", "-a", "claude-1@shop", "later words") == "Second answer.\n"
        with person(own, "exec", "-it", "claude-1@shop", "--", "claude", "--continue") as there:
            there.sees("First.{1,60}answer")
            assert own.ok("ask", "-a", "claude-1@shop", "last words") == "Third answer.\n"
            there.enters("more words")
            there.sees("Fourth.{1,60}answer")
            done = own.run("exec", "claude-1@shop", "--", "sh", "-c", "claude -p --continue hello")
            assert (done.returncode, done.stdout) == (1, "")
