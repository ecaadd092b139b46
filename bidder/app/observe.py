"""Run the chosen read and fold it into the view."""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from bidder.app.report import Observed, Result
from bidder.clock import Clock
from bidder.domain import agenda, budgets, deadlines, fold, intents
from bidder.domain.agenda import Read, ReadBook, ReadMarketplace, ReadOrders, ReadWallets
from bidder.domain.intents import OrdersRead
from bidder.domain.policy import Policy
from bidder.domain.view import View
from bidder.errors import InDoubt, InvalidToken, NotSent, RateLimited, Refused
from bidder.exchange.client import ExchangeClient


async def observe(
    read: Read, view: View, policy: Policy, *, client: ExchangeClient, clock: Clock
) -> tuple[View, Observed]:
    """Return the view after ``read``, and what it changed.

    A read that fails changes nothing but the memory of what fails: what we knew just grows older. A
    refused token is not handled here; it ends trading.
    """
    try:
        folded, observed = await _fold(read, view, policy, client=client, clock=clock)
    except InvalidToken:
        raise
    except (Refused, NotSent, InDoubt) as exc:
        limited = isinstance(exc, RateLimited)
        unread = view.unread.failed(agenda.subject(read), clock.now(), limited=limited)
        failed = Observed(read=read, result=_failure(exc), error=str(exc))
        return replace(view, unread=unread), failed
    answered = view.unread.answered(agenda.subject(read), clock.now())
    folded = fold.ends_judged(replace(folded, unread=answered), clock.now())
    return deadlines.looked(folded, policy, clock.now()), observed


def _failure(exc: Refused | NotSent | InDoubt) -> Result:
    if isinstance(exc, Refused):
        return Result.REFUSED
    return Result.NOT_SENT if isinstance(exc, NotSent) else Result.IN_DOUBT


async def _fold(
    read: Read, view: View, policy: Policy, *, client: ExchangeClient, clock: Clock
) -> tuple[View, Observed]:
    match read:
        case ReadOrders(completed=completed):
            answer = await client.my_orders(completed=completed)
            orders_read = OrdersRead(
                answer=answer, started_at=_started(client, clock), completed=completed
            )
            return _fold_orders(read, view, policy, orders_read, clock.now())
        case ReadBook(server=server):
            book = await client.spot_marketplace(server)
            folded, changed = fold.book(view, book, policy, at=_started(client, clock))
            return folded, Observed(read=read, result=Result.OK, book=book, changed=changed)
        case ReadMarketplace():
            market = await client.marketplace()
            folded = fold.marketplace(view, market, policy, at=_started(client, clock))
            folded = replace(folded, marketplace_whole_at=clock.now())
            return folded, Observed(read=read, result=Result.OK)
        case ReadWallets():
            wallets = await client.wallets()
            folded = fold.wallets(view, wallets, policy, at=_started(client, clock))
            return folded, Observed(read=read, result=Result.OK)
        case _:
            assert_never(read)


def _started(client: ExchangeClient, clock: Clock) -> datetime:
    call = client.last_call
    return clock.now() if call is None else call.sent_at


def _fold_orders(
    read: Read, view: View, policy: Policy, orders_read: OrdersRead, now: datetime
) -> tuple[View, Observed]:
    verdicts = intents.settle(view.intents, orders_read, grace=policy.pace.settle_grace)
    explained = {h.order.order for h in view.holdings.values() if h.ours} | view.ended.keys()
    explained.update(order for verdict in verdicts for order in verdict.orders)
    images: dict[str | None, str] = {target.name: target.launch.image for target in policy.targets}
    verdicts += intents.late(view.lost, orders_read, explained=explained, images=images)
    folded = fold.orders(view, orders_read, verdicts, policy, now)
    return budgets.looked(folded.view, policy, now), Observed(
        read=read,
        result=Result.OK,
        verdicts=verdicts,
        changed=folded.changed,
        ended=folded.ended,
        booked=folded.booked,
        costs=folded.costs,
        adopted=folded.adopted,
    )
