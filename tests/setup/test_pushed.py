"""Real engines put an image into a registry, and say which digest it has there."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests import registry
from tests.engines import Served
from tests.places import Apart
from vibespace.engine.api import Api
from vibespace.errors import Unavailable
from vibespace.setup.push import push

pytestmark = pytest.mark.containers


async def test_podman(podman_socket: str, tmp_path: Path) -> None:
    """Podman tells it, and takes a registry of this machine as it is."""
    await _push(podman_socket, tmp_path)


async def test_docker(docker: Served, apart_network: Apart, tmp_path: Path) -> None:
    """So does Docker."""
    await _push(docker.socket, tmp_path, apart_network)


async def _push(socket: str, at: Path, *networks: Apart) -> None:
    with registry.serving(at, *networks) as found:
        reference = f"{found.host}/team/tiny:1"
        (at / "auth.json").write_text(found.auth_file())
        engine = Api(socket)
        try:
            image = await _tiny(engine)
            nobody = {"HOME": str(at), "XDG_RUNTIME_DIR": str(at)}
            with pytest.raises(Unavailable) as refused:
                await push(engine, image, reference, nobody, lambda _: None)
            assert refused.value.reason == "REGISTRY_REFUSED"
            knows = {**nobody, "REGISTRY_AUTH_FILE": str(at / "auth.json")}
            pulled = await push(engine, image, reference, knows, lambda _: None)
            await engine.delete(f"/images/{image}", force=True)
        finally:
            await engine.close()
        digest, _ = found.manifests["team/tiny", "1"]
        assert pulled == f"{reference}@{digest}"


async def _tiny(engine: Api) -> str:
    """The id of an image with one file in it, which is like no other."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"hello"))
    name = "localhost/vs-pushed:tiny"
    async for _ in engine.stream("POST", "/images/create", content.getvalue(), fromSrc="-", repo=name):
        pass  # one line, the id
    return str((await engine.get(f"/images/{name}/json"))["Id"])
