"""One state directory and the installed `vibespace` program on it, driven as a person or a script would.

Nothing here knows how the program works inside, except where its daemon writes its process id.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.image.engine import base
from tests.places import Place
from tests.podman import purge
from vibespace.engine import bodies
from vibespace.engine.api import Api

PROGRAM = str(Path(sys.executable).parent / "vibespace")
"""The one that pip installed beside this Python: not `python -m`, not a function call."""

Done = subprocess.CompletedProcess[str]


class Popen(subprocess.Popen[str]):
    """Killed where the block that it is for fails, which would else wait for it, and hide why."""

    def __exit__(self, kind: type[BaseException] | None, *raised: Any) -> None:
        if kind:
            self.kill()
        super().__exit__(kind, *raised)


class Installation:
    """A state directory of its own, on an engine that it may share with others: under /tmp, or in a user's home."""

    machine = "host.containers.internal"
    """How agents find this machine."""
    stays: Sequence[str] = ("images in ", "localhost/vibespace-agent", "localhost/vibespace-base")
    """Of what `uninstall` leaves in the engine."""

    def __init__(self, engine: str, socket: str = "", place: Place | None = None) -> None:
        """`engine` is where the engine really listens; `socket` what config.yaml says, when that is a relay.

        `place` is where the program runs, and as whom.
        """
        self.engine = engine
        self.place = place or Place()
        self._daemon_place = self.place
        self.home = Path(tempfile.mkdtemp(prefix="vs-e2e-", dir=self.place.home or "/tmp"))
        self.place.give(self.home)
        settings = {"engine": {"socket": socket or engine}, "image": {"base": base()}}
        (self.home / "config.yaml").write_text(json.dumps(settings))  # JSON is YAML
        self.log_id = ""

    def environment(self, **more: str) -> dict[str, str]:
        """What the program gets to see of the world."""
        path = f"{Path(PROGRAM).parent}:{os.environ['PATH']}"
        home = str(self.place.home or self.home)
        own = {"PATH": path, "HOME": home, "LANG": "C.UTF-8", "VIBESPACE_HOME": str(self.home)}
        return {**own, **self.place.variables, **more}

    def command(self, *arguments: str, cwd: Path | str = "") -> list[str]:
        """The command line that runs the program where it is to run; `cwd` for who gives it to Popen."""
        return self.place.command(PROGRAM, *arguments, cwd=cwd)

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, **more: Any) -> Done:
        """Run one command line to its end, piped. stdin is empty unless `input` says otherwise."""
        more.setdefault("input", "")
        return subprocess.run(
            self.command(*arguments, cwd=more.get("cwd", "")),
            env=self.environment(**(env or {})),
            capture_output=True,
            text=True,
            **more,
        )

    def popen(self, *arguments: str, **more: Any) -> Popen:
        """Start one command line and go on; its outputs are pipes unless said otherwise."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return Popen(self.command(*arguments), env=self.environment(), text=True, **(pipes | more))

    def ok(self, *arguments: str, **more: Any) -> str:
        """What it wrote to stdout, which must have ended well, without a word on stderr that is a traceback."""
        done = self.run(*arguments, **more)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def data(self, *arguments: str, **more: Any) -> Any:
        """The `data` of its JSON answer."""
        answer = json.loads(self.ok(*arguments, **more))
        assert answer["success"] is True
        assert answer["error"] is None
        return answer["data"]

    def refused(self, *arguments: str, **more: Any) -> tuple[int, str, str]:
        """Exit code, reason and sentence of a refusal, which is told alike on both outputs."""
        done = self.run(*arguments, **more)
        answer = json.loads(done.stdout)
        assert answer["success"] is False
        assert answer["data"] is None
        sentence = done.stderr
        assert sentence.count("\n") == 1, sentence
        assert sentence.startswith(f"vibespace: {' '.join(answer['error']['message'].split())}")
        assert "Traceback" not in sentence
        return done.returncode, answer["error"]["reason"], sentence

    def inside(self, agent: str, script: str, **more: Any) -> str:
        """What a shell script says inside, without its last newline."""
        return self.ok("exec", agent, "--", "sh", "-c", script, **more).rstrip("\n")

    def events(self, *arguments: str) -> list[Any]:
        """The history, as `vibespace events` tells it."""
        return [json.loads(line) for line in self.ok("events", *arguments).splitlines()]

    def types(self, *arguments: str) -> list[str]:
        """The types of those events."""
        return [event["type"] for event in self.events(*arguments)]

    def init(self) -> Installation:
        """Initialise, and remember whose objects will be ours in the engine."""
        self.ok("init")
        self.log_id = self.data("status")["cursor"]["log_id"]
        return self

    def agent(self, name: str) -> Any:
        """The resource of AGENT@VIBESPACE."""
        return self.data("agent", "info", name)["agent"]

    def vibespace(self, name: str) -> Any:
        """The resource of a vibespace."""
        return self.data("info", name)["vibespace"]

    @property
    def pid(self) -> int:
        """The daemon's process id, as it wrote it."""
        return int((self.home / "daemon.lock").read_text())

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Signal the daemon and return when it is gone; its process id."""
        pid = self.pid
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, number)
            wait_for_end(descriptor)
        finally:
            os.close(descriptor)
        return pid

    def restart(self, **more: str) -> None:
        """Kill the daemon and start the next one where it lives, wherever the client is."""
        self.kill()
        place, self.place = self.place, self._daemon_place
        try:
            self.ok("status", env=more)
        finally:
            self.place = place

    def alive(self) -> bool:
        """Whether a daemon of ours runs."""
        with suppress(FileNotFoundError, ValueError, ProcessLookupError):
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes()
            return b"vibespace.daemon" in command
        return False

    def objects(self, vibespace: str = "") -> dict[str, list[str]]:
        """Names of what the engine has of ours, by kind; of one vibespace, when one is named."""
        return asyncio.run(self._objects(vibespace))

    def call(self, method: str, path: str, *body: Any, **query: Any) -> Any:
        """Ask the engine itself, behind the program's back."""
        return asyncio.run(self._call(method, path, body, query))

    @property
    def address(self) -> str:
        """Where the engine is, as `status` tells it."""
        return self.engine

    def container(self, name: str) -> str:
        """All that the engine tells of one."""
        return json.dumps(self.call("get", f"/containers/{name}/json"))

    def take_container(self, name: str) -> None:
        """As somebody with the engine's own means."""
        self.call("delete", f"/containers/{name}", force=True)

    def make_volume(self, name: str) -> None:
        """With our label, for a vibespace `nothing`."""
        self.call("post", "/volumes/create", {"Name": name, "Labels": self._label_of_nothing()})

    def is_closed(self, vibespace: str) -> bool:
        """Whether its network leads nowhere."""
        [name] = self.objects(vibespace)["networks"]
        return bool(self.call("get", f"/networks/{name}")["Internal"])

    def allow_sudo(self) -> None:
        """What its administrator has to do before."""

    def _label_of_nothing(self) -> dict[str, str]:
        return {bodies.LOG: self.log_id, bodies.OWNER: "nobody", bodies.VIBESPACE: "nothing"}

    def close(self) -> None:
        """End the daemon, and take away everything that was made."""
        if self.alive():
            self.kill()
        if self.log_id:
            asyncio.run(purge(self.engine, self.log_id))
        if self.home.exists():  # a test may have uninstalled it
            shutil.rmtree(self.home)

    async def _call(self, method: str, path: str, body: tuple[Any, ...], query: dict[str, Any]) -> Any:
        api = Api(self.engine)
        try:
            return await getattr(api, method)(path, *body, **query)
        finally:
            await api.close()

    async def _objects(self, vibespace: str) -> dict[str, list[str]]:
        mine = {"label": [f"{bodies.LOG}={self.log_id}"]}
        api = Api(self.engine)
        try:
            containers = await api.list("/containers/json", all=True, filters=mine)
            networks = await api.list("/networks", filters=mine)
            volumes = (await api.list("/volumes", filters=mine))["Volumes"] or ()
        finally:
            await api.close()

        def of_it(found: Any) -> bool:  # asked for two labels, Podman answers with what has either
            return not vibespace or found["Labels"]["vibespace.vibespace"] == vibespace

        return {
            "containers": sorted(found["Names"][0].lstrip("/") for found in containers if of_it(found)),
            "networks": sorted(found["Name"] for found in networks if of_it(found)),
            "volumes": sorted(found["Name"] for found in volumes if of_it(found)),
        }


