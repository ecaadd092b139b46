"""One read that keeps failing: it takes few of the requests, and everything else goes on."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from builders import (
    BID,
    NOW,
    at,
    make_book,
    make_holding,
    make_intent,
    make_listing,
    make_market,
    make_policy,
    make_target,
    make_view,
    mine,
    outbid_holding,
    rival,
    seen,
    usd,
)

from bidder.domain import agenda, planning
from bidder.domain.agenda import Read, ReadBook, ReadMarketplace, ReadOrders, ReadWallets
from bidder.domain.ids import ServerId
from bidder.domain.intents import Intent
from bidder.domain.unread import Endpoint, Subject, Unreads
from bidder.domain.view import View

SERVERS = (101, 102, 103)
HALF_AN_HOUR = 1800


def running(*, outbid: bool = False, intents: tuple[Intent, ...] = ()) -> View:
    """Return three running orders; of the first one a rival may have got the better."""
    policy = make_policy(make_target(want=3))
    held = [make_holding(number, server=server) for number, server in enumerate(SERVERS)]
    books = [make_book(mine(BID, active=True, number=n), server=s) for n, s in enumerate(SERVERS)]
    if outbid:
        held[0] = outbid_holding(0, server=101)
        books[0] = make_book(mine(BID, number=0), rival(usd("3"), active=True), server=101)
    view = make_view(
        policy,
        *map(make_listing, SERVERS),
        holdings=held,
        books=[seen(book, when=at(-11)) for book in books],
    )
    known = replace(view, orders_at=NOW, completed_at=NOW, wallets_at=NOW, marketplace_at=NOW)
    return replace(known, intents=intents)


def nothing_known() -> View:
    """Return three orders of which only memory tells, as after a start."""
    unread = replace(running(), orders_at=None, completed_at=None, wallets_at=None, books={})
    return replace(unread, marketplace_at=None, marketplace=make_market())


def folded(view: View, read: Read, now: datetime) -> View:
    """Return the view after an answer that shows nothing new."""
    match read:
        case ReadBook(server=server):
            number = SERVERS.index(server)
            fresh = seen(make_book(mine(BID, active=True, number=number), server=server), when=now)
            before = view.books.get(server)
            fresh = fresh if before is None else replace(before, at=now)
            return replace(view, books={**view.books, server: fresh})
        case ReadOrders(completed=completed):
            return replace(view, orders_at=now, completed_at=now if completed else view.completed_at)
        case ReadWallets():
            return replace(view, wallets_at=now)
        case ReadMarketplace():
            return replace(view, marketplace_at=now)


class Tally(Counter[Read]):
    """How often each read was made, and whether it was answered at all towards the end."""

    def __init__(self) -> None:
        """Count nothing yet."""
        super().__init__()
        self.last_answer: dict[Read, datetime] = {}

    def books(self, *servers: int) -> list[int]:
        """Return how often the books of these servers were read."""
        return [self[ReadBook(server=ServerId(server))] for server in servers]

    def orders(self) -> int:
        """Return how often our orders were read, with or without the ended ones."""
        return self[ReadOrders()] + self[ReadOrders(completed=True)]


def half_an_hour(view: View, fails: Callable[[Read], bool]) -> Tally:
    """Return the reads of half an hour with one request a second, some of which fail."""
    policy, tally, now = make_policy(make_target(want=3)), Tally(), NOW
    while now < at(HALF_AN_HOUR):
        decisions = planning.plan(view, policy, now)
        read = agenda.next_read(view, decisions, policy, now).read
        if read is None:
            now += timedelta(seconds=0.5)
            continue
        tally[read] += 1
        now += timedelta(seconds=1)
        about = agenda.subject(read)
        if fails(read):
            view = replace(view, unread=view.unread.failed(about, now))
        else:
            tally.last_answer[read] = now
            view = replace(folded(view, read, now), unread=view.unread.answered(about, now))
    return tally


def is_a(*kinds: type[Read]) -> Callable[[Read], bool]:
    """Return which reads fail."""
    return lambda read: isinstance(read, kinds)


@pytest.mark.parametrize("began", [running, nothing_known])
@pytest.mark.parametrize("kind", [ReadWallets, ReadMarketplace])
def test_what_is_read_seldom_hides_no_book_and_no_order(
    kind: type[ReadWallets] | type[ReadMarketplace], began: Callable[[], View]
) -> None:
    """It is tried about once a minute, and the books of what runs get the rest."""
    tally = half_an_hour(began(), is_a(kind))
    assert 20 <= tally[kind()] <= 40
    assert min(tally.books(*SERVERS)) > 500
    assert tally.orders() >= 55


@pytest.mark.parametrize("outbid", [False, True])
def test_one_server_whose_book_cannot_be_read_hides_no_other(*, outbid: bool) -> None:
    """Also where a raise waits for it, which no other read is more urgent than."""
    tally = half_an_hour(running(outbid=outbid), lambda read: read == ReadBook(server=ServerId(101)))
    broken, *others = tally.books(*SERVERS)
    assert 20 <= broken <= 40
    assert min(others) > 800
    assert tally.orders() >= 55


def test_when_no_book_can_be_read_each_is_tried_in_turn() -> None:
    """It is not the servers, so all of them together are put off; none of them is forgotten."""
    tally = half_an_hour(running(), is_a(ReadBook))
    found = tally.books(*SERVERS)
    assert sum(found) < 45
    assert max(found) - min(found) <= 1
    assert tally.orders() >= 55


def test_our_orders_are_tried_again_soon_and_the_books_are_read() -> None:
    """Every twenty seconds, and all the other requests are the books'."""
    tally = half_an_hour(running(), is_a(ReadOrders))
    assert 85 <= tally.orders() <= 100
    assert min(tally.books(*SERVERS)) > 500


