"""A program's own interface, for a person: in tmux, so that it goes on when he detaches or his terminal is gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from vibespace.app.feed import Feed
from vibespace.domain.agents import Agent
from vibespace.harness.base import Command, Harness, Settings

_SETTINGS = ".vibespace/tmux.conf"
FILES = {
    _SETTINGS: "\n".join(
        (
            "set -g status off",
            "set -g default-terminal tmux-256color",
            "set -g escape-time 10",
            "set -g focus-events on",
            "set -g history-limit 50000",
            "set -g window-size latest",
            "",
        )
    )
}
_TMUX = ("tmux", "-L", "vibespace", "-f", f"/home/agent/{_SETTINGS}")
_SESSION = "agent"
_FAREWELL = 5
"""Seconds."""
LEAVE = b"leave"
"""A line to what `in_tmux` runs: who looks at it is told why it goes, and it is asked to end."""
INTERRUPT = b"interrupt"
"""Another: it is to end what it works on, as by the key."""
_WHY = "A message takes over (vibespace ask --take-over). To join the agent again: vibespace connect"
_KEEP = f"""\
exec 3<&0
server=$(
    tmux -L vibespace -f "$HOME/{_SETTINGS}" new-session -d -P -F '#{{pid}}' -s {_SESSION} -x 120 -y 40 -- "$@" 3<&-
) || exit
(
    while read -r word <&3 || exit; [ "$word" = interrupt ]; do
        tmux -L vibespace send-keys -t ={_SESSION}: Escape
    done
    tmux -L vibespace detach-client -s ={_SESSION} -E 'echo "{_WHY}"'
    for leader in $(tmux -L vibespace list-panes -a -F '#{{pane_pid}}'); do kill -s TERM -- "-$leader"; done
) &
exec 3<&-
tmux -L vibespace wait-for {_SESSION}-over
exec timeout {_FAREWELL} tail --pid="$server" -s 0.02 -f /dev/null
"""
"""Lives as long as the server does, which goes with its only session. The wait-for ends before the server has told who
looks: were this the end, the server would be killed with all that the program leaves, and a client says to that
"server exited unexpectedly". One that is stuck is not waited for.
"""
_JOIN = f"""\
for _ in $(seq 250); do tmux -L vibespace has-session -t ={_SESSION} 2>/dev/null && break; sleep 0.02; done
exec tmux -L vibespace attach-session -t ={_SESSION}
"""
JOIN = ("/bin/sh", "-c", _JOIN)
"""What joins it. That a program was started is told before tmux has it; tmux, asked too soon, begins a server of its
own, in which there is none."""
_MOVED = "Another conversation was begun (vibespace agent new-conversation). To join it: vibespace connect"
_ALONE = f"""\
tmux -L vibespace detach-client -s ={_SESSION} -E 'echo "{_MOVED}"' 2>/dev/null
tmux -L vibespace kill-server 2>/dev/null
exec "$@"
"""


def alone(command: Command) -> Command:
    """The command, once nobody has a former conversation on a terminal: what is said there nobody else would hear."""
    return replace(command, argv=("/bin/sh", "-c", _ALONE, "sh", *command.argv))


def in_tmux(command: Command) -> Command:
    """The command, in a session that nobody looks at yet; it ends when that does."""
    return replace(command, argv=("/bin/sh", "-c", _KEEP, "sh", *command.argv))


class Doors:
    """Where a person's own interface to an agent is."""

    def __init__(
        self,
        feed: Feed,
        harnesses: Mapping[str, Harness],
        settings: Callable[[Agent], Settings],
        directory: Callable[[Agent], str],
    ) -> None:
        self._feed = feed
        self._harnesses = harnesses
        self._settings = settings
        self._directory = directory

    def command(self, agent: Agent) -> Sequence[str]:
        """What to run on a terminal inside to have it; empty while it is not there."""
        state, harness = self._feed.state, self._harnesses[agent.type]
        transcript, conversation = state.transcript(agent.uid), state.conversations.get(agent.uid)
        if not transcript or not transcript.running or not conversation or agent.uid not in self._feed.heard:
            return ()
        if not harness.shares:
            return JOIN if transcript.on_terminal else ()
        if not conversation.begun:
            return ()
        own = harness.terminal(
            self._settings(agent),
            conversation.program_session,
            resume=True,
            hook="",
            directory=self._directory(agent),
            env={},
        )
        return (*_TMUX, "new-session", "-A", "-s", _SESSION, "--", *own.argv)
