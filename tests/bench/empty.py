"""The floor of a unary call: a server process like the daemon's whose one method does nothing.

python -m tests.bench.empty --ready-fd N, with VIBESPACE_HOME set.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import grpc

from vibespace.state import state
from vibespace.v1 import vibespaces_pb2 as v1


async def answer(request: v1.GetVibespaceRequest, context: Any) -> v1.GetVibespaceResponse:
    return v1.GetVibespaceResponse()


async def main(ready_fd: int) -> None:
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    method = grpc.unary_unary_rpc_method_handler(
        answer, v1.GetVibespaceRequest.FromString, v1.GetVibespaceResponse.SerializeToString
    )
    server.add_registered_method_handlers("vibespace.v1.VibespaceService", {"GetVibespace": method})
    server.add_insecure_port(f"unix:{state().socket}")
    await server.start()
    os.write(ready_fd, b"ready\n")
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[-1])))
