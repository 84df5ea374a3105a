"""Claude Code's messages, which standard output and the transcript file have alike, and its account of a turn."""

from __future__ import annotations

import re
from typing import Any

from vibespace.harness.events import (
    Change,
    Error,
    Event,
    FileChange,
    Reason,
    Reasoning,
    Text,
    ToolCall,
    ToolProgress,
    ToolResult,
    Trouble,
    Unparsed,
    Usage,
    Where,
)
from vibespace.harness.reading import (
    LARGEST,
    LONGEST_NAME,
    MOST_PARTS,
    Object,
    amount,
    called,
    count,
    items,
    mapping,
    text,
    true,
    whole,
)

_OWN_WORDS = re.compile(r"<local-command-std(out|err)>.*</local-command-std(out|err)>", re.DOTALL)
"""What a setting that was changed has printed, which the program repeats as if it had been sent."""
_INTERRUPTED = re.compile(r"\[Request interrupted by user[^\n]*\]")
_COMMAND = "<command-name>"
CARRIED_OUT = (_COMMAND, "<local-command-stdout>", "<local-command-stderr>")
"""So begins what the transcript says of a command that the program has carried out itself, in no turn: the prompt that
follows may have its id."""
_TYPED = (_COMMAND, "<command-message>")
"""So begins any, the other where the model is told what it stands for."""
_SHELL, _PRINTED = "<bash-input>", ("<bash-stdout>", "<bash-stderr>")
"""So begins a command that was typed for the shell, and what that printed."""
_NOTICE = "task-notification"
"""By which the program tells the model that what it left in the background is over."""
_OF_PROGRAM = "<synthetic>"
"""In place of a model's name."""
_FILLER = "No response requested."

_TROUBLES = {
    "authentication_failed": Trouble.LOGIN,
    "oauth_org_not_allowed": Trouble.LOGIN,
    "account_on_hold": Trouble.LOGIN,
    "verification_required": Trouble.LOGIN,
    "cloud_credential_error": Trouble.LOGIN,
    "billing_error": Trouble.BILLING,
    "rate_limit": Trouble.RATE_LIMIT,
    "overloaded": Trouble.OVERLOADED,
    "model_not_found": Trouble.MODEL,
    "connection_failed": Trouble.UNREACHABLE,
}
_STATUSES = {401: Trouble.LOGIN, 403: Trouble.LOGIN, 404: Trouble.MODEL, 429: Trouble.RATE_LIMIT}
_TYPED_PROMPTS = ("typed", "queued")
_BY_USER = (*_TYPED_PROMPTS, "sdk")
_SENT_ON = "Stop hook feedback:"
_WORDS = {"Prompt is too long": Trouble.CONTEXT, "Request timed out": Trouble.UNREACHABLE}
"""How errors begin that are told by these words alone."""


class _Named(Where):
    id: str


def message_events(said: Object, turn: str, block: tuple[str, int]) -> tuple[Event, ...]:
    """What a line of type assistant or user tells. `block` is what is being streamed."""
    if true(said, "isMeta") or true(said, "isCompactSummary"):
        return ()
    where: Where = {
        "conversation": conversation_of(said),
        "turn": turn,
        "parent": text(said, "parent_tool_use_id") or ("sidechain" if true(said, "isSidechain") else ""),
    }
    content: Any = mapping(said, "message").get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else items(said, "message", "content")
    if not parts:
        return (Unparsed(id=called(said, "uuid"), why="no content", kind=text(said, "type"), **where),)
    if len(parts) > MOST_PARTS:
        return (Unparsed(id=called(said, "uuid"), why=f"{len(parts)} parts", kind=text(said, "type"), **where),)
    found: list[Event] = []
    for place, part in enumerate(parts):
        name = called(said, "uuid") + (f"#{place}" if place else "")
        found += _part(said, part, {"id": name, **where}, block)
    return tuple(found)


def conversation_of(said: Object) -> str:
    """In which a line was said. One of the transcript may have both: then the other is of the process's first one."""
    return called(said, "sessionId") or called(said, "session_id")


def user_said(said: Object) -> str | None:
    """The words of a message of the user's, None for any other line."""
    if text(said, "type") != "user" or true(said, "isMeta") or true(said, "isCompactSummary"):
        return None
    return words_of(mapping(said, "message"), "content")


def words_of(said: Object, name: str) -> str | None:
    """The words of what is a text, or parts that may be images as well."""
    content: Any = said.get(name)
    if isinstance(content, str):
        return content
    return "".join(text(part, "text") for part in items(said, name) if text(part, "type") == "text") or None


