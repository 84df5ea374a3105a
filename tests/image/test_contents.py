"""What the image has for an agent, tried inside. Nothing here needs a network: packages are made on the spot."""

from __future__ import annotations

import re

import pytest

from tests.image.computer import Computer
from vibespace.image.claude import COMMANDS
from vibespace.setup.programs import pins

pytestmark = pytest.mark.containers

TOOLS = (
    "git ssh sftp tmux python3 pip rg gcc g++ make curl less ps pgrep uv uvx node npm npx tar xz unzip rsync jq ss ping"
)

WHEEL = """
import zipfile
info = "hello_from_home-1.0.dist-info"
with zipfile.ZipFile("hello_from_home-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("hello_from_home.py", "def main(): print('hello')")
    wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: hello-from-home\\nVersion: 1.0\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\\nhello-from-home = hello_from_home:main\\n")
    wheel.writestr(f"{info}/RECORD", "")
"""


@pytest.mark.parametrize(("program", "says"), [("claude", "{} (Claude Code)"), ("codex", "codex-cli {}")])
async def test_agent_programs(computer: Computer, program: str, says: str) -> None:
    """Each agent program says the pinned version, without node being reachable."""
    version = next(pin.version for pin in pins("amd64") if pin.name == program)
    assert await computer.run(f"PATH=/nowhere /usr/local/bin/{program} --version") == says.format(version)


async def test_words_of_claude(computer: Computer) -> None:
    """What the `claude` that is first in PATH takes for commands, letters and options is what the program does."""
    options, _, commands = (await computer.run("claude --help")).partition("\nCommands:\n")
    found = {name for names in re.findall(r"^  (\S+)", commands, re.MULTILINE) for name in names.split("|")}
    assert found <= set(COMMANDS.split())
    letters = dict(re.findall(r"^  -(\w), --\S+( [<\[])?", options, re.MULTILINE))
    assert {letter for letter, value in letters.items() if not value} == set("chpv")
    for option in ("-c, --continue ", "-r, --resume [", "--fork-session ", "--session-id <", "--from-pr ["):
        assert f"  {option}" in options


async def test_codex_serves(computer: Computer) -> None:
    """codex is whole enough to answer as an app-server."""
    request = '{"id":1,"method":"initialize","params":{"clientInfo":{"name":"test","version":"1"}}}'
    async with computer.connect() as connection, connection.create_process("codex app-server 2>/dev/null") as process:
        process.stdin.write(request + "\n")
        assert '"id":1' in await process.stdout.readline()


async def test_tools(computer: Computer) -> None:
    """The tools of a working day are there."""
    missing = await computer.run(f'for tool in {TOOLS}; do command -v "$tool" >/dev/null || echo "$tool"; done')
    assert missing == ""


async def test_whole_python(computer: Computer) -> None:
    """Python is whole: its library, environments, and headers to build against."""
    assert await computer.run('python3 -c "import json, asyncio, ssl, sqlite3, venv, ensurepip; print(1)"') == "1"
    assert await computer.run("ls $(python3 -c 'import sysconfig; print(sysconfig.get_path(\"include\"))')/Python.h")
    assert await computer.run("python3 -m venv /tmp/venv && /tmp/venv/bin/pip --version | cut -d' ' -f1") == "pip"


async def test_pip(computer: Computer) -> None:
    """What pip installs lands in the home, and its script is on PATH."""
    await _make_wheel(computer, "/tmp/pip")
    await computer.run("cd /tmp/pip && pip install --quiet --no-index ./*.whl")
    assert await computer.run("command -v hello-from-home; hello-from-home") == (
        "/home/agent/.local/bin/hello-from-home\nhello"
    )
    await computer.run("pip uninstall --quiet --yes hello-from-home")


async def test_uv(computer: Computer) -> None:
    """What uv installs as a tool lands in the home, and is on PATH."""
    await _make_wheel(computer, "/tmp/uv")
    await computer.run("cd /tmp/uv && uv tool install --quiet --offline --python /usr/bin/python3 ./*.whl")
    assert await computer.run("command -v hello-from-home; hello-from-home") == (
        "/home/agent/.local/bin/hello-from-home\nhello"
    )
    await computer.run("uv tool uninstall --quiet hello-from-home")


async def test_npm(computer: Computer) -> None:
    """What npm installs globally lands in the home, and is on PATH."""
    manifest = '{"name":"hello-npm","version":"1.0.0","bin":{"hello-npm":"hello.js"}}'
    await computer.run(
        f"mkdir /tmp/npm && cd /tmp/npm && echo '{manifest}' > package.json &&"
        "printf '#!/usr/bin/env node\\nconsole.log(\"hello\")\\n' > hello.js && chmod 755 hello.js &&"
        "npm install --silent --offline --global $(npm pack --silent)"
    )
    assert await computer.run("command -v hello-npm; hello-npm") == "/home/agent/.local/bin/hello-npm\nhello"
    await computer.run("npm uninstall --silent --global hello-npm")


async def test_git(computer: Computer) -> None:
    """git starts on `main`, and does not distrust a folder because of who it belongs to."""
    assert await computer.run("git init --quiet /tmp/git && git -C /tmp/git symbolic-ref --short HEAD") == "main"
    assert await computer.run("git config --system safe.directory") == "*"


async def test_builders_secrets(computer: Computer) -> None:
    """Of the machine that built it the image has nothing: the authorities are Debian's, each one of them."""
    count = "cat {} | grep -c 'BEGIN CERTIFICATE'"
    debian = await computer.run(count.format("/usr/share/ca-certificates/mozilla/*.crt"))
    assert await computer.run(count.format("/etc/ssl/certs/ca-certificates.crt")) == debian
    assert (
        await computer.run("find / -xdev -name 'ca.crt' 2>/dev/null; find /usr/local/share/ca-certificates -type f")
        == ""
    )


async def test_nobodys_host_keys(computer: Computer) -> None:
    """Debian's installation makes host keys; they would be the same for every agent, and are gone."""
    assert await computer.run("find /etc/ssh -name 'ssh_host_*'") == ""


async def _make_wheel(computer: Computer, folder: str) -> None:
    async with computer.connect() as connection:
        await connection.run(f"mkdir {folder} && cd {folder} && python3 -", input=WHEEL, check=True)
