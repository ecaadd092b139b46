"""The rules of lowering: when the clock opens, how far a step goes, and what answers teach of both."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from builders import NOW, at, btc, clore, usd
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain import price_rules
from bidder.domain.money import Currency, Price
from bidder.domain.price_rules import ClockEvent, ClockRules, LoweringClock, StepSample

UNKNOWN = ClockRules()
PAUSE = price_rules.LOWERING_PAUSE
LEARNABLE = st.sampled_from([ClockEvent.CREATION, ClockEvent.RAISE])


def exact(price: str, lowest: str, *, floor: str | None = None, when: datetime = NOW) -> StepSample:
    """Return the sample that an ``exceeded_max_step`` answer naming ``lowest`` gives, in CLORE."""
    sample = price_rules.sample_from_refusal(
        clore(price), Decimal(lowest), floor=None if floor is None else clore(floor), at=when
    )
    assert sample is not None
    return sample


def test_a_lowering_closes_the_clock_for_600_seconds() -> None:
    """This much is certain: the documents say it."""
    clock = LoweringClock(created_at=at(-9000)).after(ClockEvent.LOWERING, NOW)
    assert price_rules.next_lowering_at(clock, UNKNOWN) == at(600)


@pytest.mark.parametrize("event", [ClockEvent.CREATION, ClockEvent.RAISE])
def test_creation_and_raise_close_it_once_they_are_known_to(event: ClockEvent) -> None:
    """Unknown counts as open: one refusal costs a second, a needless wait ten minutes."""
    clock = LoweringClock().after(event, NOW)
    assert price_rules.next_lowering_at(clock, UNKNOWN) is None
    assert price_rules.next_lowering_at(clock, UNKNOWN.learnt(event, starts=True)) == at(600)
    assert price_rules.next_lowering_at(clock, UNKNOWN.learnt(event, starts=False)) is None


@given(event=LEARNABLE, ago=st.integers(0, 599))
def test_a_refusal_tells_which_event_started_the_clock(event: ClockEvent, ago: int) -> None:
    """The event 600 seconds before the opening is the culprit, and the opening is believed."""
    clock = LoweringClock().after(event, at(-ago))
    opened, rules = price_rules.refused_too_soon(clock, UNKNOWN, wait_seconds=600.0 - ago, now=NOW)
    assert rules.starts(event) is True
    assert price_rules.next_lowering_at(opened, rules) == max(at(600 - ago), at(1))


def test_a_refusal_that_fits_no_event_teaches_only_the_opening() -> None:
    """Somebody else, or the exchange, started that clock."""
    clock = LoweringClock(created_at=at(-5000), raised_at=at(-100))
    opened, rules = price_rules.refused_too_soon(clock, UNKNOWN, wait_seconds=300, now=NOW)
    assert rules == UNKNOWN
    assert price_rules.next_lowering_at(opened, rules) == at(300)


@pytest.mark.parametrize("said", [None, 0, -30, 1e6])
def test_a_refusal_whose_wait_makes_no_sense_still_teaches_what_started_the_clock(
    said: float | None,
) -> None:
    """It was too soon after something: the one event that may have started the clock."""
    clock = LoweringClock(created_at=at(-300), raised_at=at(-100))
    opened, rules = price_rules.refused_too_soon(
        clock, ClockRules(raised=False), wait_seconds=said, now=NOW
    )
    assert rules == ClockRules(creation=True, raised=False)
    opens_at = price_rules.next_lowering_at(opened, rules)
    assert opens_at is not None
    assert at(300) <= opens_at <= at(600)


@pytest.mark.parametrize("said", [None, 0, -30, 1e6])
@pytest.mark.parametrize(
    "clock",
    [
        LoweringClock(created_at=at(-300), raised_at=at(-100)),
        LoweringClock(lowered_at=at(-300), raised_at=at(-100)),
    ],
)
def test_of_two_suspects_none_is_blamed_where_the_wait_makes_no_sense(
    clock: LoweringClock, said: float | None
) -> None:
    """A raise blamed for another's clock would cost ten minutes after every raise, for ever."""
    opened, rules = price_rules.refused_too_soon(clock, UNKNOWN, wait_seconds=said, now=NOW)

    assert rules == UNKNOWN
    assert price_rules.next_lowering_at(opened, rules) is not None


def test_an_order_found_after_a_crash_teaches_by_its_own_time() -> None:
    """We saw it late; the exchange says when it was created, and the wait fits that."""
    clock = LoweringClock(created_at=at(-5))
    _, rules = price_rules.refused_too_soon(
        clock, UNKNOWN, wait_seconds=200, now=NOW, listed_at=at(-400)
    )
    assert rules == ClockRules(creation=True)


