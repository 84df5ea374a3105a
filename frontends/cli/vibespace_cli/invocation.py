"""A command that was understood: what to call, with what, and how to answer."""

from __future__ import annotations

from typing import Any, NamedTuple

from vibespace.catalog import Method
from vibespace_cli.session import Session


class Invocation(NamedTuple):
    """What a runner gets."""

    session: Session
    method: Method
    request: Any
    """A message of `method.request`, filled from the arguments and flags."""
    params: dict[str, Any]
    """What click parsed, by parameter; for flags that set no field."""
