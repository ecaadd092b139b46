"""How a command ends: its exit code, and one line on standard error for what went wrong."""

import json
import os
import sys
import traceback
from collections.abc import Callable
from enum import IntEnum
from typing import TextIO

from bidder.errors import (
    BadInput,
    BidderError,
    InDoubt,
    InvalidToken,
    LeaseHeld,
    LeaseLost,
    NotSent,
    PlaceTaken,
    RateLimited,
    StoreUnavailable,
    Unreachable,
)
from bidder.lossy import Lossy


class ExitCode(IntEnum):
    """What the shell, systemd and Docker see; part of the interface."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    TOKEN_REFUSED = 3
    HELD = 4
    UNREACHABLE = 5


# The first that fits decides.
_CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    # Not for good: systemd and Docker start the daemon again.
    (StoreUnavailable, ExitCode.FAILED),
    (PlaceTaken, ExitCode.FAILED),
    (BadInput, ExitCode.BAD_INPUT),
    (InvalidToken, ExitCode.TOKEN_REFUSED),
    (LeaseHeld, ExitCode.HELD),
    (LeaseLost, ExitCode.HELD),
    (Unreachable, ExitCode.UNREACHABLE),
    (NotSent, ExitCode.UNREACHABLE),
    (InDoubt, ExitCode.UNREACHABLE),
    (RateLimited, ExitCode.UNREACHABLE),
    (BidderError, ExitCode.FAILED),
)
_PRINTERS = {"typer", "rich"}  # they write nowhere else
_INTERRUPTED = 130  # what a shell reports for a program that SIGINT ended


class CommandFailed(BidderError):
    """The command was understood and tried, and did not succeed."""


def harmless(text: str) -> str:
    """Return the text with everything but line ends escaped that could steer a terminal.

    The escapes are those of JSON, so that a JSON text keeps its meaning. What an answer or the log
    holds is clean already; a database file may have been written by somebody else.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text
    )


def exit_code(exc: BaseException) -> ExitCode:
    """Return the exit code for an error of ours."""
    return next(code for kind, code in _CODES if isinstance(exc, kind))


def complain(text: str, *, kind: str = "error") -> None:
    """Print an error or a warning, each of its lines marked as one; where that cannot be, it is lost."""
    out = Lossy(sys.stderr)
    for line in text.splitlines() or [""]:
        out.write(f"{kind}: {harmless(line)}\n")
    out.flush()


def guarded(command: Callable[[], int]) -> int:
    """Run a command; turn whatever it raises into lines for the user and an exit code."""
    code = _ended(command)
    _give_up_errors()
    if sys.stdout is None:  # closed by whoever started us, so nobody waits for an answer
        return code
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _let_go_of(sys.stdout)
    except OSError as exc:
        return code or _without_output(exc)
    return code


def _ended(command: Callable[[], int]) -> int:
    try:
        return command()
    except BidderError as exc:
        complain(str(exc))
        return exit_code(exc)
    except KeyboardInterrupt:
        complain("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        return ExitCode.DONE
    except OSError as exc:
        if _is_of_output(exc):
            return _without_output(exc)
        complain(_unforeseen(exc))
        return ExitCode.FAILED
    except Exception as exc:  # noqa: BLE001 - a traceback is never shown to a user
        complain(_unforeseen(exc))
        return ExitCode.FAILED


def _is_of_output(exc: OSError) -> bool:
    """Return whether it was standard output that failed: it still does, or a printer met with it."""
    if sys.stdout is None:
        return False
    try:
        sys.stdout.flush()
    except OSError:
        return True
    frame = [each for each, _ in traceback.walk_tb(exc.__traceback__)][-1]
    return exc.filename is None and frame.f_globals.get("__name__", "").partition(".")[0] in _PRINTERS


def _without_output(exc: OSError) -> ExitCode:
    complain(f"standard output cannot be written: {exc.strerror}; send it elsewhere")
    _let_go_of(sys.stdout)
    return ExitCode.FAILED


def _give_up_errors() -> None:
    """Let go of what standard error did not take: the exit code counts more."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.flush()
    except OSError:
        _let_go_of(sys.stderr)


def _let_go_of(stream: TextIO) -> None:
    # Python would try again at exit, complain, and end with a code of its own.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _unforeseen(exc: Exception) -> str:
    """Name the kind and the place only: the message of a foreign error may quote a secret."""
    last = traceback.extract_tb(exc.__traceback__)[-1]
    place = f"{os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119 - a name for the eye
    return f"this should not happen: {type(exc).__name__} at {place}; please report it"
