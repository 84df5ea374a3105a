"""A real OpenSSH sshd of the test's own on loopback, set up as in an agent's container: uid 1000, user `agent`."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from vibespace.errors import Unavailable
from vibespace.net.keys import KeyFiles

CONFIG = """\
ListenAddress 127.0.0.1
UsePAM no
PidFile none
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxSessions {sessions}
Subsystem sftp internal-sftp
HostKey {home}/host_key
AuthorizedKeysFile {home}/authorized_keys
"""

# Root makes itself an `agent`, and becomes it: to root's own sessions sshd passes on no signals. In namespaces of its
# own, so that only it sees that user, and that all its processes end with it.
UNSHARE = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ec"]
AS_AGENT = """\
mount --bind "$1/passwd" /etc/passwd
mount -t devpts -o newinstance,gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount --bind /dev/pts/ptmx /dev/ptmx
shift
exec setpriv --reuid 1000 --regid 1000 --clear-groups -- "$@"
"""

PASSWD = Path("/etc/passwd").read_bytes()


class Sshd:
    """The server, its keys, and the one verb of an engine that the net room uses."""

    def __init__(self, home: Path, agent_uid: str) -> None:
        self.home = home
        self.agent_uid = agent_uid
        self.user = "agent" if os.geteuid() == 0 else getpass.getuser()
        self.keys = KeyFiles(home.with_name(f"{home.name}-keys"))
        self.dials = 0
        self.port = 0
        self.sessions = 200
        self._process: asyncio.subprocess.Process | None = None

    async def dial(self, agent_uid: str) -> socket.socket:
        """As an engine does."""
        if agent_uid != self.agent_uid or self._process is None:
            raise Unavailable("AGENT_UNREACHABLE", "There is no such container.")
        self.dials += 1
        sock = socket.socket()
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        except OSError as e:
            sock.close()
            raise Unavailable("AGENT_UNREACHABLE", "It does not answer.") from e
        return sock

    async def start(self) -> None:
        """Up, on a port of its own, with the keys of now."""
        self._write("host_key", self.keys.make_host_key(self.agent_uid), 0o600)
        self._write("authorized_keys", self.keys.authorized_key().encode(), 0o644)
        self._write("sshd_config", CONFIG.format(home=self.home, sessions=self.sessions).encode(), 0o644)
        while True:
            self.port = _free_port()
            words = ["/usr/sbin/sshd", "-D", "-e", "-f", str(self.home / "sshd_config"), "-p", str(self.port)]
            if os.geteuid() == 0:
                entry = f"agent:x:1000:1000::{self.home}:/bin/bash\n"
                self._write("passwd", PASSWD + entry.encode(), 0o644)
                words = [*UNSHARE, AS_AGENT, "sh", str(self.home), *words]
            self._process = await asyncio.create_subprocess_exec(
                *words, stderr=asyncio.subprocess.PIPE, start_new_session=True
            )
            assert self._process.stderr
            said = b""
            while line := await self._process.stderr.readline():
                said += line
                if b"Server listening" in line:
                    self._drain = asyncio.create_task(self._process.stderr.read())
                    return
            assert b"Address already in use" in said, said.decode()

    async def kill(self) -> None:
        """Gone at once, with all its connections: as when a container dies."""
        if self._process is None:
            return
        for pid in [self._process.pid, *_descendants(self._process.pid)]:
            _kill(pid)
        await self._process.wait()
        await self._drain
        self._process = None

    def _write(self, name: str, data: bytes, mode: int) -> None:
        path = self.home / name
        path.write_bytes(data)
        path.chmod(mode)
        if os.geteuid() == 0:
            os.chown(path, 1000, 1000)


@asynccontextmanager
async def running(agent_uid: str) -> AsyncIterator[Sshd]:
    """A started one with an empty home; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="vs-sshd-") as outer:
        home = Path(outer) / "home"
        home.mkdir()
        os.chmod(outer, 0o755)
        if os.geteuid() == 0:
            os.chown(home, 1000, 1000)
        server = Sshd(home, agent_uid)
        await server.start()
        try:
            yield server
        finally:
            await server.kill()
            shutil.rmtree(home, ignore_errors=True)


def processes(text: str) -> list[int]:
    """Processes, zombies aside, with `text` in an argument."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if text.encode() in Path("/proc", pid, "cmdline").read_bytes():
                found.append(int(pid))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _descendants(pid: int) -> list[int]:
    children = []
    with suppress(FileNotFoundError, ProcessLookupError):  # each may end while it is looked at
        for task in os.listdir(f"/proc/{pid}/task"):
            children += [int(child) for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    return children + [found for child in children for found in _descendants(child)]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
