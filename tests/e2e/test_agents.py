"""The real agent programs in real containers, on models that say what is written down: what people ask, and get."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence

import pytest

from tests.e2e.agents import KEY, bash, claude, codex, ends, waiting
from tests.e2e.installation import Installation
from tests.e2e.person import person
from tests.models.anthropic import Anthropic
from tests.models.script import Call, Gate, Turn, say
from vibespace.client import Client
from vibespace.reconcile.conversations import GO_ON
from vibespace.state import State
from vibespace.v1 import conversations_pb2 as v1

pytestmark = pytest.mark.here("the scripted model listens where the engine is, and config.yaml opens the way to it")

INITIALIZE = {"subtype": "initialize"}


def deciders(own: Installation) -> list[tuple[str, str]]:
    """What was decided, and by whom."""
    lines = own.events("--vibespace", "shop", "--type", "approval.decided")
    return [(line["data"]["verdict"], line["actor"]) for line in lines]


@pytest.mark.clustered
def test_claude_works_and_remembers(own: Installation) -> None:
    """It is asked, asks before it acts, acts, and knows all that when it was stopped and started."""
    script = [
        say("I make it.", bash("echo flour > /vibespace/mill")),
        say("It is made."),
        say("You asked for flour."),
    ]
    with claude(own, script) as model:
        asking = own.popen("ask", "-a", "claude-1@shop", "make flour")
        uid = waiting(own)
        own.ok("approval", "allow", uid[:8])
        said, beside = asking.communicate(timeout=60)
        assert (asking.returncode, said) == (0, "I make it.\nIt is made.\n"), beside
        assert own.inside("claude-1@shop", "cat /vibespace/mill") == "flour"
        own.ok("stop", "shop")
        own.ok("start", "shop")
        assert own.ok("ask", "-a", "claude-1@shop", "what did I ask for?") == "You asked for flour.\n"
        assert model.surprises == []
        asked = model.asked(KEY)
        assert asked[-1].texts("user")[-1] == "what did I ask for?"
        assert "make flour" in asked[-1].texts("user")
        assert [said.kind for said in asked[-1].history if said.kind in ("call", "result")] == ["call", "result"]


def test_claude_is_done_with_what_it_does_not_repeat(own: Installation) -> None:
    """A command that it has on a terminal only, and then it goes on to the next message."""
    with claude(own, [say("Yes.")]):
        client, name = Client(State(own.home)), "vibespaces/shop/agents/claude-1"
        request = v1.SendMessageRequest(parent=name, text="/help", is_command=True)
        asked = client.unary("ConversationService/SendMessage", request, v1.SendMessageResponse)
        assert own.ok("ask", "-a", "claude-1@shop", "are you there?", timeout=60) == "Yes.\n"
        follow = v1.StreamTranscriptRequest(name=name, after=asked.cursor, until_message=asked.message.uid)
        told = list(client.follow("ConversationService/StreamTranscript", follow, v1.StreamTranscriptResponse))
        assert told[-1].messages[0].state == v1.MESSAGE_STATE_DONE
        assert any("/help" in block.text.text for each in told for block in each.blocks)


@pytest.mark.clustered
def test_codex_works_and_remembers(own: Installation) -> None:
    """As Claude does, each in its own way: by its socket, and asked for every command."""
    make = Call("exec_command", {"cmd": "echo flour > /vibespace/mill"})
    with codex(own, [say("I make it.", make), say("It is made."), say("You asked for flour.")]) as model:
        asking = own.popen("ask", "-a", "codex-1@shop", "make flour")
        own.ok("approval", "allow", waiting(own))
        said, beside = asking.communicate(timeout=60)
        assert (asking.returncode, said) == (0, "I make it.\nIt is made.\n"), beside
        assert own.inside("codex-1@shop", "cat /vibespace/mill") == "flour"
        own.ok("stop", "shop")
        own.ok("start", "shop")
        assert own.ok("ask", "-a", "codex-1@shop", "what did I ask for?") == "You asked for flour.\n"
        assert model.surprises == []
        assert "make flour" in model.asked(KEY)[-1].texts("user")


def test_claude_on_two_doors(own: Installation) -> None:
    """What is said on its own interface is in the same conversation and history; what others say waits meanwhile."""
    script = [say("First answer."), say("Second answer."), say("Third answer.")]
    with claude(own, script) as model:
        assert own.ok("ask", "-a", "claude-1@shop", "first words") == "First answer.\n"
        with person(own, "connect", "claude-1@shop") as there:
            there.sees("First.{1,60}answer")
            there.enters("second words")
            there.sees("Second.{1,60}answer")
            asking = own.popen("ask", "-a", "claude-1@shop", "third words")
            while "third words" not in own.ok("events", "--vibespace", "shop", "--type", "message"):
                pass
            assert asking.poll() is None
            there.enters("/exit")
            there.wait()
        said, beside = asking.communicate(timeout=60)
        assert (asking.returncode, said) == (0, "Third answer.\n"), beside
        assert [text for text in model.asked(KEY)[-1].texts("user") if text.endswith("words")] == [
            "first words",
            "second words",
            "third words",
        ]
        lines = own.events("--vibespace", "shop", "--type", "transcript.line_read")
        blocks = [block for line in lines for block in line["data"]["blocks"] if block["kind"] == "text"]
        assert [block["text"] for block in blocks] == [
            "first words",
            "First answer.",
            "second words",
            "Second answer.",
            "third words",
            "Third answer.",
        ]
        topics = own.types("--vibespace", "shop", "--type", "conversation")
        assert topics.count("conversation.terminal_attached") == topics.count("conversation.terminal_detached") == 1


def test_claude_has_one_owner(own: Installation) -> None:
    """Who types `claude` inside is kept from the agent's conversation, and the agent from it where somebody has it."""
    script = [say("First answer."), say("Another's answer."), say("Second answer.")]
    with claude(own, script) as model:
        assert own.ok("ask", "-a", "claude-1@shop", "first words") == "First answer.\n"
        name = own.inside("claude-1@shop", "basename -s .jsonl ~/.claude/projects/*/*.jsonl")
        for words in ("-c", f"--resume={name}", "-r"):
            done = own.run("exec", "claude-1@shop", "--", "claude", "-p", words, "hello")
            assert (done.returncode, done.stdout) == (1, "")
            assert "'vibespace connect claude-1'" in done.stderr
        assert own.inside("claude-1@shop", "claude --version; claude -p hello").endswith("\nAnother's answer.")
        own.ok("stop", "shop")
        own.ok("start", "shop")
        streams = ("-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose")
        pipes = {"stdin": subprocess.PIPE}
        typed = own.popen("exec", "-i", "claude-1@shop", "--", "claude", *streams, "-r", name, **pipes)
        assert typed.stdin
        assert typed.stdout
        typed.stdin.write(json.dumps({"type": "control_request", "request_id": "1", "request": INITIALIZE}) + "\n")
        typed.stdin.flush()
        assert typed.stdout.readline()
        done = own.run("ask", "-a", "claude-1@shop", "too early")
        assert (done.returncode, done.stdout) == (16, "")
        assert "another claude, process " in done.stderr
        assert ".." not in done.stderr
        with person(own, "connect", "claude-1@shop") as there:
            there.sees(r"another\s+claude,\s+process\s")
            typed.communicate(timeout=60)
            there.sees("First.{1,60}answer")
            there.enters("/exit")
            there.wait()
        assert own.ok("ask", "-a", "claude-1@shop", "second words") == "Second answer.\n"
        assert model.asked(KEY)[-1].texts("user")[-1] == "second words"
        assert "first words" in model.asked(KEY)[-1].texts("user")
        assert model.surprises == []


