"""The programs' own logins, with the real programs: made on a terminal, and shared by the agents that are to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.agents import KEY, scripted
from tests.e2e.installation import Installation
from tests.e2e.person import person
from tests.models.openai import OpenAI
from tests.models.script import say

pytestmark = pytest.mark.containers

CLAUDE = """{"claudeAiOauth": {"accessToken": "sk-ant-oat01-shared", "refreshToken": "sk-ant-ort01-shared",
"expiresAt": 4102444800000, "scopes": ["user:inference", "user:profile"], "subscriptionType": "pro"}}"""

ISSUER = """
import base64, http.server, json

def token(**said):
    parts = [{"alg": "none"}, {"exp": 4102444800, "https://api.openai.com/auth": {"chatgpt_account_id": "one"}}]
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts), "x"])

ANSWERS = {
    "/api/accounts/deviceauth/usercode": {"device_auth_id": "one", "user_code": "MILL-FLOUR", "interval": "1"},
    "/api/accounts/deviceauth/token": {"authorization_code": "c", "code_challenge": "c", "code_verifier": "v"},
    "/oauth/token": {"id_token": token(), "access_token": token(), "refresh_token": "r"},
}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = json.dumps(ANSWERS[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Handler)
print("ready")
server.serve_forever()
"""
"""As much of OpenAI's login as grants everything at once, inside."""

CODEX = """
model = "gpt-5.5-codex"
model_provider = "scripted"
[model_providers.scripted]
name = "scripted"
base_url = "%s/v1"
requires_openai_auth = true
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
"""


def status(own: Installation, agent: str) -> bool:
    """Whether its program says that it is logged in."""
    if agent.startswith("claude"):
        said = own.run("exec", agent, "--", "claude", "auth", "status").stdout
        return bool(json.loads(said)["loggedIn"])
    done = own.run("exec", agent, "--", "codex", "login", "status")
    assert (done.returncode != 0) is ("Not logged in" in done.stdout + done.stderr), done
    return done.returncode == 0


def logins(own: Installation) -> list[tuple[str, list[str]]]:
    """Those that are listed: where each lies, and who has it."""
    found = own.data("credential", "list")["credentials"]
    return [(each["name"], each["used_by"]) for each in found if each["settings"]["type"] == "login"]


@contextmanager
def issuing(own: Installation, agent: str) -> Iterator[None]:
    """The agent's Codex is logged in by a server beside it."""
    program = '#!/bin/sh\nexec /opt/codex/bin/codex "$@" --experimental_issuer http://127.0.0.1:8000\n'
    own.inside(agent, "mkdir -p ~/.local/bin; cat >~/.local/bin/codex; chmod +x ~/.local/bin/codex", input=program)
    with own.popen("exec", agent, "--", "python3", "-u", "-c", ISSUER) as server:
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == "ready\n"
            yield
        finally:
            server.terminate()


@pytest.mark.core
@pytest.mark.clustered
def test_a_login_is_shared(own: Installation) -> None:
    """Made once, by the program itself, it is that of all who were created to share it, later ones too; whoever was not
    is not logged in, and cannot read it. It stays over a stop and with the data, and goes with them.
    """
    own.ok("create", "shop", "-t", "codex", "-s")
    own.ok("agent", "create", "--vibespace", "shop", "-n", "codex-apart")
    own.ok("agent", "create", "--vibespace", "shop", "-t", "claude-code", "--share-credentials")
    assert own.agent("codex-1@shop")["settings"]["share_credentials"] is True
    own.ok("exec", "codex-1@shop", "--", "codex", "login", "--with-api-key", input="sk-shared\n")
    assert own.inside("codex-1@shop", "stat -c '%F %a' ~/.codex/auth.json /vibespace-logins/codex/auth.json") == (
        "symbolic link 777\nregular file 600"
    )
    own.ok("agent", "create", "--vibespace", "shop", "-t", "codex", "-s")
    agents = ("codex-1@shop", "codex-2@shop", "codex-apart@shop", "claude-1@shop")
    assert [status(own, agent) for agent in agents] == [True, True, False, False]
    assert "No such file" in own.run("exec", "codex-apart@shop", "--", "ls", "/vibespace-logins").stderr
    own.ok("agent", "create", "--vibespace", "shop", "-t", "claude-code", "-s")
    own.inside("claude-1@shop", 'umask 077; cat >"$CLAUDE_SECURESTORAGE_CONFIG_DIR/.credentials.json"', input=CLAUDE)
    own.ok("stop", "shop")
    own.ok("start", "shop")
    assert [status(own, agent) for agent in ("claude-2@shop", "codex-2@shop")] == [True, True]
    assert logins(own) == [
        ("vibespaces/shop/logins/claude-code", ["claude-1@shop", "claude-2@shop"]),
        ("vibespaces/shop/logins/codex", ["codex-1@shop", "codex-2@shop"]),
    ]
    own.run("exec", "claude-2@shop", "--", "claude", "auth", "logout")
    assert not status(own, "claude-1@shop")
    own.ok("exec", "codex-2@shop", "--", "codex", "logout")
    assert status(own, "codex-2@shop")
    own.ok("delete", "shop", "--force", "--keep-data")
    own.ok("create", "shop", "-t", "codex", "-s", "--reuse-data", "-n", "again")
    assert status(own, "again@shop")
    own.ok("delete", "shop", "--force")
    assert own.objects("shop") == {"containers": [], "networks": [], "volumes": []}


def test_codex_is_logged_in_on_the_terminal(own: Installation) -> None:
    """By its device code: an address and a code are shown, and once that was typed there the login is where it is
    shared, though the program has put a file of its own into the link's place.
    """
    own.ok("create", "shop", "-t", "codex", "-s")
    own.ok("agent", "create", "--vibespace", "shop", "-s")
    with issuing(own, "codex-1@shop"), person(own, "credential", "login", "codex-1@shop") as there:
        there.sees(r"http://127\.0\.0\.1:8000/codex/device")
        there.sees("MILL-FLOUR")
        there.sees("Successfully logged in")
        assert there.wait() == 0
        assert there.restored
    assert status(own, "codex-2@shop")
    assert logins(own) == [("vibespaces/shop/logins/codex", ["codex-1@shop", "codex-2@shop"])]


def test_claude_is_logged_in_on_the_terminal(own: Installation) -> None:
    """It shows its address, and asks for the code that is shown there."""
    own.ok("create", "shop", "-t", "claude-code")
    with person(own, "login", "claude-1@shop") as there:
        there.sees(r"https://claude\.(ai|com)/[^\s]*oauth/authorize\?")
        there.sees("Paste code here")
        there.type("\x03")
        assert there.wait() != 0
        assert there.restored
    own.inside("claude-1@shop", "umask 077; mkdir -p ~/.claude; cat >~/.claude/.credentials.json", input=CLAUDE)
    assert status(own, "claude-1@shop")
    assert logins(own) == [("vibespaces/shop/agents/claude-1/logins/claude-code", ["claude-1@shop"])]
    own.ok("stop", "shop")
    assert own.data("credential", "list")["unseen"] == ["claude-1@shop"]


@pytest.mark.here("the scripted model listens where the engine is, and config.yaml opens the way to it")
def test_a_lost_login_is_mended(own: Installation) -> None:
    """What is asked without one fails, and says by which command it is made; asked again after that, it is answered."""
    with scripted(own, OpenAI({KEY: [say("There.")]})) as url:
        own.ok("create", "shop", "-t", "codex")
        own.inside("codex-1@shop", "mkdir -p ~/.codex; cat >~/.codex/config.toml", input=CODEX % url)
        done = own.run("ask", "-a", "codex-1@shop", "hello")
        assert done.returncode == 15
        assert "Log it in with 'vibespace credential login codex-1@shop'" in done.stderr
        own.ok("exec", "codex-1@shop", "--", "codex", "login", "--with-api-key", input=f"{KEY}\n")
        assert own.ok("ask", "-a", "codex-1@shop", "hello") == "There.\n"


def test_claude_says_that_it_is_not_logged_in(own: Installation) -> None:
    """Before it asks its model anything."""
    own.ok("create", "shop", "-t", "claude-code", "--env", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1")
    done = own.run("ask", "-a", "claude-1@shop", "hello")
    assert done.returncode == 15
    assert "Log it in with 'vibespace credential login claude-1@shop'" in done.stderr
