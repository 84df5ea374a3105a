"""`init`, what works before it and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.installation import Installation, on_terminal

pytestmark = pytest.mark.containers


@pytest.mark.here("before init there is nothing to be far from")
def test_before_init(bare: Installation) -> None:
    """Before `init`, what needs an engine says so with exit code 16; what asks and explains works."""
    for words in (
        ["create", "demo", "-t", "claude-code"],
        ["list"],
        ["info", "demo"],
        ["agent", "list"],
        ["start", "demo"],
        ["delete", "demo", "--force"],
    ):
        code, reason, sentence = bare.refused(*words)
        assert (code, reason) == (16, "NOT_INITIALIZED"), words
        assert "vibespace init" in sentence
    assert bare.run("exec", "claude-1@demo", "--", "true").returncode == 16
    assert bare.data("status")["host"]["initialized"] is False
    assert bare.data("version")["client"]["version"]
    unwell = bare.run("doctor")
    assert unwell.returncode == 15
    assert "vibespace init" in unwell.stdout
    assert bare.ok("config", "path", "--plain").strip() == str(bare.home / "config.yaml")
    assert "engine" in bare.ok("config", "file")
    assert "_VIBESPACE_COMPLETE" in bare.ok("completion", "bash")


@pytest.mark.here("init makes ready the machine it is typed on")
def test_twice(own: Installation, engine: str) -> None:
    """A second `init` finds all there: the same image, and not one event more."""
    before = own.data("status")
    again = own.data("init")
    after = own.data("status")
    assert again["host"]["image"] == before["host"]["image"] == after["host"]["image"]
    assert after["cursor"] == before["cursor"]
    assert after["host"]["engine"]["address"] == engine


@pytest.mark.core
@pytest.mark.clustered
def test_the_engine_is_named(vs: Installation, engine_kind: str) -> None:
    """`status` tells which engine, version, where, whether a user's, and what it cannot enforce, as `doctor` does."""
    told = vs.data("status")["host"]["engine"]
    brand, _, rootless = engine_kind.partition("-")
    assert (told["brand"], told["address"], told["rootless"]) == (brand, vs.address, bool(rootless))
    assert told["version"]
    shown = on_terminal(vs, "status").stdout
    for word in (brand, told["version"], vs.address, "rootless"):
        assert word in shown
    limits = told["unenforced_limits"]
    findings = [found for found in vs.data("doctor")["findings"] if found["subject"] == "engine"]
    warned = [found["message"] for found in findings if found["severity"] == "warning"]
    assert [", ".join(limits) in message for message in warned] == [True] * bool(limits)


@pytest.mark.here("it is about files of the state directory")
def test_closed_to_others(own: Installation) -> None:
    """The state directory is its owner's alone, and so is every file with a key in it."""
    assert own.home.stat().st_mode & 0o777 == 0o700
    assert own.data("create", "keys", "-t", "codex")["vibespace"]["status"]["state"] == "running"
    files = list((own.home / "keys").iterdir())
    assert len(files) >= 2
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


@pytest.mark.here("before init there is nothing to be far from")
def test_unreadable_settings(bare: Installation) -> None:
    """A settings file that says nonsense is refused by name, before anything is made."""
    (bare.home / "config.yaml").write_text("engine: {sokcet: /x}\n")
    code, reason, sentence = bare.refused("init")
    assert (code, reason) == (2, "CONFIG_INVALID")
    assert "engine.sokcet" in sentence
    assert sorted(path.name for path in bare.home.iterdir()) == ["config.yaml"]


@pytest.mark.here("before init there is nothing to be far from")
def test_no_engine(bare: Installation, tmp_path: Path) -> None:
    """Without any engine `init` ends with exit code 16 and says what to install; doctor agrees."""
    (bare.home / "config.yaml").write_text("")
    for name in ("python3", "git"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    code, reason, sentence = bare.refused("init", "-q", "--json", env={"PATH": str(tmp_path)})
    assert (code, reason) == (16, "ENGINE_MISSING")
    assert "apt-get install" in sentence


@pytest.mark.here("before init there is nothing to be far from")
def test_engine_that_does_not_answer(bare: Installation) -> None:
    """An engine that was asked for and does not answer ends `init` with exit code 15 and its address."""
    (bare.home / "config.yaml").write_text("engine: {socket: /nowhere/podman.sock}\n")
    code, reason, sentence = bare.refused("init", "-q", "--json")
    assert (code, reason) == (15, "ENGINE_UNREACHABLE")
    assert "/nowhere/podman.sock" in sentence


@pytest.mark.here("before init there is nothing to be far from")
def test_help_everywhere(bare: Installation) -> None:
    """Every command explains itself without a daemon, an engine or a state directory."""
    assert "create" in bare.ok("--help")
    for words in ("create", "agent create", "exec", "events", "replay", "init", "doctor", "image build"):
        assert "Usage" in bare.ok(*words.split(), "--help")
    assert not (bare.home / "daemon.lock").exists()


def test_modules_of_the_same_names(vs: Installation, tmp_path: Path) -> None:
    """The program is the installed one: a directory with other modules of its names does not mislead it."""
    for name in ("vibespace", "click", "grpc"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('misled')\n")
    assert vs.data("list", cwd=tmp_path) is not None
