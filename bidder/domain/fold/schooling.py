"""What a read of a book teaches the adaptive targets: see ``stances``."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain import price_rules, selection, stances
from bidder.domain.ids import ServerId
from bidder.domain.market import Book
from bidder.domain.money import Currency, Price, quantum
from bidder.domain.policy import AdaptiveParams, Policy, Target
from bidder.domain.stances import School, Stakes
from bidder.domain.view import View
from bidder.errors import NoRate

_DAY = timedelta(days=1)


def after_book(view: View, book: Book, policy: Policy, *, at: datetime) -> View:
    """Return the view with the book's price learnt by every adaptive target that it concerns."""
    schools = view.schools
    for target in policy.targets:
        if not (target.enabled and isinstance(target.bidding, AdaptiveParams)):
            continue
        if not _concerns(target, book.server, view):
            continue
        before = schools.get(target.name, School())
        after = _learnt(before, target, target.bidding, view, book, at)
        if after is not before:
            schools = {**schools, target.name: after}
    return view if schools is view.schools else replace(view, schools=schools)


def _concerns(target: Target, server: ServerId, view: View) -> bool:
    """Return whether a server may be this target's, whoever holds it now."""
    if any(holding.order.server == server for holding in view.holdings_of(target.name)):
        return True
    listing = view.marketplace.listings.get(server)
    return listing is not None and selection.qualifies(listing, target.requirements)


def _learnt(
    school: School, target: Target, params: AdaptiveParams, view: View, book: Book, at: datetime
) -> School:
    rates = book.rates.over(view.rates)
    if not (book.exists and book.public and book.online and book.valued(rates)):
        return school
    floor = _cheapest_floor(book, target, view)
    rival = book.best_rival(rates, view.holdings)
    if floor is None:
        return school
    least = max(rates.to_usd(floor), Decimal(0) if rival is None else rates.to_usd(rival.price))
    gpus = view.gpus_at(book.server)
    currency = floor.currency
    try:
        worth = rates.to_usd(target.worth.for_server(gpus, currency, rates))
    except NoRate:
        return school
    if worth <= 0:
        return school
    usd = rates.usd_per_unit[currency]
    price = rates.from_usd(least, currency)
    stakes = Stakes(
        value=float(worth),
        step=float(price_rules.usual_drop(price, floor, view.steps, at) * usd),
        tick=float(quantum(currency) * target.margin_ticks * usd),
        fee=float(view.creation_fee_usd),
        restart=target.restart / _DAY,
    )
    return stances.learn(school, book.server, float(least), stakes, at, half_life=params.half_life)


def _cheapest_floor(book: Book, target: Target, view: View) -> Price | None:
    rates = book.rates.over(view.rates)
    payable: frozenset[Currency] = selection.payable(target, view.wallets)
    floors = [f for c, f in book.floor.items() if c in payable and rates.knows(c)]
    return min(floors, key=rates.to_usd, default=None)
