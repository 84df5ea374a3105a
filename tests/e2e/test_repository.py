"""`create --repo`: a directory of this machine, or a URL."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installation import Installation

pytestmark = pytest.mark.containers

WHO = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]


def git(place: Path, *words: str) -> str:
    """What git says there."""
    done = subprocess.run(["git", "-C", place, *WHO, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(place: Path, name: str, content: str) -> str:
    """The commit that puts `content` into the file `name`."""
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).write_text(content)
    git(place, "add", name)
    git(place, "commit", "-q", "-m", f"Say {content}")
    return git(place, "rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with two branches, two tags, a remote, and things that are not committed."""
    place = tmp_path / "project"
    place.mkdir()
    git(place, "init", "-q", "-b", "main")
    commit(place, "file", "one")
    git(place, "tag", "light")
    git(place, "tag", "-a", "heavy", "-m", "A tag with words")
    git(place, "checkout", "-q", "-b", "feature/x")
    commit(place, "src/file", "two")
    git(place, "remote", "add", "origin", "https://user:s3cret-token@example.org/team/project.git")
    (place / "file").write_text("not committed")
    (place / "new").write_text("not added")
    return place


@pytest.fixture
def gone(vs: Installation) -> Iterator[list[str]]:
    """Names of vibespaces that are deleted after the test."""
    names: list[str] = []
    yield names
    for name in names:
        vs.ok("delete", name, "--force")


def test_directory(vs: Installation, project: Path, gone: list[str]) -> None:
    """All branches, tags and history arrive, the same branch checked out, origin without its password; nothing else."""
    done = vs.run("create", "sent", "-t", "codex", "--repo", str(project / "src"))
    gone.append("sent")
    assert done.returncode == 0, done.stderr
    assert "2 files with uncommitted changes" in done.stderr
    look = f"git -C /vibespace/{project.name}"
    for words in (
        "rev-parse HEAD",
        "symbolic-ref HEAD",
        "for-each-ref --format=%(refname)=%(objectname) refs/heads refs/tags",
        "log --all --format=%H%s",
        "cat-file -p heavy",
    ):
        assert vs.inside("codex-1@sent", f"{look} {_quoted(words)}") == git(project, *words.split())
    assert vs.inside("codex-1@sent", f"{look} status --porcelain; {look} fsck --strict 2>/dev/null") == ""
    assert vs.inside("codex-1@sent", f"{look} remote get-url origin") == "https://example.org/team/project.git"
    assert vs.inside("codex-1@sent", "cat file; ls; id -un; stat -c %U file") == "onefile\nsrc\nagent\nagent"
    found = vs.vibespace("sent")["status"]["repository"]
    assert (found["state"], found["directory"]) == ("ready", f"/vibespace/{project.name}")
    assert found["commit"] == git(project, "rev-parse", "HEAD")
    assert b"s3cret-token" not in _everything(vs.home)


def test_detached_and_branch(vs: Installation, project: Path, gone: list[str]) -> None:
    """A detached HEAD arrives detached; --branch checks out another branch, and one that is not there is refused."""
    git(project, "checkout", "-q", "-f", "--detach", "main")
    vs.ok("create", "detached", "-t", "codex", "--repo", str(project))
    gone.append("detached")
    assert vs.inside("codex-1@detached", "git rev-parse HEAD") == git(project, "rev-parse", "main")
    assert vs.inside("codex-1@detached", "git symbolic-ref -q HEAD || echo detached") == "detached"
    vs.ok("create", "branched", "-t", "codex", "--repo", str(project), "--branch", "feature/x")
    gone.append("branched")
    assert vs.inside("codex-1@branched", "git symbolic-ref --short HEAD") == "feature/x"
    words = ["create", "wrong", "-t", "codex", "--repo", str(project), "--branch", "nowhere"]
    assert vs.refused(*words)[:2] == (2, "BRANCH_MISSING")
    assert vs.refused("info", "wrong")[0] == 10


def test_what_cannot_be_sent(vs: Installation, tmp_path: Path, project: Path) -> None:
    """What is no repository, has no commit, or not all of its history, is refused before anything is made."""
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{project}", shallow], check=True)
    (tmp_path / "file").write_text("")
    before = vs.events()
    for path, code, reason in (
        (tmp_path, 2, "REPOSITORY_INVALID"),
        (tmp_path / "nowhere", 2, "REPOSITORY_INVALID"),
        (tmp_path / "file", 2, "REPOSITORY_INVALID"),
        (empty, 16, "REPOSITORY_EMPTY"),
        (shallow, 16, "REPOSITORY_SHALLOW"),
    ):
        assert vs.refused("create", "half", "-t", "codex", "--repo", str(path))[:2] == (code, reason), path
    assert vs.events() == before
    assert vs.objects("half") == {"containers": [], "networks": [], "volumes": []}


@pytest.mark.parametrize(
    "url",
    ["https://user:s3cret-word@example.org/x.git", "https://s3cret-word@example.org/x", "ssh://u:s3cret-word@h/x"],
)
def test_password(vs: Installation, url: str) -> None:
    """A URL with a password or token in it is refused with exit code 2, and kept nowhere."""
    before = vs.events()
    code, reason, sentence = vs.refused("create", "leak", "-t", "codex", "--repo", url)
    assert (code, reason) == (2, "REPOSITORY_HAS_PASSWORD")
    assert "s3cret-word" not in sentence
    assert vs.events() == before
    assert b"s3cret-word" not in _everything(vs.home)


def test_url(vs: Installation, project: Path, gone: list[str]) -> None:
    """A repository that cannot be cloned fails with git's own reason; once it is served, `start` clones it.

    The server is inside, where the clone runs too: no address of this machine is open to agents.
    """
    url = "http://127.0.0.1:8000/served.git"
    code, reason, sentence = vs.refused("create", "cloned", "-t", "codex", "--repo", url)
    gone.append("cloned")
    assert (code, reason) == (16, "REPOSITORY_FAILED")
    assert "127.0.0.1" in sentence
    found = vs.vibespace("cloned")["status"]
    assert found["state"] == found["repository"]["state"] == "failed"
    assert "127.0.0.1" in found["reason"]
    agent = "codex-1@cloned"
    vs.inside(agent, "git init -q --bare /tmp/served.git")
    bundle = project.parent / "bundle"
    git(project, "bundle", "create", "-q", str(bundle), "--all")
    with (
        bundle.open("rb") as file,
        vs.popen("exec", agent, "--", "sh", "-c", "cat > /tmp/bundle", stdin=file) as sending,
    ):
        assert sending.wait() == 0
    vs.inside(
        agent, "cd /tmp/served.git && git fetch -q /tmp/bundle 'refs/heads/*:refs/heads/*' && git update-server-info"
    )
    words = ["python3", "-u", "-m", "http.server", "-b", "127.0.0.1", "-d", "/tmp", "8000"]
    with vs.popen("exec", agent, "--", *words, stderr=subprocess.DEVNULL) as serving:
        assert serving.stdout is not None
        assert serving.stdout.readline().startswith("Serving HTTP")
        assert vs.data("start", "cloned")["vibespace"]["status"]["repository"]["state"] == "ready"
        serving.terminate()
    assert vs.inside(agent, "git rev-parse HEAD") == git(project, "rev-parse", "main")
    assert vs.inside(agent, "git remote get-url origin") == url


def _quoted(words: str) -> str:
    return " ".join(f"'{word}'" for word in words.split())


def _everything(home: Path) -> bytes:
    """All that is written in a state directory."""
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
