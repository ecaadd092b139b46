"""What `explain` says of an order's decisions, by what became of the requests."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from documented import disagreements
from store_values import ACCOUNT, at, btc, make_decision, make_holding, make_intent

from bidder.cli.explaining import deleted, explained
from bidder.cli.main import main
from bidder.domain.ids import OrderId
from bidder.domain.intents import Intent, IntentKind, IntentState
from bidder.domain.policy import Mode
from bidder.store.records import DecisionRecord, OrderRecord
from bidder.store.store import Store
from bidder.wiring import open_database

GOOD = """
mode: live
account: {name: main, token_env: UNIT_TOKEN}
database: bidder.db
strategies:
  - name: a
    ceiling: {usd: 5}
    servers: {gpu: RTX 3090}
    launch: {image: nvidia/cuda}
"""

_ASKED = "You asked for it: the order was to be cancelled."
_DONE = "You asked for it: the order was cancelled."


def cancel_decided(seconds: float) -> DecisionRecord:
    """Return the decision to cancel order 7."""
    return make_decision(
        reason="ordered",
        action=IntentKind.WITHDRAW,
        price=None,
        previous_price=None,
        facts={},
        at=at(seconds),
    )


def cancel_sent(seconds: float, state: IntentState) -> Intent:
    """Return a request to cancel order 7, and how it ended."""
    return make_intent(
        IntentKind.WITHDRAW,
        order=OrderId(7),
        price=None,
        previous_price=None,
        opened_at=at(seconds),
        state=state,
    )


def told(decisions: tuple[DecisionRecord, ...], *intents: Intent) -> list[str]:
    """Return the sentences."""
    record = OrderRecord(holding=make_holding(7), mode=Mode.LIVE, end_cause=None)
    document: dict[str, Any] = explained(record, (), intents, decisions)
    return [each["sentence"] for each in document["decisions"]]


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (IntentState.DONE, _DONE),
        (IntentState.REFUSED, f"{_ASKED} The exchange refused it."),
        (IntentState.NOT_SENT, f"{_ASKED} It was not sent."),
        (IntentState.LOST, f"{_ASKED} It did not happen."),
        (IntentState.OPEN, f"{_ASKED} Whether that happened is not known yet."),
    ],
)
def test_what_became_of_it_is_told(state: IntentState, sentence: str) -> None:
    """Only what happened is told as done."""
    assert told((cancel_decided(0),), cancel_sent(1, state)) == [sentence]


def test_each_decision_has_its_own_end() -> None:
    """One that was refused stays so when a later one succeeds; what is tried again is one decision."""
    refused, again = cancel_decided(0), cancel_decided(300)
    sent = (
        cancel_sent(0.5, IntentState.REFUSED),
        cancel_sent(301, IntentState.NOT_SENT),
        cancel_sent(320, IntentState.DONE),
    )
    assert told((refused, again), *sent) == [f"{_ASKED} The exchange refused it.", _DONE]


def test_a_refused_price_was_only_to_be_set() -> None:
    """Each price is a deed of its own."""
    raised = make_decision(at=at(28))
    lowered = make_decision(price=btc("0.00002440"), reason="overpaying", at=at(30))
    sent = [
        make_intent(IntentKind.REPRICE, price=decision.price, opened_at=at(29), state=state)
        for decision, state in ((raised, IntentState.DONE), (lowered, IntentState.REFUSED))
    ]
    first, second = told((raised, lowered), *sent)
    assert first.endswith("the bid went from 0.0000245 BTC to 0.00002451 BTC per day.")
    assert second.endswith(
        "the bid was to go from 0.0000245 BTC to 0.0000244 BTC per day. The exchange refused it."
    )


def test_where_the_requests_are_forgotten_the_decision_is_told_as_before() -> None:
    """They may be cleared away before it."""
    assert told((cancel_decided(0),)) == [_DONE]


def test_a_bid_that_was_refused_before_the_order_was_only_asked_for() -> None:
    """The order's own creation is the later one, at the same price."""
    first, second = (
        make_decision(action=IntentKind.PLACE, reason="empty_slot", order=None, facts={}, at=at(when))
        for when in (0, 60)
    )
    refused = make_intent(price=first.price, opened_at=at(1), state=IntentState.REFUSED)
    made = make_intent(price=first.price, opened_at=at(61), state=IntentState.DONE)
    record = OrderRecord(holding=make_holding(7), mode=Mode.LIVE, end_cause=None)

    document = explained(record, (), (made,), (first, second), (refused,))
    before, its_own = (each["sentence"] for each in document["decisions"])
    assert before.endswith("per day was asked for. The exchange refused it.")
    assert its_own.endswith("per day was placed.")
    assert len(document["sent"]) == 1


@pytest.mark.parametrize("target", ["a", None])
def test_of_an_order_of_long_ago_it_says_that_decisions_are_gone(
    place: Path, capsys: pytest.CaptureFixture[str], target: str | None
) -> None:
    """A row without a word would look as if nobody had decided anything; on a person's nobody has."""
    place.write_text(GOOD)
    begun = datetime(2020, 1, 5, tzinfo=UTC)
    engine = open_database(f"sqlite:///{place.parent / 'bidder.db'}")
    store = Store(engine, ACCOUNT)
    store.settle((), [make_holding(7, first_seen_at=begun, target=target)], at=begun)
    engine.dispose()

    assert main(["explain", "7", "-c", str(place)]) == 0
    shown = capsys.readouterr().out
    said = "Older decisions are gone: they are kept for 14d (`retention.raw`)."
    assert (said in shown) is (target is not None)
    assert main(["explain", "7", "-c", str(place), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert disagreements(document, "explain") == []
    assert document["gone"] == (said if target else None)


def test_decisions_on_an_order_that_go_back_to_its_beginning_are_all_there() -> None:
    """However old it is."""
    record = OrderRecord(holding=make_holding(7), mode=Mode.LIVE, end_cause=None)
    kept, later = timedelta(days=14), at(86400 * 30)

    assert deleted(record, (cancel_decided(-1),), kept, later) is None
    assert deleted(record, (cancel_decided(100),), kept, later) is not None
    assert deleted(record, (), kept, at(86400)) is None
