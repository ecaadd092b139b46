"""Which servers qualify for a target, and in what order they are looked at."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from bidder.domain.ids import ServerId
from bidder.domain.market import Listing, Marketplace, OwnOrder, Wallet
from bidder.domain.money import Currency, Rates
from bidder.domain.policy import DeadlineParams, Requirements, Target
from bidder.domain.view import Candidate

# Servers kept per target after each read of the marketplace. Enough to find a free one when dozens
# are taken; small enough to walk in every pass.
SHORTLIST = 300
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def qualifies(listing: Listing, wanted: Requirements) -> bool:
    """Return whether a server meets a target's requirements; price is another matter."""
    specs = listing.specs
    if not _may_be_used(listing.server, wanted) or listing.owner in wanted.exclude_owners:
        return False
    if not _right_gpus(specs.gpu_model, specs.gpu_count, wanted):
        return False
    if wanted.countries and specs.country not in wanted.countries:
        return False
    if specs.country and specs.country in wanted.exclude_countries:
        return False
    if wanted.min_mrl is not None and listing.mrl < wanted.min_mrl:
        return False
    if wanted.min_cuda is not None and _version(specs.cuda) < _version(wanted.min_cuda):
        return False
    return _large_enough(listing, wanted) and _trusted(listing, wanted)


def could_qualify(order: OwnOrder, wanted: Requirements) -> bool:
    """Return whether the server of one of our orders may be one that a target wants.

    For where the marketplace does not list it: by its number, and by the GPUs that the order names, if
    it names any. What else is required of it nobody can tell.
    """
    if not _may_be_used(order.server, wanted):
        return False
    model, count = order.gpu_model, order.gpu_count
    return model is None or count is None or _right_gpus(model, count, wanted)


def ruled_out(order: OwnOrder, listing: Listing | None, target: Target) -> str | None:
    """Return what of an order the owner's lists do not allow any more; None where they do.

    Only what does not change by itself is looked at: the server, its host, country and kind of GPU, and
    the currency. Nothing is given up for a reliability that wavers, or for what an answer leaves out.
    """
    wanted = target.requirements
    if target.currencies and order.price.currency not in target.currencies:
        return "currency"
    if not _may_be_used(order.server, wanted):
        return "server"
    if listing is not None and listing.owner in wanted.exclude_owners:
        return "host"
    country = "" if listing is None else listing.specs.country
    elsewhere = bool(wanted.countries) and country not in wanted.countries
    if country and (elsewhere or country in wanted.exclude_countries):
        return "country"
    models = {order.gpu_model, None if listing is None else listing.specs.gpu_model} - {None, ""}
    right = any(
        _model_matches(model, each, exact=wanted.gpu_exact)
        for model in models
        if model is not None
        for each in wanted.gpu_models
    )
    return None if right or not models or not wanted.gpu_models else "GPU"


def _may_be_used(server: ServerId, wanted: Requirements) -> bool:
    named = wanted.servers is None or server in wanted.servers
    return named and server not in wanted.exclude_servers


def _right_gpus(model: str, count: int, wanted: Requirements) -> bool:
    if wanted.gpu_models and not any(
        _model_matches(model, each, exact=wanted.gpu_exact) for each in wanted.gpu_models
    ):
        return False
    return _counted(count, wanted)


def _counted(count: int, wanted: Requirements) -> bool:
    if count < wanted.min_gpus and wanted.min_gpus > 0:
        return False
    return wanted.max_gpus is None or count <= wanted.max_gpus


def _model_matches(model: str, wanted: str, *, exact: bool) -> bool:
    if exact:
        return model == wanted
    return model == wanted or model.startswith(wanted + " ")


def _large_enough(listing: Listing, wanted: Requirements) -> bool:
    specs = listing.specs
    limits = (
        (specs.gpu_memory_gb, wanted.min_gpu_memory_gb),
        (specs.ram_gb, wanted.min_ram_gb),
        (specs.disk_gb, wanted.min_disk_gb),
        (specs.net_down, wanted.min_net_down),
        (specs.net_up, wanted.min_net_up),
    )
    return all(least is None or (has is not None and has >= least) for has, least in limits)


def _trusted(listing: Listing, wanted: Requirements) -> bool:
    new_reliability = not listing.reliability  # 0 means new, not bad (trap 12)
    if wanted.min_reliability is not None:
        if new_reliability:
            if not wanted.allow_new:
                return False
        elif listing.reliability is not None and listing.reliability < wanted.min_reliability:
            return False
    if wanted.min_rating is not None:
        if not listing.rating_count:
            return wanted.allow_new
        return (listing.rating or 0.0) >= wanted.min_rating
    return True


def _version(text: str) -> tuple[int, ...]:
    parts = []
    for part in text.split("."):
        if not part.isdigit():
            break
        parts.append(int(part[:6]))
    while parts and parts[-1] == 0:  # 12.0 is no later than 12
        parts.pop()
    return tuple(parts)


