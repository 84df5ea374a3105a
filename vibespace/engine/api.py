"""The HTTP API that Podman and Docker have in common, spoken over a Unix socket."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from vibespace.errors import Aborted, AlreadyExists, Error, Exhausted, NotFound, Unavailable

VERSION = "1.41"
"""The API version we are written against: the newest Podman 4.3 knows, and Docker 20.10's own."""

CALL_SECONDS = 120.0
"""How long one call may take before the engine counts as not answering. Streams have no limit."""

Body = bytes | AsyncIterator[bytes] | None
"""What an upload sends: a tar, whole or in pieces."""


class Api:
    """A client of one engine socket. Cheap to make; connects at the first call.

    Query values that are not text are sent as JSON, which is what the API wants for filters and flags.

    All methods raise Unavailable ENGINE_UNREACHABLE when nothing answers, NotFound ENGINE_NOT_FOUND,
    AlreadyExists ENGINE_NAME_TAKEN, Exhausted ENGINE_EXHAUSTED, and Aborted ENGINE_REFUSED for every other
    refusal; the message is the engine's own.
    """

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self._session: aiohttp.ClientSession | None = None
        self._prefix = ""

    async def ping(self) -> None:
        """Return when the engine answers at all."""
        async with self._request("GET", "/_ping", {}, CALL_SECONDS):
            pass  # that it answered is all there is to know

    async def get(self, path: str, /, **query: Any) -> Any:
        """The decoded JSON answer of a GET; None for an empty one."""
        return await self._call("GET", path, query)

    async def list(self, path: str, /, **query: Any) -> Any:
        """GET of a list. Podman refuses all of it when one thing goes while it looks: then it is asked again."""
        for _ in range(_LIST_ATTEMPTS):
            with suppress(NotFound):
                return await self.get(path, **query)
        return await self.get(path, **query)

    async def post(self, path: str, body: object = None, /, **query: Any) -> Any:
        """POST `body` as JSON; the decoded answer. "Already so" (304) is a success."""
        return await self._call("POST", path, query, json=body)

    async def put(self, path: str, tar: bytes, /, **query: Any) -> Any:
        """PUT a tar archive."""
        return await self._call("PUT", path, query, data=tar, headers=_TAR)

    async def delete(self, path: str, /, **query: Any) -> Any:
        """DELETE; the decoded answer."""
        return await self._call("DELETE", path, query)

    async def stream(
        self, method: str, path: str, /, tar: Body = None, **query: Any
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The JSON objects of a streamed answer (build, image import, events) as they come.

        An object with an `error` ends it: it is raised as the refusal it is.
        """
        headers = {} if tar is None else _TAR
        async with self._request(method, path, query, None, data=tar, headers=headers) as response:
            async for item in _objects(response.content):
                if item.get("error"):
                    raise _refusal(500, str(item["error"]).strip())
                yield item

    async def push(self, name: str, tag: str, login: str, *, verify: bool = True) -> str:
        """Have a registry keep an image; `login` is what it is told of us. The digest that it has there; empty where
        the engine does not tell. Without `verify` it need not prove who it is, nor speak TLS at all.
        """
        path, headers = f"/images/{name}/push", {"X-Registry-Auth": login}
        query = {"tag": tag} if verify else {"tag": tag, "tlsVerify": False}
        digest = ""
        async with self._request("POST", path, query, None, headers=headers) as response:
            async for item in _objects(response.content):
                if item.get("error"):
                    raise _refusal(500, str(item["error"]).strip())
                digest = _pushed(item) or digest
        return digest

    async def content(self, path: str, /, **query: Any) -> AsyncGenerator[bytes, None]:
        """The bytes of a GET's answer, as they come."""
        async with self._request("GET", path, query, None) as response:
            async for piece in response.content.iter_any():
                yield piece

    async def close(self) -> None:
        """Close all connections; a running stream ends with Unavailable."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _call(self, method: str, path: str, query: dict[str, Any], **request: Any) -> Any:
        async with self._request(method, path, query, CALL_SECONDS, **request) as response:
            text = await response.text()
            return json.loads(text) if text.strip() else None

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, query: dict[str, Any], seconds: float | None, **request: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            if not self._prefix:
                self._prefix = await self._negotiate()
            async with self._open(method, self._prefix + path, query, seconds, **request) as response:
                if response.status >= 400:
                    raise _refusal(response.status, await response.text())
                yield response
        except Error:
            raise
        except TimeoutError as e:
            raise self._unreachable("did not answer in time") from e
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError) as e:
            raise self._unreachable("it hung up") from e
        except (aiohttp.ClientError, OSError, ValueError) as e:
            raise self._unreachable(getattr(e, "strerror", None) or str(e) or type(e).__name__) from e

    async def _negotiate(self) -> str:
        """The path prefix that pins our version, or the oldest that a newer Docker still speaks."""
        async with self._open("GET", "/_ping", {}, CALL_SECONDS) as response:
            if "Libpod-API-Version" in response.headers:
                return f"/v{VERSION}"  # Podman's first /version takes half a second: not asked for nothing
        async with self._open("GET", "/version", {}, CALL_SECONDS) as response:
            oldest = str((await response.json()).get("MinAPIVersion", VERSION))
        return f"/v{max(oldest, VERSION, key=_numbers)}"

    def _open(self, method: str, path: str, query: dict[str, Any], seconds: float | None, **request: Any) -> Any:
        if self._session is None:
            # A connection of its own for every call: one kept over an engine's restart would fail the next.
            connector = aiohttp.UnixConnector(path=self.socket, force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, base_url="http://engine")
        params = {name: value if isinstance(value, str) else json.dumps(value) for name, value in query.items()}
        timeout = aiohttp.ClientTimeout(total=seconds)
        return self._session.request(method, path, params=params, timeout=timeout, **request)

    def _unreachable(self, why: str) -> Unavailable:
        return Unavailable(
            "ENGINE_UNREACHABLE",
            f"The container engine at {self.socket} does not answer: {why}.",
            hint="See that it runs.",
            socket=self.socket,
        )


_LIST_ATTEMPTS = 10
"""Each one that fails means that one more thing has gone."""

_TAR = {"Content-Type": "application/x-tar"}


async def gone(removal: Awaitable[Any]) -> None:
    """Wait for a removal; what was taken away between looking and removing is no error."""
    with suppress(NotFound):
        await removal


async def _objects(content: aiohttp.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """Lines of JSON; aiohttp's own readline gives up on lines over 64 KiB, which builds can print."""
    rest = b""
    async for piece in content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)
    if rest.strip():
        yield json.loads(rest)


