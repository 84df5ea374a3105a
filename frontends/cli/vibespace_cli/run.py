"""What a command does when nothing else was said: ask first if it destroys, call, wait if it settles, answer."""

from __future__ import annotations

from typing import Any

from vibespace import catalog
from vibespace_cli.ask import ask
from vibespace_cli.invocation import Invocation
from vibespace_cli.render import render
from vibespace_cli.shape import to_data


def run(invocation: Invocation) -> int | None:
    """Run any unary method."""
    if invocation.method.destroys:
        confirm(invocation)
    answer(invocation, settled(invocation, call(invocation)))
    return None


def call(invocation: Invocation) -> Any:
    """The response of the daemon."""
    method = invocation.method
    return invocation.session.client.unary(
        method.full_name, invocation.request, catalog.load().message_class(method.response)
    )


def settled(invocation: Invocation, response: Any) -> Any:
    """The response, with its resource as it is once the work is done, unless --no-wait or --dry-run was said."""
    if not invocation.method.settles or invocation.params.get("no_wait") or rehearses(invocation):
        return response
    from vibespace_cli import settle

    return settle.wait(invocation, response)


def answer(invocation: Invocation, response: Any) -> None:
    """Print the response: what changed in one sentence, all else in full."""
    output = invocation.session.output
    if output.verbose:
        output.note(f"{invocation.method.full_name}, request {output.request_id}")
    if output.as_json:
        output.data(to_data(response))
    elif invocation.method.settles and not rehearses(invocation):
        from vibespace_cli import settle

        settle.tell(invocation, response)
    else:
        if rehearses(invocation):
            from vibespace_cli import doomed

            output.note(f"This would delete {doomed.told(response)}. Nothing was deleted:")
        render(output, response)


def rehearses(invocation: Invocation) -> bool:
    """Whether --dry-run was said."""
    return bool(getattr(invocation.request, "validate_only", False))


def confirm(invocation: Invocation) -> None:
    """Ask before destroying. Raises Cancelled for a no, InvalidArgument where nobody can be asked."""
    if invocation.params.get("force") or rehearses(invocation):
        return
    from vibespace_cli import doomed

    rehearsed = _rehearse(invocation)
    thing = doomed.named(rehearsed, invocation.request.name)
    ask(f"Delete {thing}? This deletes {doomed.told(rehearsed)}.", thing)


def _rehearse(invocation: Invocation) -> Any:
    """What the daemon would destroy. What is not there, or cannot be destroyed now, is said before anybody is asked."""
    invocation.request.validate_only = True
    response = call(invocation)
    invocation.request.validate_only = False
    return response
