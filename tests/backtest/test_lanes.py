"""Orders in lanes, one for each wanted server."""

from datetime import UTC, datetime, timedelta

import pytest

from bidder.backtest.lanes import Placed, lanes
from bidder.domain.ids import OrderId, ServerId

START = datetime(2026, 3, 2, tzinfo=UTC)


def placed(order: int, begin: float, end: float | None) -> Placed:
    """Return an order that stood between two minutes; None: it still stands."""
    return Placed(
        order=OrderId(order),
        server=ServerId(order),
        begin=START + timedelta(minutes=begin),
        end=None if end is None else START + timedelta(minutes=end),
        prices=(),
    )


def numbers(orders: list[Placed], want: int) -> list[list[int]]:
    """Return the numbers of the orders in each lane."""
    return [[order.order for order in lane] for lane in lanes(orders, want)]


@pytest.mark.parametrize("overlap", [8 / 60, 2, 15])
def test_a_successor_placed_before_the_end_is_in_its_predecessors_lane(overlap: float) -> None:
    """However often an order hands over, the one wanted server is one lane."""
    orders = [placed(1, 0, 60 + overlap), placed(2, 60, 120 + overlap), placed(3, 120, None)]
    assert numbers(orders, 1) == [[1, 2, 3]]


def test_an_order_beside_all_that_were_wanted_is_surplus() -> None:
    """What stands there for longer than a handover takes is no successor; a later one still is."""
    orders = [placed(1, 0, 122), placed(2, 60, 100), placed(3, 120, None)]
    assert numbers(orders, 1) == [[1, 3], [2]]


def test_a_successor_takes_the_lane_that_is_over_first() -> None:
    """Of two wanted servers the other one stays as it is."""
    assert numbers([placed(1, 0, None), placed(2, 0, 62), placed(3, 60, None)], 2) == [[2, 3], [1]]
