"""`python -m tests.bench.kubernetes`: what a cluster takes, side by side with kubectl and bare ssh on the same one.

On the tests' own cluster: what is measured is our part of it, for both sides have the same nodes.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from time import perf_counter

import asyncssh

from tests.bench import engine, place, report, scale
from tests.bench.execs import by_daemon, by_ssh
from tests.bench.on_cluster import serving
from tests.bench.pairing import Figure, Wanted, failed, in_turns, paired
from tests.cluster.build import cache as kept
from tests.cluster.images import take_agents
from tests.cluster.running import running
from tests.clusters import Prepared, prepare
from vibespace.engine import manifests
from vibespace.engine.base import SSHD_PORT, AgentSpec
from vibespace.engine.cluster import Cluster as Place
from vibespace.engine.kubernetes import KubernetesEngine
from vibespace.net.keys import KeyFiles
from vibespace.net.shell import SshShell
from vibespace.v1 import vibespaces_pb2
from vibespace.v1.system_pb2 import GetStatusRequest

TURNS, EXECS = 5, 60
BYTES = 200 << 20
LOG = "bench-floor"


class Floor:
    """The same pod, by kubectl."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._place = Place(prepared.cluster.server, prepared.namespace)
        self._key = asyncssh.generate_private_key("ssh-ed25519")

    def spec(self) -> AgentSpec:
        uid = str(uuid.uuid4())
        return AgentSpec(
            agent_uid=uid,
            agent="claude-1",
            vibespace_uid=uid,
            vibespace="floor",
            data_uid=uid,
            image=self._prepared.image,
            host_key=self._key.export_private_key(),
            authorized_key=self._key.export_public_key().decode(),
        )

    async def kubectl(self, *words: str, input: str = "") -> str:
        words = (f"--namespace={self._prepared.namespace}", *words)
        return await asyncio.to_thread(self._prepared.cluster.kubectl, *words, input=input)

    async def make(self, spec: AgentSpec) -> None:
        made = [
            manifests.claim(LOG, spec, self._place),
            manifests.secret(LOG, spec),
            manifests.service(LOG, spec),
            manifests.network(LOG, spec, self._place),
            manifests.deployment(LOG, spec, self._place),
        ]
        await self.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))

    async def scale(self, spec: AgentSpec, replicas: int) -> None:
        await self.kubectl("scale", "deployment", manifests.container_name(spec.agent_uid), f"--replicas={replicas}")

    async def ready(self, spec: AgentSpec) -> None:
        await self.kubectl("rollout", "status", "deployment", manifests.container_name(spec.agent_uid), "--timeout=60s")

    async def gone(self, spec: AgentSpec) -> None:
        selector = f"--selector=vibespace.agent-uid={spec.agent_uid}"
        await self.kubectl("wait", "pod", selector, "--for=delete", "--timeout=60s")

    async def address(self, spec: AgentSpec) -> str:
        selector = f"--selector=vibespace.agent-uid={spec.agent_uid}"
        return await self.kubectl("get", "pod", selector, "-o", "jsonpath={.items[0].status.podIP}")

    async def login(self, host: str, port: int = SSHD_PORT) -> asyncssh.SSHClientConnection:
        options = {"username": "agent", "client_keys": [self._key], "known_hosts": None, "config": []}
        while True:
            try:
                return await asyncssh.connect(host, port, **options)
            except OSError:
                await asyncio.sleep(0.01)

    async def remove(self, spec: AgentSpec) -> None:
        selector = f"--selector=vibespace.log={LOG}"
        kinds = "deployments,secrets,services,networkpolicies,persistentvolumeclaims"
        await self.kubectl("delete", kinds, selector, "--wait=true")


async def rows(prepared: Prepared) -> list[Figure]:
    names = (f"bench-{number}" for number in count())
    floor = Floor(prepared)
    async with serving(prepared) as daemon:
        created = await in_turns(lambda: _created(daemon, next(names)), lambda: _applied(floor), TURNS)
        await daemon.create("demo")
        await daemon.running("demo")
        spec = floor.spec()
        await floor.make(spec)
        await floor.ready(spec)
        turns = await in_turns(lambda: _rested(daemon, "demo"), lambda: _scaled(floor, spec), TURNS)
        figures = [
            paired("create → first exec, image present", Wanted(1.2), created, "ms"),
            paired("stop → stopped", Wanted(1.2), [(o[0], f[0]) for o, f in turns], "ms"),
            paired("start → first exec", Wanted(1.2), [(o[1], f[1]) for o, f in turns], "ms"),
        ]
        for direct, how in ((True, "by the pod's address"), (False, "by port-forward")):
            figures.append(await _exec(daemon, prepared, how, direct=direct))
        figures.append(await _bytes(daemon, prepared, floor, spec))
        await daemon.delete("demo")
    await floor.remove(spec)
    return figures


async def _created(daemon: place.Daemon, name: str) -> float:
    begin = perf_counter()
    await daemon.create(name)
    told = await daemon.execute(_agent(name), "true")
    await daemon.delete(name)
    return (told - begin) * 1e3


async def _applied(floor: Floor) -> float:
    spec = floor.spec()
    begin = perf_counter()
    await floor.make(spec)
    await floor.ready(spec)
    async with await floor.login(await floor.address(spec)) as connection:
        await connection.run("true", check=True)
        took = perf_counter() - begin
    await floor.remove(spec)
    return took * 1e3


