"""The engine stops at work, the image goes, somebody takes a container away by hand: told and mended."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation, installation
from tests.e2e.relay import Relay
from vibespace.client import Client
from vibespace.engine.api import Api
from vibespace.state import State
from vibespace.v1.system_pb2 import HostEngine, InitializeRequest, InitializeResponse

pytestmark = pytest.mark.containers


@pytest.fixture
def relay(engine: str) -> Iterator[Relay]:
    made = Relay(engine)
    yield made
    made.close()


@pytest.mark.here("the daemon is killed, and the next one starts beside its client")
def test_engine_stops_at_work(engine: str, relay: Relay) -> None:
    """Without its engine nothing is known and every command says so; when it is back, all that was asked is done."""
    with installation(engine, relay.socket) as own:
        own.init()
        own.ok("create", "there", "-t", "codex")
        with own.popen("events", "--follow", "--type", "host.engine_unreachable") as following:
            relay.stop()
            assert following.stdout is not None
            assert "does not answer" in following.stdout.readline()
            following.kill()
        assert own.vibespace("there")["status"]["state"] == "unknown"
        assert own.agent("codex-1@there")["status"]["state"] == "unknown"
        assert own.data("status")["host"]["engine_reachable"] is False
        assert own.run("doctor").returncode == 15
        assert own.run("exec", "codex-1@there", "--", "true").returncode == 15
        for words in (["create", "later", "-t", "codex"], ["stop", "there"], ["delete", "there", "--force"]):
            assert own.refused(*words)[:2] == (15, "ENGINE_UNREACHABLE"), words
        own.kill()  # the next daemon finds no engine either
        assert own.vibespace("there")["status"]["state"] == "deleting"
        assert own.vibespace("later")["status"]["state"] == "unknown"

        with own.popen("events", "--follow", "--vibespace", "there", "--type", "vibespace.deleted") as following:
            relay.start()
            assert following.stdout is not None
            assert following.stdout.readline()
            following.kill()
        assert own.inside("codex-1@later", "echo works") == "works"
        assert [found["vibespace_id"] for found in own.data("list")["vibespaces"]] == ["later"]
        assert len(own.objects()["containers"]) == 1


@pytest.mark.core
@pytest.mark.clustered
def test_container_taken_away(own: Installation) -> None:
    """A container that somebody removes comes back, with its home, and the history tells of both."""
    own.ok("create", "robbed", "-t", "codex")
    own.inside("codex-1@robbed", "echo mine > ~/file")
    after = own.events()[-1]["cursor"]["position"]
    words = ["events", "--follow", "--after", str(after), "--type", "agent.observed"]
    with own.popen(*words) as following:
        assert following.stdout is not None
        own.take_container(own.objects()["containers"][0])
        assert '"failed"' in following.stdout.readline()
        assert '"running"' in following.stdout.readline()
        following.kill()
    assert own.inside("codex-1@robbed", "cat ~/file") == "mine"
    assert len(own.objects()["containers"]) == 1


@pytest.mark.here("init makes the image of the machine it is typed on")
def test_image_gone(own: Installation, engine: str) -> None:
    """An agent whose image is gone says so, and starts when `init` has brought the image back."""
    found = own.data("status")["host"]
    other = asyncio.run(derive(engine, found["image"]))
    request = InitializeRequest(engine=HostEngine(**found["engine"]), image=other)
    Client(State(own.home)).unary("SystemService/Initialize", request, InitializeResponse)
    own.ok("create", "blank", "-t", "codex")
    assert own.agent("codex-1@blank")["status"]["image"] == other
    own.ok("stop", "blank")
    own.call("delete", f"/images/{other}")
    code, reason, sentence = own.refused("start", "blank")
    assert (code, reason) == (15, "NOT_RUNNING")
    assert other in sentence
    assert own.run("doctor").returncode == 15
    assert own.data("init")["host"]["image"] == found["image"]
    assert own.data("start", "blank")["vibespace"]["status"]["state"] == "running"
    assert own.agent("codex-1@blank")["status"]["image"] == found["image"]


@pytest.mark.core
@pytest.mark.clustered
def test_leftovers(own: Installation) -> None:
    """What has our label and belongs to nothing is shown by doctor, and never deleted unasked."""
    name = f"left-{own.log_id}"
    own.make_volume(name)
    told = [f["subject"] for f in own.data("doctor")["findings"] if f["severity"] == "warning"]
    assert f"volume {name}" in told
    own.ok("create", "other", "-t", "codex")
    own.ok("delete", "other", "--force")
    own.restart()
    assert name in own.ok("doctor")
    assert own.objects()["volumes"] == [name]


async def derive(engine: str, image: str) -> str:
    """The id of an image like `image` that nobody else uses."""
    lines = f"FROM {image}\nLABEL made.for=a.test\n".encode()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        entry = tarfile.TarInfo("Containerfile")
        entry.size = len(lines)
        tar.addfile(entry, io.BytesIO(lines))
    api = Api(engine)
    try:
        async for _ in api.stream(
            "POST", "/build", context.getvalue(), t="localhost/vs-e2e:derived", dockerfile="Containerfile", rm=True
        ):
            pass  # only its end matters, and an error in it is raised
        return str((await api.get("/images/localhost/vs-e2e:derived/json"))["Id"])
    finally:
        await api.close()
