"""The clairvoyant bound: never beaten by any schedule of bids, and reached by its own."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.backtest.auction import Auction
from bidder.backtest.ladder import uniform
from bidder.backtest.optimum import Climb, optimum
from bidder.backtest.terms import Terms
from bidder.errors import BadInput

START = datetime(2026, 1, 1, tzinfo=UTC)


def small_terms(
    *, creation_fee: Decimal = Decimal("0.01"), pause: timedelta = timedelta(seconds=120)
) -> Terms:
    """A ladder of whole ticks, two cells between lowerings, a step of two ticks."""
    return Terms(
        value=Decimal(6),
        step=Decimal(2),
        tick=Decimal(1),
        restart_hours=Decimal("0.02"),
        creation_fee=creation_fee,
        pause=pause,
        grid=timedelta(seconds=60),
    )


def earned(points: Sequence[Decimal], plan: Sequence[tuple[str, Decimal | None]], terms: Terms) -> float:
    """Return what a plan earns by the auction's own account: one move at each moment."""
    auction = Auction(terms=terms, now=START, rival=points[0])
    for number, (point, (move, bid)) in enumerate(zip(points, plan, strict=True)):
        auction.advance(START + number * terms.grid, point)
        if move in ("cancel", "anew") and auction.bid is not None:
            auction.cancel()
        if move in ("create", "anew") and bid is not None:
            auction.create(bid)
        if move == "set" and bid is not None:
            auction.reprice(bid)
    auction.advance(START + len(points) * terms.grid)
    return auction.utility


def schedules(points: Sequence[Decimal], terms: Terms) -> Iterator[list[tuple[str, Decimal | None]]]:
    """Yield every legal plan over the ladder, moment by moment."""
    lowest, cap = min(points), terms.on_demand
    ladder = [lowest + terms.tick * level for level in range(8)]
    if cap is not None:
        ladder = [*(bid for bid in ladder if bid < cap), cap]

    def extended(
        moment: int, bid: Decimal | None, clock: int, plan: list[tuple[str, Decimal | None]]
    ) -> Iterator[list[tuple[str, Decimal | None]]]:
        if moment == len(points):
            yield plan
            return
        later = max(clock - 1, 0)
        yield from extended(moment + 1, bid, later, [*plan, ("stay", None)])
        for wanted in ladder:
            if bid is None:
                yield from extended(moment + 1, wanted, 0, [*plan, ("create", wanted)])
                continue
            yield from extended(moment + 1, wanted, 0, [*plan, ("anew", wanted)])
            if wanted > bid:
                yield from extended(moment + 1, wanted, later, [*plan, ("set", wanted)])
            elif wanted < bid and clock == 0 and bid - wanted <= terms.step:
                after = terms.pause_cells - 1
                yield from extended(moment + 1, wanted, after, [*plan, ("set", wanted)])
        if bid is not None:
            yield from extended(moment + 1, None, 0, [*plan, ("cancel", None)])

    yield from extended(0, None, 0, [])


@pytest.mark.parametrize("seed", range(12))
def test_no_schedule_of_bids_earns_more_and_one_earns_as_much(seed: int) -> None:
    """Against every legal plan on four moments and eight levels."""
    chance = Random(seed)
    points = [Decimal(chance.randint(0, 6)) for _ in range(4)]
    terms = small_terms(creation_fee=Decimal(chance.choice(("0.01", "0.03"))))
    best = max(earned(points, plan, terms) for plan in schedules(points, terms))
    assert optimum(points, terms).utility == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("cap", ["0", "2", "3.5", "5"])
@pytest.mark.parametrize("seed", range(3))
def test_no_schedule_below_the_on_demand_price_earns_more_and_one_earns_as_much(
    seed: int, cap: str
) -> None:
    """Wherever that price lies between two levels: it is a bid itself, and none is above it."""
    chance = Random(seed)
    points = [Decimal(chance.randint(0, 6)) for _ in range(4)]
    terms = replace(small_terms(), on_demand=Decimal(cap))
    best = max(earned(points, plan, terms) for plan in schedules(points, terms))
    assert optimum(points, terms).utility == pytest.approx(best, abs=1e-9)


