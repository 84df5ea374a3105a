"""The contract with the engines, held by a container that really runs."""

from __future__ import annotations

import asyncio
import uuid

import asyncssh
import pytest

from tests.image.computer import Computer, remove, start
from vibespace.engine.api import Api

pytestmark = pytest.mark.containers


async def test_without_powers(computer: Computer) -> None:
    """A command is uid 1000 with no capability in any set, and no way to a new one."""
    assert (await computer.run("id -u; id -g; id -un; id -G")).split() == ["1000", "1000", "agent", "1000"]
    status = dict(line.split(":\t") for line in (await computer.run("cat /proc/self/status")).splitlines())
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


async def test_init_is_first(computer: Computer) -> None:
    """The engine's init is pid 1 and sshd its child: the entry point is gone."""
    lines = (await computer.run("cat /proc/1/comm; pgrep -P 1 -a")).splitlines()
    assert lines[0] != "entry"
    assert any("/usr/sbin/sshd" in line for line in lines[1:])
    assert not any("entry" in line for line in lines[1:])


async def test_environment_from_outside(computer: Computer) -> None:
    """Also a shell on a terminal has it, and programs below a shell; what is set by hand below one holds."""
    async with computer.connect() as connection, connection.create_process(term_type="xterm") as shell:
        shell.stdin.write("printenv GIVEN; exit\n")
        assert "from outside\r\n" in await shell.stdout.read()
    assert await computer.run("sh -c 'printenv GIVEN'; env python3 -c 'import os; print(os.environ[\"GIVEN\"])'") == (
        "from outside\nfrom outside"
    )
    assert await computer.run("GIVEN=mine bash -c 'printenv GIVEN; bash -ic \"printenv GIVEN\" 2>&1 | tail -1'") == (
        "mine\nmine"
    )


async def test_keys_are_out_of_reach(computer: Computer) -> None:
    """The agent can neither change who may log in, nor the host key."""
    assert await computer.run("ls /etc/vibespace/ssh; find /etc/vibespace -writable") == "authorized_keys\nhost_key"


async def test_stranger(computer: Computer) -> None:
    """Another key is refused, and there is nothing but keys: no password, no question."""
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(asyncssh.PermissionDenied):
        async with computer.connect(client_keys=[stranger], password="agent"):
            pass
    with pytest.raises(asyncssh.PermissionDenied):
        async with computer.connect(username="root"):
            pass
    assert await asyncssh.get_server_auth_methods("127.0.0.1", computer.port, username="agent") == ["publickey"]


async def test_same_environment(computer: Computer) -> None:
    """A command, a login shell and a terminal's shell have one PATH, our `claude` and the home's programs first, one
    language, and what was given from outside.
    """
    await computer.run("mkdir -p ~/bin ~/.local/bin")
    print_both = 'printf "%s|%s|%s\\n" "$PATH" "$LANG" "$GIVEN"'
    async with computer.connect() as connection:
        command = await connection.run(print_both, check=True)
        login = await connection.run(f"bash -lc '{print_both}'", check=True)
        terminal = await connection.run(f"bash -ilc '{print_both}'", term_type="xterm", check=True)
    assert str(command.stdout).startswith("/etc/vibespace/bin:/home/agent/.local/bin:")
    assert str(command.stdout).strip().endswith("|C.UTF-8|from outside")
    assert login.stdout == command.stdout
    assert str(terminal.stdout).replace("\r", "") == command.stdout


async def test_environment_travels(computer: Computer) -> None:
    """A variable given with the session arrives; PATH cannot be taken away by it."""
    async with computer.connect() as connection:
        done = await connection.run('echo "$SECRET"; id -u', env={"SECRET": "s3 cret", "PATH": "/nowhere"}, check=True)
    assert done.stdout == "s3 cret\n1000\n"


async def test_one_connection_for_all(computer: Computer) -> None:
    """One connection carries two hundred sessions at once."""
    async with computer.connect() as connection:
        sessions = [await connection.create_process("cat") for _ in range(200)]
        for number, session in enumerate(sessions):
            session.stdin.write(f"{number}\n")
            session.stdin.write_eof()
        outputs = [await session.stdout.read() for session in sessions]
    assert outputs == [f"{number}\n" for number in range(200)]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0"])