def test_a_message_takes_claude_over_from_its_terminal(own: Installation) -> None:
    """At its next idle; who has it there is told why, on a terminal that is as it was, and can have it again."""
    script = [say("First answer."), say("Second answer."), say("Third answer."), say("Fourth answer.")]
    with claude(own, script) as model:
        own.ok("ask", "-a", "claude-1@shop", "first words")
        with person(own, "connect", "claude-1@shop") as there:
            there.sees("First.{1,60}answer")
            there.enters("second words")
            there.sees("Second.{1,60}answer")
            assert own.ok("ask", "-a", "claude-1@shop", "--take-over", "third words") == "Third answer.\n"
            there.sees("A message takes over .*vibespace connect")
            assert (there.wait(), there.restored) == (0, True)
        with person(own, "connect", "claude-1@shop") as there:
            there.sees("Third.{1,60}answer")
            assert own.ok("ask", "-a", "claude-1@shop", "--take-over", "fourth words") == "Fourth answer.\n"
            assert there.wait() == 0
        said = [text for text in model.asked(KEY)[-1].texts("user") if text.endswith("words")]
        assert said == [f"{number} words" for number in ("first", "second", "third", "fourth")]
        topics = own.types("--vibespace", "shop", "--type", "conversation")
        assert topics.count("conversation.terminal_attached") == topics.count("conversation.terminal_detached") == 2
        assert set(ends(own)) == {"completed"}


