"""How to log in at a cluster, as a kubeconfig says: our own is read here, other people's by the library that knows all.

No key, token or password of such a file, nor what a program writes that logs in, is ever part of what is raised or
logged.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vibespace.errors import Error, FailedPrecondition, InvalidArgument

EXTENSION = "vibespace"
"""What our own have in their context: see cluster.py. Read by every later version."""

SECONDS = 30.0
"""What a program that a kubeconfig names gets to say who we are."""

MOST_SAID = 1 << 20
"""Bytes that it may write."""

_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
"""What names a file, from where the kubeconfig is."""


_UNUSED = ("proxy-url", "tls-server-name", "insecure-skip-tls-verify")
"""What a cluster of a kubeconfig may say, and what we keep of it does not: better no login than another one."""


@dataclass(frozen=True)
class Login:
    """The way in."""

    server: str
    trust: ssl.SSLContext
    authority: str
    """What the server's certificate is checked by, base64; empty where that is the machine's affair."""
    authorization: Callable[[], Awaitable[str]]
    """What the header of that name says; empty where a certificate says who we are."""


async def login(kubeconfig: Path, context: str = "") -> Login:
    """Raises InvalidArgument KUBECONFIG_INVALID, FailedPrecondition LOGIN_FAILED. Waits for the disk, in a thread."""
    try:
        text = await asyncio.to_thread(kubeconfig.read_text)
        told, ours = await asyncio.to_thread(_parsed, text)
        if ours and not context:
            return await asyncio.to_thread(_ours, told)
        return await _theirs(told, context, kubeconfig)
    except FileNotFoundError as e:
        raise _invalid(kubeconfig, "it, or a file that it names, is not there") from e
    except OSError as e:
        raise _invalid(kubeconfig, e.strerror or "it cannot be read") from e
    except Error:
        raise
    except Exception as e:  # the library has no one error for what it cannot read, and quotes the file in some
        raise _invalid(kubeconfig, "it is no kubeconfig") from e


def _parsed(text: str) -> tuple[dict[str, Any], bool]:
    """And whether it is one of those that we write."""
    with suppress(ValueError):
        told = json.loads(text)
        found = (each for context in told["contexts"] for each in context["context"].get("extensions") or ())
        return told, any(each["name"] == EXTENSION for each in found)
    import yaml  # noqa: PLC0415 (a megabyte, which only `init` spends)

    return yaml.safe_load(text), False


def _ours(told: dict[str, Any]) -> Login:
    """One cluster, one token: what cluster.write has written. Raises whatever comes where it is another's."""
    [served], [user] = told["clusters"], told["users"]
    authority = served["cluster"].get("certificate-authority-data", "")
    trust = ssl.create_default_context(cadata=base64.b64decode(authority).decode() if authority else None)

    async def authorization() -> str:
        return f"Bearer {user['user']['token']}"

    if not user["user"]["token"]:
        raise ValueError("no token")
    return Login(served["cluster"]["server"].rstrip("/"), trust, authority, authorization)


async def _theirs(told: dict[str, Any], context: str, kubeconfig: Path) -> Login:
    # Half a second and 20 MB, which only `init` spends.
    from kubernetes.aio import config  # noqa: PLC0415 (see above)
    from kubernetes.aio.client import Configuration  # noqa: PLC0415 (see above)
    from kubernetes.aio.config import kube_config  # noqa: PLC0415 (see above)

    name, chosen = _chosen(told, context, kubeconfig)
    served = _named(told, "cluster", chosen["cluster"], kubeconfig)
    if unused := next(filter(served.get, _UNUSED), ""):
        hint = "What says whom to trust is its certificate-authority-data."
        raise _invalid(kubeconfig, f"it says {unused}, which is not heeded here", hint)
    parts = urlsplit(served["server"])
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _invalid(kubeconfig, f"its server is {ascii(served['server'])[:200]}, which is no address")
    user = _named(told, "user", chosen["user"], kubeconfig) if chosen.get("user") else {}
    if plugin := user.pop("exec", None):
        user.update(await _said_by(plugin, kubeconfig))
    for found in (user, *(each["cluster"] for each in told["clusters"])):
        found.update({key: str(kubeconfig.parent / found[key]) for key in _FILES if found.get(key)})
    for key, path in ((key, found[key]) for found in (user, served) for key in _FILES if found.get(key)):
        if not await asyncio.to_thread(os.path.isfile, path):
            raise _invalid(kubeconfig, f"its {key} names what is no file")  # and may be the key itself
    configuration = Configuration()
    load = config.load_kube_config_from_dict  # which has no types
    try:
        await load(told, name, client_configuration=configuration)  # type: ignore[no-untyped-call]
        authority = await asyncio.to_thread(_read, configuration.ssl_ca_cert)
        trust = await asyncio.to_thread(_trust, configuration)
    finally:
        # Keys, which the library leaves until a process ends by itself, and ours do not.
        kube_config._cleanup_temp_files()  # type: ignore[no-untyped-call]  # it has no types

    async def authorization() -> str:
        return await configuration.get_api_key_with_prefix("BearerToken", alias="authorization") or ""

    return Login(str(configuration.host), trust, authority, authorization)


