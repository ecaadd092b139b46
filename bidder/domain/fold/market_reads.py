"""What a read of the market teaches: one server's book, the marketplace, the wallets."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from bidder.domain import handover, selection, stances
from bidder.domain.fold import schooling
from bidder.domain.ids import ServerId
from bidder.domain.market import Book, Marketplace, OrderKind, Wallet
from bidder.domain.money import Currency, Rates
from bidder.domain.policy import DeadlineParams, Policy
from bidder.domain.view import BookSeen, Holding, NamedFloor, RateDoubt, View
from bidder.domain.work import Work

# A change of a rate by more than this makes the shortlists anew.
_RATE_DRIFT = Decimal("0.01")
# No rate moves so far from one read to the next, within minutes: it may be a mistake.
_RATE_JUMP = Decimal("1.5")
# So many books without the rate that is lacking, and further ones are tried at the marketplace's pace.
_PROBED_AT_ONCE = 60


def book(view: View, answer: Book, policy: Policy, *, at: datetime) -> tuple[View, tuple[Holding, ...]]:
    """Fold one read of a server's book; also return the holdings it changed."""
    before = view.books.get(answer.server)
    named = () if before is None else tuple(each for each in before.named if at < each.until)
    answer = _not_below(answer, named)
    outbid_reads, topped_since = 0, None
    rates, own = answer.rates.over(view.rates), view.holdings
    changed = []
    held = dict(view.holdings)
    for holding in view.holdings.values():
        if holding.order.server != answer.server or holding.order.kind is not OrderKind.SPOT:
            continue
        if holding.first_seen_at > at and holding.active is not None:
            continue
        offer = answer.offer_of(holding.order.order)
        if offer is not None and offer.price != holding.order.price and holding.outdates(at):
            continue  # it shows how things stood before our last change of the price
        active = offer is not None and offer.active
        if holding.ours and offer is not None and not offer.active:
            outbid_reads = 1 + (0 if before is None else before.outbid_reads)
            topped_since = handover.topped_since(before, answer, offer.order, rates, own, at=at)
        since = None if active else (holding.outbid_since or at)
        if active != holding.active or since != holding.outbid_since:
            work = _started(holding, policy) if active and holding.active is not True else holding.work
            late = handover.comes_of_our_bid(holding, before, rates, own, at=at)
            again = at if active and _won_by_itself(holding) and not late else None
            held[holding.order.order] = replace(
                holding,
                active=active,
                outbid_since=since,
                idle_since=None if active else (holding.idle_since or since),
                active_since=again,
                work=work,
            )
            changed.append(held[holding.order.order])
    held_here = any(h.order.server == answer.server for h in view.holdings.values())
    folded = replace(
        view,
        holdings=held,
        books={
            **view.books,
            answer.server: BookSeen(
                book=answer, at=at, outbid_reads=outbid_reads, topped_since=topped_since, named=named
            ),
        },
        candidate_read_at=view.candidate_read_at if held_here else at,
        **_told(view, answer.rates, policy, at),
    )
    if _rates_moved(view, folded):
        folded = relist(folded, policy)
    elif answer.server in view.rate_probes.values() and len(folded.books) < _PROBED_AT_ONCE:
        folded = replace(folded, rate_probes=_probes(folded, policy))
    return schooling.after_book(folded, answer, policy, at=at), tuple(changed)


def _not_below(answer: Book, named: tuple[NamedFloor, ...]) -> Book:
    """Return the book with the floors that the exchange enforces where it shows lower ones."""
    enforced = {
        each.price.currency: each.price
        for each in named
        if (shown := answer.floor.get(each.price.currency)) is not None and shown < each.price
    }
    return replace(answer, floor={**answer.floor, **enforced}) if enforced else answer


def _won_by_itself(holding: Holding) -> bool:
    """Return whether an offer that wins was seen outbid, and no raise of ours is why it wins again."""
    raised, since = holding.clock.raised_at, holding.outbid_since
    return holding.active is False and since is not None and (raised is None or raised < since)


def _started(holding: Holding, policy: Policy) -> Work:
    """Return the work of an order that is seen to run; a start is one that it did not run before."""
    target = None if holding.target is None else policy.target(holding.target)
    if target is None or (holding.active is None and holding.outbid_since is None):
        return holding.work  # new, or the daemon is: its start has been counted
    return holding.work.started(target.restart)


