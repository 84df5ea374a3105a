"""Made the goldens of this build: a history with every event there is, and a state directory.

`python -m tests.goldens.make v6` wrote the newest, once. A promise is never written anew: when events change, a next
version is made beside it, and all of them go on being folded by the tests. From v6 on the engine is a cluster, to which
a kubeconfig leads that `init` might have written, with a token that nobody has ever given.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from tests.app.house import (
    ENGINE,
    House,
    add,
    agent_deleted,
    create,
    delete,
    delete_credential,
    deleted,
    set_credential,
    start,
    stop,
)
from tests.app.talking import (
    FIRST,
    answered,
    decide,
    line,
    program_ended,
    program_started,
    say,
    set_timeout,
    settings_taken,
    timed_out,
    with_first,
    withdraw,
)
from vibespace.app import agents, host, messages, vibespaces
from vibespace.app.live import State
from vibespace.app.recorder import Recorded
from vibespace.app.writer import Command, Transaction
from vibespace.daemon import convert
from vibespace.daemon.convert_approvals import approval_message
from vibespace.daemon.convert_conversations import conversation_message, message_message
from vibespace.daemon.convert_credentials import credential_message
from vibespace.domain.conversations import Conversation
from vibespace.domain.transcripts import Transcript
from vibespace.engine import cluster as kubeconfigs
from vibespace.engine.base import KUBERNETES
from vibespace.engine.cluster import Cluster

HERE = Path(__file__).parent
CLUSTER = Cluster(
    "https://192.0.2.7:6443",
    "team",
    account="vibespace",
    storage_class="fast",
    storage_bytes=20 << 30,
    pull_secret="registry",
    closed=["192.0.2.7/32", "2001:db8::7/128"],
)
ON_CLUSTER = ENGINE | {
    "brand": KUBERNETES,
    "version": "v1.34.4",
    "address": CLUSTER.address,
    "unenforced_limits": ["processes"],
    "enforces_network_policies": True,
}
SETTINGS = {
    "model": "opus",
    "max_turns": 3,
    "system_prompt": "Be brief.",
    "disallowed_tools": ["Bash(git push:*)", "WebFetch"],
    "skip_permissions": True,
}


def told(state: State) -> dict[str, Any]:
    """All that a state amounts to, as the API says it, and what is only remembered."""
    assert state.host
    return {
        "position": state.position,
        "host": MessageToDict(convert.host_message(state.host, reachable=True)),
        "vibespaces": [
            MessageToDict(convert.vibespace_message(found, state, known=True))
            for _, found in sorted(state.vibespaces.items())
        ],
        "agents": [MessageToDict(convert.agent_message(found, state, known=True)) for found in state.agents()],
        "credentials": [
            MessageToDict(credential_message(found, state))
            for _, held in sorted(state.credentials.items())
            for _, found in sorted(held.items())
        ],
        "conversations": [_conversation(found) for found in state.conversations.values()],
        "messages": [
            MessageToDict(message_message(found, state)) for held in state.messages.values() for found in held.values()
        ],
        "approvals": [
            MessageToDict(approval_message(found)) for held in state.approvals.values() for found in held.values()
        ],
        "transcripts": {
            found.subject: [*found.place, found.running, found.on_terminal, found.settings]
            for found in state.aggregates.values()
            if isinstance(found, Transcript)
        },
        "kept": state.kept,
        "numbers": {f"{uid}/{prefix}": number for (uid, prefix), number in state.numbers.items()},
        "requests": {name: [str(known.uid), known.position] for name, known in state.requests.items()},
        "gone": {str(uid): [gone.aggregate.subject, gone.position] for uid, gone in state.gone.items()},
    }


def _conversation(found: Conversation) -> dict[str, Any]:
    """With what the loop acts by, and the API does not tell."""
    remembered = ("begun", "turn", "interrupted", "insisted", "wants_terminal", "on_terminal")
    said = MessageToDict(conversation_message(found))
    return {**said, "remembered": {name: getattr(found, name) for name in remembered}}


def row(recorded: Recorded) -> dict[str, Any]:
    """As it is stored."""
    return {
        "position": recorded.position,
        "originator_id": recorded.uid.hex,
        "originator_version": recorded.version,
        "topic": recorded.topic,
        "state": recorded.state.decode(),
        "hash": recorded.hash.hex(),
    }


async def live(house: House, engine: Mapping[str, Any] = ENGINE) -> None:
    """A life in which everything happens that can."""

    async def seen(vibespace: str, name: str, state: str, reason: str = "") -> None:
        agent, home = house.feed.state.agent(vibespace, name), house.feed.state.vibespace(vibespace)
        observe = partial(agents.observe_agent, vibespace=vibespace, name=name, state=state, reason=reason, image="i")
        command = partial(observe, generation=agent.generation, vibespace_generation=home.generation)
        await house.ask(command, request_id="")

    def worktree(name: str, **told: Any) -> Any:
        """How making it went, in the vibespace `apart`."""
        return lambda transaction: agents.observe_worktree(
            transaction, vibespace="apart", name=name, uid=transaction.state.agent("apart", name).id, **told
        )

    def apart(command: Any, **told: str) -> Any:
        return lambda transaction: command(transaction, uid=transaction.state.vibespace("apart").id, **told)

    def cloned(command: Any, **told: str) -> Any:
        return lambda transaction: command(transaction, uid=transaction.state.vibespace("cloned").id, **told)

    def changed(settings: dict[str, Any], *fields: str) -> Any:
        named = partial(agents.change_agent, vibespace="demo", name="claude-2")
        return partial(named, settings=settings, fields=fields)

    steps: list[Any] = [
        partial(host.initialize, engine=dict(engine), image="an-image"),
        partial(host.observe_engine, reason=""),
        create(cpu="500m", memory_limit="1Gi"),
        create("cloned", type="codex", repo="https://example.org/a/project.git", branch="main"),
        add("demo", "helper", "codex"),
        partial(agents.create_agent, vibespace="demo", name="", type="", settings=SETTINGS),
        ("demo", "claude-1", "running"),
        ("demo", "helper", "failed", "its container is gone"),
        ("cloned", "codex-1", "running"),
        cloned(vibespaces.repository_failed, reason="fatal: unable to access"),
        start("cloned"),
        cloned(vibespaces.repository_ready, commit="c0ffee"),
        partial(vibespaces.change_vibespace, name="demo", spec={"cpu": "2"}, fields=["cpu", "memory_limit"]),
        changed({"model": "", "allowed_tools": ["Read"], "effort": "low"}, "model", "allowed_tools", "effort"),
        changed({"skip_permissions": False}, "skip_permissions", "max_turns", "disallowed_tools"),
        partial(agents.stop_agent, vibespace="demo", name="claude-2"),
        ("demo", "claude-2", "stopped"),
        partial(agents.start_agent, vibespace="demo", name="claude-2"),
        partial(agents.delete_agent, vibespace="demo", name="claude-2"),
        agent_deleted("demo", "claude-2"),
        stop("demo"),
        partial(host.observe_engine, reason="it is down"),
        host.rest,
        host.wake,
        partial(host.initialize, engine=dict(engine), image="another-image", base="debian:12"),
        ("cloned", "codex-1", "stopped"),
        ("cloned", "codex-1", "starting"),
        create("kept", type="codex"),
        delete("kept", keep_data=True),
        agent_deleted("kept", "codex-1"),
        deleted("kept"),
        set_credential(
            "vibespaces/demo", "git", "example.org", username="me", author_name="Me", author_email="me@e.org"
        ),
        set_credential(type="anthropic", expires="2027-01-31T00:00:00+00:00"),
        set_credential(type="anthropic", sealed="v2"),
        set_credential("vibespaces/demo/agents/helper", "environment", "NPM_TOKEN"),
        set_credential(type="openai"),
        delete_credential(type="openai"),
        create("goes"),
        set_credential("vibespaces/goes"),
        delete("goes"),
        agent_deleted("goes"),
        partial(vibespaces.deletion_failed, name="goes", reason="its network is in use"),
        deleted("goes"),
        create("apart", type="codex", repo="https://example.org/a/project.git", worktree=True),
        add("apart"),
        ("apart", "codex-1", "running"),
        ("apart", "codex-2", "running"),
        apart(vibespaces.repository_ready, commit="c0ffee"),
        worktree("codex-1", state="ready", reason="", notes=["There is no git-lfs inside."]),
        worktree("codex-2", state="failed", reason="'codex-2' is already checked out", notes=[]),
        partial(agents.start_agent, vibespace="apart", name="codex-2"),
        partial(agents.delete_agent, vibespace="apart", name="codex-2", force=True),
        agent_deleted("apart", "codex-2"),
        apart(vibespaces.worktree_removed, agent="codex-2", reason=""),
        create("shared"),
        partial(agents.create_agent, vibespace="shared", name="", type="", share_credentials=True),
        *conversing(),
    ]
    for step in steps:
        house.clock.forward(seconds=1)
        await (seen(*step) if isinstance(step, tuple) else house.ask(step))


def begun(vibespace: str, agent: str, **started: Any) -> Command:
    """Its program begins, for its conversation."""

    def command(transaction: Transaction) -> Any:
        conversation = transaction.state.conversations.get(transaction.state.agent(vibespace, agent).uid)
        started["conversation"] = conversation.uid if conversation else ""
        return program_started(vibespace, agent, **started)(transaction)

    return command


def conversing() -> list[Any]:
    """What is said to agents and by them, in the vibespace `apart`; at the end something of each kind still waits."""
    whose, hasty = ("apart", "codex-1"), ("apart", "codex-4")
    turn = {"kind": "turn_started", "turn": "t1"}
    over = {"kind": "turn_ended", "turn": "t1", "reason": "completed", "usage": {"input": 3, "output": 2}, "cost": 12}
    asked = {
        "kind": "approval_asked",
        "request": "r1",
        "turn": "t1",
        "tool": "Bash",
        "input": '{"command":"ls"}',
        "input_hash": "c0ffee",
        "rules": ["Bash(ls)"],
        "reason": "it writes",
    }
    return [
        say(*whose, "Look at it."),
        begun(*whose, settings={"model": "small"}),
        settings_taken(*whose, model="large"),
        line(*whose, {"kind": "conversation_switched", "conversation": "s1"}),
        with_first(messages.hand_message, *whose),
        with_first(messages.queue_again, *whose),
        with_first(messages.hand_message, *whose),
        line(*whose, turn, {"kind": "text", "text": "Look at it.", "by_user": True, "message": FIRST, "turn": "t1"}),
        line(*whose, asked, {**asked, "request": "r2", "rules": []}),
        decide(*whose, input_hash="c0ffee", always=True),
        answered(*whose),
        line(*whose, {"kind": "approval_cancelled", "request": "r2"}),
        partial(messages.interrupt, vibespace="apart", agent="codex-1"),
        line(*whose, over),
        line(*whose, {"kind": "work_ended"}),
        say(*whose, "And this?", steers=True),
        with_first(messages.lose_message, *whose),
        say(*whose, "/compact", is_command=True),
        with_first(messages.fail_message, *whose, reason="it has no such command"),
        partial(messages.want_terminal, vibespace="apart", agent="codex-1"),
        program_ended(*whose, code=0),
        begun(*whose, resumed=True, on_terminal=True),
        program_ended(*whose, signal=15),
        partial(messages.new_conversation, vibespace="apart", agent="codex-1"),
        add("apart"),
        say("apart", "codex-3", "It goes with its agent."),
        begun("apart", "codex-3"),
        line("apart", "codex-3", turn, asked),
        partial(agents.delete_agent, vibespace="apart", name="codex-3", force=True),
        agent_deleted("apart", "codex-3"),
        begun(*whose, keys=["v1"]),
        say(*whose, "Once more."),
        withdraw(*whose),
        say(*whose, "And again."),
        with_first(messages.hand_message, *whose),
        line(*whose, {**turn, "turn": "t0"}, {"kind": "text", "text": "And again.", "message": FIRST, "turn": "t0"}),
        line(*whose, {**over, "turn": "t0", "reason": "failed", "detail": "Not logged in", "trouble": "login"}),
        say(*whose, "Bear with me."),
        with_first(messages.hand_message, *whose),
        line(*whose, {**turn, "turn": "t3"}, {"kind": "text", "text": "", "message": FIRST, "turn": "t3"}),
        program_ended(*whose, signal=9),
        begun(*whose, resumed=True),
        withdraw(*whose),
        say(*whose, "Do it."),
        say(*whose, "Then that."),
        with_first(messages.hand_message, *whose),
        line(*whose, {**turn, "turn": "t2"}, {"kind": "text", "text": "Do it.", "message": FIRST, "turn": "t2"}),
        line(*whose, {**asked, "turn": "t2"}, {**asked, "request": "r2", "turn": "t2"}),
        decide(*whose, "denied", reason="not now"),
        add("apart"),
        set_timeout(*hasty, "1s"),
        begun(*hasty),
        line(*hasty, turn, asked),
        timed_out(*hasty),
        set_timeout(*hasty, "2h"),
        line(*hasty, {**asked, "request": "r2"}),
        say(*hasty, "Leave that.", takes_over=True),
    ]


async def make(version: str) -> None:
    """Write `version`, which must not be there."""
    directory = HERE / "state" / version
    directory.mkdir()
    (directory / "kubeconfig").write_text(kubeconfigs.write(CLUSTER, _authority(), {"token": _token()}))
    house = House(directory / "events.db")
    await house.open()
    await live(house, ON_CLUSTER)
    history = house.log.read(0)
    folds = [told(house.log.fold(recorded.position)) for recorded in history]
    await house.close()
    lines = [json.dumps(row(recorded), sort_keys=True) for recorded in history]
    (HERE / "histories" / f"{version}.jsonl").write_text("\n".join(lines) + "\n")
    (HERE / "histories" / f"{version}.folds.jsonl").write_text("\n".join(map(json.dumps, folds)) + "\n")
    expected = {**folds[-1], "cluster": asdict(CLUSTER)}
    (directory / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def _authority() -> str:
    """The certificate of nobody: its key was thrown away."""
    words = "openssl req -x509 -newkey ed25519 -nodes -days 36500 -subj /CN=nobody -keyout /dev/null"
    return base64.b64encode(subprocess.run(words.split(), capture_output=True, check=True).stdout).decode()


def _token() -> str:
    """In the form of one, and signed by nobody."""
    parts = ({"alg": "none"}, {"iat": 1767323045, "exp": 1769915045, "sub": "system:serviceaccount:team:vibespace"})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


if __name__ == "__main__":
    asyncio.run(make(sys.argv[1]))
