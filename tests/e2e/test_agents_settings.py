"""Settings hold at the model's endpoint and in what the real programs run: given at `create`, and changed in a
conversation that goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.agents import KEY, bash, claude, codex
from tests.e2e.installation import Installation
from tests.models.endpoint import Asked, Endpoint
from tests.models.script import Call, Gate, Turn, say

pytestmark = pytest.mark.here("the scripted model listens where the engine is, and config.yaml opens the way to it")

MILLER, BAKER = "Speak like a miller.", "Speak like a baker."
BEHIND = ["env touch /vibespace/c", "sh -c 'touch /vibespace/d'", "echo $(touch /vibespace/e)"]
"""Commands that a rule about `touch` does not see as such: each is asked about, or refused."""


def run(command: str) -> Call:
    """As Codex calls its shell."""
    return Call("exec_command", {"cmd": command})


TERMINAL = """
import glob, json, os, sys

sys.path.insert(0, *glob.glob(os.path.expanduser("~/.vibespace/runner-*")))
from vibespace.runner.websocket import WebSocket

server = WebSocket(os.path.expanduser("~/.vibespace/codex.sock"))
server.open()

def tell(method, **params):
    server.send(json.dumps({"id": method, "method": method, "params": params}).encode())
    return until(lambda said: said.get("id") == method)["result"]

def until(wanted):
    while not wanted(said := json.loads(b"".join(server.receive()))):
        pass
    return said

tell("initialize", clientInfo={"name": "terminal", "version": "1"}, capabilities={"experimentalApi": True})
(thread,) = tell("thread/loaded/list")["data"]
tell("thread/resume", threadId=thread)
given = [{"type": "text", "text": "words of a terminal"}]
tell("turn/start", threadId=thread, input=given, approvalPolicy="on-request")
until(lambda said: said.get("method") == "turn/completed")
"""
"""Begins a turn as Codex's own terminal does before it has heard of our settings: with a policy of its own."""


class Talk:
    """With one agent, whose model has it run commands."""

    def __init__(self, own: Installation, agent: str, model: Endpoint, call: Callable[[str], Call]) -> None:
        self._own, self._agent, self._model, self._call = own, agent, model, call

    def works(self, *commands: str, verdict: str = "deny") -> tuple[list[str], list[str]]:
        """One turn that runs these, one after the other: those that it asked about, and what came of each."""
        before = len(self._model.asked(KEY))
        script = [*[say("")] * before, *(say(self._call(command)) for command in commands), say("Done.")]
        self._model.scripts[KEY] = script
        asking = self._own.popen("ask", "-a", self._agent, "go")
        asked: list[str] = []
        deadline = time.monotonic() + 60
        while asking.poll() is None:
            assert time.monotonic() < deadline, asked
            for approval in self._own.data("approval", "list")["approvals"]:
                asked.append(json.loads(approval["input"])["command"])
                self._own.run("approval", verdict, approval["uid"])
        said, beside = asking.communicate()
        assert (asking.returncode, said) == (0, "Done.\n"), beside
        came = self._model.asked(KEY)[-1].texts("result")
        return asked, came[len(came) - len(commands) :]

    def sets(self, *flags: str) -> None:
        self._own.ok("config", "set", self._agent, *flags)

    def there(self) -> set[str]:
        """What the commands left."""
        return set(self._own.inside(self._agent, "ls /vibespace").split())

    @property
    def last(self) -> Asked:
        """What the model was asked last."""
        return self._model.asked(KEY)[-1]

    def ends_at_the_limit(self, rounds: int) -> None:
        """A model that never has enough is stopped after so many, or while it thinks about the next but one, and the
        next message is worked on.
        """
        before, thinking = len(self._model.asked(KEY)), Turn(["I think and think."], Gate())
        script = [*[say("")] * before, *[say(self._call("echo again"))] * (rounds + 1), thinking]
        self._model.scripts[KEY] = script
        done = self._own.run("ask", "-a", self._agent, "go", timeout=60)
        assert done.returncode == 15
        assert "as many turns as its settings allow" in done.stderr
        assert len(self._model.asked(KEY)) - before <= rounds + 2
        assert self.works() == ([], [])


