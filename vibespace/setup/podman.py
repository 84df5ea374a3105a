"""A Podman of our own: its storage, its settings and its socket lie in one directory, beside any other Podman.

Where images come from (registries, mirrors, policy) stays as the machine has it: that is the administrator's.
The containers belong to nobody's process tree: they go on when the service, or the daemon that started it, dies.
"""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from vibespace.errors import Aborted, FailedPrecondition, Unavailable
from vibespace.setup import processes
from vibespace.setup.firewall import keep_networks_apart
from vibespace.setup.iptables import Inside
from vibespace.setup.path import program
from vibespace.setup.ping import brand_at
from vibespace.setup.unprivileged import obstacles

START_SECONDS = 20.0
STOP_SECONDS = 10.0

_HELPERS = ("/usr/libexec/podman", "/usr/lib/podman", "/usr/local/libexec/podman", "/usr/local/lib/podman")
_REMOTE = ("CONTAINER_HOST", "CONTAINER_CONNECTION")
_PACKAGES_OF_USERS = {"newuidmap": "uidmap", "slirp4netns": "slirp4netns"}
_PACKAGES = {
    "podman": "podman",
    "netavark": "netavark",
    "aardvark-dns": "aardvark-dns",
    "iptables": "iptables",
    "catatonit": "catatonit",
}
"""Program: the Debian package that has it. Podman itself asks for none of the others."""


def socket_path(directory: Path) -> Path:
    """Where it is served. A short name: any state directory the daemon's own socket fits in has room for it."""
    return directory / "sock"


def missing() -> list[str]:
    """Debian packages without which it cannot run containers here; nothing when it can."""
    needed = _PACKAGES | (_PACKAGES_OF_USERS if os.geteuid() else {})
    packages = [package for name, package in needed.items() if not _program(name)]
    return packages if _runtime() else [*packages, "runc"]


def ensure(directory: Path) -> Path:
    """See that it is served, whoever else is just doing the same; the socket's path.

    Raises FailedPrecondition ENGINE_MISSING naming packages or USER_UNPREPARED, Unavailable ENGINE_UNREACHABLE when it
    does not start, Aborted FIREWALL_REFUSED.
    """
    if not brand_at(socket_path(directory)):
        _require()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(directory):
        if not brand_at(socket_path(directory)):
            _end(directory)
            _forget_former_boot(directory)
            _end_names(directory)
            _write_settings(directory)
            _start(directory)
        if os.geteuid() == 0:
            keep_networks_apart()
    return socket_path(directory)


def _require() -> None:
    if packages := missing():
        raise FailedPrecondition(
            "ENGINE_MISSING",
            "Podman cannot run containers here: something it needs is not installed.",
            hint=f"As root: apt-get install -y {' '.join(packages)}",
        )
    if found := obstacles():
        message = " ".join(obstacle.message for obstacle in found)
        hint = "; ".join([found[0].hint, *(obstacle.hint.removeprefix("As root: ") for obstacle in found[1:])])
        raise FailedPrecondition("USER_UNPREPARED", message, hint=hint)


def guard(environment: Mapping[str, str]) -> None:
    """Keep a user's networks apart: their place comes with his first container and goes with the last.

    To be called when one has just been started; `environment` is what `podman` finds that very Podman by. Raises
    Aborted FIREWALL_REFUSED, also where `podman` speaks of another one.
    """
    enter = ("podman", "unshare", "--rootless-netns")
    look = subprocess.run(
        [*enter, "cat", "/proc/net/dev"], env=environment, capture_output=True, text=True, check=False
    )
    if not any(line.lstrip().startswith("vs") for line in look.stdout.splitlines()):
        raise Aborted(
            "FIREWALL_REFUSED",
            "The networks of this Podman are not where 'podman' looks for them, so vibespaces cannot be kept apart.",
            hint="Leave engine.socket unset, for a Podman that vibespace serves itself, or set CONTAINERS_CONF to its.",
        )
    keep_networks_apart(Inside(enter, environment))


def stop(directory: Path) -> None:
    """End the service, not the containers. Once none is left, nothing of it is mounted any more either."""
    if directory.is_dir():
        with _locked(directory):
            _end(directory)
            _end_names(directory)
            _end_pause(directory)
            _unmount(directory / "store")


