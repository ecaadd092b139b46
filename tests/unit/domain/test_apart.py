"""Real orders and those on paper never count together."""

from decimal import Decimal

from builders import make_holding, make_intent, make_listing, make_policy, make_view, usd

from bidder.domain import guard
from bidder.domain.apart import apart
from bidder.domain.policy import Mode


def test_while_on_paper_real_orders_stand_apart() -> None:
    """A person's order is real; ours and what is under way are not."""
    view = make_view(
        make_policy(),
        make_listing(),
        holdings=[make_holding(9, target=None, price=usd("3")), make_holding(-1, price=usd("2"))],
        intents=(make_intent(server=303, price=usd("1")),),
    )
    halves = apart(view, Mode.PAPER)
    assert guard.committed_usd(halves.live) == Decimal(3)
    assert guard.committed_usd(halves.paper) == Decimal(3)
    assert set(halves.live.holdings) == {9}
    assert set(halves.paper.holdings) == {-1}


def test_live_nothing_is_on_paper() -> None:
    """The view is the view."""
    view = make_view(make_policy(), make_listing(), holdings=[make_holding()], intents=(make_intent(),))
    halves = apart(view, Mode.LIVE)
    assert halves.live == view
    assert (halves.paper.holdings, halves.paper.intents) == ({}, ())
