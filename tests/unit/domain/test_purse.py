"""Wallets that run dry: another one that carries a server pays for it, and the rails tell of none."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from builders import (
    NOW,
    RATES,
    at,
    btc,
    clore,
    make_book,
    make_holding,
    make_listing,
    make_order,
    make_policy,
    make_target,
    make_view,
    mine,
    prices,
    rival,
    seen,
    usd,
)
from hypothesis import given
from hypothesis import strategies as st
from unit.domain.test_deadline import SCARCE, job

from bidder.domain import deadlines, moving, planning, quotes
from bidder.domain.actions import Decision, PlaceBid, Reason, RentOnDemand, Reprice
from bidder.domain.costs import share_of_day
from bidder.domain.market import Wallet
from bidder.domain.money import Currency, Money, Price
from bidder.domain.policy import Moving, Policy, Rails, TrackParams
from bidder.domain.purse import Purse
from bidder.domain.searching import Found, NeedsBook
from bidder.domain.view import BookSeen, Holding, View

COINS = (Currency.BTC, Currency.CLORE)
# A day in bitcoin is one dollar, and in CLORE two.
ONE_IN_BTC, TWO_IN_CLORE = btc("0.00002"), clore("100")
AN_HOUR_IN_BTC = ONE_IN_BTC.amount / 24


def wallets(bitcoin: object = "1", coins: object = "30000") -> dict[Currency, Wallet]:
    """Return a wallet of each coin."""
    return {
        coin: Wallet(currency=coin, balance=Money.parse(str(amount), coin))
        for coin, amount in zip(COINS, (bitcoin, coins), strict=True)
    }


def book(server: int, *floors: Price) -> BookSeen:
    """Return an empty book with these floors, just read."""
    return seen(replace(make_book(server=server), floor=prices(*floors)))


def market(
    purse: dict[Currency, Wallet], *servers: tuple[int, tuple[Price, ...]], rails: Rails | None = None
) -> tuple[View, Policy]:
    """Return servers that ask for these prices, and a target that pays in both coins."""
    policy = make_policy(make_target(currencies=COINS), rails=rails or Rails())
    listings = [make_listing(server, floor=floors) for server, floors in servers]
    books = [book(server, *floors) for server, floors in servers]
    return make_view(policy, *listings, books=books, wallets=purse), policy


def bid(purse: dict[Currency, Wallet], rails: Rails | None = None) -> Decision:
    """Return what becomes of an empty slot where one server takes both coins."""
    view, policy = market(purse, (202, (ONE_IN_BTC, TWO_IN_CLORE)), rails=rails)
    (decision,) = planning.plan(view, policy, NOW)
    return decision


@pytest.mark.parametrize(
    ("bitcoin", "expected"),
    [
        ("1", ONE_IN_BTC),
        ("0.0000009", ONE_IN_BTC),
        ("0.0000008", TWO_IN_CLORE),
        ("0", TWO_IN_CLORE),
    ],
)
def test_the_cheapest_currency_pays_whose_wallet_carries_an_hour(bitcoin: str, expected: Price) -> None:
    """0.00002 BTC a day are 0.00000083 an hour."""
    decision = bid(wallets(bitcoin))

    assert isinstance(decision.action, PlaceBid)
    assert decision.action.price == expected


def test_what_the_owner_keeps_carries_nothing() -> None:
    """A whole bitcoin that is to stay pays for no server."""
    decision = bid(wallets("1"), Rails(min_balance=(Money.parse("1", Currency(str(Currency.BTC))),)))

    assert isinstance(decision.action, PlaceBid)
    assert decision.action.price == TWO_IN_CLORE


def test_a_server_that_no_wallet_carries_makes_way_for_one_that_is_carried() -> None:
    """The cheaper host takes only bitcoin; its book need not even be read."""
    view, policy = market(wallets("0"), (202, (ONE_IN_BTC,)), (303, (TWO_IN_CLORE,)))
    unread = replace(view, books={server: b for server, b in view.books.items() if server == 303})

    for each in (view, unread):
        (decision,) = planning.plan(each, policy, NOW)
        assert isinstance(decision.action, PlaceBid)
        assert (decision.action.server, decision.action.price) == (303, TWO_IN_CLORE)


def test_a_rival_may_make_a_server_dearer_than_a_wallet_carries() -> None:
    """The floor would be carried for an hour, what beats the rival would not."""
    floors = (ONE_IN_BTC, clore("150"))
    view, policy = market(wallets(AN_HOUR_IN_BTC * 2), (202, floors))
    contested = seen(replace(make_book(rival(usd("2.5")), server=202), floor=prices(*floors)))
    view = replace(view, books={contested.book.server: contested})

    (decision,) = planning.plan(view, policy, NOW)

    assert isinstance(decision.action, PlaceBid)
    assert decision.action.price.currency is Currency.CLORE


def test_where_no_wallet_carries_any_server_that_is_said() -> None:
    """The reason is the wallet's, and the balance is named."""
    decision = bid(wallets("0", "1"))

    assert decision.action is None
    assert decision.reason is Reason.NO_BALANCE
    assert decision.facts["balance"] == str(Money.parse("0", Currency.BTC))


