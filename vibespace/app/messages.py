"""What may be asked of messages to agents, and of the conversations that they are part of."""

from __future__ import annotations

from unicodedata import category

from vibespace.app import host
from vibespace.app.writer import Transaction, makes_room
from vibespace.domain.agents import Agent
from vibespace.domain.conversations import Conversation
from vibespace.domain.messages import HANDED, QUEUED, Message
from vibespace.errors import Exhausted, FailedPrecondition, InvalidArgument, NotFound

MOST_WAITING = 100
"""Messages to one agent."""
LONGEST = 64 * 1024
"""Bytes of a message, as UTF-8."""
_INVISIBLE = ("Cc", "Cf", "Zl", "Zp", "Zs")
"""What a text has nothing beside is blank to programs, whichever of these they know."""


def say(
    transaction: Transaction,
    *,
    vibespace: str,
    agent: str,
    text: str,
    author: str,
    steers: bool = False,
    is_command: bool = False,
    takes_over: bool = False,
) -> Message:
    """Something for the agent to work on: when it is done with what came before or, if it `steers`, at once.

    If it `takes_over`, it does not wait until who has the program on a terminal leaves, but until nothing is at work.
    """
    state = transaction.state
    found = state.agent(vibespace, agent)
    _must_stay(transaction, found)
    host.require_awake(state.host, f"Nothing was said to '{agent}' of '{vibespace}'")
    check_text(text)
    if len(state.messages.get(found.uid, ())) >= MOST_WAITING:
        raise Exhausted(
            "TOO_MANY_MESSAGES",
            f"{MOST_WAITING} messages wait for '{agent}' of '{vibespace}' already.",
            hint="Wait until it has worked on some.",
        )
    message = transaction.add(
        Message.create(
            transaction.new_id(),
            agent_uid=found.uid,
            vibespace=vibespace,
            agent=agent,
            author=author,
            text=transaction.mask(text),
            steers=steers,
            is_command=is_command,
            takes_over=takes_over,
        )
    )
    current(transaction, found)  # later: a request that comes again is answered with what it changed first
    return message


def check_text(text: str) -> None:
    """Raises InvalidArgument MESSAGE_EMPTY, MESSAGE_INVALID, MESSAGE_TOO_LONG."""
    if all(category(character) in _INVISIBLE for character in text):
        raise InvalidArgument("MESSAGE_EMPTY", "There is nothing to say.", field="text", hint="Give a message.")
    if "\0" in text:
        raise InvalidArgument("MESSAGE_INVALID", "A message cannot hold a NUL character.", field="text")
    if len(text.encode()) > LONGEST:
        raise InvalidArgument(
            "MESSAGE_TOO_LONG",
            f"A message takes at most {LONGEST // 1024} KiB.",
            field="text",
            hint="Put what is longer into a file with 'vibespace cp', and name that.",
        )


def hand_message(transaction: Transaction, *, message: Message) -> Message:
    """It is about to be written to the program."""
    draft = transaction.change(_living(transaction, message))
    draft.hand()
    return draft


def queue_again(transaction: Transaction, *, message: Message) -> Message:
    """It did not get into the program."""
    draft = transaction.change(_living(transaction, message))
    draft.queue_again()
    return draft


@makes_room
def fail_message(transaction: Transaction, *, message: Message, reason: str) -> Message:
    """The agent will not work on it."""
    draft = transaction.change(_living(transaction, message))
    for each in with_joined(transaction, draft):
        each.give_up(transaction.mask(reason))
    return draft


def give_up_all(transaction: Transaction, agent_uid: str, reason: str) -> None:
    """Whatever was said to that agent has no end any more but this."""
    for message in list(transaction.state.messages.get(agent_uid, {}).values()):
        transaction.change(message).give_up(reason)


def lose_message(transaction: Transaction, *, message: Message) -> Message:
    """It may have arrived."""
    draft = transaction.change(_living(transaction, message))
    for each in with_joined(transaction, draft):
        each.lose()
    return draft


def with_joined(transaction: Transaction, draft: Message) -> list[Message]:
    """It, and what joined the turn that it goes on with: one end is that of all."""
    waiting = transaction.state.messages.get(draft.agent_uid, {})
    return [draft, *(transaction.change(each) for each in list(waiting.values()) if draft.was_joined_by(each))]


