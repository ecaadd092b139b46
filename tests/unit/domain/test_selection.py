"""Which servers qualify: every filter, what is never considered, and in what order the rest comes."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import (
    RATES,
    at,
    btc,
    clore,
    make_listing,
    make_market,
    make_specs,
    make_target,
    server_ids,
    usd,
)
from hypothesis import given
from hypothesis import strategies as st
from unit.domain.test_deadline import job

from bidder.domain import selection
from bidder.domain.ids import ServerId
from bidder.domain.market import Listing, Wallet
from bidder.domain.money import Currency, Money, Price, Rates
from bidder.domain.policy import Ceiling, Per, Requirements, Target

DOLLARS = frozenset({Currency.USD})
EVERYTHING = frozenset({Currency.USD, Currency.BTC, Currency.CLORE})

# requirement, a server that meets it, one that does not
FILTERS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"min_gpus": 4}, {"gpu_count": 4}, {"gpu_count": 3}),
    ({"max_gpus": 4}, {"gpu_count": 4}, {"gpu_count": 5}),
    ({"min_gpu_memory_gb": 24}, {"gpu_memory_gb": 24.0}, {"gpu_memory_gb": 23.9}),
    ({"min_gpu_memory_gb": 1}, {"gpu_memory_gb": 1.0}, {"gpu_memory_gb": None}),
    ({"min_ram_gb": 64}, {"ram_gb": 64.0}, {"ram_gb": 63.0}),
    ({"min_disk_gb": 500}, {"disk_gb": 500.0}, {"disk_gb": 499.0}),
    ({"min_net_down": 100}, {"net_down": 100.0}, {"net_down": 99.0}),
    ({"min_net_up": 100}, {"net_up": 100.0}, {"net_up": None}),
    ({"min_cuda": "12.4"}, {"cuda": "12.10"}, {"cuda": "12.3"}),
    ({"min_cuda": "12"}, {"cuda": "12.0"}, {"cuda": "11.8"}),
    ({"min_cuda": "12.0"}, {"cuda": "12"}, {"cuda": ""}),
    ({"countries": frozenset({"DE", "FR"})}, {"country": "FR"}, {"country": "US"}),
    ({"countries": frozenset({"DE"})}, {"country": "DE"}, {"country": ""}),
    ({"exclude_countries": frozenset({"US"})}, {"country": ""}, {"country": "US"}),
    ({"gpu_models": ("RTX 3090",)}, {"gpu_model": "RTX 3090"}, {"gpu_model": "RTX 3090 TI"}),
    ({"gpu_models": ("A100", "RTX 4090")}, {"gpu_model": "RTX 4090"}, {"gpu_model": "RTX 3090"}),
    (
        {"gpu_models": ("RTX 3080",), "gpu_exact": False},
        {"gpu_model": "RTX 3080 TI"},
        {"gpu_model": "RTX 3080TI"},
    ),
]
TRUST: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"min_reliability": 0.95}, {"reliability": 0.95}, {"reliability": 0.94}),
    ({"min_rating": 4.0}, {"rating": 4.0, "rating_count": 1}, {"rating": 3.9, "rating_count": 1}),
    ({"min_mrl": timedelta(hours=24)}, {"mrl": timedelta(hours=24)}, {"mrl": timedelta(hours=23)}),
    ({"servers": server_ids(101, 102)}, {"server": 101}, {"server": 103}),
    ({"exclude_servers": server_ids(103)}, {"server": 101}, {"server": 103}),
    ({"exclude_owners": frozenset({7})}, {"owner": 8}, {"owner": 7}),
    ({"exclude_owners": frozenset({7})}, {"owner": None}, {"owner": 7}),
]


@pytest.mark.parametrize(("wanted", "meets", "fails"), FILTERS)
def test_every_requirement_on_the_hardware_tells_servers_apart(
    wanted: dict[str, Any], meets: dict[str, Any], fails: dict[str, Any]
) -> None:
    """What is not said about a server does not meet a minimum."""
    requirements = Requirements(**wanted)
    assert selection.qualifies(make_listing(specs=make_specs(**meets)), requirements)
    assert not selection.qualifies(make_listing(specs=make_specs(**fails)), requirements)


@pytest.mark.parametrize(("wanted", "meets", "fails"), TRUST)
def test_every_requirement_on_host_and_history_tells_servers_apart(
    wanted: dict[str, Any], meets: dict[str, Any], fails: dict[str, Any]
) -> None:
    """Reliability, rating, longest rental, and the owner's own lists."""
    requirements = Requirements(**wanted)
    assert selection.qualifies(make_listing(**meets), requirements)
    assert not selection.qualifies(make_listing(**fails), requirements)


