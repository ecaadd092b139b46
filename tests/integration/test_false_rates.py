"""An exchange that names false rates for a while: no ceiling is lifted, and no order given up."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from virtual import Day, begin

from bidder.demo.virtual import build_virtual
from bidder.domain.actions import Reason, Withdraw
from bidder.domain.policy import Policy
from bidder.domain.view import View
from bidder.sim.answers import Answer, Request

SPAN = timedelta(minutes=12)
# So long in every four minutes the rates are false.
FALSE_SECONDS = 30


def lying(day: Day, factor: float) -> Day:
    """Let the books of half a minute name rates that are false by this factor."""
    honest, begun = day.exchange.handle, day.clock.now()

    def handle(request: Request, now: datetime) -> Answer:
        answer = honest(request, now)
        if not request.path.endswith("/spot_marketplace"):
            return answer
        told = json.loads(answer.body)
        rates = (told.get("market") or {}).get("currency_rates_in_usd")
        honestly = (now - begun).total_seconds() % 240 < 240 - FALSE_SECONDS
        if honestly or not rates:
            return answer
        for coin in rates:
            if coin != "USD-Blockchain":
                rates[coin] *= factor
        return replace(answer, body=json.dumps(told).encode())

    day.exchange.handle = handle  # type: ignore[method-assign]
    return day


def wanting(policy: Policy) -> Policy:
    """Return the policy with more servers wanted, and ceilings below what many of them cost."""
    share = Decimal("0.6")
    targets = (
        replace(t, want=4, ceiling=replace(t.ceiling, price=t.ceiling.price.times(share)))
        for t in policy.targets
    )
    return replace(policy, targets=tuple(targets))


def test_no_ceiling_is_lifted_by_a_false_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a coin at a hundredth of its worth, dear servers look as cheap as dirt."""
    assert lying(begin(shape=wanting), 0.01).run(SPAN)["ceiling_breaches"] == 0
    monkeypatch.setattr(View, "rates_in_doubt", lambda *_: None)
    assert lying(begin(shape=wanting), 0.01).run(SPAN)["ceiling_breaches"] > 0


def test_no_order_is_given_up_for_a_false_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a coin at a hundred times its worth, each bid in it looks far above its ceiling."""

    def given_up() -> int:
        day = lying(begin(), 100)
        day.run(SPAN)
        left = [deed for deed in day.deeds if isinstance(deed.action, Withdraw)]
        return sum(deed.decision.reason is Reason.ABOVE_CEILING for deed in left)

    assert given_up() == 0
    monkeypatch.setattr(View, "rates_in_doubt", lambda *_: None)
    assert given_up() > 0


def test_no_ceiling_is_lifted_by_a_rate_that_is_false_at_a_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the exchange named before the start is on disk, and shows that the rate has jumped."""

    def breaches() -> int:
        day = begin(shape=wanting)
        day.run(timedelta(minutes=2))
        lying(day, 0.01)
        day.clock.advance(240 - FALSE_SECONDS)
        day.app.lease.release()
        day.app = build_virtual(day.policy, day.exchange, day.app.engine, day.clock)
        return int(day.run(SPAN)["ceiling_breaches"])

    assert breaches() == 0
    monkeypatch.setattr(View, "rates_in_doubt", lambda *_: None)
    assert breaches() > 0
