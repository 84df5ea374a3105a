"""Who says something to an agent, and follows what it answers."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

from tests.bench import place
from vibespace.v1 import conversations_pb2 as v1
from vibespace.v1.cursor_pb2 import Cursor


class Talk:
    """With one agent."""

    def __init__(self, daemon: place.Daemon, name: str) -> None:
        self._stub = daemon.conversations
        self.name = name

    async def say(self, text: str) -> v1.SendMessageResponse:
        """As accepted."""
        request = v1.SendMessageRequest(parent=self.name, text=text, request_id=str(uuid.uuid4()))
        answer: v1.SendMessageResponse = await self._stub.SendMessage(request)
        return answer

    async def follow(self, after: Cursor, until: str = "") -> AsyncIterator[v1.StreamTranscriptResponse]:
        """What is told after that, up to the end of the message `until`, else for ever."""
        request = v1.StreamTranscriptRequest(name=self.name, after=after, follow=not until, until_message=until)
        async for response in self._stub.StreamTranscript(request):
            yield response

    async def ask(self, **asked: Any) -> v1.SendMessageResponse:
        """Tell tests.bench.printing what to print."""
        return await self.say(json.dumps(asked))

    async def print(self, **asked: Any) -> list[int]:
        """The same; the numbers of its lines, as they are seen here, until its turn is over."""
        sent = await self.ask(**asked)
        return [
            number
            async for response in self.follow(sent.cursor, sent.message.uid)
            for number in numbers(response.blocks)
        ]

    async def printed(self) -> list[int]:
        """The numbers of all lines that it has printed, as the log has them."""
        request = v1.StreamTranscriptRequest(name=self.name)
        return [
            number async for response in self._stub.StreamTranscript(request) for number in numbers(response.blocks)
        ]


def numbers(blocks: Any) -> list[int]:
    """Of the lines of tests.bench.printing that are among them."""
    said = (block.text.text for block in blocks if block.HasField("text") and not block.text.by_user)
    return [int(text.partition(" ")[0]) for text in said]
