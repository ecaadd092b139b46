"""What a read of the market teaches: who runs, since when we do not, which servers are of interest."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest
from builders import (
    NOW,
    ORDER,
    SERVER,
    TARGET,
    at,
    btc,
    make_book,
    make_holding,
    make_listing,
    make_market,
    make_order,
    make_policy,
    make_target,
    make_view,
    mine,
    outbid_holding,
    rival,
    seen,
    usd,
)

from bidder.domain import fold
from bidder.domain.ids import ServerId
from bidder.domain.market import Offer, OrderKind, Wallet
from bidder.domain.money import Currency, Money, Rates
from bidder.domain.policy import Policy
from bidder.domain.view import Holding, RateDoubt, View

POLICY = make_policy()
OUTBID = (mine(usd("2")), rival(usd("3"), active=True))
RUNNING = (mine(usd("2"), active=True),)


def after(view: View, *offers: Offer, second: float, server: int = SERVER) -> View:
    """Return the view after a read of a book that started at that second."""
    folded, _ = fold.book(view, make_book(*offers, server=server), POLICY, at=at(second))
    return folded


def held(view: View) -> Holding:
    """Return our order."""
    return view.holdings[ORDER]


def start(holding: Holding | None = None) -> View:
    """Return a view with one bid of ours whose book was never read."""
    return make_view(POLICY, make_listing(), holdings=[holding or make_holding(active=None)])


def test_reads_in_a_row_that_agree_are_counted() -> None:
    """One that shows us running begins the count anew."""
    view = start()
    for second, offers, reads in ((1, OUTBID, 1), (2, OUTBID, 2), (3, RUNNING, 0), (4, OUTBID, 1)):
        view = after(view, *offers, second=second)
        assert view.books[make_listing().server].outbid_reads == reads


def test_outbid_since_is_the_first_read_that_showed_it() -> None:
    """And is forgotten when we run again."""
    view = after(start(), *OUTBID, second=1)
    view = after(view, *OUTBID, second=5)
    assert held(view).active is False
    assert held(view).outbid_since == at(1)
    view = after(view, *RUNNING, second=6)
    assert held(view).active is True
    assert held(view).outbid_since is None


def test_an_offer_that_left_the_book_does_not_run() -> None:
    """The time of its absence is counted, but not as a read that shows it outbid."""
    view = after(start(), rival(usd("3"), active=True), second=1)
    assert held(view).active is False
    assert held(view).outbid_since == at(1)
    assert view.books[make_listing().server].outbid_reads == 0


def test_a_book_read_before_the_order_was_seen_does_not_speak_of_it() -> None:
    """It could not list it yet."""
    holding = make_holding(active=True, first_seen_at=at(10))
    assert held(after(start(holding), rival(usd("3"), active=True), second=5)).active is True


def test_a_book_says_nothing_about_rentals_on_demand() -> None:
    """They are not in it."""
    rented = make_holding(order=make_order(kind=OrderKind.ON_DEMAND), active=None)
    assert held(after(start(rented), second=1)).active is None


def test_only_what_changed_is_reported() -> None:
    """The store keeps changes, not reads."""
    _, changed = fold.book(start(), make_book(*OUTBID), POLICY, at=at(1))
    assert [h.order.order for h in changed] == [ORDER]
    view = after(start(), *OUTBID, second=1)
    _, changed = fold.book(view, make_book(*OUTBID), POLICY, at=at(2))
    assert changed == ()


def test_the_rates_of_a_book_become_the_newest() -> None:
    """Those it does not name stay as they were."""
    book = make_book(rates=Rates({Currency.BTC: Decimal(60_000)}))
    view, _ = fold.book(start(), book, POLICY, at=at(1))
    assert view.rates.to_usd(btc("1")) == 60_000
    assert view.rates.knows(Currency.CLORE)


def told(view: View, second: float, *, policy: Policy = POLICY, **named: Decimal) -> View:
    """Return the view after a book that names these rates, by the currencies' short names."""
    rates = Rates({Currency.named(name): rate for name, rate in named.items()})
    return fold.book(view, make_book(rates=rates), policy, at=at(second))[0]


def settles_at(view: View, second: float = 0) -> datetime | None:
    """Return from when on a read may show that the rates are right; None where they are gone by."""
    doubt = view.rates_in_doubt(at(second), view.doubted)
    return None if doubt is None else doubt.settles_at


USUAL = Decimal(50_000)


@pytest.mark.parametrize("factor", ["0.01", "0.6", "1.6", "100"])
def test_a_rate_that_jumped_is_believed_once_a_later_read_says_the_same(factor: str) -> None:
    """Answers may be half a minute old: a false one can come twice."""
    odd = USUAL * Decimal(factor)
    view = told(start(), 1, BTC=USUAL)
    assert settles_at(view) is None
    view = told(view, 2, BTC=odd)
    assert settles_at(view) == at(2 + 45)
    silent, _ = fold.book(view, make_book(), POLICY, at=at(60))
    assert settles_at(silent) == at(2 + 45)
    assert settles_at(told(view, 46, BTC=odd)) == at(2 + 45)
    assert settles_at(told(view, 47, BTC=odd)) is None
    assert settles_at(told(view, 47, BTC=USUAL)) == at(47 + 45)


