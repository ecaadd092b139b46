"""Whether this user may use a database file, and who could make it so.

A backup that root has put back belongs to root, and the daemon is another user: what helps there is
another owner, not another mode.
"""

import os
import pwd
from pathlib import Path
from typing import Final

from bidder.errors import StoreUnusable

# What SQLite keeps beside the file; it needs them as much.
_BESIDE: Final = ("", "-wal", "-shm")
# As the process acts now; where the system cannot tell that, as it was started.
_EFFECTIVE: Final = os.access in os.supports_effective_ids


def require_rights(file: Path) -> None:
    """Refuse a database file, or one that SQLite keeps beside it, that this user may not write.

    Raises:
        StoreUnusable: the message names its owner, its mode and what to run.
    """
    for suffix in _BESIDE:
        part = file.with_name(file.name + suffix)
        try:
            found = part.stat()
        except FileNotFoundError:
            continue
        # Looked at by its mode too: root may write everything, yet the owner said that nobody should.
        writable = os.access(part, os.W_OK, effective_ids=_EFFECTIVE) and found.st_mode & 0o222
        if writable and os.access(part, os.R_OK, effective_ids=_EFFECTIVE):
            continue
        may_not = "read-only" if os.access(part, os.R_OK, effective_ids=_EFFECTIVE) else "not readable"
        us = os.geteuid()
        state = f"mode {found.st_mode & 0o7777:04o}, owner {_name(found.st_uid)}"
        raise StoreUnusable(
            f"{part}: the database file is {may_not} for {_name(us)} ({state});"
            f" {_remedy(part, found.st_uid, us)}"
        )


def _remedy(part: Path, owner: int, us: int) -> str:
    if owner == us or us == 0:
        return f"allow it to its owner: chmod u+rw {part}"
    if part.parent.stat().st_uid == us:
        return f"give it to the owner of its folder, as root: chown --reference={part.parent} {part}"
    return f"run this as {_name(owner)} or as root"


def _name(user: int) -> str:
    try:
        return f"{pwd.getpwuid(user).pw_name} ({user})"
    except KeyError:  # such as a user that exists only while a service runs
        return f"user {user}"
