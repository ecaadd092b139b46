"""What would be done now: the market is read once, and nothing is sent that changes anything.

Each bid that would be placed is then taken for placed, so that the next empty slot is planned too. The
targets take turns in having books read: one with a long list leaves the others undecided no more than
itself.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from bidder.app.keeping import Keeper
from bidder.app.observe import observe
from bidder.app.report import Observed, Result
from bidder.clock import Clock
from bidder.domain import comparing, fold, foresight, planning
from bidder.domain.actions import Decision
from bidder.domain.agenda import Read, ReadBook, ReadMarketplace, ReadOrders, ReadWallets
from bidder.domain.comparing import Comparison
from bidder.domain.foresight import Foresight
from bidder.domain.ids import ServerId
from bidder.domain.planning import Plan
from bidder.domain.policy import Policy
from bidder.domain.view import View
from bidder.errors import Unreachable
from bidder.exchange.client import ExchangeClient
from bidder.store.lease import LEASE_HEARTBEAT

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What two policies make of one look at the market; ``requests`` is what the look took."""

    comparison: Comparison
    requests: int


async def preview(
    view: View,
    policy: Policy,
    *,
    client: ExchangeClient,
    clock: Clock,
    keeper: Keeper | None = None,
    decide: Plan = planning.plan,
) -> Preview:
    """Read what the decisions of this moment need, and return them; ``decide`` takes them.

    ``keeper`` is of the lease under which is read; it may take minutes.

    Raises:
        InvalidToken: the exchange refused the token.
        LeaseLost: another process has the account now.
        Unreachable: a read that everything rests on got no usable answer.
    """
    looking = await _looked(view, policy, client=client, clock=clock, keeper=keeper, decide=decide)
    seen = await looking.foresee()
    return Preview(
        actions=seen.actions,
        holds=seen.holds,
        view=looking.view,
        requests=looking.requests,
        at=clock.now(),
    )


async def compare(
    view: View,
    before: Policy,
    after: Policy,
    *,
    client: ExchangeClient,
    clock: Clock,
    keeper: Keeper | None = None,
) -> Compared:
    """Read what the decisions of both policies need, and return what the new one does otherwise.

    Raises what ``preview`` raises.
    """
    looking = await _looked(
        view, before, client=client, clock=clock, keeper=keeper, decide=planning.plan
    )
    await looking.foresee()
    looking.follow(after)
    await looking.foresee()
    looking.follow(before)
    comparison = comparing.compare(looking.view, before, after, clock.now())
    return Compared(comparison=comparison, requests=looking.requests)


async def _looked(
    view: View,
    policy: Policy,
    *,
    client: ExchangeClient,
    clock: Clock,
    keeper: Keeper | None,
    decide: Plan,
) -> "_Looking":
    policy = comparing.one_look(policy)
    # What is only planned need not wait until every order must have been listed.
    view = replace(view, recalled_at=None)
    looking = _Looking(
        view=view, policy=policy, client=client, clock=clock, keeper=keeper, decide=decide
    )
    for read in (ReadOrders(completed=True), ReadWallets(), ReadMarketplace()):
        await looking.read(read)
    for holding in [h for h in looking.view.holdings.values() if h.ours]:
        await looking.book(holding.order.server)
    return looking


@dataclass(slots=True, kw_only=True)
class _Looking:
    view: View
    policy: Policy
    client: ExchangeClient
    clock: Clock
    keeper: Keeper | None
    decide: Plan
    requests: int = 0
    most_requests: int = _MOST_BOOKS
    reads: Counter[ServerId] = field(default_factory=Counter)
    turns: Counter[str | None] = field(default_factory=Counter)

    async def read(self, read: Read) -> None:
        observed = await self._observe(read)
        if observed.result is not Result.OK:
            raise Unreachable(observed.error)

    async def book(self, server: ServerId) -> bool:
        return (await self._observe(ReadBook(server=server))).result is Result.OK

    async def _observe(self, read: Read) -> Observed:
        if self.keeper is not None:
            await self._hold_on(self.keeper)
        self.view, observed = await observe(
            read, self.view, self.policy, client=self.client, clock=self.clock
        )
        self.requests += 1
        return observed

    async def _hold_on(self, keeper: Keeper) -> None:
        """Renew the lease: a read may take most of its term, and there is no heartbeat beside it."""
        keeper.heartbeat()
        # The exchange may ask for a pause that is longer than the term.
        while self.client.limiter.ready_in() > LEASE_HEARTBEAT.total_seconds():
            await self.clock.sleep(LEASE_HEARTBEAT.total_seconds())
            keeper.heartbeat()

    def follow(self, policy: Policy) -> None:
        """Go on looking for another policy."""
        policy = comparing.one_look(policy)
        self.view = fold.policy_changed(self.view, self.policy, policy)
        self.policy = policy
        self.most_requests = self.requests + _MOST_BOOKS

    async def foresee(self) -> Foresight:
        """Read one book after the other for as long as one would decide something."""
        seen = self._foreseen(())
        while True:
            wanted = self._wanted(seen)
            if wanted is None or self.requests >= self.most_requests:
                return seen
            target, server = wanted
            self.turns[target] += 1
            self.reads[server] += 1
            await self.book(server)
            seen = self._foreseen(seen.actions)

    def _foreseen(self, planned: Sequence[Decision]) -> Foresight:
        now = self.clock.now()
        return foresight.foresee(self.view, self.policy, now, planned, decide=self.decide)

    def _wanted(self, seen: Foresight) -> tuple[str | None, ServerId] | None:
        """Return the next server whose book would decide something, and for which target."""
        found = [
            (decision.target, decision.wants_book)
            for decision in seen.undecided
            if decision.wants_book is not None and self.reads[decision.wants_book] < _READS_OF_A_BOOK
        ]
        return min(found, key=lambda wanted: self.turns[wanted[0]], default=None)
