"""What an agent says of its surroundings is believed only as far as it can be so."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from typing import Any

import pytest

from tests.net.answering import HONEST, Answering
from vibespace.errors import Unavailable
from vibespace.net import probe
from vibespace.net.base import Seen
from vibespace.net.prober import InsideProber

TARGETS = [("10.0.0.1", 80), ("10.0.0.2", 2222)]
GATEWAY = ["10.0.0.1", 7]
NO_LISTS: list[Any] = [None, 7, "abc", {"a": 1}]
NO_TARGETS: list[Any] = [None, "ab", [], {}, ["a"], [1, 2], ["a", "b"]]
NO_POWERS: list[Any] = [None, 7, {"CapEff": 0}, {"CapEff": "\ud800"}, {"CapEff": "0" * 17}]
LIES: list[dict[str, Any]] = [
    *({field: wrong} for field in ("reached", "loopback", "opened") for wrong in NO_LISTS),
    *({field: [wrong]} for field in ("reached", "loopback") for wrong in NO_TARGETS),
    *({"powers": wrong} for wrong in NO_POWERS),
    {"reached": [["10.0.0.1", 80.5]]},
    {"loopback": [["10.0.0.1", 8]]},
    {"loopback": [["nowhere.example", 7]]},
    {"loopback": [["fe80::1%\ud800", 7]]},
    {"loopback": [GATEWAY] * 9},
]


async def seen(answer: bytes) -> Seen:
    prober = InsideProber(Answering(lambda _uid, _asked: answer))
    return await prober("uid", targets=TARGETS, loopback=[7], paths=["/a", "/b"])


async def saying(**told: Any) -> Seen:
    return await seen(json.dumps(HONEST | told).encode())


async def test_what_can_be_so_is_believed() -> None:
    """Of what was asked, in its order."""
    told = {"loopback": [GATEWAY], "reached": [GATEWAY, [*TARGETS[1]]], "opened": ["/b"], "powers": {"Seccomp": "2"}}
    assert await saying(**told) == Seen([TARGETS[1], ("10.0.0.1", 7)], [("10.0.0.1", 7)], ["/b"], {"Seccomp": "2"})


@pytest.mark.parametrize("lie", LIES, ids=repr)
async def test_what_cannot_be_so_is_refused(lie: dict[str, Any]) -> None:
    """Whatever it is, as one kind of error."""
    with pytest.raises(Unavailable) as e:
        await saying(**lie)
    assert e.value.reason == "PROBE_FAILED"


@pytest.mark.parametrize("answer", [b"", b"7", b"[]", b'"a"', b"\xff", b"[" * 16000, b"1e999", b"9" * 9999, b"{}"])
async def test_what_is_no_answer_is_refused(answer: bytes) -> None:
    """Also what a parser stumbles over."""
    with pytest.raises(Unavailable):
        await seen(answer)


async def test_what_was_not_asked_is_not_told() -> None:
    """An agent chooses no word of a finding."""
    found = await saying(reached=[["1.1.1.1", 1]], opened=["/c", None, [], {}], powers={"X": []})
    assert (found.reached, found.opened, found.powers) == ([], [], {})


def test_all_are_tried_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are ever asked for: none is answered before the last is tried."""
    together = threading.Barrier(probe.AT_ONCE, timeout=60)

    def connect(_address: object, timeout: float) -> socket.socket:
        together.wait()
        raise OSError

    monkeypatch.setattr(socket, "create_connection", connect)
    assert probe.reached([("10.0.0.1", port) for port in range(probe.AT_ONCE)]) == []
    assert not together.broken


def test_who_is_slow_to_end_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A neighbour whose sshd never stops talking was reached all the same."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                while True:
                    connection.sendall(b"x")

        talking = threading.Thread(target=talk)
        talking.start()
        target = server.getsockname()
        monkeypatch.setattr(probe, "_SSHD", target[1])
        monkeypatch.setattr(probe, "SECONDS", 0.5)
        assert probe.reached([target]) == [target]
        talking.join()
