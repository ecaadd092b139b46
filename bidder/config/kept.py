"""The configuration that the daemon took up last, kept for whoever must do without the file on disk.

A typing error must not silence the health check, refuse the panic command or disarm the guard. So the
daemon leaves a copy of the text, as it was written: a reference to a secret stays one. It lies where the
default database does, in the state directory or else beside the file itself: the one place that is found
without reading the file, and that a daemon on PostgreSQL has as well. Rejected: to read of a broken file
only the keys that a command needs. One that is no YAML any more has none, and a misspelt ``mode: live``
would be taken for paper.
"""

import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bidder.config.settings import Settings


def place(path: Path, environ: Mapping[str, str]) -> Path:
    """Return where the copy of this configuration is, or would be."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - a link is not followed: it may be turned to another file
    state = environ.get("STATE_DIRECTORY", "").split(":")[0]
    # Several accounts may share a state directory, each with a file of its own.
    which = hashlib.sha256(os.fsencode(absolute)).hexdigest()[:12]
    return (Path(state) if state else absolute.parent) / f"taken-up-{which}.yaml"


def keep(settings: Settings, environ: Mapping[str, str]) -> None:
    """Keep the text of these settings, readable for this user alone; raises OSError."""
    copy = place(settings.path, environ)
    with suppress(OSError):
        if _is_sound(copy) and copy.read_bytes() == settings.text:
            return
    number, written = tempfile.mkstemp(prefix=".taken-up-", dir=copy.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(settings.text)
            file.flush()
            os.fsync(file.fileno())
        Path(written).replace(copy)
    except BaseException:
        Path(written).unlink(missing_ok=True)
        raise


def find(path: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the copy of what the daemon took up last; None where there is none to trust."""
    copy = place(path, environ)
    with suppress(OSError, ValueError):
        if _is_sound(copy):
            return copy
    return None


def _is_sound(copy: Path) -> bool:
    """Return whether nobody but this user, root or the folder's owner can have written it."""
    seen = copy.lstat()
    owners = {0, os.geteuid(), copy.parent.stat().st_uid}
    return stat.S_ISREG(seen.st_mode) and seen.st_uid in owners and not seen.st_mode & 0o077
