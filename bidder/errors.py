"""Every error of ours, in one tree.

::

    BidderError
      BadInput                     the owner can mend it; exit code 2
        ConfigError                  file, line, key, value, remedy
        StoreUnusable                the database cannot be used as it is
          StoreUnavailable             at present: no server, no room, a bad read; code 1
          StoreAbsent                  there is none yet
          StoreOutdated                it is empty or of an older schema
        PlaceTaken                   another program listens there; it may be gone in a moment: code 1
      MoneyError
        InvalidAmount                text that is no exact, finite amount
        MixedCurrencies              two currencies met without a rate
        NoRate                       a currency has no rate to USD
      ExchangeError                what a call to the exchange can end in; nothing else leaves it
        NotSent                      nothing reached the exchange: safe to try again
        Refused                      the exchange said no, for certain
          RateLimited                  code 5 or HTTP 429
          InvalidToken                 code 3; exit code 3
          InvalidRequest               code 2
          InvalidEndpoint              code 4
          StepExceeded                 exceeded_max_step, carries max_step
          LoweredTooSoon               can_lower_every_600_seconds, carries time_to_lowering
          PriceTooLow                  too_low_price, carries min_price
          ServerTaken                  server-already-rented, already-rented
          ServerOffline                server-offline
          CurrencyNotAllowed           currency-not-allowed
          NotEnoughBalance             not_enough_balance
          OtherRefusal                 any string that the API page does not know
        InDoubt                      sent, but the result is unknown
      StoreFailed                  the database did not do it; nothing of it was kept
        StoreBusy                    another process kept the database locked for too long
        IntentOpen                   the server has an unfinished intent already
      StrategyFailed               a strategy of the owner's gave no answer that can be used
      MeterFailed                  what a day cost against the optimum could not be reckoned
      LeaseHeld                    another daemon trades this account; exit code 4
        OlderDaemon                  it is of an earlier version, and so is its database
      LeaseLost                    we were that daemon and are no longer
      Unreachable                  a command got no answer from the exchange; exit code 5

The three families under ``ExchangeError`` are the executor's safety argument: ``NotSent`` may be
repeated, ``Refused`` is final, and after ``InDoubt`` our orders are read before anything else is
sent for that server. Precise causes stay in ``__cause__``.
"""

from decimal import Decimal


class BidderError(Exception):
    """Something that the program foresaw went wrong."""


class BadInput(BidderError):
    """What the owner gave cannot be used; the message names the place, the value and the remedy."""


class ConfigError(BadInput):
    """One thing in a configuration file is wrong."""

    def __init__(
        self,
        problem: str,
        *,
        file: str,
        line: int | None = None,
        key: str | None = None,
        value: object = None,
        remedy: str = "",
    ) -> None:
        """Describe the problem on one line: ``file:line: key: problem (got value); remedy``."""
        self.problem = problem
        self.file = file
        self.line = line
        self.key = key
        self.value = value
        self.remedy = remedy
        place = file if line is None else f"{file}:{line}"
        parts = [place, key, problem] if key else [place, problem]
        text = ": ".join(parts)
        if value is not None:
            text += f" (got {_short(value)})"
        if remedy:
            text += f"; {remedy}"
        super().__init__(text)


class StoreUnusable(BadInput):
    """The database cannot be used as it is: newer schema, read-only, corrupt or unavailable."""


class StoreUnavailable(StoreUnusable):
    """The database cannot be used at present: its server is away, its disk is full or fails.

    The same may work in a moment.
    """


class StoreAbsent(StoreUnusable):
    """There is no database yet."""


class StoreOutdated(StoreUnusable):
    """The database is empty or of an older schema; the daemon upgrades it when it starts."""


class PlaceTaken(BadInput):
    """Another program listens where a page is to be served; it may be gone in a moment."""


class StoreFailed(BidderError):
    """The database could not do it; the whole transaction was undone."""


class StoreBusy(StoreFailed):
    """Another process kept the database locked for too long; nothing was written."""


class IntentOpen(StoreFailed):
    """This server has an unfinished intent already; settle it before sending anything more."""


class MoneyError(BidderError):
    """Amounts that cannot be computed with."""


class InvalidAmount(MoneyError, ValueError):
    """The text is not an exact, finite, non-negative amount."""


class MixedCurrencies(MoneyError, TypeError):
    """Amounts in two currencies were compared or added without a rate between them."""


class NoRate(MoneyError, LookupError):
    """No rate to USD is known for this currency."""