def _chosen(told: dict[str, Any], context: str, kubeconfig: Path) -> tuple[str, dict[str, Any]]:
    """The context's name, and what it is."""
    there = [str(each["name"]) for each in told["contexts"]]
    name = context or told.get("current-context") or ""
    if name not in there:
        why = f"it has no context {name!a}" if name else "it does not say which of its contexts is meant"
        raise _invalid(kubeconfig, why, f"--context names one of {', '.join(map(ascii, there[:20]))}." if there else "")
    return name, _named(told, "context", name, kubeconfig)


def _named(told: dict[str, Any], kind: str, name: str, kubeconfig: Path) -> dict[str, Any]:
    """The first of that kind and name."""
    found = (each[kind] for each in told.get(f"{kind}s") or () if each["name"] == name)
    there: dict[str, Any] | None = next(found, None)
    if there is None:
        raise _invalid(kubeconfig, f"its context is of a {kind} {name!a}, of which it says nothing")
    return there


async def _said_by(plugin: dict[str, Any], kubeconfig: Path) -> dict[str, str]:
    """What a program says, as a user of a kubeconfig has it. One that fails, or hangs, is ended with what it started.

    The library runs them too, lets the ones that hang go on, and logs what the others have written.
    """
    environment = {each["name"]: each["value"] for each in plugin.get("env") or ()}
    about = {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": {"interactive": False}}
    command = plugin["command"]
    if "/" in command:
        command = str(kubeconfig.parent / command)
    try:
        program = await asyncio.create_subprocess_exec(
            command,
            *(plugin.get("args") or ()),
            env={**os.environ, **environment, "KUBERNETES_EXEC_INFO": json.dumps(about)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as e:
        raise _failed(kubeconfig, f"{plugin['command']} cannot be run: {e.strerror}") from e
    try:
        return await _told_by(program, plugin["command"], kubeconfig)
    except BaseException:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, signal.SIGKILL)
        # What has left its group may hold its output, of which asyncio has no other way to let go.
        program._transport.close()  # type: ignore[attr-defined]  # it is no public one
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await program.wait()
        raise


async def _told_by(program: asyncio.subprocess.Process, name: str, kubeconfig: Path) -> dict[str, str]:
    try:
        async with asyncio.timeout(SECONDS):
            written = await _all(program)
        status = json.loads(written)["status"]
        if "token" in status:
            return {"token": status["token"]}
        pair = {"client-certificate-data": "clientCertificateData", "client-key-data": "clientKeyData"}
        return {key: base64.b64encode(status[name].encode()).decode() for key, name in pair.items()}
    except TimeoutError as e:
        raise _failed(kubeconfig, f"{name} said nothing for {SECONDS:.0f} s") from e
    except (ValueError, KeyError, TypeError) as e:
        ended = f", and ended with exit code {program.returncode}" if program.returncode else ""
        raise _failed(kubeconfig, f"{name} did not say who we are{ended}") from e


async def _all(program: asyncio.subprocess.Process) -> bytes:
    """What it writes to its end. Raises ValueError where that is more than anybody needs to say who he is."""
    assert program.stdout
    written = bytearray()
    while piece := await program.stdout.read(MOST_SAID):
        written += piece
        if len(written) > MOST_SAID:
            raise ValueError("too much")
    await program.wait()
    return bytes(written)


def _trust(configuration: Any) -> ssl.SSLContext:
    trusted = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
    if configuration.cert_file:
        trusted.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        trusted.check_hostname = False
        trusted.verify_mode = ssl.CERT_NONE
    return trusted


def _read(path: str | None) -> str:
    return base64.b64encode(Path(path).read_bytes()).decode() if path else ""


def _invalid(kubeconfig: Path, why: str, hint: str = "") -> InvalidArgument:
    hint = hint or "'kubectl get namespaces' with that file is to work first."
    return InvalidArgument("KUBECONFIG_INVALID", f"{kubeconfig} cannot be used: {why}.", field="kubeconfig", hint=hint)


def _failed(kubeconfig: Path, why: str) -> FailedPrecondition:
    return FailedPrecondition(
        "LOGIN_FAILED",
        f"The program that {kubeconfig} logs in by has failed: {why}.",
        hint="Run 'kubectl get namespaces' with that file: it runs the same program.",
    )
