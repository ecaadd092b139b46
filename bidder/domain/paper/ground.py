"""What was last seen of one server, without our paper offers: what a paper order is judged by."""

from dataclasses import dataclass
from datetime import timedelta

from bidder.domain.market import Book, Listing
from bidder.domain.money import Currency, Price, Rates

# The longest rental of a server whose host names none.
_UNSTATED_MRL = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One server's listing and book as the exchange showed them, and the rates to compare by.

    ``book`` is None where no ladder may be read: then an offer at the floor is taken to win.
    """

    listing: Listing | None
    book: Book | None
    rates: Rates

    @property
    def known(self) -> bool:
        """Return whether the exchange has shown this server at all."""
        return self.listing is not None or (self.book is not None and self.book.exists)

    @property
    def rented(self) -> bool:
        """Return whether somebody rents it on demand, so that no offer can run.

        Where offers stand that the host accepts and none of them runs, the book says so before the
        marketplace does.
        """
        if self.listing is not None and self.listing.rented:
            return True
        if self.book is None or self.book.active() is not None:
            return False
        floors = self.book.floor
        return any(
            offer.price.currency in floors and offer.price >= floors[offer.price.currency]
            for offer in self.book.offers
        )

    @property
    def online(self) -> bool:
        """Return whether an offer could run there at all: it exists, is shown and is up."""
        if self.book is None:
            return self.listing is not None
        return self.book.open_at(self.listing)

    @property
    def mrl(self) -> timedelta:
        """Return how long an order may run."""
        stated = self.book.mrl if self.book is not None else None
        if not stated and self.listing is not None:
            stated = self.listing.mrl
        return stated or _UNSTATED_MRL

    def floor(self, currency: Currency) -> Price | None:
        """Return the least that may be bid; None where the host names no price in this currency."""
        if self.book is not None and self.book.floor:
            return self.book.floor.get(currency)
        return None if self.listing is None else self.listing.spot_floor.get(currency)
