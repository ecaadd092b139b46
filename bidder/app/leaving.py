"""Leaving nothing behind: cancel every order of the daemon before it goes, where the owner wants that.

It goes by passes, as trading does: what is in doubt is read again and settled, what was not sent is sent
again, at the pace that the exchange takes. A single try for each order would leave running whatever met
with a request that did not come through. How long it may take is bounded: whoever stops the daemon
waits, and kills it in the end.
"""

import asyncio
from dataclasses import replace
from datetime import datetime

import structlog

from bidder.app.keeping import Keeper
from bidder.app.trading import Trader
from bidder.clock import Clock
from bidder.domain.actions import Decision, Reason, Withdraw
from bidder.domain.intents import IntentState
from bidder.domain.market import OwnOrder
from bidder.domain.policy import Policy
from bidder.domain.strategies import common
from bidder.domain.view import View
from bidder.errors import BidderError, StoreFailed

# In the machine's own seconds; systemd waits for 180.
_USUAL, _FOR_EACH, _MOST = 45.0, 2.0, 150.0
_STORE_PAUSE = 1.0

log = structlog.get_logger("bidder")


async def cancel_all(trader: Trader, keeper: Keeper, watch: Clock) -> tuple[OwnOrder, ...]:
    """Cancel every order of this daemon and return those that are left; ``watch`` bounds the time.

    An order whose server is frozen stays: nobody can say what is to be cancelled there.
    """
    trader.plan = plan
    # Whatever was decided for trading is decided anew.
    trader.view = replace(trader.view, paused=True)
    trader.recorder.pictures = False
    until = watch.monotonic() + min(_MOST, _USUAL + _FOR_EACH * len(standing(trader.view)))
    try:
        # Also a request that hangs must end by then.
        async with asyncio.timeout(until - watch.monotonic()):
            while not _done(trader) and watch.monotonic() < until:
                await trader.clock.sleep(await _pass(trader, keeper))
    except TimeoutError:
        pass
    except BidderError as exc:
        log.error("exit.cancel_failed", error=str(exc))
    return standing(trader.view)


def standing(view: View) -> tuple[OwnOrder, ...]:
    """Return the orders of this daemon that are not known to be over."""
    return tuple(holding.order for holding in view.holdings.values() if holding.ours)


async def _pass(trader: Trader, keeper: Keeper) -> float:
    """Make one pass; return the seconds until the next one. Raises what ends trading."""
    try:
        keeper.before_pass()
        report = await trader.run_pass()
    except StoreFailed as exc:
        log.error("store.failed", error=str(exc))
        return _STORE_PAUSE
    return report.sleep.total_seconds()


def _done(trader: Trader) -> bool:
    now = trader.clock.now()
    return all(each.reason is Reason.FROZEN for each in plan(trader.view, trader.policy, now))


def plan(view: View, _policy: Policy, now: datetime) -> tuple[Decision, ...]:
    """Return a cancellation for every order of the daemon, or what it waits for."""
    ours = [holding for holding in view.holdings.values() if holding.ours]
    held = {holding.order.server for holding in ours}
    found = [
        Decision(target=intent.target, reason=_open(intent.state), server=intent.server)
        for intent in view.intents
        if intent.server not in held
    ]
    for holding in ours:
        order = holding.order
        base = Decision(
            target=holding.target, reason=Reason.SHUTDOWN, server=order.server, order=order.order
        )
        intent = view.intent_on(order.server)
        refused = any(each.order == order.order and now < each.until for each in view.setbacks)
        if intent is not None:
            found.append(replace(base, reason=_open(intent.state)))
        elif holding.missing_reads or refused:
            # Most likely it is over: our orders tell.
            found.append(replace(base, reason=Reason.STALE, wants_orders=True))
        else:
            action = Withdraw(order=order.order, server=order.server, target=holding.target)
            found.append(replace(base, action=action, urgency=common.URGENT_LEAVE))
    return tuple(found)


def _open(state: IntentState) -> Reason:
    return Reason.FROZEN if state is IntentState.AMBIGUOUS else Reason.IN_DOUBT
