"""How ``adaptive`` bids against a rival that answers: with room, which it keeps for an hour."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate

from builders import (
    NOW,
    at,
    make_book,
    make_holding,
    make_listing,
    make_policy,
    make_target,
    make_view,
    mine,
    outbid_holding,
    rival,
    seen,
    usd,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.domain.bids import clock, decided, facing, raises, repriced

from bidder.domain import canonical, fold, sentences
from bidder.domain.actions import Asked, Decision, Reason, Reprice
from bidder.domain.money import Currency, Price
from bidder.domain.policy import AdaptiveParams, Ceiling, Per, Policy
from bidder.domain.view import View

# Worth 5 USD a day, and a tenth of an hour lost at each start: a quarter dollar for each answer.
EAGER = AdaptiveParams(raise_wait=timedelta(0), confirm=False)


def outbid(*answers: float, price: str = "2", by: str = "2.0999", since: float = -5) -> Decision:
    """Return the decision about a bid that a rival outbids, after raises at these seconds."""
    offers = mine(usd(price)), rival(usd(by), active=True)
    holding = outbid_holding(since=since, price=usd(price))
    return facing(*offers, holding=holding, params=EAGER, raises=raises(*answers))


def running(price: str, *answers: float, to_beat: str = "2.0999") -> Decision:
    """Return the decision about a bid that runs, its clock open, after raises at these seconds."""
    offers = mine(usd(price), active=True), rival(usd(to_beat))
    holding = make_holding(price=usd(price), clock=clock(900))
    return facing(*offers, holding=holding, params=EAGER, raises=raises(*answers))


def test_each_answer_is_met_with_room_for_half_of_what_the_starts_cost() -> None:
    """The raise in hand is one of them; without any the bid is what is needed."""
    assert repriced(outbid()) == usd("2.1")
    first, third = outbid(-60), outbid(-180, -120, -60)
    assert repriced(first) == usd("2.35")
    assert first.facts["room"] == "0.25 USD"
    told = sentences.tell(first.reason.value, first.facts)
    assert "0.25 USD above what is needed, because bids here were answered within the hour" in told
    assert repriced(third) == usd("2.85")


def test_who_was_not_answered_by_a_rival_bids_what_is_needed() -> None:
    """The market moves every ten minutes, or our server never stood still."""
    assert repriced(outbid(-1800, -1200, -600)) == usd("2.1")
    assert "room" not in outbid(-1800, -1200, -600).facts
    assert repriced(outbid(-60, since=0)) == usd("2.1")


def test_room_ends_at_what_it_is_worth_to_stay() -> None:
    """A bid of 4.9 may go up to the value of 5 and no further."""
    assert repriced(outbid(-60, price="4.8", by="4.8999")) == usd("5")


def test_the_room_is_kept_while_the_answers_are_recent() -> None:
    """Then the price comes down to it, not below."""
    held = running("2.35", -120, -60)
    assert (held.action, held.reason) == (None, Reason.WINNING)
    assert held.facts["room"] == "0.25 USD"
    down = running("2.4", -120, -60)
    assert repriced(down) == usd("2.35")
    assert down.reason is Reason.MARK_DOWN
    assert "room" not in running("2.1", -120, -60).facts


def test_after_an_hour_of_peace_it_comes_down() -> None:
    """To what is needed."""
    assert running("2.35", -3660, -3599).action is None
    assert repriced(running("2.35", -3661, -3600)) == usd("2.1")


def test_what_an_earlier_version_asked_is_answered_as_it_was() -> None:
    """It knew of no answers, and bid what was needed."""
    asked = outbid(-60).asked
    assert isinstance(asked, Asked)
    text = canonical.dump(asked.position, targets_by_name=True)
    with_answers = canonical.dump(asked.position.answers)
    old = text.replace(f',"answers":{with_answers}', "")
    assert old != text
    read = canonical.load(old, lambda _: asked.position.target)
    assert read == replace(asked.position, answers=())


CENTS = st.integers(150, 700)
# How long before now each raise was, in seconds: a fight that goes on, and one that is nearly forgotten.
FIGHTS = st.tuples(
    st.lists(st.integers(20, 170), max_size=6).map(lambda gaps: list(accumulate(gaps))),
    st.lists(st.integers(3000, 3620), max_size=6),
).map(lambda fights: [-each for each in (*fights[0], *fights[1])])


def verdict_on(view: View, policy: Policy, now: datetime = NOW) -> Decision:
    """Return what the strategy alone says, before any rail."""
    asked = decided(view, policy, now).asked
    assert isinstance(asked, Asked)
    return asked.verdict


@settings(max_examples=300, deadline=None)
@given(
    ours=st.integers(100, 400),
    over=st.integers(1, 50),
    most=st.tuples(CENTS, CENTS, CENTS),
    restart=st.integers(0, 1200),
    idle=st.sampled_from((5, 100)),
    fights=FIGHTS,
    seconds=st.integers(31, 599),
)
def test_room_breaks_no_limit_and_no_raise_is_taken_back(
    ours: int,
    over: int,
    most: tuple[int, int, int],
    restart: int,
    idle: int,
    fights: list[int],
    seconds: int,
) -> None:
    """Whatever the prices, the answers and the start; until the clock could open at the earliest."""
    bid, beats = cents(ours), cents(ours + over)
    ceiling, value, on_demand = map(cents, most)
    target = make_target(
        params=EAGER,
        ceiling=ceiling,
        value=Ceiling(price=value, per=Per.SERVER),
        restart=timedelta(seconds=restart),
    )
    policy = make_policy(target)
    view = make_view(
        policy,
        make_listing(on_demand=on_demand),
        holdings=[outbid_holding(since=-idle, price=bid)],
        books=[seen(make_book(mine(bid), rival(beats, active=True)), outbid_reads=2)],
        raises=raises(*sorted(fights)),
    )
    raised = verdict_on(view, policy).action
    if not isinstance(raised, Reprice) or raised.lowers:
        return
    assert beats < raised.price <= min(ceiling, value, on_demand)
    sent = fold.repriced(view, raised, sent_at=NOW, now=at(30))
    book = make_book(mine(raised.price, active=True), rival(beats))
    later, _ = fold.book(sent, book, policy, at=at(seconds))
    assert verdict_on(later, policy, at(seconds)).action is None


def cents(count: int) -> Price:
    """Return so many cents per day."""
    return Price(Decimal(count) / 100, Currency.USD)
