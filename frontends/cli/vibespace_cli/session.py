"""One run of a command: how it answers, and the way to the daemon, opened when it is first needed."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from vibespace_cli.output import Output

if TYPE_CHECKING:
    from vibespace.client import Client
    from vibespace.state import State


class Session:
    """What the whole command line shares; the root context's `obj`."""

    def __init__(self) -> None:
        self.output = Output()
        self.uninstalled_too = False
        """The command works where `uninstall --keep-data` has left only the data."""

    @cached_property
    def state(self) -> State:
        """The state directory. Raises InvalidArgument for one no socket fits in."""
        from vibespace import state

        return state.state()

    @cached_property
    def client(self) -> Client:
        """The way to the daemon."""
        from vibespace.client import Client

        return Client(self.state, uninstalled_too=self.uninstalled_too)

    def call(self, method: str, request: Any = None) -> Any:
        """A unary call by the method's full name; without a request, an empty one."""
        from vibespace import catalog

        api = catalog.load()
        service, name = method.split("/")
        request = request if request is not None else api.message_class(f"{name}Request")()
        return self.client.unary(f"{service}/{name}", request, api.message_class(f"{name}Response"))
