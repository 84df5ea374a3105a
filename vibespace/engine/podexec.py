"""A script in a pod that runs, over the API's way in (WebSocket, subprotocol v4.channel.k8s.io)."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiohttp

from vibespace.engine import manifests
from vibespace.engine.kubeapi import Api
from vibespace.errors import Error

MOST = 1 << 16
"""Bytes that are read: whoever lives in the pod may have written them."""

_STDOUT, _ERROR = 1, 3


async def said(api: Api, pod: str, script: str, *words: str, seconds: float) -> str:
    """What `script` wrote in the pod at that path; as far as it came where the pod cannot be asked, or not in time."""
    told = b""
    with suppress(Error, aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(seconds):
            command = ["/bin/sh", "-c", script, "sh", *words]
            async with api.websocket(
                f"{pod}/exec", container=manifests.CONTAINER, command=command, stdout="true", stderr="true"
            ) as websocket:
                async for message in websocket:
                    if message.type is aiohttp.WSMsgType.BINARY and message.data[0] == _STDOUT:
                        told += message.data[1:]
                        if len(told) > MOST:
                            break
                    elif message.type is aiohttp.WSMsgType.BINARY and message.data[0] == _ERROR:
                        break
    return told.decode(errors="replace")
