"""A stream that takes whatever is written, also where nothing can be written any more.

A terminal that was closed, a pipe without a reader or a full disk must not end what the program is for:
each line of the log would raise, and trading with it, in every pass anew.
"""

from contextlib import suppress
from typing import TextIO

# Python has no stream at all where whoever started us closed it; a closed one raises ValueError.
_UNWRITABLE = (OSError, ValueError, AttributeError)


class Lossy:
    """Writes to ``stream`` as long as that can be written; what cannot be is lost."""

    def __init__(self, stream: TextIO) -> None:
        """Write to this stream."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, or lose it."""
        with suppress(*_UNWRITABLE):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Send on what was written."""
        with suppress(*_UNWRITABLE):
            self._stream.flush()
