"""What the exchange shows, read as the domain means it: GPU names, books, listings."""

from decimal import Decimal
from typing import Any

import pytest
from builders import NOW, btc, clore, make_book, make_listing, make_order, mine, rival, usd
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain.ids import OrderId
from bidder.domain.market import Listing, parse_gpu
from bidder.domain.money import Currency, Rates
from bidder.errors import NoRate

BOTH = frozenset({Currency.BTC, Currency.USD})
RATES = Rates({Currency.BTC: Decimal(50_000), Currency.CLORE: Decimal("0.02")})


@pytest.mark.parametrize(
    ("text", "count", "model"),
    [
        ("8x NVIDIA GeForce RTX 3090", 8, "RTX 3090"),
        ("1x NVIDIA GeForce RTX 3080 Ti", 1, "RTX 3080 TI"),
        ("4x Tesla P40", 4, "TESLA P40"),
        ("1x Quadro P620", 1, "QUADRO P620"),
        ("6x NVIDIA P106100", 6, "P106100"),
        ("12x NVIDIA GeForce GTX 1660 SUPER", 12, "GTX 1660 SUPER"),
        ("2x NVIDIA A100-SXM4-80GB", 2, "A100-SXM4-80GB"),
        ("1X  nvidia  geforce  rtx 4090", 1, "RTX 4090"),
        ("NVIDIA GeForce RTX 3090", 0, "RTX 3090"),
        ("Mixed GPUs", 0, "MIXED GPUS"),
        ("Mixed...", 0, "MIXED..."),
        ("2x AMD Radeon RX 7900 XTX", 2, "RX 7900 XTX"),
        ("", 0, ""),
    ],
)
def test_a_gpu_is_counted_and_named_as_people_search_for_it(text: str, count: int, model: str) -> None:
    """Maker and brand go, the count comes apart; where none is written it is 0, not a guess."""
    assert parse_gpu(text) == (count, model)


@given(text=st.text(max_size=60))
def test_any_gpu_text_parses(text: str) -> None:
    """Hosts name their hardware: nothing they write stops the program."""
    count, model = parse_gpu(text)
    assert 0 <= count <= 999
    assert model == model.strip().upper()


def test_the_active_offer_is_the_flagged_one_even_below_the_highest() -> None:
    """The flag is trusted, not the order of the bids."""
    book = make_book(rival(usd("9")), mine(usd("2"), active=True))
    running = book.active()
    assert running is not None
    assert running.mine


def test_no_offer_runs_in_a_book_without_the_flag() -> None:
    """A rented or idle server has offers but no winner."""
    assert make_book(rival(usd("9")), mine(usd("2"))).active() is None


def test_the_best_rival_is_found_across_currencies() -> None:
    """0.0001 BTC is 5 USD and beats 4 USD and 100 CLORE."""
    book = make_book(
        rival(usd("4"), number=1), rival(btc("0.0001"), number=2), rival(clore("100"), number=3)
    )
    best = book.best_rival(RATES)
    assert best is not None
    assert best.order == 2


def test_no_offer_of_ours_is_a_rival() -> None:
    """Neither by the book's own flag nor by the numbers of our orders."""
    book = make_book(mine(usd("9"), number=1), rival(usd("8"), number=2), rival(usd("3"), number=3))
    best = book.best_rival(RATES, frozenset({OrderId(2)}))
    assert best is not None
    assert best.order == 3
    assert make_book(mine(usd("9"))).best_rival(RATES) is None


def test_a_rival_in_a_coin_without_a_rate_is_not_passed_over() -> None:
    """It might be the strongest: the book cannot be judged."""
    book = make_book(rival(usd("4")), rival(clore("1"), number=2))
    assert not book.valued(Rates())
    with pytest.raises(NoRate):
        book.best_rival(Rates())
    assert book.valued(RATES)


def test_an_offer_is_found_by_its_order() -> None:
    """The offer's number is the order's."""
    book = make_book(mine(usd("2"), number=7), rival(usd("3"), number=8))
    ours = book.offer_of(OrderId(7))
    assert ours is not None
    assert ours.price == usd("2")
    assert book.offer_of(OrderId(9)) is None


def on_demand_at(**changes: Any) -> Listing:
    """Return a server at 12 USD or 0.0002 BTC (10 USD) on demand."""
    return make_listing(on_demand=[usd("12"), btc("0.0002")], **changes)


def test_the_cheapest_on_demand_price_is_the_one_in_payable_currencies() -> None:
    """Only currencies that the host takes, that we may pay with and that can be valued count."""
    assert on_demand_at().on_demand_usd(RATES, BOTH) == btc("0.0002")
    assert on_demand_at().on_demand_usd(RATES, frozenset({Currency.USD})) == usd("12")
    assert on_demand_at().on_demand_usd(Rates(), BOTH) == usd("12")
    assert on_demand_at(allowed=frozenset({Currency.USD})).on_demand_usd(RATES, BOTH) == usd("12")
    assert on_demand_at(allowed=frozenset()).on_demand_usd(RATES, BOTH) is None


def test_an_order_ends_at_its_creation_plus_its_longest_rental() -> None:
    """The rule of ``ct + mrl``."""
    order = make_order(created_at=NOW)
    assert order.ends_at == NOW + order.mrl
