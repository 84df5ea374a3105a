"""Takes what an agent's program tells into the log, and what follows from it: a record of its journal at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from vibespace.app import approvals, messages
from vibespace.app.settings import LONGEST, stored, wanted
from vibespace.app.writer import Transaction, makes_room
from vibespace.domain import states
from vibespace.domain.agents import Agent
from vibespace.domain.approvals import ALLOWED, DENIED, Approval
from vibespace.domain.conversations import Conversation
from vibespace.domain.messages import ACKNOWLEDGED, QUEUED, Message
from vibespace.domain.transcripts import Block, Place, Transcript, transcript_id
from vibespace.errors import NotFound

_OVER = "what asked for it is over"


@dataclass(frozen=True)
class Line:
    """What a record of the journal comes to, with nothing secret in it."""

    place: Place
    after: Place
    """Of the record before it that is in the log."""
    source: str
    text: str
    """As the program wrote it, or the beginning of that when `blob` has the whole."""
    stored: Sequence[Block]
    """What the event holds; shortened when `blob` has the whole."""
    blocks: Sequence[Block]
    """All that it tells."""
    blob: str = ""
    alone: bool = False
    """Nothing follows from it: what would, met a defect."""


def start_program(
    transaction: Transaction, *, agent_uid: str, place: Place, after: Place, started: dict[str, Any]
) -> Transcript:
    """A program of that agent's was started: as Transcript.start_program tells."""
    agent = _agent(transaction, agent_uid)
    draft, plain = _draft(transaction, agent), _STARTED | _credible(transaction, started, _STARTED)
    settings = _credible(transaction, started.get("settings"), stored(wanted(agent)))
    news = draft.start_program(place, after, settings=settings, **plain)
    if news and plain["on_terminal"]:
        transaction.change(messages.current(transaction, agent)).attach_terminal()
    return draft


def take_settings(transaction: Transaction, *, agent_uid: str, settings: dict[str, Any]) -> Transcript:
    """The living program works by these from now on."""
    draft = _draft(transaction, _agent(transaction, agent_uid))
    draft.take_settings(settings)
    return draft


def take_line(transaction: Transaction, *, agent_uid: str, line: Line) -> Transcript:
    """What the program wrote. The same one twice is no news."""
    agent = _agent(transaction, agent_uid)
    draft = _draft(transaction, agent)
    consequences = _Consequences(transaction, agent, line.place)
    stored = [consequences.credible(block) for block in line.stored]
    if draft.read_line(line.place, line.after, source=line.source, line=line.text, blocks=stored, blob=line.blob):
        for block in () if line.alone else line.blocks:
            consequences.take(block)
    return draft


@makes_room
def end_program(transaction: Transaction, *, agent_uid: str, line: Line, how: dict[str, Any]) -> Transcript:
    """It has ended, and with it what the line says. What it was handed and did not take up waits for the next.

    That one goes on with the turn of one that ended by itself, where nobody wanted that turn's end.
    """
    agent = _agent(transaction, agent_uid)
    draft, how = _draft(transaction, agent), _credible(transaction, how, _ENDED)
    words = _ended(how)
    stored = [_explained(block, words) for block in line.stored]
    if line.place > draft.place:
        consequences = _Consequences(transaction, agent, line.place, resumes=not how.get("lost"))
        stored = [consequences.credible(block) for block in stored]
        for block in line.blocks:
            consequences.take(_explained(block, words))
        consequences.end(words)
        if draft.on_terminal:
            consequences.leave_terminal()
    draft.end_program(line.place, line.after, how, blocks=stored, blob=line.blob)
    return draft


def _explained(block: Block, words: str) -> Block:
    """Of a turn that was lost with its program, how that ended."""
    lost = block["kind"] == "turn_ended" and block.get("reason") == "lost"
    return {**block, "detail": words} if lost else block


def _ended(how: dict[str, Any]) -> str:
    """How a program ended, for who waits for its answer."""
    if how.get("memory"):
        return "its program was ended for want of memory"
    if "signal" in how:
        return f"its program was killed by signal {how['signal']}"
    return f"its program ended with code {how['code']}" if "code" in how else "its program went away"


_STARTED: dict[str, Any] = {"conversation": "", "resumed": False, "on_terminal": False, "keys": []}
"""What is said of a program that starts, beside its settings."""
_ENDED: dict[str, Any] = {"code": 0, "signal": 0, "memory": False, "lost": False}


def _credible(transaction: Transaction, told: object, known: Mapping[str, Any]) -> dict[str, Any]:
    """Of what a journal says of us and its program what may be so: each value of the kind that it is `known` to have.

    Who rules inside may write anything there. No secret value is kept, but for one that is known.
    """
    found = told if isinstance(told, Mapping) else {}
    return {
        name: found[name] if found[name] == value else _masked(transaction, found[name])
        for name, value in known.items()
        if name in found and type(found[name]) is type(value) and _fits(found[name])
    }