def test_no_price_above_the_ceiling_is_paid_from_the_fuller_wallet() -> None:
    """Carried, but 300 CLORE are six dollars, and five are allowed."""
    view, policy = market(wallets("0"), (202, (ONE_IN_BTC, clore("300"))))

    (decision,) = planning.plan(view, policy, NOW)

    assert decision.action is None


def test_a_job_rents_on_demand_from_the_wallet_that_carries_it() -> None:
    """The safety net must not hang on the emptier wallet."""
    target = job(SCARCE, currencies=COINS)
    policy = make_policy(target)
    asked = (btc("0.0002"), clore("550"))
    listing = make_listing(202, floor=btc("0.001"), on_demand=asked)

    def rented(purse: dict[Currency, Wallet]) -> Decision:
        view = make_view(policy, listing, wallets=purse)
        decisions = planning.plan(deadlines.looked(view, policy, NOW), policy, NOW)
        return next(d for d in decisions if d.reason in {Reason.DEADLINE, Reason.NO_BALANCE})

    for purse, expected in ((wallets(), asked[0]), (wallets("0"), asked[1])):
        action = rented(purse).action
        assert isinstance(action, RentOnDemand)
        assert action.price == expected
    assert rented(wallets("0", "0")).reason is Reason.NO_BALANCE


@given(
    balance=st.decimals("0", "1000", places=6),
    kept=st.decimals("0", "1000", places=6),
    price=st.decimals("0", "24000", places=4),
)
def test_what_is_carried_leaves_what_is_kept(balance: Decimal, kept: Decimal, price: Decimal) -> None:
    """An hour at a carried price never eats into what is to stay; one at a larger price might."""
    purse = Purse(
        wallets={Currency.USD: Wallet(currency=Currency.USD, balance=Money(balance, Currency.USD))},
        kept=(Money(kept, Currency.USD),),
    )
    left = (balance - kept) * 24
    carried = purse.carries(Price(price, Currency.USD))
    if abs(left - price) > Decimal("1e-12"):
        assert carried == (left > price)


def test_a_job_rents_the_cheapest_server_that_is_carried() -> None:
    """The list is sorted by what the dry wallet would pay."""
    target = job(SCARCE, currencies=COINS)
    policy = make_policy(target)
    asked = {202: (btc("0.00002"), clore("550")), 303: (btc("0.00003"), clore("110"))}
    listings = [make_listing(s, floor=btc("0.001"), on_demand=both) for s, both in asked.items()]
    view = make_view(policy, *listings, wallets=wallets("0"))

    decisions = planning.plan(deadlines.looked(view, policy, NOW), policy, NOW)

    (action,) = [d.action for d in decisions if isinstance(d.action, RentOnDemand)]
    assert (action.server, action.price) == (303, clore("110"))


def reads_until_bid(
    view: View, policy: Policy, floors: Mapping[int, tuple[Price, ...]]
) -> tuple[int, int]:
    """Return how many books are read before a bid, and on which server that is."""
    for reads in range(len(floors) + 1):
        (decision,) = planning.plan(view, policy, NOW)
        if isinstance(decision.action, PlaceBid):
            return reads, decision.action.server
        server = decision.wants_book
        assert server is not None
        view = replace(view, books={**view.books, server: book(server, *floors[server])})
    raise AssertionError("all books are read, and there is no bid")


