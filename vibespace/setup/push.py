"""Puts the agents' image into a registry, from which the nodes of a cluster pull it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vibespace.engine.api import Api
from vibespace.errors import Aborted, Error, InvalidArgument, NotFound, Unavailable, ended
from vibespace.setup.build import Progress

_DOCKER_HUB = ("docker.io", "index.docker.io")
"""One registry: images are named by the first, and `docker login` notes who logged in by an address on the second."""

_HERE = ("localhost", "127.0.0.1")
"""Who listens there need not prove who he is: Docker and containerd, and with it the nodes, do not ask either."""

_ANYBODY = {"username": "", "password": ""}


async def push(api: Api, image: str, reference: str, environ: Mapping[str, str], progress: Progress) -> str:
    """Have the registry that `reference` names keep `image` under it; who may is told as podman and docker remember it.
    What to pull it by: with the digest that it has there, for the tag may mean another one tomorrow.

    Raises InvalidArgument REFERENCE_INVALID, Unavailable REGISTRY_REFUSED.
    """
    name, tag = split(reference)
    registry = name.split("/")[0]
    await api.post(f"/images/{image}/tag", repo=name, tag=tag)
    progress(f"Pushing {name}:{tag}")
    login = base64.urlsafe_b64encode(json.dumps(_login(registry, environ)).encode()).decode()
    try:
        digest = await api.push(name, tag, login, verify=registry.partition(":")[0] not in _HERE)
    except (Aborted, NotFound) as e:
        raise _refused(registry, e, environ) from e
    return f"{name}:{tag}@{digest}" if digest else f"{name}:{tag}"


def split(reference: str) -> tuple[str, str]:
    """Name and tag. Raises InvalidArgument REFERENCE_INVALID for one that names no registry, or a digest."""
    name, _, tag = reference.rpartition(":") if ":" in reference.rpartition("/")[2] else (reference, "", "latest")
    registry = name.split("/")[0]
    named = "/" in name and ("." in registry or ":" in registry or registry == "localhost")
    if not named or "@" in reference or any(c.isspace() for c in reference):
        raise InvalidArgument(
            "REFERENCE_INVALID",
            f"{reference!a} is not the name of an image in a registry.",
            field="push",
            hint="Such as registry.example/team/vibespace-agent:1.",
        )
    return name, tag


def _login(registry: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """What was typed at `podman login` or `docker login`; nobody where nothing was."""
    for told in _remembered(environ):
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            for address, kept in told["auths"].items():
                if _of(address, registry) and kept.get("auth"):
                    user, _, password = base64.b64decode(kept["auth"]).decode().partition(":")
                    return {"username": user, "password": password, "serveraddress": address}
    return _ANYBODY


def _of(address: str, registry: str) -> bool:
    """Whether a login at `address`, which may be a whole URL, is one of all of `registry`."""
    scheme, _, rest = address.rpartition("://")
    host = rest.partition("/")[0] if scheme else address
    return host == registry or {host, registry} <= {*_DOCKER_HUB}


def _helper(registry: str, environ: Mapping[str, str]) -> str:
    """The program that keeps logins of `registry` in place of a file, where one was set; empty where none was."""
    for told in _remembered(environ):
        with suppress(AttributeError):
            helpers = told.get("credHelpers", {}).items()
            found = next((name for address, name in helpers if _of(address, registry)), told.get("credsStore"))
            if found:
                return f"docker-credential-{found}"
    return ""


def _remembered(environ: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """What the files say that can be read, the nearest first."""
    for path in _files(environ):
        with suppress(OSError, ValueError):
            told = json.loads(path.read_text())
            if isinstance(told, dict):
                yield told


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environ.get("HOME", "/root"))
    if told := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(told)
    yield Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") / "containers/auth.json"
    yield Path("/run/containers") / str(os.getuid()) / "auth.json"
    yield home / ".config/containers/auth.json"
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


def _refused(registry: str, cause: Error, environ: Mapping[str, str]) -> Error:
    text = f"The registry {registry} does not take it: {cause.message}"
    hint = f"'podman login {registry}' or 'docker login {registry}' remembers who may."
    if helper := _helper(registry, environ):
        text = f"{ended(text)} Its login is kept by {helper}, which is not asked."
        hint = f"'podman login --authfile FILE {registry}', and REGISTRY_AUTH_FILE=FILE, has it in a file."
    return Unavailable("REGISTRY_REFUSED", ended(text), hint=hint)
