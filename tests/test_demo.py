"""Whom the demo's agents speak with, by the commands that it would run; tests/e2e/test_demo.py walks it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

VIBESPACE = """#!/bin/sh
input=
case "$*" in
  "credential set"*|*config.toml*) input="<- $(tr '\\n' ' ')" ;;
  "create"*) input="at ${ANTHROPIC_BASE_URL:-the service}" ;;
esac
echo "$* $input" >>"$TOLD"
case "$*" in
  "-q approval list") [ -e "$WAY.open" ] || echo 0123456789 ;;
  "ask -a claude-1@demo"*) read allowed <"$WAY" ;;
  "approval allow"*) : >"$WAY.open"; echo allowed >"$WAY" ;;
  "ask -a codex-1@demo"*) exit 7 ;;
  *"git log"*) echo "a commit" ;;
esac
"""
"""In place of the program: it notes what it is told. Claude Code works until it is allowed, and Codex fails."""

PYTHON = """#!/bin/sh
echo "$*" >>"$TOLD"
echo 1001 1002
exec cat
"""
"""In place of the models."""

CLAUDE, CODEX = "sk-of-claude", "sk-of-codex"
NOTHING = "demo-key-that-opens-nothing"
MODELS = "-m tests.models"
CREATE = "create demo -t claude-code --repo . --worktree"
ELSEWHERE = " --env ANTHROPIC_BASE_URL --env CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1"


def told(tmp_path: Path, **environ: str) -> list[str]:
    """What the demo would do with that in its environment, a line each."""
    for name, text in (("vibespace", VIBESPACE), ("python", PYTHON)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    os.mkfifo(tmp_path / "way")
    files = {"TOLD": str(tmp_path / "told"), "WAY": str(tmp_path / "way"), "HOME": str(tmp_path)}
    command = [str(ROOT / "tools/demo"), "base.tar"]
    done = subprocess.run(
        command, env={"PATH": f"{tmp_path}:/usr/bin:/bin", **files, **environ}, capture_output=True, text=True
    )
    assert done.returncode == 7, done.stdout + done.stderr
    assert [key for key in (CLAUDE, CODEX) if key in done.stdout + done.stderr] == []
    return [line.rstrip() for line in (tmp_path / "told").read_text().splitlines()]


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"])
def test_with_keys(tmp_path: Path, variable: str) -> None:
    """They go in as credentials, from the input, and there is neither a model of ours nor another address."""
    lines = told(tmp_path, **{variable: CLAUDE, "OPENAI_API_KEY": CODEX})
    assert MODELS not in lines
    assert f"{CREATE} at the service" in lines
    assert f"credential set anthropic --vibespace demo <- {CLAUDE}" in lines
    assert f"credential set openai --vibespace demo <- {CODEX}" in lines
    assert not [line for line in lines if "config.toml" in line]


def test_without_keys(tmp_path: Path) -> None:
    """Both agents speak with models of ours, which are found on the agent's own loopback."""
    lines = told(tmp_path)
    assert MODELS in lines
    assert f"{CREATE}{ELSEWHERE} at http://127.0.0.1:1001" in lines
    assert f"credential set anthropic --vibespace demo <- {NOTHING}" in lines
    assert f"credential set openai --vibespace demo <- {NOTHING}" in lines
    [settings] = [line for line in lines if "config.toml" in line]
    assert 'base_url = "http://127.0.0.1:1002/v1"' in settings


def test_with_one_key(tmp_path: Path) -> None:
    """Whose key is there speaks with its service; the other one's model is ours."""
    lines = told(tmp_path, ANTHROPIC_API_KEY=CLAUDE)
    assert MODELS in lines
    assert f"{CREATE} at the service" in lines
    assert f"credential set anthropic --vibespace demo <- {CLAUDE}" in lines
    assert f"credential set openai --vibespace demo <- {NOTHING}" in lines
    assert any("127.0.0.1:1002" in line for line in lines)


def test_with_addresses(tmp_path: Path) -> None:
    """Services elsewhere are named beside their keys: Claude Code's by its environment, Codex's by its settings."""
    keys = {"ANTHROPIC_API_KEY": CLAUDE, "OPENAI_API_KEY": CODEX}
    addresses = {"ANTHROPIC_BASE_URL": "http://one", "OPENAI_BASE_URL": "http://two/v1"}
    lines = told(tmp_path, **keys, **addresses)
    assert MODELS not in lines
    assert f"{CREATE}{ELSEWHERE} at http://one" in lines
    [settings] = [line for line in lines if "config.toml" in line]
    assert 'base_url = "http://two/v1"' in settings
