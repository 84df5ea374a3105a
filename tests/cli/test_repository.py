"""A repository here is read by git's own means, and arrives whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vibespace_cli import repository

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon, agent, watch
from tests.cli.daemon import vibespace as made
from tests.cli.process import start
from vibespace.errors import Error
from vibespace.v1 import vibespaces_pb2

CREATE, UPLOAD = "VibespaceService/CreateVibespace", "VibespaceService/UploadRepository"


def git(place: Path, *arguments: str) -> str:
    """Run git as a nobody with a name."""
    who = ["-c", "user.name=A", "-c", "user.email=a@b"]
    return subprocess.run(
        ["git", "-C", place, *who, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository with two branches, a tag, and one file that is not committed."""
    place = tmp_path / "website"
    place.mkdir()
    git(place, "init", "--quiet", "--initial-branch=main")
    (place / "sub").mkdir()
    (place / "sub" / "a").write_text("one")
    git(place, "add", ".")
    git(place, "commit", "--quiet", "--message=one")
    git(place, "tag", "--annotate", "v1", "--message=v1")
    git(place, "branch", "other")
    (place / "new").write_text("not sent")
    return place


@pytest.fixture
def received(daemon: Daemon) -> list[Any]:
    """The requests of an upload; the primary runs."""
    got: list[Any] = []

    def upload(requests: Iterator[Any]) -> Any:
        got.extend(requests)
        return vibespaces_pb2.UploadRepositoryResponse(vibespace=made("demo"))

    daemon.answers |= {
        CREATE: lambda _: vibespaces_pb2.CreateVibespaceResponse(vibespace=made("demo")),
        "VibespaceService/GetVibespace": lambda _: vibespaces_pb2.GetVibespaceResponse(
            vibespace=made("demo"), agents=[agent("claude-1", "demo", primary=True)]
        ),
        "EventService/Watch": lambda _: iter([watch(made("demo"))]),
        UPLOAD: upload,
    }
    return got


def _create(vibespace: Run, source: Path | str, *more: str) -> Any:
    return vibespace("create", "demo", "-t", "codex", "--repo", str(source), *more)


def test_history_branches_and_tags_arrive(vibespace: Run, work: Path, received: list[Any], tmp_path: Path) -> None:
    """What the pieces make is a bundle that clones to the same commits; a changed file stays behind and is counted."""
    done = _create(vibespace, work)
    assert done.code == 0
    assert "1 file with uncommitted changes" in done.err
    (tmp_path / "got").write_bytes(b"".join(r.data for r in received))
    git(tmp_path, "clone", "--quiet", "got", "clone")
    clone = tmp_path / "clone"
    assert git(clone, "rev-parse", "HEAD", "origin/other", "v1") == git(work, "rev-parse", "HEAD", "other", "v1")
    assert sorted(p.name for p in clone.iterdir()) == [".git", "sub"]


def test_the_first_piece_says_what_it_is(vibespace: Run, daemon: Daemon, work: Path, received: list[Any]) -> None:
    """Name, branch and origin go once; the spec has the real path."""
    git(work, "remote", "add", "origin", "https://someone:secret@example.com/website.git")
    link = work.parent / "link"
    link.symlink_to(work)
    _create(vibespace, link / "sub")
    assert [r.spec.repo for r in daemon.asked(CREATE)] == [str(work)]
    assert (received[0].name, received[0].branch) == ("vibespaces/demo", "main")
    assert received[0].origin == "https://example.com/website.git"
    assert all(len(r.data) <= 1 << 20 for r in received)


def test_a_tag_that_is_called_as_the_branch_is_not_the_branch(work: Path) -> None:
    """Git then has a longer word for the branch."""
    git(work, "tag", "main")
    assert repository.read(str(work)).branch == "main"


def test_an_origin_that_is_on_this_machine_is_left_out(work: Path) -> None:
    """Inside there is nothing at that place."""
    git(work, "remote", "add", "origin", "file:///srv/website.git")
    assert repository.read(str(work)).origin == ""


def test_a_detached_head_has_no_branch(work: Path) -> None:
    """HEAD is sent as a commit."""
    git(work, "checkout", "--quiet", "--detach")
    assert repository.read(str(work)).branch == ""


def test_a_bare_repository_and_a_worktree_can_be_sent(work: Path, tmp_path: Path) -> None:
    """Wherever git finds its history."""
    git(tmp_path, "clone", "--quiet", "--bare", "website", "bare.git")
    git(work, "worktree", "add", "--quiet", str(tmp_path / "tree"), "other")
    assert repository.read(str(tmp_path / "bare.git")).root == str(tmp_path / "bare.git")
    found = repository.read(str(tmp_path / "tree"))
    assert (found.root, found.branch) == (str(tmp_path / "tree"), "other")
    assert b"".join(repository.bundle(found.root)).startswith(b"# v2 git bundle")