def most_by_trying(points: Sequence[int], terms: Terms) -> float:
    """Return what the best of all legal plans earns, every level of eight tried at every moment."""
    down, pause = int(terms.step), terms.pause_cells
    created = pause if terms.creation_starts_clock else 0

    @cache
    def best(moment: int, bid: int, clock: int, ran: bool) -> float:
        if moment == len(points):
            return 0.0

        def worth(to: int, ticking: int, runs_on: bool) -> float:
            runs = to > points[moment]
            start = float(terms.restart_cost) if runs and not runs_on else 0.0
            gain = float((terms.value - to) * terms.grid_hours) if runs else 0.0
            return gain - start + best(moment + 1, to, max(ticking - 1, 0), runs)

        found = [best(moment + 1, -1, 0, False)]
        for level in range(8):
            found.append(worth(level, created, False) - float(terms.creation_fee))
            if bid == level:
                found.append(worth(level, clock, ran))
            elif 0 <= bid < level:
                found.append(worth(level, pause if terms.raise_starts_clock else clock, ran))
            elif clock == 0 and 0 < bid - level <= down:
                found.append(worth(level, pause, ran))
        return max(found)

    return best(0, -1, 0, False)


CLOCKS = [(False, False), (True, False), (False, True), (True, True)]


@pytest.mark.parametrize(("creation", "raised"), CLOCKS)
@pytest.mark.parametrize("seed", range(25))
def test_whichever_of_creations_and_raises_start_the_clock_nobody_earns_more(
    creation: bool, raised: bool, seed: int
) -> None:
    """Nor less: over twelve moments, with pauses that last beyond the next rise."""
    chance = Random(seed)
    points = [0, *(chance.choice((0, 0, 1, 2, 4, 5, 7)) for _ in range(11))]
    terms = replace(
        small_terms(pause=timedelta(seconds=60 * chance.randint(2, 5))),
        step=Decimal(chance.randint(1, 2)),
        restart_hours=Decimal(chance.choice(("0.02", "0.05", "0.1"))),
        creation_starts_clock=creation,
        raise_starts_clock=raised,
    )
    found = optimum([Decimal(each) for each in points], terms).utility
    assert found == pytest.approx(most_by_trying(points, terms), abs=1e-9)


def test_where_a_raise_starts_the_clock_one_goes_beyond_what_is_needed_now() -> None:
    """To where the next one would lead, which would put the walk down off."""
    points = [0, 0, 2, 2, 2, 4, *[0] * 15]
    terms = replace(
        small_terms(creation_fee=Decimal("0.5"), pause=timedelta(seconds=240)),
        value=Decimal(9),
        step=Decimal(1),
        restart_hours=Decimal("0.1"),
        raise_starts_clock=True,
    )
    found = optimum([Decimal(each) for each in points], terms, path=True)
    assert found.utility == pytest.approx(most_by_trying(points, terms), abs=1e-9)
    assert found.bids[:6] == (1, 1, 5, 5, 5, 5)