class ExchangeError(BidderError):
    """A call to the exchange did not end in a readable yes."""

    def __init__(self, message: str = "", *, endpoint: str = "") -> None:
        """Keep which endpoint was called; never keep what was sent, it may hold secrets."""
        self.endpoint = endpoint
        text = message or (self.__doc__ or "").strip().splitlines()[0]
        super().__init__(f"{endpoint}: {text}" if endpoint else text)


class NotSent(ExchangeError):
    """Nothing reached the exchange; safe to try again."""


class Refused(ExchangeError):
    """The exchange refused the request for certain; nothing changed there."""

    def __init__(
        self, message: str = "", *, endpoint: str = "", code: int = 6, error: str | None = None
    ) -> None:
        """Keep the answer's ``code`` and its ``error`` string, which is None for codes 2 to 5."""
        self.code = code
        self.error = error
        super().__init__(message, endpoint=endpoint)


class RateLimited(Refused):
    """Too many requests (code 5); wait before the next one."""

    def __init__(self, *, endpoint: str = "", retry_after_seconds: float | None = None) -> None:
        """Keep ``Retry-After`` where the answer had one."""
        self.retry_after_seconds = retry_after_seconds
        super().__init__(endpoint=endpoint, code=5)


class InvalidToken(Refused):
    """The exchange does not accept the API token (code 3)."""


class InvalidRequest(Refused):
    """The exchange calls the request's data invalid (code 2)."""


class InvalidEndpoint(Refused):
    """The exchange does not know the endpoint (code 4)."""


class StepExceeded(Refused):
    """The lowering went too far; ``max_step`` is the lowest price that may be set now."""

    def __init__(self, *, max_step: Decimal | None, endpoint: str = "") -> None:
        """Keep ``max_step`` (per day, in the order's currency); None when the answer had none."""
        self.max_step = max_step
        detail = "" if max_step is None else f", the lowest price now is {max_step:f}"
        super().__init__(f"exceeded_max_step{detail}", endpoint=endpoint, error="exceeded_max_step")


class LoweredTooSoon(Refused):
    """The 600 seconds since the last lowering are not over."""

    def __init__(self, *, time_to_lowering: float | None, endpoint: str = "") -> None:
        """Keep the seconds still to wait; None when the answer had none that could be read."""
        self.time_to_lowering = time_to_lowering
        error = "can_lower_every_600_seconds"
        detail = "" if time_to_lowering is None else f", {time_to_lowering:g} s to wait"
        super().__init__(f"{error}{detail}", endpoint=endpoint, error=error)


class PriceTooLow(Refused):
    """The bid is below the server's lowest allowed price."""

    def __init__(self, *, min_price: Decimal | None, endpoint: str = "") -> None:
        """Keep the floor (per day, in the bid's currency) that the answer named."""
        self.min_price = min_price
        detail = "" if min_price is None else f", at least {min_price:f}"
        super().__init__(f"too_low_price{detail}", endpoint=endpoint, error="too_low_price")


class ServerTaken(Refused):
    """The server is rented on demand; no bid can win there now."""


class ServerOffline(Refused):
    """The server is offline."""


class ServerBarred(Refused):
    """The server takes no order of ours for long: it is auctioned as a GigaSPOT, or our own."""


class OrderExists(Refused):
    """An order of ours stands on this server already; read our orders."""


class OrderGone(Refused):
    """The exchange knows no live order of this number; read our orders."""


class PriceMoved(Refused):
    """The on-demand price is not the one that was required; read the marketplace."""


class CurrencyNotAllowed(Refused):
    """The server's host does not take this currency."""


class NotEnoughBalance(Refused):
    """The wallet does not hold enough."""


class OtherRefusal(Refused):
    """The exchange refused for a reason that is not in its documents; shown to the owner."""


class InDoubt(ExchangeError):
    """The request was sent but its result is unknown. Read our orders before sending more."""


class StrategyFailed(BidderError):
    """A strategy of the owner's raised, or answered what cannot be used; its bids stay as they are."""


class MeterFailed(BidderError):
    """The regret of a span could not be reckoned; trading is not touched by that."""


class LeaseHeld(BidderError):
    """Another daemon trades this account."""


class OlderDaemon(LeaseHeld):
    """A daemon of an earlier version is at work on the database; restart it with this version first."""


class LeaseLost(BidderError):
    """The lease on the account passed to another daemon; this one stops trading."""


class Unreachable(BidderError):
    """The exchange gave no usable answer."""


def _short(value: object, limit: int = 80) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
