"""What the bills of our orders teach: how long each has run, what it has cost, what a creation costs."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain import exposure
from bidder.domain.costs import USUAL_FEE_PERCENT, Cost, fee_percent, share_of_day
from bidder.domain.market import OrderKind, OwnOrder
from bidder.domain.money import Money, Rates
from bidder.domain.policy import Policy
from bidder.domain.view import Holding, View
from bidder.domain.work import Work


def gpus_of(order: OwnOrder, view: View, *, known: int = 1) -> int:
    """Return how many GPUs an order rents; ``known`` is what was known before, 1 being no knowledge.

    The listing goes first, then what was known of one: the ceiling that the order was bid below was
    reckoned by it. The order's own word stands where its server has never been listed to us.
    """
    listed = view.gpus_of(order.server)
    if listed is not None:
        return listed
    return known if known > 1 else order.gpu_count or known


def fees_kept(known: OwnOrder, order: OwnOrder) -> OwnOrder:
    """Return an order with the fees that were known of it, where an answer leaves them out."""
    percent = known.fee_percent if order.fee_percent is None else order.fee_percent
    created = known.creation_fee if order.creation_fee is None else order.creation_fee
    return replace(order, fee_percent=percent, creation_fee=created)


def first_work(holding: Holding, view: View, policy: Policy) -> Work:
    """Return what an order of ours has computed when it is first seen: what it has cost says it."""
    order = holding.order
    target = None if holding.target is None else policy.target(holding.target)
    begun = Work(gpus=gpus_of(order, view))
    begun = begun if target is None else begun.started(target.restart)
    return begun.charged(Money.zero(order.spend.currency), order.spend, order.price)


def more_work(before: Holding, after: Holding, view: View) -> Work:
    """Return what an order has computed since its bill was read last."""
    gpus = gpus_of(after.order, view, known=before.work.gpus)
    # What was raised since has been paid at the lower price; the higher one never counts too much.
    price = after.order.price
    if before.order.price.currency == price.currency:
        price = max(price, before.order.price)
    counted = replace(before.work, gpus=gpus)
    return counted.charged(before.order.spend, after.order.spend, price)


def without_work(after: Holding, before: Holding) -> Holding:
    """Return an order that has computed no more than ``before``, as its workload was dead."""
    known = before.work
    work = replace(after.work, computed=known.computed, starting=known.starting)
    return replace(after, work=work)


def cost_of(before: Holding, order: OwnOrder, view: View, at: datetime) -> Cost:
    """Return what an order has cost now that its bill was read, by the price that it had at most.

    A charge is valued once and for good: not by a rate that may be wrong, unless there is no later.
    """
    prices = (order.price, before.order.price, before.work.dearest or order.price)
    return before.cost.charged(
        order,
        view.rates if order.expired else view.sure_rates(at),
        dearest=max(price for price in prices if price.currency == order.price.currency),
        percent=exposure.usual_fee_percent(view),
        since=before.last_seen_at,
        at=at,
    )


def cost_brought_back(holding: Holding, rates: Rates, now: datetime) -> Cost:
    """Return what an order has cost, as of now where a calendar that was ahead has dated it later.

    What it cost a day is not written down: it is taken to be its present price, or what it has cost on
    average where that is more.
    """
    order, cost, work = holding.order, holding.cost, holding.work
    fee, known = order.creation_fee, []
    if rates.knows(order.price.currency):
        percent = fee_percent(order, USUAL_FEE_PERCENT)
        known.append(rates.to_usd(order.price) * (100 + percent) / 100)
    if work.computed > timedelta(0):
        known.append(cost.usd / share_of_day(work.computed))
    once = Decimal(0)
    if fee is not None:
        once = rates.to_usd(fee) if rates.knows(fee.currency) else cost.usd
    return cost.brought_back(now, a_day=max(known, default=None), once=once)


def creation_fee(view: View, listed: Iterable[OwnOrder]) -> Decimal:
    """Return the newest spot creation fee in USD: it changes, so it is read, never assumed."""
    paid = [
        order
        for order in listed
        if order.kind is OrderKind.SPOT
        and order.creation_fee is not None
        and view.rates.knows(order.creation_fee.currency)
    ]
    if not paid:
        return view.creation_fee_usd
    newest = max(paid, key=lambda order: order.created_at)
    assert newest.creation_fee is not None
    return view.rates.to_usd(newest.creation_fee)