def test_an_answer_that_does_not_name_a_rate_that_jumped_shows_nothing_about_it() -> None:
    """Whatever else it names; a rate that is named no more is forgotten in the end."""
    before = told(start(), 1, BTC=USUAL, CLORE=Decimal("0.02"))
    view = told(before, 2, BTC=USUAL, CLORE=Decimal("0.0002"))
    view = told(view, 100, BTC=USUAL)
    assert settles_at(view, 100) == at(2 + 45)
    assert settles_at(told(view, 101, CLORE=Decimal("0.0002"))) is None

    gone = told(view, 602, BTC=USUAL)
    assert settles_at(gone, 602) is None
    assert not gone.rates.knows(Currency.CLORE)
    guess = Rates({Currency.CLORE: Decimal("0.03")})
    guessed = told(view, 602, policy=replace(POLICY, static_rates=guess), BTC=USUAL)
    assert guessed.rates.usd_per_unit[Currency.CLORE] == Decimal("0.03")


def test_a_rate_of_before_the_start_waits_for_an_answer_that_names_it() -> None:
    """It may be of long ago; but the exchange may name none any more, then it is all there is."""
    recalled = {Currency.BTC: RateDoubt(since=NOW, recalled=True)}
    view = replace(start(), doubted=recalled)
    assert settles_at(view) == NOW
    assert settles_at(told(view, 1, BTC=USUAL * Decimal("1.1"))) is None
    assert settles_at(told(view, 1, BTC=USUAL / 100)) == at(1 + 45)
    assert settles_at(told(view, 1, CLORE=Decimal("0.02"))) == NOW
    assert settles_at(view, 599) == NOW
    assert settles_at(view, 600) is None


def test_the_owners_guess_says_nothing_about_what_the_exchange_names() -> None:
    """It may be far off: what is told at first is believed."""
    policy = replace(POLICY, static_rates=Rates({Currency.BTC: Decimal(9)}))
    view = replace(start(), rates=policy.static_rates)
    assert settles_at(told(view, 1, policy=policy, BTC=USUAL)) is None


def test_a_rate_may_move_by_a_little_and_is_believed_at_once() -> None:
    """A third up or down is no jump."""
    view = replace(start(), rates=Rates({Currency.BTC: Decimal(9)}))
    for second, rate in enumerate((Decimal(12), Decimal(9), Decimal("6.1")), start=2):
        view = told(view, second, BTC=rate)
        assert settles_at(view) is None


def test_a_rate_that_moved_makes_the_shortlist_anew() -> None:
    """Bitcoin doubled: 0.00006 is no longer below five dollars."""
    policy = make_policy(make_target(currencies=(Currency.BTC,)))
    view = make_view(policy, make_listing(202, floor=btc("0.00006")))
    assert len(view.shortlists[TARGET]) == 1
    book = make_book(rates=Rates({Currency.BTC: Decimal(100_000)}))
    view, _ = fold.book(view, book, policy, at=at(1))
    assert view.shortlists[TARGET] == ()


def test_only_reads_of_servers_that_we_do_not_hold_count_as_looking_around() -> None:
    """So that candidates get their share of the requests."""
    view = after(start(), *RUNNING, second=1)
    assert view.candidate_read_at is None
    assert after(view, second=2, server=202).candidate_read_at == at(2)


def test_the_marketplace_is_read_as_of_its_start_and_forgets_books_of_no_interest() -> None:
    """Books of our servers and of candidates stay."""
    policy = make_policy()
    view = make_view(
        policy,
        make_listing(),
        make_listing(202),
        holdings=[make_holding()],
        books=[seen(make_book(server=s)) for s in (SERVER, 202, 303)],
    )
    answer = make_market(make_listing(), make_listing(202), make_listing(303, floor=usd("50")))
    folded = fold.marketplace(view, answer, policy, at=at(9))
    assert folded.marketplace_at == at(9)
    assert set(folded.books) == {SERVER, 202}


def test_a_currency_that_is_spent_up_is_no_longer_looked_for() -> None:
    """And is again once there is something in its wallet."""
    policy = make_policy(make_target(currencies=()))

    def wallet(amount: str) -> list[Wallet]:
        return [Wallet(currency=Currency.USD, balance=Money.parse(amount, Currency.USD))]

    view = make_view(policy, make_listing(202))
    # Without any balance every known coin is tried, or nothing could ever be bid.
    bitcoin = Wallet(currency=Currency.BTC, balance=Money.parse("1", Currency.BTC))
    spent = fold.wallets(view, [*wallet("0"), bitcoin], policy, at=at(1))
    assert spent.shortlists[TARGET] == ()
    assert spent.wallets_at == at(1)
    funded = fold.wallets(spent, [*wallet("5"), bitcoin], policy, at=at(2))
    assert [c.listing.server for c in funded.shortlists[TARGET]] == [202]


def test_a_target_that_is_switched_off_looks_for_nothing() -> None:
    """No shortlist, no probe."""
    policy = make_policy(make_target(enabled=False))
    view = make_view(policy, make_listing(202))
    assert view.shortlists == {}
    assert view.rate_probes == {}


def test_an_outbid_order_of_a_person_is_noted_but_not_counted_for_a_raise() -> None:
    """Its book serves only the display."""
    view = after(start(outbid_holding(target=None)), *OUTBID, second=1)
    assert held(view).active is False
    assert view.books[make_listing().server].outbid_reads == 0


def test_a_marketplace_that_names_no_own_servers_takes_none_away() -> None:
    """They are still ours, and must not be bid for."""
    policy = make_policy()
    view = make_view(policy, make_listing(), make_listing(102), own=[102])
    silent = replace(make_market(make_listing(), make_listing(102)), names_own=False)
    after = fold.marketplace(view, silent, policy, at=NOW)
    assert after.marketplace.own_servers == {ServerId(102)}
    spoken = fold.marketplace(view, make_market(make_listing(), own=[101]), policy, at=NOW)
    assert spoken.marketplace.own_servers == {ServerId(101)}
