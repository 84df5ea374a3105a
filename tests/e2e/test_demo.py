"""The demo from its first line to its last, on models that say what is written down."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.agents import MACHINE, bash
from tests.e2e.clustered import OnCluster
from tests.e2e.installation import Installation
from tests.image.engine import base
from tests.models.anthropic import Anthropic
from tests.models.openai import OpenAI
from tests.models.script import Call, say

pytestmark = [pytest.mark.containers, pytest.mark.here("the demo's models, and its state directory, are beside it")]

ROOT = Path(__file__).parents[2]
KEYS = {"ANTHROPIC_API_KEY": "sk-ant-api03-of-a-person", "OPENAI_API_KEY": "sk-of-a-person"}


@pytest.fixture
def checkout(bare: Installation, tmp_path: Path) -> Path:
    """What a person has cloned."""
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "checkout"], check=True)
    bare.place.give(tmp_path / "checkout")
    return tmp_path / "checkout"


def demo(bare: Installation, checkout: Path, **environ: str) -> str:
    """What it prints. Nothing of it is left in the engine."""
    command = bare.place.command(str(checkout / "tools/demo"), base(), cwd=checkout)
    environment = bare.environment(VIBESPACE_DEMO_HOME=str(bare.home), **environ)
    try:
        done = subprocess.run(command, env=environment, cwd=checkout, capture_output=True, text=True)
    finally:
        bare.run("uninstall", "--force")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.core
@pytest.mark.clustered
def test_without_keys(bare: Installation, checkout: Path) -> None:
    """On every engine two programs each commit what they were asked for, once allowed to, and know it after a stop and
    a start.
    """
    if isinstance(bare, OnCluster):
        bare.init()  # which one is to be used, nobody but its owner says
    told = demo(bare, checkout)
    for said in ("Add notes", "Add a poem", "You asked me for NOTES.md.", "You asked me for POEM.md."):
        assert said in told


def test_with_keys(bare: Installation, checkout: Path) -> None:
    """The same with somebody's own keys and services, which need not do as ours: no model of ours is there."""
    shutil.rmtree(checkout / "tests/models")
    commit = "git add . && git commit --quiet --message 'As I like'"
    claude = Anthropic(
        {
            KEYS["ANTHROPIC_API_KEY"]: [
                say(bash("echo Notes >NOTES.md")),
                say("It is written.", bash(commit)),
                say("It is committed."),
                say("NOTES.md it was."),
            ]
        }
    )
    codex = OpenAI(
        {
            KEYS["OPENAI_API_KEY"]: [
                say(Call("exec_command", {"cmd": "echo Poem >POEM.md"})),
                say(Call("exec_command", {"cmd": commit})),
                say("Done."),
                say("POEM.md it was."),
            ]
        }
    )
    with claude.in_thread("0.0.0.0") as one, codex.in_thread("0.0.0.0") as other:
        ports = [url.rpartition(":")[2] for url in (one, other)]
        settings = json.loads((bare.home / "config.yaml").read_text())
        opened = {"network": {"allow": [f"0.0.0.0/0:{port}" for port in ports]}}
        (bare.home / "config.yaml").write_text(json.dumps(settings | opened))
        addresses = {
            "ANTHROPIC_BASE_URL": f"http://{MACHINE}:{ports[0]}",
            "OPENAI_BASE_URL": f"http://{MACHINE}:{ports[1]}/v1",
        }
        told = demo(bare, checkout, **KEYS, **addresses)
    assert sum(line.endswith(" As I like") for line in told.splitlines()) == 2
    assert [key for key in KEYS.values() if key in told] == []
    assert claude.surprises == codex.surprises == []
    for model, key, name in ((claude, "ANTHROPIC_API_KEY", "NOTES.md"), (codex, "OPENAI_API_KEY", "POEM.md")):
        assert f"into {name}" in "".join(model.asked(KEYS[key])[-1].texts("user"))