def _fits(value: object) -> bool:
    match value:
        case str():
            return len(value) <= LONGEST
        case list():
            return all(isinstance(each, str) for each in value) and sum(map(len, value)) <= LONGEST
        case int():
            return -(1 << 31) <= value < 1 << 31
    return False


def _masked(transaction: Transaction, value: Any) -> Any:
    match value:
        case str():
            return transaction.mask(value)
        case list():
            return [transaction.mask(each) for each in value]
    return value


def approval_id(agent_uid: str, place: Place, request: str) -> UUID:
    """The id of what a program asks under the name `request` by the record at `place`: a name alone may come again."""
    return uuid5(transcript_id(agent_uid), f"{place.epoch}/{place.seq}/{request}")


class _Consequences:
    """What blocks mean for the agent's conversation, messages and approvals."""

    def __init__(self, transaction: Transaction, agent: Agent, place: Place, *, resumes: bool = True) -> None:
        """`resumes`: what is lost amid a turn goes on with the next program, unless its end was wanted."""
        self._transaction = transaction
        self._agent = agent
        self._place = place
        self._resumes = resumes and self._should_run()
        transcript = transaction.state.transcript(agent.uid)
        self._begun_for = transcript.conversation if transcript else ""
        self._conversation: Conversation | None = None

    def credible(self, block: Block) -> Block:
        """As it is stored, with the uid of a message of ours or none: what is typed has an id of the program's own, and
        what it is told to go on with has another one.
        """
        if block["kind"] != "text" or "message" not in block:
            return block
        rest = {name: value for name, value in block.items() if name != "message"}
        message = self._message(block["message"])
        return rest | {"message": message.uid} if message else rest

    def take(self, block: Block) -> None:
        match block["kind"]:
            case "turn_started" | "work_ended" if self._is_elsewhere(block):
                pass  # a helper's, in a conversation of its own, or a person's beside the agent's
            case "turn_started" if block.get("turn"):
                self._change().start_turn(block["turn"])
            case "turn_ended" if self._is_elsewhere(block):
                self._finish(block, self._worked_on(block))
            case "turn_ended":
                self._end_turn(block)
            case "work_ended":
                self._change().end_work()
            case "conversation_switched" if block.get("conversation") and not self._is_former:
                self._switch(block["conversation"])
            case "text" if block.get("message"):
                self._acknowledge(block)
            case "message_dropped" if block.get("id"):
                self._drop(block["id"])
            case "approval_asked" if block.get("request"):
                self._ask(block)
            case "approval_answered":
                allowed = block.get("allowed")
                verdict = "" if allowed is None else ALLOWED if allowed else DENIED
                for approval in self._approvals(block.get("request", "")):
                    approval.answer(verdict)
            case "approval_cancelled":
                for approval in self._approvals(block.get("request", "")):
                    approval.expire(_OVER)

    def leave_terminal(self) -> None:
        """The program's own interface is gone."""
        self._change().detach_terminal()

    def end(self, words: str) -> None:
        """The program is gone, and all that it worked on; what was handed and not taken up waits again."""
        if (conversation := self._change()).turn:
            self._end_turn({"kind": "turn_ended", "turn": conversation.turn, "reason": "lost", "detail": words})
        conversation.end_work()
        approvals.expire_all(self._transaction, self._agent.uid, _OVER)
        waiting = self._messages()
        for draft in waiting:
            draft.queue_again()
        next_up = [draft for draft in waiting if draft.state == QUEUED]
        for draft in waiting:
            if draft.state == ACKNOWLEDGED and not any(each.was_joined_by(draft) for each in next_up):
                draft.finish("lost", words)

    def _is_elsewhere(self, block: Block) -> bool:
        conversation = self._change()
        where = block.get("conversation", "")
        return self._is_former or bool(conversation.begun and where and where != conversation.program_session)

    @property
    def _is_former(self) -> bool:
        """The program was begun for a conversation that is over, and ends before the one that was asked for begins."""
        conversation = self._change()
        return not conversation.begun and self._begun_for not in ("", conversation.uid)

    def _change(self) -> Conversation:
        if self._conversation is None:
            found = messages.current(self._transaction, self._agent)
            self._conversation = self._transaction.change(found)
        return self._conversation

    def _switch(self, program_session: str) -> None:
        conversation = self._change()
        if not conversation.begun or conversation.program_session == program_session:
            conversation.enter(program_session)
            return
        conversation.switch()
        self._conversation = messages.begin(self._transaction, self._agent, program_session)
        self._conversation.enter(program_session)
        if conversation.on_terminal:
            self._conversation.attach_terminal()

    def _end_turn(self, block: Block) -> None:
        conversation = self._change()
        reason, detail = block.get("reason", "lost"), block.get("detail", "")
        told = {"usage": block.get("usage", {}), "cost": block.get("cost")}
        wanted = bool(conversation.interrupted or conversation.insisted)
        worked_on = self._worked_on(block, conversation.turn)
        conversation.end_turn(block.get("turn", ""), reason, detail, **told)
        if reason == "lost" and self._resumes and not wanted and all(draft.can_resume for draft in worked_on):
            for draft in worked_on[:1]:  # those that joined it wait for its end
                draft.resume()
            return
        self._finish(block, worked_on)

    def _worked_on(self, block: Block, *turns: str) -> list[Message]:
        """What led to the turn that is over, or joined it, oldest first; it may be known by others of `turns`."""
        turns, taken, waiting = (block.get("turn", ""), *turns), block.get("message"), self._messages()
        led = [
            draft
            for draft in waiting
            if (draft.state == ACKNOWLEDGED and draft.turn in turns) or draft.delivery == taken
        ]
        return [draft for draft in waiting if draft in led or any(each.was_joined_by(draft) for each in led)]

    def _finish(self, block: Block, worked_on: list[Message]) -> None:
        for draft in worked_on:
            draft.finish(block.get("reason", "lost"), block.get("detail", ""), block.get("trouble", ""))

    def _acknowledge(self, block: Block) -> None:
        """What is told outside of the turn that runs was taken up by an earlier program, which went away; but where
        it is told of a conversation that was left while it was handed on, that works on it.
        """
        if message := self._message(block["message"]):
            draft, runs, turn = self._transaction.change(message), self._change().turn, block.get("turn", "")
            if turn and self._is_elsewhere(block):
                draft.acknowledge(turn)
            elif runs and turn in ("", runs):
                draft.acknowledge(runs)
            elif draft.can_resume:
                draft.resume()
            else:
                for each in messages.with_joined(self._transaction, draft):
                    each.finish("lost")

    def _drop(self, uid: str) -> None:
        if message := self._message(uid):
            for each in messages.with_joined(self._transaction, self._transaction.change(message)):
                each.give_up("the program did not take it up")

    def _message(self, uid: str) -> Message | None:
        """One of ours that is on its way; what a program gives as its id may be anything."""
        waiting = self._transaction.state.messages.get(self._agent.uid, {})
        return next((message for message in waiting.values() if message.delivery == uid), None)

    def _messages(self) -> list[Message]:
        """All that are on their way, oldest first."""
        waiting = self._transaction.state.messages.get(self._agent.uid, {})
        return [self._transaction.change(message) for message in list(waiting.values())]

    def _should_run(self) -> bool:
        state = self._transaction.state
        return bool(state.host and states.should_run(self._agent, state.vibespace_of(self._agent), state.host))

    def _ask(self, block: Block) -> None:
        uid = approval_id(self._agent.uid, self._place, block["request"])
        if uid in self._transaction.drafts:
            return
        for earlier in self._approvals(block["request"]):
            earlier.expire("it was asked anew")
        told = {name: block.get(name, "") for name in ("request", "turn", "tool", "input", "input_hash")}
        rules, why = list(block.get("rules", ())), block.get("reason", "")
        where = {"agent_uid": self._agent.uid, "vibespace": self._agent.vibespace, "agent": self._agent.name}
        timeout = self._agent.settings.get("approval_timeout", "")
        self._transaction.add(Approval.create(uid, **where, **told, rules=rules, why=why, timeout=timeout))

    def _approvals(self, request: str) -> list[Approval]:
        """Those that wait under that name."""
        waiting = self._transaction.state.approvals.get(self._agent.uid, {}).values()
        drafts = self._transaction.drafts.values()  # it may have been asked by the same line
        found = [each for each in (*waiting, *drafts) if isinstance(each, Approval) and each.request == request]
        return [self._transaction.change(each) for each in found]


def _agent(transaction: Transaction, agent_uid: str) -> Agent:
    found = transaction.state.aggregates.get(UUID(agent_uid))
    if not isinstance(found, Agent):
        raise NotFound("AGENT_NOT_FOUND", "That agent is gone.")
    return found


def _draft(transaction: Transaction, agent: Agent) -> Transcript:
    if found := transaction.state.transcript(agent.uid):
        return transaction.change(found)
    where = {"agent_uid": agent.uid, "vibespace": agent.vibespace, "agent": agent.name}
    return transaction.add(Transcript.create(transcript_id(agent.uid), **where))
