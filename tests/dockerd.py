"""A dockerd of the tests' own: its data, its settings and its socket lie in one directory, beside any other Docker."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.places import Apart, User
from vibespace.setup import processes
from vibespace.setup.ping import brand_at

START_SECONDS = 60.0
STOP_SECONDS = 30.0

ROOTLESS = (
    *("--net=slirp4netns", "--mtu=65520", "--slirp4netns-sandbox=auto", "--slirp4netns-seccomp=auto"),
    *("--disable-host-loopback", "--port-driver=builtin", "--copy-up=/etc", "--copy-up=/run", "--pidns"),
)
"""What Debian's dockerd-rootless.sh asks of rootlesskit; --pidns takes all along, as the end of a systemd unit does."""

IN_KIT = 'rm -rf /run/docker /run/containerd; exec "$@"'


class Dockerd:
    """Served from `directory` in `place`. Root's containers go on without it, a user's cannot."""

    def __init__(self, directory: Path, place: Apart | User) -> None:
        self.directory = directory
        self.socket = str(directory / "sock")
        self.place = place
        self._process: subprocess.Popen[bytes] | None = None

    def serve(self) -> None:
        """Return when it answers."""
        if not self.directory.exists():
            self.directory.mkdir(mode=0o700, parents=True)
            self.place.give(self.directory)
        if self._process is None:
            self._start()
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while not brand_at(Path(self.socket)):
            assert self._process.poll() is None, self._last_words()
            assert time.monotonic() < deadline, self._last_words()
            time.sleep(0.05)

    def guard(self) -> None:
        """Docker keeps networks apart by itself."""

    def kill(self) -> None:
        """Let it die as by a crash."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it, and all it started; also one that is left of a run which was killed."""
        self._end(signal.SIGTERM)
        while left := processes.having(f"--host=unix://{self.socket}", f"--pidfile={self.directory / 'pid'}"):
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def _start(self) -> None:
        at = self.directory
        (at / "daemon.json").write_text('{"live-restore": true, "bridge": "none"}')
        # What a crash leaves: ids that mean nothing any more, of processes that die with theirs but a little later.
        for left in ("sock", "pid", "x/containerd/containerd.pid"):
            (at / left).unlink(missing_ok=True)
        with open(at / "log", "wb") as log:
            self._process = subprocess.Popen(
                self._command(), env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _command(self) -> list[str]:
        at = self.directory
        places = (f"--data-root={at / 'data'}", f"--exec-root={at / 'x'}", f"--pidfile={at / 'pid'}")
        dockerd = ["/usr/sbin/dockerd", f"--config-file={at / 'daemon.json'}", *places, f"--host=unix://{self.socket}"]
        if isinstance(self.place, Apart):
            return self.place.mounting(*dockerd)
        kit = ["rootlesskit", f"--state-dir={at / 'kit'}", *ROOTLESS]
        return self.place.command(*kit, "sh", "-c", IN_KIT, "sh", *dockerd, "--rootless")

    def _environment(self) -> dict[str, str]:
        path = "/usr/sbin:/usr/bin:/sbin:/bin"  # nobody's Docker of another version
        return self.place.environment(PATH=path, XDG_RUNTIME_DIR=str(self.directory))

    def _end(self, kind: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(kind)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _last_words(self) -> str:
        return (self.directory / "log").read_text()[-3000:]
