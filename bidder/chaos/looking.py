"""What is left behind, looked at after each life and at the end: secrets, and the money spent."""

import io
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bidder.chaos.canaries import MARK, PLANTED
from bidder.chaos.listed import orders_in
from bidder.store.keeping import Unpackable, unpack

if TYPE_CHECKING:
    from bidder.chaos.day import ChaosDay

# A log is kept so far back for whoever reads it after the day.
_LOG_KEPT = 1_000_000
_FINAL_WORD = timedelta(minutes=45)


class Log(io.StringIO):
    """A log that is cut off at its beginning; positions count from where it once began."""

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__()
        self._cut = 0

    def tell(self) -> int:
        """Return the position, cut-off text included."""
        return super().tell() + self._cut

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, or to the first that is left."""
        if whence == io.SEEK_SET:
            position = max(0, position - self._cut)
        return super().seek(position, whence) + self._cut

    def since(self, position: int) -> str:
        """Return what was written since a position."""
        self.seek(position)
        return self.read()

    def keep(self, most: int) -> None:
        """Forget all but the last ``most`` characters."""
        text = self.getvalue()
        if len(text) <= 2 * most:
            return
        self._cut += len(text) - most
        super().seek(0)
        self.truncate()
        self.write(text[-most:])


class Looking:
    """Looks for what should not be there, or not be so much."""

    def __init__(self, day: "ChaosDay") -> None:
        """Look at one day."""
        self._day = day
        self._read_to = 0
        self._listed: set[int] = set()  # the running orders that the daemon has read of since a restore

    # Secrets

    def life_ended(self) -> None:
        """Look at the log since the last look, and at the database's files as they are."""
        self.log()
        self.files()

    def before_restore(self, *, readable: bool = True) -> None:
        """Look at a database that is about to be replaced: what it holds is gone afterwards."""
        self.files()
        self._listed.clear()
        if readable:
            self.rows(self._day.stored())

    def log(self) -> None:
        """Look for secrets in what has been logged since the last look."""
        log = self._day.log
        self.text("the log", log.since(self._read_to))
        self._read_to = log.tell()
        log.keep(_LOG_KEPT)

    def files(self) -> None:
        """Look for secrets in the database's files: deleted rows may still be seen in them."""
        file = self._day.file
        for path in (file, file.with_name(f"{file.name}-wal")):
            if path.exists() and MARK.encode() in (content := path.read_bytes()):
                self.text("a file of the database", content.decode("utf-8", "replace"))

    def rows(self, stored: dict[str, list[dict[str, Any]]]) -> None:
        """Look for secrets in the rows of the database."""
        self.text("the database", "\n".join(_texts(stored)))

    def text(self, where: str, text: str) -> None:
        """Look for secrets in anything that may be shown."""
        at = text.find(MARK)
        if at < 0:
            return
        near = text[max(0, at - 40) : at + 60]
        names = [name for name, secret in PLANTED.items() if secret in text]
        named = ", ".join(names) or "a part of one"
        self._day.watch.violated("no secret", f"{named} in {where}: {near!r}")

    # Money

    def listed(self) -> None:
        """Take note that the daemon has read the latest list of its orders, and put it away."""
        listed = orders_in(self._day.transport.last_orders)
        self._listed.update(order["id"] for order in listed if not order.get("expired"))

    # All of it

    def at_the_end(self) -> None:
        """Look at everything once more."""
        stored = self._day.stored()
        self.life_ended()
        self.rows(stored)
        for where, text in self._day.carriers.shown():
            self.text(where, text)
        self._day.growth.at_the_end(stored)
        self.money(stored)

    def money(self, stored: dict[str, list[dict[str, Any]]]) -> None:
        """Each order that was listed is stored, and what it has spent, to the last digit."""
        rows = {row["order_id"]: row for row in stored["orders"]}
        nobodys = self._day.wires_own | self._day.person.by_hand
        for number in sorted(self._listed - rows.keys() - nobodys):
            self._day.watch.violated("money", f"order {number}: was listed, and is stored no more")
        # What ended just now has not been read for the last time yet.
        settled_by = (self._day.transport.now() - _FINAL_WORD).isoformat()
        for order in self._day.exchange.ground_truth():
            row = rows.get(order["id"])
            if row is None or order["ended_at"] is None or order["ended_at"] > settled_by:
                continue
            if Decimal(str(row["spend"])) != Decimal(order["spend"]):
                what = f"order {order['id']}: stored {row['spend']}, true {order['spend']}"
                self._day.watch.violated("money", what)
        self.money_of_live_orders(rows)

    def money_of_live_orders(self, rows: dict[int, dict[str, Any]]) -> None:
        """The spend of every order that runs is what the last list of ours said, to the last digit."""
        listed = orders_in(self._day.transport.last_orders)
        for order in listed:
            row = rows.get(order["id"])
            if row is None or row["ended_at"] is not None or order.get("expired"):
                continue
            if Decimal(str(row["spend"])) != Decimal(str(order["spend"])):
                said = f"order {order['id']}: stored {row['spend']}, told {order['spend']}"
                self._day.watch.violated("money", said)


def _texts(stored: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    for table, rows in stored.items():
        yield table
        for row in rows:
            for value in row.values():
                if isinstance(value, bytes):
                    yield _unpacked(value)
                elif not isinstance(value, int | float):
                    yield str(value)


def _unpacked(body: bytes) -> str:
    """Return what is kept of a decision or a configuration: packed, a secret could not be seen."""
    try:
        return unpack(body)
    except Unpackable:
        return body.decode("utf-8", "replace")
