"""The judge of the owner's rails: each is broken on purpose, and what nobody can know is no breach."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bidder.chaos.day import ChaosDay
from bidder.chaos.kinds import Scripted
from bidder.chaos.outcome import Outcome
from bidder.chaos.rails import RailsJudge
from bidder.domain import guard, moving
from bidder.domain.ids import ServerId
from bidder.domain.money import Currency, Money
from bidder.sim.auction import Order
from bidder.sim.market import Watcher

# On this day a bid that is outbid expires, so orders are made again and again.
_BUSY = 20


def rails_broken(outcome: Outcome) -> list[str]:
    """Return what was done beyond a rail."""
    return [what for invariant, _, what in outcome.violations if invariant == "rails"]


def day_with(seed: int, days: float, *, script: tuple[Scripted, ...] = (), **rails: Any) -> ChaosDay:
    """Return a day on which nothing goes wrong but what the script asks for, under these rails."""
    day = ChaosDay(seed, days, script=script)
    usual = replace(day.policy.rails, max_usd_per_day=None, max_orders=None, min_balance=())
    day.policy = replace(day.policy, rails=replace(usual, **rails))
    return day


def nearly_everything(day: ChaosDay) -> tuple[Money, ...]:
    """Return balances to keep that are a cent below what the wallets hold."""
    market = day.exchange.market
    cents = {coin: Decimal("0.01") / rate for coin, rate in market.rates.items()}
    return tuple(
        Money(balance - cents[coin], Currency(coin))
        for coin, balance in market.wallets.deposits.items()
        if coin in cents
    )


@pytest.mark.parametrize("seed", [20, 23])
def test_the_rails_of_a_bad_day_hold(seed: int) -> None:
    """A balance to keep, and what may be spent unattended; the others bite in the tests below."""
    assert ChaosDay(seed, 0.1).run().violations == []


def test_a_guard_that_counts_no_creations_breaks_the_rails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two orders within an hour are allowed, and four are wanted."""
    assert rails_broken(day_with(3, 0.01, max_creations_per_hour=2).run()) == []
    monkeypatch.setattr(guard, "_churn", lambda *_, **__: None)
    broken = rails_broken(day_with(3, 0.01, max_creations_per_hour=2).run())
    assert any("3 orders made within an hour, of 2 allowed" in what for what in broken)


def test_a_server_that_never_wears_out_breaks_the_rails(monkeypatch: pytest.MonkeyPatch) -> None:
    """One order on a server and hour is allowed."""
    assert rails_broken(day_with(_BUSY, 0.03, max_creations_per_server_hour=1).run()) == []
    original = moving.taken

    def lax(view: Any, *others: Any, **named: Any) -> frozenset[ServerId]:
        return original(replace(view, creations=()), *others, **named)

    monkeypatch.setattr(guard, "_churn", lambda *_, **__: None)
    monkeypatch.setattr(moving, "taken", lax)
    broken = rails_broken(day_with(_BUSY, 0.03, max_creations_per_server_hour=1).run())
    assert any("2 orders made on server" in what for what in broken)


def test_a_guard_that_looks_at_no_balance_breaks_the_rails(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but a cent is to stay, and an order takes more than that."""

    def run() -> list[str]:
        day = day_with(_BUSY, 0.01)
        rails = replace(day.policy.rails, min_balance=nearly_everything(day))
        day.policy = replace(day.policy, rails=rails)
        return rails_broken(day.run())

    assert run() == []
    monkeypatch.setattr(guard, "_balance", lambda *_: None)
    assert any("is to stay" in what for what in run())


def test_a_guard_that_minds_no_absence_breaks_the_rails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few dollars may be spent unattended, and one order alone runs for days."""
    limit = Decimal(10)
    assert rails_broken(day_with(3, 0.01, max_usd_if_unattended=limit).run()) == []
    monkeypatch.setattr(guard, "_unattended", lambda *_: None)
    broken = rails_broken(day_with(3, 0.01, max_usd_if_unattended=limit).run())
    assert any("could be spent unattended, of 10 allowed" in what for what in broken)


class _Deadly(Watcher):
    """Kills the process while the answer to each order is on its way."""

    def __init__(self, day: ChaosDay) -> None:
        self._day = day
        day.exchange.market.watchers.append(self)

    def created(self, order: Order, at: int) -> None:
        self._day.machine.kill_in(1)


def test_a_pass_that_dies_after_sending_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """No report is left of it; the exchange has seen what it did."""
    monkeypatch.setattr(guard, "_too_many", lambda *_: None)
    day = day_with(3, 0.01, max_orders=1)
    _Deadly(day)
    outcome = day.run()
    assert outcome.crashes == outcome.orders_created > 1
    assert rails_broken(outcome)


def test_what_the_wire_doubles_is_not_the_daemons() -> None:
    """One order is allowed; of the one request the exchange makes two."""
    twice = (Scripted(kind="delivered twice", endpoint="create_order"),)
    day = day_with(3, 0.01, script=twice, max_creations_per_hour=1, max_orders=1)
    outcome = day.run()
    assert outcome.faults["delivered twice"] == 1
    assert outcome.orders_created > 1
    assert outcome.violations == []


def made_again(day: ChaosDay, servers: Iterable[int]) -> list[str]:
    """Return what a judge says of orders that are made on these servers now."""
    found: list[str] = []
    RailsJudge(day, found.append)
    market = day.exchange.market
    for server in servers:
        stall = market.stalls[server]
        coin = next(c for c, floor in stall.floor.items() if floor > 0 and c in market.rates)
        market.open_own(market.admit(stall, currency=coin, price=stall.floor[coin], mine=True), stall)
    return found


def test_what_a_restored_database_forgot_counts_for_nobody() -> None:
    """The same orders, with their memory and without it."""
    day = day_with(3, 0.01, max_creations_per_hour=1)
    servers = sorted(n for n, stall in day.exchange.market.stalls.items() if stall.open_to_bids)[:2]
    day.forgotten.append((0, day.exchange.market.at))
    assert made_again(day, servers) == []
    day.forgotten.clear()
    assert made_again(day, servers) == ["2 orders made within an hour, of 1 allowed"]
    day.close()
