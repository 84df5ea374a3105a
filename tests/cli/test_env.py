"""--env: with a value, or with the one that it has here."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon, agent
from tests.cli.daemon import vibespace as made
from vibespace.v1 import agents_pb2, vibespaces_pb2

CREATE, ADD = "VibespaceService/CreateVibespace", "AgentService/CreateAgent"


def test_a_name_alone_takes_the_value_from_here(
    vibespace: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of both commands that create agents, in the order given."""
    monkeypatch.setenv("TOKEN", "a = b\nc")
    daemon.answers[CREATE] = lambda _: vibespaces_pb2.CreateVibespaceResponse(vibespace=made("demo"))
    daemon.answers[ADD] = lambda _: agents_pb2.CreateAgentResponse(agent=agent("codex-1", "demo"))
    given = ("--env", "TOKEN", "--env", "MODE=fast=1", "--env", "EMPTY=", "--no-wait")
    assert vibespace("create", "demo", "-t", "codex", *given).code == 0
    assert vibespace("agent", "create", "--vibespace", "demo", *given).code == 0
    expected = ["TOKEN=a = b\nc", "MODE=fast=1", "EMPTY="]
    assert list(daemon.asked(CREATE)[0].agent.env) == list(daemon.asked(ADD)[0].settings.env) == expected


def test_a_name_that_is_not_set_here(vibespace: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of the daemon."""
    monkeypatch.delenv("TOKEN", raising=False)
    done = vibespace("create", "demo", "-t", "codex", "--env", "TOKEN")
    assert (done.code, done.json["error"]["reason"]) == (2, "ENV_NOT_SET")
    assert daemon.requests == []
