"""What to do next about an agent's program, given what is in the log and what is known of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vibespace.domain import names
from vibespace.domain.approvals import ALLOWED, DECIDED, Approval
from vibespace.domain.conversations import Conversation
from vibespace.domain.messages import HANDED, QUEUED, Message
from vibespace.errors import InvalidArgument
from vibespace.harness.base import Answer
from vibespace.harness.events import ApprovalAsked
from vibespace.reconcile.actions import (
    Action,
    End,
    Fail,
    Hand,
    Lose,
    Requeue,
    Settle,
    Start,
    Tell,
    Withdraw,
    Write,
)
from vibespace.reconcile.doors import INTERRUPT, LEAVE
from vibespace.reconcile.live import Live
from vibespace.reconcile.view import View

LIMIT = "limit"
"""In the names of what ends a turn that has too many rounds."""
GO_ON = "Your program ended in the midst of this and was started again. Go on with it; look first at how far it got."
"""What is said for a message whose turn was lost."""
MOST_TRIES = 3
"""Programs in a row that end before they take anything up."""


def plan(view: View) -> Action:
    """The next thing to do; after it has been done, ask again."""
    conversation, live = view.conversation, view.live
    if conversation is None:
        return None
    if not live.running:
        return _begin(view, conversation)
    if conversation.insisted:
        return End(at_once=True)
    if view.on_terminal:
        there = _answer(view) or _interrupt(view, conversation) or _limit(view)
        return there or _take_over(view, conversation)
    if not live.listens:
        return None
    if view.started_for != conversation.uid and not _has_moved(view, conversation):
        return End()
    if _yields(view, conversation) or _is_logged_out(view, conversation):
        return End()
    return (
        _prepare(view, conversation)
        or _recall(view)
        or _answer(view)
        or _interrupt(view, conversation)
        or _limit(view)
        or _settle(view, conversation)
        or _say(view, conversation)
    )


def _begin(view: View, conversation: Conversation) -> Action:
    wanted = conversation.wants_terminal
    asked = wanted or view.messages
    if view.failures >= MOST_TRIES:
        return Withdraw("its program ends again and again") if asked else None
    if not (asked or (view.harness.shares and view.ended)):  # at a terminal somebody may wait for the next one
        return None
    return Start(on_terminal=wanted and not view.harness.shares and not _taking_over(view))


def _yields(view: View, conversation: Conversation) -> bool:
    """Somebody wants the conversation on a terminal, and has it alone there: the program goes, once it is idle."""
    wanted = conversation.wants_terminal and not view.harness.shares
    return wanted and not _taking_over(view) and _is_idle(view, conversation)


def _is_logged_out(view: View, conversation: Conversation) -> bool:
    """Programs look for a login when they start: the next one finds what has been made, or given, meanwhile."""
    return view.live.logged_out and not conversation.wants_terminal and _is_idle(view, conversation)


def _take_over(view: View, conversation: Conversation) -> Action:
    """A message takes the program from who has it on a terminal, once it is idle: who has it is told, and it ends."""
    if not _taking_over(view) or _is_at_work(view, conversation):
        return None
    return _unwritten(view.live, "leave", (LEAVE,)) or End()


def _is_idle(view: View, conversation: Conversation) -> bool:
    return not (_is_at_work(view, conversation) or _handed(view))


def _is_at_work(view: View, conversation: Conversation) -> bool:
    return bool(conversation.working or view.live.turn or view.live.asked)


def _taking_over(view: View) -> bool:
    return any(message.takes_over and message.state == QUEUED for message in view.messages)


def session_for(conversation: Conversation) -> str:
    """What the program calls it, or is to call it if it takes an id of ours."""
    return conversation.program_session or conversation.uid


def answer_of(approval: Approval, asked: ApprovalAsked) -> Answer:
    """What was decided, for the program."""
    if approval.verdict == ALLOWED:
        return Answer(True, asked.rules if approval.always else ())
    return Answer(False, (), approval.reason)


def _prepare(view: View, conversation: Conversation) -> Action:
    """What a process is told first, and the conversation that it shall be in."""
    harness, live = view.harness, view.live
    if action := _unwritten(live, greet := _once(live, "greet"), harness.greet(_named(live, greet))):
        return action
    kind = _once(live, "login")
    login = harness.login(view.env, _named(live, kind)) if _may_log_in(view) else ()
    if action := _unwritten(live, kind, login):
        return replace(action, secret=True)
    if login and _named(live, kind) not in live.replied:
        return None  # Codex begins no conversation while it is being logged in: it says that a permission was revoked
    if _has_moved(view, conversation):  # what has no name is not on the disk yet, where it looks for what it opens
        action, named = _name(view, conversation, conversation.program_session)
        if action or not named:
            return action
    opening, kind = _opening(view, conversation), _open(view, conversation)
    if action := _unwritten(live, kind, opening):
        return action
    refusal = live.replied.get(_named(live, kind), "")
    if refusal and harness.has_lost(refusal):
        anew = _once(live, "anew")
        lines = harness.open(view.settings, "", view.directory, request := _named(live, anew))
        if request not in live.replied:
            return _unwritten(live, anew, lines)
    if refusal and view.messages:
        return Fail(view.messages[0], refusal)
    if not (opening and live.conversation):
        return None
    return (
        (_catch_up(view, kind, live.conversation) if _known(view, conversation) else None)
        or _name(view, conversation, live.conversation)[0]
        or _join(view, conversation)
    )


def _join(view: View, conversation: Conversation) -> Action:
    """Open where a person is beside it, or what is said there would not be heard."""
    for session in view.live.beside:
        action, named = _name(view, conversation, session)
        if action:
            return action
        kind = _opens(view.live, session)
        lines = view.harness.open(view.settings, session, view.directory, _named(view.live, kind))
        if named and (action := _unwritten(view.live, kind, lines) or _catch_up(view, kind, session)):
            return action
    return None


def _catch_up(view: View, opened: str, session: str) -> Write | None:
    """Ask what was said there before it was opened, once it is: from then on all is heard."""
    live, kind = view.live, f"{opened}-said"
    if live.replied.get(_named(live, opened)) != "":
        return None
    return _unwritten(live, kind, view.harness.look_up(session, "", _named(live, kind)))


def _name(view: View, conversation: Conversation, session: str) -> tuple[Write | None, bool]:
    """What names it, and whether it is named already, or needs no name. People choose among those of an agent by it:
    only the end of a session tells one from the next.
    """
    kind = _once(view.live, f"name-{_word(session)}")
    name = f"{names.called(conversation.vibespace, conversation.agent)} {session[-8:]}"
    lines = view.harness.name(session, name, request := _named(view.live, kind))
    return _unwritten(view.live, kind, lines), not lines or request in view.live.replied


def _catches_up(view: View, conversation: Conversation) -> bool:
    """What was said before comes now: who is handed a message is told what comes after it."""
    live, kind = view.live, f"{_open(view, conversation)}-said"
    return f"{live.epoch}-{kind}-0" in live.written and _named(live, kind) not in live.replied


def _opening(view: View, conversation: Conversation) -> Sequence[bytes]:
    session, request = _known(view, conversation), _named(view.live, _open(view, conversation))
    return view.harness.open(view.settings, session, view.directory, request)


def _known(view: View, conversation: Conversation) -> str:
    """What the program calls it, if it is not to begin it."""
    known = view.resumed or _has_moved(view, conversation) or (view.live.connections > 1 and conversation.begun)
    return conversation.program_session if known else ""


def _open(view: View, conversation: Conversation) -> str:
    """What opens it is called so: another that the program comes to is opened as well, or it would not be heard."""
    moved = _has_moved(view, conversation)
    return _opens(view.live, conversation.program_session) if moved else _once(view.live, "open")


def _opens(live: Live, session: str) -> str:
    return _once(live, f"open-{_word(session)}")


def _has_moved(view: View, conversation: Conversation) -> bool:
    """The program has come to it by itself: one that was asked for has not begun."""
    return conversation.begun and view.started_for != conversation.uid


def _recall(view: View) -> Write | None:
    """Tell the settings again where a person's own interface has replaced some of them by its own. Those that it should
    have by now: older ones might come behind them.
    """
    live, settings = view.live, view.settings
    strayed = replace(settings, skip_permissions=not settings.skip_permissions)
    for session, times in live.strayed.items():
        kind = _once(live, f"recall-{_word(session)}-{times}")
        update = view.harness.update(session, strayed, settings, _named(live, kind))
        if action := _unwritten(live, kind, [*update.lines.values()]):
            return action
    return None


def _answer(view: View) -> Action:
    for request in () if view.on_terminal else view.live.unknown:  # there the person is asked
        kind = _once(view.live, f"decline-{_word(request)}")
        if action := _unwritten(view.live, kind, [view.harness.decline(request)]):
            return action
    for approval in view.approvals:
        asked = view.live.asked.get(approval.request)
        name = f"{view.live.epoch}-decision-{approval.uid}"
        if approval.state != DECIDED or asked is None or name in view.live.written:
            continue
        words = view.harness.answer(asked, answer_of(approval, asked))
        if asked.terminal:
            return Tell(name, approval.request, words, approval)
        return Write(name, words, approval=approval)
    return None


def _interrupt(view: View, conversation: Conversation) -> Action:
    live = view.live
    if not conversation.interrupted or conversation.interrupted != live.turn:
        return None
    return _cut_short(view, "interrupt")


def _cut_short(view: View, why: str) -> Action:
    """End the turn: a person's own interface by its key, all others in their words."""
    live = view.live
    kind = _once(live, f"{why}-{_word(live.turn)}")
    lines = view.harness.interrupt(live.conversation, live.turn, _named(live, kind))
    return _unwritten(live, kind, (INTERRUPT,) if view.on_terminal else lines)


