"""Images for the test cluster, which has no registry: put into its containerd, and kept there between runs."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import aiohttp

from tests.cluster import settings
from tests.cluster.build import cache
from tests.cluster.cluster import Cluster
from tests.image.engine import base
from tests.podman import cache as podman_cache
from vibespace.setup import context
from vibespace.setup.base import identity
from vibespace.setup.image import NAME


def has(cluster: Cluster, name: str) -> bool:
    return name in cluster.ctr("images", "list", "--quiet").split()


def load_pause(cluster: Cluster, program: Path) -> None:
    """What holds a pod's namespaces."""
    if not has(cluster, settings.PAUSE):
        _load(cluster, _archive(program, settings.PAUSE))


def load(cluster: Cluster, tar: Path) -> None:
    """All images of a docker-archive."""
    with tar.open("rb") as file:
        cluster.ctr("images", "import", "-", stdin=file)


async def take_agents(cluster: Cluster, socket: str) -> str:
    """See that the cluster has the agents' image, which the Podman at `socket` has; its name."""
    name = f"{NAME}:{context.digest(identity(base(), podman_cache() / 'downloads'))}"
    if not has(cluster, name):
        await _take(cluster, socket, name)
    return name


async def _take(cluster: Cluster, socket: str, name: str) -> None:
    connector = aiohttp.UnixConnector(path=socket)
    tar = cache() / "image.tar"
    async with aiohttp.ClientSession(connector=connector, base_url="http://engine") as session:
        path = f"/v1.41/images/{name}/get"
        async with session.get(path, timeout=aiohttp.ClientTimeout(600)) as answer:
            answer.raise_for_status()
            with tar.open("wb") as file:
                async for piece in answer.content.iter_chunked(1 << 20):
                    file.write(piece)
    load(cluster, tar)
    tar.unlink()


def _load(cluster: Cluster, archive: bytes) -> None:
    path = cluster.at / "image.tar"
    path.write_bytes(archive)
    load(cluster, path)
    path.unlink()


def _archive(program: Path, name: str) -> bytes:
    """A docker-archive of an image with one file in it."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(program, "pause")
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, content in (("config.json", config), ("layer.tar", layer.getvalue()), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
