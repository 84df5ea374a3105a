"""Ask npm for a package's archive: the machine's own npm, or the one in the image where the machine has none."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import suppress
from pathlib import Path

from vibespace.engine.api import Api
from vibespace.errors import Error, NotFound, Unavailable, ended
from vibespace.setup.context import ca_bundle
from vibespace.setup.programs import Pack

_INSIDE = "/pack"
"""Where the container's npm leaves the archive."""


def here() -> Pack | None:
    """The machine's npm, with all its configuration but the place of its cache; None where there is none."""
    npm = shutil.which("npm")
    if npm is None:
        return None

    async def pack(package: str, into: Path) -> Path:
        # In the empty folder, so that no project's .npmrc or package.json has a say; with it goes npm's cache.
        process = await asyncio.create_subprocess_exec(
            npm, "pack", "--silent", "--ignore-scripts", "--cache", into / "npm", package,
            cwd=into, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):  # it may have ended meanwhile
                process.terminate()
            await process.wait()
            raise
        return _packed(package, into, process.returncode, output.decode(errors="replace"))

    return pack


def inside(api: Api, image: str) -> Pack:
    """npm in a container of `image`, which must have one: with the machine's CA bundle and the user's npm settings."""

    async def pack(package: str, into: Path) -> Path:
        body = {
            "Image": image,
            "User": "0:0",
            "WorkingDir": _INSIDE,
            "Entrypoint": ["/bin/sh", "-c", 'npm pack --silent --ignore-scripts "$0" >npm.log 2>&1'],
            "Cmd": [package],
            "Env": [f"{name}={path}" for name, _, path in _settings()],
            "HostConfig": {
                "NetworkMode": "host",
                "Binds": [f"{into}:{_INSIDE}", *(f"{source}:{path}:ro" for _, source, path in _settings())],
            },
        }
        container = (await api.post("/containers/create", body))["Id"]
        try:
            await api.post(f"/containers/{container}/start")
            code = await _wait(api, container)
        finally:
            with suppress(NotFound):
                await asyncio.shield(api.delete(f"/containers/{container}", force="true", v="true"))
        log = into / "npm.log"
        return _packed(package, into, code, log.read_text(errors="replace") if log.exists() else "")

    return pack


def _settings() -> list[tuple[str, Path, str]]:
    """What the container's npm must know of this machine: variable, file here, file there."""
    found: list[tuple[str, Path, str]] = []
    if (bundle := ca_bundle()) is not None:
        found.append(("NODE_EXTRA_CA_CERTS", bundle, "/run/ca.crt"))
    user = Path(os.environ.get("NPM_CONFIG_USERCONFIG") or "~/.npmrc").expanduser()
    if user.is_file():
        found.append(("NPM_CONFIG_USERCONFIG", user, "/run/npmrc"))
    return found


async def _wait(api: Api, container: str) -> int:
    """The exit code. Asked again and again: one long call would end with the API's own time limit."""
    while True:
        state = (await api.get(f"/containers/{container}/json"))["State"]
        if state["Status"] in ("exited", "dead", "stopped"):
            return int(state["ExitCode"])
        await asyncio.sleep(0.2)


def _packed(package: str, into: Path, code: int | None, output: str) -> Path:
    archives = list(into.glob("*.tgz"))
    if code == 0 and len(archives) == 1:
        return archives[0]
    raise _failed(package, output)


def _failed(package: str, output: str) -> Error:
    """npm's own first complaint, which names the cause; what follows is advice for developers."""
    lines = [line.removeprefix("npm error").removeprefix("npm ERR!").strip() for line in output.splitlines()]
    why = next((line for line in lines if line and not line.startswith(("code ", "npm warn"))), "it did not say why")
    return Unavailable(
        "PROGRAM_UNREACHABLE",
        ended(f"npm could not fetch {package}: {why}"),
        hint=f"See that 'npm view {package}' answers on this machine, then try again.",
        package=package,
    )
