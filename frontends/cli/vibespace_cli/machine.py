"""The engine of this machine, for the commands that work on it themselves: init, image, doctor."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from vibespace import config
from vibespace_cli.progress import Progress

if TYPE_CHECKING:
    from vibespace.setup.engine import Choice
    from vibespace.setup.init import Engine
    from vibespace_cli.session import Session

FAKE = "fake"
"""Engine of our own tests: VIBESPACE_ENGINE says so, and then there is nothing to find or build.
engine/base.py, of which frontends know nothing, calls it so.
"""


def fake() -> bool:
    """Whether the engine in memory was asked for."""
    return os.environ.get("VIBESPACE_ENGINE") == FAKE


def base_option() -> click.Option:
    """--base of the commands that may build the image."""
    text = "What the image stands on, this time: a reference, or a tar of a Debian root file system."
    return click.Option(["--base"], metavar="REF|TAR", help=f"{text} [default: image.base of config.yaml]")


def settings(session: Session) -> config.Settings:
    """What config.yaml sets."""
    return config.load(session.state.config)


def recorded(session: Session) -> Choice | None:
    """The engine that `init` chose; None before it."""
    from vibespace.setup.engine import Choice

    host = session.call("SystemService/GetStatus").host
    return Choice(host.engine.brand, host.engine.address, host.engine.private) if host.initialized else None


def engine(session: Session) -> Engine:
    """The engine, made to answer."""
    from vibespace.setup.init import find_engine

    return asyncio.run(find_engine(session.state, settings(session), os.environ, recorded(session)))


def record(session: Session, found: Engine | None, image: str) -> Any:
    """Have the daemon write down engine and image; its response."""
    from vibespace.v1.system_pb2 import HostEngine, InitializeRequest

    if found is None:
        said = HostEngine(brand=FAKE, version="1", address="memory")
    else:
        choice, identity = found.choice, found.identity
        said = HostEngine(
            brand=choice.brand,
            version=identity.version,
            address=choice.socket,
            private=choice.private,
            rootless=identity.rootless,
            unenforced_limits=identity.unenforced_limits,
        )
    request = InitializeRequest(engine=said, image=image, request_id=session.output.request_id)
    return session.call("SystemService/Initialize", request)


def seen(session: Session, host: Any) -> Any:
    """`host` once its engine has shown the daemon what runs, or the daemon knows why it does not."""
    from vibespace.v1.events_pb2 import WatchRequest, WatchResponse

    news = session.client.follow("EventService/Watch", WatchRequest(), WatchResponse)
    while not (host.engine_reachable or host.engine_reason):
        next(news)
        host = session.call("SystemService/GetStatus").host
    return host


def with_progress(session: Session, work: Callable[[Callable[[str], None]], Any]) -> Any:
    """Run `work`, a coroutine function that tells what it does; what it tells is seen on a terminal."""
    with Progress(session.output) as progress:
        return asyncio.run(work(progress.show))
