"""A running order moves to a server that has become cheaper: the whole daemon, in virtual time."""

from dataclasses import replace
from datetime import timedelta

from virtual import Day, begin

from bidder.app.report import PassReport
from bidder.domain.actions import PlaceBid, Reason, Withdraw
from bidder.domain.policy import Moving, Policy

MINUTES = timedelta(minutes=1)


def movable(policy: Policy) -> Policy:
    """Return the policy with one target, whose running orders may move."""
    target = replace(policy.targets[0], moving=Moving(running=True, pause=10 * MINUTES))
    return replace(policy, targets=(target,))


def cheapen(day: Day, share: int) -> int:
    """Let the host of one free server that fits ask only 1/share of its price; return the server."""
    (target,) = day.policy.targets
    stalls = day.exchange.market.stalls
    taken = {order["server"] for order in day.live()}
    listings = day.market.listings.values()
    server = next(
        listing.server
        for listing in listings
        if listing.specs.gpu_model in target.requirements.gpu_models
        and stalls[listing.server].open_to_bids
        and not stalls[listing.server].offers
        and listing.server not in taken
    )
    stall = stalls[server]
    stall.floor = {coin: price / share for coin, price in stall.floor.items()}
    day.exchange.market.set_prices(stall)
    return server


def test_the_new_order_runs_before_the_old_one_goes_and_then_all_is_quiet() -> None:
    """Never two on one server, one more than wanted for a moment, and nobody moves back."""
    day = begin(seed=3, servers=30, rivals=False, shape=movable)
    (target,) = day.policy.targets
    day.run(11 * MINUTES)
    assert len(day.live()) == target.want
    before = {order["server"] for order in day.live()}
    day.deeds.clear()
    cheap = cheapen(day, 4)
    most: list[int] = []

    def look(_: PassReport) -> None:
        servers = [order["server"] for order in day.live()]
        assert len(servers) == len(set(servers))
        # However it is looked at, the target computes on as many servers as it wants.
        assert sum(order["active"] for order in day.live()) >= target.want
        most.append(len(servers))

    day.run(22 * MINUTES, look)
    moves = [deed for deed in day.deeds if deed.decision.reason is Reason.MOVE]
    placed, left = (deed.action for deed in moves)
    assert isinstance(placed, PlaceBid)
    assert placed.server == cheap
    assert isinstance(left, Withdraw)
    assert left.server in before
    assert max(most) == target.want + 1
    assert most[-1] == target.want
    assert cheap in {order["server"] for order in day.live()}
    # Both were paid for no longer than it takes to look.
    assert most.count(target.want + 1) < 60
