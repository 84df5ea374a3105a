"""Settings of agents, as they are typed and told."""

from __future__ import annotations

from typing import Any

import pytest
from vibespace_cli.fill import separate

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon, agent
from tests.cli.daemon import vibespace as made
from tests.cli.process import on_terminal
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import vibespaces_pb2

CREATE, ADD = "VibespaceService/CreateVibespace", "AgentService/CreateAgent"
UPDATE, SHOW = "AgentService/UpdateAgent", "AgentService/GetAgentSettings"
WHO = "claude-1@demo"


def standing(setting: str, value: str = "") -> a.Setting:
    source = a.SETTING_SOURCE_SET if value else a.SETTING_SOURCE_PROGRAM
    return a.Setting(setting=setting, value=value, source=source, in_force=a.IN_FORCE_AT_THE_NEXT_IDLE)


@pytest.fixture(autouse=True)
def _answers(daemon: Daemon) -> None:
    settings = [
        standing("model", "opus"),
        standing("system_prompt", "be\nbrief \x1b[31m" + "e" * 100),
        standing("effort"),
    ]
    daemon.answers[UPDATE] = lambda _: a.UpdateAgentResponse(agent=agent("claude-1", "demo"), settings=settings)
    daemon.answers[SHOW] = lambda _: a.GetAgentSettingsResponse(settings=settings)


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        ("Read", ["Read"]),
        ("Read,Edit", ["Read", "Edit"]),
        (" Read , Edit,", ["Read", "Edit"]),
        ("Bash(git log a,b:*),Read", ["Bash(git log a,b:*)", "Read"]),
        ("Bash(echo (a,b),c),Read", ["Bash(echo (a,b),c)", "Read"]),
        ("Bash(a,b", ["Bash(a,b"]),
        ("a),b", ["a)", "b"]),
        ("", []),
    ],
)
def test_commas_part_values(entry: str, values: list[str]) -> None:
    """But for those within parentheses; what is left open is one value, for the daemon to refuse."""
    assert separate(entry) == values


def test_they_are_given_to_both_commands_that_create(vibespace: Run, daemon: Daemon) -> None:
    """With commas, several times, or both; what is not typed is not set."""
    daemon.answers[CREATE] = lambda _: vibespaces_pb2.CreateVibespaceResponse(vibespace=made("demo"))
    daemon.answers[ADD] = lambda _: a.CreateAgentResponse(agent=agent("codex-1", "demo"))
    tools = ["--allowed-tools", "Read,Bash(git a,b:*)", "--allowed-tools", "Edit", "--disallowed-tools", "WebFetch"]
    rest = ["--model", "", "--max-turns", "3", "--system-prompt", "Be brief.", "--reasoning-effort", "low"]
    rest += ["--approval-timeout", "10m"]
    for line in (["create", "demo"], ["agent", "create", "--vibespace", "demo"]):
        assert vibespace(*line, "-t", "codex", *tools, *rest, "--skip-permissions", "--no-wait").code == 0
    expected = a.AgentSettings(
        type=a.AGENT_TYPE_CODEX,
        model="",
        max_turns=3,
        system_prompt="Be brief.",
        allowed_tools=["Read", "Bash(git a,b:*)", "Edit"],
        disallowed_tools=["WebFetch"],
        skip_permissions=True,
        effort="low",
        approval_timeout="10m",
    )
    assert daemon.asked(CREATE)[0].agent == daemon.asked(ADD)[0].settings == expected
    assert vibespace("create", "demo", "-t", "codex", "--no-wait").code == 0
    assert daemon.asked(CREATE)[1].agent == a.AgentSettings(type=a.AGENT_TYPE_CODEX)


@pytest.mark.parametrize(
    ("line", "settings", "paths"),
    [
        (["--model", "opus"], {"model": "opus"}, ["model"]),
        (["--model", ""], {"model": ""}, ["model"]),
        (["--max-turns", "0"], {"max_turns": 0}, ["max_turns"]),
        (["--allowed-tools", ""], {}, ["allowed_tools"]),
        (["--approval-timeout", "0"], {"approval_timeout": "0"}, ["approval_timeout"]),
        (["--no-skip-permissions"], {"skip_permissions": False}, ["skip_permissions"]),
        (
            ["--skip-permissions", "--disallowed-tools", "Read,Edit"],
            {"disallowed_tools": ["Read", "Edit"], "skip_permissions": True},
            ["disallowed_tools", "skip_permissions"],
        ),
    ],
)
def test_a_change_names_what_was_typed(
    vibespace: Run, daemon: Daemon, line: list[str], settings: dict[str, Any], paths: list[str]
) -> None:
    """And nothing else: an empty value is one, too."""
    assert vibespace("config", "set", WHO, *line).code == 0
    [request] = daemon.asked(UPDATE)
    assert request.agent == a.Agent(name="vibespaces/demo/agents/claude-1", settings=a.AgentSettings(**settings))
    assert list(request.update_mask.paths) == [f"settings.{path}" for path in paths]


