"""How to log in at a cluster, as a kubeconfig says: our own is read here, other people's by the library that knows all.

What is in such a file, and what a program writes that logs in, is never part of what is raised or logged: it may be a
secret.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vibespace.errors import Error, FailedPrecondition, InvalidArgument

EXTENSION = "vibespace"
"""What our own have in their context: see cluster.py. Read by every later version."""

SECONDS = 30.0
"""What a program that a kubeconfig names gets to say who we are."""

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
        raise _invalid(kubeconfig, "it is no kubeconfig, or has no such context") from e


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

    name = context or told["current-context"]
    chosen = next(each["context"] for each in told["contexts"] if each["name"] == name)
    served = next(each["cluster"] for each in told["clusters"] if each["name"] == chosen["cluster"])
    if unused := next(filter(served.get, _UNUSED), ""):
        raise _invalid(kubeconfig, f"it says {unused}, which is not heeded here")
    user: dict[str, Any] = next(
        (each["user"] for each in told.get("users") or () if each["name"] == chosen.get("user")), {}
    )
    if plugin := user.pop("exec", None):
        user.update(await _said_by(plugin, kubeconfig))
    for found in (user, *(each["cluster"] for each in told["clusters"])):
        found.update({key: str(kubeconfig.parent / found[key]) for key in _FILES if found.get(key)})
    configuration = Configuration()
    load = config.load_kube_config_from_dict  # which has no types
    await load(told, name, client_configuration=configuration)  # type: ignore[no-untyped-call]

    async def authorization() -> str:
        return await configuration.get_api_key_with_prefix("BearerToken", alias="authorization") or ""

    authority = await asyncio.to_thread(_read, configuration.ssl_ca_cert)
    return Login(str(configuration.host), await asyncio.to_thread(_trust, configuration), authority, authorization)


async def _said_by(plugin: dict[str, Any], kubeconfig: Path) -> dict[str, str]:
    """What a program says, as a user of a kubeconfig has it. One that hangs is ended.

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
        )
    except OSError as e:
        raise _failed(kubeconfig, f"{plugin['command']} cannot be run: {e.strerror}") from e
    try:
        async with asyncio.timeout(SECONDS):
            written, _ = await program.communicate()
        status = json.loads(written)["status"]
        if "token" in status:
            return {"token": status["token"]}
        pair = {"client-certificate-data": "clientCertificateData", "client-key-data": "clientKeyData"}
        return {key: base64.b64encode(status[name].encode()).decode() for key, name in pair.items()}
    except TimeoutError as e:
        raise _failed(kubeconfig, f"{plugin['command']} said nothing for {SECONDS:.0f} s") from e
    except (ValueError, KeyError, TypeError) as e:
        raise _failed(kubeconfig, f"{plugin['command']} did not say who we are") from e
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()


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


def _invalid(kubeconfig: Path, why: str) -> InvalidArgument:
    return InvalidArgument("KUBECONFIG_INVALID", f"{kubeconfig} cannot be used: {why}.", field="kubeconfig")


def _failed(kubeconfig: Path, why: str) -> FailedPrecondition:
    return FailedPrecondition(
        "LOGIN_FAILED",
        f"The program that {kubeconfig} logs in by has failed: {why}.",
        hint="Run 'kubectl get namespaces' with that file: it runs the same program.",
    )
