"""Orders on paper: bills, the lowering clock, refusals, and who would run."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import (
    LAUNCH,
    NOW,
    RATES,
    SERVER,
    TARGET,
    at,
    btc,
    make_book,
    make_listing,
    make_order,
    rival,
    usd,
)
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain import paper
from bidder.domain.actions import PlaceBid, RentOnDemand, Reprice, Withdraw
from bidder.domain.ids import OrderId, on_paper, parse_order, spelled
from bidder.domain.market import Book, OrderKind
from bidder.domain.money import Currency, Money, Price, Rates
from bidder.domain.paper import Account, Ground, PaperOrder
from bidder.domain.price_rules import ClockRules, StepSample
from bidder.errors import (
    CurrencyNotAllowed,
    LoweredTooSoon,
    OtherRefusal,
    PriceTooLow,
    Refused,
    ServerOffline,
    ServerTaken,
    StepExceeded,
)

DAY = timedelta(days=1)


def ground(book: Book | None = None, **listing: Any) -> Ground:
    """Return a server with this book; without one its ladder cannot be read."""
    return Ground(listing=make_listing(**listing), book=book, rates=RATES)


def with_bid(
    price: Price, *, book: Book | None = None, when: float = 0, account: Account | None = None
) -> tuple[Account, OrderId]:
    """Return an account with one offer, judged by the book."""
    here = ground(make_book() if book is None else book)
    action = PlaceBid(server=SERVER, price=price, target=TARGET, launch=LAUNCH)
    placed, number = paper.place(account or Account(), action, here, at(when))
    return paper.judge(placed, SERVER, here, at(when)), number


def reprice(account: Account, number: OrderId, price: Price, *, when: float) -> Account:
    """Return the account with the offer at another price."""
    current = account.orders[number].price
    action = Reprice(order=number, server=SERVER, current=current, price=price, target=TARGET)
    return paper.reprice(account, action, ground(make_book()), at(when))


def test_numbers_on_paper_are_none_that_an_exchange_gives() -> None:
    """They count down from -1 and are never given twice, also after the last one has ended."""
    account, first = with_bid(usd("2"))
    account = paper.cancel(account, Withdraw(order=first, server=SERVER, target=TARGET), at(1))
    account = paper.expire(account, NOW + timedelta(days=10))
    assert account.orders == {}
    account, second = with_bid(usd("2"), account=account)
    assert (first, second) == (-1, -2)
    assert on_paper(first)
    assert not on_paper(OrderId(0))


@given(st.integers(min_value=-(10**18) + 1, max_value=10**18 - 1))
def test_an_order_is_read_as_it_is_spelled(number: int) -> None:
    """What is shown can be typed: P3 is order -3, 3 is order 3."""
    assert parse_order(spelled(OrderId(number))) == number


@pytest.mark.parametrize("text", ["", "P", "PP3", "3P", "--3", "1.5", "٣", "P-3", "9" * 19])
def test_text_that_names_no_order_is_none(text: str) -> None:
    """Nothing is guessed from what is not a number."""
    assert parse_order(text) is None


@given(
    prices_paid=st.lists(
        st.tuples(st.integers(1, 10**9), st.integers(1, 10**10), st.booleans()), min_size=1, max_size=12
    )
)
def test_a_bill_is_price_times_time_running(prices_paid: list[tuple[int, int, bool]]) -> None:
    """To the last digit, whatever the prices, the times and the pauses in between."""
    moment, owed = NOW, Decimal(0)
    order = PaperOrder(
        order=OrderId(-1),
        server=SERVER,
        kind=OrderKind.SPOT,
        price=btc("0.00000001"),
        created_at=NOW,
        mrl=timedelta(days=999),
        billed_until=NOW,
    )
    for units, microseconds, runs in prices_paid:
        price = Price(Decimal(units).scaleb(-8), Currency.BTC)
        order = replace(order.billed(moment), price=price, active=runs)
        moment += timedelta(microseconds=microseconds)
        owed += price.amount * microseconds if runs else 0
    order = order.billed(moment)
    assert order.charged == owed
    assert abs(order.spend.amount - owed / Decimal(86_400_000_000)) < Decimal("1e-20")


@given(st.lists(st.integers(0, 10**9), max_size=8), st.integers(1, 10**9))
def test_looking_more_often_costs_nothing(looks: list[int], end: int) -> None:
    """The bill does not depend on how often it was brought up to date, nor in which order."""
    account, number = with_bid(usd("2.37"))
    order = account.orders[number]
    finish = NOW + timedelta(microseconds=end)
    looked = order
    for each in looks:
        looked = looked.billed(NOW + timedelta(microseconds=min(each, end)))
    assert looked.billed(finish) == order.billed(finish)


def test_a_minute_costs_a_1440th_of_the_price() -> None:
    """That is how the samples of the API document add up."""
    account, number = with_bid(usd("2.88"))
    assert account.orders[number].billed(at(60)).spend == Money.parse("0.002", Currency.USD)


def test_an_order_ends_with_its_longest_rental_and_is_not_billed_beyond() -> None:
    """However late somebody looks."""
    account, number = with_bid(usd("2"), book=make_book(mrl=timedelta(hours=12)))
    account = paper.expire(account, NOW + timedelta(hours=30))
    order = account.orders[number]
    assert order.ended_at == NOW + timedelta(hours=12)
    assert order.spend == Money.parse("1", Currency.USD)
    (listed,) = paper.own_orders(account, NOW + timedelta(hours=30), completed=True)
    assert listed.expired
    assert paper.own_orders(account, NOW + timedelta(hours=30), completed=False) == ()


@given(
    waits=st.lists(st.floats(0, 1500, allow_nan=False), min_size=1, max_size=12),
    ups=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_no_two_lowerings_within_ten_minutes(waits: list[float], ups: list[bool]) -> None:
    """Whatever is asked and when; a raise is never refused, and the refusal says how long to wait."""
    account, number = with_bid(usd("4"))
    now = 0.0
    lowered: list[float] = []
    for wait, up in zip(waits, ups, strict=False):
        now += wait
        price = account.orders[number].price
        wanted = Price(price.amount * Decimal("1.01" if up else "0.99"), Currency.USD)
        opens_at = max((at + 600 for at in lowered), default=0)
        if not up and now < opens_at - 1e-3:
            with pytest.raises(LoweredTooSoon) as refused:
                reprice(account, number, wanted, when=now)
            named = refused.value.time_to_lowering
            assert named is not None
            assert abs(named - (opens_at - now)) < 1e-3
        elif up or now > opens_at + 1e-3:
            account = reprice(account, number, wanted, when=now)
            lowered += [] if up else [now]


def test_a_clock_that_creation_is_known_to_start_is_kept() -> None:
    """What live trading has learnt of the exchange holds on paper too."""
    account, number = with_bid(usd("4"), account=Account(rules=ClockRules(creation=True)))
    with pytest.raises(LoweredTooSoon):
        reprice(account, number, usd("3.9"), when=300)
    assert reprice(account, number, usd("3.9"), when=601).orders[number].price == usd("3.9")


def test_a_step_goes_as_far_as_the_sample_of_the_documents() -> None:
    """The refusal names the lowest price, and exactly that is accepted next."""
    account, number = with_bid(btc("0.00005"), book=make_book(floor=btc("0.00001")))
    action = Reprice(
        order=number, server=SERVER, current=btc("0.00005"), price=btc("0.00002"), target=TARGET
    )
    here = ground(make_book(floor=btc("0.00001")))
    with pytest.raises(StepExceeded) as refused:
        paper.reprice(account, action, here, at(5))
    assert refused.value.max_step == Decimal("0.000049")
    lower = replace(action, price=btc("0.000049"))
    assert paper.reprice(account, lower, here, at(5)).orders[number].price == btc("0.000049")


def test_a_learnt_step_is_used() -> None:
    """A step that the exchange named once is the one that paper allows."""
    sample = StepSample(
        currency=Currency.USD,
        price=Decimal(4),
        drop=Decimal(1),
        floor=Decimal(1),
        exact=True,
        at=NOW,
    )
    account, number = with_bid(usd("4"), account=Account(steps=(sample,)))
    assert reprice(account, number, usd("3"), when=5).orders[number].price == usd("3")
    with pytest.raises(StepExceeded):
        reprice(account, number, usd("2.9"), when=5)


def test_below_the_floor_nothing_is_accepted() -> None:
    """Neither a creation nor a lowering; the answer names the floor."""
    with pytest.raises(PriceTooLow) as refused:
        with_bid(usd("0.99"))
    assert refused.value.min_price == Decimal(1)
    account, number = with_bid(usd("1.02"))
    with pytest.raises(PriceTooLow):
        reprice(account, number, usd("0.98"), when=5)


@pytest.mark.parametrize(
    ("here", "refusal"),
    [
        (ground(make_book(), rented=True), ServerTaken),
        (ground(make_book(online=False)), ServerOffline),
        (ground(make_book(exists=False)), ServerOffline),
        (Ground(listing=None, book=None, rates=RATES), ServerOffline),
        (ground(make_book(), allowed=frozenset({Currency.BTC})), CurrencyNotAllowed),
    ],
)
def test_a_creation_is_refused_as_the_exchange_would(here: Ground, refusal: type[Refused]) -> None:
    """A server that is taken, away or does not take the coin gives no order."""
    action = PlaceBid(server=SERVER, price=usd("2"), target=TARGET, launch=LAUNCH)
    with pytest.raises(refusal):
        paper.place(Account(), action, here, NOW)


def test_where_no_book_is_shown_the_first_offer_runs_and_makes_one() -> None:
    """The marketplace lists the floor: nobody has bid there yet."""
    bookless = Book(server=SERVER, exists=False)
    account, number = with_bid(usd("2"), book=bookless)
    assert account.orders[number].active
    shown = paper.lay_in(bookless, account, SERVER)
    assert shown.exists
    assert [offer.order for offer in shown.offers] == [number]
    assert not paper.lay_in(bookless, Account(), SERVER).exists


def test_an_order_that_is_over_takes_no_change() -> None:
    """Neither a price nor a second cancellation."""
    account, number = with_bid(usd("2"))
    gone = Withdraw(order=number, server=SERVER, target=TARGET)
    account = paper.cancel(account, gone, at(30))
    with pytest.raises(OtherRefusal):
        paper.cancel(account, gone, at(31))
    with pytest.raises(OtherRefusal):
        reprice(account, number, usd("3"), when=31)
    assert account.orders[number].billed(at(999)) == account.orders[number]


@given(
    bids=st.lists(
        st.tuples(st.integers(1, 400), st.sampled_from([Currency.USD, Currency.BTC, Currency.CLORE])),
        max_size=6,
    ),
    ours=st.integers(100, 400),
)
def test_an_offer_runs_exactly_when_it_is_above_all(bids: list[tuple[int, Currency]], ours: int) -> None:
    """In USD by the book's own rates; a tie is lost; the book then shows one active offer at most."""
    rates = Rates({Currency.BTC: Decimal(40_000), Currency.CLORE: Decimal("0.05")})
    offers = tuple(
        rival(rates.from_usd(Decimal(cents) / 100, currency), number=500 + place)
        for place, (cents, currency) in enumerate(bids)
    )
    best = max(range(len(bids)), key=lambda i: bids[i][0], default=None)
    offers = tuple(replace(offer, active=place == best) for place, offer in enumerate(offers))
    book = make_book(*offers, rates=rates)
    account, number = with_bid(usd(f"{ours / 100}"), book=book)
    wins = all(cents < ours for cents, _ in bids)
    assert account.orders[number].active is wins
    shown = paper.lay_in(book, account, SERVER)
    active = [offer.order for offer in shown.offers if offer.active]
    assert active == ([number] if wins else [500 + best] if best is not None else [])
    assert len(shown.rivals()) == len(bids)


