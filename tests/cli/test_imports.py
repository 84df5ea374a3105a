"""A command line is started hundreds of times a day: it imports what its command needs, and no more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.daemon import Daemon, agent
from tests.cli.daemon import vibespace as made
from vibespace.v1 import agents_pb2, events_pb2, vibespaces_pb2

ROOT = Path(__file__).parent.parent.parent

NEVER = {"kubernetes", "asyncssh", "eventsourcing", "cryptography", "textual", "grpc_status", "importlib.metadata"}
"""What no command of this table may import: the daemon's, or slower than the command."""

HEAVY = {"rich", "yaml", "aiohttp", "google.rpc", "vibespace.errgrpc", "vibespace.setup", "vibespace.config"}
"""What some command needs and those of this table do not."""

TABLE: list[tuple[list[str], set[str]]] = [
    (["list"], HEAVY | {"vibespace_cli.settle", "vibespace_cli.repository"}),
    (["info", "demo"], HEAVY | {"vibespace_cli.settle"}),
    (["events"], HEAVY | {"vibespace_cli.settle", "vibespace_cli.run"}),
    (["exec", "claude-1@demo", "--", "true"], HEAVY | {"vibespace_cli.settle", "vibespace_cli.render"}),
    (["logs", "claude-1@demo"], HEAVY | {"vibespace_cli.settle", "vibespace_cli.render", "vibespace.archive"}),
    (["config", "path"], HEAVY | {"grpc", "vibespace.client"}),
    (["version"], HEAVY | {"vibespace_cli.settle"}),
    (["list", "--help"], HEAVY | {"grpc", "vibespace.client"}),
    (["config", "file"], (HEAVY | {"grpc"}) - {"yaml", "vibespace.config"}),
]


@pytest.mark.parametrize(("line", "unwanted"), TABLE, ids=lambda x: " ".join(x) if isinstance(x, list) else "")
def test_a_command_imports_no_more_than_it_needs(daemon: Daemon, line: list[str], unwanted: set[str]) -> None:
    """The table holds, read from the interpreter's own report."""
    daemon.answers |= {
        "VibespaceService/ListVibespaces": lambda _: vibespaces_pb2.ListVibespacesResponse(vibespaces=[made("demo")]),
        "VibespaceService/GetVibespace": lambda _: vibespaces_pb2.GetVibespaceResponse(vibespace=made("demo")),
        "AgentService/GetAgent": lambda _: agents_pb2.GetAgentResponse(agent=agent("claude-1", "demo")),
        "AgentService/Exec": lambda _: iter([agents_pb2.ExecResponse(exit=agents_pb2.ExecExit(code=0))]),
        "AgentService/StreamLogs": lambda _: iter([agents_pb2.StreamLogsResponse()]),
        "EventService/StreamEvents": lambda _: iter([events_pb2.StreamEventsResponse()]),
        "SystemService/GetVersion": lambda _: system_version(),
    }
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "vibespace", *line],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "frontends/cli")])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {row.rpartition("|")[2].strip() for row in done.stderr.splitlines() if row.startswith("import time:")}
    assert imported & (NEVER | unwanted) == set()


def system_version() -> object:
    """The daemon's side of `version`."""
    from vibespace.v1.system_pb2 import GetVersionResponse

    return GetVersionResponse(version="1")
