"""Who may import whom, each row with its because."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ANYONE = frozenset({"vibespace.errors", "vibespace.__version__"})
"""Neither imports anything."""
CONTRACTS = frozenset(
    {
        "vibespace.engine.base",
        "vibespace.net.base",
        "vibespace.net.gitbase",
        "vibespace.harness.base",
        "vibespace.harness.events",
    }
)
"""Protocols and frozen data: what an implementation is may be known by all who are handed one."""


@dataclass(frozen=True)
class Row:
    """Files, what of ours they may import besides themselves, what of others they must not, and why."""

    files: str
    ours: frozenset[str]
    never: frozenset[str]
    because: str
    but: frozenset[str] = frozenset()
    """File names the row does not speak of."""


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DECIDING = words("vibespace.domain vibespace.app vibespace.harness.registry")
"""What commands may know: what an agent's program refuses is refused before it is recorded."""

ROWS = [
    Row(
        "vibespace/errors.py",
        words(""),
        words("grpc google asyncio os"),
        "everything imports it, so it imports nothing",
    ),
    Row(
        "vibespace/domain/*.py",
        words("vibespace.domain vibespace.moments"),
        words("grpc google kubernetes asyncssh aiohttp asyncio os time random secrets socket subprocess threading"),
        "replay is pure and instant; time and ids come in from outside",
    ),
    Row(
        "vibespace/app/*.py",
        DECIDING | CONTRACTS,
        words("grpc google kubernetes asyncssh aiohttp"),
        "commands are testable as plain functions; wire types never reach events",
        but=words("blobs.py"),
    ),
    Row(
        "vibespace/app/blobs.py",
        words("vibespace.durable"),
        words("grpc google kubernetes asyncssh aiohttp asyncio threading"),
        "what is too long for an event is on the disk before the event that names it is in the log",
    ),
    Row(
        "vibespace/app/*.py",
        DECIDING | CONTRACTS,
        words("asyncio threading"),
        "threads meet the event loop in the writer and in the feed that it wakes; the index is opened by any of them",
        but=words("writer.py feed.py log.py index.py blobs.py deltas.py"),
    ),
    Row(
        "vibespace/app/deltas.py",
        DECIDING | CONTRACTS,
        words("threading"),
        "who watches waits on the event loop for what agents are just saying, and no thread comes near it",
    ),
    Row(
        "vibespace/engine/*.py",
        words("vibespace.engine vibespace.amounts"),
        words("grpc google eventsourcing kubernetes"),
        "an engine is replaceable and testable alone",
        but=words("login.py"),
    ),
    Row(
        "vibespace/engine/login.py",
        words("vibespace.engine"),
        words("grpc google eventsourcing"),
        "how to log in at a cluster is known by a library, and by nobody else of us",
    ),
    Row(
        "vibespace/harness/*.py",
        words("vibespace.harness"),
        words(
            "grpc google asyncio os pathlib socket subprocess threading time datetime random secrets asyncssh aiohttp "
            "eventsourcing"
        ),
        "an agent program is data plus one parser: fed the same lines again, it says the same",
    ),
    Row(
        "vibespace/reconcile/*.py",
        words("vibespace.reconcile vibespace.app vibespace.domain vibespace.harness") | CONTRACTS,
        words("grpc google kubernetes asyncssh aiohttp eventsourcing"),
        "it decides over dataclasses",
    ),
    Row(
        "vibespace/archive/*.py",
        words("vibespace.archive"),
        words("grpc google asyncssh aiohttp asyncio kubernetes click"),
        "it runs inside containers too, where there is nothing but Python itself",
    ),
    Row(
        "vibespace/net/*.py",
        words("vibespace.net vibespace.engine.base vibespace.durable"),
        words("grpc google kubernetes eventsourcing"),
        "it reaches containers only through `dial`",
    ),
    Row(
        "vibespace/moments.py",
        words(""),
        words("grpc google asyncio time"),
        "both ends read what a person typed, each with its own clock, and a rule says whether it will do",
    ),
    Row(
        "vibespace/vault.py",
        words("vibespace.durable"),
        words("grpc google kubernetes asyncssh aiohttp eventsourcing asyncio"),
        "what keeps secrets is small enough to be read whole, and nothing of it is on the wire or in the log",
    ),
    Row(
        "vibespace/runner/*.py",
        words("vibespace.runner"),
        words("grpc google eventsourcing asyncssh aiohttp asyncio subprocess argparse"),
        "it runs inside, with nothing of ours, and stays beside every program: each module is memory",
    ),
    Row(
        "vibespace/setup/*.py",
        words(
            "vibespace.setup vibespace.config vibespace.state vibespace.durable vibespace.engine.base "
            "vibespace.engine.api vibespace.engine.bodies.LOG vibespace.engine.bodies.VIBESPACE "
            "vibespace.engine.bodies.volume_of vibespace.engine.identify vibespace.engine.cluster "
            "vibespace.engine.kubeapi vibespace.engine.rights vibespace.engine.renewal vibespace.engine.manifests "
            "vibespace.engine.paths vibespace.engine.homes vibespace.engine.errands vibespace.engine.podlook "
            "vibespace.engine.enforcement"
        ),
        words("grpc google eventsourcing asyncssh"),
        "it runs before and after any daemon, and speaks to engines by the API, the labels and the names they share",
    ),
    Row(
        "vibespace/daemon/*.py",
        words(
            "vibespace.daemon vibespace.app vibespace.domain vibespace.v1 vibespace.errgrpc vibespace.state "
            "vibespace.moments vibespace.amounts"
        )
        | CONTRACTS,
        words("eventsourcing asyncssh aiohttp kubernetes"),
        "a servicer translates; which engine and which net it works with is handed in",
        but=words("__main__.py engines.py returning.py"),
    ),
    Row(
        "vibespace/daemon/returning.py",
        words(
            "vibespace.app vibespace.domain vibespace.state vibespace.launch vibespace.setup.installation "
            "vibespace.setup.engine.Choice"
        ),
        words("grpc google eventsourcing asyncssh aiohttp kubernetes"),
        "the marker that it keeps is also read before there is a daemon, and when there is none any more",
    ),
    Row(
        "vibespace/client.py",
        words("vibespace.launch vibespace.state vibespace.errgrpc vibespace.resume vibespace.v1"),
        words("eventsourcing asyncssh aiohttp kubernetes asyncio yaml rich"),
        "whoever uses it starts fast, and the daemon may be elsewhere",
    ),
    Row(
        "vibespace/resume.py",
        words("vibespace.v1"),
        words("grpc asyncio"),
        "both clients go on by it, each in its own way of waiting",
    ),
    Row(
        "vibespace/channel.py",
        words("vibespace.client vibespace.launch vibespace.state vibespace.resume"),
        words("eventsourcing asyncssh aiohttp kubernetes yaml rich"),
        "it is the other client's way to the daemon, for programs that wait for many things at once",
    ),
    Row(
        "vibespace/aio.py",
        words("vibespace.channel vibespace.resume vibespace.state vibespace.v1"),
        words("eventsourcing asyncssh aiohttp kubernetes yaml rich"),
        "other people's programs import it, and the daemon may be elsewhere",
    ),
    Row(
        "frontends/cli/**/*.py",
        words(
            "vibespace_cli vibespace.v1 vibespace.errgrpc vibespace.config vibespace.state vibespace.client "
            "vibespace.launch vibespace.catalog vibespace.setup vibespace.engine.api vibespace.archive "
            "vibespace.moments vibespace.amounts vibespace.resume"
        ),
        words("eventsourcing asyncssh kubernetes"),
        "frontends start fast and work against a remote daemon",
    ),
]


def imports(path: Path) -> Iterator[str]:
    """Every module that `path` names in an import, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, modules: frozenset[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def violations(row: Row) -> Iterator[str]:
    for path in sorted(ROOT.glob(row.files)):
        if path.name in row.but:
            continue
        for name in imports(path):
            ours = name.split(".")[0] in ("vibespace", "vibespace_cli")
            if within(name, row.never) or (ours and not within(name, row.ours | ANYONE)):
                yield f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.files}: {row.because}" for row in ROWS])
def test_rooms(row: Row) -> None:
    """A room imports only what the table allows it."""
    assert list(ROOT.glob(row.files)), "the row speaks of no file"
    assert list(violations(row)) == []


def test_a_violation_is_seen(tmp_path: Path) -> None:
    """The table is not held by a reader that sees nothing."""
    path = tmp_path / "bad.py"
    path.write_text("def f():\n    from vibespace.daemon import convert\n    import asyncssh\n")
    assert list(imports(path)) == ["vibespace.daemon.convert", "asyncssh"]