def payable(target: Target, wallets: Mapping[Currency, Wallet]) -> frozenset[Currency]:
    """Return the currencies a target may pay with: those it names, else those with a balance."""
    if target.currencies:
        return frozenset(target.currencies)
    funded = frozenset(
        currency
        for currency, wallet in wallets.items()
        if wallet.balance is None or wallet.balance.amount > 0
    )
    return funded or frozenset({Currency.BTC, Currency.CLORE, Currency.USD})


def _open_to_us(listing: Listing, marketplace: Marketplace) -> bool:
    """Return whether a new order of ours could be taken there, whatever it bids."""
    barred = listing.rented or listing.gigaspot
    return not barred and listing.server not in marketplace.own_servers


def shortlist(
    marketplace: Marketplace, target: Target, rates: Rates, currencies: frozenset[Currency]
) -> tuple[Candidate, ...]:
    """Return the servers worth considering for a target, cheapest possible first.

    Left out are the account's own servers, those rented on demand, GigaSPOTs, those that take none of
    the currencies, and those whose floor is above the ceiling.
    """
    found = []
    for listing in marketplace.listings.values():
        if not _open_to_us(listing, marketplace):
            continue
        if not qualifies(listing, target.requirements):
            continue
        score = _least_score(listing, target, rates, currencies)
        if score is not None:
            found.append(Candidate(listing=listing, score=score))
    found.sort(key=lambda candidate: (candidate.score, candidate.listing.server))
    return tuple(found[:SHORTLIST])


def rentals(
    marketplace: Marketplace, target: Target, rates: Rates, currencies: frozenset[Currency]
) -> tuple[Candidate, ...]:
    """Return the free servers that a target's job may rent on demand, cheapest first."""
    if not isinstance(target.params, DeadlineParams):
        return ()
    ceiling = target.params.on_demand_ceiling
    found = []
    for listing in marketplace.listings.values():
        if not _open_to_us(listing, marketplace):
            continue
        price = listing.on_demand_usd(rates, currencies)
        if price is None or not qualifies(listing, target.requirements):
            continue
        if not rates.knows(ceiling.price.currency):
            continue
        if price <= ceiling.for_server(listing.specs.gpu_count, price.currency, rates):
            found.append(Candidate(listing=listing, score=weigh(rates.to_usd(price), listing)))
    found.sort(key=lambda candidate: (candidate.score, candidate.listing.server))
    return tuple(found[:SHORTLIST])


def rate_probe(
    marketplace: Marketplace,
    target: Target,
    rates: Rates,
    currencies: frozenset[Currency],
    *,
    read: Mapping[ServerId, datetime] | None = None,
    unreadable: frozenset[ServerId] = frozenset(),
) -> ServerId | None:
    """Return a server whose book may bring a rate that the target lacks; None when none is lacking.

    Rates come with the exchange's books, and which book to read is chosen by rates: somewhere the
    circle must be entered. Not each book names them: of those ``read`` so far none has brought what is
    lacking, and the oldest is read again where there is no other. An ``unreadable`` one comes last.
    """
    best: tuple[bool, datetime, ServerId] | None = None
    ceiling_valued = rates.knows(target.ceiling.price.currency)
    if ceiling_valued and all(rates.knows(currency) for currency in currencies):
        return None
    for listing in marketplace.listings.values():
        if not _open_to_us(listing, marketplace):
            continue
        priced = (c for c in listing.spot_floor if c in currencies and listing.takes(c))
        lacking = any(not (ceiling_valued and rates.knows(currency)) for currency in priced)
        if not (lacking and qualifies(listing, target.requirements)):
            continue
        read_at = (read or {}).get(listing.server, _NEVER)
        choice = (listing.server in unreadable, read_at, listing.server)
        if choice[:2] == (False, _NEVER):
            return listing.server
        best = choice if best is None else min(best, choice)
    return None if best is None else best[2]


def _least_score(
    listing: Listing, target: Target, rates: Rates, currencies: frozenset[Currency]
) -> Decimal | None:
    best: Decimal | None = None
    for currency, floor in listing.spot_floor.items():
        if currency not in currencies or not listing.takes(currency):
            continue
        if not rates.knows(currency):
            continue
        try:
            ceiling = target.ceiling.for_server(listing.specs.gpu_count, currency, rates)
        except LookupError:
            continue
        if floor > ceiling:
            continue
        usd = rates.to_usd(floor)
        if best is None or usd < best:
            best = usd
    return None if best is None else weigh(best, listing)


def weigh(usd: Decimal, listing: Listing) -> Decimal:
    """Return the price per GPU-day that a server counts as, unreliable ones as dearer.

    A server that is down one day in ten is worth a tenth less, and each failure costs a restart on
    top, so the missing reliability counts twice. New servers count as 95 % reliable.
    """
    reliability = listing.reliability or 0.95
    missing = Decimal(str(round(1 - min(max(reliability, 0.0), 1.0), 4)))
    return usd / max(1, listing.specs.gpu_count) * (1 + 2 * missing)