@pytest.mark.parametrize("entry", [",,,", " , ", " "])
def test_commas_alone_take_nothing_away(vibespace: Run, daemon: Daemon, entry: str) -> None:
    """An empty value does, for that is said on purpose."""
    done = vibespace("config", "set", WHO, "--allowed-tools", entry)
    assert (done.code, done.json["error"]["reason"], daemon.requests) == (2, "NOTHING_NAMED", [])


def test_a_change_of_nothing(vibespace: Run, daemon: Daemon) -> None:
    """Says where to see what can be changed, and asks nothing of the daemon."""
    done = vibespace("config", "set", WHO)
    assert (done.code, done.json["error"]["reason"], daemon.requests) == (2, "NOTHING_TO_CHANGE", [])
    assert done.err == "vibespace: Say what to change. 'vibespace config set --help' lists what can.\n"


def test_a_change_names_its_vibespace(vibespace: Run, daemon: Daemon) -> None:
    """That there is only one is not enough."""
    done = vibespace("config", "set", "--model", "opus")
    assert (done.code, done.json["error"]["reason"], daemon.requests) == (2, "VIBESPACE_NEEDED", [])


def test_what_was_changed_is_told(vibespace: Run, daemon: Daemon) -> None:
    """A sentence each, rows with --plain, the agent's name with --quiet, all of the answer in JSON."""
    line = ["config", "set", WHO, "--model", "opus"]
    code, seen = on_terminal(*line)
    assert (code, seen.splitlines()) == (
        0,
        [
            f"{WHO}: model is opus, in force at the next idle.",
            f"{WHO}: system_prompt is be brief \\x1b[31m{'e' * 42}…, in",
            "force at the next idle.",
            f"{WHO}: effort is left to the program, in force at the next idle.",
        ],
    )
    assert vibespace(*line, "--plain").out.splitlines()[0] == "model\topus\tset\tat-the-next-idle"
    assert vibespace(*line, "-q").out == f"{WHO}\n"
    assert vibespace(*line).json["data"]["agent"]["agent_id"] == "claude-1"


def test_settings_are_a_table(vibespace: Run) -> None:
    """Where they come from and whether they are in force; in JSON by the same words."""
    assert "SETTING        VALUE" in on_terminal("config", "show", WHO, "--no-color")[1]
    assert vibespace("config", "show", WHO).json["data"]["settings"][2] == {
        "setting": "effort",
        "value": "",
        "source": "program",
        "in_force": "at-the-next-idle",
    }


def test_who_asks_nobody_is_seen_in_lists(vibespace: Run, daemon: Daemon) -> None:
    """A column for people where anybody does; for scripts always, so that none of the others moves."""
    bold, plain = agent("bold", "demo"), agent("plain", "demo")
    agents = [plain]
    daemon.answers["AgentService/ListAgents"] = lambda _: a.ListAgentsResponse(agents=agents)
    assert "SKIP PERMISSIONS" not in on_terminal("agent", "list")[1]
    assert vibespace("agent", "list", "--plain").out == "plain\tdemo\tclaude-code\t\trunning\n"
    bold.settings.skip_permissions = True
    agents.append(bold)
    assert "SKIP PERMISSIONS" in on_terminal("agent", "list")[1]
    assert vibespace("agent", "list", "--plain").out.splitlines()[1] == "bold\tdemo\tclaude-code\tyes\trunning"


def test_what_others_wrote_stays_on_its_line(daemon: Daemon) -> None:
    """A prompt cannot make lines of its own, nor move the cursor."""
    shown = agent("claude-1", "demo")
    shown.settings.system_prompt = "be\nbrief \x1b[31m"
    daemon.answers["AgentService/GetAgent"] = lambda _: a.GetAgentResponse(agent=shown)
    assert "system prompt      be brief \\x1b[31m\n" in on_terminal("agent", "info", WHO, "--no-color")[1]
