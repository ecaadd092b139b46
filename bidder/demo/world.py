"""What the demo wants of the simulated marketplace: targets that fit whatever servers it lists."""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from statistics import median
from typing import Any

from bidder.domain.ids import AccountName
from bidder.domain.market import Listing, Marketplace
from bidder.domain.money import Currency, Price, Rates
from bidder.domain.policy import (
    Ceiling,
    DeadlineParams,
    Launch,
    Mode,
    Per,
    Policy,
    Requirements,
    Target,
    TrackParams,
)

CURRENCIES = (Currency.BTC, Currency.CLORE)
# A ceiling that a sensible owner might write: a little above what the model rents for on demand.
_ABOVE_ON_DEMAND = Decimal("1.15")
_WANTS = (2, 2, 1)


def demo_policy(marketplace: Marketplace, rates: Rates) -> Policy:
    """Return a policy for the models with the most servers to be had."""
    by_model: dict[str, list[Listing]] = defaultdict(list)
    for listing in marketplace.listings.values():
        if listing.specs.gpu_count and listing.server not in marketplace.own_servers:
            by_model[listing.specs.gpu_model].append(listing)
    ranked = sorted(by_model.items(), key=lambda item: (-sum(not s.rented for s in item[1]), item[0]))
    targets = [
        _target(model, listings, want, rates)
        for (model, listings), want in zip(ranked, _WANTS, strict=False)
    ]
    return Policy(account=AccountName("demo"), mode=Mode.LIVE, targets=tuple(targets))


def _target(model: str, listings: list[Listing], want: int, rates: Rates) -> Target:
    per_gpu = []
    for listing in listings:
        price = listing.on_demand_usd(rates, frozenset(CURRENCIES))
        if price is not None:
            per_gpu.append(rates.to_usd(price) / listing.specs.gpu_count)
    usual = median(per_gpu) if per_gpu else Decimal(1)
    ceiling = Price((usual * _ABOVE_ON_DEMAND).quantize(Decimal("0.01")), Currency.USD)
    return Target(
        name=model.lower().replace(" ", "-"),
        want=want,
        ceiling=Ceiling(price=ceiling, per=Per.GPU),
        launch=Launch(image="cloreai/ubuntu20.04-jupyter", ports=(("22", "tcp"),)),
        requirements=Requirements(gpu_models=(model,)),
        params=TrackParams(),
        currencies=CURRENCIES,
    )


def for_referee(policy: Policy, marketplace: Marketplace) -> list[Mapping[str, Any]]:
    """Return the targets as the simulator's referee takes them: names, wants, ceilings, servers.

    The servers are listed by number, so that referee and daemon cannot differ over a model's name.
    """
    found: list[Mapping[str, Any]] = []
    for target in policy.targets:
        servers = [
            listing.server
            for listing in marketplace.listings.values()
            if listing.specs.gpu_model in target.requirements.gpu_models
        ]
        found.append(
            {
                "name": target.name,
                "want": target.want,
                "servers": servers,
                "currencies": [str(currency) for currency in target.currencies],
                "ceiling": {
                    "amount": str(target.ceiling.price.amount),
                    "currency": str(target.ceiling.price.currency),
                    "per": target.ceiling.per.value,
                },
                "renew_before_seconds": target.renewal.before.total_seconds(),
                "renew_overlap": target.renewal.overlap,
                **_on_demand(target),
            }
        )
    return found


def _on_demand(target: Target) -> Mapping[str, Any]:
    if not isinstance(target.params, DeadlineParams):
        return {}
    ceiling = target.params.on_demand_ceiling
    return {
        "on_demand_ceiling": {
            "amount": str(ceiling.price.amount),
            "currency": str(ceiling.price.currency),
            "per": ceiling.per.value,
        }
    }
