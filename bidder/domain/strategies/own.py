"""``own``: a rule of the owner's, named in the configuration as ``module:function``.

It runs inside the daemon and is trusted with nothing. It is asked only about a bid that can be judged
and that stands within its ceiling; whatever it raises or answers becomes a decision that says so, and
what it may say is less than what a decision may hold: which order it speaks of, how urgent that is and
what the owner's rails allow is not its to choose. It sees nothing of what the server runs.

A function that never returns stops the whole daemon: code that runs cannot be taken back from within.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from math import isfinite
from types import MappingProxyType, TracebackType
from typing import TypeVar

from bidder.domain.actions import ASIDE, OVERRULED, Action, Decision, Fact, Reason, Reprice, Withdraw
from bidder.domain.money import Price
from bidder.domain.policy import Launch, OwnParams, Policy, Setting, StrategyParams
from bidder.domain.positions import Position
from bidder.domain.quotes import Quote
from bidder.domain.strategies import common
from bidder.errors import StrategyFailed

T = TypeVar("T")

# What a strategy may say of its bid; the rest is the daemon's to find out, or the owner's to command.
MAY_SAY = frozenset(
    {
        Reason.OUTBID,
        Reason.MARK_DOWN,
        Reason.FIXED_PRICE,
        Reason.WAR,
        Reason.RECREATE,
        Reason.SERVER_LOST,
        Reason.WINNING,
        Reason.CLOCK,
        Reason.PATIENCE,
        Reason.CONFIRMING,
        Reason.HANDOVER,
        Reason.WAR_PAUSE,
        Reason.TOO_EXPENSIVE,
        Reason.NOT_WORTH_IT,
        Reason.NO_RATE,
        Reason.UNAVAILABLE,
        Reason.ON_DEMAND_CHEAPER,
    }
)
# By these it is told what became of an answer, which a replay must be able to tell from the answer.
_NOT_ITS_OWN = OVERRULED | ASIDE
_NOTHING_RUNS = Launch(image="")
_MOST_FACTS, _LONGEST_FACT = 40, 300
_LARGEST_FACT = 2**63


def decide(position: Position, params: OwnParams, policy: Policy, now: datetime) -> Decision:
    """Return what the owner's function makes of one standing bid, or the hold where it failed."""
    forced = common.unseen(position, policy, now) or common.above_ceiling(position, position.needed, now)
    if forced is not None:
        return forced
    try:
        return _believed(
            params.decide,
            lambda: params.decide(shown(position), settings_of(params), now),
            lambda answer: checked(answer, position, now),
        )
    except StrategyFailed as exc:
        held = common.hold(position, Reason.STRATEGY_FAILED)
        return replace(held, facts={**held.facts, **failure(params, str(exc))})


def opening_bid(quote: Quote, params: OwnParams) -> Price | None:
    """Return the owner's first bid on a server; None where the function would not bid there.

    Raises:
        StrategyFailed: it raised, or its answer is no price that could be bid.
    """
    ask = params.opening_bid
    if ask is None:
        return quote.needed if quote.needed <= quote.cap else None
    return _believed(
        ask, lambda: ask(quote, settings_of(params)), lambda answer: checked_opening(answer, quote)
    )


def failure(params: StrategyParams, problem: str) -> dict[str, Fact]:
    """Return the facts of a decision that a failed strategy led to."""
    name = params.function if isinstance(params, OwnParams) else type(params).__name__
    return {"strategy": name, "problem": problem}


def shown(position: Position) -> Position:
    """Return the position as the owner's function sees it: without the launch, and read-only."""
    listing, book = position.listing, position.book
    if listing is not None:
        listing = replace(
            listing,
            on_demand=MappingProxyType(dict(listing.on_demand)),
            spot_floor=MappingProxyType(dict(listing.spot_floor)),
        )
    if book is not None:
        book = replace(book, floor=MappingProxyType(dict(book.floor)))
    target = replace(position.target, launch=_NOTHING_RUNS)
    return replace(position, target=target, listing=listing, book=book)


def settings_of(params: OwnParams) -> Mapping[str, Setting]:
    """Return the ``params`` of the configuration as the owner's function gets them: read-only."""
    return MappingProxyType(dict(params.settings))


def _believed(function: object, ask: Callable[[], object], check: Callable[[object], T]) -> T:
    try:
        answer = ask()
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        # Also SystemExit: a strategy must not end the daemon. What it says may quote a secret.
        raise StrategyFailed(_raised(exc, function)) from exc
    try:
        return check(answer)
    except StrategyFailed:
        raise
    except Exception as exc:
        raise StrategyFailed(f"its answer cannot be read: {type(exc).__name__}") from exc


def _raised(exc: BaseException, function: object) -> str:
    """Return the kind of error and the last line of the function's own file that led to it."""
    home = getattr(function, "__module__", None)
    at: TracebackType | None = exc.__traceback__
    last = None
    while at is not None:
        if last is None or at.tb_frame.f_globals.get("__name__") == home:
            last = at
        at = at.tb_next
    assert last is not None  # it was raised through this very file
    file = last.tb_frame.f_code.co_filename.replace("\\", "/").rsplit("/", 1)[-1]
    return f"it raised {type(exc).__name__[:60]} at {file[:60]}:{last.tb_lineno}"


