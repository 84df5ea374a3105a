"""Commands over a real sshd."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import signal
import socket

import pytest

from tests.net.running import AGENT, Ran, finish, first_line, run, until
from tests.net.sshd import Sshd, processes
from vibespace.errors import Exhausted, InvalidArgument, Unavailable
from vibespace.net.base import Exit, Process
from vibespace.net.channel import HELD, PIECE, WINDOW
from vibespace.net.keys import KeyFiles
from vibespace.net.process import SIGNALS, SshProcess
from vibespace.net.shell import SshShell

TEN_MB = os.urandom(1000) * 10_000


def unique() -> str:
    """A word that no other process has among its arguments."""
    return f"unique-{secrets.token_hex(8)}"


async def test_words_are_passed_on(shell: SshShell) -> None:
    """Arguments arrive word for word, whatever is in them."""
    words = ["", " ", "a b", "'", '"', "$HOME", "`id`", "*", "\\", "\n", "-n", "--", "ü€😀", "a;b", "!x", "~", "#"]
    ran = await run(shell, "printf", "%s\\0", *words)
    assert ran.stdout.decode().split("\0")[:-1] == words


async def test_all_bytes_both_ways(shell: SshShell) -> None:
    """Every byte value passes through unchanged in both directions."""
    every = bytes(range(256))
    assert await run(shell, "cat", stdin=every) == Ran(every, b"", Exit(0))


async def test_ten_megabytes_both_ways(shell: SshShell) -> None:
    """Ten megabytes go in and come back as they were."""
    ran = await run(shell, "cat", stdin=TEN_MB)
    assert hashlib.sha256(ran.stdout).digest() == hashlib.sha256(TEN_MB).digest()


async def test_streams_stay_apart(shell: SshShell) -> None:
    """Standard output and standard error are told apart."""
    assert await run(shell, "sh", "-c", "echo out; echo err >&2") == Ran(b"out\n", b"err\n", Exit(0))


@pytest.mark.parametrize("code", [0, 1, 2, 127, 255])
async def test_exit_code(shell: SshShell, code: int) -> None:
    """The exit code is the command's."""
    assert (await run(shell, "sh", "-c", f"exit {code}")).exit == Exit(code)


@pytest.mark.parametrize("name", ["HUP", "INT", "KILL", "TERM", "SEGV", "USR1"])
async def test_ended_by_a_signal(shell: SshShell, name: str) -> None:
    """A command that a signal ended has 128 and its number as code, and its name."""
    ran = await run(shell, "sh", "-c", f"kill -{name} $$")
    assert ran.exit == Exit(128 + getattr(signal, f"SIG{name}"), name)


async def test_program_that_is_not_there(shell: SshShell) -> None:
    """A program that is not there ends with 127 and says so."""
    ran = await run(shell, "no-such-program")
    assert ran.exit == Exit(127)
    assert b"not found" in ran.stderr


async def test_program_named_like_an_option(shell: SshShell) -> None:
    """A program whose name begins with a dash is looked for, not taken for an option."""
    assert (await run(shell, "-c", "id")).exit == Exit(127)


async def test_directory(shell: SshShell) -> None:
    """A command runs in the directory asked for, in the home otherwise; one that is not there fails it."""
    assert (await run(shell, "pwd", directory="/usr/share")).stdout == b"/usr/share\n"
    assert (await run(shell, "sh", "-c", '[ "$PWD" = "$HOME" ]')).exit == Exit(0)
    assert (await run(shell, "true", directory="/no such/directory")).exit == Exit(1)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ([], "COMMAND_INVALID"),
        ([""], "COMMAND_INVALID"),
        (["a\0b"], "COMMAND_INVALID"),
        (["x" * 131_072], "COMMAND_TOO_LONG"),
    ],
)
async def test_impossible_commands(shell: SshShell, command: list[str], reason: str) -> None:
    """What cannot be run is refused before anything is sent."""
    with pytest.raises(InvalidArgument) as caught:
        await shell.start(AGENT, command)
    assert caught.value.reason == reason