@contextmanager
def installation(engine: str, socket: str = "", place: Place | None = None) -> Iterator[Installation]:
    """An installation that is gone afterwards."""
    made = Installation(engine, socket, place)
    try:
        yield made
    finally:
        made.close()


def wait_for_end(descriptor: int) -> None:
    """Return when the process behind a pidfd has ended."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    waiting.poll()


def on_terminal(installation: Installation, *arguments: str, typed: str = "", cwd: Path | None = None) -> Done:
    """Run one command line on a terminal of its own; all it showed is in stdout, without carriage returns."""
    mine, its = pty.openpty()
    with subprocess.Popen(
        installation.command(*arguments, cwd=cwd or ""),
        env=installation.environment(TERM="xterm", COLUMNS="200"),
        stdin=its,
        stdout=its,
        stderr=its,
        cwd=cwd,
        start_new_session=True,
    ) as process:
        os.close(its)
        os.write(mine, typed.encode())
        shown = b""
        with suppress(OSError):  # EIO: the last one who had the terminal open has gone
            while piece := os.read(mine, 65536):
                shown += piece
        os.close(mine)
    return subprocess.CompletedProcess(
        arguments, process.returncode, shown.decode(errors="replace").replace("\r\n", "\n")
    )


def until(reads: Iterator[str], wanted: Callable[[str], bool]) -> str:
    """The first of the lines that is wanted. Raises StopIteration when they end before."""
    return next(line for line in reads if wanted(line))
