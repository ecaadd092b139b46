"""The search for a server in a long list: it ends, and no search keeps another from its turn."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from builders import (
    BID,
    NOW,
    at,
    make_book,
    make_holding,
    make_listing,
    make_order,
    make_policy,
    make_target,
    make_view,
    mine,
    outbid_holding,
    rival,
    seen,
    server_ids,
    usd,
)
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain import agenda, fold, planning, turns
from bidder.domain.actions import Decision, PlaceBid, Reason, Withdraw
from bidder.domain.agenda import ReadBook, ReadMarketplace, ReadOrders, ReadWallets
from bidder.domain.ids import ServerId
from bidder.domain.market import Book
from bidder.domain.money import Price
from bidder.domain.policy import FixedParams, Policy, Requirements, Target
from bidder.domain.view import Holding, View

LONG = 220  # what a marketplace lists for a usual target
CONTESTED = range(1000, 1000 + LONG)
FREE, HELD = 5000, 101
SECOND = timedelta(seconds=1)
WALK = LONG * turns.CANDIDATE_EVERY


def floor_of(server: int) -> Price:
    """Return the least bid on a server: 1.00 to 1.14 dollars where rivals bid, 1.90 where it is free."""
    return usd("1.9") if server == FREE else usd(str(1 + Decimal(server % 15) / 100))


def hunting(name: str, servers: Iterable[int], *, below: str = "5") -> Target:
    """Return a target that wants one of these servers."""
    requirements = Requirements(servers=server_ids(*servers))
    return make_target(name, ceiling=usd(below), requirements=requirements)


@dataclass(slots=True, kw_only=True)
class Hunt:
    """A daemon's decisions and reads, one request a second, on servers where rivals bid 3 dollars."""

    policy: Policy
    view: View
    now: datetime = NOW
    bids: Mapping[int, Price] = field(default_factory=dict)
    mute: frozenset[ServerId] = frozenset()
    reads: Counter[int] = field(default_factory=Counter)
    reads_for: Counter[str | None] = field(default_factory=Counter)

    def until(self, done: Callable[[tuple[Decision, ...]], bool], span: timedelta) -> timedelta:
        """Let time pass until the decisions are such; return how long that took, ``span`` at most."""
        start = self.now
        while self.now - start < span:
            decisions = planning.plan(self.view, self.policy, self.now)
            if done(decisions):
                break
            self._read(agenda.next_read(self.view, decisions, self.policy, self.now).read)
        return self.now - start

    def _read(self, read: agenda.Read | None) -> None:
        sent = self.now
        self.now += SECOND
        view = self.view
        if read is None:
            return
        about = agenda.subject(read)
        unread = view.unread.failed if about.server in self.mute else view.unread.answered
        view = replace(view, unread=unread(about, self.now))
        match read:
            case ReadBook(server=server, target=str(target)) if server in self.mute:
                had = turns.taken(view.turns, target, self.now)
                view = replace(view, candidate_read_at=self.now, turns=had)
            case ReadBook(server=server, target=target):
                self.reads[server] += 1
                self.reads_for[target] += 1
                view, _ = fold.book(view, self._book(server), self.policy, at=sent)
                if target is not None:
                    view = replace(view, turns=turns.taken(view.turns, target, self.now))
            case ReadOrders(completed=completed):
                ended_at = sent if completed else view.completed_at
                view = replace(view, orders_at=sent, completed_at=ended_at)
            case ReadWallets():
                view = replace(view, wallets_at=sent)
            case ReadMarketplace():
                view = replace(view, marketplace_at=sent)
        self.view = view

    def _book(self, server: int) -> Book:
        ours = [h for h in self.view.holdings.values() if h.order.server == server]
        offers = [mine(h.order.price, active=bool(h.active), number=h.order.order) for h in ours]
        bid = self.bids.get(server, usd("3") if server in CONTESTED else None)
        if bid is not None and bid.amount:
            offers.append(rival(bid, active=True))
        return make_book(*offers, server=server, floor=floor_of(server))


