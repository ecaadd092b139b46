"""Paper trading: the exchange is read, and what would change something is carried out on paper.

``PaperClient`` stands where the exchange's client stands, so that agenda, strategies, rails and
executor are the very ones that trade for real. Reads go through and come back with our paper orders
laid in; a change is answered by the account on paper, which is in the database before the answer is
given. It is made without the means to send a change, and takes the slot that the request would have
taken, so that paper is no faster than life.

Without a token only ``marketplace`` answers. Then no ladder can be seen: an offer at the floor is
taken to win unless the server is rented, and what was won so is marked as assumed.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import structlog

from bidder.clock import Clock
from bidder.domain import launch_rules, paper
from bidder.domain.actions import PlaceBid, RentOnDemand, Reprice, Withdraw
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.market import Book, Marketplace, OrdersAnswer, OwnOrder, Wallet
from bidder.domain.money import Price, Rates
from bidder.errors import InvalidToken, NotSent, OtherRefusal
from bidder.exchange.client import CallReport, ExchangeClient, Http
from bidder.exchange.limiter import Limiter
from bidder.store.store import Store

log = structlog.get_logger("bidder")


@dataclass(slots=True, kw_only=True)
class Seen:
    """What the exchange showed last, without our paper orders."""

    market: Marketplace = field(default_factory=lambda: Marketplace(listings={}))
    books: dict[ServerId, Book] = field(default_factory=dict)
    rates: Rates = Rates()

    def ground(self, server: ServerId) -> paper.Ground:
        """Return what a paper order on this server is judged by."""
        return paper.Ground(
            listing=self.market.listings.get(server), book=self.books.get(server), rates=self.rates
        )


class PaperClient(ExchangeClient):
    """The exchange as it would be with our paper orders on it."""

    def __init__(
        self,
        *,
        http: Http,
        limiter: Limiter,
        clock: Clock,
        store: Store,
        account: paper.Account,
        rates: Rates,
        has_token: bool,
    ) -> None:
        """Read through ``http`` and trade on ``account``, which ``store`` keeps.

        ``rates`` are used where a book names none. Without ``has_token`` only the marketplace is
        asked for, and the books for as long as they are not refused.
        """
        super().__init__(http=http, limiter=limiter, clock=clock, read_only=True)
        self.account = account
        self.seen = Seen(rates=rates)
        self._store = store
        self._has_token = has_token
        self._books_readable = True
        if not has_token:
            log.warning(
                "paper.no_token",
                what="only the marketplace can be read: balances and real orders are not known",
            )

    def go_by(self, rates: Rates) -> None:
        """Use other rates from now on where a book names none."""
        self.seen = replace(self.seen, rates=rates)

    async def wallets(self) -> tuple[Wallet, ...]:
        """Return the real balances; none without a token. What is spent on paper is not taken off."""
        if self._has_token:
            return await super().wallets()
        async with self._answering("wallets"):
            return ()

    async def marketplace(self) -> Marketplace:
        """Return all public servers, and judge every paper order by what they show."""
        seen = replace(self.seen, market=await super().marketplace())
        standing = {order.server for order in self.account.orders.values() if order.live}
        # A book that no order stands in is read again before anything is done there.
        seen.books = {server: book for server, book in seen.books.items() if server in standing}
        self._judge(seen, standing)
        return seen.market

    async def my_orders(self, *, completed: bool = False) -> OrdersAnswer:
        """Return the real orders and those on paper, as one list."""
        limit: int | None = None
        real: tuple[OwnOrder, ...] = ()
        if self._has_token:
            answer = await super().my_orders(completed=completed)
            limit, real = answer.limit, answer.orders
            fees = paper.fees_seen(self.account.fees, real)
            self.account = replace(self.account, fees=fees)
        else:
            async with self._answering("my_orders"):
                pass
        now = self._clock.now()
        self._keep(paper.expire(self.account, now))
        ours = paper.own_orders(self.account, now, completed=completed)
        return OrdersAnswer(orders=(*real, *ours), limit=limit)

    async def spot_marketplace(self, server: ServerId) -> Book:
        """Return one server's book with our paper offers in it, judged by what it shows."""
        book = await self._book(server)
        seen = replace(self.seen, books={**self.seen.books})
        if book is None:
            seen.books.pop(server, None)
        else:
            seen.books[server] = book
            seen.rates = book.rates.over(seen.rates)
        self._judge(seen, {server})
        shown = book or paper.presumed_book(seen.market.listings.get(server), server)
        return paper.lay_in(shown, self.account, server)

    async def create_order(self, action: PlaceBid | RentOnDemand) -> None:
        """Create an order on paper; like the exchange, tell no number."""
        problems = launch_rules.check_launch(action.launch)
        if problems:
            raise NotSent(f"launch.{problems[0][0]}: {problems[0][1]}", endpoint="create_order")
        async with self._answering("create_order", creation=True):
            ground, now = self.seen.ground(action.server), self._clock.now()
            account, _ = paper.place(self.account, action, ground, now)
            self._keep(paper.judge(account, action.server, ground, now))

    async def set_spot_price(self, order: OrderId, price: Price) -> None:
        """Set a paper offer's price."""
        async with self._answering("set_spot_price"):
            standing = self._standing(order, "set_spot_price")
            action = Reprice(
                order=order, server=standing.server, current=standing.price, price=price, target=""
            )
            ground, now = self.seen.ground(standing.server), self._clock.now()
            account = paper.reprice(self.account, action, ground, now)
            self._keep(paper.judge(account, standing.server, ground, now))

    async def cancel_order(self, order: OrderId) -> None:
        """Cancel a paper order."""
        async with self._answering("cancel_order"):
            standing = self._standing(order, "cancel_order")
            action = Withdraw(order=order, server=standing.server, target=None)
            self._keep(paper.cancel(self.account, action, self._clock.now()))

    def _standing(self, order: OrderId, endpoint: str) -> paper.PaperOrder:
        found = self.account.orders.get(order)
        if found is None:
            raise OtherRefusal(
                "there is no such order on paper", endpoint=endpoint, error="order-not-found"
            )
        return found

    async def _book(self, server: ServerId) -> Book | None:
        """Return the real book; None where books may not be read."""
        if self._books_readable:
            try:
                return await super().spot_marketplace(server)
            except InvalidToken:
                if self._has_token:
                    raise
                self._books_readable = False
                log.warning(
                    "paper.books_unreadable",
                    what="without a token no book can be read: an offer at the floor is taken to win",
                )
        async with self._answering("spot_marketplace"):
            return None

    def _judge(self, seen: Seen, servers: set[ServerId]) -> None:
        now = self._clock.now()
        grounds = {server: seen.ground(server) for server in servers}
        self._keep(paper.judge_all(paper.expire(self.account, now), grounds, now))
        # Only now: what could not be kept has not been seen.
        self.seen = seen

    def _keep(self, account: paper.Account) -> None:
        """Save what changed, and only then believe it; raises StoreFailed."""
        before = self.account.orders
        changed = [o for o in account.orders.values() if _news(o, before.get(o.order))]
        if changed:
            self._store.save_paper_orders(changed)
        self.account = account

    @asynccontextmanager
    async def _answering(self, endpoint: str, *, creation: bool = False) -> AsyncIterator[None]:
        """Hold the slot that the request would have taken, while it is answered here."""
        async with self.limiter.slot(creation=creation) as slot:
            try:
                yield
            finally:
                self.last_call = CallReport(
                    endpoint=endpoint,
                    outcome="paper",
                    sent_at=slot.sent_on,
                    answered_at=self._clock.now(),
                    round_trip_seconds=0.0,
                )


def _news(order: paper.PaperOrder, before: paper.PaperOrder | None) -> bool:
    """Return whether there is anything to save: what has been billed since follows from the rest."""
    if before is None:
        return True
    return replace(before, billed_until=order.billed_until, charged=order.charged) != order
