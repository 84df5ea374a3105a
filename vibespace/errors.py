"""The reasons a request can fail: one class a kind, one word a reason. No imports."""


class Error(Exception):
    """What went wrong, for a machine (`reason`, `metadata`) and for a person (the sentence).

    `reason` is UPPER_SNAKE_CASE and stable (AIP-193); `field` is the request field at fault, if one is;
    `hint` says what to do next.
    """

    def __init__(self, reason: str, message: str, *, field: str = "", hint: str = "", **metadata: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        self.hint = hint
        self.metadata = metadata

    @property
    def sentence(self) -> str:
        """What went wrong and what to do next, in one line: what is recorded as a reason, for nothing else of it is."""
        message = ended(self.message) if self.hint and self.message else self.message
        return " ".join(f"{message} {self.hint}".split())


class InvalidArgument(Error):
    """The request is wrong whatever the state."""


class NotFound(Error):
    """What the request names does not exist."""


class AlreadyExists(Error):
    """The name is taken."""


class PermissionDenied(Error):
    """Not for this caller."""


class FailedPrecondition(Error):
    """Right, but not in this state."""


class Aborted(Error):
    """Lost a race; trying again may work."""


class Unavailable(Error):
    """Something that is needed does not answer now."""


class Exhausted(Error):
    """Disk, memory, ports or a quota ran out."""


class DeadlineExceeded(Error):
    """It took longer than allowed."""


class Cancelled(Error):
    """The caller gave up."""


class Internal(Error):
    """A defect of ours."""


def ended(sentence: str) -> str:
    """With a stop, where what it ends with, such as somebody else's reason, has none of its own."""
    said = sentence.rstrip()
    return said if said.endswith(tuple(".!?:;…")) else f"{said}."


def at_rest() -> FailedPrecondition:
    """What ends whoever waits for news when there will be none: else they would wake the next daemon."""
    return FailedPrecondition(
        "AT_REST",
        "Everything was put to rest by 'vibespace stop', and the daemon has ended.",
        hint="'vibespace start' brings back what ran.",
    )
