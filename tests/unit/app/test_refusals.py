"""What a refused creation rules out: no more than the refusal speaks of."""

from dataclasses import replace

import pytest
from builders import (
    NOW,
    at,
    btc,
    clore,
    make_book,
    make_holding,
    make_listing,
    make_market,
    make_policy,
    make_target,
    make_view,
    mine,
    prices,
    rival,
    seen,
    usd,
)
from unit.domain.test_deadline import SCARCE, job

from bidder.app.setbacks import after_refusal
from bidder.domain import agenda, deadlines, fold, planning, sentences
from bidder.domain.actions import Decision, PlaceBid, Reason, RentOnDemand, Reprice
from bidder.domain.agenda import ReadOrders, ReadWallets
from bidder.domain.ids import ServerId
from bidder.domain.market import Wallet
from bidder.domain.money import Currency, Money, Price
from bidder.domain.policy import Policy, Requirements, Target
from bidder.domain.view import View
from bidder.errors import (
    CurrencyNotAllowed,
    InvalidEndpoint,
    InvalidRequest,
    NotEnoughBalance,
    OrderExists,
    OrderGone,
    Refused,
    ServerBarred,
    ServerTaken,
)

BOTH = (Currency.BTC, Currency.CLORE)
IN_BTC = make_target("in bitcoin", currencies=(Currency.BTC,))
IN_USD = make_target("in dollars", currencies=(Currency.USD,))
EITHER = make_target("either", currencies=BOTH)

SHORT = NotEnoughBalance(error="not_enough_balance")
INVALID = InvalidRequest(code=2)


def market(*targets: Target) -> tuple[View, Policy]:
    """Return a server for bitcoin, one for dollars, one for two coins, and full wallets, one unknown."""
    policy = make_policy(*targets)
    floors: dict[int, tuple[Price, ...]] = {
        201: (btc("0.00002"),),
        202: (usd("1.1"),),
        203: (btc("0.000021"), clore("60")),
    }
    listings = [make_listing(server, floor=floor) for server, floor in floors.items()]
    books = [seen(replace(make_book(server=s), floor=prices(*floor))) for s, floor in floors.items()]
    full = {c: Wallet(currency=c, balance=Money.parse("1000", c)) for c in (*BOTH, Currency.USD)}
    full[Currency.BTC] = Wallet(currency=Currency.BTC, balance=None)
    return make_view(policy, *listings, books=books, wallets=full), policy


def refused_once(view: View, policy: Policy, refusal: Refused) -> tuple[View, Decision]:
    """Return the view after the most urgent creation was refused, and what it was."""
    first = planning.plan(view, policy, NOW)[0]
    assert isinstance(first.action, PlaceBid)
    return after_refusal(view, first.action, refusal, NOW), first


def by_target(view: View, policy: Policy) -> dict[str | None, Decision]:
    """Return the decision about each target's empty slot."""
    return {decision.target: decision for decision in planning.plan(view, policy, NOW)}


def test_a_wallet_that_held_too_little_keeps_no_other_wallet_from_paying() -> None:
    """Whoever comes first in the file would be tried again first, and the others never."""
    view, first = refused_once(*market(IN_BTC, IN_USD), SHORT)

    decided = by_target(view, make_policy(IN_BTC, IN_USD))

    assert first.target == IN_BTC.name
    assert decided[IN_BTC.name].reason is Reason.REFUSED
    assert decided[IN_BTC.name].due == at(6 * 3600)
    assert isinstance(decided[IN_USD.name].action, PlaceBid)


def test_a_target_pays_from_its_other_wallet() -> None:
    """The dearer coin takes over until the one that was refused may be tried again."""
    view, first = refused_once(*market(EITHER), SHORT)

    action = by_target(view, make_policy(EITHER))[EITHER.name].action

    assert isinstance(first.action, PlaceBid)
    assert first.action.price.currency is Currency.BTC
    assert isinstance(action, PlaceBid)
    assert action.price.currency is Currency.CLORE


