"""What was accepted is waited for, seen on a terminal, and goes on without us."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon, agent, watch
from tests.cli.daemon import vibespace as made
from tests.cli.process import on_terminal, start
from vibespace import errors
from vibespace.v1 import agents_pb2, system_pb2, vibespaces_pb2
from vibespace.v1.cursor_pb2 import Cursor
from vibespace.v1.system_pb2 import Host
from vibespace.v1.vibespaces_pb2 import VIBESPACE_STATE_DELETING as DELETING
from vibespace.v1.vibespaces_pb2 import VIBESPACE_STATE_FAILED as FAILED
from vibespace.v1.vibespaces_pb2 import VIBESPACE_STATE_STARTING as STARTING
from vibespace.v1.vibespaces_pb2 import VIBESPACE_STATE_STOPPED as STOPPED
from vibespace.v1.vibespaces_pb2 import VIBESPACE_STATE_STOPPING as STOPPING
from vibespace.v1.vibespaces_pb2 import VIBESPACE_STATE_UNKNOWN as UNKNOWN

CREATE, DELETE, WATCH = "VibespaceService/CreateVibespace", "VibespaceService/DeleteVibespace", "EventService/Watch"
LINE = ["create", "demo", "-t", "codex"]


@pytest.fixture(autouse=True)
def _accepts(daemon: Daemon) -> None:
    daemon.answers[CREATE] = lambda r: vibespaces_pb2.CreateVibespaceResponse(
        vibespace=made(r.vibespace_id, STARTING), cursor=Cursor(log_id="log", position=7)
    )


def test_create_returns_when_it_runs(vibespace: Run, daemon: Daemon) -> None:
    """The answer is the vibespace as it runs, watched from the reply's cursor on."""
    daemon.answers[WATCH] = lambda _: iter([watch(agent("claude-1", "demo")), watch(made("demo"))])
    done = vibespace(*LINE)
    assert (done.code, done.json["data"]["vibespace"]["status"]["state"]) == (0, "running")
    (request,) = daemon.asked(WATCH)
    assert (request.parent, request.after.log_id, request.after.position) == ("vibespaces/demo", "log", 7)


def test_no_wait_returns_what_was_accepted(vibespace: Run, daemon: Daemon) -> None:
    """Nothing is watched."""
    assert vibespace(*LINE, "--no-wait").json["data"]["vibespace"]["status"]["state"] == "starting"
    assert daemon.asked(WATCH) == []


def test_a_mutation_has_a_request_id(vibespace: Run, daemon: Daemon) -> None:
    """The one that the answer names."""
    done = vibespace(*LINE, "--no-wait")
    assert [r.request_id for r in daemon.asked(CREATE)] == [done.json["meta"]["request_id"]]


def test_what_fails_says_why(vibespace: Run, daemon: Daemon) -> None:
    """A vibespace that does not come up is exit code 15, with its own reason."""
    failed = made("demo", FAILED, status={"state": FAILED, "reason": "image gone"})
    daemon.answers[WATCH] = lambda _: iter([watch(failed)])
    done = vibespace(*LINE)
    assert (done.code, done.json["error"]["reason"]) == (15, "NOT_RUNNING")
    assert "demo does not run: image gone." in done.err
    assert "or 'vibespace delete demo' takes it away." in done.err


@pytest.mark.parametrize(("state", "words"), [(UNKNOWN, LINE), (DELETING, ["delete", "demo", "--force"])])
def test_a_lost_engine_is_not_waited_for(vibespace: Run, daemon: Daemon, state: int, words: list[str]) -> None:
    """When the engine is lost while it is waited for, that is told; when the daemon has only just started, not."""
    daemon.answers[DELETE] = lambda _: vibespaces_pb2.DeleteVibespaceResponse(vibespace=made("demo", DELETING))
    since = Timestamp(seconds=1)
    lost = made("demo", state, status={"state": state, "reason": "no engine answers.", "unreachable_time": since})
    daemon.answers[WATCH] = lambda _: iter([watch(made("demo", state)), watch(lost)])
    done = vibespace(*words)
    assert (done.code, done.json["error"]["reason"]) == (15, "ENGINE_UNREACHABLE")
    assert "demo must wait: no engine answers. What was asked is done when it answers again." in done.err