def test_of_two_near_events_the_nearest_is_blamed() -> None:
    """A raise some seconds after the creation is told apart by the wait."""
    clock = LoweringClock(created_at=at(-110), raised_at=at(-100))
    _, rules = price_rules.refused_too_soon(clock, UNKNOWN, wait_seconds=499.5, now=NOW)
    assert rules == ClockRules(raised=True)


@pytest.mark.parametrize(("said", "seconds"), [(None, 600), (0, 1), (-5, 1), (513.25, 513.25)])
def test_the_wait_is_taken_as_said_and_never_asks_again_at_once(
    said: float | None, seconds: float
) -> None:
    """Nothing named means a whole pause; nothing left to wait still means a moment."""
    opened, rules = price_rules.refused_too_soon(LoweringClock(), UNKNOWN, wait_seconds=said, now=NOW)
    assert price_rules.next_lowering_at(opened, rules) == at(seconds)


def test_an_accepted_lowering_clears_the_events_before_it() -> None:
    """What happened five minutes ago did not start the clock, or this would have been refused."""
    clock = LoweringClock(created_at=at(-300), raised_at=at(-200))
    rules = price_rules.lowering_accepted(clock, UNKNOWN, at=NOW)
    assert rules == ClockRules(creation=False, raised=False)


@pytest.mark.parametrize("ago", [590, 600, 3600])
def test_an_acceptance_near_or_after_the_pause_proves_nothing(ago: int) -> None:
    """The clock would have been open either way."""
    clock = LoweringClock(created_at=at(-ago))
    assert price_rules.lowering_accepted(clock, UNKNOWN, at=NOW) == UNKNOWN


@given(
    creation=st.booleans(),
    raised=st.booleans(),
    asks=st.lists(st.tuples(LEARNABLE, st.integers(1, 599)), max_size=12),
)
def test_at_most_one_early_refusal_for_each_kind_of_event(
    creation: bool, raised: bool, asks: list[tuple[ClockEvent, int]]
) -> None:
    """Whatever the exchange's rule is, it is learnt from the first answer that could show it."""
    truth = {ClockEvent.CREATION: creation, ClockEvent.RAISE: raised}
    rules, refusals = UNKNOWN, 0
    for event, later in asks:
        clock = LoweringClock().after(event, NOW)
        now = at(later)
        opens = price_rules.next_lowering_at(clock, rules)
        if opens is not None and now < opens:
            assert truth[event], "we wait for a clock that does not exist"
            continue
        if truth[event]:
            refusals += 1
            clock, rules = price_rules.refused_too_soon(
                clock, rules, wait_seconds=600.0 - later, now=now
            )
        else:
            rules = price_rules.lowering_accepted(clock, rules, at=now)
    assert refusals <= 2


def test_max_step_is_the_lowest_price_not_a_difference() -> None:
    """The vendor's sample: 0.0000042 BTC may go down to 0.0000032, a drop of 0.000001."""
    sample = price_rules.sample_from_refusal(btc("0.0000042"), Decimal("0.0000032"), floor=None, at=NOW)
    assert sample is not None
    assert sample.drop == Decimal("0.000001")
    assert price_rules.lowest_allowed(btc("0.0000042"), None, [sample], NOW) == btc("0.0000032")


@pytest.mark.parametrize("named", ["0", "-1", "5", "6"])
def test_a_limit_that_allows_no_lowering_teaches_no_step(named: str) -> None:
    """Zero, or at and above the present price."""
    assert price_rules.sample_from_refusal(clore("5"), Decimal(named), floor=None, at=NOW) is None


def test_an_unlearnt_step_is_unknown() -> None:
    """Then the full width is tried and the refusal names the limit; planning uses a guess."""
    assert price_rules.lowest_allowed(clore("5"), None, [], NOW) is None
    assert price_rules.largest_drop(clore("5"), None, [], NOW) is None
    assert price_rules.usual_drop(btc("0.00005"), None, [], NOW) == Decimal("0.000001")
    assert price_rules.usual_drop(clore("100"), None, [], NOW) == Decimal(5)


def test_a_step_of_one_coin_says_nothing_about_another() -> None:
    """Learnt in CLORE, unknown in dollars."""
    assert price_rules.lowest_allowed(usd("5"), None, [exact("5", "4")], NOW) is None


def test_a_step_is_asked_for_again_after_a_week() -> None:
    """The exchange may change its rule; asking costs one refusal."""
    old = [exact("5", "4", when=at(-8 * 86400))]
    assert price_rules.lowest_allowed(clore("5"), None, old, NOW) is None


def test_one_sample_is_read_in_the_way_that_goes_furthest() -> None:
    """From 10 down to 9: from 20 that may be a fixed 1 or a tenth; a tenth is tried first."""
    assert price_rules.largest_drop(clore("20"), None, [exact("10", "9")], NOW) == 2
    assert price_rules.largest_drop(clore("5"), None, [exact("10", "9")], NOW) == 1