def test_what_nobody_decides_in_its_time_is_denied_to_claude(own: Installation) -> None:
    """On both doors, with a reason that reaches the model; nothing of it runs."""
    script = [
        say("I make it.", bash("echo flour > /vibespace/mill")),
        say("It may not be."),
        say("I bake it.", bash("echo bread > /vibespace/oven")),
        say("Nor this."),
    ]
    with claude(own, script, "--approval-timeout", "1s") as model:
        assert own.ok("ask", "-a", "claude-1@shop", "make flour") == "I make it.\nIt may not be.\n"
        with person(own, "connect", "claude-1@shop") as there:
            there.sees("may.{1,60}not.{1,60}be")
            there.enters("bake bread")
            there.sees("Nor.{1,60}this")
        assert own.inside("claude-1@shop", "ls /vibespace") == ""
        results = model.asked(KEY)[-1].texts("result")
        assert [("nobody decided within 1s" in result) for result in results] == [True, True]
        assert deciders(own) == [("denied", "daemon"), ("denied", "daemon")]


def test_what_nobody_decides_in_its_time_is_denied_to_codex(own: Installation) -> None:
    """Nothing of it runs, and it goes on."""
    make = Call("exec_command", {"cmd": "echo flour > /vibespace/mill"})
    with codex(own, [say("I make it.", make), say("It may not be.")], "--approval-timeout", "1s") as model:
        assert own.ok("ask", "-a", "codex-1@shop", "make flour") == "I make it.\nIt may not be.\n"
        assert own.inside("codex-1@shop", "ls /vibespace") == ""
        assert len(model.asked(KEY)) == 2
        assert deciders(own) == [("denied", "daemon")]


def test_what_claude_asks_on_its_terminal_is_answered_elsewhere(own: Installation) -> None:
    """The dialog is open there, and closes by a decision from anywhere."""
    script = [say("Hello."), say("I make it.", bash("echo flour > /vibespace/mill")), say("It is made.")]
    with claude(own, script):
        own.ok("ask", "-a", "claude-1@shop", "hello")
        with person(own, "connect", "claude-1@shop") as there:
            there.sees("Hello")
            there.enters("make flour")
            own.ok("approval", "allow", waiting(own))
            there.sees("It.{1,60}is.{1,60}made")
        assert own.inside("claude-1@shop", "cat /vibespace/mill") == "flour"
        assert own.types("--vibespace", "shop", "--type", "approval") == [
            "approval.requested",
            "approval.decided",
            "approval.answered",
        ]


