"""One thread for each receiver, so that no pass ever waits for one, nor one receiver for another.

The threads do not keep the process alive: at the end a receiver gets a short moment, and what it has
not taken by then is lost, and counted. Whatever process was to carry it ends with us.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from bidder.domain.notices import Notice, Receiver
from bidder.notify.outbox import Outbox
from bidder.notify.sending import Notifier, Undelivered
from bidder.repeats import Repeats

log = structlog.get_logger("bidder")

# How long what was given up may take to be over.
_OVER_SECONDS = 0.3


class Courier:
    """Takes notices without waiting, and sees to it that they are sent."""

    def __init__(self, ways: Iterable[tuple[Receiver, Notifier]]) -> None:
        """Start a thread for each receiver."""
        self._rounds = [_Round(receiver, notifier) for receiver, notifier in ways]

    def tell(self, notice: Notice) -> None:
        """Hand a notice to every receiver that wants it; never waits, never fails."""
        for each in self._rounds:
            each.put(notice)

    def arrived(self) -> tuple[Notice, ...]:
        """Return what has got to a receiver since this was asked last, once for each that has it."""
        return tuple(notice for each in self._rounds for notice in each.arrived())

    def close(self, patience_seconds: float) -> int:
        """Give what waits a short moment to go out; return how many notices were lost in all."""
        for each in self._rounds:
            each.end()
        self._wait(patience_seconds)
        for each in self._rounds:
            each.give_up()
        self._wait(_OVER_SECONDS)
        lost = sum(each.unsent() for each in self._rounds)
        if lost:
            log.warning("notices.lost", notices=lost)
        return lost

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for each in self._rounds:
            each.thread.join(max(0.0, deadline - time.monotonic()))


@dataclass(slots=True)
class Mishaps:
    """What the log is told of one receiver's failures: fewer and fewer lines while they last.

    ``place`` is where the receiver stands in the configuration; an address is a secret.
    """

    place: str
    _repeats: Repeats = field(default_factory=Repeats)

    def failed(self, notice: Notice, error: str, again_in_seconds: float | None, now: datetime) -> None:
        """Note that a message did not get there; ``again_in_seconds`` None: it is given up."""
        if self._repeats.again(now):
            log.warning(
                "notice.failed",
                receiver=self.place,
                notice=notice.event.value,
                error=error,
                again_in_seconds=again_in_seconds,
                unsaid=self._repeats.said(),
            )

    def sent(self, lost: int, now: datetime) -> None:
        """Note that a message got there; ``lost`` are all that ever did not."""
        # The next message may be a day away: that this one got there is said now.
        over = self._repeats.over(now, after=timedelta(0))
        if over is not None:
            log.info(
                "notices.recovered",
                receiver=self.place,
                failures=over[0],
                seconds=round(over[1].total_seconds()),
                lost=lost,
            )


class _Round:
    """One receiver's thread and its outbox."""

    def __init__(self, receiver: Receiver, notifier: Notifier) -> None:
        self.outbox = Outbox(receiver)
        self._mishaps = Mishaps(receiver.place)
        self._notifier = notifier
        self._arrived: list[Notice] = []
        self._wakened = threading.Condition()
        self._ending = False
        self.thread = threading.Thread(target=self._run, name=f"notices {receiver.place}", daemon=True)
        self.thread.start()

    def put(self, notice: Notice) -> None:
        with self._wakened:
            if self.outbox.put(notice, time.monotonic()):
                self._wakened.notify()

    def unsent(self) -> int:
        with self._wakened:
            return self.outbox.lost + self.outbox.waiting

    def arrived(self) -> list[Notice]:
        with self._wakened:
            arrived, self._arrived = self._arrived, []
            return arrived

    def end(self) -> None:
        with self._wakened:
            self._ending = True
            self._wakened.notify()

    def give_up(self) -> None:
        self._notifier.give_up()

    def _run(self) -> None:
        while True:
            with self._wakened:
                notice, wait = self.outbox.next(time.monotonic(), ending=self._ending)
                if notice is None:
                    if self._ending and wait is None:
                        return
                    self._wakened.wait(wait)
                    continue
            self._send(notice)

    def _send(self, notice: Notice) -> None:
        error = ""
        try:
            self._notifier.send(notice)
        except Undelivered as exc:
            error = str(exc)
        except Exception as exc:  # noqa: BLE001 - one bad notice must not silence all later ones
            error = type(exc).__name__
        with self._wakened:
            now = time.monotonic()
            if not error:
                self._arrived += self.outbox.sent(now)
            again = self.outbox.failed(now) if error else None
            lost = self.outbox.lost
        if error:
            self._mishaps.failed(notice, error, again, datetime.now(UTC))
        else:
            self._mishaps.sent(lost, datetime.now(UTC))