def test_a_repository_that_fails_is_a_conflict(vibespace: Run, daemon: Daemon) -> None:
    """Trying again alone would not help: exit code 16, and what to do once it is mended."""
    status = {
        "state": FAILED,
        "reason": "no such host",
        "repository": {"state": vibespaces_pb2.REPOSITORY_STATE_FAILED},
    }
    daemon.answers[WATCH] = lambda _: iter([watch(made("demo", FAILED, status=status))])
    done = vibespace(*LINE)
    assert (done.code, done.json["error"]["reason"]) == (16, "REPOSITORY_FAILED")
    assert "vibespace start demo" in done.err


def test_a_worktree_that_fails_is_a_conflict(vibespace: Run, daemon: Daemon) -> None:
    """All agents run, and the vibespace has failed: exit code 16, and what to do once it is mended."""
    status = {"state": FAILED, "reason": "codex-1: it is there", "agents": 1, "agents_running": 1}
    daemon.answers[WATCH] = lambda _: iter([watch(made("demo", FAILED, status=status))])
    done = vibespace(*LINE)
    assert (done.code, done.json["error"]["reason"]) == (16, "WORKTREE_FAILED")
    assert "demo does not run: codex-1: it is there." in done.err
    assert "'vibespace start demo' tries again" in done.err


def test_an_agent_without_its_worktree(vibespace: Run, daemon: Daemon) -> None:
    """It runs, and that is not all that was asked for: exit code 16, with the command that tries again."""
    starting = agent("codex-2", "demo", agents_pb2.AGENT_STATE_STARTING)
    daemon.answers["AgentService/CreateAgent"] = lambda _: agents_pb2.CreateAgentResponse(agent=starting)
    worktree = {"state": agents_pb2.WORKTREE_STATE_FAILED, "reason": "it is there."}
    up = agent("codex-2", "demo", status={"state": agents_pb2.AGENT_STATE_RUNNING, "worktree": worktree})
    daemon.answers[WATCH] = lambda _: iter([watch(starting), watch(up)])
    done = vibespace("agent", "create", "--vibespace", "demo")
    assert (done.code, done.json["error"]["reason"]) == (16, "WORKTREE_FAILED")
    assert "codex-2@demo runs, and has no worktree: it is there." in done.err
    assert "vibespace agent start codex-2@demo" in done.err


@pytest.mark.parametrize("forced", [False, True])
def test_force_reaches_the_daemon(vibespace: Run, daemon: Daemon, forced: bool) -> None:
    """Who says --force is not asked, and the daemon is told so; who says --dry-run alone is told what would be lost."""
    gone = agents_pb2.DeleteAgentResponse(agent=agent("codex-2", "demo"))
    daemon.answers["AgentService/DeleteAgent"] = lambda _: gone
    vibespace("agent", "delete", "codex-2@demo", "--force" if forced else "--dry-run", "--no-wait")
    (request,) = daemon.asked("AgentService/DeleteAgent")
    assert (request.force, request.validate_only) == (forced, not forced)


def test_what_was_deleted_is_gone_when_it_returns(vibespace: Run, daemon: Daemon) -> None:
    """delete waits for the Watch to say so."""
    daemon.answers[DELETE] = lambda _: vibespaces_pb2.DeleteVibespaceResponse(vibespace=made("demo"))
    daemon.answers[WATCH] = lambda _: iter([watch(made("demo")), watch("vibespaces/demo")])
    done = vibespace("delete", "demo", "--force", "--plain")
    assert (done.code, done.out) == (0, "demo\tdeleted\n")


def test_what_is_missing_from_a_new_snapshot_is_gone(vibespace: Run, daemon: Daemon) -> None:
    """A daemon that cannot tell what changed tells all there is: a snapshot in pieces counts when it is whole."""
    first, last = watch(made("a")), watch(made("b"))
    first.ClearField("cursor")
    first.snapshot = last.snapshot = True
    daemon.answers[DELETE] = lambda _: vibespaces_pb2.DeleteVibespaceResponse(vibespace=made("demo"))
    daemon.answers[WATCH] = lambda _: iter([first, last])
    assert vibespace("delete", "demo", "--force", "--plain").out == "demo\tdeleted\n"


