"""The agents' image in a real engine: found, kept when a build fails, and every failure one sentence."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.image.engine import base, downloads
from vibespace.engine.api import Api
from vibespace.errors import Aborted, InvalidArgument, Unavailable
from vibespace.setup import image, npm
from vibespace.setup.programs import pins

pytestmark = pytest.mark.containers


@pytest.fixture
async def api(podman_socket: str) -> AsyncIterator[Api]:
    opened = Api(podman_socket)
    yield opened
    await opened.close()


async def test_found_again(api: Api, agent_image: str) -> None:
    """An image that is there is found without a step of work."""
    steps: list[str] = []
    assert await image.ensure(api, base(), steps.append, cache=downloads()) == agent_image
    assert steps == []


async def test_latest_again(api: Api, agent_image: str) -> None:
    """Finding it also makes it the one that agents take."""
    await api.delete(f"/images/{image.LATEST}", noprune="true")
    assert await image.ensure(api, base(), print, cache=downloads()) == agent_image
    assert (await api.get(f"/images/{image.LATEST}/json"))["Id"] == agent_image


async def test_listed(api: Api, agent_image: str) -> None:
    """The list says which programs an image has, in which versions."""
    listed = {found.id: found for found in await image.list_images(api)}[agent_image]
    assert listed.programs == {pin.name: pin.version for pin in pins("amd64")}
    assert image.LATEST in listed.tags
    assert listed.size_bytes > 1_000_000_000


async def test_failed_build(api: Api, agent_image: str, tmp_path: Path) -> None:
    """A base that is no Debian fails the build with a sentence, and leaves the image of before and no container."""
    before = [container["Id"] for container in await api.get("/containers/json", all=True)]
    with pytest.raises(Aborted, match=r"^The image could not be built: .+\.$") as failure:
        await image.ensure(api, str(_root(tmp_path)), print, cache=downloads())
    assert failure.value.reason == "IMAGE_BUILD_FAILED"
    assert "build.log" in failure.value.hint
    assert (await api.get(f"/images/{image.LATEST}/json"))["Id"] == agent_image
    assert [container["Id"] for container in await api.get("/containers/json", all=True)] == before


async def test_unreachable_mirror(api: Api, agent_image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forced build without a way to Debian's packages says what could not be reached; agents keep their image."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(Aborted, match=r"^The image could not be built: E: Failed to fetch .*127\.0\.0\.1:1") as failure:
        await image.build(api, base(), print, cache=downloads())
    assert failure.value.reason == "IMAGE_BUILD_FAILED"
    assert (await api.get(f"/images/{image.LATEST}/json"))["Id"] == agent_image
    assert await image.ensure(api, base(), print, cache=downloads()) == agent_image


async def test_unreachable_base(api: Api, agent_image: str, tmp_path: Path) -> None:
    """A reference that no registry answers to is named, with the other way to a base."""
    with pytest.raises(Unavailable, match=r"^The base localhost:1/debian:12 cannot be pulled: ") as failure:
        await image.ensure(api, "localhost:1/debian:12", print, cache=tmp_path)
    assert failure.value.reason == "BASE_UNREACHABLE"
    assert "--base" in failure.value.hint


async def test_no_tar(api: Api, tmp_path: Path) -> None:
    """A file that is no tar is refused before anything is built on it."""
    (tmp_path / "debian.tar").write_text("not a tar at all")
    with pytest.raises(InvalidArgument, match="cannot be the image's base") as refusal:
        await image.ensure(api, str(tmp_path / "debian.tar"), print, cache=downloads())
    assert refusal.value.reason == "BASE_INVALID"


async def test_npm_inside(api: Api, agent_image: str, tmp_path: Path) -> None:
    """Where the machine has no npm, the image's packs into a folder here, and its container is gone after."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source/package.json").write_text('{"name":"packed-inside","version":"1.0.0"}')
    before = [container["Id"] for container in await api.get("/containers/json", all=True)]
    archive = await npm.inside(api, agent_image)("./source", tmp_path)
    with tarfile.open(archive) as packed:
        assert packed.getnames() == ["package/package.json"]
    assert [container["Id"] for container in await api.get("/containers/json", all=True)] == before


async def test_npm_inside_fails(api: Api, agent_image: str, tmp_path: Path) -> None:
    """There too, npm's own complaint is the reason that is given."""
    with pytest.raises(Unavailable, match=r"^npm could not fetch \./nothing: .+\.$"):
        await npm.inside(api, agent_image)("./nothing", tmp_path)


def _root(folder: Path) -> Path:
    """A tar that can be imported, and in which nothing can run."""
    path = folder / "root.tar"
    with tarfile.open(path, "w") as tar:
        entry = tarfile.TarInfo("etc/hostname")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"\n"))
    return path
