"""A wallet that is too small for the best server, by a rule of the exchange that nobody has told us."""

from dataclasses import replace

import pytest
from jobs import begin, job, server

from bidder.domain.actions import PlaceBid
from bidder.domain.money import Currency, Price
from bidder.domain.policy import Ceiling, Per, Requirements, Target, TrackParams
from bidder.sim.rules import Rules

TARGET = replace(job(1, 2), params=TrackParams())
BIG = replace(
    TARGET,
    name="big",
    ceiling=Ceiling(price=Price.parse("40", Currency.USD)),
    requirements=Requirements(min_gpus=8),
)
SMALL = replace(
    TARGET,
    name="small",
    ceiling=Ceiling(price=Price.parse("4", Currency.USD)),
    requirements=Requirements(max_gpus=1),
)
ANY = replace(TARGET, name="any", ceiling=Ceiling(price=Price.parse("3", Currency.USD), per=Per.GPU))
DEAR = [server(number, floor=f"16.{number}", on_demand="30", gpus=8) for number in range(10, 15)]
CHEAP = server(2, floor="2.2", on_demand="3")


@pytest.mark.parametrize("minutes", [0, 60, 1440])
@pytest.mark.parametrize("targets", [(BIG, SMALL), (ANY,)], ids=["beside", "alone"])
def test_a_server_that_a_wallet_pays_for_is_not_kept_from_us_by_one_it_does_not(
    targets: tuple[Target, ...], minutes: int
) -> None:
    """Another target's, or this one's best; and the dear one is asked for once, not again and again."""
    run = begin(BIG, *DEAR, CHEAP, rules=Rules(balance_minutes=minutes), targets=targets, balance="15")

    run.run(0.5)

    running = {order.server_id for order in run.live()}
    if minutes == 1440:
        assert running == {2}
    else:
        assert running & {2, *range(10, 15)}
    placed = [deed for deed in run.deeds if isinstance(deed.action, PlaceBid)]
    assert len([deed for deed in placed if deed.result.value == "refused"]) <= 1