def test_what_never_ran_is_waited_for_until_it_is_gone(vibespace: Run, daemon: Daemon) -> None:
    """Why it did not run is no reason not to: its engine answers."""
    daemon.answers[DELETE] = lambda _: vibespaces_pb2.DeleteVibespaceResponse(vibespace=made("demo", DELETING))
    going = made("demo", DELETING, status={"state": DELETING, "reason": "no node can take it"})
    daemon.answers[WATCH] = lambda _: iter([watch(going), watch("vibespaces/demo")])
    assert vibespace("delete", "demo", "--force", "--plain").out == "demo\tdeleted\n"


def test_what_is_deleted_while_its_start_is_waited_for(vibespace: Run, daemon: Daemon) -> None:
    """Also where only a new snapshot shows that it is gone: nothing more would ever come of it."""
    rest = watch(made("other"))
    rest.snapshot = True
    daemon.answers[WATCH] = lambda _: iter([rest])
    done = vibespace(*LINE)
    assert (done.code, done.json["error"]["reason"]) == (16, "DELETED_MEANWHILE")


@pytest.mark.parametrize("sends", [False, True])
def test_what_is_stopped_while_its_start_is_waited_for(
    vibespace: Run, daemon: Daemon, tmp_path: Path, sends: bool
) -> None:
    """By somebody else, with a bare stop or its own: nobody waits for what is not going to happen."""
    for words in (["init"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "--message=one"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True, capture_output=True)
    daemon.answers["VibespaceService/GetVibespace"] = lambda _: vibespaces_pb2.GetVibespaceResponse()
    primary = agent("claude-1", "demo", agents_pb2.AGENT_STATE_STOPPED, primary=True)
    daemon.answers[WATCH] = lambda _: iter([watch(primary), watch(made("demo", STOPPED))])
    done = vibespace(*LINE, *(["--repo", str(tmp_path)] if sends else []))
    assert (done.code, done.json["error"]["reason"]) == (16, "STOPPED_MEANWHILE")
    assert "'vibespace start' brings back what ran" in done.err


def test_a_start_of_everything_that_is_put_to_rest_meanwhile(vibespace: Run, daemon: Daemon) -> None:
    """Else it would wake the next daemon, and wait for ever."""
    daemon.answers["SystemService/Wake"] = lambda _: system_pb2.WakeResponse(host=Host(initialized=True))
    daemon.answers[WATCH] = lambda _: iter([watch(made("demo", STARTING)), watch(made("demo", STOPPED))])
    done = vibespace("start")
    assert (done.code, done.json["error"]["reason"]) == (16, "STOPPED_MEANWHILE")


def test_a_stop_of_everything_that_is_woken_meanwhile(vibespace: Run, daemon: Daemon) -> None:
    """The daemon does not end any more, so nobody waits for that."""
    resting = system_pb2.RestResponse(host=Host(initialized=True, resting=True))
    daemon.answers["SystemService/Rest"] = lambda _: resting
    woken = watch()
    woken.host.initialized = True
    daemon.answers[WATCH] = lambda _: iter([watch(made("demo", STOPPING)), woken])
    done = vibespace("stop")
    assert (done.code, done.json["error"]["reason"]) == (16, "STARTED_MEANWHILE")


def test_a_stop_that_was_overtaken_when_it_is_answered(vibespace: Run, daemon: Daemon) -> None:
    """It is no start, and does not say that everything is back."""
    daemon.answers["SystemService/Rest"] = lambda _: system_pb2.RestResponse(host=Host(initialized=True))
    daemon.answers[WATCH] = lambda _: iter([watch()])
    done = vibespace("stop")
    assert (done.code, done.json["error"]["reason"]) == (16, "STARTED_MEANWHILE")


def test_a_stop_of_everything_does_not_wait_for_the_next_daemon(vibespace: Run, daemon: Daemon, home: Path) -> None:
    """One that a start has brought holds the lock as soon as the one that was asked has let go of it."""
    lock = home / "daemon.lock"
    lock.write_text("1\n")

    def end(_: Any) -> Any:
        lock.write_text("2\n")
        raise errors.at_rest()

    daemon.answers["SystemService/Rest"] = lambda _: system_pb2.RestResponse(host=Host(initialized=True, resting=True))
    daemon.answers[WATCH] = end
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert vibespace("stop", "--plain").out == "resting\n"


def test_destroying_off_a_terminal_needs_force(vibespace: Run, daemon: Daemon) -> None:
    """Nobody can be asked, so nothing is deleted."""
    daemon.answers[DELETE] = lambda _: vibespaces_pb2.DeleteVibespaceResponse(vibespace=made("demo"))
    done = vibespace("delete", "demo")
    assert (done.code, done.json["error"]["reason"]) == (2, "FORCE_NEEDED")
    assert [r.validate_only for r in daemon.asked(DELETE)] == [True]


def test_what_is_not_there_is_said_before_force_is_asked_for(vibespace: Run, daemon: Daemon) -> None:
    """Exit code 10, not advice on how to destroy it."""

    def refuse(_: Any) -> Any:
        raise errors.NotFound("VIBESPACE_NOT_FOUND", "There is no vibespace demo.")

    daemon.answers[DELETE] = refuse
    assert vibespace("delete", "demo").code == 10


@pytest.mark.parametrize(("typed", "code"), [(b"y\n", 0), (b"n\n", 14), (b"\n", 14)])
def test_destroying_on_a_terminal_asks(daemon: Daemon, typed: bytes, code: int) -> None:
    """Only a yes deletes; what would go is looked up first."""
    daemon.answers[DELETE] = lambda _: vibespaces_pb2.DeleteVibespaceResponse(vibespace=made("demo"))
    daemon.answers[WATCH] = lambda _: iter([watch("vibespaces/demo")])
    done = on_terminal("delete", "demo", typed=typed)
    assert done[0] == code
    assert "Delete demo? This deletes 1 agent (1 running) and the vibespace's data. [y/N]" in done[1]
    assert [r.validate_only for r in daemon.asked(DELETE)] == ([True, False] if code == 0 else [True])


def test_a_rehearsal_deletes_nothing(vibespace: Run, daemon: Daemon) -> None:
    """--dry-run asks the daemon, nobody else, and waits for nothing."""
    daemon.answers[DELETE] = lambda asked: vibespaces_pb2.DeleteVibespaceResponse(
        vibespace=made("demo"), data_kept=asked.keep_data
    )
    done = vibespace("delete", "demo", "--dry-run", "--plain")
    assert done.code == 0
    told = "This would delete 1 agent (1 running) and the vibespace's data. Nothing was deleted:"
    assert told in done.err
    assert "the vibespace's data is kept" in vibespace("delete", "demo", "--dry-run", "--keep-data", "--plain").err
    assert vibespace("delete", "demo", "--dry-run", "--keep-data", "--json").json["data"]["data_kept"] is True
    assert all(r.validate_only for r in daemon.asked(DELETE))


def test_an_agents_rehearsal_says_what_goes_with_it(vibespace: Run, daemon: Daemon) -> None:
    """--dry-run names its home, and says whether the agent runs."""
    method = "AgentService/DeleteAgent"
    daemon.answers[method] = lambda _: agents_pb2.DeleteAgentResponse(agent=agent("helper", "demo"))
    done = vibespace("agent", "delete", "helper@demo", "--dry-run", "--plain")
    assert "This would delete the agent (running) and its home." in done.err
    worktree = {"state": agents_pb2.WORKTREE_STATE_READY}
    resting = agent("helper", "demo", status={"state": agents_pb2.AGENT_STATE_STOPPED, "worktree": worktree})
    daemon.answers[method] = lambda _: agents_pb2.DeleteAgentResponse(agent=resting)
    done = vibespace("agent", "delete", "helper@demo", "--dry-run", "--plain")
    assert "This would delete the agent, its home, and its worktree." in done.err


def test_what_is_not_waited_for_is_not_said_to_be_so(vibespace: Run, daemon: Daemon) -> None:
    """With --no-wait a bare start or stop has only begun."""
    rested = system_pb2.RestResponse(host=Host(initialized=True, resting=True))
    daemon.answers["SystemService/Rest"] = lambda _: rested
    daemon.answers["SystemService/Wake"] = lambda _: system_pb2.WakeResponse(host=Host(initialized=True))
    assert vibespace("stop", "--no-wait", "--plain").out == "stopping\n"
    assert vibespace("start", "--no-wait", "--plain").out == "starting\n"
    assert on_terminal("stop", "--no-wait")[1] == "Everything is stopping.\n"
    assert on_terminal("start", "--no-wait")[1] == "Everything is starting.\n"


def test_interrupting_leaves_the_work_going_on(daemon: Daemon) -> None:
    """Ctrl-C ends the waiting with 14, and says that it ended nothing else."""
    waiting, over = threading.Event(), threading.Event()

    def answer(_: Any) -> Iterator[Any]:
        waiting.set()
        over.wait()
        yield watch(made("demo"))

    daemon.answers[WATCH] = answer
    process = start(*LINE)
    waiting.wait()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    over.set()
    assert process.returncode == 14
    assert b"'create demo' goes on. 'vibespace info demo' shows how far it is." in err


def test_what_happens_is_seen_on_a_terminal(daemon: Daemon) -> None:
    """States pass by on stderr while it takes, and one sentence is left."""
    coming = agent("codex-1", "demo", agents_pb2.AGENT_STATE_STARTING)
    daemon.answers[WATCH] = lambda _: iter([watch(coming), watch(made("demo"))])
    code, seen = on_terminal(*LINE)
    assert code == 0
    assert "codex-1@demo: starting" in seen
    assert seen.endswith("demo is running.\n")


def test_a_stopped_one_is_stopped(vibespace: Run, daemon: Daemon) -> None:
    """The intent says what is waited for."""
    resting = {"intent": agents_pb2.RUN_INTENT_STOP}
    daemon.answers["VibespaceService/StopVibespace"] = lambda _: vibespaces_pb2.StopVibespaceResponse(
        vibespace=made("demo", **resting)
    )
    daemon.answers[WATCH] = lambda _: iter([watch(made("demo", **resting)), watch(made("demo", STOPPED, **resting))])
    assert vibespace("stop", "demo", "--plain").out == "demo\tstopped\n"


def test_waiting_survives_the_daemon(vibespace: Run, daemon: Daemon) -> None:
    """A daemon that dies while it is watched is asked again, for what came after the last cursor."""

    def answer(request: Any) -> Iterator[Any]:
        if request.after.position == 7:
            yield watch(agent("codex-1", "demo"), position=9)
            raise ConnectionError
        yield watch(made("demo"), position=11)

    daemon.answers[WATCH] = answer
    assert vibespace(*LINE).code == 0
    assert [(r.after.position, r.resumed) for r in daemon.asked(WATCH)] == [(7, False), (9, True)]


def test_a_mutation_is_repeated_with_its_request_id(vibespace: Run, daemon: Daemon) -> None:
    """A daemon that dies before it answers is asked once more; the id lets it tell a repeat from a second wish."""
    answers = iter([ConnectionError(), vibespaces_pb2.CreateVibespaceResponse(vibespace=made("demo"))])

    def answer(_: Any) -> Any:
        if isinstance(told := next(answers), Exception):
            raise told
        return told

    daemon.answers[CREATE] = answer
    assert vibespace(*LINE).code == 0
    first, second = daemon.asked(CREATE)
    assert first == second
    assert first.request_id


def test_a_daemon_that_dies_each_time_is_given_up(vibespace: Run, daemon: Daemon) -> None:
    """Twice more, not for ever."""

    def answer(_: Any) -> Any:
        raise ConnectionError

    daemon.answers[CREATE] = answer
    done = vibespace(*LINE)
    assert (done.code, done.json["error"]["reason"]) == (15, "DAEMON_LOST")
    assert len(daemon.asked(CREATE)) == 3
