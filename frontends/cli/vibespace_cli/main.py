"""The command `vibespace`: runs one command line, and turns whatever happens into an exit code."""

import sys

CANCELLED = 14
"""Exit code of Ctrl-C."""

# In this order: Ctrl-C while the rest is imported is to be as quiet as it is later. The hook holds until the signal is
# ours, whose own module takes a while to import.
_hook, sys.excepthook = sys.excepthook, lambda kind, *more: kind is KeyboardInterrupt or _hook(kind, *more)
# And so is one that comes while a generator is closed, which Python can raise nowhere.
_lost, sys.unraisablehook = sys.unraisablehook, lambda what: what.exc_type is KeyboardInterrupt or _lost(what)

import contextlib  # noqa: E402
import gc  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402

signal.signal(signal.SIGINT, lambda *_: os._exit(CANCELLED))

# Nothing of a short command is worth collecting, and importing is mostly making objects: a third of a start is spared.
gc.disable()

from typing import TYPE_CHECKING  # noqa: E402

if TYPE_CHECKING:
    from vibespace.errors import Error
    from vibespace_cli.session import Session


def main() -> None:
    """Run the command line and leave."""
    _fill_standard_files()
    try:
        from vibespace_cli.session import Session

        # Ours until the end: a channel that is let go while a call is under way waits for that call.
        session = Session()
        code = run(sys.argv[1:], session)
        sys.stdout.flush()
        with contextlib.suppress(OSError):  # what is beside the answer changes nothing of how it ended
            sys.stderr.flush()
    except KeyboardInterrupt:
        code = CANCELLED
    except BrokenPipeError:
        code = 0  # Whoever read our output had enough.
    except OSError as e:
        code = _unwritten(e)
    # Not sys.exit(): taking the interpreter and the channel apart again takes longer than most commands.
    os._exit(code)


def run(arguments: list[str], session: "Session | None" = None) -> int:
    """Run one command line; returns its exit code. Everything a person gets to read is written."""
    import click

    from vibespace import errors
    from vibespace_cli.session import Session
    from vibespace_cli.tree import Tree

    signal.signal(signal.SIGINT, signal.default_int_handler)
    session = session or Session()
    if completing := os.environ.get("_VIBESPACE_COMPLETE"):
        from click.shell_completion import shell_complete

        return shell_complete(Tree(), {"obj": session}, "vibespace", "_VIBESPACE_COMPLETE", completing)
    try:
        with Tree().make_context("vibespace", list(arguments), obj=session) as ctx:
            gc.freeze()
            gc.enable()
            code = ctx.command.invoke(ctx)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as e:
        return e.exit_code
    except click.exceptions.NoArgsIsHelpError as e:
        sys.stdout.write(e.format_message() + "\n")
        return 0
    except click.UsageError as e:
        return _failed(session, _usage(e), arguments)
    except errors.Error as e:
        return _failed(session, e, arguments)
    except (KeyboardInterrupt, click.Abort):
        if session.output.streaming:
            return CANCELLED
        return _failed(session, errors.Cancelled("INTERRUPTED", "Interrupted."), arguments)
    except BrokenPipeError:
        # The flush of what is still buffered must not fail as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as e:  # whatever it is, nobody at a prompt is shown a traceback
        if isinstance(e, OSError) and e.filename is None:
            raise  # Writing the answer failed: a full disk, most likely.
        return _failed(session, _defect(e), arguments)


def _fill_standard_files() -> None:
    """Open what was closed (`>&-`), before a socket gets its number and is written to as if it were the output."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (for as long as we live)


def _unwritten(error: OSError) -> int:
    """There is nobody left to tell in JSON, and perhaps nobody at all."""
    with contextlib.suppress(OSError):
        os.write(2, f"vibespace: The answer could not be written: {error.strerror}.\n".encode())
    return 15


def _failed(session: "Session", error: "Error", arguments: list[str]) -> int:
    output = session.output
    if "--json" in arguments[: arguments.index("--") if "--" in arguments else None]:
        output.json = True  # A line that cannot be parsed has not said so yet.
    try:
        return output.error(error)
    except BrokenPipeError:
        return 1


def _usage(error: object) -> "Error":
    import click

    from vibespace.errors import InvalidArgument

    assert isinstance(error, click.UsageError)
    path = error.ctx.command_path if error.ctx else "vibespace"
    return InvalidArgument("USAGE", " ".join(error.format_message().split()), hint=f"See {path} --help.")


def _defect(error: Exception) -> "Error":
    from vibespace.errors import Internal

    hint = "With VIBESPACE_DEBUG=1, debug.log says where."
    if os.environ.get("VIBESPACE_DEBUG") == "1":
        hint = f"{_note(error)} says where."
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    return Internal("DEFECT", f"This is a defect of vibespace ({what}).", hint=hint)


def _note(error: Exception) -> str:
    """Write into debug.log where it happened, and where that is; no values: some may be secret, and only the daemon
    knows which.
    """
    import json
    import time
    import traceback

    from vibespace.state import state

    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    line = {"level": "ERROR", "logger": "vibespace_cli", "message": type(error).__name__, "traceback": places}
    with state().debug_log.open("a") as file:
        file.write(json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **line}) + "\n")
    return str(state().debug_log)
