"""What readers do wrong, as events of ours, and less and less often while it lasts.

Whoever reaches the port can make uvicorn and asyncio complain as often as they like. Their words are
caught at their loggers: to look at each line when it is printed would make the daemon's whole log pay.
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import structlog

from bidder.clock import Clock
from bidder.repeats import Repeats

log = structlog.get_logger("bidder")

_SERVER: Final = "uvicorn.error"
_LOOP: Final = "asyncio"
_EVENTS: Final = (
    (_SERVER, "Invalid HTTP request received", "web.malformed"),
    (_SERVER, "Unsupported upgrade request", "web.upgrade_refused"),
    (_SERVER, "No supported WebSocket library", ""),  # the second half of the line before
    (_SERVER, "Exception in ASGI application", "web.page_failed"),
    (_LOOP, "socket.accept() out of system resource", "web.no_descriptors"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grumbles:
    """One kind of trouble for each event; ``clock`` is the machine's own."""

    clock: Clock
    _repeats: dict[str, Repeats] = field(default_factory=dict)

    def again(self, event: str, **values: object) -> None:
        """Say that it happened, unless it was said lately."""
        repeats = self._repeats.setdefault(event, Repeats())
        if repeats.again(self.clock.now()):
            log.warning(event, **values, unsaid=repeats.said())

    def answered(self) -> None:
        """Note that a reader got an answer; what has stayed away for some minutes is over."""
        for event, repeats in self._repeats.items():
            over = repeats.over(self.clock.now())
            if over is not None:
                seconds = round(over[1].total_seconds())
                log.info("web.calm", after=event, occurrences=over[0], seconds=seconds)

    @contextlib.contextmanager
    def hearing(self) -> Iterator[None]:
        """Catch what the libraries say while the block lasts."""
        loggers = [logging.getLogger(name) for name in (_SERVER, _LOOP)]
        for each in loggers:
            each.addFilter(self._heard)
        try:
            yield
        finally:
            for each in loggers:
                each.removeFilter(self._heard)

    def _heard(self, record: logging.LogRecord) -> bool:
        """Return whether the library may say it itself."""
        text = record.getMessage().strip()
        for name, start, event in _EVENTS:
            if record.name == name and text.startswith(start):
                if event:
                    # Where in asyncio the descriptors ran out helps nobody.
                    cause = record.exc_info if name == _SERVER else None
                    self.again(event, exc_info=cause)
                return False
        # What the loop has to say of other work is not ours to shorten.
        if record.name != _SERVER or record.levelno < logging.WARNING:
            return True
        self.again("web.complaint", text=text, exc_info=record.exc_info)
        return False