async def test_longest_command(shell: SshShell) -> None:
    """A command just short of the limit runs."""
    assert (await run(shell, "printf", "%s", "x" * 130_900)).stdout == b"x" * 130_900


async def test_signal_reaches_the_group(shell: SshShell) -> None:
    """A signal reaches the command and its children."""
    word = unique()
    process = await shell.start(AGENT, ["sh", "-c", f"sh -c 'echo up; exec sleep 1000' {word} & wait", word])
    await first_line(process)
    process.signal("TERM")
    assert (await finish(process)).exit == Exit(143, "TERM")
    await until(lambda: not processes(word))


async def test_signal_that_is_handled(shell: SshShell) -> None:
    """A command that handles a signal goes on as it likes."""
    process = await shell.start(
        AGENT, ["sh", "-c", "trap 'echo got; exit 3' INT; echo up; while :; do sleep 0.01; done"]
    )
    await first_line(process)
    process.signal("INT")
    ran = await finish(process)
    assert (ran.stdout, ran.exit) == (b"got\n", Exit(3))


async def test_unknown_signal(shell: SshShell) -> None:
    """A signal that there is not is refused, and those that there are are named."""
    process = await shell.start(AGENT, ["cat"])
    with pytest.raises(InvalidArgument) as caught:
        process.signal("SIGTERM")
    assert (caught.value.reason, caught.value.field) == ("SIGNAL_UNKNOWN", "signal")
    assert "TERM" in SIGNALS
    await process.close()


async def test_after_the_end(shell: SshShell) -> None:
    """Writing to, signalling and closing a command that has ended does nothing."""
    process = await shell.start(AGENT, ["true"])
    assert (await finish(process)).exit == Exit(0)
    await process.write(b"x" * 1_000_000)
    await process.write_eof()
    process.signal("TERM")
    await process.close()
    assert await process.wait() == Exit(0)


async def test_input_that_nobody_reads(shell: SshShell) -> None:
    """A command that ends without reading its input does not hold its writer up."""
    assert (await run(shell, "head", "-c", "1", stdin=TEN_MB)).stdout == TEN_MB[:1]


async def test_output_that_nobody_reads(shell: SshShell) -> None:
    """A command that writes for ever is held up, with bounded memory, until somebody reads."""
    process = await shell.start(AGENT, ["sh", "-c", "head -c 100000000 /dev/zero; echo done >&2"])
    await until(lambda: held(process) > WINDOW - PIECE)
    assert held(process) <= HELD + WINDOW
    other = await run(shell, "echo", "meanwhile")
    assert other.stdout == b"meanwhile\n"
    size = 0
    async for piece in process.output():
        size += len(piece.data)
        assert held(process) <= HELD + WINDOW
    assert size == 100_000_000 + len("done\n")


def held(process: Process) -> int:
    """Bytes of its output in our memory: ours, and asyncssh's own, which is what the ssh window must bound."""
    assert isinstance(process, SshProcess)
    assert process._channel
    return process._held + sum(len(data) for data, _ in process._channel._recv_buf)


async def test_command_that_does_not_read(shell: SshShell) -> None:
    """A writer is held up by a command that does not read, with bounded memory."""
    process = await shell.start(AGENT, ["sleep", "1000"])
    writing = asyncio.create_task(process.write(bytes(50_000_000)))
    assert isinstance(process, SshProcess)
    channel = process._channel
    assert channel
    await until(lambda: channel._send_window == 0)
    for _ in range(20):
        await run(shell, "true")
    assert not writing.done()
    assert channel.get_write_buffer_size() <= 2 * HELD
    await process.close()
    await writing


