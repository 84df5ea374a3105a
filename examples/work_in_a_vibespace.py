"""Makes a vibespace, waits until it runs, runs a command in it, and tells what happened.

    python examples/work_in_a_vibespace.py NAME COMMAND...

The daemon may be killed at any moment of this: the calls, the waiting and the history go on with the next one.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing

from vibespace.aio import Client, fold
from vibespace.errors import Error
from vibespace.v1.agents_pb2 import (
    AGENT_STATE_FAILED,
    AGENT_STATE_RUNNING,
    AGENT_TYPE_CODEX,
    Agent,
    AgentSettings,
    ExecRequest,
    ExecStart,
)
from vibespace.v1.events_pb2 import StreamEventsRequest
from vibespace.v1.vibespaces_pb2 import CreateVibespaceRequest, DeleteVibespaceRequest, Vibespace


async def main(name: str, command: list[str]) -> int:
    async with Client() as client:
        settings = AgentSettings(type=AGENT_TYPE_CODEX)
        accepted = await client.vibespaces.CreateVibespace(CreateVibespaceRequest(vibespace_id=name, agent=settings))
        vibespace = accepted.vibespace.name
        try:
            agent = await running(client, vibespace)
            code = await run(client, agent, command)
        finally:
            await client.vibespaces.DeleteVibespace(DeleteVibespaceRequest(name=vibespace))
        async for page in client.events.StreamEvents(StreamEventsRequest(parent=vibespace)):
            for event in page.events:
                print(f"{event.cursor.position}\t{event.type}\t{event.subject}")
        return code


async def running(client: Client, vibespace: str) -> str:
    """The name of the vibespace's first agent, once its container answers."""
    known: dict[str, Vibespace | Agent] = {}
    async with aclosing(client.watch(vibespace)) as responses:
        async for response in responses:
            fold(known, response)
            for found in known.values():
                if isinstance(found, Agent) and found.status.state == AGENT_STATE_RUNNING:
                    return found.name
                if isinstance(found, Agent) and found.status.state == AGENT_STATE_FAILED:
                    raise SystemExit(f"{found.agent_id} does not run: {found.status.reason}")
    raise AssertionError("a watch does not end")


async def run(client: Client, agent: str, command: list[str]) -> int:
    """Run `command` in the agent's container; its exit code."""

    async def requests() -> AsyncIterator[ExecRequest]:
        yield ExecRequest(start=ExecStart(name=agent, command=command))

    async for response in client.agents.Exec(requests()):
        if response.HasField("exit"):
            return response.exit.code
        sys.stdout.write((response.stdout or response.stderr).decode(errors="replace"))
    raise AssertionError("the daemon ends with an exit or an error")


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2:])))
    except Error as e:
        sys.exit(f"{e.message} {e.hint}")