def environment(directory: Path) -> dict[str, str]:
    """What makes any `podman` command speak of this Podman, once it has been served."""
    return {
        **here(os.environ),
        **(_session(directory) if os.geteuid() else {}),
        "CONTAINERS_CONF": str(directory / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
        "TMPDIR": str(directory / "work"),  # it keeps what is uploaded there, and forgets some of it
    }


def here(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without what has `podman` only pass on what it is told, and refuse all that is done on this machine."""
    return {name: value for name, value in environ.items() if name not in _REMOTE}


def _session(directory: Path) -> dict[str, str]:
    """Where a user's Podman keeps what runs: in its own directory, as two with one forget each other's mounts; and
    what it remembers of registries.

    The systemd of the user's session, which delegates control groups, is still found where it is.
    """
    own = {"XDG_RUNTIME_DIR": str(directory / "session"), "XDG_DATA_HOME": str(directory / "data")}
    if "DBUS_SESSION_BUS_ADDRESS" not in os.environ and "XDG_RUNTIME_DIR" in os.environ:
        own["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={os.environ['XDG_RUNTIME_DIR']}/bus"
    return own


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with open(directory / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start(directory: Path) -> None:
    socket = socket_path(directory)
    socket.unlink(missing_ok=True)
    shutil.rmtree(directory / "work", ignore_errors=True)
    (directory / "work").mkdir(mode=0o700)
    log = directory / "service.log"
    with open(log, "wb") as output:
        # Podman 4.3 does not read the root from the settings of a user; once told, its storage remembers it.
        service = subprocess.Popen(
            ["podman", f"--root={directory / 'store'}", "system", "service", "--time=0", f"unix://{socket}"],
            env=environment(directory),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a Ctrl-C at the prompt is not meant for it
        )
    (directory / "pid").write_text(str(service.pid))
    deadline = time.monotonic() + START_SECONDS
    while not brand_at(socket):
        if service.poll() is not None or time.monotonic() > deadline:
            _end(directory)
            last = log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise Unavailable(
                "ENGINE_UNREACHABLE",
                f"Podman does not start: {last or 'it says nothing'}.",
                hint=f"All it said is in {log}.",
            )
        time.sleep(0.02)


def _end(directory: Path) -> None:
    """End the service: a user's consists of two processes, of which the one that serves survives the other."""
    if not (directory / "pid").exists():
        return
    service = ("service", f"unix://{socket_path(directory)}")
    for kind in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + STOP_SECONDS
        while (found := processes.having(*service)) and time.monotonic() < deadline:
            _signal(found, kind)
            time.sleep(0.02)
    (directory / "pid").unlink(missing_ok=True)
    socket_path(directory).unlink(missing_ok=True)


def _end_names(directory: Path) -> None:
    """End the name service of a user's networks where it outlived his last container, and forget what it was told.

    It goes by itself with the last network; one that was cut off while it was made or taken away stays in its files.
    And netavark takes whatever process has by now the number of one that died for it. Root's is one for all Podmans.
    """
    names = directory / "session/containers/networks/aardvark-dns"
    found = processes.having("--config", str(names))
    if not found:
        (names / "aardvark.pid").unlink(missing_ok=True)
    if not _has_containers(directory):
        _signal(found, signal.SIGKILL)
        for left in names.glob("*"):
            left.unlink()


def _has_containers(directory: Path) -> bool:
    """Whether a user's container runs: its conmon is told where."""
    return bool(processes.having("--runroot", str(directory / "session/containers")))


def _end_pause(directory: Path) -> None:
    """End the process that keeps a user's namespaces, and with them his mounts; not while a container needs them."""
    noted = directory / "tmp/pause.pid"
    if noted.exists() and not _has_containers(directory):
        _signal([pid for pid in processes.having("-P", "catatonit") if str(pid) == noted.read_text()], signal.SIGKILL)
        noted.unlink()


def _signal(pids: list[int], kind: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, kind)


def _unmount(store: Path) -> None:
    """The storage is mounted upon itself while Podman uses it, and a build that was killed leaves more: nobody could
    delete the directory. While a container runs, which its shared memory shows, all stays."""
    fields = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    points = [point.replace("\\040", " ") for point in fields]
    ours = [point for point in points if point.startswith(f"{store}/")]
    if not any(point.endswith("/userdata/shm") for point in ours):
        for point in reversed(ours):
            subprocess.run(["umount", point], check=False, capture_output=True)


def _forget_former_boot(directory: Path) -> None:
    """Its running state is kept on a disk, where Podman expects a memory that a boot empties: we empty it."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    noted = directory / "boot"
    if noted.exists() and noted.read_text() != boot:
        for name in ("run", "tmp", "session"):
            shutil.rmtree(directory / name, ignore_errors=True)
    noted.write_text(boot)


def _write_settings(directory: Path) -> None:
    store = directory / "store"
    for name in ("store", "run", "tmp", "networks", "session"):
        (directory / name).mkdir(mode=0o700, exist_ok=True)
    root = os.geteuid() == 0
    _write(
        directory / "storage.conf",
        "[storage]",
        'driver = "overlay"',
        _text("graphroot", store),
        _text("runroot", directory / "run"),
    )
    _write(
        directory / "containers.conf",
        "[containers]",
        f"default_ulimits = [{_ulimits()}]",
        'base_hosts_file = "none"  # the names this machine knows are not for agents',
        "log_size_max = 1048576",
        _text("init_path", _program("catatonit")),
        "[network]",
        'network_backend = "netavark"',
        _text("network_config_dir", directory / "networks"),
        "[engine]",
        'cgroup_manager = "cgroupfs"' if root else "",
        'events_logger = "file"',
        'lock_type = "file"  # the shared memory locks are one set for all of this user\'s Podmans',
        'image_copy_tmp_dir = "storage"',
        _text("runtime", _runtime()),
        _text("static_dir", store / "libpod"),
        _text("volume_path", store / "volumes"),
        _text("tmp_dir", directory / "tmp"),
    )


def _write(path: Path, *lines: str) -> None:
    path.write_text("\n".join(line for line in lines if line) + "\n")


def _text(name: str, value: Path | str) -> str:
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'{name} = "{escaped}"'


def _ulimits() -> str:
    """At most what this process itself may have; Podman asks for more by itself, and is refused."""
    top = int(Path("/proc/sys/kernel/pid_max").read_text())  # Podman lowers its own limit of processes to this
    found = []
    for name, kind, most in (
        ("nofile", resource.RLIMIT_NOFILE, 1 << 20),
        ("nproc", resource.RLIMIT_NPROC, top),
    ):
        hard = resource.getrlimit(kind)[1]
        value = most if hard == resource.RLIM_INFINITY else min(hard, most)
        found.append(f'"{name}={value}:{value}"')
    return ", ".join(found)


def _runtime() -> str:
    """crun where all of cgroups is version 2; on any mixture it refuses, and runc does not."""
    pure = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    names = ("crun", "runc") if pure else ("runc",)
    return next((name for name in names if _program(name)), "")


def _program(name: str) -> str:
    """Where Podman itself finds it."""
    return program(name, *_HELPERS)
