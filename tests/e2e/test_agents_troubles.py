"""What `ask` says when the model or the program fails, with the real programs: in bounded time what it was, and which
command mends it; the next `ask` works.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest

from tests.e2e.agents import CODEX, KEY, allowing
from tests.e2e.installation import Installation, installation
from tests.engines import Served
from tests.models.anthropic import Anthropic
from tests.models.endpoint import Endpoint
from tests.models.openai import OpenAI
from tests.models.script import Gate, Refusal, Turn, say

pytestmark = pytest.mark.here("the scripted model listens where the engine is, and config.yaml opens the way to it")

PATIENCE = 60
"""Seconds after which an `ask` that has not ended fails its test."""
END = "vibespace: The agent did not get to an end: "
NOW = {"retry-after": "0"}
CUT = Turn(["grain flour"], cut=True)


class Agent:
    """One, whose program tries a second time and no more, and whose model says what a test tells it to."""

    def __init__(self, own: Installation, name: str, model: Endpoint, login: tuple[str, ...]) -> None:
        self.own, self.name, self.model, self.login = own, name, model, login
        self.home = name.partition("@")[2]
        self.tries = 0
        """That its program was said to make beside the first, before it failed last."""
        self._serving = ExitStack()
        self._port = 0

    def up(self) -> str:
        """The model is there, where it was before; its address for agents."""
        url = self._serving.enter_context(self.model.in_thread("0.0.0.0", self._port))
        self._port = int(url.rpartition(":")[2])
        return allowing(self.own, url)

    def down(self) -> None:
        """Nobody listens there any more."""
        self._serving.close()

    def answers(self, *turns: Turn | Refusal) -> None:
        """What the model says from now on, when it is asked."""
        self.model.scripts[KEY] = [*[say("")] * len(self.model.asked(KEY)), *turns]

    def ask(self, *more: str) -> tuple[int, str, list[str]]:
        """Exit code, output, and the lines beside it."""
        done = self.own.run("ask", "-a", self.name, *more, "hello", timeout=PATIENCE)
        return done.returncode, done.stdout, done.stderr.splitlines()

    def fails(self) -> str:
        """The sentence by which it does; what comes before it says that the program tries again."""
        code, said, lines = self.ask()
        assert code == 15, (said, lines)
        assert all(line.endswith(", it tries again") for line in lines[:-1]), lines
        assert lines[-1].startswith(END)
        self.tries = len(lines) - 1
        return lines[-1].removeprefix(END)

    def works(self, *before: Turn) -> None:
        """With a model that answers it does; `before` that, what its program asks by itself."""
        self.answers(*before, say("There."))
        assert self.ask() == (0, "There.\n", [])

    def sets(self, value: str) -> None:
        """Its key is another one."""
        self.own.ok("credential", "set", *self.login, input=f"{value}\n")

    def is_asked(self, number: int) -> None:
        """Its model was, so many times in all."""
        deadline = time.monotonic() + PATIENCE
        while len(self.model.asked(KEY)) < number:
            assert time.monotonic() < deadline, "the model was not asked"

    def taken_up(self, words: str) -> None:
        """What was said in these words is, as the history tells."""
        deadline = time.monotonic() + PATIENCE
        while True:
            told = self.own.events("--vibespace", self.home, "--type", "message")
            uids = {each["uid"] for each in told if each["type"] == "message.said" and each["data"]["text"] == words}
            if uids & {each["uid"] for each in told if each["type"] == "message.acknowledged"}:
                return
            assert time.monotonic() < deadline, told


Agents = dict[str, Agent]


@pytest.fixture(scope="module")
def agents(served: Served) -> Iterator[Agents]:
    """One of each program, in a vibespace of its own; made once (6 s), for what goes wrong leaves nothing behind."""
    with installation(served.socket, place=served.place) as own, ExitStack() as stack:
        own.init()
        claude = Agent(own, "claude-1@mill", Anthropic({}), ("anthropic", "--vibespace", "mill"))
        codex = Agent(
            own, "codex-1@barn", OpenAI({}), ("environment", "--variable", "SCRIPTED_KEY", "--vibespace", "barn")
        )
        for agent in (claude, codex):
            stack.callback(agent.down)
        given = {
            "ANTHROPIC_BASE_URL": claude.up(),
            "CLAUDE_CODE_MAX_RETRIES": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        env = [word for name, value in given.items() for word in ("--env", f"{name}={value}")]
        own.ok("create", "mill", "-t", "claude-code", "--memory-limit", "1Gi", *env)
        url = codex.up()
        own.ok("create", "barn", "-t", "codex")
        own.ok("exec", codex.name, "--", "sh", "-c", "mkdir -p ~/.codex; cat > ~/.codex/config.toml", input=CODEX % url)
        for agent in (claude, codex):
            agent.sets(KEY)
        yield {"claude": claude, "codex": codex}


@pytest.mark.parametrize("program", ["claude", "codex"])
def test_no_login_and_a_wrong_one(agents: Agents, program: str) -> None:
    """Without a key, with a wrong one and with the right one: each time the sentence names the command that gives
    another, and that is enough.
    """
    agent = agents[program]
    agent.own.ok("credential", "delete", *agent.login, "--force")
    told = agent.fails()
    assert re.match("Not logged in|Missing environment variable", told)
    assert f"'vibespace credential set {'anthropic' if program == 'claude' else 'openai'}'" in told
    assert program == "claude" or "'vibespace credential set environment --variable NAME'" in told
    agent.sets("sk-ant-wrong-0123456789abcdefghijklm")
    told = agent.fails()
    assert re.match("Failed to authenticate|unexpected status 401", told)
    assert "'vibespace credential set " in told
    agent.sets(KEY)
    agent.works()


class Case(NamedTuple):
    """A model that fails one program."""

    program: str
    answers: list[Turn | Refusal]
    trouble: str
    words: str
    helps: str
    tries: int = 1
    """That are told, beside the first."""


CASES = {
    "claude, no such model": Case(
        "claude",
        [Refusal(404, "model: nosuch")] * 2,
        "model",
        "There's an issue with the selected model",
        "'vibespace config set claude-1@mill --model MODEL'",
        tries=0,
    ),
    "claude, 429": Case("claude", [Refusal(429, headers=NOW)] * 2, "rate_limit", "429", "Ask again later"),
    "claude, 529": Case("claude", [Refusal(529)] * 2, "overloaded", "529", "Ask again later"),
    "claude, cut": Case("claude", [CUT] * 3, "unreachable", "Connection dropped", "'vibespace info mill'"),
    "codex, no such model": Case(
        "codex",
        [Refusal(404, "The model `nosuch` does not exist.")] * 2,
        "model",
        "The model `nosuch` does not exist",
        "'vibespace config set codex-1@barn --model MODEL'",
    ),
    "codex, refused model": Case(
        "codex",
        [Refusal(400, "The requested model 'nosuch' does not exist.")],
        "model",
        "The requested model 'nosuch' does not exist",
        "'vibespace config set codex-1@barn --model MODEL'",
        tries=0,
    ),
    "codex, 429": Case("codex", [Refusal(429, headers=NOW)] * 2, "rate_limit", "429", "Ask again later"),
    "codex, 503": Case("codex", [Refusal(503)] * 4, "overloaded", "503", "Ask again later"),
    "codex, cut": Case("codex", [CUT] * 2, "unreachable", "stream disconnected", "'vibespace info barn'"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_model_fails(agents: Agents, case: Case) -> None:
    """Piped and in JSON: what it was in the program's words, what that is about, and what helps."""
    program, answers, trouble, words, helps, tries = case
    agent = agents[program]
    agent.answers(*answers)
    told = agent.fails()
    assert words in told
    assert helps in told
    assert agent.tries == tries
    agent.answers(*answers)
    code, said, _ = agent.ask("--json")
    lines: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines()]
    assert code == 15
    message, error = lines[-2]["message"], lines[-1]["error"]
    assert (message["state"], message["trouble"]) == ("done", trouble)
    assert helps in message["hint"] == error["hint"]
    assert (error["reason"], error["details"]) == ("TURN_FAILED", {"trouble": trouble})
    assert trouble in {line["block"]["error"]["trouble"] for line in lines if "error" in line.get("block", ())}
    agent.works()
    assert agent.model.surprises == []