def test_in_doubt_our_orders_are_tried_again_every_few_seconds() -> None:
    """And of all requests four in five are still for others."""
    doubtful = make_intent(ended=0, server=999)
    tally = half_an_hour(running(intents=(doubtful,)), is_a(ReadOrders))
    assert 300 <= tally[ReadOrders()] <= 370
    assert min(tally.books(*SERVERS)) > 400


def test_in_doubt_our_orders_are_read_without_the_ended_ones_where_those_cannot() -> None:
    """A bid that was placed is seen among the running ones."""
    doubtful = make_intent(ended=-30, server=999)
    tally = half_an_hour(running(intents=(doubtful,)), lambda read: read == ReadOrders(completed=True))
    assert tally[ReadOrders()] > 90
    assert tally[ReadOrders(completed=True)] < 100
    assert tally.last_answer[ReadOrders()] > at(HALF_AN_HOUR - 31)


def test_at_the_start_one_answer_is_enough_to_go_on() -> None:
    """Of four endpoints three are broken, and two of three books as well."""
    tally = half_an_hour(nothing_known(), lambda read: read != ReadBook(server=ServerId(103)))
    assert tally.books(103)[0] > 800
    assert all(20 <= tally[read] <= 100 for read in tally if read != ReadBook(server=ServerId(103)))


def test_where_nothing_is_answered_each_read_gets_its_turn() -> None:
    """Whichever of them is answered first, it is asked for."""
    tally = half_an_hour(nothing_known(), lambda _: True)
    assert set(tally) >= {ReadWallets(), ReadMarketplace(), ReadOrders(completed=True)}
    assert max(tally.books(*SERVERS)) - min(tally.books(*SERVERS)) <= 2
    assert min(tally.values()) > 5


def test_the_pause_grows_to_a_minute_and_ends_with_an_answer() -> None:
    """2, 4, 8 seconds and so on; our orders have a shorter one."""
    wallets, unread = Subject(endpoint=Endpoint.WALLETS), Unreads()
    pauses = []
    for _ in range(8):
        unread = unread.failed(wallets, NOW)
        failed = unread.of(wallets)
        assert failed is not None
        pauses.append((failed.again_at() - NOW).total_seconds())
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
    assert unread.answered(wallets, at(1)).of(wallets) is None


def unfilled(unread: Unreads, *, now: float) -> ServerId | None:
    """Return whose book an empty slot wants, of two servers of which neither was read."""
    policy = make_policy(make_target())
    listings = make_listing(201, floor=usd("1")), make_listing(202, floor=usd("1.1"))
    view = replace(make_view(policy, *listings), unread=unread)
    (decision,) = planning.plan(view, policy, at(now))
    return decision.wants_book


HEAD, OTHER = (Subject(endpoint=Endpoint.BOOK, server=ServerId(s)) for s in (201, 202))
ORDERS = Subject(endpoint=Endpoint.ORDERS)


def test_a_candidate_whose_book_cannot_be_read_is_passed_over_for_minutes() -> None:
    """Once it has failed again although another read was answered; then it is tried anew."""
    once = Unreads().failed(HEAD, at(0))
    again = once.answered(ORDERS, at(1)).failed(HEAD, at(2))
    assert unfilled(once, now=2) == 201
    assert unfilled(again, now=3) == 202
    assert unfilled(again, now=2 + 179) == 202
    assert unfilled(again, now=2 + 181) == 201
    assert unfilled(again.answered(HEAD, at(4)), now=5) == 201


def test_a_candidate_that_fails_for_long_is_tried_ever_more_seldom() -> None:
    """After as long again as it has failed by itself, half an hour at most."""
    unread = Unreads().failed(HEAD, at(0)).answered(ORDERS, at(1)).failed(HEAD, at(2))
    for failed_at, tried_at in ((302, 302 + 300), (902, 902 + 900), (3902, 3902 + 1800)):
        unread = unread.answered(ORDERS, at(failed_at - 1)).failed(HEAD, at(failed_at))
        assert unfilled(unread, now=tried_at - 1) == 202
        assert unfilled(unread, now=tried_at + 1) == 201


def test_an_outage_is_no_reason_to_pass_over_the_best_candidate() -> None:
    """It failed like all the rest, or was not even looked at: nothing is wrong with it."""
    silent = Unreads().answered(ORDERS, at(-1)).failed(HEAD, at(0))
    outage = (
        silent.failed(ORDERS, at(1)).failed(HEAD, at(2)).failed(HEAD, at(9)).answered(ORDERS, at(10))
    )
    limited = silent.answered(ORDERS, at(1)).failed(HEAD, at(2), limited=True)
    assert unfilled(outage, now=11) == 201
    assert unfilled(limited, now=11) == 201


def test_what_fails_is_remembered_for_an_hour_and_no_more_than_is_needed() -> None:
    """A thousand servers, each asked for once."""
    unread = Unreads()
    for number in range(1000):
        about = Subject(endpoint=Endpoint.BOOK, server=ServerId(number))
        unread = unread.failed(about, at(number))
    assert len(unread.reads) == 300
    assert len(unread.failed(ORDERS, at(1000 + 3600)).reads) == 1


def test_only_one_endpoint_is_silent_while_our_orders_fail_in_both_ways() -> None:
    """That is no outage, which would slow everything down."""
    ended = Subject(endpoint=Endpoint.ENDED)
    unread = Unreads().failed(ORDERS, at(0)).failed(ended, at(1))
    assert unread.silent() == {Endpoint.ORDERS}
    assert unread.failed(HEAD, at(2)).silent() == {Endpoint.ORDERS, Endpoint.BOOK}
    assert unread.answered(HEAD, at(2)).silent() == frozenset()