def test_what_a_dry_wallet_would_pay_leads_to_no_book() -> None:
    """Each of a hundred servers would be cheap in bitcoin; in CLORE the last one is."""
    floors = {1000 + n: (btc(f"0.0000{2000 + n}"), clore(str(200 - n))) for n in range(100)}
    policy = make_policy(make_target(currencies=COINS))
    listings = [make_listing(server, floor=both) for server, both in floors.items()]

    for purse, server in ((wallets(), 1000), (wallets("0"), 1099)):
        view = make_view(policy, *listings, wallets=purse)
        assert reads_until_bid(view, policy, floors) == (1, server)


@given(
    servers=st.lists(
        st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(0, 60), st.booleans()),
        min_size=1,
        max_size=8,
    ),
    bitcoin=st.integers(0, 80),
    coins=st.integers(0, 80),
)
def test_the_search_finds_the_cheapest_server_of_all_that_are_carried(
    servers: list[tuple[int, int, int, bool]], bitcoin: int, coins: int
) -> None:
    """Also where rivals bid, and whatever order the dry wallets would make of the servers."""
    tenth = Decimal("0.1")
    balances = {Currency.BTC: bitcoin * tenth, Currency.CLORE: coins * tenth}
    held = wallets(*(RATES.from_usd(usd / 24, coin).amount for coin, usd in balances.items()))
    policy = make_policy(make_target(currencies=COINS, ceiling=usd("100")))
    floors, books, carried = {}, [], {}
    for number, (in_btc, in_clore, bids, rivalled) in enumerate(servers, 201):
        both = tuple(
            RATES.from_usd(dollars * tenth, coin)
            for dollars, coin in zip((in_btc, in_clore), COINS, strict=True)
        )
        floors[number] = both
        offers = [rival(usd(str(bids * tenth)))] if rivalled and bids else []
        books.append(seen(replace(make_book(*offers, server=number), floor=prices(*both))))
        quoted = quotes.quote(
            None,
            books[-1].book,
            policy.targets[0],
            RATES,
            COINS,
            gpus=1,
            purse=Purse(wallets=held),
        )
        if quoted is not None and quoted.carried:
            carried[number] = quoted.usd
    listings = [make_listing(s, floor=both, on_demand=usd("500")) for s, both in floors.items()]
    view = make_view(policy, *listings, wallets=held)
    by_server = {each.book.server: each for each in books}

    found = moving.search(policy.targets[0], view, policy, NOW)
    while isinstance(found, NeedsBook):
        assert found.server not in view.books
        view = replace(view, books={**view.books, found.server: by_server[found.server]})
        found = moving.search(policy.targets[0], view, policy, NOW)

    if carried:
        assert isinstance(found, Found)
        assert found.quote.carried
        assert found.quote.usd == min(carried.values())


# 0.000026 BTC a day, a dollar thirty, instead of a hundred CLORE, two dollars.
CHEAP_IN_BTC = btc("0.000026")


def running(
    bitcoin: str, *beside: Holding, overlap: bool = True, active: bool = True, fee: str = "0.005"
) -> list[Decision]:
    """Return what becomes of a bid in CLORE, two dollars a day, beside a cheaper server for bitcoin."""
    moves = Moving(running=True, overlap=overlap)
    eager = TrackParams(raise_wait=timedelta(0), confirm=False)
    target = make_target(currencies=COINS, moving=moves, params=eager)
    policy = make_policy(target, make_target("beside", currencies=COINS))
    price = clore("100") if active else clore("60")
    order = make_order(7, server=101, price=price, created_at=at(-7200), mrl=timedelta(days=30))
    since = None if active else at(-600)
    holding = make_holding(order=order, first_seen_at=at(-7200), active=active, outbid_since=since)
    there = (CHEAP_IN_BTC, clore("105"))
    rivals = () if active else (rival(clore("99.99"), active=True),)
    here = make_book(mine(price, active=active), *rivals, floor=clore("60"))
    here = replace(here, floor=prices(clore("100") if active else clore("60")))
    view = make_view(
        policy,
        make_listing(101, floor=clore("60")),
        make_listing(202, floor=there),
        holdings=[holding, *beside],
        books=[seen(here, outbid_reads=0 if active else 2), book(202, *there)],
        wallets=wallets(bitcoin),
        creation_fee_usd=Decimal(fee),
    )
    return [d for d in planning.plan(view, policy, NOW) if d.target == target.name]


