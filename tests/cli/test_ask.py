"""A question before something goes."""

from __future__ import annotations

from tests.cli.daemon import Daemon
from tests.cli.daemon import vibespace as made
from tests.cli.process import on_terminal
from vibespace.v1 import vibespaces_pb2


def test_a_refusal_begins_a_line(daemon: Daemon) -> None:
    """Also when nothing was typed but Ctrl-D; what was not confirmed is not done."""
    method = "VibespaceService/DeleteVibespace"
    daemon.answers[method] = lambda _: vibespaces_pb2.DeleteVibespaceResponse(vibespace=made("demo"))
    code, seen = on_terminal("delete", "demo", "--no-color", typed=b"\x04")
    assert (code, seen.splitlines()[-1]) == (14, "vibespace: Nothing was deleted.")
    assert [request.validate_only for request in daemon.asked(method)] == [True]