_DIGEST = "sha256:[0-9a-f]{64}"
_SENTENCE = re.compile(rf"\S+: digest: ({_DIGEST}) size: \d+")


def _pushed(item: dict[str, Any]) -> str:
    """The digest, if this tells it. Docker has it in `aux`; Podman 4 only in the sentence that both have for people."""
    if re.fullmatch(_DIGEST, told := str((item.get("aux") or {}).get("Digest"))):
        return told
    found = _SENTENCE.fullmatch(str(item.get("status", "")))
    return found[1] if found else ""


def _refusal(status: int, text: str) -> Error:
    """The engine's answer as one of our errors. Podman says 500 where Docker has a status of its own."""
    message = text.strip()
    with suppress(ValueError, KeyError, TypeError):  # else the text itself is the best there is
        message = str(json.loads(text)["message"])
    lower = message.lower()
    if status == 404 or any(sign in lower for sign in ("no such container", "no such volume", "no such network")):
        return NotFound("ENGINE_NOT_FOUND", message)
    if any(sign in lower for sign in ("already in use", "already exists", "already used")):
        return AlreadyExists("ENGINE_NAME_TAKEN", message)
    if any(sign in lower for sign in ("no space left", "cannot allocate memory", "too many open files", "quota")):
        return Exhausted("ENGINE_EXHAUSTED", message)
    return Aborted("ENGINE_REFUSED", message, status=str(status))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