def test_claude_works_by_its_settings(own: Installation) -> None:
    """Prompt, model and effort arrive; what is disallowed is not done in any dress, also where nobody is asked."""
    given = ("--model", "haiku", "--system-prompt", MILLER, "--reasoning-effort", "low")
    rules = ("--allowed-tools", "Bash(echo:*),Bash(mkdir:*)", "--disallowed-tools", "Bash(touch:*)")
    with claude(own, [], *given, *rules) as model:
        talk = Talk(own, "claude-1@shop", model, bash)
        asked, came = talk.works("mkdir /vibespace/a && echo made", "echo no && touch /vibespace/b", *BEHIND)
        assert came[0] == "made"
        assert not {"mkdir /vibespace/a && echo made", "echo no && touch /vibespace/b"} & set(asked)
        assert talk.there() == {"a"}
        assert talk.last.model.startswith("claude-haiku")
        assert MILLER in talk.last.system
        assert talk.last.body["output_config"]["effort"] == "low"

        talk.sets("--model", "opus", "--system-prompt", BAKER, "--reasoning-effort", "high")
        talk.sets("--allowed-tools", "Bash(echo:*)", "--disallowed-tools", "")
        asked, _ = talk.works("mkdir /vibespace/f", "touch /vibespace/g", verdict="allow")
        assert asked == ["mkdir /vibespace/f", "touch /vibespace/g"]
        assert talk.there() == {"a", "f", "g"}
        assert talk.last.model.startswith("claude-opus")
        assert (BAKER in talk.last.system, MILLER in talk.last.system) == (True, False)
        assert talk.last.body["output_config"]["effort"] == "high"

        talk.sets("--skip-permissions", "--disallowed-tools", "Bash(touch:*)", "--max-turns", "3")
        asked, _ = talk.works("mkdir /vibespace/h", "echo no && touch /vibespace/i")
        assert asked == []
        assert talk.there() == {"a", "f", "g", "h"}
        talk.ends_at_the_limit(3)
        assert talk.last.texts("user").count("go") == 5
        assert model.surprises == []


def test_codex_works_by_its_settings(own: Installation) -> None:
    """As Claude does; its rounds are counted here. What `sh -c` hides is asked about as everything is."""
    given = ("--model", "gpt-5.5", "--system-prompt", MILLER, "--reasoning-effort", "low")
    rules = ("--allowed-tools", "Bash(echo:*),Bash(mkdir:*)", "--disallowed-tools", "Bash(touch:*)")
    with codex(own, [], *given, *rules) as model:
        talk = Talk(own, "codex-1@shop", model, run)
        asked, came = talk.works("mkdir /vibespace/a && echo made", "echo no && touch /vibespace/b", *BEHIND)
        assert "made" in came[0]
        assert not {"mkdir /vibespace/a && echo made", "echo no && touch /vibespace/b"} & set(asked)
        assert talk.there() == {"a"}
        assert talk.last.model == "gpt-5.5"
        assert MILLER in told(talk.last)
        assert talk.last.body["reasoning"]["effort"] == "low"

        talk.sets("--model", "gpt-5.5-codex", "--system-prompt", BAKER, "--reasoning-effort", "high")
        talk.sets("--allowed-tools", "", "--disallowed-tools", "")
        asked, _ = talk.works("mkdir /vibespace/f", "touch /vibespace/g", verdict="allow")
        assert len(asked) == 2
        assert talk.there() == {"a", "f", "g"}
        assert talk.last.model == "gpt-5.5-codex"
        assert told(talk.last).rindex(BAKER) > told(talk.last).rindex(MILLER)
        assert talk.last.body["reasoning"]["effort"] == "high"

        talk.sets("--skip-permissions", "--disallowed-tools", "Bash(touch:*)", "--max-turns", "3")
        asked, _ = talk.works("mkdir /vibespace/h", "echo no && touch /vibespace/i")
        assert asked == []
        assert talk.there() == {"a", "f", "g", "h"}
        talk.ends_at_the_limit(3)
        assert talk.last.texts("user").count("go") == 5
        assert model.surprises == []


def test_codex_is_told_its_settings_again(own: Installation) -> None:
    """A turn that was begun at a terminal with another policy has the next one ask all the same."""
    with codex(own, [say("First answer."), say("Second answer.")]) as model:
        own.ok("ask", "-a", "codex-1@shop", "first words")
        own.ok("exec", "codex-1@shop", "--", "python3", "-", input=TERMINAL)
        asked, _ = Talk(own, "codex-1@shop", model, run).works("touch /vibespace/a")
        assert [command for command in asked if "touch /vibespace/a" in command] == asked != []
        assert own.inside("codex-1@shop", "ls /vibespace") == ""


def told(asked: Asked) -> Any:
    """What the history has of instructions, in order."""
    return "\n".join(asked.texts("system"))