def merged(said: Object) -> tuple[Event, ...]:
    """Messages that were taken up as one with that of the line, whose words have theirs before its own."""
    words, conversation = user_said(said) or "", conversation_of(said)
    told = items(said, "mergedSendUuids")[:MOST_PARTS]
    names = [name for name in told if isinstance(name, str) and len(name) <= LONGEST_NAME]
    return tuple(Text(id=name, message=name, conversation=conversation, text=words, by_user=True) for name in names)


def is_interrupt(said: Object, words: str) -> bool:
    """The program writes that one was as if the user had said it; who does say it has typed or sent it."""
    is_said = text(said, "promptSource") in _BY_USER or true(said, "isReplay")
    return bool(_INTERRUPTED.fullmatch(words)) and not is_said


def is_sent_on(said: Object) -> bool:
    """A hook of the user's own has it go on, of whose turn the end was told."""
    words = words_of(mapping(said, "message"), "content") or ""
    return true(said, "isMeta") and words.startswith(_SENT_ON)


def carried_out(said: Object, words: str) -> tuple[Event, ...]:
    """The command, as it was typed; what it has printed is for who typed it."""
    if not words.startswith(_COMMAND):
        return ()
    name, conversation = called(said, "uuid"), conversation_of(said)
    return (Text(id=name, conversation=conversation, text=_as_typed(words), by_user=True),)


def retried(said: Object) -> Error:
    """A request to the model has failed, and is made again."""
    status = whole(said, "error_status")
    word = text(said, "error")
    unreachable = status is None and word == "unknown"
    what = "no connection" if unreachable else word.replace("_", " ")
    number = f" ({status})" if status else ""
    return Error(
        id=called(said, "uuid"),
        conversation=called(said, "session_id"),
        trouble=Trouble.UNREACHABLE if unreachable else trouble_of(word, status),
        text=f"{what}{number}: attempt {count(said, 'attempt')} of {count(said, 'max_retries')}",
        status=status,
        retrying=True,
    )


def trouble_of(word: str, status: int | None = None) -> Trouble:
    """What an error is about, by the program's word for it, or by the answer's status."""
    failed = Trouble.OVERLOADED if status and status >= 500 else Trouble.OTHER
    return _TROUBLES.get(word) or _STATUSES.get(status or 0, failed)


def ended(said: Object) -> tuple[Reason, str]:
    """Why a `result` says that its turn is over, and in which words."""
    why = text(said, "terminal_reason")
    if why.startswith("aborted_"):
        return Reason.INTERRUPTED, ""
    if why == "max_turns" or text(said, "subtype") == "error_max_turns":
        return Reason.TURN_LIMIT, ""
    if true(said, "is_error"):
        errors = [each for each in items(said, "errors") if isinstance(each, str)]
        return Reason.FAILED, text(said, "result") or "\n".join(errors) or why or text(said, "subtype")
    return Reason.COMPLETED, ""


def spent(said: Object) -> Usage:
    """Tokens of a turn: of `result` this is the turn's own, unlike its other sums."""
    usage = mapping(said, "usage")
    return Usage(
        input=count(usage, "input_tokens"),
        output=count(usage, "output_tokens"),
        cache_read=count(usage, "cache_read_input_tokens"),
        cache_write=count(usage, "cache_creation_input_tokens"),
        reasoning=count(usage, "output_tokens_details", "thinking_tokens"),
    )


def cost(said: Object) -> int | None:
    """Of this turn: `total_cost_usd` begins anew after a crash, so that sums of it would be wrong."""
    if "model_usage_since_last_result" not in said:
        return None
    costs = [amount(model, "costUSD") or 0.0 for model in mapping(said, "model_usage_since_last_result").values()]
    millionths = sum(costs) * 1e6
    return round(millionths) if 0 <= millionths <= LARGEST else None


def _part(said: Object, part: object, where: _Named, block: tuple[str, int]) -> list[Event]:
    by_user = text(said, "type") == "user"
    match text(part, "type"):
        case "text" if by_user:
            return _user_text(said, text(part, "text"), where)
        case "text" if true(said, "is_api_error_message") or true(said, "isApiErrorMessage"):
            return [_failure(said, text(part, "text"), where)]
        case "text" if _is_filler(said, part):
            return []
        case "text":
            return [Text(text=text(part, "text"), block=_block(said, block), **where)]
        case "thinking" | "redacted_thinking":
            return [Reasoning(text=text(part, "thinking"), block=_block(said, block), **where)]
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            given = mapping(part, "input")
            return [ToolCall(call=called(part, "id"), tool=text(part, "name"), input=given, **where)]
        case "tool_result":
            return [_result(part, where), *_changed(said, called(part, "tool_use_id"), where)]
    kind = f"{text(said, 'type')}/{text(part, 'type')}"
    return [Unparsed(why="unknown kind", kind=kind, **where)]


