"""Another image: a newer one for those that run, and one of one's own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.e2e.installation import Installation, on_terminal
from tests.e2e.test_engine import derive
from tests.image.engine import base
from vibespace.client import Client
from vibespace.state import State
from vibespace.v1.system_pb2 import HostEngine, InitializeRequest, InitializeResponse

pytestmark = [pytest.mark.containers, pytest.mark.here("image works on the engine of the machine it is typed on")]


def test_images(own: Installation, engine: str) -> None:
    """`upgrade` records the image of this version, an agent shows both until it starts again, and --image takes any."""
    found = own.data("status")["host"]
    older = asyncio.run(derive(engine, found["image"]))
    request = InitializeRequest(engine=HostEngine(**found["engine"]), image=older)
    Client(State(own.home)).unary("SystemService/Initialize", request, InitializeResponse)
    own.ok("create", "aged", "-t", "codex")
    answer = own.data("image", "upgrade")
    assert (answer["image"], answer["previous_image"]) == (found["image"], older)
    assert {change["program"] for change in answer["changed"]} == {"claude", "codex"}  # of `older` nothing was known
    status = own.agent("codex-1@aged")["status"]
    assert (status["image"], status["next_image"]) == (older, found["image"])
    own.ok("stop", "aged")
    own.ok("start", "aged")
    status = own.agent("codex-1@aged")["status"]
    assert (status["image"], status["next_image"]) == (found["image"], "")
    assert "the newest" in on_terminal(own, "image", "upgrade").stdout

    own.ok("create", "mine", "-t", "codex", "--image", "localhost/vs-e2e:derived")
    assert own.agent("codex-1@mine")["status"]["image"] == older
    unfit = own.call("get", "/images/json", filters={"reference": ["localhost/vibespace-base"]})[0]["Id"]
    code, reason, sentence = own.refused("create", "bare", "-t", "codex", "--image", unfit)
    assert (code, reason) == (16, "IMAGE_UNFIT")
    assert "/usr/sbin/sshd" in sentence
    assert own.refused("create", "bare", "-t", "codex", "--image", "localhost/none:x")[:2] == (16, "IMAGE_NOT_FOUND")
    assert own.refused("info", "bare")[0] == 10
    for name in ("aged", "mine"):
        own.ok("delete", name, "--force")
    own.call("delete", f"/images/{older}")


def test_the_base_is_remembered(bare: Installation, tmp_path: Path) -> None:
    """What --base has named once, a later `init` and `image upgrade` go by; only this misses a tar that has gone."""
    (bare.home / "config.yaml").write_text(json.dumps({"engine": {"socket": bare.engine}}))
    tar = tmp_path / "debian.tar"
    tar.symlink_to(base())
    made = bare.data("init", "--base", "debian.tar", cwd=tmp_path)
    assert made["host"]["base"] == str(tar)
    before = bare.types()
    again = bare.data("init")
    assert (again["host"], bare.types()) == (made["host"], before)
    assert bare.data("image", "upgrade")["image"] == made["host"]["image"]
    tar.unlink()
    assert bare.data("init")["host"] == again["host"]
    code, reason, sentence = bare.refused("image", "upgrade")
    assert (code, reason) == (10, "BASE_NOT_FOUND")
    assert str(tar) in sentence
    assert "--base" in sentence
    assert bare.data("image", "upgrade", "--base", base())["image"] == made["host"]["image"]
    assert bare.data("status")["host"]["base"] == base()
