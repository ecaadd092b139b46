"""An order that somebody ends on the exchange's own pages is not ordered again at once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from jobs import begin as begin_job
from jobs import job
from jobs import server as server_of
from virtual import Day, begin

from bidder.app.report import PassReport
from bidder.app.telling import Teller
from bidder.domain.actions import PlaceBid, RentOnDemand
from bidder.domain.notices import Event, Level, Notice
from bidder.sim.auction import Order, Stall
from bidder.sim.rules import Rules

MINUTES = timedelta(minutes=1)
EXPIRING = Rules(outbid="expires", displaced="expires")


class Told:
    """A day with its notices."""

    def __init__(self, **changes: Any) -> None:
        """Begin a day without rivals, on which all orders run."""
        self.day: Day = begin(rivals=False, **changes)
        self.notices: list[Notice] = []
        self._teller = Teller()
        self.run(20 * MINUTES)
        number = self.day.live()[0]["id"]
        self.order: Order = self.day.exchange.market.own[number]
        self.stall: Stall = self.day.exchange.market.stalls[self.order.server_id]

    def run(self, span: timedelta) -> None:
        """Let time pass."""

        def note(report: PassReport) -> None:
            trader = self.day.app.trader
            found = self._teller.notices(report, trader.view, trader.policy, unreachable=False)
            self.notices.extend(found)

        self.day.run(span, note)

    def told_of_its_end(self) -> list[tuple[Level, bool]]:
        """Return how its end was told, and whether it was said to be somebody's doing."""
        found = [n for n in self.notices if n.event is Event.ENDED and n.key == str(self.order.order_id)]
        return [(n.level, "not by the daemon" in n.text) for n in found]

    def bids_again(self) -> int:
        """Return how often its server was bid on after it was first."""
        placed = (d.action for d in self.day.deeds if isinstance(d.action, PlaceBid))
        return sum(action.server == self.order.server_id for action in placed) - 1


@pytest.mark.parametrize("rules", [Rules(), EXPIRING], ids=["as expected", "expiring"])
def test_what_is_cancelled_by_hand_is_not_undone(rules: Rules) -> None:
    """Its server is left alone for an hour, its slot filled elsewhere, and the owner is warned."""
    told = Told(rules=rules)
    told.day.exchange.market.end(told.order, "cancelled")
    ended_at = told.day.clock.now()
    told.run(20 * MINUTES)
    assert told.bids_again() == 0
    (setback,) = told.day.app.trader.view.setbacks
    assert setback.server == told.order.server_id
    assert 60 * MINUTES <= setback.until - ended_at <= 62 * MINUTES
    assert len(told.day.live()) == 5, "its slot is filled elsewhere"
    assert told.told_of_its_end() == [(Level.WARNING, True)]
    (notice,) = [n for n in told.notices if n.event is Event.ENDED]
    assert "another one is sought" in notice.text


def outbid(told: Told) -> None:
    """Have a stranger bid more."""
    market, order = told.day.exchange.market, told.order
    market.admit(told.stall, currency=order.currency, price=order.price * 2)
    market.settle(told.stall)


def displace(told: Told) -> None:
    """Have a stranger rent the server on demand."""
    told.day.exchange.market.set_rented(told.stall, rented=True)


def take_offline(told: Told) -> None:
    """Have the host's machine fail."""
    told.day.exchange.market.set_online(told.stall, online=False)


@pytest.mark.parametrize("happens", [outbid, displace, take_offline])
def test_what_ends_by_the_exchanges_rules_is_nobodys_doing(happens: Callable[[Told], None]) -> None:
    """A rival or a tenant has its server: it may be bid for again as soon as it can be won."""
    told = Told(rules=EXPIRING)
    happens(told)
    told.run(5 * MINUTES)
    assert told.order.end_reason in {"outbid", "displaced"}
    assert told.told_of_its_end() == [(Level.INFO, False)]
    view = told.day.app.trader.view
    assert not view.setbacks
    assert not view.cut_off


def test_a_rental_that_is_cancelled_by_hand_is_not_made_again() -> None:
    """A job goes on on another server."""
    run = begin_job(job(1, 1.5), server_of(1, floor="2.5"), server_of(2, floor="2.5", on_demand="3.5"))
    run.run(0.7)
    (order,) = run.live()
    run.exchange.market.end(order, "cancelled")
    run.run(0.2)
    rented = [d.action.server for d in run.deeds if isinstance(d.action, RentOnDemand)]
    assert rented == [1, 2]
    ended = [n for n in run.notices if n.event is Event.ENDED]
    assert [(n.level, "not by the daemon" in n.text) for n in ended] == [(Level.WARNING, True)]


def test_an_order_whose_time_is_over_is_followed_by_another_one_there() -> None:
    """Its end is told as before."""
    run = begin_job(job(20, 40), replace(server_of(1), mrl_hours=1))
    run.run(1.2)
    assert [o.end_reason for o in run.orders(spot=True)] == ["mrl", ""]
    ended = [n for n in run.notices if n.event is Event.ENDED]
    assert [(n.level, "its time is over" in n.text) for n in ended] == [(Level.INFO, True)]
