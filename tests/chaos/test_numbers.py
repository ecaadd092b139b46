"""A number that is none in an answer that is right otherwise: where it stands, and no harm done."""

import re
from random import Random

import pytest

from bidder.chaos import wire
from bidder.chaos.day import ChaosDay
from bidder.chaos.kinds import Scripted
from bidder.chaos.numbers import NUMBERS, strike

BOOK = (
    b'{"market":{"offers":[{"bid":0.25,"my":true}],"currency_rates_in_usd":{"bitcoin":69000}},"code":0}'
)


def test_every_amount_has_its_turn_and_all_else_stays() -> None:
    """A bid and a rate, of which the currency is named; what holds no amount stays as it is."""
    found = {strike(BOOK, b"NaN", Random(seed)) for seed in range(20)}

    assert found == {(BOOK.replace(b"0.25", b"NaN"), ""), (BOOK.replace(b"69000", b"NaN"), "bitcoin")}
    assert strike(b'{"code":0}', b"NaN", Random(1)) == (b'{"code":0}', "")


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_number_that_is_none_does_no_harm_wherever_it_stands(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In wallets, orders, books and the marketplace."""
    struck: set[bytes] = set()

    def spying(body: bytes, number: bytes, chance: Random) -> tuple[bytes, str]:
        spoilt, coin = strike(body, number, chance)
        struck.update(re.findall(rb'"(\w+)":' + number, spoilt))
        return spoilt, coin

    monkeypatch.setattr(wire, "strike", spying)
    script = tuple(
        Scripted(kind=kind, endpoint=endpoint, executed=True, at_seconds=at, times=8)
        for endpoint in ("wallets", "my_orders", "marketplace", "spot_marketplace")
        for at in (0, 1200, 2400)
    )
    outcome = ChaosDay(5, 0.04, script=script).run()

    assert outcome.faults[kind] > 9
    assert struck >= {b"balance", b"bid"}
    assert struck & {b"price", b"spend"}
    assert outcome.violations == []