def _is_filler(said: Object, part: object) -> bool:
    """Not the model's: the program's own answer, for the record, to what was interrupted before there was one."""
    return text(said, "message", "model") == _OF_PROGRAM and text(part, "text") == _FILLER


def _failure(said: Object, words: str, where: _Named) -> Error:
    word = text(said, "api_error") or text(said, "apiError") or text(said, "error")
    status = whole(said, "api_error_status") or whole(said, "apiErrorStatus")
    told = next((trouble for begin, trouble in _WORDS.items() if words.startswith(begin)), None)
    return Error(trouble=told or trouble_of(word, status), text=words, status=status, **where)


def is_typed_prompt(said: Object) -> bool:
    """For the model, and no command, whatever it begins with."""
    return text(said, "promptSource") in _TYPED_PROMPTS


def _user_text(said: Object, words: str, where: _Named) -> list[Event]:
    if is_interrupt(said, words) or true(said, "isSynthetic"):  # a hook's words, which the transcript has as meta
        return []
    if text(said, "origin", "kind") == _NOTICE:
        call, told = _within(words, "tool-use-id"), _within(words, "summary")
        return [ToolProgress(call=call[:LONGEST_NAME], text=told, **where)]
    if text(said, "entrypoint") != "cli" and not where["parent"]:  # it was sent, and may begin as anything
        if not text(said, "promptSource") and _OWN_WORDS.fullmatch(words):
            return []
        return [Text(text=words, by_user=True, message=where["id"], **where)]
    if is_typed_prompt(said):
        return [Text(text=words, by_user=True, **where)]
    if words.startswith(_PRINTED):
        printed = "".join(_within(words, tag[1:-1]) for tag in _PRINTED)
        return [ToolResult(call=called(said, "parentUuid"), text=printed, **where)]
    return [Text(text=_as_typed(words), by_user=True, **where)]


def _as_typed(words: str) -> str:
    """Of a command, which the transcript has in tags."""
    if words.startswith(_SHELL):
        return f"! {_within(words, 'bash-input').strip()}"
    if not words.startswith(_TYPED):
        return words
    return " ".join(filter(None, (_within(words, tag) for tag in ("command-name", "command-args"))))


def _within(words: str, tag: str) -> str:
    return words.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]


def _block(said: Object, block: tuple[str, int]) -> str:
    """What Delta calls it. The transcript says which, standard output only by the order of its lines."""
    message = called(said, "message", "id")
    place = whole(said, "apiBlockIndex")
    if place is None and block[0] == message:
        place = block[1]
    return f"{message}.{place}" if message and place is not None else ""


def _result(part: object, where: _Named) -> ToolResult:
    content = mapping(part).get("content")
    words = content if isinstance(content, str) else "\n".join(_shown(each) for each in items(part, "content"))
    return ToolResult(call=called(part, "tool_use_id"), text=words, failed=true(part, "is_error"), **where)


def _shown(part: object) -> str:
    """Of what is no text, such as an image, only that it is there; the line has all of it."""
    return text(part, "text") if text(part, "type") == "text" else f"[{text(part, 'type')}]"


def _changed(said: Object, call: str, where: _Named) -> list[Event]:
    """What the tools that write files tell of it beside their words for the model."""
    told = mapping(said, "tool_use_result") or mapping(said, "toolUseResult")
    path = text(told, "filePath")
    if not path or "structuredPatch" not in told:
        return []
    change = Change.CREATED if text(told, "type") == "create" else Change.MODIFIED
    return [FileChange(call=call, path=path, change=change, diff=_diff(told), **where)]


def _diff(told: Object) -> str:
    lines = []
    for hunk in items(told, "structuredPatch"):
        old = f"{count(hunk, 'oldStart')},{count(hunk, 'oldLines')}"
        lines.append(f"@@ -{old} +{count(hunk, 'newStart')},{count(hunk, 'newLines')} @@")
        lines += [line for line in items(hunk, "lines") if isinstance(line, str)]
    return "\n".join(lines)