@pytest.mark.parametrize("reliability", [0.0, None])
def test_a_server_without_history_is_new_not_bad(reliability: float | None) -> None:
    """It passes a minimum unless new servers are not wanted."""
    listing = make_listing(reliability=reliability, rating=0.0, rating_count=0)
    wanted = Requirements(min_reliability=0.99, min_rating=4.5)
    assert selection.qualifies(listing, wanted)
    assert not selection.qualifies(listing, Requirements(min_reliability=0.99, allow_new=False))
    assert not selection.qualifies(listing, Requirements(min_rating=4.5, allow_new=False))


def test_a_server_that_names_no_gpu_count_does_not_pass_for_one() -> None:
    """``Mixed`` hardware has a count of 0 and is taken only where none is asked for."""
    mixed = make_listing(specs=make_specs(gpu_count=0, gpu_model="MIXED"))
    assert not selection.qualifies(mixed, Requirements())
    assert selection.qualifies(mixed, Requirements(min_gpus=0))


def listed(
    *listings: Listing,
    target: Target | None = None,
    rates: Rates = RATES,
    pay: frozenset[Currency] = DOLLARS,
    own: tuple[int, ...] = (),
) -> list[int]:
    """Return the numbers of the servers on a target's shortlist, in order."""
    market = make_market(*listings, own=own)
    found = selection.shortlist(market, target or make_target(), rates, pay)
    return [candidate.listing.server for candidate in found]


def test_own_and_rented_servers_are_never_considered() -> None:
    """The account cannot rent its own servers, and no bid wins a rented one."""
    assert listed(make_listing(1), make_listing(2), make_listing(3, rented=True), own=(2,)) == [1]


def test_a_gigaspot_is_never_considered() -> None:
    """Neither for a bid, nor for renting on demand, nor for its rates: no order is taken there."""
    giga, plain = make_listing(1, gigaspot=True, floor=btc("0.00001")), make_listing(2)
    assert listed(giga, plain, pay=EVERYTHING) == [2]
    rented = selection.rentals(make_market(giga, plain), job(), RATES, DOLLARS)
    assert [candidate.listing.server for candidate in rented] == [2]
    market, bitcoin = make_market(giga), frozenset({Currency.BTC})
    assert selection.rate_probe(market, make_target(), Rates(), bitcoin) is None


def test_a_floor_in_a_currency_that_the_host_does_not_take_does_not_count() -> None:
    """One server in ten lists such a price."""
    cheap_in_btc = make_listing(1, floor=[usd("4"), btc("0.00001")], allowed=frozenset({Currency.USD}))
    assert listed(cheap_in_btc, make_listing(2, floor=usd("3")), pay=EVERYTHING) == [2, 1]
    refused = make_listing(1, floor=btc("0.00001"), allowed=frozenset({Currency.USD}))
    assert listed(refused, pay=EVERYTHING) == []


def test_a_server_that_takes_none_of_our_currencies_is_left_out() -> None:
    """However cheap it is."""
    assert listed(make_listing(1, floor=btc("0.00000001")), pay=DOLLARS) == []


def test_a_floor_above_the_ceiling_is_left_out_and_one_at_the_ceiling_is_not() -> None:
    """The ceiling itself is allowed."""
    target = make_target(ceiling=usd("3"))
    at_it, above_it = make_listing(1, floor=usd("3")), make_listing(2, floor=usd("3.0001"))
    assert listed(at_it, above_it, target=target) == [1]


def test_a_ceiling_per_gpu_grows_with_the_server() -> None:
    """2 USD per GPU buys four GPUs at 8 USD, not one at 3 USD."""
    target = make_target(ceiling=usd("2"), per=Per.GPU)
    assert listed(
        make_listing(1, floor=usd("8"), gpus=4), make_listing(2, floor=usd("3")), target=target
    ) == [1]


def test_servers_come_by_price_per_gpu() -> None:
    """Four GPUs for 8 USD before one for 3 USD, equal ones by number."""
    target = make_target(ceiling=usd("100"))
    offered = (
        make_listing(3, floor=usd("3")),
        make_listing(2, floor=usd("8"), gpus=4),
        make_listing(1, floor=usd("3")),
    )
    assert listed(*offered, target=target) == [2, 1, 3]


def test_an_unreliable_server_counts_as_dearer() -> None:
    """Ten percent down counts as twenty percent dearer; a new one as five percent down."""
    flaky = make_listing(1, floor=usd("1"), reliability=0.9)
    steady = make_listing(2, floor=usd("1.15"), reliability=1.0)
    assert listed(flaky, steady) == [2, 1]
    new = make_listing(1, floor=usd("1"), reliability=0.0)
    assert listed(new, steady) == [1, 2]
    assert listed(new, make_listing(3, floor=usd("1.05"))) == [3, 1]


