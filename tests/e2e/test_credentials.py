"""Credentials in real containers: a private repository is cloned and pushed to, and no secret is seen anywhere."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from tests.e2e.installation import Installation

pytestmark = pytest.mark.containers

PASSWORD, KEY, TOKEN = "ghp_planted-0123456789", "sk-ant-api03-planted-9876543210", "planted-npm-token-55555"
HOST = "http://127.0.0.1:8000"
AGENT = "codex-1@private"

SERVER = """
import hashlib, http.server, os, subprocess, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = self.headers.get("Authorization", "")
        if hashlib.sha256(said.encode()).hexdigest() != sys.argv[1]:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="private"')
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        cgi = dict(GIT_PROJECT_ROOT="/tmp", GIT_HTTP_EXPORT_ALL="1", PATH_INFO=path, QUERY_STRING=query,
                   REQUEST_METHOD=self.command, CONTENT_TYPE=self.headers.get("Content-Type", ""),
                   HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""), REMOTE_USER="me")
        done = subprocess.run(["git", "http-backend"], env=os.environ | cgi, input=body, stdout=subprocess.PIPE)
        head, _, body = done.stdout.partition(b"\\r\\n\\r\\n")
        lines = dict(line.split(": ", 1) for line in head.decode().split("\\r\\n"))
        self.send_response(int(lines.pop("Status", "200").split()[0]))
        for name, value in lines.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET

server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Handler)
print("ready")
server.serve_forever()
"""
"""Git's own http-backend, for whoever says what has this hash. Inside: no address of this machine is open to agents."""


@contextmanager
def serving(own: Installation) -> Iterator[None]:
    """A private repository with a commit is served beside the agent."""
    own.inside(
        AGENT,
        "git init -q --bare -b main /tmp/private.git && git init -q /tmp/first && cd /tmp/first "
        "&& git -c user.name=A -c user.email=a@example.org commit -q --allow-empty -m one "
        "&& git push -q /tmp/private.git HEAD:main",
    )
    hashed = sha256(b"Basic " + b64encode(f"me:{PASSWORD}".encode())).hexdigest()
    with own.popen("exec", AGENT, "--", "python3", "-u", "-c", SERVER, hashed) as server:
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == "ready\n"
            yield
        finally:
            server.terminate()


@pytest.mark.core
@pytest.mark.clustered
def test_a_private_repository(own: Installation) -> None:
    """Without a login the reason names the command that gives one; with it `start` clones, and git inside pushes with
    the author that was named, until it is deleted. Another vibespace's agents have none of it.
    """
    assert own.refused("create", "private", "-t", "codex", "--repo", f"{HOST}/private.git")[1] == "REPOSITORY_FAILED"
    with serving(own):
        sentence = own.refused("start", "private")[2]
        assert "'vibespace credential set git --host HOST'" in sentence
        named = ("--username", "me", "--author-name", "Me", "--author-email", "me@example.org")
        where = ("--host", HOST, "--vibespace", "private")
        own.ok("credential", "set", "git", *where, *named, input=f"{PASSWORD}\n")
        assert own.data("start", "private")["vibespace"]["status"]["repository"]["state"] == "ready"
        own.inside(AGENT, "echo x >file && git add file && git commit -qm two && git push -q")
        assert own.inside(AGENT, "git -C /tmp/private.git log -1 --format='%s %an %ae' main") == "two Me me@example.org"
        assert own.inside(AGENT, "stat -c '%a %U' /dev/shm/vibespace-git/*").splitlines() == ["600 agent"] * 2
        assert own.inside(AGENT, "git config --get remote.origin.url") == f"{HOST}/private.git"
        own.ok("create", "other", "-t", "claude-code")
        assert own.inside("claude-1@other", "ls -A /dev/shm") == ""
        assert own.data("credential", "list")["credentials"][0]["used_by"] == [AGENT]
        own.ok("credential", "delete", "git", *where, "--force")
        own.inside(AGENT, "while test -e /dev/shm/vibespace-git; do sleep 0.1; done")
        assert own.run("exec", AGENT, "--", "git", "ls-remote", "origin").returncode != 0
    own.ok("delete", "private", "--force")
    own.ok("delete", "other", "--force")


@pytest.mark.clustered
def test_a_planted_secret_is_nowhere(own: Installation) -> None:
    """Not in the state directory, the history, debug.log, an argument, the engine's own account or a container's
    environment, though git inside has been told it.
    """
    own.restart(VIBESPACE_DEBUG="1")
    own.ok("create", "private", "-t", "claude-code")
    agent = "claude-1@private"
    for words, value in (
        (("anthropic",), KEY),
        (("git", "--host", "example.org", "--vibespace", "private"), PASSWORD),
        (("environment", "--variable", "NPM_TOKEN", "--agent", agent), TOKEN),
    ):
        said = own.ok("credential", "set", *words, input=f"{value}\n")
        assert value not in said
    own.inside(agent, "while ! test -e /dev/shm/vibespace-git/config; do sleep 0.1; done")
    assert PASSWORD in own.inside(agent, "printf 'protocol=https\\nhost=example.org\\n\\n' | git credential fill")
    told = [own.ok("events"), own.ok("credential", "list"), own.ok("info", "private"), own.inside(agent, "env")]
    told += [own.container(name) for name in own.objects()["containers"]]
    told += [path.read_bytes().decode(errors="replace") for path in own.home.rglob("*") if path.is_file()]
    told += [_arguments(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert (own.home / "debug.log").stat().st_size > 0
    for secret in (KEY, PASSWORD, TOKEN):
        inside = b64encode(f"me:{secret}".encode()).decode()[4:-4]
        assert [text[:200] for text in told if secret in text or inside in text] == []
    own.ok("delete", "private", "--force")


def _arguments(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return ""
