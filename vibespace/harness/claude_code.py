"""Claude Code: how it is started, and what is written to it. Stream-json on standard input, or hooks on a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vibespace.errors import InvalidArgument
from vibespace.harness.base import NOTHING, Answer, Command, Kept, OwnLogin, Settings, Update
from vibespace.harness.claude_parser import ClaudeParser
from vibespace.harness.events import ApprovalAsked
from vibespace.harness.reading import encode
from vibespace.harness.rules import parse_rule

EFFORTS = ("low", "medium", "high", "xhigh", "max")
LONGEST = 100_000
"""Bytes of a setting that is an argument, of which Linux takes 128 KiB with what else is in it."""
PATIENCE = 24 * 3600
"""Seconds in which a question on the terminal may be answered elsewhere: the program gives a hook few minutes."""

_ELSEWHERE = "Put the rest into a CLAUDE.md in the repository."

_HOOKS = ("SessionStart", "UserPromptSubmit", "PermissionRequest", "PostToolUse", "Stop", "StopFailure", "SessionEnd")
_STREAMS = ("--input-format", "stream-json", "--output-format", "stream-json", "--verbose")
_UUID = re.compile(rb'"(?:source_)?uuid": ?"([0-9A-Za-z-]+)"')
_SAID = '"type":"user"'
"""In the transcript, which has no spaces there. Of no message, it neither resumes the conversation nor begins it."""
_DECIDING = ("--permission-prompt-tool", "stdio")


class ClaudeCode:
    """One process a conversation, whose id is ours. A message's id is kept, and a repeat of it ignored."""

    shares = False
    counted: frozenset[str] = frozenset()

    def check(self, settings: Settings) -> None:
        if settings.effort and settings.effort not in EFFORTS:
            raise InvalidArgument(
                "EFFORT_UNSUPPORTED",
                f"Claude Code knows no effort {settings.effort[:60]!a}.",
                field="effort",
                hint=f"It takes {', '.join(EFFORTS)}.",
            )
        if "\0" in settings.system_prompt:
            raise InvalidArgument(
                "ARGUMENT_INVALID",
                "Claude Code takes no NUL character in system_prompt, which is an argument of its command.",
                field="system_prompt",
            )
        _bound(settings.model, "model", "MODEL_TOO_LONG", "a model's name")
        _bound(settings.system_prompt, "system_prompt", "PROMPT_TOO_LONG", "a system prompt", _ELSEWHERE)
        for field in ("allowed_tools", "disallowed_tools"):
            for rule in getattr(settings, field):
                parse_rule(rule, field)
        longer = max(("allowed_tools", "disallowed_tools"), key=lambda field: len(json.dumps(getattr(settings, field))))
        _bound(json.dumps(_permissions(settings)), longer, "RULES_TOO_LONG", "tool rules")

    def headless(
        self, settings: Settings, conversation: str, *, resume: bool, env: Mapping[str, str] = NOTHING
    ) -> Command:
        arguments = ("-p", *_STREAMS, "--include-partial-messages", "--replay-user-messages", *_DECIDING)
        rounds = ("--max-turns", str(settings.max_turns)) if settings.max_turns else ()
        return _command(settings, conversation, resume, {}, arguments + rounds)

    def terminal(
        self, settings: Settings, conversation: str, *, resume: bool, hook: str, directory: str, env: Mapping[str, str]
    ) -> Command:
        told: dict[str, Any] = {"type": "command", "command": hook}
        hooks = {event: [{"hooks": [told]}] for event in _HOOKS}
        hooks["PermissionRequest"] = [{"hooks": [{**told, "timeout": PATIENCE}]}]
        started = _command(settings, conversation, resume, {"hooks": hooks}, ())
        # Each is a question that it would else ask first.
        known: dict[str, Any] = {"hasCompletedOnboarding": True}
        known["projects"] = {directory: {"hasTrustDialogAccepted": True}}
        if key := env.get("ANTHROPIC_API_KEY"):
            # By its end, which is how the program itself notes it: it stays in the home when the key is taken away.
            known["customApiKeyResponses"] = {"approved": [key[-20:]]}
        return replace(started, files={".claude.json": known})

    def record(self, conversation: str, directory: str) -> Kept | None:
        return Kept(f".claude/projects/{re.sub('[^A-Za-z0-9]', '-', directory)}/{conversation}.jsonl", _SAID)

    def named(self, line: bytes) -> Sequence[str]:
        return [name.decode() for name in _UUID.findall(line)]

    def parser(self) -> ClaudeParser:
        return ClaudeParser()

    def greet(self, request: str) -> tuple[bytes, ...]:
        return (_ask(request, subtype="initialize"),)

    def login(self, env: Mapping[str, str], request: str) -> tuple[bytes, ...]:
        return ()

    def own_login(self) -> OwnLogin:
        """It waits at a port inside, and takes the code just as well that the page shows."""
        where = (".claude", ".credentials.json", "CLAUDE_CONFIG_DIR", "CLAUDE_SECURESTORAGE_CONFIG_DIR")
        return OwnLogin(("claude", "auth", "login"), *where)

    def open(self, settings: Settings, conversation: str, directory: str, request: str) -> tuple[bytes, ...]:
        return ()

    def has_lost(self, refusal: str) -> bool:
        return False

    def is_busy(self, refusal: str) -> bool:
        return False

    def name(self, conversation: str, name: str, request: str) -> tuple[bytes, ...]:
        return ()

    def say(
        self, conversation: str, text: str, message: str, request: str, *, turn: str = "", command: bool = False
    ) -> bytes:
        if text.startswith("/") and not command:
            text = f" {text}"  # with anything before the slash it is no command
        return encode({"type": "user", "message": {"role": "user", "content": text}, "uuid": message})

    def look_up(self, conversation: str, message: str, request: str) -> tuple[bytes, ...]:
        return ()

    def interrupt(self, conversation: str, turn: str, request: str) -> tuple[bytes, ...]:
        return (_ask(request, subtype="interrupt"),)

    def answer(self, asked: ApprovalAsked, answer: Answer) -> bytes:
        if not answer.allow:
            decision: dict[str, Any] = {"behavior": "deny", "message": answer.reason or "Denied.", "interrupt": False}
        else:
            decision = {"behavior": "allow", "updatedInput": dict(asked.input)}
            if answer.rules:
                decision["updatedPermissions"] = [_remember(answer.rules)]
        if asked.terminal:
            return encode({"hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": decision}})
        return _reply(subtype="success", request_id=asked.request, response=decision)

    def decline(self, request: str) -> bytes:
        return _reply(subtype="error", request_id=request, error="not supported")

    def update(self, conversation: str, old: Settings, new: Settings, request: str) -> Update:
        asked: dict[str, dict[str, Any]] = {}
        restart = [name for name in ("system_prompt", "max_turns") if getattr(old, name) != getattr(new, name)]
        if old.model != new.model:
            asked["model"] = {"subtype": "set_model", "model": new.model or "default"}
        if old.skip_permissions and not new.skip_permissions:
            asked["mode"] = {"subtype": "set_permission_mode", "mode": "default"}
        elif old.skip_permissions != new.skip_permissions:
            restart.append("skip_permissions")  # refused to a process that was not started so
        added: dict[str, Any] = {}
        if new.effort and old.effort != new.effort:
            added["effortLevel"] = new.effort
        elif old.effort != new.effort:
            restart.append("effort")
        # The program adds these to those it has: only a new process forgets one.
        for name in ("allowed_tools", "disallowed_tools"):
            if not set(getattr(old, name)) <= set(getattr(new, name)):
                restart.append(name)
            elif set(getattr(old, name)) != set(getattr(new, name)):
                added["permissions"] = _permissions(new)
        if added:
            asked["flags"] = {"subtype": "apply_flag_settings", "settings": added}
        lines = {name: _ask(name, **what) for kind, what in asked.items() if (name := f"{request}-{kind}")}
        return Update(lines, tuple(restart))