@makes_room
def interrupt(transaction: Transaction, *, vibespace: str, agent: str) -> Conversation:
    """End what the agent works on, or was about to; what only waits, whoever said it, is left alone.

    What its program was handed it may be about to begin with: that ends with the program. Two who ask at once mean the
    same work, and the second does not mean what the agent went on to meanwhile.
    """
    found = transaction.state.agent(vibespace, agent)
    conversation = transaction.state.conversations.get(found.uid)
    if conversation is None:
        raise _silent(found)
    draft = transaction.change(conversation)
    if draft.was_just_interrupted:
        return draft
    waiting = transaction.state.messages.get(found.uid, {}).values()
    about_to = [message for message in waiting if message.state == HANDED or message.resumed]
    handed = any(message.state == HANDED for message in about_to)
    if draft.working or handed or not about_to:
        draft.interrupt(handed=handed)
    for message in about_to if not draft.turn else ():
        for each in with_joined(transaction, transaction.change(message)):
            each.finish("interrupted")
    return draft


def want_terminal(transaction: Transaction, *, vibespace: str, agent: str, takes_over: bool = False) -> Conversation:
    """Somebody wants the program's own interface; who `takes_over` does not wait until the agent is idle."""
    found = transaction.state.agent(vibespace, agent)
    _must_stay(transaction, found)
    host.require_awake(transaction.state.host, f"'{agent}' of '{vibespace}' was not connected to")
    draft = transaction.change(current(transaction, found))
    if takes_over and draft.turn and not draft.on_terminal:
        draft.interrupt()
    draft.want_terminal()
    return draft


@makes_room
def withdraw(transaction: Transaction, *, agent_uid: str, reason: str) -> Conversation:
    """Its program cannot be had: what it was not handed it will not work on, and whoever wants it on a terminal goes
    without. What it was handed it may well be working on; what it has taken up ends with its turn.
    """
    conversation = transaction.state.conversations.get(agent_uid)
    if conversation is None:
        raise NotFound("NO_CONVERSATION", "Nothing was said to that agent.")
    draft, transcript = transaction.change(conversation), transaction.state.transcript(agent_uid)
    if not draft.on_terminal:
        draft.detach_terminal()
    for message in list(transaction.state.messages.get(agent_uid, {}).values()):
        changed = transaction.change(message)
        if changed.state == QUEUED or not (transcript and transcript.running):  # one that is over has nothing of it
            for each in with_joined(transaction, changed):
                each.give_up(transaction.mask(reason))
        elif changed.state == HANDED:
            for each in with_joined(transaction, changed):
                each.lose()
    return draft


@makes_room
def leave_terminal(transaction: Transaction, *, vibespace: str, agent: str) -> Conversation:
    """Who wanted it went before it was there; where it is there by now, it stays."""
    found = transaction.state.agent(vibespace, agent)
    conversation = transaction.state.conversations.get(found.uid)
    if conversation is None:
        raise _silent(found)
    draft = transaction.change(conversation)
    if not draft.on_terminal:
        draft.detach_terminal()
    return draft


def new_conversation(transaction: Transaction, *, vibespace: str, agent: str) -> Conversation:
    """Begin another one; the old one stays in the history."""
    found = transaction.state.agent(vibespace, agent)
    _must_stay(transaction, found)
    conversation = transaction.state.conversations.get(found.uid)
    if conversation is None:
        raise _silent(found)
    if transaction.state.messages.get(found.uid):
        raise FailedPrecondition(
            "MESSAGES_WAIT",
            f"Messages to '{agent}' of '{vibespace}' are not done yet.",
            hint=f"Wait for them; what it works on ends with 'vibespace agent interrupt {agent}@{vibespace}'.",
        )
    begun = begin(transaction, found)  # first: a request that comes again is answered with what it changed first
    transaction.change(conversation).supersede()
    return begun


def current(transaction: Transaction, agent: Agent) -> Conversation:
    """The agent's conversation, begun if there is none."""
    return transaction.state.conversations.get(agent.uid) or begin(transaction, agent)


def begin(transaction: Transaction, agent: Agent, program_session: str = "") -> Conversation:
    """One more."""
    return transaction.add(
        Conversation.create(
            transaction.new_id(),
            agent_uid=agent.uid,
            vibespace=agent.vibespace,
            agent=agent.name,
            program_session=program_session,
        )
    )


def _must_stay(transaction: Transaction, agent: Agent) -> None:
    transaction.state.vibespace_of(agent).must_stay()
    agent.must_stay()


def _living(transaction: Transaction, message: Message) -> Message:
    found = transaction.state.messages.get(message.agent_uid, {}).get(message.id)
    if found is None:
        raise NotFound("MESSAGE_GONE", "That message is done, or its agent is gone.")
    return found


def _silent(agent: Agent) -> FailedPrecondition:
    return FailedPrecondition(
        "NO_CONVERSATION",
        f"Nothing was said to '{agent.name}' of '{agent.vibespace}' yet.",
        hint=f"'vibespace ask -a {agent.name}@{agent.vibespace}' begins a conversation.",
    )
