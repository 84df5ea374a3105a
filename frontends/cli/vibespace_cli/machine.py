"""The engine of this machine, for the commands that work on it themselves: init, image, doctor."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from vibespace import config
from vibespace.errors import NotFound
from vibespace_cli import complete
from vibespace_cli.progress import Progress

if TYPE_CHECKING:
    from vibespace.setup.engine import Choice
    from vibespace.setup.init import Engine
    from vibespace_cli.session import Session

FAKE = "fake"
"""Engine of our own tests: VIBESPACE_ENGINE says so, and then there is nothing to find or build.
engine/base.py, of which frontends know nothing, calls it so.
"""

KUBERNETES = "kubernetes"
"""As engine/base.py calls it."""

_ANOTHER = "give another with --base, or as image.base in config.yaml"


def fake() -> bool:
    """Whether the engine in memory was asked for."""
    return os.environ.get("VIBESPACE_ENGINE") == FAKE


def base_option() -> click.Option:
    """--base of the commands that may build the image."""
    text = "What the image stands on: a reference, or a tar of a Debian root file system. It is remembered."
    default = "image.base of config.yaml, else what the image stands on already"
    text = f"{text} [default: {default}]"
    return click.Option(["--base"], metavar="REF|TAR", help=text, shell_complete=complete.files)


@dataclass(frozen=True)
class Base:
    """What the image is to stand on."""

    text: str
    named: bool
    """By --base or config.yaml; otherwise it is what the image stands on already, or the default."""


def base(session: Session, given: str | None) -> Base:
    """`given` with --base, else what config.yaml sets, else what was recorded, else the default."""
    from vibespace.setup.base import DEFAULT, absolute

    named = given or settings(session).image_base
    return Base(absolute(named) if named else host(session).base or DEFAULT, bool(named))


def settings(session: Session) -> config.Settings:
    """What config.yaml sets."""
    return config.load(session.state.config)


def host(session: Session) -> Any:
    """The machine as the daemon has it recorded."""
    return session.call("SystemService/GetStatus").host


def log_id(session: Session) -> str:
    """Whose everything in an engine is."""
    found: str = session.call("SystemService/GetStatus").cursor.log_id
    return found


def recorded(session: Session) -> Choice | None:
    """The engine that `init` chose; None before it."""
    from vibespace.setup.engine import Choice

    found = host(session)
    return Choice(found.engine.brand, found.engine.address, found.engine.private) if found.initialized else None


def engine(session: Session) -> Engine:
    """The engine, made to answer; what was found out about it before is still so."""
    from vibespace.setup.init import find_engine

    found = asyncio.run(find_engine(session.state, settings(session), os.environ, recorded(session)))
    told = host(session).engine
    if told.HasField("enforces_network_policies"):
        return replace(found, enforces_network_policies=told.enforces_network_policies)
    return found


def builder(session: Session) -> Engine:
    """The engine that images are made in: the one there is, or, beside a cluster, one of this machine."""
    from vibespace.setup.init import find_engine

    chosen = recorded(session)
    chosen = None if chosen and chosen.brand == KUBERNETES else chosen
    return asyncio.run(find_engine(session.state, settings(session), os.environ, chosen))


def record(session: Session, found: Engine | None, image: str, base: str = "") -> Any:
    """Have the daemon write down engine, image and what that stands on; its response."""
    from vibespace.setup.base import DEFAULT
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
            enforces_network_policies=found.enforces_network_policies,
        )
    request = InitializeRequest(engine=said, image=image, request_id=session.output.request_id)
    request.base = "" if base == DEFAULT else base  # a later version may have another default
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


def build(session: Session, base: Base, work: Callable[[Callable[[str], None]], Any]) -> Any:
    """As with_progress, for work that may build the image: of a remembered tar that has gone it says the way out."""
    try:
        return with_progress(session, work)
    except NotFound as e:
        if e.reason == "BASE_NOT_FOUND" and not base.named:
            e.hint = f"The agents' image stands on it: put it back, or {_ANOTHER}."
        raise
