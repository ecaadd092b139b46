"""What would be done now: the market is read once, and nothing is sent that changes anything.

Each bid that would be placed is then taken for placed, so that the next empty slot is planned too.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bidder.app.executor import kind_of
from bidder.app.observe import observe
from bidder.app.report import Observed, Result
from bidder.app.trading import Plan
from bidder.clock import Clock
from bidder.domain import fold, planning
from bidder.domain.actions import Decision, Reprice, Withdraw
from bidder.domain.agenda import Read, ReadBook, ReadMarketplace, ReadOrders, ReadWallets
from bidder.domain.ids import ServerId
from bidder.domain.intents import Intent
from bidder.domain.policy import Policy
from bidder.domain.view import View
from bidder.errors import Unreachable
from bidder.exchange.client import ExchangeClient

# One plan rests on one look, however long the look takes at one request per second.
_ONE_LOOK = timedelta(hours=1)
_MOST_BOOKS = 120
# A book is read a second time where two reads must agree before a raise.
_READS_OF_A_BOOK = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would be done now, in this order, and what would be left as it is; what it rests on."""

    actions: tuple[Decision, ...]
    holds: tuple[Decision, ...]
    view: View
    requests: int
    at: datetime


async def preview(
    view: View,
    policy: Policy,
    *,
    client: ExchangeClient,
    clock: Clock,
    decide: Plan = planning.plan,
) -> Preview:
    """Read what the decisions of this moment need, and return them; ``decide`` takes them.

    Raises:
        InvalidToken: the exchange refused the token.
        Unreachable: a read that everything rests on got no usable answer.
    """
    policy = replace(policy, pace=replace(policy.pace, book_stale_after=_ONE_LOOK))
    looking = _Looking(view=view, policy=policy, client=client, clock=clock, decide=decide)
    for read in (ReadOrders(completed=True), ReadWallets(), ReadMarketplace()):
        await looking.read(read)
    for holding in [h for h in looking.view.holdings.values() if h.ours]:
        await looking.book(holding.order.server)
    return await looking.plan()


@dataclass(slots=True, kw_only=True)
class _Looking:
    view: View
    policy: Policy
    client: ExchangeClient
    clock: Clock
    decide: Plan
    requests: int = 0

    async def read(self, read: Read) -> None:
        observed = await self._observe(read)
        if observed.result is not Result.OK:
            raise Unreachable(observed.error)

    async def book(self, server: ServerId) -> bool:
        return (await self._observe(ReadBook(server=server))).result is Result.OK

    async def _observe(self, read: Read) -> Observed:
        self.view, observed = await observe(
            read, self.view, self.policy, client=self.client, clock=self.clock
        )
        self.requests += 1
        return observed

    async def plan(self) -> Preview:
        planned: list[Decision] = []
        reads: dict[ServerId, int] = {}
        while True:
            decisions = self.decide(_with(self.view, planned), self.policy, self.clock.now())
            fresh = [d for d in decisions if d.action is not None]
            if fresh:
                planned.append(fresh[0])
                continue
            wanted = self._wanted(decisions, reads)
            if wanted is None or self.requests >= _MOST_BOOKS:
                break
            reads[wanted] = reads.get(wanted, 0) + 1
            await self.book(wanted)
        bids = {d.server for d in planned}
        holds = tuple(d for d in decisions if d.server is None or d.server not in bids)
        return Preview(
            actions=tuple(planned),
            holds=holds,
            view=self.view,
            requests=self.requests,
            at=self.clock.now(),
        )

    def _wanted(self, decisions: tuple[Decision, ...], reads: dict[ServerId, int]) -> ServerId | None:
        """Return the next server whose book would decide something."""
        now = self.clock.now()
        for decision in decisions:
            server = decision.wants_book
            if server is None or (decision.due is not None and decision.due > now):
                continue
            if reads.get(server, 0) < _READS_OF_A_BOOK:
                return server
        return None


def _with(view: View, planned: list[Decision]) -> View:
    """Return the view as it would be once these actions were under way."""
    for number, decision in enumerate(planned, start=1):
        action = decision.action
        if action is None:
            continue
        opened_at = view.orders_at
        assert opened_at is not None
        intent = Intent(
            id=-number,
            kind=kind_of(action),
            server=action.server,
            target=action.target,
            order=action.order if isinstance(action, Reprice | Withdraw) else None,
            price=None if isinstance(action, Withdraw) else action.price,
            previous_price=None,
            known_orders=fold.known_orders(view, action.server),
            opened_at=opened_at,
        )
        view = fold.opened(view, intent, opened_at)
    return view
