"""Which thing is meant by what was typed."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon, agent
from tests.cli.daemon import vibespace as made
from vibespace.v1 import agents_pb2, vibespaces_pb2

GET = "AgentService/GetAgent"


@pytest.fixture(autouse=True)
def _answers(daemon: Daemon) -> None:
    daemon.answers |= {
        GET: lambda r: agents_pb2.GetAgentResponse(agent=agent("claude-1", "demo")),
        "AgentService/ListAgents": lambda _: agents_pb2.ListAgentsResponse(
            agents=[agent("other", "demo"), agent("claude-1", "demo", primary=True)]
        ),
        "AgentService/StopAgent": lambda r: agents_pb2.StopAgentResponse(agent=agent("claude-1", "demo")),
    }
    _exist(daemon, "demo")


def _exist(daemon: Daemon, *names: str) -> None:
    daemon.answers["VibespaceService/ListVibespaces"] = lambda _: vibespaces_pb2.ListVibespacesResponse(
        vibespaces=[made(n) for n in names]
    )


@pytest.mark.parametrize(
    "line",
    [["claude-1@demo"], ["claude-1", "--vibespace", "demo"], ["vibespaces/demo/agents/claude-1"], ["claude-1"], []],
)
def test_an_agent_is_named_with_its_vibespace_or_beside_it(vibespace: Run, daemon: Daemon, line: list[str]) -> None:
    """`agent@vibespace`, --vibespace, the full name, the only vibespace, and the primary mean the same."""
    assert vibespace("agent", "info", *line).code == 0
    assert [r.name for r in daemon.asked(GET)] == ["vibespaces/demo/agents/claude-1"]


@pytest.mark.parametrize(
    "line", [["info", ""], ["info", "", "--vibespace", "demo"], ["stop", "", "--vibespace", "demo"]]
)
def test_an_empty_name_is_none(vibespace: Run, daemon: Daemon, line: list[str]) -> None:
    """Of a variable that is not set in a script: the primary is meant where nothing is said."""
    done = vibespace("agent", *line)
    assert (done.code, done.json["error"]["reason"]) == (2, "NAME_INVALID")


def test_the_environment_names_the_vibespace(vibespace: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """VIBESPACE_NAME stands where --vibespace would."""
    _exist(daemon, "one", "two")
    monkeypatch.setenv("VIBESPACE_NAME", "two")
    vibespace("agent", "info", "claude-1")
    assert [r.name for r in daemon.asked(GET)] == ["vibespaces/two/agents/claude-1"]


def test_several_vibespaces_are_not_guessed_from(vibespace: Run, daemon: Daemon) -> None:
    """With two of them, one has to be said."""
    _exist(daemon, "one", "two")
    done = vibespace("agent", "info", "claude-1")
    assert (done.code, done.json["error"]["reason"]) == (2, "VIBESPACE_AMBIGUOUS")
    assert "one, two" in done.err


def test_without_any_vibespace_the_way_to_one_is_said(vibespace: Run, daemon: Daemon) -> None:
    """There is none yet: not found."""
    _exist(daemon)
    done = vibespace("agent", "info")
    assert (done.code, done.json["error"]["reason"]) == (10, "NO_VIBESPACE")


def test_what_stops_or_destroys_takes_no_hint_from_there_being_one(vibespace: Run, daemon: Daemon) -> None:
    """The only vibespace is not enough where something is stopped or deleted."""
    for line in (["agent", "stop", "claude-1"], ["agent", "delete", "claude-1", "-f"]):
        done = vibespace(*line)
        assert (done.code, done.json["error"]["reason"]) == (2, "VIBESPACE_NEEDED")
    assert daemon.requests == []


def test_a_contradiction_is_refused(vibespace: Run) -> None:
    """`a@one --vibespace two` means nothing."""
    assert vibespace("agent", "info", "a@one", "--vibespace", "two").json["error"]["reason"] == "VIBESPACE_CONTRADICTED"


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a@b", "vibespaces/"])
def test_a_path_is_not_a_name(vibespace: Run, daemon: Daemon, name: str) -> None:
    """What would name something else than it seems to is refused before anything is asked."""
    assert vibespace("info", name).json["error"]["reason"] == "NAME_INVALID"
    assert daemon.requests == []


def test_an_agent_in_the_place_of_a_vibespace_is_told_from_it(vibespace: Run) -> None:
    """Who types an agent is told which vibespace it is in, not how names are spelt."""
    error = vibespace("info", "claude-1@demo").json["error"]
    assert error["message"] == "'claude-1@demo' is an agent, and a vibespace is meant."
    assert error["hint"] == "Say 'demo', or see 'vibespace agent --help'."


@pytest.mark.parametrize("line", [["claude-1@demo"], ["claude-1@demo", "ls"], ["-i", "claude-1@demo", "ls", "-l"]])
def test_what_lacks_its_dashes_is_shown_with_them(vibespace: Run, line: list[str]) -> None:
    """The example is for the agent that was typed; without one it stays as short as can be."""
    assert "'vibespace exec claude-1@demo -- ls -l'" in vibespace("exec", *line).err
    assert "'vibespace exec -- ls -l'" in vibespace("exec", "ls").err


def test_a_list_without_a_vibespace_is_of_all(vibespace: Run, daemon: Daemon) -> None:
    """Reading narrows only when told to."""
    vibespace("agent", "list")
    assert [r.parent for r in daemon.asked("AgentService/ListAgents")] == ["vibespaces/-"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["info"], "Say which: NAME, or VIBESPACE_NAME."),
        (["agent", "create", "-t", "codex"], "Say which: --vibespace NAME, or VIBESPACE_NAME."),
        (["agent", "info", "claude-1"], "Say which: AGENT@VIBESPACE, --vibespace NAME, or VIBESPACE_NAME."),
    ],
)
def test_the_way_to_say_which_is_one_that_the_command_takes(
    vibespace: Run, daemon: Daemon, line: list[str], said: str
) -> None:
    """By position, by flag, or with the agent."""
    _exist(daemon, "one", "two")
    done = vibespace(*line)
    assert (done.code, done.json["error"]["hint"]) == (2, said)
