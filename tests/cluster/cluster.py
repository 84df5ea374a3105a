"""A real Kubernetes of one node: started in 5 s, each of its programs killed and started again as tests please."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.cluster import settings
from tests.cluster.build import Programs, build, cache
from tests.cluster.place import Node, child, node, remove_groups

START_SECONDS = 90.0
HIERARCHIES = (
    "unified",
    "systemd",
    "memory",
    "pids",
    "cpu",
    "cpuacct",
    "cpuset",
    "blkio",
    "freezer",
    "devices",
    "hugetlb",
)


class Cluster:
    """The one that runs."""

    def __init__(self, programs: Programs, node: Node, at: Path) -> None:
        self.node = node
        self.at = at
        self.server = settings.SERVER
        self.admin = at / "admin.kubeconfig"
        """A kubeconfig that may do everything."""
        self._programs = programs
        self._arguments = settings.arguments(at)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._context: ssl.SSLContext | None = None

    def start(self) -> None:
        """Return when the node is ready."""
        self._write()
        _make_groups()
        self.serve("etcd")
        self.serve("containerd")
        self._wait_for_containerd()
        self._forget_pods()
        self.serve("kube-apiserver")
        self.wait_for_api()
        for name in ("kube-controller-manager", "kube-scheduler", "kubelet"):
            self.serve(name)
        self.create("/apis/storage.k8s.io/v1/storageclasses", settings.storage_class())
        self.wait_for_node()

    def stop(self) -> None:
        """End the programs; their view of the machine takes all else along."""
        for name in reversed(list(self._running)):
            self.kill(name)

    def serve(self, name: str, *more: str) -> None:
        """Start one of the programs; with `more` settings than usual, until the next time."""
        command = ["containerd", f"--config={self.at}/containerd.toml", "--log-level=warn"]
        if name != "containerd":
            command = [str(self._programs.kubernetes), name, *self._arguments[name], *more]
        with open(self.at / f"{name}.log", "ab") as log:
            self._running[name] = subprocess.Popen(
                self.node.command(*command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, name: str) -> None:
        """As by a crash. What it has started goes on."""
        process = self._running.pop(name)
        if process.poll() is None:
            with suppress(ProcessLookupError, FileNotFoundError):
                os.kill(child(process.pid), signal.SIGKILL)
        process.wait()

    def bounce(self, *names: str) -> None:
        """Kill them, and start them again."""
        for name in names:
            self.kill(name)
        for name in names:
            self.serve(name)

    def wait_for_api(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with suppress(OSError, ssl.SSLError, HTTPError, URLError):
                self._context = ssl.create_default_context(cafile=str(self.at / "certificates/apiserver.crt"))
                if self._request("GET", "/readyz") == b"ok":
                    return
            self._check(deadline)

    def wait_for_node(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with suppress(HTTPError):
                found = self.get(f"/api/v1/nodes/{settings.NODE}")
                if any(c["type"] == "Ready" and c["status"] == "True" for c in found["status"]["conditions"]):
                    return
            self._check(deadline)

    def get(self, path: str) -> Any:
        """As the admin."""
        return json.loads(self._request("GET", path))

    def create(self, path: str, body: dict[str, Any]) -> Any:
        """As the admin."""
        return json.loads(self._request("POST", path, body))

    def delete(self, path: str) -> None:
        """As the admin; what is not there is gone."""
        try:
            self._request("DELETE", path)
        except HTTPError as e:
            if e.code != 404:
                raise

    def kubectl(self, *words: str, input: str = "") -> str:
        """What kubectl prints."""
        command = [str(self._programs.kubernetes), "kubectl", f"--kubeconfig={self.admin}", *words]
        done = subprocess.run(command, capture_output=True, text=True, input=input)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def ctr(self, *words: str, **more: Any) -> str:
        """What containerd's own client prints, of what Kubernetes has in it."""
        done = subprocess.run(self._ctr(*words), capture_output=True, text=True, **more)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return str(done.stdout)

    def _wait_for_containerd(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run(self._ctr("version"), capture_output=True).returncode:
            self._check(deadline)

    def _forget_pods(self) -> None:
        """Those of a run before, which died with it; the images stay."""
        if left := self.ctr("containers", "list", "--quiet").split():
            self.ctr("containers", "delete", *left)
            self.bounce("containerd")
            self._wait_for_containerd()

    def _ctr(self, *words: str) -> Sequence[str]:
        return self.node.command("ctr", "--address=/run/containerd.sock", "--namespace=k8s.io", *words)

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        headers = {"Authorization": "Bearer admin", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.server + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30, context=self._context) as answer:
            told: bytes = answer.read()
            return told

    def _check(self, deadline: float) -> None:
        for name, process in self._running.items():
            assert process.poll() is None, f"{name} has ended:\n{self.last_words(name)}"
        assert time.monotonic() < deadline, "\n".join(f"{name}:\n{self.last_words(name)}" for name in self._running)
        time.sleep(0.05)

    def last_words(self, name: str) -> str:
        """The end of what a program wrote."""
        return (self.at / f"{name}.log").read_text(errors="replace")[-1500:]

    def _write(self) -> None:
        """All files that the programs read. Images are kept between runs, all else is made anew."""
        at = self.at
        for old in at.iterdir() if at.exists() else ():
            if old.name == "containerd":
                continue
            if old.is_dir():
                shutil.rmtree(old)
            else:
                old.unlink()
        for name in ("cni", "certificates", "volumes", "kubelet", "kubelet-plugins"):
            (at / name).mkdir(mode=0o755, parents=True, exist_ok=True)
        (at / "containerd.toml").write_text(settings.containerd(at))
        (at / "cni/pods.conflist").write_text(settings.network())
        (at / "kubelet.json").write_text(json.dumps(settings.kubelet(at)))
        (at / "tokens").write_text(settings.tokens())
        (at / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        write_key(at / "service-accounts")
        for token in settings.TOKENS:
            (at / f"{token}.kubeconfig").write_text(settings.kubeconfig(at, token))


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster that is gone afterwards. Its directory is short: containerd's sockets lie in the node's own /run."""
    programs = build()
    at = cache() / "node"
    at.mkdir(mode=0o755, exist_ok=True)
    _remove_groups()
    with node() as place:
        found = Cluster(programs, place, at)
        try:
            found.start()
            yield found
        finally:
            found.stop()
    _remove_groups()


def write_key(path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    path.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)


def _groups() -> Sequence[Path]:
    found = [Path("/sys/fs/cgroup") / name / settings.GROUP for name in HIERARCHIES]
    return [path for path in found if path.parent.exists()] or [Path("/sys/fs/cgroup") / settings.GROUP]


def _make_groups() -> None:
    for path in _groups():
        path.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if path.parent.name == "cpuset":
                (path / name).write_text((path.parent / name).read_text())


def _remove_groups() -> None:
    remove_groups(_groups())
