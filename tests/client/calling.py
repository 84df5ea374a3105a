"""Calls of a client, and the end of the daemon that answers them."""

from __future__ import annotations

import os

from tests.hosts import FAKE_ENGINE
from vibespace import launch
from vibespace.client import Client
from vibespace.state import State
from vibespace.v1.system_pb2 import (
    GetStatusRequest,
    GetStatusResponse,
    InitializeRequest,
    InitializeResponse,
)


def end(state: State, how: int) -> None:
    if state.lock.exists() and launch.answers(state.socket):
        os.kill(int(state.lock.read_text()), how)
    launch.wait_until_ended(state)


def status(state: State) -> GetStatusResponse:
    return Client(state).unary("SystemService/GetStatus", GetStatusRequest(), GetStatusResponse)


def init(state: State, image: str = "image") -> None:
    request = InitializeRequest(engine=FAKE_ENGINE, image=image)
    Client(state, uninstalled_too=True).unary("SystemService/Initialize", request, InitializeResponse)