def hunt(*targets: Target, held: Holding | None = None, beside: bool = True) -> Hunt:
    """Return the daemon at its start, ``beside`` one order that another target holds."""
    holdings = [] if held is None else [held]
    if beside:
        elsewhere = make_order(70, server=HELD, price=usd("1"))
        holdings.append(make_holding(order=elsewhere, target="elsewhere"))
        targets = (hunting("elsewhere", [HELD]), *targets)
    policy = make_policy(*targets)
    listings = [make_listing(s, floor=floor_of(s)) for s in (HELD, *CONTESTED, FREE, 6000)]
    view = make_view(policy, *listings, holdings=holdings)
    read = replace(view, orders_at=NOW, completed_at=NOW, wallets_at=NOW, marketplace_at=NOW)
    return Hunt(policy=policy, view=read)


def bids(*targets: str) -> Callable[[tuple[Decision, ...]], bool]:
    """Return whether there is a bid for each of these targets."""

    def placed(decisions: tuple[Decision, ...]) -> bool:
        return {d.target for d in decisions if isinstance(d.action, PlaceBid)} >= set(targets)

    return placed


def never(_: tuple[Decision, ...]) -> bool:
    """Return that nothing is waited for."""
    return False


def test_a_bid_is_placed_on_the_best_server_of_a_long_list() -> None:
    """Each of them is taken and could be won: after one walk, with its book read anew."""
    search = hunt(hunting("hunt", CONTESTED))
    took = search.until(bids("hunt"), 2 * WALK)
    assert took < 1.1 * WALK
    (bid,) = [d.action for d in planning.plan(search.view, search.policy, search.now) if d.action]
    assert isinstance(bid, PlaceBid)
    assert search.now - search.view.books[bid.server].at <= search.policy.pace.book_stale_after
    # What we hold is looked at as often as the candidates.
    assert search.reads[HELD] >= 0.4 * sum(search.reads.values())


def test_a_free_server_behind_many_contested_ones_is_reached() -> None:
    """It is the only one below the ceiling, and the dearest by its floor."""
    search = hunt(hunting("hunt", [*CONTESTED, FREE], below="2"))
    assert search.until(bids("hunt"), 2 * WALK) < 1.1 * WALK
    decisions = planning.plan(search.view, search.policy, search.now)
    assert [d.server for d in decisions if isinstance(d.action, PlaceBid)] == [FREE]


def test_a_server_behind_many_that_a_strategy_declines_is_reached() -> None:
    """All of them are below the ceiling; the strategy's own price wins only the free one."""
    target = replace(hunting("hunt", [*CONTESTED, FREE]), params=FixedParams(price=usd("2")))
    search = hunt(target)
    assert search.until(bids("hunt"), 2 * WALK) < 1.1 * WALK
    decisions = planning.plan(search.view, search.policy, search.now)
    assert [d.server for d in decisions if isinstance(d.action, PlaceBid)] == [FREE]


@pytest.mark.parametrize("beside", [True, False])
def test_a_search_in_vain_keeps_no_other_target_from_its_server(*, beside: bool) -> None:
    """The one after it in the configuration has one server, which is free: a minute is enough."""
    search = hunt(hunting("vain", CONTESTED, below="2"), hunting("second", [FREE]), beside=beside)
    assert search.until(bids("second"), WALK) < timedelta(seconds=70)


def test_an_order_that_is_lost_moves_to_a_server_of_a_long_list() -> None:
    """Where it stands a raise would cost more than its ceiling."""
    lost = outbid_holding(9, since=-900, order=make_order(9, server=6000, price=BID), target="hunt")
    target = hunting("hunt", [6000, *CONTESTED], below="3.5")
    search = hunt(target, held=lost, beside=False)
    search.bids = {6000: usd("4")}

    def left(decisions: tuple[Decision, ...]) -> bool:
        return any(isinstance(d.action, Withdraw) and d.reason is Reason.MOVE for d in decisions)

    assert search.until(left, 2 * WALK) < 1.1 * WALK


def test_a_server_that_has_become_dearer_is_not_bid_on() -> None:
    """When the walk comes to its end, the best one has been taken: the next best one gets the bid."""
    search = hunt(hunting("hunt", CONTESTED))
    first, second = CONTESTED[:2]
    search.bids = {first: usd("2"), second: usd("2.5")}
    search.until(lambda _: len(search.view.books) > LONG, 2 * WALK)
    search.bids = {second: usd("2.5")}
    search.until(bids("hunt"), WALK)
    decisions = planning.plan(search.view, search.policy, search.now)
    assert [d.server for d in decisions if isinstance(d.action, PlaceBid)] == [second]
    assert search.reads[first] == 2


