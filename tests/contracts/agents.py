"""What every engine does for an agent: it is made, changed, reached, lost, found again and deleted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from tests.contracts.factory import HOSTS, Factory, InventoriedEngine, agent, inside, run, shown, status, uid, whole
from vibespace.engine.base import LOGINS, AgentSpec, Condition, Engine, HostMount, Target, spec_hash
from vibespace.errors import FailedPrecondition, Unavailable

SERVER = """\
import socket
s = socket.create_server(({host!r}, 0), family=socket.{family})
print(s.getsockname()[1], flush=True)
c, _ = s.accept()
c.sendall(c.recv(100).upper())
c.close()
"""


class AgentContract:
    """Holds for every engine. Subclasses provide the fixture `factory`."""

    @pytest.fixture
    def log_id(self) -> str:
        return uid()

    @pytest.fixture
    def engine(self, factory: Factory, log_id: str) -> InventoriedEngine:
        return factory.open(log_id)

    @pytest.fixture
    async def spec(self, factory: Factory, engine: Engine) -> AgentSpec:
        """An agent that runs."""
        spec = agent(factory)
        await engine.apply(spec)
        return spec

    async def test_apply_runs_what_the_spec_says(self, engine: Engine, spec: AgentSpec) -> None:
        """After apply the container is RUNNING with the spec's hash, and a command runs in it."""
        found = await status(engine, spec, Condition.RUNNING)
        assert (found.spec_hash, found.reason) == (spec_hash(spec), "")
        assert found.started
        assert await run(engine, spec, "echo hello") == "hello"

    async def test_apply_again_changes_nothing(self, engine: Engine, spec: AgentSpec) -> None:
        """A second apply of an equal spec leaves the very run of the container that is there."""
        before = await status(engine, spec, Condition.RUNNING)
        await engine.apply(replace(spec))
        assert await status(engine, spec, Condition.RUNNING) == before

    async def test_another_object_of_the_same_log_changes_nothing(
        self, factory: Factory, log_id: str, engine: Engine, spec: AgentSpec
    ) -> None:
        """Nothing is kept in the engine object: another one, as after a restart, sees the same and changes nothing."""
        before = await status(engine, spec, Condition.RUNNING)
        second = factory.open(log_id)
        await second.apply(spec)
        assert await status(second, spec, Condition.RUNNING) == before

    async def test_change_replaces_and_keeps_volumes(self, engine: Engine, spec: AgentSpec) -> None:
        """Another host key makes another container with that key; /vibespace and the home are as they were."""
        before = await status(engine, spec, Condition.RUNNING)
        await run(engine, spec, "echo shared > /vibespace/file; echo own > /home/agent/file")
        changed = replace(spec, host_key=HOSTS[1].export_private_key())
        await engine.apply(changed)
        async with inside(engine, changed, HOSTS[1]) as connection:
            read = await connection.run("cat /vibespace/file /home/agent/file", check=True)
        after = await status(engine, spec, Condition.RUNNING)
        assert read.stdout == "shared\nown\n"
        assert after.spec_hash == spec_hash(changed)
        assert after.started != before.started

    async def test_stop_and_start_keep_volumes(self, engine: Engine, spec: AgentSpec) -> None:
        """running=False takes the container away, running=True brings it back with /vibespace and the home."""
        await run(engine, spec, "echo shared > /vibespace/file; echo own > /home/agent/file")
        await engine.apply(replace(spec, running=False))
        assert (await status(engine, spec, Condition.ABSENT)).started == ""
        await engine.apply(replace(spec, running=False))
        await engine.apply(spec)
        assert await run(engine, spec, "cat /vibespace/file /home/agent/file") == "shared\nown"

    async def test_environment_reaches_commands(self, factory: Factory, engine: Engine) -> None:
        """Every command has the spec's environment, word for word; another value makes another container."""
        value = "two words, 'quotes' and \"more\",\n$HOME `id` \\ and a second line"
        spec = replace(agent(factory), environment={"GIVEN": value, "OTHER": "x"})
        await engine.apply(spec)
        assert await run(engine, spec, 'sh -c \'printf "%s|%s" "$GIVEN" "$OTHER"\'') == f"{value}|x"
        await engine.apply(replace(spec, environment={"GIVEN": "new"}))
        assert await run(engine, spec, "printenv GIVEN; printenv OTHER || echo gone") == "new\ngone"

    async def test_mounts_are_seen(self, factory: Factory, engine: Engine, tmp_path: Path) -> None:
        """A directory of this machine is seen where the spec says, and another mount makes another container."""
        source = shown(tmp_path / "from-here", "hello")
        spec = replace(agent(factory), mounts=(HostMount(str(source), "/mnt/data"),))
        await engine.apply(spec)
        assert await run(engine, spec, "cat /mnt/data/file; echo written > /mnt/data/new") == "hello"
        assert (source / "new").read_text() == "written\n"
        await engine.apply(replace(spec, mounts=(HostMount(str(source), "/mnt/else"),)))
        assert await run(engine, spec, "cat /mnt/else/file; cat /mnt/data/file 2>/dev/null || echo gone") == (
            "hello\ngone"
        )

    async def test_agents_share_the_vibespace_and_not_the_home(
        self, factory: Factory, engine: Engine, spec: AgentSpec
    ) -> None:
        """Two agents of one vibespace see one /vibespace, and each its own home."""
        second = agent(factory, "two", like=spec)
        await engine.apply(second)
        await run(engine, spec, "echo shared > /vibespace/file; echo own > /home/agent/mine")
        assert await run(engine, second, "cat /vibespace/file; ls /home/agent/mine 2>/dev/null || echo none") == (
            "shared\nnone"
        )

    async def test_logins_are_shared_by_those_that_are_to(
        self, factory: Factory, engine: Engine, spec: AgentSpec
    ) -> None:
        """Two agents see one store of logins, each with a directory for its program that is closed to all others; one
        that is not to share sees none, another vibespace's agent another one. It stays over a stop.
        """
        one, two = (replace(agent(factory, name, like=spec), logins="codex") for name in ("two", "three"))
        third = replace(agent(factory, "four", like=spec), logins="claude-code")
        stranger = replace(agent(factory, "two"), logins="codex")
        for each in (one, two, third, stranger):
            await engine.apply(each)
        await run(engine, one, f"umask 077; echo secret > {LOGINS}/codex/auth.json")
        assert await run(engine, two, f"cat {LOGINS}/codex/auth.json; stat -c %a {LOGINS}/codex") == "secret\n700"
        assert await run(engine, third, f"cat {LOGINS}/codex/auth.json; touch {LOGINS}/claude-code/x") == "secret"
        assert await run(engine, stranger, f"ls {LOGINS}/codex") == ""
        assert await run(engine, spec, f"cat {LOGINS}/codex/auth.json 2>/dev/null || echo none") == "none"
        await engine.apply(replace(one, running=False))
        await engine.delete(Target(two.vibespace_uid, two.data_uid, two.agent_uid, two.agent), keep_data=False)
        await engine.apply(one)
        assert await run(engine, one, f"cat {LOGINS}/codex/auth.json") == "secret"

    async def test_the_store_of_logins_goes_with_the_data(
        self, factory: Factory, engine: InventoriedEngine, spec: AgentSpec
    ) -> None:
        """It is kept where the data is, found again by the next vibespace, and taken with it."""
        sharing = replace(agent(factory, "two", like=spec), logins="codex")
        await engine.apply(sharing)
        await run(engine, sharing, f"echo secret > {LOGINS}/codex/auth.json")
        await engine.delete(whole(sharing), keep_data=True)
        again = replace(sharing, vibespace_uid=uid(), agent_uid=uid())
        await engine.apply(again)
        assert await run(engine, again, f"cat {LOGINS}/codex/auth.json") == "secret"
        await engine.delete(whole(again), keep_data=False)
        await engine.delete(whole(spec), keep_data=False)
        assert await engine.leftovers(frozenset()) == []

    async def test_links_lead_out_of_the_home(self, factory: Factory, engine: Engine) -> None:
        """The first command finds one; a newer file that was put in its place is moved to where it led, an older one
        stays what it is.
        """
        target = f"{LOGINS}/codex/auth.json"
        spec = replace(agent(factory), logins="codex", links={".codex/auth.json": target})
        await engine.apply(spec)
        assert await run(engine, spec, f"echo one > ~/.codex/auth.json; cat {target}") == "one"
        await run(engine, spec, "rm ~/.codex/auth.json; (umask 077; echo two > ~/.codex/auth.json)")
        assert await run(engine, spec, f"cat {target}; stat -c '%a %F' {target}") == "two\n600 regular file"
        assert await run(engine, spec, "test -L ~/.codex/auth.json; cat ~/.codex/auth.json; ls ~/.codex") == (
            "two\nauth.json"
        )
        await run(engine, spec, "rm ~/.codex/auth.json; touch -d 2001-01-01 ~/.codex/auth.json")
        assert await run(engine, spec, f"cat ~/.codex/auth.json {target}") == "two"

    async def test_vibespaces_share_nothing(self, factory: Factory, engine: Engine, spec: AgentSpec) -> None:
        """An agent of the same name in another vibespace sees neither the other's /vibespace nor its home."""
        other = agent(factory)
        await engine.apply(other)
        await run(engine, spec, "touch /vibespace/mine /home/agent/mine")
        assert await run(engine, other, "ls /vibespace/mine /home/agent/mine 2>/dev/null || echo none") == "none"

    @pytest.mark.parametrize(
        ("bound", "dialled"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("0.0.0.0", "127.0.0.1")]
    )
    async def test_servers_inside_are_reached(self, engine: Engine, spec: AgentSpec, bound: str, dialled: str) -> None:
        """A server inside that is bound to either loopback or to every address is reached by ssh direct-tcpip."""
        family = "AF_INET6" if ":" in bound else "AF_INET"
        async with inside(engine, spec) as connection:
            script = SERVER.format(host=bound, family=family)
            server = await connection.create_process("python3 -", stdin=asyncssh.PIPE)
            server.stdin.write(script)
            server.stdin.write_eof()
            port = int(await server.stdout.readline())
            reader, writer = await connection.open_connection(dialled, port)
            writer.write(b"hello")
            assert await reader.read() == b"HELLO"
            writer.close()
            await server.wait()

    async def test_host_key_is_the_pinned_one(self, engine: Engine, spec: AgentSpec) -> None:
        """The container shows the key of its spec and no other."""
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            async with inside(engine, spec, HOSTS[1]):
                pass

    async def test_only_the_authorized_key_may_log_in(self, engine: Engine, spec: AgentSpec) -> None:
        """Another key than the spec's is refused."""
        stranger = asyncssh.generate_private_key("ssh-ed25519")
        with pytest.raises(asyncssh.PermissionDenied):
            await asyncssh.connect(
                sock=await engine.dial(spec.agent_uid),
                username="agent",
                client_keys=[stranger],
                known_hosts=None,
                config=[],
            )

    async def test_removed_by_hand_shows_and_comes_back(
        self, factory: Factory, engine: Engine, spec: AgentSpec
    ) -> None:
        """A container somebody removed is ABSENT, and apply brings it back with its data."""
        await run(engine, spec, "echo own > /home/agent/file")
        await factory.remove_by_hand(spec.agent_uid)
        await status(engine, spec, Condition.ABSENT)
        await engine.apply(spec)
        assert await run(engine, spec, "cat /home/agent/file") == "own"

    async def test_ended_by_itself_shows_and_comes_back(
        self, factory: Factory, engine: Engine, spec: AgentSpec
    ) -> None:
        """A container that ended is STOPPED and says why; apply brings it back."""
        await status(engine, spec, Condition.RUNNING)
        await factory.end_by_itself(spec.agent_uid)
        ended = await status(engine, spec, Condition.STOPPED)
        assert ended.reason != ""
        with pytest.raises(Unavailable) as refused:
            await engine.dial(spec.agent_uid)
        assert refused.value.reason == "AGENT_UNREACHABLE"
        await engine.apply(spec)
        assert (await status(engine, spec, Condition.RUNNING)).started != ended.started

    async def test_delete_agent_takes_its_home_only(
        self, factory: Factory, engine: InventoriedEngine, spec: AgentSpec
    ) -> None:
        """Deleting an agent takes its container and home; /vibespace and the other agent stay. Twice is no error."""
        second = agent(factory, "two", like=spec)
        await engine.apply(second)
        await run(engine, spec, "echo shared > /vibespace/file")
        target = Target(spec.vibespace_uid, spec.data_uid, spec.agent_uid, spec.agent)
        for _ in range(2):
            await engine.delete(target, keep_data=False)
        assert await run(engine, second, "cat /vibespace/file") == "shared"
        volumes = [left.name for left in await engine.leftovers(frozenset()) if left.kind == "volume"]
        assert sorted(volumes) == [f"vs-{spec.data_uid}", f"vs-{spec.data_uid}-home-two"]

    async def test_delete_vibespace_takes_all(self, engine: InventoriedEngine, spec: AgentSpec) -> None:
        """Deleting a vibespace without its data leaves nothing of it. Twice is no error."""
        for _ in range(2):
            await engine.delete(whole(spec), keep_data=False)
        assert await engine.leftovers(frozenset()) == []
        assert (await status(engine, spec, Condition.ABSENT)).started == ""

    async def test_delete_keeping_data(self, engine: InventoriedEngine, spec: AgentSpec) -> None:
        """With keep_data the volumes stay, and a new vibespace of the same data uid finds them."""
        await run(engine, spec, "echo shared > /vibespace/file")
        await engine.delete(whole(spec), keep_data=True)
        left = await engine.leftovers(frozenset())
        told = {(thing.kind, thing.owner_uid, thing.vibespace) for thing in left}
        assert told == {("volume", spec.data_uid, spec.vibespace)}
        again = replace(spec, vibespace_uid=uid(), agent_uid=uid())
        await engine.apply(again)
        assert await run(engine, again, "cat /vibespace/file") == "shared"

    async def test_missing_image(self, factory: Factory, engine: InventoriedEngine) -> None:
        """An image the engine has not is refused with a reason, and no container is left."""
        spec = replace(agent(factory), image="localhost/vibespace-absent:none")
        with pytest.raises(FailedPrecondition) as refused:
            await engine.apply(spec)
        assert refused.value.reason == "IMAGE_NOT_FOUND"
        assert (await status(engine, spec, Condition.ABSENT)).started == ""
        await engine.delete(whole(spec), keep_data=False)
        assert await engine.leftovers(frozenset()) == []

    async def test_dial_where_nothing_runs(self, factory: Factory, engine: Engine) -> None:
        """Dialling an agent without a container is Unavailable."""
        with pytest.raises(Unavailable) as refused:
            await engine.dial(agent(factory).agent_uid)
        assert refused.value.reason == "AGENT_UNREACHABLE"
