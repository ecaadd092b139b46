"""What all orders have cost: the same figures as the plain sum over all of them, whatever happens."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Context, Decimal
from random import Random

import pytest
from sqlalchemy import Engine, update
from store_values import ACCOUNT, NOW, make_holding

from bidder.domain.ids import OrderId
from bidder.domain.money import Currency, Money
from bidder.domain.view import Holding
from bidder.store import tables
from bidder.store.engine import transaction
from bidder.store.queries import Queries
from bidder.store.records import OrderRecord, Over
from bidder.store.store import Store

Figures = dict[tuple[str, str | None, Currency], tuple[Decimal, Decimal, Decimal, int]]

_EXACT = Context(prec=200)
_FEES = Context(prec=28, Emin=-10)


def _shown(queries: Queries) -> Figures:
    return {
        (t.mode.value, t.target, t.currency): (
            t.spend.amount,
            t.fees.amount,
            t.creation_fees.amount,
            t.orders,
        )
        for t in queries.spend_totals()
    }


def _plain_sum(queries: Queries) -> Figures:
    """Add up whole orders, one by one."""
    found: Figures = {}
    for record in (*queries.orders(limit=10_000), *queries.orders(ended=True, limit=10_000)):
        for heading, each in _shares(record):
            before = found.get(heading, (Decimal(0), Decimal(0), Decimal(0), 0))
            sums = [_EXACT.add(a, b) for a, b in zip(before[:3], each[:3], strict=True)]
            found[heading] = (sums[0], sums[1], sums[2], before[3] + each[3])
    return found


def _shares(
    record: OrderRecord,
) -> Iterator[tuple[tuple[str, str | None, Currency], tuple[Decimal, Decimal, Decimal, int]]]:
    order, mode, target = record.holding.order, record.mode.value, record.holding.target
    percent = Decimal(5 if order.fee_percent is None else str(order.fee_percent))
    fee = _FEES.multiply(order.spend.amount, _FEES.multiply(percent, Decimal("0.01")))
    yield (mode, target, order.spend.currency), (order.spend.amount, fee, Decimal(0), 1)
    if order.creation_fee is not None:
        created = (Decimal(0), Decimal(0), order.creation_fee.amount, 0)
        yield (mode, target, order.creation_fee.currency), created


def _spent(holding: Holding, chance: Random) -> Holding:
    currency = chance.choice((Currency.BTC, Currency.USD))
    spend = Money(Decimal(chance.randrange(10**18)).scaleb(-24), currency)
    percent = chance.choice((None, 2.5, 0.1, 10.0))
    return replace(holding, order=replace(holding.order, spend=spend, fee_percent=percent))


@pytest.mark.parametrize("seed", range(3))
def test_totals_are_the_plain_sum_at_any_time(store: Store, queries: Queries, seed: int) -> None:
    """Orders come, cost, end, are booked late or come back, over months; nothing is counted twice."""
    chance, now = Random(seed), NOW
    live: dict[int, Holding] = {}
    over: dict[int, Holding] = {}
    for step in range(100):
        now += timedelta(hours=chance.choice((1, 12, 60)))
        deed = chance.choice(("new", "new", "spend", "end", "end", "book", "back"))
        if deed == "new":
            target = chance.choice(("a", "b", None))
            live[step] = _spent(make_holding(step + 1, target=target), chance)
            store.settle((), [live[step]], at=now)
        elif deed == "spend" and live:
            number = chance.choice(sorted(live))
            live[number] = _spent(live[number], chance)
            store.settle((), [live[number]], at=now)
        elif deed == "end" and live:
            number = chance.choice(sorted(live))
            over[number] = live.pop(number)
            ended = [Over(order=OrderId(number + 1), at=now, cause="expired")]
            store.settle((), (), at=now, over=ended)
        elif deed == "book" and over:
            final = _spent(over[chance.choice(sorted(over))], chance)
            store.settle((), (), at=now, finals=[replace(final.order, expired=True)])
        elif deed == "back" and over:
            number = chance.choice(sorted(over))
            live[number] = over.pop(number)
            store.settle((), [replace(live[number], last_seen_at=now)], at=now)
        assert _shown(queries) == _plain_sum(queries), (step, deed)
    assert len(over) > 5


def test_what_ended_long_ago_is_not_read_again(store: Store, queries: Queries, engine: Engine) -> None:
    """A daemon with years behind it does not go through them each minute."""
    _years(store, NOW)
    before = _shown(queries)
    # Nothing of ours ever changes what a creation has cost; whoever read it again would notice.
    with transaction(engine, writing=True) as connection:
        mine = tables.orders.c.account == ACCOUNT
        connection.execute(update(tables.orders).where(mine).values(creation_fee=Decimal(7)))
    after = _shown(queries)

    usd = ("live", "a", Currency.USD)
    assert after[usd][2] - before[usd][2] == 2 * (Decimal(7) - Decimal("0.05"))
    assert _shown(Queries(engine, ACCOUNT)) == _plain_sum(queries)


def test_a_fee_that_is_not_told_counts_as_in_budgets(store: Store, queries: Queries) -> None:
    """Five percent; and what was told once is not forgotten because the last answer leaves it out."""
    dollar = Money.parse("1", Currency.USD)
    known = make_holding(7, spend=dollar)
    store.settle((), [known, make_holding(8, spend=dollar, fee_percent=None)], at=NOW)
    final = replace(known.order, expired=True, fee_percent=None)
    over = [Over(order=OrderId(7), at=NOW, cause="expired")]
    store.settle((), (), at=NOW, over=over, finals=[final])

    (total,) = queries.spend_totals()
    assert (total.spend.amount, total.fees.amount) == (Decimal(2), Decimal("0.075"))


def _years(store: Store, begin: datetime) -> None:
    """Let fifty orders end, ten days apart, the latest two of them lately or not at all."""
    for number in range(1, 51):
        now = begin + timedelta(days=10 * number)
        store.settle((), [make_holding(number)], at=now)
        if number < 50:
            over = [Over(order=OrderId(number), at=now, cause="expired")]
            store.settle((), (), at=now, over=over)
