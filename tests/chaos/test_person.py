"""A person who orders by hand: the judge of who touches that knows what was given to the daemon."""

from dataclasses import replace

import pytest

from bidder.chaos.day import ChaosDay
from bidder.domain.fold import orders_read

# Soon after this day has begun a person orders something, and keeps it for half an hour at least.
_SEED = 8


def day_of_a_person(monkeypatch: pytest.MonkeyPatch, *, adopt: bool) -> ChaosDay:
    """Return a day whose daemon takes up whatever it may."""
    monkeypatch.setattr(orders_read, "_adopting_target", lambda *others: others[-1].targets[0].name)
    day = ChaosDay(_SEED, 0.02)
    day.policy = replace(day.policy, adopt=adopt)
    return day


@pytest.mark.parametrize("adopt", [True, False])
def test_an_order_that_may_be_adopted_is_the_daemons_own(
    monkeypatch: pytest.MonkeyPatch, adopt: bool
) -> None:
    """It is cancelled, as no target wants it, which is no violation; else it runs on."""
    day = day_of_a_person(monkeypatch, adopt=adopt)
    ended: list[bool] = []
    leave = day.person.leave

    def leaving() -> None:
        ended.extend(order not in day.exchange.market.live for order in day.person.by_hand)
        leave()

    monkeypatch.setattr(day.person, "leave", leaving)
    outcome = day.run()

    assert ended == [adopt]
    assert outcome.violations == []
