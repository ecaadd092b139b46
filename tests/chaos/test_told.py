"""The judge of what a person is told, by what the wire, the exchange and the machine know."""

import re
from typing import Any

import pytest

from bidder.app import observe, recording, telling
from bidder.app.pace import Pace
from bidder.app.telling import Teller
from bidder.chaos.day import ChaosDay
from bidder.chaos.kinds import Scripted
from bidder.chaos.outcome import Outcome
from bidder.chaos.told import Telling
from bidder.domain import planning
from bidder.domain.actions import Decision, Reason
from bidder.errors import StoreFailed
from bidder.sim.auction import Order
from bidder.sim.market import Watcher
from bidder.store.commands import post_request

# For the whole day, and no longer: with the trouble a script ends.
OUTAGE = (Scripted(kind="html 503", at_seconds=60, times=100_000),)
REVOKED = (Scripted(kind="token revoked", at_seconds=300),)


def untold(outcome: Outcome) -> list[str]:
    """Return what a person should have been told."""
    return [what for invariant, _, what in outcome.violations if invariant == "a person is told"]


def test_an_outage_is_told() -> None:
    """Half an hour without a usable answer, and nothing else goes wrong."""
    assert ChaosDay(3, 0.02, script=OUTAGE).run().violations == []


def test_a_daemon_that_does_not_notice_the_outage_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes every failure for a success; neither log nor notice is written."""
    original = Pace.note
    monkeypatch.setattr(Pace, "note", lambda self, ok, at: original(self, ok=True, at=at))
    found = untold(ChaosDay(3, 0.02, script=OUTAGE).run())
    assert found == ["no usable answer for 13 minutes, and no log line of it"]


def test_an_outage_that_is_only_logged_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is there, the notice is not."""
    monkeypatch.setattr(Teller, "_reach", lambda *_, **__: iter(()))
    found = untold(ChaosDay(3, 0.02, script=OUTAGE).run())
    assert "no usable answer for 13 minutes, and no notice" in found


def test_what_ended_a_daemon_while_the_guard_looked_is_counted_once() -> None:
    """What the next database refuses is asked for all the same."""
    day = ChaosDay(3, 0.01, script=())
    telling = Telling(day)
    day.machine.refused += 2  # the guard, and the start of a daemon meanwhile
    assert telling.of_end(StoreFailed("the disk is full")) == ""
    telling.failed_another(2)
    assert telling._of_database([]) == ""
    day.machine.refused += 1
    assert telling._of_database([]).startswith("the database refused to work")
    day.close()


def test_a_daemon_that_does_not_notice_a_refused_token_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes it for a refusal like any other and goes on asking."""
    assert ChaosDay(3, 0.01, script=REVOKED).run().violations == []

    class NeverRaised(Exception):
        """Not what the client raises."""

    monkeypatch.setattr(observe, "InvalidToken", NeverRaised)
    (found,) = untold(ChaosDay(3, 0.01, script=REVOKED).run())
    # Before its next pass is judged it may have asked twice.
    assert re.fullmatch("the token was refused, and [12] more requests came", found)


def test_a_database_that_fails_at_that_moment_hides_no_refused_token() -> None:
    """The exchange has just said so, and that a request was sent cannot be written down."""
    # The next request, which must not come: the pass after it would end as if nothing had been said.
    next_one = Scripted(kind="html 523", at_seconds=613)
    day = ChaosDay(3, 0.01, script=(*REVOKED, next_one))
    lost: list[float] = []

    async def lock() -> None:
        if day.transport.ledger.token_refused and not lost:
            lost.append(day.clock.true)
            day.machine.trouble("database locked", 5.0)

    day.transport.on_answer = lock
    outcome = day.run()
    assert lost
    assert outcome.violations == []


def test_a_refused_token_that_is_told_as_something_else_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever waits for `token_refused` gets no notice."""
    monkeypatch.setattr(telling, "InvalidToken", StoreFailed)
    found = untold(ChaosDay(3, 0.01, script=REVOKED).run())
    assert set(found) == {"the refused token is told as something else"}


def test_a_database_that_fails_in_silence_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written down is dropped, without an error or a line in the log."""
    locked = (Scripted(kind="database locked", at_seconds=6),)
    assert ChaosDay(3, 0.01, script=locked).run().violations == []
    original = recording.Recorder.record

    def silent(self: recording.Recorder, *args: Any, **named: Any) -> None:
        try:
            original(self, *args, **named)
        except StoreFailed:
            return

    monkeypatch.setattr(recording.Recorder, "record", silent)
    found = untold(ChaosDay(3, 0.01, script=locked).run())
    assert "the database refused to work, and neither an error nor a log line says so" in found


def test_a_target_that_lacks_servers_without_a_word_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could have what it wants, and gives a reason that nobody is alarmed by."""

    def idle(target: Any, *_: Any, **__: Any) -> Decision:
        return Decision(target=target.name, reason=Reason.WINNING)

    monkeypatch.setattr(planning, "_fill", idle)
    found = untold(ChaosDay(5, 0.01, script=()).run())
    assert any("could have what it lacks for" in what for what in found)


class _Cancelling(Watcher):
    """The owner, who wants his first order cancelled as soon as there is a third."""

    def __init__(self, day: ChaosDay) -> None:
        self._day = day
        day.exchange.market.watchers.append(self)

    def created(self, order: Order, at: int) -> None:
        live = list(self._day.exchange.market.live)
        if len(live) == 3:
            account, now = self._day.policy.account, self._day.clock.now()
            post_request(self._day.engine, account, "cancel", live[0], at=now)


def test_an_outage_is_told_also_while_the_owner_cancels() -> None:
    """Each minute the cancellation is tried again, and refused like all the rest: that is no answer."""
    day = ChaosDay(3, 0.02, script=(Scripted(kind="code 5", at_seconds=21, times=100_000),))
    _Cancelling(day)
    # Afterwards the server is left alone for an hour, as the owner wished, and no other one is free.
    assert untold(day.run()) == []
    assert "order.withdrawn.failed" in day.log.getvalue()
