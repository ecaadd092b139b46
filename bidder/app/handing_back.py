"""The end of whoever talked to the exchange for a while: the lease goes back, whatever goes wrong.

What was come for is known by then and must not be lost over this: a lease that another process has
taken meanwhile, or a database that fails, is no reason to withhold an answer.
"""

from collections.abc import Callable
from functools import partial

import structlog

from bidder.clock import Clock
from bidder.errors import BidderError, LeaseLost
from bidder.exchange.client import ExchangeClient
from bidder.store.lease import Lease
from bidder.store.store import Store

log = structlog.get_logger("bidder")


async def hand_back(
    lease: Lease, *, store: Store, client: ExchangeClient, wait_on: Clock | None = None
) -> None:
    """Note for whoever is next when we asked last, give the lease back and close the connections.

    ``wait_on`` is for a database that goes with us, and with it the note: wait by this clock until
    the next request may be sent.
    """
    limiter = client.limiter
    note = partial(
        store.note_requests,
        last_request_at=limiter.last_request_at,
        last_creation_at=limiter.last_creation_at,
    )
    try:
        if wait_on is not None:
            await wait_on.sleep(limiter.ready_in())
        _try(note)
        _try(lease.release)
    finally:
        await client.close()


def _try(step: Callable[[], None]) -> None:
    try:
        step()
    except LeaseLost:
        pass  # whoever trades now keeps his own times
    except BidderError as exc:
        # It runs out by itself, and whoever comes next sees that its holder is gone.
        log.warning("lease.kept", error=str(exc))
