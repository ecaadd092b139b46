"""The judge of pauses: a request that comes before the moment that an answer named is found."""

from typing import Any

import pytest

from bidder.chaos.day import ChaosDay
from bidder.chaos.kinds import Scripted
from bidder.chaos.ledger import Ledger
from bidder.chaos.outcome import Outcome
from bidder.exchange import limiter
from bidder.exchange.limiter import Limiter
from bidder.sim.answers import OVER_LIMIT, Answer
from bidder.sim.server import DEFAULT_START

# One at a time: after several failures the daemon pauses for longer by itself.
RETRY_AFTER = tuple(Scripted(kind="429 with retry-after", at_seconds=8.0 * n) for n in range(1, 16))


def hurried(outcome: Outcome) -> list[str]:
    """Return the requests that came too early."""
    return [what for invariant, _, what in outcome.violations if invariant == "back-off"]


@pytest.mark.parametrize("kind", ["429 with retry-after", "429", "code 5"])
def test_pauses_are_kept(kind: str) -> None:
    """Those that the exchange names, as a number or a moment, and those that the client promises."""
    outcome = ChaosDay(3, 0.01, script=(Scripted(kind=kind, times=12),)).run()
    assert outcome.faults[kind] == 12
    assert outcome.violations == []


def test_a_limiter_that_ignores_retry_after_breaks_the_back_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It slows down as after any such refusal, and no more."""
    original = Limiter.refused
    monkeypatch.setattr(Limiter, "refused", lambda self, _: original(self, None))
    found = hurried(ChaosDay(3, 0.01, script=RETRY_AFTER).run())
    assert found
    assert all("Retry-After was" in what for what in found)
    assert any("GMT" in what for what in found)
    assert any("GMT" not in what for what in found)


def test_a_limiter_that_never_slows_down_breaks_the_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal without a pause in it asks for one all the same."""
    monkeypatch.setattr(limiter, "_FIRST_MARGIN", 0.0)
    found = hurried(ChaosDay(3, 0.01, script=(Scripted(kind="code 5", times=12),)).run())
    assert any("slows down by itself" in what for what in found)


def refusal(**fields: Any) -> Answer:
    """Return an answer that says: too many requests."""
    return Answer(**{"status": 429, "body": b"", "code": OVER_LIMIT, "headers": {}, **fields})


def test_a_pause_binds_the_process_that_was_told() -> None:
    """It ends at its moment, to the microsecond; who starts afterwards cannot know of it."""
    ledger = Ledger(DEFAULT_START)
    ledger.answers(refusal(headers={"retry-after": "30"}), sent_at=0.0, at=1.0, usable=True)
    ledger.arrives("wallets", 31.0)
    assert ledger.take_too_early() == []
    ledger.arrives("wallets", 30.999)
    assert ledger.take_too_early() == ["wallets came 0.001 s too early: Retry-After was 30"]
    ledger.started()
    ledger.arrives("wallets", 2.0)
    assert ledger.take_too_early() == []


def test_each_refusal_in_a_row_asks_for_a_longer_pause() -> None:
    """A second and a quarter, a half, one; an answer in between begins anew."""
    ledger = Ledger(DEFAULT_START)
    for at, pause in ((0.0, 1.25), (10.0, 1.5), (20.0, 2.0)):
        ledger.answers(refusal(), sent_at=at, at=at, usable=True)
        ledger.arrives("wallets", at + pause)
        assert ledger.take_too_early() == []
        ledger.arrives("wallets", at + pause - 0.01)
        assert len(ledger.take_too_early()) == 1
    ledger.answers(Answer(status=200, body=b"{}"), sent_at=30.0, at=30.0, usable=True)
    ledger.answers(refusal(), sent_at=40.0, at=40.0, usable=True)
    ledger.arrives("wallets", 41.25)
    assert ledger.take_too_early() == []