@pytest.mark.parametrize("tick", ["0.7", "0.9", "1.5"])
def test_no_bidder_beats_the_optimum_where_the_tick_does_not_divide_the_step(tick: str) -> None:
    """One who walks down by whole steps earns no more, even from far above."""
    dear = replace(small_terms(), value=Decimal(100), restart_hours=Decimal(1))
    terms = replace(dear, tick=Decimal(tick))
    points = [Decimal(0)] * 120 + [Decimal(70)] * 2 + [Decimal(0)] * 120
    bid = 70 + terms.tick
    walk = [
        ("set", bid - terms.step * min(n // 2, 35)) if n % 2 == 0 else ("stay", None) for n in range(72)
    ]
    before: list[tuple[str, Decimal | None]] = [("create", terms.tick), *[("stay", None)] * 119]
    plan = [*before, ("set", bid), ("stay", None), *walk]
    plan += [("stay", None)] * (len(points) - len(plan))
    assert earned(points, plan, terms) <= optimum(points, terms).utility


def test_an_on_demand_price_out_of_reach_changes_nothing() -> None:
    """Nor does the way to say that there is none."""
    points = [Decimal(Random(3).randint(0, 6)) for _ in range(200)]
    free = optimum(points, small_terms()).utility
    assert optimum(points, replace(small_terms(), on_demand=Decimal(1000))).utility == free


@pytest.mark.parametrize(("creation", "raised"), CLOCKS)
@pytest.mark.parametrize("seed", range(6))
def test_the_bids_of_the_optimum_earn_what_it_says(seed: int, creation: bool, raised: bool) -> None:
    """Its path, played by the auction with every rule enforced, comes to the same utility."""
    chance = Random(seed)
    terms = replace(small_terms(), creation_starts_clock=creation, raise_starts_clock=raised)
    points = [Decimal(chance.randint(0, 6)) for _ in range(1500)]
    found = optimum(points, terms, path=True)
    auction = Auction(terms=terms, now=START, rival=points[0])
    for number, (point, bid) in enumerate(zip(points, found.bids, strict=True)):
        auction.advance(START + number * terms.grid, point)
        wanted = None if bid is None else Decimal(round(bid))
        if wanted == auction.bid:
            continue
        far = auction.bid is not None and wanted is not None and auction.bid - wanted > terms.step
        soon = auction.opens_at is not None and auction.now < auction.opens_at
        lowered = auction.bid is not None and wanted is not None and wanted < auction.bid
        if auction.bid is not None and (wanted is None or far or (soon and lowered)):
            auction.cancel()
        if wanted is not None and auction.bid is None:
            auction.create(wanted)
        elif wanted is not None:
            auction.reprice(wanted)
    auction.advance(START + len(points) * terms.grid)
    assert auction.utility == pytest.approx(found.utility, abs=1e-6)


def test_a_market_that_is_never_worth_it_earns_nothing() -> None:
    """Nobody is forced to bid."""
    points = [Decimal(9)] * 10
    assert optimum(points, small_terms()).utility == 0.0


def test_shorter_pauses_never_earn_less() -> None:
    """A rule that is laxer cannot make the optimum worse."""
    chance = Random(5)
    points = [Decimal(chance.randint(0, 6)) for _ in range(200)]
    by_pause = [
        optimum(points, small_terms(pause=timedelta(seconds=60 * cells))).utility
        for cells in (1, 2, 5, 9)
    ]
    assert by_pause == sorted(by_pause, reverse=True)
    assert by_pause[0] > by_pause[-1]


def test_ticks_too_small_to_be_searched_are_refused_with_the_remedy() -> None:
    """Instead of taking all of the memory."""
    terms = Terms(value=Decimal("0.2"), step=Decimal("1e-8"), tick=Decimal("1e-9"))
    with pytest.raises(BadInput, match="name a larger --step or --tick"):
        optimum([Decimal("0.1"), Decimal("0.19"), Decimal("0.1")], terms)


@pytest.mark.parametrize(("days", "grid"), [(90, 60), (1, 1)], ids=["minutes", "seconds"])
def test_what_would_be_searched_for_long_is_refused_with_the_remedy(days: int, grid: int) -> None:
    """Moments, levels and clocks together, although none of them is too many."""
    points = [Decimal("0.05"), Decimal(5)] * (days * 43_200 // grid)
    terms = Terms(
        value=Decimal(10), step=Decimal("0.0005"), tick=Decimal("0.00005"), grid=timedelta(seconds=grid)
    )
    with pytest.raises(BadInput, match=r"99004 levels of bids .*; name a larger --grid-seconds, --step"):
        uniform(points, terms)


def test_no_more_levels_are_searched_than_prices_reach() -> None:
    """A step that is small against the value makes few of them where the market is as cheap."""
    terms = Terms(value=Decimal(2), step=Decimal("1e-4"), tick=Decimal("1e-5"))
    points = [Decimal("0.01")] * 200 + [Decimal("0.5")] * 30 + [Decimal("0.01")] * 200
    assert uniform(points, terms).count < 50_000
    assert optimum(points, terms).utility > 0.8 * 2 * 430 / 60


@pytest.mark.parametrize(
    ("points", "useful"),
    [("077777770", True), ("0777777770", False), ("08880", True), ("088880", False)],
)
def test_a_price_above_the_value_is_bid_for_only_where_that_costs_less_than_a_start(
    points: str, useful: bool
) -> None:
    """A start is all that running through it can save, and only from its beginning to its end."""
    prices = [Decimal(each) for each in points]
    assert (max(uniform(prices, small_terms()).levels) > max(prices)) is useful


@pytest.mark.parametrize("seed", range(8))
def test_levels_above_those_searched_earn_nothing_more(seed: int) -> None:
    """However dear a start is, and however high prices go for a moment."""
    chance = Random(seed)
    points = [Decimal(chance.choice((1, 2, 3, 5, 7, 8, 12, 20))) for _ in range(400)]
    rarely = [point if chance.random() < 0.2 else Decimal(2) for point in points]
    terms = replace(
        small_terms(), step=Decimal(chance.choice((2, 12))), restart_hours=Decimal("0.1") * (1 + seed)
    )
    closed = [Decimal(1)] * 50 + [Decimal(90)] * 50 + [Decimal(4)] * 50
    for prices in (points, rarely, closed):
        high, _ = Climb(uniform(prices, terms, (Decimal(1), 100.0))).solve()
        assert optimum(prices, terms).utility == pytest.approx(high, abs=1e-9)


def test_a_price_that_nobody_would_pay_runs_at_no_level_however_small_the_tick() -> None:
    """Its distance in ticks is beyond what an integer holds."""
    terms = Terms(
        value=Decimal("2e-8"), step=Decimal("1e-9"), tick=Decimal("1e-10"), creation_fee=Decimal(0)
    )
    ladder = uniform([Decimal("1e-8"), Decimal(10**9), Decimal("1e-8")], terms)
    assert list(ladder.runs_from) == [1, ladder.count, 1]


def on_every_level(points: Sequence[Decimal], terms: Terms) -> tuple[float, list[list[float]]]:
    """Return the value without an offer and with one, every level looked at in every moment."""
    ladder, none = uniform(points, terms), 0.0
    values = ladder.nothing()
    for moment in reversed(range(len(points))):
        chosen = ladder.chosen(moment, values)
        none = max(none, ladder.created(moment, chosen))
        values = ladder.before(moment, chosen, none)
    return none, values.tolist()


@given(
    prices=st.lists(st.tuples(st.integers(0, 120), st.integers(1, 9)), min_size=1, max_size=12),
    value=st.sampled_from(("3", "40", "200")),
    fee=st.sampled_from(("0", "0.01", "0.5")),
    restart=st.sampled_from(("0", "0.02", "0.2")),
    step=st.sampled_from(("1", "2.5", "7")),
    on_demand=st.none() | st.sampled_from(("0.5", "33.3", "90")),
    creation_starts=st.booleans(),
    raise_starts=st.booleans(),
)
def test_levels_that_are_passed_over_are_worth_nothing(
    prices: list[tuple[int, int]],
    value: str,
    fee: str,
    restart: str,
    step: str,
    on_demand: str | None,
    creation_starts: bool,
    raise_starts: bool,
) -> None:
    """To the last digit: the search keeps out of levels on which an offer would be cancelled anyway."""
    points = [Decimal(price) for price, held in prices for _ in range(held)]
    terms = replace(
        small_terms(creation_fee=Decimal(fee), pause=timedelta(seconds=180)),
        value=Decimal(value),
        step=Decimal(step),
        restart_hours=Decimal(restart),
        on_demand=None if on_demand is None else Decimal(on_demand),
        creation_starts_clock=creation_starts,
        raise_starts_clock=raise_starts,
    )
    none, values = Climb(uniform(points, terms)).solve()
    assert (none, values.tolist()) == on_every_level(points, terms)