def test_servers_whose_books_cannot_be_read_do_not_keep_a_search_from_its_end() -> None:
    """Each eleventh one of a long list: they are tried again now and then, but ever more seldom."""
    search = hunt(hunting("hunt", CONTESTED))
    search.mute = server_ids(*CONTESTED[10:110:5])
    assert search.until(bids("hunt"), 3 * WALK) < 2.2 * WALK


def test_what_becomes_free_in_a_long_list_is_noticed_within_a_walk() -> None:
    """Where nothing fits it is said why, and one book after the other is read anew, the oldest first."""
    search = hunt(hunting("hunt", CONTESTED, below="2"), beside=False)
    search.until(never, WALK)
    hold = next(d for d in planning.plan(search.view, search.policy, search.now) if d.target == "hunt")
    assert hold.reason is Reason.TOO_EXPENSIVE
    assert hold.facts["considered"] == LONG
    search.bids = {CONTESTED[-1]: usd("0")}
    assert search.until(bids("hunt"), WALK) <= 0.6 * WALK
    assert max(search.reads[s] for s in CONTESTED) <= 3


def test_two_long_searches_take_turns() -> None:
    """After the first minute each of them gets half of what there is for candidates."""
    first, second = CONTESTED[:110], CONTESTED[110:]
    search = hunt(hunting("one", first, below="2"), hunting("two", second, below="2"))
    search.until(never, timedelta(minutes=1))
    assert search.reads_for["two"] == 0
    search.until(never, timedelta(minutes=1))
    search.reads_for.clear()
    search.until(never, timedelta(minutes=5))
    one, two = search.reads_for["one"], search.reads_for["two"]
    assert abs(one - two) <= 1
    assert one + two >= 140


def test_a_short_search_goes_before_a_long_one_that_was_there_first() -> None:
    """It has all the turns until it has read what thirty reads can tell."""
    search = hunt(hunting("long", CONTESTED[:100], below="2"), hunting("short", CONTESTED[100:120]))
    search.until(bids("short"), WALK)
    assert search.reads_for["long"] <= 31


def waits_for(servers: int, *, age: float, sharing: int) -> ServerId | None:
    """Return whose book a search wants, where the last server is the best and all were read long ago."""
    policy, numbers = make_policy(), range(1, servers + 1)
    rivals = {number: rival(usd("3" if number < servers else "2.9"), active=True) for number in numbers}
    view = make_view(
        policy,
        *map(make_listing, numbers),
        books=[seen(make_book(rivals[n], server=n), when=at(-age)) for n in numbers],
        turns={str(number): turns.Turn(at=NOW) for number in range(sharing)},
    )
    (decision,) = planning.plan(view, policy, NOW)
    return decision.wants_book


@pytest.mark.parametrize(
    ("servers", "sharing", "limit"),
    [(3, 1, 300), (50, 1, 300), (25, 2, 300), (100, 1, 600), (50, 4, 1200)],
)
def test_an_old_book_is_read_anew_before_another_server_is_chosen(
    servers: int, sharing: int, limit: int
) -> None:
    """After five minutes, or after three times what a walk takes; until then only the chosen one's."""
    assert waits_for(servers, age=limit, sharing=sharing) == servers
    assert waits_for(servers, age=limit + 1, sharing=sharing) == 1


@given(reads=st.lists(st.sampled_from("abcd"), max_size=200))
def test_whoever_waits_longest_is_not_who_had_a_turn_last(reads: list[str]) -> None:
    """Whatever the turns were: of those that have read much the last one to read is the last in line."""
    had: Mapping[str, turns.Turn] = {}
    for number, target in enumerate(reads):
        had = turns.taken(had, target, at(number))
    now = at(len(reads))
    line = sorted("abcd", key=lambda target: turns.waits_since(had, target, now))
    if reads and reads.count(reads[-1]) >= 30:
        assert line[-1] == reads[-1]
    assert turns.sharing(had, now) == max(1, len(set(reads)))
    assert turns.sharing(had, now + timedelta(minutes=6)) == 1
