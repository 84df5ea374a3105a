"""Puts the agents' image into a registry, from which the nodes of a cluster pull it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from vibespace.engine.api import Api
from vibespace.errors import Aborted, Error, InvalidArgument, NotFound, Unavailable, ended
from vibespace.setup.build import Progress

_DEFAULT = "docker.io"
_ANYBODY = {"username": "", "password": ""}


async def push(api: Api, image: str, reference: str, environ: Mapping[str, str], progress: Progress) -> None:
    """Have the registry that `reference` names keep `image` under it; who may is told as podman and docker remember it.

    Raises InvalidArgument REFERENCE_INVALID, Unavailable REGISTRY_REFUSED.
    """
    name, tag = split(reference)
    await api.post(f"/images/{image}/tag", repo=name, tag=tag)
    progress(f"Pushing {name}:{tag}")
    login = base64.urlsafe_b64encode(json.dumps(_login(name.split("/")[0], environ)).encode()).decode()
    try:
        await api.push(name, tag, login)
    except (Aborted, NotFound) as e:
        raise _refused(name, e) from e


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
    for path in _remembered(environ):
        with suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads(path.read_text())["auths"][registry]
            user, _, password = base64.b64decode(told["auth"]).decode().partition(":")
            return {"username": user, "password": password, "serveraddress": registry}
    return _ANYBODY


def _remembered(environ: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environ.get("HOME", "/root"))
    if told := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(told)
    yield Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") / "containers/auth.json"
    yield Path("/run/containers") / str(os.getuid()) / "auth.json"
    yield home / ".config/containers/auth.json"
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


def _refused(name: str, cause: Error) -> Error:
    registry = name.split("/")[0]
    return Unavailable(
        "REGISTRY_REFUSED",
        ended(f"The registry {registry} does not take it: {cause.message}"),
        hint=f"'podman login {registry}' or 'docker login {registry}' remembers who may.",
    )