async def test_loopback(computer: Computer, address: str) -> None:
    """A server inside that is bound to its own loopback is reached over the connection."""
    server = (
        "import socket,sys; a=sys.argv[1]; s=socket.create_server((a,0),family=socket.AF_INET6 if ':' in a else 2);"
        "print(s.getsockname()[1],flush=True); c,_=s.accept(); c.sendall(c.recv(9)[::-1])"
    )
    async with (
        computer.connect() as connection,
        connection.create_process(f'python3 -c "{server}" {address}') as process,
    ):
        port = int(await process.stdout.readline())
        reader, writer = await connection.open_connection(address, port)
        writer.write(b"abc")
        assert await reader.read(9) == b"cba"
        writer.close()


async def test_unix_socket(computer: Computer) -> None:
    """So is a program that listens on a Unix socket."""
    server = (
        "import socket,os; s=socket.socket(1); s.bind('/tmp/talk.sock'); s.listen(); print(flush=True);"
        "os.unlink; c,_=s.accept(); c.sendall(c.recv(9)[::-1]); os.unlink('/tmp/talk.sock')"
    )
    async with computer.connect() as connection, connection.create_process(f'python3 -c "{server}"') as process:
        await process.stdout.readline()
        reader, writer = await connection.open_unix_connection("/tmp/talk.sock")
        writer.write(b"abc")
        assert await reader.read(9) == b"cba"
        writer.close()


async def test_files(computer: Computer) -> None:
    """Files go in and out, byte for byte."""
    content = bytes(range(256)) * 1000
    async with computer.connect() as connection, connection.start_sftp_client() as sftp:
        async with sftp.open("/tmp/copied", "wb") as file:
            await file.write(content)
        async with sftp.open("/tmp/copied", "rb") as file:
            copied: object = await file.read()
    assert copied == content


async def test_ping(computer: Computer) -> None:
    """ping works without a capability: through the sysctl, and the program has no bit set."""
    assert "1 received" in await computer.run("ping -c 1 -W 5 127.0.0.1")
    assert await computer.run("stat -L -c %a $(command -v ping)") == "755"


async def test_fresh_volumes(podman_socket: str, agent_image: str) -> None:
    """New volumes belong to the agent, the home has its dotfiles, and what was done to them outlives the container."""
    volumes = [f"test-{uuid.uuid4()}:/home/agent", f"test-{uuid.uuid4()}:/vibespace"]
    api = Api(podman_socket)
    try:
        first = await start(api, agent_image, *volumes)
        try:
            assert await first.run("stat -c %u:%g ~ /vibespace ~/.profile") == "1000:1000\n1000:1000\n1000:1000"
            await first.run("touch ~/kept /vibespace/kept && rm ~/.bashrc")
        finally:
            await api.delete(f"/containers/{first.id}", force="true")
        second = await start(api, agent_image, *volumes)
        try:
            assert await second.run("ls -A ~ /vibespace | tr '\\n' ' '") == (
                "/home/agent: .bash_logout .profile kept  /vibespace: kept "
            )
        finally:
            await remove(api, second)
    finally:
        for volume in volumes:
            await api.delete(f"/volumes/{volume.partition(':')[0]}", force="true")
        await api.close()


async def test_empty_home(computer: Computer) -> None:
    """Where a volume comes empty, as on Kubernetes, the entry point fills the home before it serves."""
    await computer.run("mkdir /tmp/home && ! HOME=/tmp/home /etc/vibespace/entry")  # the port is taken: it ends
    assert (await computer.run("ls -A /tmp/home")).split() == [".bash_logout", ".bashrc", ".profile"]


async def test_at_once(computer: Computer) -> None:
    """Forty connections that come at once are all served."""

    async def ask(number: int) -> str:
        return await computer.run(f"echo {number}")

    assert await asyncio.gather(*map(ask, range(40))) == [str(number) for number in range(40)]
