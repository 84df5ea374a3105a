"""The programs under examples/ do what they say, against the real daemon on the engine in memory."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hosts import FAKE_ENGINE
from vibespace import aio, launch
from vibespace.client import Client
from vibespace.state import State
from vibespace.v1.agents_pb2 import AGENT_STATE_RUNNING, AGENT_TYPE_CODEX, AgentSettings
from vibespace.v1.events_pb2 import WatchResponse
from vibespace.v1.system_pb2 import InitializeRequest, InitializeResponse
from vibespace.v1.vibespaces_pb2 import CreateVibespaceRequest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    """An initialized state directory whose daemon runs."""
    made = State(Path(tempfile.mkdtemp(prefix="vs-")))
    monkeypatch.setenv("VIBESPACE_HOME", str(made.home))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    request = InitializeRequest(engine=FAKE_ENGINE, image="i")
    client = Client(made)
    client.unary("SystemService/Initialize", request, InitializeResponse)
    client.close()
    yield made
    os.kill(int(made.lock.read_text()), signal.SIGTERM)
    launch.wait_until_ended(made)
    shutil.rmtree(made.home)


def run(example: str, *words: str, code: int = 0) -> str:
    """What the example prints."""
    line = [sys.executable, str(EXAMPLES / example), *words]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_work_in_a_vibespace(state: State) -> None:
    """It makes one, runs a command in it, passes its exit code on, tells the history, and leaves nothing."""
    said = run("work_in_a_vibespace.py", "demo", "sh", "-c", "echo here; exit 3", code=3).splitlines()
    assert said[0] == "here"
    told = [line.split("\t")[1:] for line in said[1:]]
    assert told[:2] == [["vibespace.created", "vibespaces/demo"], ["agent.created", "vibespaces/demo/agents/codex-1"]]
    assert ["vibespace.deletion_requested", "vibespaces/demo"] in told


def test_a_refusal_is_a_sentence(state: State) -> None:
    """As the daemon worded it."""
    assert "is not a name" in run("work_in_a_vibespace.py", "NO", "true", code=1)


def test_reflection(state: State) -> None:
    """It lists the methods, calls one that changes something and one that reads, and is told what it does wrong."""
    socket = str(state.socket)
    assert {"VibespaceService/CreateVibespace", "EventService/Watch"} <= set(run("reflection.py", socket).split())
    wanted = json.dumps({"vibespace_id": "demo", "agent": {"type": "AGENT_TYPE_CODEX"}})
    made = json.loads(run("reflection.py", socket, "VibespaceService/CreateVibespace", wanted))
    listed = json.loads(run("reflection.py", socket, "VibespaceService/ListVibespaces"))
    assert [one["uid"] for one in listed["vibespaces"]] == [made["vibespace"]["uid"]]
    assert "has no method" in run("reflection.py", socket, "VibespaceService/Other", code=1)
    assert "ALREADY_EXISTS" in run("reflection.py", socket, "VibespaceService/CreateVibespace", wanted, code=1)


def test_reflection_knows_nothing_of_ours() -> None:
    """It imports what any gRPC client in Python has."""
    tree = ast.parse((EXAMPLES / "reflection.py").read_text())
    froms = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = froms + [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {name.partition(".")[0] for name in names} == {"sys", "grpc", "google", "grpc_reflection"}


async def test_what_the_page_shows(state: State) -> None:
    """The blocks of docs/clients.md run one after the other: the list is there, and the watch tells what is made."""
    first, second = (
        compile(block, "docs/clients.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for block in re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/clients.md").read_text(), re.M | re.S)
    )
    shown: dict[str, Any] = {}
    await eval(first, shown)
    assert list(shown["found"].vibespaces) == []
    async with aio.Client() as client:
        settings = AgentSettings(type=AGENT_TYPE_CODEX)
        await client.vibespaces.CreateVibespace(CreateVibespaceRequest(vibespace_id="demo", agent=settings))
        shown["client"] = Patient(client)
        await eval(second, shown)
    assert set(shown["known"]) == {"vibespaces/demo", "vibespaces/demo/agents/codex-1"}


class Patient:
    """A client whose watch, unlike the real one's, ends: when an agent runs."""

    def __init__(self, client: aio.Client) -> None:
        self.client = client

    async def watch(self, parent: str) -> AsyncIterator[WatchResponse]:
        async for response in self.client.watch(parent):
            yield response
            if any(change.agent.status.state == AGENT_STATE_RUNNING for change in response.changes):
                return


def test_every_example_is_run() -> None:
    """None lies about untested."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"work_in_a_vibespace.py", "reflection.py"}
