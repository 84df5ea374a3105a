"""`create --worktree`: a branch and a working copy for each agent, on real containers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installation import Installation
from tests.e2e.test_repository import commit, git

pytestmark = pytest.mark.containers

FIRST, SECOND = "codex-1@apart", "codex-2@apart"
COMMIT = "git -c user.name=A -c user.email=a@example.org commit -q -m"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    place.mkdir()
    git(place, "init", "-q", "-b", "main")
    commit(place, "file", "one")
    return place


@pytest.fixture
def apart(vs: Installation, project: Path) -> Iterator[str]:
    """A vibespace with worktrees and two agents."""
    vs.place.give(project)
    vs.ok("create", "apart", "-t", "codex", "--repo", str(project), "--worktree")
    vs.ok("agent", "create", "--vibespace", "apart")
    yield "apart"
    vs.ok("delete", "apart", "--force")


@pytest.mark.core
@pytest.mark.clustered
def test_each_works_apart(vs: Installation, apart: str, project: Path) -> None:
    """The same paths in both containers, a branch each, commits that the other sees at once; what root does by sudo or
    git does by itself is no dubious ownership.
    """
    head = git(project, "-c", f"safe.directory={project}", "rev-parse", "HEAD")
    for agent in (FIRST, SECOND):
        name = agent.partition("@")[0]
        assert vs.inside(agent, "pwd; git symbolic-ref --short HEAD; git rev-parse HEAD; ls") == (
            f"/vibespace/worktrees/{name}\n{name}\n{head}\nfile"
        )
        assert vs.inside(agent, "git status --porcelain; git -C /vibespace/.bare-repo rev-parse --git-dir") == "."
    made = vs.inside(FIRST, f"echo two > new; git add new; {COMMIT} Add; git rev-parse HEAD")
    assert vs.inside(SECOND, "git rev-parse codex-1; ls; git -C ../codex-1 status --porcelain") == f"{made}\nfile"
    told = vs.agent(FIRST)["status"]["worktree"]
    assert (told["branch"], told["base"], told["ahead"], told["behind"]) == ("codex-1", "main", 1, 0)
    assert (told["uncommitted"], told["unpushed"]) == (0, 1)
    *_, since = "\n".join(vs.types("--vibespace", apart)).split("vibespace.created")  # there were others of that name
    assert since.count("agent.worktree_observed") == 2


def test_commands_and_copies_begin_there(vs: Installation, apart: str, tmp_path: Path) -> None:
    """A relative path of `cp` is one in the agent's worktree, and belongs to it."""
    (tmp_path / "note").write_text("from here")
    vs.ok("cp", str(tmp_path / "note"), f"{SECOND}:")
    assert vs.inside(SECOND, "cat note; git status --porcelain") == "from here?? note"
    assert vs.inside(FIRST, "ls") == "file"
    vs.ok("cp", f"{SECOND}:file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "one"


def test_a_person_sees_branches(vs: Installation, apart: str) -> None:
    """`info` has a row an agent with what git says of it."""
    vs.inside(SECOND, "touch a b")
    shown = vs.ok("info", apart, "--plain")
    row = next(line.split("\t") for line in shown.splitlines() if line.startswith("codex-2\t"))
    assert row[-5:] == ["codex-2", "0", "0", "2", "0"]


def test_deletion(vs: Installation, apart: str) -> None:
    """Work that is nowhere else is named and stays; with --force files go, and commits stay on the branch."""
    vs.inside(SECOND, f"echo x > mine; git add mine; {COMMIT} Mine; echo y > more")
    for words in ((), ("--dry-run",)):
        code, reason, sentence = vs.refused("agent", "delete", SECOND, *words)
        assert (code, reason) == (16, "WORKTREE_HAS_WORK")
        assert "1 file not committed (more) and 1 commit on no other branch" in sentence
    vs.ok("agent", "delete", SECOND, "--force")
    vs.data("agent", "create", "--vibespace", apart, "--name", "helper")
    assert vs.inside(FIRST, "ls /vibespace/worktrees; git show codex-2:mine") == "codex-1\nhelper\nx"
    vs.ok("agent", "delete", "helper@apart", "--force")
    assert vs.types("--vibespace", apart).count("vibespace.worktree_left") == 2


@pytest.mark.clustered
def test_what_is_stopped_comes_back(vs: Installation, apart: str) -> None:
    """With what was in it; and what its agent has removed is made again."""
    vs.inside(FIRST, "echo mine > new")
    vs.ok("stop", apart)
    assert vs.refused("agent", "delete", SECOND)[1] == "WORKTREE_UNSEEN"
    vs.ok("start", apart)
    assert vs.inside(FIRST, "cat new; pwd") == "mine\n/vibespace/worktrees/codex-1"
    vs.inside(SECOND, "cd ..; rm -rf codex-2")
    vs.ok("agent", "stop", SECOND)
    vs.ok("agent", "start", SECOND)
    assert vs.inside(SECOND, "git status --short --branch; ls") == "## codex-2\nfile"


@pytest.mark.core
@pytest.mark.clustered
def test_root_inside(vs: Installation, project: Path) -> None:
    """git by sudo finds no dubious ownership; what root alone may remove stays, in nobody's way, and that is told."""
    vs.place.give(project)
    vs.allow_sudo()
    vs.ok("create", "rooted", "-t", "codex", "--repo", str(project), "--worktree", "--sudo")
    try:
        vs.ok("agent", "create", "--vibespace", "rooted")
        assert vs.inside("codex-2@rooted", "sudo git status --porcelain; sudo sh -c 'mkdir d; touch d/x'") == ""
        vs.ok("agent", "delete", "codex-2@rooted", "--force")
        vs.ok("agent", "create", "--vibespace", "rooted", "--name", "codex-2")
        assert vs.inside("codex-2@rooted", "git status --short --branch") == "## codex-2"
        (removed,) = vs.events("--vibespace", "rooted", "--type", "vibespace.worktree_removed")
        assert "Permission denied" in removed["data"]["reason"]
    finally:
        vs.ok("delete", "rooted", "--force")


def test_refusals(vs: Installation, project: Path) -> None:
    """Worktrees of nothing, and a branch that there is not."""
    code, reason, sentence = vs.refused("create", "half", "-t", "codex", "--worktree")
    assert (code, reason) == (2, "WORKTREE_WITHOUT_REPO")
    assert "--worktree" in sentence
    words = ["create", "half", "-t", "codex", "--worktree", "--repo", str(project), "--branch", "nowhere"]
    assert vs.refused(*words)[:2] == (2, "BRANCH_MISSING")


def test_fifty_thousand_files(vs: Installation, project: Path) -> None:
    """Each agent gets all of them, and `info` says what has changed among them."""
    for number in range(50_000):
        place = project / "many" / str(number // 500)
        place.mkdir(parents=True, exist_ok=True)
        (place / str(number)).write_text(f"{number}\n")
    git(project, "add", "--all")
    git(project, "commit", "-q", "-m", "Many")
    try:
        vs.ok("create", "many", "-t", "codex", "--repo", str(project), "--worktree")
        vs.ok("agent", "create", "--vibespace", "many")
        assert vs.inside("codex-2@many", "echo x >> many/7/3500; find many -type f | wc -l") == "50000"
        assert vs.agent("codex-2@many")["status"]["worktree"]["uncommitted"] == 1
    finally:
        vs.ok("delete", "many", "--force")
