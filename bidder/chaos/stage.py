"""What one seed's day is played on: an exchange with its rules and market, the wishes, the referee."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from bidder.chaos import owner, world
from bidder.chaos.canaries import TOKEN
from bidder.chaos.kinds import DAYS, Script
from bidder.demo.world import for_referee
from bidder.domain.policy import Policy
from bidder.exchange import wire
from bidder.sim.answers import Request
from bidder.sim.exchange import SimExchange
from bidder.sim.referee import Referee
from bidder.sim.server import DEFAULT_START
from bidder.sim.targets import targets_from

_SERVERS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """An exchange, the owner's wishes for it, and who judges; ``wanted`` are the servers that fit.

    ``oddities`` are the kinds of trouble that are so for the whole day.
    """

    exchange: SimExchange
    policy: Policy
    referee: Referee
    wanted: frozenset[int]
    oddities: Counter[str]

    def ceilings_usd(self) -> dict[int, Decimal]:
        """Return what the owner allows at most for each live order's server, in USD per day."""
        market, found = self.exchange.market, dict[int, Decimal]()
        for target in self.policy.targets:
            for number in self.referee.live_of(target.name):
                gpus = market.stalls[market.own[number].server_id].listing.gpu()[0]
                found[number] = owner.ceiling_usd(target, gpus)
        return found


def set_up(seed: int, days: float, script: Script, chance: Random, *, by_chance: bool) -> Stage:
    """Return the stage of one seed; what is odd for the whole day by ``chance`` or by ``script``."""
    rules = world.rules_of(chance)
    odd = {kind: (by_chance and chance.random() < 0.3) or script.for_day(kind) for kind in DAYS}
    place = world.world_of(
        seed, _SERVERS, beyond=odd["ids beyond 2^53"], odd_text=odd["unicode everywhere"]
    )
    exchange = SimExchange(place, rules, seed=seed, start=DEFAULT_START, token=TOKEN)
    # The wishes fit what is listed; another exchange shows it, so that looking costs this one nothing.
    look = Request(method="GET", path="/v1/marketplace", headers={"auth": TOKEN})
    other = exchange.restarted()
    market = wire.marketplace(other.handle(look, other.start).body)
    policy = owner.policy_of(seed, market, place, start=other.start, days=days, by_chance=by_chance)
    judged = targets_from(for_referee(policy, market))
    return Stage(
        exchange=exchange,
        policy=policy,
        referee=Referee(exchange, judged),
        wanted=frozenset(server for target in judged for server in target.servers or ()),
        oddities=Counter(kind for kind, on in odd.items() if on),
    )
