"""Codex: how it is started, and what is written to it. One app-server a container, a JSON-RPC message a frame."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from vibespace.errors import InvalidArgument
from vibespace.harness.base import NOTHING, Answer, Command, Kept, OwnLogin, Settings, Update
from vibespace.harness.codex_approvals import PERMISSIONS
from vibespace.harness.codex_parser import (
    ASKS,
    ASKS_NOTHING,
    CLEAN,
    ITEMS,
    START,
    STEER,
    CodexParser,
)
from vibespace.harness.codex_threads import LATEST
from vibespace.harness.events import ApprovalAsked
from vibespace.harness.reading import encode
from vibespace.harness.rules import codex_rules

EFFORTS = ("low", "medium", "high", "xhigh")
LONGEST_MESSAGE = 1 << 20
"""Characters that the program takes as input of a turn."""
KEY = "OPENAI_API_KEY"
RULES = ".codex/rules/vibespace.rules"
SOCKET = ".vibespace/codex.sock"
"""Not in the place of its own, where a codex that is typed in a shell looks for a server, or begins one."""
_ADDRESS = f"unix:///home/agent/{SOCKET}"

_WITHOUT = ("-c", "features.unbounded_connection_retries=false", "-c", "features.shell_snapshot=false")
"""With the one it would wait for ever for a service that cannot be reached, and so would who asks; with the other its
environment, keys included, would be written into the home.
"""


class Codex:
    """One process for all conversations, whose ids are its own. Our id of a message is told again, but not heeded."""

    shares = True
    counted = frozenset({"max_turns"})

    def check(self, settings: Settings) -> None:
        if settings.effort and settings.effort not in EFFORTS:
            raise InvalidArgument(
                "EFFORT_UNSUPPORTED",
                f"Codex knows no effort {settings.effort[:60]!a}.",
                field="effort",
                hint=f"It takes {', '.join(EFFORTS)}.",
            )
        if settings.system_prompt and not settings.model:
            raise InvalidArgument(
                "PROMPT_NEEDS_MODEL",
                "Codex takes a system prompt together with a model only.",
                field="system_prompt",
                hint="Set the model as well; without one, a prompt that changes later would never be taken.",
            )
        codex_rules(settings.allowed_tools, settings.disallowed_tools)

    def headless(
        self, settings: Settings, conversation: str, *, resume: bool, env: Mapping[str, str] = NOTHING
    ) -> Command:
        """What it is logged in with by us it keeps in memory; a login of its own it looks for in its file."""
        store = ("-c", 'cli_auth_credentials_store="ephemeral"') if KEY in env else ()
        argv = ("codex", "app-server", *_WITHOUT, *_defaults(settings), *store, "--listen", _ADDRESS)
        return Command(argv, files=_rules(settings), socket=SOCKET)

    def terminal(
        self, settings: Settings, conversation: str, *, resume: bool, hook: str, directory: str, env: Mapping[str, str]
    ) -> Command:
        """Without a conversation it begins one, for there is none of an empty name."""
        resumed = ("resume", conversation) if conversation else ()
        return Command(("codex", "--remote", _ADDRESS, *resumed), files=_rules(settings))

    def record(self, conversation: str, directory: str) -> Kept | None:
        return None

    def named(self, line: bytes) -> Sequence[str]:
        return ()

    def parser(self) -> CodexParser:
        return CodexParser()

    def greet(self, request: str) -> tuple[bytes, ...]:
        client = {"name": "vibespace", "title": "Vibespace", "version": "1"}
        hello = _call("initialize", request, clientInfo=client, capabilities={"experimentalApi": True})
        return (hello, encode({"method": "initialized"}))

    def login(self, env: Mapping[str, str], request: str) -> tuple[bytes, ...]:
        """Its app-server does not look at the variable itself."""
        return (_call("account/login/start", request, type="apiKey", apiKey=env[KEY]),) if KEY in env else ()

    def own_login(self) -> OwnLogin:
        """By a code that is typed on the page: nothing has to reach a port inside. It first removes the login that is
        there, or a link in its place.
        """
        return OwnLogin(("codex", "login", "--device-auth"), ".codex", "auth.json", "CODEX_HOME")

    def open(self, settings: Settings, conversation: str, directory: str, request: str) -> tuple[bytes, ...]:
        where: dict[str, Any] = {"cwd": directory, "approvalPolicy": _policy(settings), "sandbox": "danger-full-access"}
        if settings.model:
            where["model"] = settings.model
        if settings.effort:
            where["config"] = {"model_reasoning_effort": settings.effort}
        if not conversation:
            if settings.system_prompt:
                where["developerInstructions"] = settings.system_prompt
            return (_call("thread/start", request, **where),)
        turns = {"excludeTurns": True, "initialTurnsPage": {"limit": LATEST, "itemsView": "notLoaded"}}
        resumed = _call("thread/resume", request, threadId=conversation, **turns, **where)
        return (resumed, *self._renew(conversation, settings, request).values())

    def has_lost(self, refusal: str) -> bool:
        """One that was begun, and neither named nor used, is nowhere but in the process."""
        return refusal.startswith("no rollout found")

    def is_busy(self, refusal: str) -> bool:
        """It makes its memory shorter, or reviews."""
        return "ActiveTurnNotSteerable" in refusal

    def name(self, conversation: str, name: str, request: str) -> tuple[bytes, ...]:
        return (_call("thread/name/set", request, threadId=conversation, name=name),)

    def say(
        self, conversation: str, text: str, message: str, request: str, *, turn: str = "", command: bool = False
    ) -> bytes:
        if command:
            raise InvalidArgument("COMMAND_UNSUPPORTED", "Codex takes its commands on a terminal only.", field="text")
        if len(text) > LONGEST_MESSAGE:
            raise InvalidArgument(
                "MESSAGE_TOO_LONG",
                f"Codex takes a message of at most {LONGEST_MESSAGE} characters.",
                field="text",
                hint="Put it into a file, and name that.",
            )
        said = {
            "threadId": conversation,
            "input": [{"type": "text", "text": text}],
            "clientUserMessageId": message,
        }
        if turn:
            return _call(STEER, f"{message} {request}", expectedTurnId=turn, **said)
        return _call(START, f"{message} {request}", **said)

    def look_up(self, conversation: str, message: str, request: str) -> tuple[bytes, ...]:
        return (_call(ITEMS, f"{message} {request}", threadId=conversation, limit=LATEST, sortDirection="desc"),)

    def interrupt(self, conversation: str, turn: str, request: str) -> tuple[bytes, ...]:
        """The turn ends by the first, and only by the second what it runs."""
        stop = _call("turn/interrupt", request, threadId=conversation, turnId=turn)
        return (stop, _call(CLEAN, request, threadId=conversation))

    def answer(self, asked: ApprovalAsked, answer: Answer) -> bytes:
        """The agent is not told a reason: there is no place for one."""
        longer = bool(answer.rules)
        if asked.tool == PERMISSIONS:
            granted = asked.input.get("permissions", {}) if answer.allow else {}
            result: dict[str, Any] = {"permissions": granted, "scope": "session" if longer else "turn"}
        elif answer.allow:
            result = {"decision": "acceptForSession" if longer else "accept"}
        else:
            result = {"decision": "decline"}
        return encode({"id": json.loads(asked.request), "result": result})

    def decline(self, request: str) -> bytes:
        return encode({"id": json.loads(request), "error": {"code": -32601, "message": "not supported"}})

    def update(self, conversation: str, old: Settings, new: Settings, request: str) -> Update:
        restart = [name for name in ("allowed_tools", "disallowed_tools") if getattr(old, name) != getattr(new, name)]
        restart += [name for name in ("model", "effort") if getattr(old, name) and not getattr(new, name)]
        live = ("model", "effort", "system_prompt", "skip_permissions")
        changed = [name for name in live if getattr(old, name) != getattr(new, name)]
        if "system_prompt" in changed and not new.model:
            restart.append("system_prompt")  # it is given together with a model only
        return Update(self._renew(conversation, new, request) if changed else {}, tuple(restart))

    def _renew(self, conversation: str, settings: Settings, request: str) -> dict[str, bytes]:
        """Instructions given when a conversation is resumed have no effect; these do, from its next turn on."""
        change: dict[str, Any] = {"approvalPolicy": _policy(settings), "sandboxPolicy": {"type": "dangerFullAccess"}}
        if settings.effort:
            change["effort"] = settings.effort
        if settings.model:
            change["model"] = settings.model
            instructions = {
                "model": settings.model,
                "reasoning_effort": settings.effort or None,
                "developer_instructions": settings.system_prompt or None,
            }
            change["collaborationMode"] = {"mode": "default", "settings": instructions}
        return {request: _call("thread/settings/update", request, threadId=conversation, **change)}


def _rules(settings: Settings) -> dict[str, str]:
    """Each process reads them when it starts, whichever door it is."""
    return {RULES: codex_rules(settings.allowed_tools, settings.disallowed_tools)}


def _defaults(settings: Settings) -> tuple[str, ...]:
    """Of what a person begins on a terminal, which works by them until it is told ours.

    Whether it asks is not among them: its configuration does not take that it does, and that it does not may be taken
    back while it lives.
    """
    values = {"model": settings.model, "model_reasoning_effort": settings.effort}
    told = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items() if value]
    return tuple(word for each in told for word in ("-c", each))


def _policy(settings: Settings) -> str:
    return ASKS_NOTHING if settings.skip_permissions else ASKS


def _call(method: str, request: str, **params: Any) -> bytes:
    """The id says the method and the conversation, so that a reply can be read by itself."""
    where = f"{params['threadId']} " if "threadId" in params else ""
    return encode({"id": f"{method} {where}{request}", "method": method, "params": params})
