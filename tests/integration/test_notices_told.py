"""What a day brings is told: notices from the passes of a whole daemon in virtual time."""

from collections import defaultdict
from datetime import timedelta

from virtual import Day, begin

from bidder.app.report import PassReport
from bidder.app.telling import Teller, ended_trading, reload_refused
from bidder.domain.notices import Event, Level, Notice
from bidder.errors import InvalidToken, LeaseLost


def told(day: Day, span: timedelta, teller: Teller) -> list[Notice]:
    """Return the notices of some time."""
    found: list[Notice] = []

    def note(report: PassReport) -> None:
        trader = day.app.trader
        found.extend(teller.notices(report, trader.view, trader.policy, unreachable=trader.failures > 0))

    day.run(span, note)
    return found


def test_winning_losing_and_the_day_are_told() -> None:
    """Every order that ran was told as won, with its host; a loss only after that; one summary."""
    day, teller = begin(seed=3), Teller()
    found = told(day, timedelta(hours=1), teller)
    tomorrow = PassReport(pass_id=0, at=day.clock.now() + timedelta(hours=12))
    trader = day.app.trader
    found.extend(teller.notices(tomorrow, trader.view, trader.policy, unreachable=False))
    by_event = defaultdict(list)
    for notice in found:
        by_event[notice.event].append(notice)
    assert by_event[Event.WON]
    assert by_event[Event.OUTBID]
    assert len(by_event[Event.SUMMARY]) == 1
    held = float(by_event[Event.SUMMARY][0].facts["held_share"] or 0)
    assert 0 < held <= 1
    for notice in by_event[Event.WON]:
        assert notice.facts["host"], "it says how the server is reached"
        assert str(notice.facts["host"]) in notice.text
    first_won = {n.key: n.at for n in reversed(by_event[Event.WON])}
    for lost in (*by_event[Event.OUTBID], *by_event[Event.DISPLACED]):
        assert first_won.get(lost.key, lost.at) <= lost.at


def test_a_restart_tells_nothing_that_was_known() -> None:
    """What runs when the daemon starts is no news."""
    day = begin(seed=3, rivals=False)
    told(day, timedelta(minutes=10), Teller())
    again = told(day, timedelta(minutes=5), Teller())
    assert not [n for n in again if n.event in {Event.WON, Event.OUTBID, Event.DISPLACED}]


def test_what_ends_trading_is_urgent() -> None:
    """A refused token has an event of its own; a foreign error's words are not quoted."""
    now = begin().clock.now()
    assert ended_trading(InvalidToken(endpoint="wallets", code=3), now).event is Event.TOKEN_REFUSED
    assert ended_trading(LeaseLost(), now).level is Level.URGENT
    assert "secret" not in ended_trading(RuntimeError("secret"), now).text
    assert reload_refused("c.yaml:3: bad", now).text.startswith("c.yaml:3: bad")