def checked(answer: object, position: Position, now: datetime) -> Decision:
    """Return the answer as a decision about this bid.

    Raises:
        StrategyFailed: it is none, or asks for what no strategy may.
    """
    if not isinstance(answer, Decision):
        raise StrategyFailed(f"it returned {type(answer).__name__[:60]}, not a Decision")
    order = position.holding.order
    named = (answer.target, answer.server, answer.order)
    if named != (position.target.name, order.server, order.order):
        raise StrategyFailed("its decision is about another target, server or order")
    if answer.reason not in MAY_SAY:
        raise StrategyFailed(f"a strategy cannot give the reason {str(answer.reason)[:60]!r}")
    action, wants_book = _action(answer.action, position), answer.wants_book is not None
    if wants_book and answer.wants_book != order.server:
        raise StrategyFailed("it wants the book of another server")
    outbid = position.offer is None or not position.offer.active
    return Decision(
        target=position.target.name,
        reason=Reason(answer.reason),
        action=action,
        server=order.server,
        order=order.order,
        due=_due(answer.due, now),
        urgency=_urgency(action, asks=wants_book and outbid),
        wants_book=order.server if wants_book and action is None else None,
        facts={**_facts(answer.facts), **common.facts_of(position)},
    )


def checked_opening(answer: object, quote: Quote) -> Price | None:
    """Return the answer as a first bid; None where it is none. Raises StrategyFailed."""
    if answer is None:
        return None
    price = _price(answer, quote.needed, (quote.needed, quote.floor))
    if price < quote.needed:
        raise StrategyFailed(f"its first bid of {price} is below {quote.needed}, which it takes to win")
    if price > quote.cap:
        raise StrategyFailed(f"its first bid of {price} is above {quote.cap}, the most that may be bid")
    return price


def _action(action: object, position: Position) -> Action | None:
    order = position.holding.order
    match action:
        case None:
            return None
        case Withdraw():
            if (action.order, action.server) != (order.order, order.server):
                raise StrategyFailed("it would cancel another order")
            return common.withdraw(position)
        case Reprice():
            if (action.order, action.server) != (order.order, order.server):
                raise StrategyFailed("it would set the price of another order")
            return common.reprice(position, _new_price(action.price, position))
        case _:
            raise StrategyFailed(f"{type(action).__name__[:60]} is no action for a standing bid")


def _new_price(answer: object, position: Position) -> Price:
    known = (position.needed, position.floor, position.lowest)
    price = _price(answer, position.price, known)
    if price == position.price:
        raise StrategyFailed("it sets the price at which the bid stands already; hold instead")
    if position.floor is not None and price < position.floor:
        raise StrategyFailed(f"its bid of {price} is below the server's lowest, {position.floor}")
    if position.lowest is not None and price < min(position.lowest, position.price):
        raise StrategyFailed(f"its bid of {price} is below {position.lowest}, as far as one step goes")
    return price


def _price(answer: object, like: Price, known: tuple[Price | None, ...]) -> Price:
    """Return the answer as a price that the exchange takes: in this currency, not too fine."""
    if not isinstance(answer, Price):
        raise StrategyFailed(f"its price is of type {type(answer).__name__[:60]}, not a Price")
    if answer.currency != like.currency:
        raise StrategyFailed(
            f"its price is in {answer.currency.short[:60]}, the bid in {like.currency.short}"
        )
    if answer.amount <= 0:
        raise StrategyFailed("its price is zero")
    if answer not in known and answer.rounded_up() != answer:
        fine = str(answer)[:80]
        raise StrategyFailed(f"its price of {fine} is finer than a bid can be; round it up or down")
    return Price(answer.amount, like.currency)


def _due(due: object, now: datetime) -> datetime | None:
    if due is None:
        return None
    if not isinstance(due, datetime) or due.utcoffset() is None:
        raise StrategyFailed("its due is no time with a time zone")
    # What is due already is decided again in the next pass anyway; said so, it would be a busy loop.
    return due.astimezone(UTC) if due > now else None


def _urgency(action: Action | None, *, asks: bool) -> int:
    match action:
        case None:
            return common.URGENT_REGAIN if asks else 0
        case Reprice(lowers=False):
            return common.URGENT_REGAIN
        case Reprice():
            return common.URGENT_LOWER
        case _:
            return common.URGENT_LEAVE


def _facts(facts: object) -> dict[str, Fact]:
    if not isinstance(facts, Mapping) or len(facts) > _MOST_FACTS:
        raise StrategyFailed(f"its facts are not a mapping of at most {_MOST_FACTS}")
    return {_fact_name(name): _fact(name, fact) for name, fact in facts.items()}


def _fact_name(name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= 60:
        raise StrategyFailed("the name of a fact is no text of at most 60 characters")
    if name in _NOT_ITS_OWN:
        raise StrategyFailed(f"the daemon tells the fact {name!r} itself; name it otherwise")
    return str(name)


def _fact(name: object, fact: object) -> Fact:
    match fact:
        case None | bool():
            return fact
        case str():
            return str(fact)[:_LONGEST_FACT]
        case int() if abs(fact) < _LARGEST_FACT:
            return int(fact)
        case float() if isfinite(fact):
            return float(fact)
        case _:
            raise StrategyFailed(f"its fact {name!r} is no text, finite number, true or false")
