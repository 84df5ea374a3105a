"""The API of Kubernetes, as much of it as an engine needs: objects are what JSON makes of them.

The calls are ours: those of the library for it make a class of each object, and know neither server-side apply nor a
watch that goes on. How to log in is engine/login.py's affair.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from vibespace.engine.login import Login, login
from vibespace.errors import (
    Aborted,
    AlreadyExists,
    Error,
    Exhausted,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    Unavailable,
    ended,
)

CALL_SECONDS = 30.0
"""How long one call may take before the cluster counts as not answering. Streams have no limit."""

CONNECT_SECONDS = 10.0

LONGEST_PAUSE = 10.0
"""How long a server may have us wait before it is asked again."""

SILENT_SECONDS = 120.0
"""A watch in which not even a bookmark comes for so long is dead: bookmarks come every minute."""

LONGEST_WORDS = 1000
"""Characters that are told of why a cluster refuses."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

Object = dict[str, Any]

_log = logging.getLogger(__name__)


class Api:
    """A client of one cluster. Cheap to make; connects at the first call.

    All methods raise Unavailable ENGINE_UNREACHABLE when nothing answers or it does not know us any more,
    PermissionDenied CLUSTER_FORBIDDEN, NotFound ENGINE_NOT_FOUND, AlreadyExists ENGINE_NAME_TAKEN, Aborted
    ENGINE_CONFLICT and ENGINE_EXPIRED, Exhausted ENGINE_EXHAUSTED, and Aborted ENGINE_REFUSED for every other refusal;
    the message is the cluster's own.
    """

    def __init__(self, kubeconfig: Path, context: str = "") -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._login: Login | None = None
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self.calls = 0
        """How many there were, for who counts."""

    @property
    def server(self) -> str:
        """Where it answers; known after the first call."""
        return self._login.server if self._login else ""

    async def get(self, path: str, /, **query: Any) -> Any:
        """One object, or whatever is there."""
        return await self._call("GET", path, query)

    async def list(self, path: str, /, **query: Any) -> Object:
        """All of a list, however many pages it has; of the last one is the version."""
        items: list[Object] = []
        while True:
            page: Object = await self._call("GET", path, {"limit": 500, **query})
            with self.understood():
                items += page.get("items") or ()
                following = page["metadata"].get("continue")
            if not following:
                return {**page, "items": items}
            query = {**query, "continue": following}

    async def create(self, path: str, body: Mapping[str, Any], /, **query: Any) -> Object:
        """POST; the object as it is now."""
        return await self._call("POST", path, query, body)

    async def apply(self, path: str, body: Mapping[str, Any], manager: str, /, *, force: bool = False) -> Object:
        """Server-side apply by `manager`. Raises Aborted ENGINE_CONFLICT where another one has set a field of it."""
        query = {"fieldManager": manager, "force": force}
        return await self._call("PATCH", path, query, body, APPLY)

    async def replace(self, path: str, body: Mapping[str, Any], manager: str, /) -> Object:
        """PUT: what `body` does not have is taken away."""
        return await self._call("PUT", path, {"fieldManager": manager}, body)

    async def merge(self, path: str, body: Mapping[str, Any], manager: str, /) -> Object:
        """Change what `body` has, and nothing else."""
        return await self._call("PATCH", path, {"fieldManager": manager}, body, MERGE)

    async def delete(self, path: str, /, body: Mapping[str, Any] | None = None) -> None:
        """DELETE; what is not there is gone."""
        with suppress(NotFound):
            await self._call("DELETE", path, {}, body)

    async def watch(self, path: str, /, **query: Any) -> AsyncGenerator[Object, None]:
        """Events as they come, until the cluster ends them, which is no error. One that is an error is raised."""
        async with self._open("GET", path, {"watch": True, "allowWatchBookmarks": True, **query}, None) as answer:
            rest = b""
            while piece := await self._piece(answer):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    with self.understood():
                        event = json.loads(line)
                        refused = event["type"] == "ERROR" and int(event["object"].get("code", 500))
                    if refused:
                        raise _refusal(refused, event["object"])
                    yield event

    async def content(self, path: str, /, **query: Any) -> AsyncGenerator[bytes, None]:
        """The bytes of an answer, as they come."""
        async with self._open("GET", path, query, None) as answer:
            async for piece in answer.content.iter_any():
                yield piece

    @asynccontextmanager
    async def websocket(self, path: str, /, **query: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket, whose frames each begin with their channel."""
        with self._reached():
            session, login, headers = await self._ready()
            url = self._url(path, query)
            try:
                socket = await session.ws_connect(
                    url,
                    headers=headers,
                    protocols=("v4.channel.k8s.io",),
                    ssl=login.trust,
                    max_msg_size=0,
                    heartbeat=30,
                )
            except aiohttp.WSServerHandshakeError as e:
                raise _refusal(e.status, {"message": e.message}) from e
        async with socket:
            yield socket

    async def close(self) -> None:
        """Close all connections; a running watch ends with Unavailable."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def authority(self) -> str:
        """What the server's certificate is checked by, base64; empty where that is the machine's affair."""
        return (await self._ready())[1].authority

    def forget_login(self) -> None:
        """Read the kubeconfig again before the next call: there is another token in it now."""
        self._login = None

    async def _call(
        self, method: str, path: str, query: Mapping[str, Any], body: object = None, kind: str = "application/json"
    ) -> Object:
        async with self._open(method, path, query, CALL_SECONDS, body, kind) as answer:
            with self.understood():
                found: Object = await answer.json(content_type=None)
                return found

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        seconds: float | None,
        body: object = None,
        kind: str = "application/json",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        with self._reached():
            for attempt in (1, 2):
                session, login, headers = await self._ready()
                self.calls += 1
                data = None if body is None else json.dumps(body)
                asked = session.request(
                    method,
                    self._url(path, query),
                    data=data,
                    headers={**headers, "Content-Type": kind, "Accept": "application/json"},
                    timeout=aiohttp.ClientTimeout(total=seconds, connect=CONNECT_SECONDS),
                    ssl=login.trust,
                    allow_redirects=False,  # what we say is meant for nobody else
                )
                async with asked as answer:
                    if answer.status == 401 and attempt == 1:
                        self.forget_login()  # somebody may have written another token meanwhile
                        continue
                    if answer.status == 429 and attempt == 1:
                        await asyncio.sleep(_pause(answer.headers.get("Retry-After", "")))
                        continue
                    if answer.status >= 400:
                        raise _refusal(answer.status, _status(_masked(await answer.text(), headers)))
                    if answer.status >= 300:
                        raise self._unreachable("it sends us elsewhere, where we do not go")
                    yield answer
                    return

    async def _piece(self, answer: aiohttp.ClientResponse) -> bytes:
        async with asyncio.timeout(SILENT_SECONDS):
            return await answer.content.readany()

    async def _ready(self) -> tuple[aiohttp.ClientSession, Login, dict[str, str]]:
        async with self._opening:
            found = self._login = self._login or await login(self._kubeconfig, self._context)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), proxy=_proxy(found.server), read_bufsize=1 << 21
            )
        told = await found.authorization()
        return self._session, found, {"Authorization": told} if told else {}

    def _url(self, path: str, query: Mapping[str, Any]) -> str:
        told = {name: json.dumps(value) if isinstance(value, bool | int) else value for name, value in query.items()}
        return self.server + path + (f"?{urlencode(told, doseq=True)}" if told else "")

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """What goes wrong on the way, as one of our errors."""
        try:
            yield
        except TimeoutError as e:
            raise self._unreachable("it did not answer in time") from e
        except aiohttp.ClientConnectorCertificateError as e:
            told = getattr(e.certificate_error, "verify_message", "")
            why = "its certificate is not one that the kubeconfig trusts" + (f" ({told})" if told else "")
            raise self._unreachable(
                why, "See that certificate-authority-data in that kubeconfig is of this cluster."
            ) from e
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError) as e:
            raise self._unreachable("it hung up") from e
        except Error:
            raise
        except (aiohttp.ClientError, OSError, RuntimeError) as e:  # the last of a session that is closed
            raise self._unreachable(getattr(e, "strerror", None) or str(e) or type(e).__name__) from e

    @contextmanager
    def understood(self) -> Iterator[None]:
        """An answer that is none of Kubernetes, as one of our errors."""
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            _log.info("an answer was not understood", exc_info=True)  # it may be we who are wrong
            raise self._unreachable("what it says is not what Kubernetes would") from e

    def _unreachable(self, why: str, hint: str = "See that it runs, and that this machine reaches it.") -> Unavailable:
        return Unavailable(
            "ENGINE_UNREACHABLE",
            ended(f"The cluster at {self.server} does not answer: {why}"),
            hint=hint,
        )