def _command(
    settings: Settings, conversation: str, resume: bool, extra: Mapping[str, Any], arguments: tuple[str, ...]
) -> Command:
    """Mode and model are always given: the terminal would else ask nobody, and take its model from another's choice."""
    flags: dict[str, Any] = {"permissions": _permissions(settings), **extra}
    if settings.effort:
        flags["effortLevel"] = settings.effort
    if settings.skip_permissions:
        flags["skipDangerousModePermissionPrompt"] = True
    argv = ["claude", *arguments, "--resume" if resume else "--session-id", conversation]
    argv += ["--permission-mode", "bypassPermissions" if settings.skip_permissions else "default"]
    argv += ["--model", settings.model or "default", "--settings", json.dumps(flags)]
    # Recorded once, a prompt would be that of the conversation for good, whatever is given later.
    argv += ["--system-prompt-snapshot", "off"]
    if settings.system_prompt:
        argv += [f"--append-system-prompt={settings.system_prompt}"]
    return Command(tuple(argv), {"CLAUDE_CODE_MAX_RETRIES": "10"})


def _bound(written: str, field: str, reason: str, what: str, hint: str = "") -> None:
    if len(written.encode(errors="replace")) > LONGEST:
        raise InvalidArgument(reason, f"Claude Code takes {what} of at most {LONGEST} bytes.", field=field, hint=hint)


def _permissions(settings: Settings) -> dict[str, list[str]]:
    return {"allow": list(settings.allowed_tools), "deny": list(settings.disallowed_tools)}


def _remember(rules: tuple[str, ...]) -> dict[str, Any]:
    """Until the process ends: the program's own suggestion would write into the repository."""
    parsed = [parse_rule(rule, "rules") for rule in rules]
    written = [{"toolName": rule.tool, **({"ruleContent": rule.content} if rule.content else {})} for rule in parsed]
    return {"type": "addRules", "rules": written, "behavior": "allow", "destination": "session"}


def _ask(request: str, **what: Any) -> bytes:
    return encode({"type": "control_request", "request_id": request, "request": what})


def _reply(**response: Any) -> bytes:
    return encode({"type": "control_response", "response": response})