@pytest.mark.parametrize(("program", "model", "tried"), [("claude", "claude-haiku-5-5", 1), ("codex", "gpt-5.5", 0)])
def test_another_model_is_asked(agents: Agents, program: str, model: str, tried: int) -> None:
    """The command that is named for one that there is not takes effect with the next message, before which Claude tries
    the model; the program's own again with the next conversation at the latest.
    """
    agent = agents[program]
    agent.works()
    agent.answers(*[say("Hi.")] * tried, say("There."))
    agent.own.ok("config", "set", agent.name, "--model", model)
    assert agent.ask() == (0, "There.\n", [])
    assert agent.model.asked(KEY)[-1].model == model
    agent.own.ok("config", "set", agent.name, "--model", "")
    agent.own.ok("agent", "new-conversation", agent.name)
    agent.works()
    assert agent.model.asked(KEY)[-1].model != model


@pytest.mark.parametrize("program", ["claude", "codex"])
def test_nobody_listens(agents: Agents, program: str) -> None:
    """It is given up, by Codex too, which by itself would wait for ever; and goes on once somebody does."""
    agent = agents[program]
    agent.down()
    told = agent.fails()
    assert re.match("API Error: Connection refused|Connection failed", told)
    assert f"'vibespace info {agent.home}'" in told
    assert agent.tries == 1
    agent.up()
    agent.works()