def _proxy(server: str) -> str | None:
    """What HTTPS_PROXY and its like say. Where aiohttp reads the environment, it sends logins of ~/.netrc as well."""
    parts = urlsplit(server)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _pause(told: str) -> float:
    """Seconds until a server that is asked too much is asked again, as its Retry-After says."""
    return min(float(told), LONGEST_PAUSE) if told.isdecimal() else 1.0


def _masked(text: str, headers: Mapping[str, str]) -> str:
    """Without what we log in with, which some quote."""
    secret = headers.get("Authorization", "").rpartition(" ")[2]
    return text.replace(secret, "…") if secret else text


def _status(text: str) -> Mapping[str, Any]:
    with suppress(ValueError):
        told = json.loads(text)
        if isinstance(told, dict):
            return told
    return {"message": text.strip()}


def _refusal(code: int, told: Mapping[str, Any]) -> Error:
    """The cluster's answer as one of our errors. https://kubernetes.io/docs/reference/using-api/api-concepts"""
    message, reason = str(told.get("message") or f"HTTP {code}")[:LONGEST_WORDS], str(told.get("reason") or "")
    lower = message.lower()
    if code == 401:
        return Unavailable(
            "ENGINE_UNREACHABLE",
            "The cluster does not know us any more: what we log in with has expired or was revoked.",
            hint="'vibespace init --external --kubeconfig PATH' makes a new login.",
            status="401",
        )
    if "exceeded quota" in lower or "insufficient quota" in lower:
        return Exhausted("ENGINE_EXHAUSTED", message)
    if code == 403 and "podsecurity" in lower:
        return FailedPrecondition("POD_SECURITY", message)
    if code == 403 and "being terminated" in lower:
        return Aborted("ENGINE_REFUSED", message)
    if code == 403:
        return PermissionDenied("CLUSTER_FORBIDDEN", message)
    if code == 404:
        return NotFound("ENGINE_NOT_FOUND", message)
    if code == 409:
        return AlreadyExists("ENGINE_NAME_TAKEN", message) if reason == "AlreadyExists" else _conflict(message)
    if code == 410:
        return Aborted("ENGINE_EXPIRED", message)
    if code == 500 and "webhook" in lower:  # it answers; somebody's own program in it does not
        return Aborted("ENGINE_REFUSED", message)
    if code in (429, 500, 502, 503, 504):
        return Unavailable("ENGINE_UNREACHABLE", ended(f"The cluster cannot answer now: {message}"))
    return Aborted("ENGINE_REFUSED", message, status=str(code))


def _conflict(message: str) -> Aborted:
    return Aborted("ENGINE_CONFLICT", message)