@pytest.mark.parametrize(
    "book",
    [
        make_book(online=False),
        make_book(public=False),
        make_book(exists=False),
        make_book(rival(usd("1.5"))),  # it stands, and nobody runs: the server is rented
        make_book(rival(Price.parse("1", Currency("unheard-of")), active=True)),
    ],
)
def test_where_nobody_can_win_an_offer_waits(book: Book) -> None:
    """Offline, hidden, gone, rented, or against a bid that cannot be valued: it costs nothing."""
    account, number = with_bid(usd("2"))
    assert account.orders[number].active
    account = paper.judge(account, SERVER, ground(book), at(60))
    later = account.orders[number].billed(at(600))
    assert not later.active
    assert later.spend == account.orders[number].spend


def test_an_on_demand_rental_displaces_and_gives_back() -> None:
    """While the marketplace says `rented` the offer waits; afterwards it runs again."""
    account, number = with_bid(usd("2"))
    taken = paper.judge(account, SERVER, ground(make_book(), rented=True), at(60))
    assert not taken.orders[number].active
    back = paper.judge(taken, SERVER, ground(make_book()), at(120))
    assert back.orders[number].active
    assert back.orders[number].billed(at(180)).charged == 2 * 2 * 60 * 10**6


def test_without_a_ladder_the_floor_wins_and_is_marked() -> None:
    """An offer whose book nobody saw is assumed to run, and says so for good."""
    here = ground(None)
    floor = here.floor(Currency.USD)
    assert floor is not None
    action = PlaceBid(server=SERVER, price=floor, target=TARGET, launch=LAUNCH)
    account, number = paper.place(Account(), action, here, NOW)
    account = paper.judge(account, SERVER, here, NOW)
    assert account.orders[number].active
    seen = paper.judge(account, SERVER, ground(make_book()), at(5))
    (listed,) = paper.own_orders(seen, at(5), completed=False)
    assert listed.assumed
    assert paper.presumed_book(here.listing, SERVER).presumed
    vanished = paper.judge(seen, SERVER, Ground(listing=None, book=None, rates=RATES), at(9))
    assert not vanished.orders[number].active