def test_what_costs_less_is_bid_from_a_wallet_that_held_too_little() -> None:
    """By whichever target; as much or more waits until the balance has grown, not until it is read."""
    small = replace(IN_BTC, name="small", requirements=Requirements(servers=frozenset({ServerId(204)})))
    policy = make_policy(IN_BTC, small)
    known, _ = market(IN_BTC)
    cheap, dear = btc("0.00001"), btc("0.00002")
    servers = [make_listing(201, floor=dear), make_listing(204, floor=cheap)]
    books = [seen(replace(make_book(server=204), floor=prices(cheap))), *known.books.values()]
    ten = {Currency.BTC: Wallet(currency=Currency.BTC, balance=Money.parse("10", Currency.BTC))}
    view = make_view(policy, *servers, books=books, wallets=ten)
    tried = PlaceBid(server=ServerId(201), price=dear, target=IN_BTC.name, launch=IN_BTC.launch)

    view = after_refusal(view, tried, SHORT, NOW)

    assert view.price_refused(btc("0.0000199"), NOW) is None
    assert view.price_refused(dear, NOW) is not None
    assert view.price_refused(clore("100"), NOW) is None
    decision = by_target(view, policy)[small.name]
    assert isinstance(decision.action, PlaceBid)
    assert decision.action.price == cheap
    for balance, refused in (("9", True), ("10", True), ("11", False)):
        wallet = Wallet(currency=Currency.BTC, balance=Money.parse(balance, Currency.BTC))
        read = fold.wallets(view, [wallet], policy, at=at(60))
        assert (read.price_refused(dear, at(60)) is not None) is refused
    assert view.price_refused(dear, at(6 * 3600)) is None


def test_a_coin_that_a_host_does_not_take_leaves_the_server_to_the_other_one() -> None:
    """Also after the next read of the marketplace, which goes on listing a price in it."""
    view, policy = market(EITHER)
    both = make_listing(203, floor=(btc("0.000021"), clore("60")))
    view = make_view(policy, both, books=view.books.values(), wallets=view.wallets)
    view, first = refused_once(view, policy, CurrencyNotAllowed(error="currency-not-allowed"))
    assert isinstance(first.action, PlaceBid)
    assert first.action.price.currency is Currency.BTC

    for known in (view, fold.marketplace(view, make_market(both), policy, at=at(60))):
        action = by_target(known, policy)[EITHER.name].action
        assert isinstance(action, PlaceBid)
        assert action.price.currency is Currency.CLORE
    later = fold.marketplace(view, make_market(both), policy, at=at(24 * 3600))
    assert later.marketplace.listings[ServerId(203)].takes(Currency.BTC)


def test_a_server_that_only_the_refused_wallet_pays_for_is_said_to_be_refused() -> None:
    """Of two wallets one was refused, and what the other pays for is not on the marketplace."""
    view, policy = market(EITHER)
    only_btc = make_listing(201, floor=btc("0.00002"))
    view = make_view(policy, only_btc, books=view.books.values(), wallets=view.wallets)
    view, _ = refused_once(view, policy, SHORT)

    decision = by_target(view, policy)[EITHER.name]

    assert decision.action is None
    assert (decision.reason, decision.due) == (Reason.REFUSED, at(6 * 3600))
    said = sentences.tell(decision.reason.value, decision.facts)
    assert "not_enough_balance, nothing as dear is paid in BTC meanwhile" in said


def test_what_is_wrong_with_one_launch_keeps_no_other_target_from_its_server() -> None:
    """Code 2 speaks of what was sent, and each target sends its own."""
    others = replace(IN_BTC, name="another in bitcoin")
    policy = make_policy(IN_BTC, others)
    view, first = refused_once(market(IN_BTC, others)[0], policy, INVALID)

    decided = by_target(view, policy)

    assert decided[first.target].reason is Reason.REFUSED
    assert isinstance(decided[others.name].action, PlaceBid)


def test_an_endpoint_that_is_not_known_keeps_all_from_creating() -> None:
    """It is the same for every target."""
    policy = make_policy(IN_BTC, IN_USD)
    view, _ = refused_once(market(IN_BTC, IN_USD)[0], policy, InvalidEndpoint(code=4))

    assert {each.reason for each in by_target(view, policy).values()} == {Reason.REFUSED}


