"""Carry out one action: write the intent, send, record the outcome.

The process may die after any line here. The intent is committed before the wire is touched, so the
next start finds it open and settles it from our orders. The three outcomes of a call are the whole
of the safety argument: ``NotSent`` and ``Refused`` close the intent, anything else leaves it open.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from bidder.app import echoes
from bidder.app.report import Acted, Result
from bidder.app.setbacks import after_refusal, price_moved
from bidder.clock import Clock
from bidder.domain import fold
from bidder.domain.actions import Action, Decision, PlaceBid, RentOnDemand, Reprice, Withdraw
from bidder.domain.intents import Intent, IntentState, kind_of
from bidder.domain.view import View
from bidder.errors import (
    ExchangeError,
    InDoubt,
    InvalidToken,
    NotSent,
    RateLimited,
    Refused,
    StoreBusy,
    StoreFailed,
)
from bidder.exchange.client import ExchangeClient
from bidder.store.records import Over
from bidder.store.store import Store

# A decision rests on books of this minute. Writing it down may wait for a lock, or the machine may be
# suspended meanwhile.
_WRITTEN_WITHIN = timedelta(seconds=45)
# What is told where no order comes of a creation that the exchange said yes to.
_UNLISTED = "it was accepted, and no order is listed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """The hands: the only part that sends what changes something."""

    client: ExchangeClient
    store: Store
    clock: Clock

    async def carry_out(self, decision: Decision, view: View) -> tuple[View, Acted]:
        """Return the view after ``decision``'s action, and how it ended.

        Raises:
            InvalidToken: after the intent has been closed; trading ends.
            StoreFailed: the intent could not be written down; nothing was sent.
        """
        action = decision.action
        assert action is not None
        intent = self._write_down(action, view)
        sent_at = self.clock.now()
        view = fold.opened(view, intent, sent_at)
        try:
            return await self._send_and_note(decision, action, intent, view, sent_at)
        except StoreFailed as exc:
            # What happened is known but not on disk, and what is on disk says that it may have
            # happened: so does the view, and our orders will tell.
            doubtful = replace(intent, ended_at=self.clock.now())
            acted = _acted(decision, Result.IN_DOUBT, doubtful, exc)
            unstored = not isinstance(exc, StoreBusy)  # a lock keeps everything out, for certain
            return fold.answered(view, doubtful), replace(acted, unstored=unstored)

    async def _send_and_note(
        self, decision: Decision, action: Action, intent: Intent, view: View, sent_at: datetime
    ) -> tuple[View, Acted]:
        try:
            if self.clock.now() - intent.opened_at > _WRITTEN_WITHIN:
                raise NotSent("writing it down took too long", endpoint=intent.kind.value)
            await self._send(action)
        except NotSent as exc:
            self.store.end_intent(intent, IntentState.NOT_SENT, at=self.clock.now(), note=str(exc))
            view = _without_order(fold.undone(view, intent), intent, exc)
            return view, _acted(decision, Result.NOT_SENT, intent, exc)
        except Refused as exc:
            now = self.clock.now()
            over_limit = isinstance(exc, RateLimited)
            mispriced = price_moved(action, exc)
            view = (
                fold.undone(view, intent)
                if over_limit
                else fold.closed(view, intent, mispriced=mispriced)
            )
            view = after_refusal(_without_order(view, intent, exc), action, exc, now)
            self.store.end_intent(
                intent,
                IntentState.REFUSED,
                at=now,
                note=str(exc),
                holdings=view.holdings.values(),
                # What a refusal taught must not be lost with the process: it costs another one.
                rules=view.rules,
            )
            if isinstance(exc, InvalidToken):
                raise
            return view, _acted(decision, Result.REFUSED, intent, exc)
        except InDoubt as exc:
            now = self.clock.now()
            self.store.answer_intent(intent, accepted=False, at=now)
            doubtful = replace(intent, ended_at=now)
            view = fold.answered(view, doubtful)
            if intent.creates:
                view = fold.answered_with(view, intent.target, _said(exc))
            return view, _acted(decision, Result.IN_DOUBT, doubtful, exc)
        now = self.clock.now()
        return self._accepted(decision, action, intent, view, sent_at=sent_at, now=now)

    def _write_down(self, action: Action, view: View) -> Intent:
        order = action.order if isinstance(action, Reprice | Withdraw) else None
        price = None if isinstance(action, Withdraw) else action.price
        return self.store.open_intent(
            kind=kind_of(action),
            server=action.server,
            target=action.target,
            order=order,
            price=price,
            previous_price=action.current if isinstance(action, Reprice) else None,
            known_orders=fold.known_orders(view, action.server),
            at=self.clock.now(),
        )

    async def _send(self, action: Action) -> None:
        match action:
            case PlaceBid() | RentOnDemand():
                await self._create(action)
            case Reprice():
                await self.client.set_spot_price(action.order, action.price)
            case Withdraw():
                await self.client.cancel_order(action.order)
            case _:
                assert_never(action)

    async def _create(self, action: PlaceBid | RentOnDemand) -> None:
        try:
            await self.client.create_order(action)
        except ExchangeError as exc:
            echoes.black_out(exc, action.launch)
            raise

    def _accepted(
        self,
        decision: Decision,
        action: Action,
        intent: Intent,
        view: View,
        *,
        sent_at: datetime,
        now: datetime,
    ) -> tuple[View, Acted]:
        if isinstance(action, PlaceBid | RentOnDemand):
            # No order id comes back: the intent stays open until our orders show it.
            self.store.answer_intent(intent, accepted=True, at=now)
            waiting = replace(intent, ended_at=now, accepted=True)
            view = fold.answered_with(fold.answered(view, waiting), intent.target, _UNLISTED)
            return view, _acted(decision, Result.OK, waiting)
        over: tuple[Over, ...] = ()
        view = fold.closed(view, intent)
        if isinstance(action, Reprice):
            view = fold.repriced(view, action, sent_at=sent_at, now=now)
        else:
            view = fold.withdrawn(view, action.order, now)
            over = (Over(order=action.order, at=now, cause="withdrawn"),)
        # The clock that this answer started is kept with it: a restart in between must not forget it.
        self.store.end_intent(
            intent,
            IntentState.DONE,
            at=now,
            holdings=view.holdings.values(),
            over=over,
            rules=view.rules,
        )
        return view, _acted(decision, Result.OK, intent)


def _without_order(view: View, intent: Intent, exc: Exception) -> View:
    return fold.came_to_nothing(view, intent.target, _said(exc)) if intent.creates else view


def _said(exc: Exception) -> str:
    return str(exc).removeprefix("create_order: ")


def _acted(decision: Decision, result: Result, intent: Intent, error: Exception | None = None) -> Acted:
    assert decision.action is not None
    return Acted(
        decision=decision,
        action=decision.action,
        result=result,
        error="" if error is None else str(error),
        intent=intent,
    )