async def test_many_at_once_share_one_connection(shell: SshShell, sshd: Sshd) -> None:
    """Fifty commands started at once, before there is a connection, make one connection and do not mix."""
    ran = await asyncio.gather(*(run(shell, "sh", "-c", f"cat; exit {i}", stdin=b"%d" % i * 1000) for i in range(50)))
    assert [(r.stdout, r.exit.code) for r in ran] == [(b"%d" % i * 1000, i) for i in range(50)]
    assert sshd.dials == 1


async def test_too_many_at_once(shell: SshShell, sshd: Sshd) -> None:
    """More commands than sshd allows are refused, and those that run go on."""
    await sshd.kill()
    sshd.sessions = 2
    await sshd.start()
    running = [await shell.start(AGENT, ["cat"]) for _ in range(2)]
    with pytest.raises(Exhausted) as caught:
        await shell.start(AGENT, ["cat"])
    assert caught.value.reason == "TOO_MANY_COMMANDS"
    assert [(await finish(process, b"x")).stdout for process in running] == [b"x", b"x"]


async def test_reconnects(shell: SshShell, sshd: Sshd) -> None:
    """After sshd died and came back the next command runs on a new connection, with the same host key."""
    await run(shell, "true")
    await sshd.kill()
    await sshd.start()
    assert (await run(shell, "echo", "back")).stdout == b"back\n"
    assert sshd.dials == 2


async def test_command_cut_off(shell: SshShell, sshd: Sshd) -> None:
    """A command whose connection breaks ends with AGENT_UNREACHABLE, after the output that had come."""
    process = await shell.start(AGENT, ["sh", "-c", "echo up; sleep 1000"])
    assert await first_line(process) == b"up\n"
    await sshd.kill()
    assert [piece async for piece in process.output()] == []
    with pytest.raises(Unavailable) as caught:
        await process.wait()
    assert caught.value.reason == "AGENT_UNREACHABLE"
    await process.close()


async def test_nobody_there(shell: SshShell, sshd: Sshd) -> None:
    """Without a container all of them fail at once, and the next one tries anew."""
    await sshd.kill()
    failed = await asyncio.gather(*(shell.start(AGENT, ["true"]) for _ in range(5)), return_exceptions=True)
    assert [f.reason for f in failed if isinstance(f, Unavailable)] == ["AGENT_UNREACHABLE"] * 5
    assert shell._connections._made == {}  # the agent may be gone, and then nobody tries anew
    await sshd.start()
    assert (await run(shell, "true")).exit == Exit(0)


async def test_wrong_host_key(shell: SshShell, sshd: Sshd) -> None:
    """What answers with another host key is refused."""
    await sshd.kill()
    sshd.keys.delete(AGENT)
    await sshd.start()
    sshd.keys.delete(AGENT)
    sshd.keys.make_host_key(AGENT)
    with pytest.raises(Unavailable) as caught:
        await shell.start(AGENT, ["true"])
    assert caught.value.reason == "AGENT_UNREACHABLE"
    assert "host key" in caught.value.message


async def test_wrong_client_key(sshd: Sshd) -> None:
    """A key that is not the installation's is not let in."""
    stranger = KeyFiles(sshd.home.with_name("strangers-keys"))

    class Theirs:
        client_key = staticmethod(stranger.client_key)
        host_key = staticmethod(sshd.keys.host_key)

    shell = SshShell(sshd, Theirs(), user=sshd.user)
    with pytest.raises(Unavailable, match="does not let us in"):
        await shell.start(AGENT, ["true"])
    await shell.close()


async def test_not_an_sshd(sshd: Sshd) -> None:
    """What answers and is no sshd is an agent that cannot be reached."""

    class Elsewhere:
        async def dial(self, agent_uid: str) -> socket.socket:
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.sendall(b"HTTP/1.1 200 OK\r\n\r\n" * 2000)
            theirs.close()
            return ours

    shell = SshShell(Elsewhere(), sshd.keys, user=sshd.user)
    with pytest.raises(Unavailable) as caught:
        await shell.start(AGENT, ["true"])
    assert caught.value.reason == "AGENT_UNREACHABLE"
    await shell.close()