def moves_of(decisions: list[Decision]) -> list[Decision]:
    """Return the moves among them."""
    return [d for d in decisions if d.reason is Reason.MOVE and d.action is not None]


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize(
    ("bitcoin", "hours"), [("0.0000011", None), ("0.0000026", 2.4), ("0.000013", 12), ("1", 24)]
)
def test_a_move_saves_only_until_the_new_wallet_is_empty(
    bitcoin: str, hours: float | None, overlap: bool
) -> None:
    """Within the hour that the first one lasts, three cents do not pay for the change."""
    found = moves_of(running(bitcoin, overlap=overlap))

    assert [d.facts["horizon_hours"] for d in found] == ([] if hours is None else [hours])


def test_a_move_counts_the_orders_that_draw_from_the_same_wallet() -> None:
    """Nine times as much leaves it beside the new order, which lasts a tenth of the time."""
    other = make_order(9, server=303, price=btc("0.000234"), created_at=at(-30))
    beside = make_holding(order=other, target="beside", first_seen_at=at(-30))

    (alone,) = moves_of(running("0.000026"))
    (crowded,) = moves_of(running("0.000026", beside))

    assert (alone.facts["horizon_hours"], crowded.facts["horizon_hours"]) == (24, 2.4)


def test_an_order_that_lost_its_server_leaves_for_no_wallet_that_is_empty_before_its_fee_pays() -> None:
    """A raise to two dollars wins it back, and five cents for an hour are more than that."""
    (raised,) = running("0.0000011", active=False, fee="0.05")

    assert isinstance(raised.action, Reprice)
    assert moves_of(running("1", active=False, fee="0.05"))


@pytest.mark.parametrize(("read_ago", "carried"), [(0, True), (600, False), (7200, False)])
def test_what_running_orders_have_drawn_since_the_balance_was_read_is_gone(
    read_ago: float, carried: bool
) -> None:
    """An hour and a minute of the price, less ten minutes of it."""
    balance = TWO_IN_CLORE.amount * Decimal(61) / Decimal(1440)
    order = make_holding(order=make_order(9, price=TWO_IN_CLORE), first_seen_at=at(-900))
    policy = make_policy()
    view = make_view(policy, holdings=[order], wallets=wallets("1", balance), wallets_at=at(-read_ago))

    assert view.purse(policy.rails, NOW).carries(TWO_IN_CLORE) is carried
    idle = view.with_holding(replace(order, active=False))
    assert idle.purse(policy.rails, NOW).carries(TWO_IN_CLORE)


@given(
    balance=st.decimals("0", "1000", places=6),
    price=st.decimals("0.0001", "24000", places=4),
    beside=st.decimals("0", "24000", places=4),
    kept=st.decimals("0", "1000", places=6),
    most=st.timedeltas(timedelta(0), timedelta(days=30)),
)
def test_a_wallet_lasts_until_the_orders_have_drawn_what_may_be_spent(
    balance: Decimal, price: Decimal, beside: Decimal, kept: Decimal, most: timedelta
) -> None:
    """And no longer than was asked, nor less than no time."""
    purse = Purse(
        wallets={Currency.USD: Wallet(currency=Currency.USD, balance=Money(balance, Currency.USD))},
        kept=(Money(kept, Currency.USD),),
        spending={Currency.USD: beside},
    )
    new = Price(price, Currency.USD)

    lasts = purse.lasting(new, most)

    assert timedelta(0) <= lasts <= most
    drawn = (price + beside) * share_of_day(lasts)
    assert drawn <= max(balance - kept, Decimal(0)) + (price + beside) * Decimal("1e-10")
    if lasts < most:
        assert drawn >= balance - kept - (price + beside) * Decimal("1e-10")
    assert purse.lasting(new, most, instead_of=Price(beside, Currency.USD)) >= lasts