def test_no_order_leaves_for_a_server_that_a_refused_wallet_would_pay_for() -> None:
    """It would lose its place for nothing."""
    target = replace(IN_BTC, currencies=BOTH)
    policy = make_policy(target)
    bid = make_holding(
        7, server=301, price=clore("100"), active=False, outbid_since=at(-600), target=target.name
    )
    lost = make_book(mine(clore("100")), rival(clore("400"), active=True), server=301, floor=clore("50"))
    known, _ = market(target)
    view = make_view(
        policy,
        make_listing(301, floor=clore("50")),
        make_listing(201, floor=btc("0.00002")),
        holdings=[bid],
        books=[*known.books.values(), seen(lost, outbid_reads=2)],
        wallets=known.wallets,
    )
    (leaving,) = planning.plan(view, policy, NOW)
    assert leaving.reason is Reason.MOVE
    action = PlaceBid(
        server=ServerId(201),
        price=btc("0.00002"),
        target=target.name,
        launch=target.launch,
    )

    (decision,) = planning.plan(after_refusal(view, action, SHORT, NOW), policy, NOW)

    assert decision.reason is not Reason.MOVE
    assert decision.action is None or isinstance(decision.action, Reprice)


def test_a_job_rents_on_demand_from_its_other_wallet() -> None:
    """A refused wallet is no reason to be late."""
    target = job(SCARCE, currencies=BOTH)
    policy = make_policy(target)
    listing = make_listing(202, floor=btc("0.001"), on_demand=(btc("0.0002"), clore("550")))
    wallets = {c: Wallet(currency=c, balance=Money.parse("30000", c)) for c in BOTH}
    view = make_view(policy, listing, wallets=wallets)
    rent = RentOnDemand(
        server=listing.server, price=btc("0.0002"), target=target.name, launch=target.launch
    )
    view = after_refusal(view, rent, SHORT, NOW)

    decisions = planning.plan(deadlines.looked(view, policy, NOW), policy, NOW)

    prices_asked = [d.action.price for d in decisions if isinstance(d.action, RentOnDemand)]
    assert prices_asked == [clore("550")]


@pytest.mark.parametrize(("refusal", "read"), [(SHORT, True), (INVALID, False)])
def test_the_wallets_are_read_again_after_one_held_too_little(refusal: Refused, read: bool) -> None:
    """What was known of it was wrong; once read, that is known."""
    view, policy = market(IN_BTC)
    view, _ = refused_once(view, policy, refusal)
    fresh = replace(view, orders_at=NOW, completed_at=NOW, marketplace_at=NOW, wallets_at=at(-1))

    assert (agenda.next_read(fresh, (), policy, NOW).read == ReadWallets()) is read
    after = replace(fresh, wallets_at=at(1))
    assert agenda.next_read(after, (), policy, at(1)).read is None


def test_a_server_that_is_barred_is_left_alone_for_hours_and_no_other() -> None:
    """A job that may have no other server tries no sooner."""
    view, policy = market(IN_USD)
    view, first = refused_once(view, policy, ServerBarred(error="machine-is-on-gigaspot"))
    (setback,) = view.setbacks
    assert (setback.server, setback.until) == (first.server, at(6 * 3600))
    rent = RentOnDemand(server=ServerId(5), price=usd("3"), target="a job", launch=IN_USD.launch)
    (setback,) = after_refusal(replace(view, setbacks=()), rent, ServerBarred(), NOW).setbacks
    assert (setback.server, setback.until) == (ServerId(5), at(6 * 3600))


@pytest.mark.parametrize(
    ("refusal", "standing", "read"),
    [
        (OrderExists(), False, True),
        (OrderGone(), True, True),
        (ServerTaken(), False, False),
        (ServerTaken(), True, False),
    ],
)
def test_our_orders_are_read_at_once_where_the_exchange_knows_of_others(
    refusal: Refused, standing: bool, read: bool
) -> None:
    """Of one more than we know, or of none; once read, that is known."""
    view, policy = market(IN_USD)
    holding = make_holding()
    raising = Reprice(
        order=holding.order.order,
        server=holding.order.server,
        target=IN_USD.name,
        current=holding.order.price,
        price=usd("3"),
    )
    if standing:
        view = after_refusal(view, raising, refusal, NOW)
    else:
        view, _ = refused_once(view, policy, refusal)
    fresh = replace(view, orders_at=at(-4), completed_at=at(-4), marketplace_at=NOW, wallets_at=NOW)

    asked = agenda.next_read(fresh, (), policy, NOW).read
    assert (asked == ReadOrders(completed=True)) is read
    after = replace(fresh, orders_at=at(1), completed_at=at(1))
    assert agenda.next_read(after, (), policy, at(4)).read is None
