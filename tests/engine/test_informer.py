"""How what a cluster has is followed, whatever becomes of a watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.engine.apiserver import Handler, events, listed, named, refusal, serving
from vibespace.engine import informer, pulse
from vibespace.engine.informer import Informer
from vibespace.engine.kubeapi import Api
from vibespace.errors import Unavailable

Step = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def following(handler: Handler, at: Path) -> AsyncIterator[tuple[Informer, asyncio.Task[None], asyncio.Event]]:
    stirred = asyncio.Event()
    async with serving(handler, at) as kubeconfig:
        api = Api(kubeconfig)
        followed = Informer(api, "/api/v1/pods", "vibespace.log=1", stirred.set)
        task = asyncio.create_task(followed.run())
        try:
            yield followed, task, stirred
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await api.close()


class Script:
    """Answers one after the other; what was asked is kept. After the last it says nothing more."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.asked: list[dict[str, str]] = []
        self.over = asyncio.Event()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        if not self.steps:
            self.over.set()
            await asyncio.Event().wait()
        return await self.steps.pop(0)(request)


def step(answer: web.Response) -> Step:
    async def say(_: web.Request) -> web.StreamResponse:
        return answer

    return say


def watch(*found: tuple[str, dict[str, object]]) -> Step:
    return lambda request: events(request, *found)


async def run(script: Script, at: Path) -> dict[str, str]:
    """Versions by name, once the script is over."""
    async with following(script, at) as (followed, task, _):
        over = asyncio.create_task(script.over.wait())
        await asyncio.wait((over, task), return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if task.done():
            task.result()
        return {name: found["metadata"]["resourceVersion"] for name, found in followed.objects.items()}


async def test_pages_then_events(tmp_path: Path) -> None:
    """A list of several pages is one, and events change it."""
    script = Script(
        step(listed("7", named("a", "1"), following="more")),
        step(listed("7", named("b", "2"))),
        watch(("MODIFIED", named("a", "8")), ("DELETED", named("b", "9")), ("ADDED", named("c", "10"))),
    )
    assert await run(script, tmp_path) == {"a": "8", "c": "10"}
    assert [asked.get("continue") for asked in script.asked] == [None, "more", None, None]
    assert [asked.get("resourceVersion") for asked in script.asked[2:]] == ["7", "10"]


async def test_a_bookmark_moves_the_place(tmp_path: Path) -> None:
    """A watch that ended goes on from the last bookmark, without another list."""
    script = Script(step(listed("7", named("a", "1"))), watch(("BOOKMARK", named("", "50"))))
    assert await run(script, tmp_path) == {"a": "1"}
    assert script.asked[-1]["resourceVersion"] == "50"


@pytest.mark.parametrize("told", ["in the stream", "at once"])
async def test_a_place_too_old_is_listed_anew(tmp_path: Path, told: str) -> None:
    """410 in either form begins with a new list, in which what went meanwhile is gone."""
    expired = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    gone = watch(("ERROR", expired)) if told == "in the stream" else step(refusal(410, "Expired", "too old"))
    script = Script(step(listed("7", named("a", "1"))), gone, step(listed("90", named("b", "80"))))
    assert await run(script, tmp_path) == {"b": "80"}
    assert script.asked[-1]["resourceVersion"] == "90"


async def test_pages_that_are_too_old_are_listed_anew(tmp_path: Path) -> None:
    """Where all of them took so long that the rest is not kept any more."""
    script = Script(
        step(listed("7", named("a", "1"), following="more")),
        step(refusal(410, "Expired", "The provided continue parameter is too old")),
        step(listed("90", named("b", "80"))),
    )
    assert await run(script, tmp_path) == {"b": "80"}


async def test_a_cluster_that_cannot_list_is_said_at_once(tmp_path: Path) -> None:
    """That it can tell of one says nothing of all."""
    script = Script(step(refusal(503, "ServiceUnavailable", "etcd is away")))
    with pytest.raises(Unavailable):
        await run(script, tmp_path)
    assert len(script.asked) == 1


@pytest.mark.parametrize("still", [(503, "ServiceUnavailable", "etcd is away"), (403, "Forbidden", "no rights yet")])
async def test_a_cluster_that_is_away_is_said(tmp_path: Path, still: tuple[int, str, str]) -> None:
    """What a server says that cannot answer ends it, if it is asked for less and cannot: who follows begins anew."""
    away = step(refusal(503, "ServiceUnavailable", "etcd is away"))
    script = Script(step(listed("7")), away, step(refusal(*still)))
    with pytest.raises(Unavailable) as lost:
        await run(script, tmp_path)
    assert lost.value.reason == "ENGINE_UNREACHABLE"


async def test_a_watch_that_is_cut_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was, without another list of all: what is between us and the cluster hangs up now and then."""
    monkeypatch.setattr(informer, "CUT_SECONDS", 0.0)

    async def cut(request: web.Request) -> web.StreamResponse:
        answer = await events(request, ("ADDED", named("b", "8")))
        assert request.transport
        request.transport.close()
        return answer

    script = Script(step(listed("7", named("a", "1"))), cut, step(listed("9")), watch(("ADDED", named("c", "10"))))
    assert await run(script, tmp_path) == {"a": "1", "b": "8", "c": "10"}
    assert [asked.get("resourceVersion") for asked in script.asked] == [None, "7", None, "8", "10"]
    assert script.asked[2]["limit"] == "1"


@pytest.mark.parametrize(
    "answer",
    [
        lambda: refusal(401, "Unauthorized", "Unauthorized"),
        lambda: refusal(403, "Forbidden", "no"),
        lambda: web.Response(status=503),
    ],
    ids=["knows nobody", "forbids", "is away"],
)
async def test_a_pulse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Callable[[], web.Response]) -> None:
    """One who looks now and then hears that the cluster does not answer any more, also where nothing happens there."""
    monkeypatch.setattr(pulse, "PULSE_SECONDS", 0.0)
    script = Script(step(listed("1")), step(listed("2")), step(answer()), step(answer()))
    async with serving(script, tmp_path) as kubeconfig:
        api = Api(kubeconfig)
        try:
            with pytest.raises(Unavailable):
                await pulse.Pulse(api, "/api/v1/pods").run()
        finally:
            await api.close()
    assert {asked["limit"] for asked in script.asked} == {"1"}


@pytest.mark.parametrize("item", [{}, {"metadata": {}}, {"metadata": "x"}], ids=["no object", "no name", "no metadata"])
async def test_what_is_no_object(tmp_path: Path, item: dict[str, object]) -> None:
    """It is as if nobody answered: whoever follows tries again, and does not end of it."""
    async with following(Script(step(listed("1", item))), tmp_path) as (_, task, _stirred):
        with pytest.raises(Unavailable):
            await task