STUBBORN = {
    "plain": "echo up; sleep 1000; :",
    "deaf to HUP": "trap '' HUP; echo up; while :; do sleep 0.05; done",
    "deaf to all but KILL": "trap '' HUP TERM INT; echo up; while :; do sleep 0.05; done",
    "its child is nohup'd": "nohup sh -c 'sleep 1000; :' $0 >/dev/null 2>&1 & echo up; wait",
    "in a session of its own": "setsid sh -c 'echo up; sleep 1000; :' $0 & wait",
    "its first process has ended": "setsid sh -c 'echo up; sleep 1000; :' $0 &",
    "writes for ever": "echo up; yes; :",
}


@pytest.mark.parametrize("script", STUBBORN.values(), ids=STUBBORN.keys())
async def test_close_leaves_nothing(shell: SshShell, script: str) -> None:
    """Whatever a command is like, nothing of it goes on running once it was closed."""
    word = unique()
    process = await shell.start(AGENT, ["sh", "-c", script, word])
    assert (await first_line(process)).startswith(b"up\n")
    assert processes(word)
    await process.close()
    assert processes(word) == []


async def test_close_at_once(shell: SshShell) -> None:
    """A command closed as soon as it was started is gone too."""
    word = unique()
    for _ in range(10):
        process = await shell.start(AGENT, ["sh", "-c", "sleep 1000; :", word])
        await process.close()
    assert processes(word) == []


async def test_close_goes_on_when_cancelled(shell: SshShell) -> None:
    """Closing goes on to the end although who asked for it is cancelled."""
    word = unique()
    process = await shell.start(AGENT, ["sh", "-c", "trap '' HUP; echo up; while :; do sleep 0.05; done", word])
    await first_line(process)
    closing = asyncio.create_task(process.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await until(lambda: not processes(word))


async def test_start_cancelled(shell: SshShell) -> None:
    """A start that is cancelled half way leaves no command behind, at whatever point it was."""
    word = unique()
    await run(shell, "true")
    for turns in range(12):
        starting = asyncio.create_task(shell.start(AGENT, ["sh", "-c", "sleep 1000; :", word]))
        for _ in range(turns):
            await asyncio.sleep(0)
        if not starting.cancel():
            continue  # it was quicker than that many turns, and is closed with the others
        with pytest.raises(asyncio.CancelledError):
            await starting
    await shell.close()
    assert processes(word) == []


async def test_shell_closes_all(shell: SshShell) -> None:
    """Closing the shell ends what it started."""
    word = unique()
    for _ in range(3):
        await first_line(await shell.start(AGENT, ["sh", "-c", "echo up; sleep 1000; :", word]))
    await shell.close()
    assert processes(word) == []


async def test_forget(shell: SshShell, sshd: Sshd) -> None:
    """An agent that was forgotten is reached by a new connection."""
    await run(shell, "true")
    await shell.forget(AGENT)
    await shell.forget(AGENT)
    await run(shell, "true")
    assert sshd.dials == 2


async def test_forget_while_connecting(sshd: Sshd) -> None:
    """Forgetting an agent that is being reached fails those who wait, and not by a cancellation."""
    reached = asyncio.Event()

    class Slow:
        async def dial(self, agent_uid: str) -> socket.socket:
            reached.set()
            await asyncio.Event().wait()
            raise AssertionError

    shell = SshShell(Slow(), sshd.keys, user=sshd.user)
    starting = asyncio.create_task(shell.start(AGENT, ["true"]))
    await reached.wait()
    await shell.forget(AGENT)
    with pytest.raises(Unavailable):
        await starting
    await shell.close()


async def test_one_waiter_cancelled(shell: SshShell, sshd: Sshd) -> None:
    """One of two who wait for the same connection is cancelled; the other gets it."""
    first = asyncio.create_task(shell.start(AGENT, ["true"]))
    second = asyncio.create_task(run(shell, "echo", "here"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).stdout == b"here\n"
    assert sshd.dials == 1