def test_codex_on_two_doors(own: Installation) -> None:
    """Both are open at once: what is said on one is seen on the other while it is said."""
    with codex(own, [say("First answer."), say("Second answer."), say("Third answer.")]) as model:
        assert own.ok("ask", "-a", "codex-1@shop", "first words") == "First answer.\n"
        with person(own, "connect", "codex-1@shop") as there:
            there.sees("First.{1,60}answer")
            assert own.ok("ask", "-a", "codex-1@shop", "second words") == "Second answer.\n"
            there.sees("Second.{1,60}answer")
            there.enters("third words")
            there.sees("Third.{1,60}answer")
        told = [line["data"]["blocks"] for line in own.events("--vibespace", "shop", "--type", "transcript.line_read")]
        texts = [block["text"] for blocks in told for block in blocks if block["kind"] == "text"]
        assert texts == [word for n in ("first", "second", "third") for word in (f"{n} words", f"{n.title()} answer.")]
        assert len(model.asked(KEY)) == 3


def test_who_ends_codexs_turn_on_its_terminal_does_not_take_what_was_to_join_it_away(own: Installation) -> None:
    """Codex has accepted that, and forgets it: it is said in a turn of its own."""
    call = Call("exec_command", {"cmd": "echo flour > /vibespace/mill"})
    with codex(own, [say("I make it.", call), say("You have more words.")]) as model:
        first = own.popen("ask", "-a", "codex-1@shop", "make flour")
        waiting(own)
        with person(own, "connect", "codex-1@shop") as there:
            there.sees("flour.{1,60}mill")
            joining = own.popen("ask", "--steer", "-a", "codex-1@shop", "more words")
            while own.types("--vibespace", "shop", "--type", "message").count("message.handed") < 2:
                pass
            there.type("\x1b")
            outs = [process.communicate(timeout=60) for process in (first, joining)]
        assert [process.returncode for process in (first, joining)] == [14, 0], outs
        assert outs[1][0] == "You have more words.\n"
        assert [text for text in model.asked(KEY)[-1].texts("user") if text == "more words"] == ["more words"]


def asking_claude(own: Installation, model: Anthropic, joining: int) -> Sequence[subprocess.Popen[str]]:
    """One `ask` that the model has, and that many handed to join its turn."""
    asks = [own.popen("ask", "-a", "claude-1@shop", "first words")]
    while not model.asked(KEY):
        assert asks[0].poll() is None
    asks += [own.popen("ask", "--steer", "-a", "claude-1@shop", f"words {n}") for n in range(joining)]
    while own.types("--vibespace", "shop", "--type", "message").count("message.handed") < len(asks):
        pass
    return asks


def test_several_messages_join_claudes_turn(own: Installation) -> None:
    """It takes them up together: each is answered once, and stands once in the history and with the model."""
    gate = Gate()
    with claude(own, [Turn(["First answer."], gate), *(say("Second answer.") for _ in range(3))]) as model:
        asks = asking_claude(own, model, 3)
        model.loop.call_soon_threadsafe(gate.allow, 1000)
        outs = [process.communicate(timeout=60) for process in asks]
        assert [process.returncode for process in asks] == [0] * 4, outs
        told = [line["data"]["blocks"] for line in own.events("--vibespace", "shop", "--type", "transcript.line_read")]
        texts = [block["text"] for blocks in told for block in blocks if block["kind"] == "text"]
        assert sorted(text for text in texts if "words" in text) == ["first words", "words 0", "words 1", "words 2"]
        asked = "\n".join(model.asked(KEY)[-1].texts("user"))
        assert [asked.count(f"words {n}") for n in range(3)] == [1, 1, 1]
        assert GO_ON not in asked


def test_what_claude_took_up_when_nobody_heard_it_is_not_said_again(own: Installation) -> None:
    """Two messages as one, after its turn: what keeps it inside is hung, and then killed."""
    gate, rest = Gate(), [say(f"{which} answer.") for which in ("Second", "Third", "Fourth")]
    with claude(own, [Turn(["First answer."], gate), *rest]) as model:
        asks = asking_claude(own, model, 2)
        own.inside("claude-1@shop", "pkill -STOP -f '[r]unner-.* serve'")
        model.loop.call_soon_threadsafe(gate.allow, 1000)
        own.inside("claude-1@shop", "until grep -q 'Second answer' ~/.claude/projects/*/*.jsonl; do sleep 0.1; done")
        own.inside("claude-1@shop", "pkill -KILL -f '[r]unner-.* serve'")
        outs = [process.communicate(timeout=60) for process in asks]
        assert [process.returncode for process in asks] == [15, 0, 0], outs
        told = [line["data"]["blocks"] for line in own.events("--vibespace", "shop", "--type", "transcript.line_read")]
        texts = [block["text"] for blocks in told for block in blocks if block["kind"] == "text"]
        assert sorted(text for text in texts if "words" in text) == ["first words", "words 0", "words 1"]
        assert [texts.count(f"{which} answer.") for which in ("First", "Second", "Third")] == [1, 1, 1]
        said = "\n".join(model.asked(KEY)[-1].texts("user"))
        assert [said.count(f"words {n}") for n in range(2)] == [1, 1]


