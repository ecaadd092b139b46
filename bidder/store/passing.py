"""Which failures of a database may be over in a moment, and what helps where they are not.

A daemon that cannot open its database ends. Where the same may work a minute later, whoever keeps it
running should try again, for its orders are looked after by nobody meanwhile; what a person must mend
is the same a minute later. Told by what the driver says: SQLite's texts are the same everywhere, and a
server's answer has a code. Rejected: to call everything passing. A corrupt file would be opened for
months, every five seconds, and nobody would be told that only a backup helps.
"""

import errno
import re
from typing import Final

from sqlalchemy.exc import StatementError

# By the text that says it; locks have an error of their own (StoreBusy).
_SQLITE: Final = {
    "database or disk is full": "make room on its disk",
    "disk i/o error": "make room on its disk; where that is not it, the disk itself fails (see dmesg)",
    # That path, folder and rights are good has been looked at before.
    "unable to open database file": "make room on its disk, and see that not too many files are open",
    "out of memory": "leave it more memory",
    "locking protocol": "see what else has the file open",
}
# What SQLite's check says of a page that could not be read, with the result's number.
_UNREAD_PAGE: Final = re.compile(r"unable to get the page\. error code=(\d+)")
_SQLITE_NUMBERS: Final = {
    7: "out of memory",
    10: "disk i/o error",
    13: "database or disk is full",
    14: "unable to open database file",
}
# Classes of SQLSTATE: the connection, two that waited for each other, what the server lacks (room on its
# disk), an operator who ends or starts it, and what goes wrong between it and its machine.
_SQLSTATES: Final = ("08", "40", "53", "57", "58")
# Of a server that says no before there is a connection, and so without a code.
_FOR_A_WHILE: Final = (
    "starting up",
    "shutting down",
    "recovery mode",
    "too many",
    "remaining connection",
    "not yet accepting",
)
_SYSTEM: Final = {
    errno.EAGAIN,
    errno.EBUSY,
    errno.EDQUOT,
    errno.EINTR,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOSPC,
    errno.ESTALE,
    errno.ETIMEDOUT,
}


def sqlite_remedy(problem: str) -> str | None:
    """Return what helps where SQLite's ``problem`` may pass; None where it stays until it is mended."""
    said = problem.lower()
    unread = _UNREAD_PAGE.search(said)
    if unread is not None:
        # The lower byte is the kind of failure, the rest says more about it.
        said = _SQLITE_NUMBERS.get(int(unread[1]) & 0xFF, "")
    return next((remedy for text, remedy in _SQLITE.items() if text in said), None)


def server_may_be_back(problem: str, cause: BaseException | None) -> bool:
    """Return whether a server's failure may pass: nobody answered, or who cannot serve at present.

    A name that cannot be resolved counts as well: so a machine that has just started sees every name,
    and a container the name of one that is being started. ``cause`` is what the database layer raised.
    """
    original = cause.orig if isinstance(cause, StatementError) else None
    state = getattr(original, "sqlstate", None)
    if isinstance(state, str) and state:
        return state.startswith(_SQLSTATES)
    if "failed to resolve host" in problem or "could not translate host name" in problem:
        return True
    refused = "FATAL" in problem  # so a server says no to a user, a password or a database
    return "connection" in problem and (not refused or any(each in problem for each in _FOR_A_WHILE))


def system_may_recover(exc: BaseException) -> bool:
    """Return whether what the system refused may go well in a moment: no room, no memory, a bad read."""
    return isinstance(exc, OSError) and exc.errno in _SYSTEM