def test_a_paper_rental_on_demand_runs_and_keeps_offers_out() -> None:
    """It starts only at the required price, and pays the on-demand fee."""
    here = ground(make_book(rival(usd("3"), active=True)))
    action = RentOnDemand(server=SERVER, price=usd("10"), target=TARGET, launch=LAUNCH)
    account, number = paper.place(Account(), action, here, NOW)
    account = paper.judge(account, SERVER, here, NOW)
    assert account.orders[number].active
    assert account.orders[number].fee_percent == 5.0
    assert all(not offer.active for offer in paper.lay_in(make_book(), account, SERVER).offers)
    with pytest.raises(OtherRefusal):
        paper.place(Account(), replace(action, price=usd("9")), here, NOW)


def test_fees_are_those_of_the_newest_real_order() -> None:
    """They change, so they are read where the exchange shows them."""
    older = make_order(fee_percent=3.0, creation_fee=Money.parse("0.1", Currency.USD))
    newer = replace(older, order=OrderId(8), created_at=older.created_at + DAY, fee_percent=4.0)
    silent = replace(newer, order=OrderId(9), created_at=newer.created_at + DAY, fee_percent=None)
    fees = paper.fees_seen(paper.Fees(), (silent, newer, older))
    assert (fees.spot_percent, fees.on_demand_percent) == (4.0, 5.0)
    assert fees.creation == Money.parse("0.1", Currency.USD)