def test_a_hook_s_environment_does_not_mislead(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIT_DIR of another repository is not what --repo names."""
    git(tmp_path, "init", "--quiet", "elsewhere")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere" / ".git"))
    assert repository.read(str(work)).root == str(work)


def test_what_cannot_be_sent_says_why(work: Path, tmp_path: Path) -> None:
    """Nothing there, no repository, nothing committed, no such branch, half a history."""
    (tmp_path / "empty").mkdir()
    git(tmp_path, "init", "--quiet", "new")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{work}", "shallow")
    reasons = {
        _refused("missing", tmp_path / "missing"),
        _refused("empty", tmp_path / "empty"),
        _refused("new", tmp_path / "new"),
        _refused("branch", work, "nope"),
        _refused("shallow", tmp_path / "shallow"),
    }
    assert reasons == {
        ("missing", "REPOSITORY_INVALID"),
        ("empty", "REPOSITORY_INVALID"),
        ("new", "REPOSITORY_EMPTY"),
        ("branch", "BRANCH_MISSING"),
        ("shallow", "REPOSITORY_SHALLOW"),
    }


def _refused(what: str, place: Path, branch: str = "") -> tuple[str, str]:
    with pytest.raises(Error) as refused:
        repository.read(str(place), branch)
    return what, refused.value.reason


@pytest.mark.parametrize(
    "url", ["https://u:p@example.com/x", "ssh://u:p@example.com/x", "https://token@example.com/x", "u:p@example.com:x"]
)
def test_a_url_with_a_password_is_refused_before_anything_is_sent(vibespace: Run, daemon: Daemon, url: str) -> None:
    """It would be in the history for good."""
    done = _create(vibespace, url)
    assert (done.code, done.json["error"]["reason"]) == (2, "REPOSITORY_HAS_PASSWORD")
    assert daemon.requests == []


@pytest.mark.parametrize("url", ["https://example.com/x.git", "git@example.com:x/y.git", "ssh://git@example.com/x"])
def test_a_url_is_for_the_daemon(vibespace: Run, daemon: Daemon, received: list[Any], url: str) -> None:
    """It goes as it is, and nothing is uploaded."""
    assert _create(vibespace, url).code == 0
    assert [r.spec.repo for r in daemon.asked(CREATE)] == [url]
    assert received == []


def test_start_sends_again_what_is_still_missing(
    vibespace: Run, daemon: Daemon, work: Path, received: list[Any]
) -> None:
    """An upload that failed is made up for by `start`, from the path in the spec."""
    waits: dict[str, Any] = {"spec": {"repo": str(work)}, "status": {"repository": {"upload": True, "state": 3}}}
    daemon.answers["VibespaceService/StartVibespace"] = lambda _: vibespaces_pb2.StartVibespaceResponse(
        vibespace=made("demo", **waits)
    )
    assert vibespace("start", "demo").code == 0
    assert received[0].name == "vibespaces/demo"


def test_a_git_that_fails_midway_fails_the_upload(
    vibespace: Run, work: Path, received: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle that is not whole is never taken for one."""
    head = git(work, "rev-parse", "HEAD^{tree}")
    os.unlink(work / ".git" / "objects" / head[:2] / head[2:])
    done = _create(vibespace, work)
    assert (done.code, done.json["error"]["reason"]) == (16, "REPOSITORY_UNREADABLE")


@pytest.mark.parametrize("whole", [True, False])
def test_an_interrupted_upload_says_what_is_known(daemon: Daemon, work: Path, received: list[Any], whole: bool) -> None:
    """Of one that was sent, that only its end is not known; of one that was not, that."""
    waiting, over = threading.Event(), threading.Event()

    def wait(requests: Iterator[Any]) -> Any:
        received.extend(requests)
        waiting.set()
        over.wait()
        return vibespaces_pb2.UploadRepositoryResponse(vibespace=made("demo"))

    def look(_: Any) -> Any:
        waiting.set()
        over.wait()
        return vibespaces_pb2.GetVibespaceResponse(vibespace=made("demo"))

    daemon.answers |= {UPLOAD: wait} if whole else {"VibespaceService/GetVibespace": look}
    process = start("create", "demo", "-t", "codex", "--repo", str(work))
    waiting.wait()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    over.set()
    reason, said = ("NOT_WAITED", b"after the repository was sent") if whole else ("NOT_SENT", b"was not sent")
    assert (process.returncode, json.loads(out)["error"]["reason"], said in err) == (14, reason, True)
    assert b"'vibespace start demo' sends it again" in err