async def _rested(daemon: place.Daemon, name: str) -> tuple[float, float]:
    full, begin = f"vibespaces/{name}", perf_counter()
    await daemon.vibespaces.StopVibespace(vibespaces_pb2.StopVibespaceRequest(name=full, request_id=str(uuid.uuid4())))
    while (await _status(daemon, full)).state != vibespaces_pb2.VIBESPACE_STATE_STOPPED:  # noqa: ASYNC110 (as `running`)
        await asyncio.sleep(0.02)
    stopped = perf_counter()
    await daemon.vibespaces.StartVibespace(
        vibespaces_pb2.StartVibespaceRequest(name=full, request_id=str(uuid.uuid4()))
    )
    told = await daemon.execute(_agent(name), "true")
    return (stopped - begin) * 1e3, (told - stopped) * 1e3


async def _status(daemon: place.Daemon, full: str) -> vibespaces_pb2.VibespaceStatus:
    return (await daemon.vibespaces.GetVibespace(vibespaces_pb2.GetVibespaceRequest(name=full))).vibespace.status


async def _scaled(floor: Floor, spec: AgentSpec) -> tuple[float, float]:
    begin = perf_counter()
    await floor.scale(spec, 0)
    await floor.gone(spec)
    stopped = perf_counter()
    await floor.scale(spec, 1)
    await floor.ready(spec)
    async with await floor.login(await floor.address(spec)) as connection:
        await connection.run("true", check=True)
        told = perf_counter()
    return (stopped - begin) * 1e3, (told - stopped) * 1e3


async def _exec(daemon: place.Daemon, prepared: Prepared, how: str, *, direct: bool) -> Figure:
    """What the daemon does for a command, against ssh on a connection that is kept, both on the same way."""
    async with _shells(daemon, prepared, direct=direct) as (uid, shell, connection):
        turns = await in_turns(lambda: by_daemon(shell, uid, _agent("demo")), lambda: by_ssh(connection), EXECS)
        return paired(f"exec true inside the daemon, {how}", Wanted(1.5), turns, "ms")


@asynccontextmanager
async def _shells(
    daemon: place.Daemon, prepared: Prepared, *, direct: bool
) -> AsyncIterator[tuple[str, SshShell, asyncssh.SSHClientConnection]]:
    log_id = (await daemon.system.GetStatus(GetStatusRequest())).cursor.log_id
    uid, keys = await daemon.agent_uid(_agent("demo")), KeyFiles(daemon.state.keys)
    dialer = KubernetesEngine(prepared.kubeconfig, log_id, direct=direct)
    shell = SshShell(dialer, keys)
    connection = await _ssh(await dialer.dial(uid), keys.client_key())
    try:
        async with connection:
            yield uid, shell, connection
    finally:
        await shell.close()
        await dialer.close()


async def _bytes(daemon: place.Daemon, prepared: Prepared, floor: Floor, spec: AgentSpec) -> Figure:
    """Out of a pod: our way through the API server, and kubectl's."""
    selector = f"--selector=vibespace.agent-uid={spec.agent_uid}"
    pod = await floor.kubectl("get", "pod", selector, "-o", "jsonpath={.items[0].metadata.name}")
    program = [str(prepared.cluster._programs.kubernetes), "kubectl", f"--kubeconfig={prepared.cluster.admin}"]
    command = [*program, f"--namespace={prepared.namespace}", "port-forward", pod, f":{SSHD_PORT}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarding:  # noqa: ASYNC220 (a floor)
        assert forwarding.stdout is not None
        port = int(forwarding.stdout.readline().split(":")[1].split()[0])
        try:
            async with (
                _shells(daemon, prepared, direct=False) as (_, _, connection),
                await floor.login("127.0.0.1", port) as bare,
            ):
                pairs = await in_turns(lambda: _rate(connection), lambda: _rate(bare), 3)
        finally:
            forwarding.terminate()
    return paired("bytes out of a pod, by port-forward", Wanted(0.8, at_least=True), pairs, "MB/s")


async def _rate(connection: asyncssh.SSHClientConnection) -> float:
    begin, got = perf_counter(), 0
    async with connection.create_process(f"head -c {BYTES} /dev/zero", encoding=None) as process:
        while piece := await process.stdout.read(1 << 20):
            got += len(piece)
    assert got == BYTES
    return got / (perf_counter() - begin) / 1e6


async def _ssh(sock: socket.socket, key: bytes) -> asyncssh.SSHClientConnection:
    keys = [asyncssh.import_private_key(key)]
    # The name is looked up nowhere; without one asyncssh wants the socket to have an address.
    return await asyncssh.connect("agent", sock=sock, username="agent", client_keys=keys, known_hosts=None, config=[])


def _agent(name: str) -> str:
    return f"vibespaces/{name}/agents/claude-1"


async def measure() -> list[Figure]:
    async with engine.shared() as found:
        with running() as cluster:
            name = await take_agents(cluster, found.socket)
            path = kept() / "node/vibespace.kubeconfig"
            path.write_text(await prepare(cluster, Place(cluster.server, "vibespace")))
            figures = await rows(Prepared(cluster, "vibespace", path, name))
            return [*figures, *await scale.measure(cluster, scale.VIBESPACES)]


def main() -> int:
    figures = asyncio.run(measure())
    print(report.text(figures))
    return int(failed(figures))


if __name__ == "__main__":
    sys.exit(main())