def test_without_a_rate_nothing_is_compared_and_a_probe_is_named() -> None:
    """A dollar ceiling on bitcoin servers needs a rate; a book of one of them will bring it."""
    bitcoin_only = make_listing(1, floor=btc("0.00001"))
    market, pay = make_market(bitcoin_only), frozenset({Currency.BTC})
    assert selection.shortlist(market, make_target(), Rates(), pay) == ()
    assert selection.rate_probe(market, make_target(), Rates(), pay) == 1
    assert selection.rate_probe(market, make_target(), RATES, pay) is None


def test_a_rate_is_looked_for_in_one_book_after_the_other() -> None:
    """What was read brought none; one that was read goes before one that cannot be, the oldest first."""
    market = make_market(*(make_listing(server, floor=btc("0.00001")) for server in (1, 2, 3)))
    pay = frozenset({Currency.BTC})

    def probe(read: dict[int, int], *unreadable: int) -> int | None:
        known = {ServerId(server): at(seconds) for server, seconds in read.items()}
        unread = server_ids(*unreadable)
        return selection.rate_probe(market, make_target(), Rates(), pay, read=known, unreadable=unread)

    assert probe({}) == 1
    assert probe({1: 0}) == 2
    assert probe({1: 0}, 2) == 3
    assert probe({1: 0, 3: 1}, 2) == 1
    assert probe({1: 2, 3: 1}, 2) == 3
    assert probe({1: 2, 2: 3, 3: 1}) == 3


def test_a_ceiling_in_its_own_coin_needs_no_rate_and_is_never_rounded_up() -> None:
    """Between coins it goes through dollars, down to the quantum."""
    assert make_target(ceiling=clore("100")).ceiling.for_server(1, Currency.CLORE, Rates()) == clore(
        "100"
    )
    per_gpu = make_target(ceiling=usd("0.1"), per=Per.GPU).ceiling
    assert per_gpu.for_server(3, Currency.BTC, RATES) == btc("0.000006")
    uneven = Rates({Currency.BTC: Decimal(70_000)})
    assert per_gpu.for_server(1, Currency.BTC, uneven) == btc("0.00000142")


def test_only_funded_currencies_are_paid_with_unless_named() -> None:
    """A target's own list wins; else wallets with something in them; else every known coin."""
    wallets = {
        Currency.BTC: Wallet(currency=Currency.BTC, balance=Money.parse("1", Currency.BTC)),
        Currency.USD: Wallet(currency=Currency.USD, balance=Money.zero(Currency.USD)),
        Currency.CLORE: Wallet(currency=Currency.CLORE, balance=None),
    }
    open_target = make_target(currencies=())
    assert selection.payable(make_target(), wallets) == DOLLARS
    assert selection.payable(open_target, wallets) == {Currency.BTC, Currency.CLORE}
    assert selection.payable(open_target, {}) == EVERYTHING


_CURRENCY = st.sampled_from(sorted(EVERYTHING))
_PRICE_LIST = st.dictionaries(_CURRENCY, st.decimals("0.00000001", "20", places=8), max_size=3)


@st.composite
def listings(draw: st.DrawFn) -> Listing:
    """Return a server of a small world with prices in several currencies."""
    return make_listing(
        draw(st.integers(1, 30)),
        floor=[Price(a, c) for c, a in draw(_PRICE_LIST).items()],
        rented=draw(st.booleans()),
        allowed=draw(st.none() | st.frozensets(_CURRENCY)),
        gpus=draw(st.integers(0, 8)),
        reliability=draw(st.none() | st.floats(0, 1)),
    )


@given(
    offered=st.lists(listings(), max_size=12),
    own=st.frozensets(st.integers(1, 30)),
    pay=st.frozensets(_CURRENCY),
    ceiling=st.decimals("0.01", "15", places=2),
    per=st.sampled_from(Per),
)
def test_nothing_forbidden_is_ever_on_a_shortlist(
    offered: list[Listing],
    own: frozenset[int],
    pay: frozenset[Currency],
    ceiling: Decimal,
    per: Per,
) -> None:
    """Not our own, not rented, payable in an allowed coin at or below the ceiling, and in order."""
    cap = Ceiling(price=Price(ceiling, Currency.USD), per=per)
    target = make_target(ceiling=cap.price, per=per, requirements=Requirements(min_gpus=0))
    market = make_market(*offered, own=own)
    found = selection.shortlist(market, target, RATES, pay)
    for candidate in found:
        listing = candidate.listing
        assert listing.server not in own
        assert not listing.rented
        assert any(
            currency in pay
            and listing.takes(currency)
            and floor <= cap.for_server(listing.specs.gpu_count, currency, RATES)
            for currency, floor in listing.spot_floor.items()
        )
    scores = [candidate.score for candidate in found]
    assert scores == sorted(scores)
