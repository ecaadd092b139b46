"""The status line: what is held for real and what on paper."""

from dataclasses import replace
from decimal import Decimal

from builders import NOW, make_holding, make_listing, make_policy, make_view, usd

from bidder.app.report import PassReport
from bidder.app.summary import line, summarise
from bidder.domain.policy import Mode, Policy
from bidder.domain.view import View

LIVE = make_policy()
PAPER = replace(LIVE, mode=Mode.PAPER)
REPORT = PassReport(pass_id=1, at=NOW)


def world(*, paused: bool = False) -> View:
    """Return a real order that costs 3 USD per day, of a strategy by its name, and 2 on paper."""
    return make_view(
        LIVE,
        make_listing(),
        holdings=[make_holding(9, price=usd("3")), make_holding(-1, price=usd("2"))],
        paused=paused,
    )


def said(policy: Policy, *, paused: bool = False) -> str:
    """Return the status line."""
    return line(summarise(world(paused=paused), policy), REPORT)


def test_each_mode_counts_its_own_orders_only() -> None:
    """Neither adds the other's, whatever the view holds."""
    live, paper = summarise(world(), LIVE), summarise(world(), PAPER)
    assert (live.paper, live.held, live.paying_usd) == (False, 1, Decimal(3))
    assert (paper.paper, paper.held, paper.paying_usd) == (True, 1, Decimal(2))


def test_paper_is_marked_in_the_status_line() -> None:
    """Also while trading is paused."""
    assert said(LIVE) == "live: holds 1 of 1 servers, pays 3.00 USD per day"
    assert said(PAPER) == "paper: holds 1 of 1 servers on paper, would pay 2.00 USD per day"
    assert said(PAPER, paused=True).startswith("paused: holds 1 of 1 servers on paper, would pay")