def test_two_samples_tell_a_fixed_step_from_a_share() -> None:
    """The shape that fits both is used, be it an amount, a share of the price or of the floor."""
    fixed = [exact("10", "9"), exact("20", "19")]
    share = [exact("10", "9"), exact("20", "18")]
    by_floor = [exact("10", "9", floor="5"), exact("20", "18.4", floor="8")]
    assert price_rules.largest_drop(clore("50"), None, fixed, NOW) == 1
    assert price_rules.largest_drop(clore("50"), None, share, NOW) == 5
    assert price_rules.largest_drop(clore("50"), clore("20"), by_floor, NOW) == 4


def test_samples_of_no_common_shape_are_used_by_the_nearest_price() -> None:
    """A rule that differs by price level."""
    odd = [exact("10", "9"), exact("20", "12")]
    assert price_rules.largest_drop(clore("11"), None, odd, NOW) == 1
    assert price_rules.largest_drop(clore("19"), None, odd, NOW) == 8


_PRICE = st.decimals("0.03", "500", places=2)
_SHARE = st.decimals("0.01", "0.5", places=2)


@given(price=_PRICE, share=_SHARE)
def test_a_learnt_limit_is_never_overstepped_at_its_own_price(price: Decimal, share: Decimal) -> None:
    """After one refusal the next request at that price is accepted, and really lowers it."""
    current = Price(price, Currency.CLORE)
    limit = price - price * share
    sample = price_rules.sample_from_refusal(current, limit, floor=None, at=NOW)
    assert sample is not None
    lowest = price_rules.lowest_allowed(current, None, [sample], NOW)
    assert lowest is not None
    assert limit <= lowest.amount < price


@given(price=_PRICE, share=_SHARE, fixed=st.booleans())
def test_a_walk_down_pays_one_refusal_for_each_unknown(
    price: Decimal, share: Decimal, fixed: bool
) -> None:
    """Under a fixed step or a share, two refusals teach the rule for good."""
    start = price
    samples: list[StepSample] = []
    refusals = 0
    for step in range(20):
        drop = start * share if fixed else price * share
        limit = price - drop
        current, floor = Price(price, Currency.CLORE), Decimal("0.01")
        if limit <= floor:
            break
        lowest = price_rules.lowest_allowed(current, None, samples, NOW)
        wanted = floor if lowest is None else max(lowest.amount, floor)
        if wanted < limit:
            refusals += 1
            sample = price_rules.sample_from_refusal(current, limit, floor=None, at=at(step))
            assert sample is not None
            samples.append(sample)
            lowest = price_rules.lowest_allowed(current, None, samples, NOW)
            assert lowest is not None
            wanted = max(lowest.amount, floor)
        assert limit <= wanted < price
        price = wanted
    assert refusals <= 2


@given(
    events=st.lists(st.tuples(st.sampled_from(ClockEvent), st.integers(-3000, 0)), max_size=6),
    creation=st.none() | st.booleans(),
    raised=st.none() | st.booleans(),
)
def test_no_rule_opens_the_clock_within_600_seconds_of_a_lowering(
    events: list[tuple[ClockEvent, int]], creation: bool | None, raised: bool | None
) -> None:
    """However events and beliefs mix."""
    clock = LoweringClock()
    for event, ago in sorted(events, key=lambda pair: pair[1]):
        clock = clock.after(event, at(ago))
    opens = price_rules.next_lowering_at(clock, ClockRules(creation=creation, raised=raised))
    lowerings = [at(ago) for event, ago in events if event is ClockEvent.LOWERING]
    if lowerings:
        assert opens is not None
        assert opens >= max(lowerings) + PAUSE
    assert opens is None or opens <= NOW + timedelta(seconds=600)


@given(
    since=st.lists(st.none() | st.integers(0, 1500), min_size=3, max_size=3),
    opens_in=st.none() | st.integers(-300, 700),
    later=st.builds(ClockRules, creation=st.none() | st.booleans(), raised=st.none() | st.booleans()),
    slip=st.floats(0.1, 5),
)
def test_a_clock_that_is_put_off_opens_as_much_later_whatever_is_learnt_afterwards(
    since: list[int | None], opens_in: int | None, later: ClockRules, slip: float
) -> None:
    """What had closed it need not be known when the calendar is put forward."""
    ago = [None if seconds is None else at(-seconds) for seconds in since]
    opens_at = None if opens_in is None else at(opens_in)
    clock = LoweringClock(created_at=ago[0], raised_at=ago[1], lowered_at=ago[2], opens_at=opens_at)
    before = price_rules.next_lowering_at(clock, later)
    off = price_rules.next_lowering_at(clock.put_off(timedelta(seconds=slip), since=NOW), later)
    if before is None or before <= NOW:
        assert off == before
    else:
        assert off == before + timedelta(seconds=slip)
