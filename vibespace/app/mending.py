"""What to do about a message that an agent did not work on to its end, or cannot begin with."""

from __future__ import annotations

from uuid import UUID

from vibespace.app import handing
from vibespace.app.live import State
from vibespace.domain import credentials, names
from vibespace.domain.agents import Agent
from vibespace.domain.approvals import ASKED
from vibespace.domain.credentials import Credential
from vibespace.domain.messages import QUEUED, Message
from vibespace.harness.events import Reason, Trouble
from vibespace.harness.registry import HARNESSES

_HINTS: dict[str, str] = {
    Trouble.MODEL: "Choose another with 'vibespace config set {who} --model MODEL'.",
    Trouble.RATE_LIMIT: "Ask again later: its account is allowed no more just now.",
    Trouble.OVERLOADED: "Ask again later: the fault is the service's.",
    Trouble.CONTEXT: "Begin anew with 'vibespace agent new-conversation {who}'; this one stays in the history.",
    Trouble.BILLING: "See to the account that its key belongs to.",
}

_TERMINAL = "the agent's program is on a terminal, until that is left"
_NEXT = "the agent's program goes to a terminal next, until that is left"
_DECISION = "what the agent works on waits for a decision"


def waiting(message: Message, state: State) -> str:
    """Why nothing is done about it yet, where that may last until a person does something; or nothing."""
    if message.state != QUEUED:
        return ""
    transcript, conversation = state.transcript(message.agent_uid), state.conversations.get(message.agent_uid)
    if transcript and transcript.running and transcript.on_terminal and not message.takes_over:
        return _TERMINAL
    asked = state.approvals.get(message.agent_uid, {}).values()
    if not message.steers and any(each.state == ASKED for each in asked):
        return _DECISION
    if conversation is None or not conversation.wants_terminal or message.takes_over or _shares(message, state):
        return ""
    return "" if message.steers and conversation.turn else _NEXT


def hint(message: Message, state: State) -> str:
    """Empty where nothing is known to help, and for an agent that is gone."""
    agent = state.aggregates.get(UUID(message.agent_uid))
    if not isinstance(agent, Agent):
        return ""
    who = agent.called
    why = waiting(message, state)
    if why == _DECISION:
        return "'vibespace approval list' shows it."
    if why in (_TERMINAL, _NEXT):
        return f"'vibespace connect {who}' joins it there; 'vibespace ask --take-over' does not wait for that."
    if message.reason.partition(":")[0] == Reason.LOST:
        return f"Ask again: {who} goes on with the conversation, and files that were changed stay so."
    if message.trouble == Trouble.LOGIN:
        return _login(agent, state)
    if message.trouble == Trouble.UNREACHABLE:
        return _unreached(agent, state)
    return _HINTS.get(message.trouble, "").format(who=who)


def _shares(message: Message, state: State) -> bool:
    """Whether whoever has the program on a terminal has it together with us."""
    agent = state.aggregates.get(UUID(message.agent_uid))
    harness = HARNESSES.get(agent.type) if isinstance(agent, Agent) else None
    return harness is None or harness.shares


def _login(agent: Agent, state: State) -> str:
    """What it is logged in with decides which command puts another in its place."""
    type, own = handing.own_keys(agent)
    if own:
        return f"It was given {own[0]} by --env, which stays as it is: create an agent with another value."
    login = f"Log it in with 'vibespace credential login {agent.called}'"
    if not type:
        return f"{login}."
    held = handing.in_use(state, agent).get((type, ""))
    command = f"'vibespace credential set {type}{_whose(held)}'"
    if held:
        return f"Put another in the place of the {held.called}: {command}."
    other = "'vibespace credential set environment --variable NAME'"
    provider = f", or what a provider of its own settings asks for: {other}" if type == credentials.OPENAI else ""
    return f"{login}, or give it a key: {command}{provider}."


def _whose(held: Credential | None) -> str:
    """The flag that says whose it is."""
    if held is None or held.scope == credentials.HOST:
        return ""
    return f" --{held.scope} {names.short(held.parent)}"


def _unreached(agent: Agent, state: State) -> str:
    if state.vibespace_of(agent).closed:
        return f"Agents of '{agent.vibespace}' reach nothing outside: it was created with --network none."
    return (
        f"See that the service it asks is up, and that agents of '{agent.vibespace}' may reach it "
        f"('vibespace info {agent.vibespace}' tells its network); then ask again."
    )