def _limit(view: View) -> Action:
    """Rounds that the program does not count are counted here, and its turn is ended."""
    counts = view.on_terminal or "max_turns" in view.harness.counted
    if not (counts and 0 < view.in_force.max_turns < view.live.rounds and view.live.turn):
        return None
    return _cut_short(view, LIMIT)


def is_limit(name: str, turn: str = "") -> bool:
    """Whether that is what ends a turn, or that turn, because it has too many rounds."""
    _, _, kind = name.partition("-")
    return kind.startswith(f"{LIMIT}-{_word(turn)}-" if turn else f"{LIMIT}-")


def _settle(view: View, conversation: Conversation) -> Action:
    """Bring other settings into force: while it works where the program can, else between two of its lives, which is
    how it gets other credentials.
    """
    between = None if conversation.working or _handed(view) else End()
    if _has_other_keys(view):
        return between
    if view.settings == view.in_force or not _is_open(view, conversation):
        return None
    live, kind = view.live, _once(view.live, f"settings-{view.generation}")
    update = view.harness.update(live.conversation, view.in_force, view.settings, _named(live, kind))
    if update.restart or any(live.replied.get(request) for request in update.lines):
        return between
    if action := _unwritten(live, kind, [*update.lines.values()]):
        return action
    return Settle() if update.lines.keys() <= live.replied.keys() else None