def _told(view: View, told: Rates, policy: Policy, at: datetime) -> dict[str, Any]:
    """Return what a read changes of the rates; one that names none but the dollar's changes nothing."""
    named = told.usd_per_unit
    if named.keys() <= {Currency.USD}:
        return {}
    known, guesses = view.rates.usd_per_unit, policy.static_rates.usd_per_unit
    doubted = dict(view.doubted)
    for currency, rate in named.items():
        before, doubt = known.get(currency), doubted.get(currency)
        # The owner's own guess may well be far off; what the exchange said before is no guess.
        guessed = before == guesses.get(currency) and doubt is None
        if before is None or guessed or 1 / _RATE_JUMP < rate / before < _RATE_JUMP:
            if doubt is not None and at >= doubt.settles_at:
                del doubted[currency]
        else:
            doubted[currency] = RateDoubt(since=at)
    gone = {c for c, doubt in doubted.items() if c not in named and doubt.given_up(at)}
    kept = Rates({c: rate for c, rate in known.items() if c not in gone})
    return {
        "rates": told.over(kept).over(policy.static_rates),
        "doubted": {c: doubt for c, doubt in doubted.items() if c not in gone},
    }


def _rates_moved(before: View, after: View) -> bool:
    old, new = before.listed_at_rates.usd_per_unit, after.rates.usd_per_unit
    if set(old) != set(new):
        return True
    return any(abs(new[c] - old[c]) > old[c] * _RATE_DRIFT for c in new)


def marketplace(view: View, answer: Marketplace, policy: Policy, *, at: datetime) -> View:
    """Fold one read of the marketplace; forget the books of servers that are of no interest."""
    if not answer.names_own:
        answer = replace(answer, own_servers=view.marketplace.own_servers)
    answer = _as_refused(answer, view, at)
    listed = relist(replace(view, marketplace=answer, marketplace_at=at), policy)
    wanted = {h.order.server for h in view.holdings.values()}
    for candidates in listed.shortlists.values():
        wanted.update(candidate.listing.server for candidate in candidates)
    if listed.rate_probes:
        # Which books brought no rate must be known, or the first one is read for ever.
        wanted.update(server for server in view.books if server in answer.listings)
    kept = {server: seen for server, seen in view.books.items() if server in wanted}
    schools = {name: stances.forget(school, frozenset(wanted)) for name, school in view.schools.items()}
    return replace(listed, books=kept, schools=schools)


def _as_refused(answer: Marketplace, view: View, at: datetime) -> Marketplace:
    """Return the marketplace without the currencies that hosts have refused, whatever it says."""
    listings = dict(answer.listings)
    for setback in view.setbacks:
        server, currency = setback.server, setback.currency
        if server in listings and currency is not None and at < setback.until:
            listings[server] = listings[server].without(currency)
    return replace(answer, listings=listings) if view.setbacks else answer


def relist(view: View, policy: Policy) -> View:
    """Return the view with every target's shortlist made anew from the marketplace."""
    lists, rentals = {}, {}
    for target in policy.targets:
        if not target.enabled:
            continue
        currencies = selection.payable(target, view.wallets)
        lists[target.name] = selection.shortlist(view.marketplace, target, view.rates, currencies)
        if isinstance(target.params, DeadlineParams):
            rentals[target.name] = selection.rentals(view.marketplace, target, view.rates, currencies)
    probes = _probes(view, policy)
    return replace(
        view, shortlists=lists, rentals=rentals, rate_probes=probes, listed_at_rates=view.rates
    )


def _probes(view: View, policy: Policy) -> dict[str, ServerId]:
    """Return by target the server whose book may bring a rate that it lacks."""
    probes = {}
    read = {server: seen.at for server, seen in view.books.items()}
    unreadable = view.unread.unreadable()
    for target in policy.targets:
        if not target.enabled:
            continue
        currencies = selection.payable(target, view.wallets)
        probe = selection.rate_probe(
            view.marketplace, target, view.rates, currencies, read=read, unreadable=unreadable
        )
        if probe is not None:
            probes[target.name] = probe
    return probes


def wallets(view: View, answer: Iterable[Wallet], policy: Policy, *, at: datetime) -> View:
    """Fold one read of the balances."""
    known = {wallet.currency: wallet for wallet in answer}
    grown = {c for c in known if _grown(view.wallets.get(c), known[c])}
    setbacks = tuple(s for s in view.setbacks if s.price is None or s.price.currency not in grown)
    folded = replace(view, wallets=known, wallets_at=at, setbacks=setbacks)
    before = {c for c, w in view.wallets.items() if w.balance is None or w.balance.amount > 0}
    after = {c for c, w in known.items() if w.balance is None or w.balance.amount > 0}
    return relist(folded, policy) if before != after else folded


def _grown(before: Wallet | None, now: Wallet) -> bool:
    """Return whether a wallet holds more than before, so that what it was too small for may do."""
    if before is None or before.balance is None or now.balance is None:
        return False
    return now.balance.amount > before.balance.amount
