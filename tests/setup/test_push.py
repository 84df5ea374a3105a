"""Where an image goes, and who may put it there."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from vibespace.engine.api import Api
from vibespace.errors import Aborted, InvalidArgument, Unavailable
from vibespace.setup.push import push, split


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("registry.example/agent", ("registry.example/agent", "latest")),
        ("registry.example/team/agent:1", ("registry.example/team/agent", "1")),
        ("registry.example:5000/agent", ("registry.example:5000/agent", "latest")),
        ("localhost/agent:x", ("localhost/agent", "x")),
    ],
)
def test_split(text: str, parts: Sequence[str]) -> None:
    """A port is no tag."""
    assert split(text) == parts


@pytest.mark.parametrize(
    "text", ["", "agent", "team/agent", "registry.example", "a.example/x@sha256:0", "a.example/x y"]
)
def test_what_names_no_registry(text: str) -> None:
    """It is refused before anything is built."""
    with pytest.raises(InvalidArgument) as refused:
        split(text)
    assert refused.value.reason == "REFERENCE_INVALID"


class Told(Api):
    """An engine that notes what it is asked."""

    def __init__(self, refuses: str = "", digest: str = "") -> None:
        super().__init__("")
        self.refuses, self.digest = refuses, digest
        self.verified: list[bool] = []
        self.asked: list[Any] = []

    async def post(self, path: str, body: object = None, /, **query: Any) -> Any:
        self.asked.append((path, query))

    async def push(self, name: str, tag: str, login: str, *, verify: bool = True) -> str:
        self.verified.append(verify)
        self.asked.append((name, tag, json.loads(base64.urlsafe_b64decode(login))))
        if self.refuses:
            raise Aborted("ENGINE_REFUSED", self.refuses)
        return self.digest


async def test_who_logged_in_is_told(tmp_path: Path) -> None:
    """What `docker login` or `podman login` has remembered of that registry, and of no other."""
    secret = base64.b64encode(b"me:pass:word").decode()
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"auths": {"registry.example": {"auth": secret}}}))
    environ = {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    engine = Told()
    await push(engine, "sha256:1", "registry.example/agent:2", environ, lambda _: None)
    await push(engine, "sha256:1", "other.example/agent:2", environ, lambda _: None)
    known = {"username": "me", "password": "pass:word", "serveraddress": "registry.example"}
    assert engine.asked == [
        ("/images/sha256:1/tag", {"repo": "registry.example/agent", "tag": "2"}),
        ("registry.example/agent", "2", known),
        ("/images/sha256:1/tag", {"repo": "other.example/agent", "tag": "2"}),
        ("other.example/agent", "2", {"username": "", "password": ""}),
    ]


@pytest.mark.parametrize(
    ("digest", "pulled"), [("sha256:77", "a.example/x:latest@sha256:77"), ("", "a.example/x:latest")]
)
async def test_what_it_is_to_be_pulled_by(tmp_path: Path, digest: str, pulled: str) -> None:
    """The digest that it has there, behind a tag that may mean another tomorrow; the tag alone, where none is told."""
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    assert await push(Told(digest=digest), "sha256:1", "a.example/x", environ, lambda _: None) == pulled


async def test_who_need_not_prove_who_he_is(tmp_path: Path) -> None:
    """A registry of this machine, as nodes do not ask it either; nobody whose name only begins like that."""
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    engine = Told()
    names = ("localhost:5000/x", "127.0.0.1:5000/x", "localhost.example:5000/x", "registry.example/x")
    for name in names:
        await push(engine, "sha256:1", name, environ, lambda _: None)
    assert engine.verified == [False, False, True, True]


async def test_a_registry_that_refuses(tmp_path: Path) -> None:
    """Its own words, and how to log in there."""
    with pytest.raises(Unavailable) as refused:
        await push(Told("unauthorized"), "x", "registry.example/agent", {"HOME": str(tmp_path)}, lambda _: None)
    assert refused.value.reason == "REGISTRY_REFUSED"
    assert "unauthorized" in refused.value.message
    assert "podman login registry.example" in refused.value.hint


@pytest.mark.parametrize("address", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
async def test_docker_hub(tmp_path: Path, address: str) -> None:
    """Its login is kept by other names than images have."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"auths": {address: {"auth": base64.b64encode(b"me:secret").decode()}}}))
    engine = Told()
    environ = {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    await push(engine, "sha256:1", "docker.io/me/agent:2", environ, lambda _: None)
    known = {"username": "me", "password": "secret", "serveraddress": address}
    assert engine.asked[-1] == ("docker.io/me/agent", "2", known)


@pytest.mark.parametrize(
    ("config", "helper"),
    [
        ({"credsStore": "desktop", "auths": {"registry.example": {}}}, "docker-credential-desktop"),
        ({"credsStore": "desktop", "credHelpers": {"registry.example": "gcr"}}, "docker-credential-gcr"),
        ({"credHelpers": {"other.example": "gcr"}}, ""),
    ],
)
async def test_a_login_that_is_kept_elsewhere(tmp_path: Path, config: dict[str, Any], helper: str) -> None:
    """Who keeps it is said where the registry refuses, and what to do: it is not asked."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    engine = Told("unauthorized")
    environ = {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    with pytest.raises(Unavailable) as refused:
        await push(engine, "sha256:1", "registry.example/agent:2", environ, lambda _: None)
    assert engine.asked[-1][2] == {"username": "", "password": ""}
    assert (f"is kept by {helper}, which is not asked" in refused.value.message) is bool(helper)
    assert ("REGISTRY_AUTH_FILE" in refused.value.hint) is bool(helper)


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"auths": []}', '{"auths": {"registry.example": 1}}', '{"credHelpers": 1}']
)
async def test_a_file_that_is_none(tmp_path: Path, content: str) -> None:
    """What cannot be read has remembered nobody."""
    (tmp_path / "config.json").write_text(content)
    engine = Told("unauthorized")
    environ = {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    with pytest.raises(Unavailable):
        await push(engine, "sha256:1", "registry.example/agent:2", environ, lambda _: None)
    assert engine.asked[-1][2] == {"username": "", "password": ""}