def _may_log_in(view: View) -> bool:
    """With what it was started with, and not amid a turn: Codex ends that over being logged in."""
    return not (_has_other_keys(view) or view.live.turn)


def _has_other_keys(view: View) -> bool:
    """It was not started with the credentials that its agent has by now."""
    return list(view.keys) != list(view.keys_in_force)


def _is_open(view: View, conversation: Conversation) -> bool:
    """The program is in the conversation."""
    reply = view.live.replied.get(_named(view.live, _open(view, conversation)))
    there = reply == "" if _has_moved(view, conversation) else bool(reply is not None and view.live.conversation)
    return there or not _opening(view, conversation)


def _handed(view: View) -> list[Message]:
    return [message for message in view.messages if message.state == HANDED]


def _say(view: View, conversation: Conversation) -> Action:
    live, idle = view.live, not (view.live.turn or conversation.turn)
    if not _is_open(view, conversation) or _catches_up(view, conversation):
        return None
    handed = _handed(view)
    for message in handed:
        kind = _once(live, f"message-{message.uid}-{message.tries}")
        if refusal := live.replied.get(_named(live, kind)):
            again = message.steers or view.harness.is_busy(refusal)
            return Requeue(message) if again else Fail(message, refusal)
        if (name := f"{live.epoch}-{kind}") not in live.written:
            return _write(view, conversation, message, kind)
        is_accepted = _named(live, kind) in live.replied
        if message.steers and is_accepted and live.amid.get(name, live.turn) != live.turn:
            return Requeue(message)  # the turn that it was to join is over, and did not take it up
    if handed and idle:
        return None  # it is about to be taken up
    for message in view.messages:
        if message.state == QUEUED and (idle or (message.steers and live.answers)):
            if message.tries > 2 * MOST_TRIES:  # one that dies may be handed it twice
                return Fail(message, "its program does not take it up")
            return Hand(message)
    return None


def _write(view: View, conversation: Conversation, message: Message, kind: str) -> Action:
    """Where an earlier program may have it, or this one over an earlier connection, and would not notice a repeat, it
    is looked for first.
    """
    live, session = view.live, view.live.conversation or session_for(conversation)
    if message.tries > 1 or live.connections > 1:
        look = _once(live, f"look-{message.uid}-{message.tries}")
        request = _named(live, look)
        looking = view.harness.look_up(session, message.delivery, request)
        if action := _unwritten(live, look, looking):
            return action
        if looking and request not in live.replied:
            return None
        if looking and live.replied[request] and not message.resumed:  # that it goes on may be said twice
            return Lose(message)
    turn = live.turn if message.steers else ""
    try:
        line = view.harness.say(
            session, said(message), message.delivery, _named(live, kind), turn=turn, command=message.is_command
        )
    except InvalidArgument as e:
        return Fail(message, e.sentence)
    return Write(f"{live.epoch}-{kind}", line, message=message)


def said(message: Message) -> str:
    """What the program is told."""
    return GO_ON if message.resumed else message.text


def _unwritten(live: Live, kind: str, lines: Sequence[bytes]) -> Write | None:
    for number, line in enumerate(lines):
        if (name := f"{live.epoch}-{kind}-{number}") not in live.written:
            return Write(name, line)
    return None


def _once(live: Live, kind: str) -> str:
    """What is done for each connection."""
    return f"{kind}-{live.connections}" if live.connections else kind


def _named(live: Live, kind: str) -> str:
    """A request of that kind; there is one a life of the program, or a connection of `_once`."""
    return f"{kind}-{live.epoch}"


def _word(text: str) -> str:
    """`text` as part of a name, which has no spaces."""
    return "".join(c if c.isalnum() else "_" for c in text)[:80]
