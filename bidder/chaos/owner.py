"""What the owner of one seed's day wants: targets, ceilings, rails and budgets, all from the seed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from bidder.chaos.canaries import launch_of
from bidder.chaos.growth import RETENTION
from bidder.demo import world as demo_world
from bidder.domain.market import Marketplace
from bidder.domain.money import Currency, Money, Rates
from bidder.domain.policy import Budget, DeadlineParams, Pace, Per, Policy, Rails, Target
from bidder.sim.world import World

_RATES = Rates({Currency.BTC: Decimal(69000), Currency.CLORE: Decimal("0.11")})
# A day is a small world seen now and then: what matters happens between two reads anyhow. Books are read
# within ten minutes, or every clock that nobody knows would be open by the time that it is tried.
_PACE = Pace(
    marketplace_every=timedelta(minutes=15),
    book_every=timedelta(minutes=9),
    orders_every=timedelta(minutes=9),
    wallets_every=timedelta(hours=1),
)
_UNATTENDED_DAYS = 5


def policy_of(
    seed: int, market: Marketplace, world: World, *, start: datetime, days: float, by_chance: bool
) -> Policy:
    """Return the wishes of one seed for ``days`` from ``start``; jobs and budgets only ``by_chance``."""
    policy = demo_world.demo_policy(market, _RATES)
    launch = launch_of("nvidia/cuda")
    targets = tuple(replace(target, launch=launch) for target in policy.targets[:2])
    budget = Budget()
    if by_chance and seed % 5 == 2:
        targets = (targets[0], _with_a_job(targets[1], start, timedelta(days=days)))
    if by_chance and seed % 5 == 4:
        budget, targets = budgets_of(seed, targets)
    rails = rails_of(seed, targets, policy.rails, world)
    return replace(policy, targets=targets, pace=_PACE, rails=rails, retention=RETENTION, budget=budget)


def _with_a_job(target: Target, start: datetime, whole: timedelta) -> Target:
    """Return the target with a job so tight, and spot so dear, that it comes to rent on demand."""
    ceiling = target.ceiling
    params = DeadlineParams(
        gpu_hours=round(Decimal(str(whole / timedelta(hours=1) * 0.8)), 2) * target.want,
        by=start + whole,
        on_demand_ceiling=replace(ceiling, price=ceiling.price.times(2)),
    )
    cheap = replace(ceiling, price=ceiling.price.times(Decimal("0.6")))
    return replace(target, params=params, ceiling=cheap)


def budgets_of(seed: int, targets: tuple[Target, ...]) -> tuple[Budget, tuple[Target, ...]]:
    """Return a budget of all that bites, and the targets, of which one may have its own."""
    chance = Random(f"budget/{seed}")
    all_day = Budget(usd_per_day=_most(targets) * _share(chance, 0.1, 0.6))
    if chance.random() < 0.4:
        all_day = replace(all_day, usd_per_month=_most(targets) * _share(chance, 0.2, 1.2))
    if chance.random() < 0.4:
        own = Budget(usd_per_day=_most(targets[:1]) * _share(chance, 0.1, 0.5))
        targets = (replace(targets[0], budget=own), *targets[1:])
    return all_day, targets


def ceiling_usd(target: Target, gpus: int) -> Decimal:
    """Return what the owner allows for a server of so many GPUs, in USD per day."""
    return target.ceiling.price.amount * (gpus if target.ceiling.per is Per.GPU else 1)


def _most(targets: Sequence[Target]) -> Decimal:
    return sum((t.ceiling.price.amount * t.want for t in targets), Decimal(0))


def _share(chance: Random, low: float, high: float) -> Decimal:
    return Decimal(str(round(chance.uniform(low, high), 3)))


def rails_of(seed: int, targets: Sequence[Target], usual: Rails, world: World) -> Rails:
    """Return the owner's rails of one seed: on five days of six there is one that bites."""
    chance = Random(f"rails/{seed}")
    rails = replace(usual, allow_above_on_demand=True)
    wanted = sum(target.want for target in targets)
    most, share = _most(targets), _share(chance, 0.5, 3)
    match seed % 3, seed // 3 % 8:
        case 0, _:
            return replace(rails, max_usd_per_day=most * share)
        case 1, _:
            return replace(rails, max_orders=max(1, wanted - 1))
        case 2, 0:
            return replace(rails, max_creations_per_hour=wanted)
        case 2, 5:
            return replace(rails, max_creations_per_server_hour=1)
        case 2, 6:
            return replace(rails, min_balance=_nearly_all(world, spent_usd=most * share / 10))
        case 2, 7:
            # Some server may be rented for weeks, and all of these would have to be paid.
            return replace(rails, max_usd_if_unattended=most * share * _UNATTENDED_DAYS)
        case _:
            return rails


def _nearly_all(world: World, *, spent_usd: Decimal) -> tuple[Money, ...]:
    """Return balances to keep that so much spending, in any currency, will go below."""
    return tuple(
        Money(world.balances[coin] - spent_usd / world.rates[coin], Currency(coin))
        for coin in world.balances
        if coin in world.rates
    )