def killing(agent: Agent) -> None:
    agent.own.inside(agent.name, "kill -9 $(cut -d' ' -f1 ~/.vibespace/*/program)")


def starving(agent: Agent) -> None:
    """Something else takes all the memory, and the kernel ends who it is told to end first."""
    choose = "echo 1000 > /proc/$(cut -d' ' -f1 ~/.vibespace/*/program)/oom_score_adj"
    take = "exec python3 -c 'held = [bytes(1 << 20) * 2 for _ in range(4096)]'"
    agent.own.run("exec", agent.name, "--", "sh", "-c", f"{choose}; {take}")


@pytest.mark.parametrize(
    ("program", "end", "words"),
    [
        ("claude", killing, "its program was killed by signal 9"),
        ("codex", killing, "its program was killed by signal 9"),
        ("claude", starving, "its program was ended for want of memory"),
    ],
)
def test_the_program_ends_amid_a_turn(agents: Agents, program: str, end: Callable[[Agent], None], words: str) -> None:
    """Once, and the next one goes on; twice, and the turn is lost and says by what. The next message is in the same
    conversation.
    """
    agent = agents[program]
    before = len(agent.model.asked(KEY))
    agent.answers(*[Turn(["grain flour"], Gate())] * 2)
    asking = agent.own.popen("ask", "-a", agent.name, "hello")
    try:
        for number in (1, 2):
            agent.is_asked(before + number)
            end(agent)
        said, beside = asking.communicate(timeout=PATIENCE)
    finally:
        asking.kill()
        asking.communicate()
    again, told = beside.splitlines()
    assert (asking.returncode, said) == (15, "")
    assert again == "Its program went away in the midst of it. Another one is started, and goes on."
    assert told.startswith(f"{END}{words}. Ask again: {agent.name} goes on with the conversation")
    agent.works()
    assert agent.model.asked(KEY)[-1].texts("user").count("hello") > 1


def test_who_joined_a_turn_hears_its_end_though_its_program_died(agents: Agents) -> None:
    """The next program goes on, and that is the end of both: nobody is left to wait."""
    agent, gate = agents["codex"], Gate()
    before = len(agent.model.asked(KEY))
    agent.answers(Turn(["grain flour"], gate), Turn(["grain flour"], Gate()), say("There."))
    asking = [agent.own.popen("ask", "-a", agent.name, "hello")]
    try:
        agent.is_asked(before + 1)
        asking.append(agent.own.popen("ask", "-a", agent.name, "--steer", "and more"))
        agent.taken_up("and more")
        agent.model.loop.call_soon_threadsafe(gate.allow, 1000)
        agent.is_asked(before + 2)
        killing(agent)
        ends = [process.communicate(timeout=PATIENCE) for process in asking]
    finally:
        for process in asking:
            process.kill()
            process.communicate()
    assert [process.returncode for process in asking] == [0, 0], ends
    assert [said.splitlines()[-1] for said, _ in ends] == ["There.", "There."]
    agent.works()