def test_a_turn_on_claudes_terminal_is_ended_from_elsewhere(own: Installation) -> None:
    """By who interrupts it, and by the limit of its rounds; the person stays where he is, and goes on."""
    again = say("I try.", bash("true"))
    thinking = Turn(["I think and think."], Gate())
    script = [again, thinking, again, again, again, thinking]
    limited = ("--allowed-tools", "Bash(true:*)", "--max-turns", "2")
    with claude(own, script, *limited) as model, person(own, "connect", "claude-1@shop") as there:
        there.sees("for.{1,60}agents")
        there.enters("first words")
        deadline = time.monotonic() + 60
        while len(model.asked(KEY)) < 2:
            assert time.monotonic() < deadline, there.seen
            time.sleep(0.05)
        own.ok("agent", "interrupt", "claude-1@shop")
        assert ends(own) == ["interrupted"]
        there.enters("second words")
        assert ends(own, 2) == ["interrupted", "turn_limit"]
        there.type("\x04\x04")
        there.wait()


@pytest.mark.parametrize("program", ["claude", "codex"])
def test_a_program_that_dies_is_told_to_go_on(own: Installation, program: str) -> None:
    """It was killed while a tool call waited: the next one asks anew, does it once, and the conversation has both."""
    agent, made = f"{program}-1@shop", "echo flour >> /vibespace/mill"
    call = bash(made) if program == "claude" else Call("exec_command", {"cmd": made})
    script = [say("I make it.", call), say("Once more.", call), say("It is made."), say("You asked for flour.")]
    with claude(own, script) if program == "claude" else codex(own, script) as model:
        asking = own.popen("ask", "-a", agent, "make flour")
        first = waiting(own)
        own.inside(agent, f"pkill -KILL -x {program}")
        while (second := waiting(own)) == first:
            pass
        own.ok("approval", "allow", second)
        said, beside = asking.communicate(timeout=60)
        assert (asking.returncode, said) == (0, "I make it.\nOnce more.\nIt is made.\n"), beside
        assert "goes on" in beside
        assert own.run("approval", "allow", first).returncode == 16
        assert own.inside(agent, "cat /vibespace/mill") == "flour"
        assert own.ok("ask", "-a", agent, "what did I ask for?") == "You asked for flour.\n"
        assert model.surprises == []
        told = [text for text in model.asked(KEY)[-1].texts("user") if text in ("make flour", GO_ON)]
        assert told == ["make flour", GO_ON]


def test_codex_has_one_writer(own: Installation) -> None:
    """Another process of it in a shell inside is kept from the agent's conversation by Codex itself."""
    script = [say("First answer."), say("Another's answer."), say("Second answer.")]
    with codex(own, script) as model:
        assert own.ok("ask", "-a", "codex-1@shop", "first words") == "First answer.\n"
        typed = ("exec", "codex-1@shop", "--", "codex", "exec", "--skip-git-repo-check")
        done = own.run(*typed, "resume", "--last", "hello")
        assert (done.returncode, done.stdout) == (1, "")
        assert "already has an active writer" in done.stderr
        assert own.ok(*typed, "hello") == "Another's answer.\n"
        assert own.ok("ask", "-a", "codex-1@shop", "second words") == "Second answer.\n"
        assert [text for text in model.asked(KEY)[-1].texts("user") if text.endswith("words")] == [
            "first words",
            "second words",
        ]
