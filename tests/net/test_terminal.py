"""Commands on a terminal, over a real sshd."""

from __future__ import annotations

import secrets

import pytest

from tests.net.running import AGENT, finish, first_line, until
from tests.net.sshd import processes
from vibespace.errors import InvalidArgument
from vibespace.net.base import Exit, Process, Terminal
from vibespace.net.shell import SshShell

TERMINAL = Terminal("xterm", 93, 31)


async def start(shell: SshShell, *command: str, terminal: Terminal = TERMINAL) -> Process:
    return await shell.start(AGENT, command, terminal=terminal)


async def said(shell: SshShell, *command: str, terminal: Terminal = TERMINAL) -> str:
    """What it shows, to its end."""
    ran = await finish(await start(shell, *command, terminal=terminal))
    assert ran.stderr == b""
    return ran.stdout.decode().replace("\r\n", "\n")


async def test_what_it_is_like(shell: SshShell) -> None:
    """All three files are one terminal, of the size and type asked for; stderr comes with the rest."""
    script = 'tty -s <&1 && tty -s <&2 && stty size && echo "$TERM" >&2; exit 3'
    process = await start(shell, "sh", "-c", script)
    ran = await finish(process)
    assert (ran.stdout, ran.stderr, ran.exit) == (b"31 93\r\nxterm\r\n", b"", Exit(3))


async def test_characters_are_whole(shell: SshShell) -> None:
    """The terminal knows UTF-8: erasing takes a character away, not a byte."""
    process = await start(shell, "sh", "-c", "stty -echo; echo up; head -1 | od -An -tx1")
    await first_line(process)
    assert (await finish(process, "aä\x7fb\n".encode())).stdout.split() == [b"61", b"62", b"0a"]


async def test_keys_are_signals(shell: SshShell) -> None:
    """Ctrl-C is the terminal's, and what it makes of it."""
    process = await start(shell, "sh", "-c", "trap 'echo caught; exit 5' INT; echo up; while :; do sleep 0.01; done")
    await first_line(process)
    await process.write(b"\x03")
    ran = await finish(process)
    assert (ran.stdout, ran.exit) == (b"^Ccaught\r\n", Exit(5))


async def test_resized(shell: SshShell) -> None:
    """A new size arrives, and says so."""
    process = await start(shell, "bash", "-c", "trap 'stty size; exit' WINCH; echo up; while :; do read -t 0.01; done")
    await first_line(process)
    process.resize(120, 50)
    assert (await finish(process)).stdout.split() == [b"50", b"120"]


async def test_unknown_type(shell: SshShell) -> None:
    """A terminal that the container has never heard of is taken for a usual one."""
    terminal = Terminal("xterm-of-tomorrow", 80, 24)
    assert await said(shell, "sh", "-c", "echo $TERM", terminal=terminal) == "xterm-256color\n"


@pytest.mark.parametrize(
    "terminal",
    [Terminal("", 80, 24), Terminal("x;id", 80, 24), Terminal("xterm", 0, 24), Terminal("xterm", 80, 1 << 20)],
)
async def test_impossible(shell: SshShell, terminal: Terminal) -> None:
    """A terminal that there cannot be is refused before anything runs."""
    with pytest.raises(InvalidArgument) as caught:
        await start(shell, "true", terminal=terminal)
    assert caught.value.reason == "TERMINAL_INVALID"


async def test_hangs_up(shell: SshShell) -> None:
    """A terminal that is closed takes the shell and its jobs along, and leaves what had left it before."""
    goes, stays = (f"{word}-{secrets.token_hex(8)}" for word in ("goes", "stays"))
    process = await start(shell, "bash", "-i")
    await process.write(f"sh -c 'sleep 1000; :' {goes} &\n".encode())
    await process.write(f"nohup sh -c 'sleep 1000; :' {stays} >/dev/null 2>&1 </dev/null &\n".encode())
    await until(lambda: len(processes(goes)) == len(processes(f"sleep 1000; :\0{stays}")) == 1)
    await process.close()
    await until(lambda: not processes(goes))
    assert len(processes(stays)) == 1
