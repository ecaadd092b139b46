"""What the doctor says of an account, by what its daemon wrote down."""

import asyncio
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from clinic import Ward
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from store_values import NOW, at, btc, make_holding, make_intent, make_pass, place

from bidder.clock import VirtualClock
from bidder.doctor.examine import examine
from bidder.doctor.findings import Finding, State, span, worst
from bidder.doctor.writes import code_of
from bidder.domain.ids import OrderId
from bidder.domain.intents import IntentKind, IntentState, Settled, Verdict
from bidder.domain.market import Wallet
from bidder.domain.money import Currency, Money
from bidder.domain.policy import Mode
from bidder.domain.price_rules import ClockRules, StepSample
from bidder.errors import InvalidRequest, InvalidToken, RateLimited, Refused, StepExceeded
from bidder.store import checkup
from bidder.store.engine import open_engine, transaction


def wallet(amount: str) -> dict[Currency, Wallet]:
    """Return a wallet of bitcoin."""
    return {Currency.BTC: Wallet(currency=Currency.BTC, balance=Money.parse(amount, Currency.BTC))}


def test_a_daemon_at_work_is_well(ward: Ward) -> None:
    """Everything that does not need the exchange is told, and nothing is wrong."""
    ward.store.record_pass(make_pass(holdings=(make_holding(7),), wallets=wallet("0.01")))
    ward.picture()

    found = ward.look(after=timedelta(seconds=5))

    assert {name for name, check in found.items() if check["state"] == "wrong"} == set()
    assert found["daemon"]["finding"] == "A daemon is at work, its latest pass 5 seconds ago."
    assert found["lease"]["finding"].endswith("holds the lease, taken 5 seconds ago.")
    assert found["database"]["state"] == "ok"
    assert found["configuration"]["state"] == "ok"


def test_orders_without_a_daemon_are_wrong(ward: Ward) -> None:
    """They cost money and nobody looks after them."""
    ward.store.settle((), [make_holding(7)], at=NOW)
    ward.lease.release()

    found = ward.look()["daemon"]

    assert found["state"] == "wrong"
    assert "1 order is left to itself" in found["finding"]
    assert "bidder cancel --all" in found["remedy"]


def test_no_daemon_and_no_orders_is_a_matter_of_taste(ward: Ward) -> None:
    """Nothing is being spent."""
    ward.lease.release()

    assert ward.look()["daemon"]["state"] == "warning"


def test_a_daemon_that_hangs_is_wrong(ward: Ward) -> None:
    """It renews its lease, and its passes stand still."""
    ward.picture()
    ward.lease.renew(NOW + timedelta(minutes=4))

    found = ward.look(after=timedelta(minutes=4))

    assert found["daemon"]["state"] == "wrong"
    assert "4 minutes ago" in found["daemon"]["finding"]


def test_a_daemon_that_died_left_its_lease(ward: Ward) -> None:
    """Nobody gave it back."""
    found = ward.look(after=timedelta(hours=3))

    assert found["lease"]["state"] == "warning"
    assert "died 3 hours ago at the latest" in found["lease"]["finding"]


@pytest.mark.parametrize(
    ("balance", "state"),
    [("0.01", "ok"), ("0.00005", "warning"), ("0.0000005", "wrong")],
)
def test_how_long_a_wallet_lasts(ward: Ward, balance: str, state: str) -> None:
    """At the bids that run, with their fee: more than three days, less, and next to nothing."""
    ward.store.record_pass(make_pass(holdings=(make_holding(7),), wallets=wallet(balance)))

    found = ward.look()["wallets"]

    assert found["state"] == state
    assert found["facts"]["BTC_per_day"] == "0.0000251125"  # 0.0000245 and 2.5 %
    assert found["facts"]["BTC_days"] == pytest.approx(float(balance) / 0.0000251125, rel=0.01, abs=0.01)


def test_an_offer_that_does_not_run_spends_nothing(ward: Ward) -> None:
    """The exchange bills what runs."""
    outbid = make_holding(7, active=False)
    ward.store.record_pass(make_pass(holdings=(outbid,), wallets=wallet("0.0000005")))

    assert ward.look()["wallets"]["finding"] == "Nothing is being spent at present."


def test_the_dead_mans_bound_and_its_limit(ward: Ward) -> None:
    """What the orders can still cost until they end, worth of it, and the owner's limit."""
    ward.store.record_pass(make_pass(holdings=(make_holding(7),), wallets=wallet("1")))
    assert ward.look()["unattended"]["state"] == "ok"
    big = make_holding(8, price=btc("0.01"))
    ward.store.record_pass(make_pass(2, 1, holdings=(make_holding(7), big)))

    found = ward.look()["unattended"]

    # Four days of 0.01 BTC at 69,000 with 2.5 % of fees, and a little for the other one.
    assert found["state"] == "warning"
    assert float(found["facts"]["usd"]) == pytest.approx(4 * 0.0100245 * 69000 * 1.025, rel=0.001)
    assert "above the limit of 1000 USD" in found["finding"]


def test_an_open_intent_says_what_it_waits_for(ward: Ward) -> None:
    """A creation for its order, with the moment from which a read without it ends the wait."""
    ward.picture()
    intent = place(ward.store)
    ward.store.answer_intent(intent, accepted=True, at=at(1))

    found = ward.look(after=timedelta(seconds=20))["intents"]

    assert found["state"] == "ok"
    assert found["facts"] == {"open": 1, "ambiguous": 0}
    (line,) = found["details"]
    assert line.startswith(
        "intent 1, create_order (place on server 107 at 0.0000245 BTC per day), sent 20 seconds ago,"
        " accepted: waits for a new order on server 107 among ours"
    )
    assert "given up once 3 reads of our orders do not show it" in line
    assert "started at 2026-03-01 12:10:01 UTC or later" in line


def test_an_old_open_intent_is_found_behind_many_others(ward: Ward) -> None:
    """However much has been sent since."""
    place(ward.store, server=1)
    for number in range(210):
        later = place(ward.store, server=2, at=at(number))
        ward.store.end_intent(later, IntentState.REFUSED, at=at(number), note="create_order: no")

    assert ward.look()["intents"]["facts"]["open"] == 1


def test_an_ambiguous_creation_is_wrong(ward: Ward) -> None:
    """Nothing more is sent there until a person has decided between the orders."""
    ward.store.settle((), [make_holding(7, server=107), make_holding(8, server=107)], at=NOW)
    intent = place(ward.store)
    orders = (OrderId(7), OrderId(8))
    ward.store.settle([Verdict(intent=intent, settled=Settled.AMBIGUOUS, orders=orders)], (), at=at(1))

    found = ward.look()["intents"]

    assert found["state"] == "wrong"
    assert found["details"][0].endswith("more than one order fits: 7, 8")


@pytest.mark.parametrize(
    ("refusal", "code", "state"),
    [
        (InvalidToken(endpoint="create_order", code=3), 3, "wrong"),
        (InvalidRequest(endpoint="create_order", code=2), 2, "warning"),
        (RateLimited(endpoint="create_order"), 5, "ok"),
        (StepExceeded(max_step=None, endpoint="create_order"), 6, "ok"),
        (Refused("refused with code 7: full of code 3", endpoint="create_order", code=7), 7, "ok"),
    ],
)
def test_how_the_last_write_was_answered(ward: Ward, refusal: Refused, code: int, state: str) -> None:
    """With the code of the exchange's answer; a token that may not write is wrong."""
    ward.store.end_intent(place(ward.store), IntentState.REFUSED, at=at(1), note=str(refusal))

    found = ward.look()["last write"]

    assert (found["facts"]["code"], found["state"]) == (code, state)
    assert found["facts"]["endpoint"] == "create_order"
    assert f"refused with code {code}" in found["finding"]


def test_every_refusal_is_stored_with_its_code() -> None:
    """The code is told from what is stored, for each kind of refusal there is."""
    for kind in Refused.__subclasses__():
        error: Refused = kind(**_arguments(kind.__name__))
        assert code_of(_refused(str(error))) == error.code, kind


def _arguments(name: str) -> dict[str, Any]:
    codes = {"InvalidToken": 3, "InvalidRequest": 2, "InvalidEndpoint": 4}
    special: dict[str, dict[str, Any]] = {
        "RateLimited": {},
        "StepExceeded": {"max_step": None},
        "LoweredTooSoon": {"time_to_lowering": 5.0},
        "PriceTooLow": {"min_price": None},
    }
    return special.get(name, {"code": codes.get(name, 6)})


def _refused(note: str) -> checkup.Write:
    intent = make_intent(IntentKind.PLACE, state=IntentState.REFUSED)
    return checkup.Write(intent=intent, mode=Mode.LIVE, note=note, closed_at=NOW)


def test_refusals_for_too_many_requests(ward: Ward) -> None:
    """Another program on the same key is the usual cause."""
    ward.picture(vitals={"rate_limited_last_day": 3, "since": "2026-03-01T10:00:00.000Z"})

    found = ward.look()["limits"]

    assert found["state"] == "warning"
    assert "3 requests" in found["finding"]


def test_what_a_daemon_recorded_of_the_token(ward: Ward) -> None:
    """Beside it nothing is asked: its own last answers tell, with their age."""
    endpoints = {
        "my_orders": {"good_at": "2026-03-01T12:00:00.000Z", "bad_at": None, "bad": None},
        "wallets": {"good_at": None, "bad_at": "2026-03-01T12:00:01.000Z", "bad": "InvalidToken"},
        "marketplace": {"good_at": None, "bad_at": "2026-03-01T12:00:01.000Z", "bad": "InDoubt"},
    }
    ward.picture(vitals={"endpoints": endpoints})

    found = ward.look(after=timedelta(seconds=9))

    assert found["token"]["state"] == "wrong"
    assert found["token"]["finding"] == "The exchange refuses the token for wallets."
    assert "my_orders, 9 seconds ago: good answer" in found["token"]["details"]
    assert found["exchange"]["state"] == "ok"


def test_an_old_record_says_nothing_of_the_token(ward: Ward) -> None:
    """What it could read days ago, another one may not any more."""
    seen = {"good_at": "2026-03-01T12:00:00.000Z", "bad_at": None, "bad": None}
    ward.picture(vitals={"endpoints": {"my_orders": seen}})
    ward.lease.release()

    found = ward.look(after=timedelta(days=3))["token"]

    assert (found["state"], found["finding"]) == ("unknown", "The token was last used 3 days ago.")


def test_a_server_that_waits_for_a_person(ward: Ward) -> None:
    """Frozen is wrong; what the market does is not."""
    decision = {"target": "a", "server": 5, "order": None, "action": None, "facts": {}}
    ward.picture(targets=[{"decisions": [{**decision, "reason": "too_expensive"}]}])
    assert ward.look()["obstacles"]["state"] == "ok"
    ward.picture(targets=[{"decisions": [{**decision, "reason": "no_balance"}]}])
    assert ward.look()["obstacles"]["state"] == "warning"
    ward.picture(targets=[{"decisions": [{**decision, "reason": "frozen"}]}])

    found = ward.look()["obstacles"]

    assert found["state"] == "wrong"
    assert found["details"][0].startswith("a on server 5: ")


def test_what_was_learnt_with_its_evidence_and_age(ward: Ward) -> None:
    """The clock's rules and the widest step, from what, and since when."""
    step = StepSample(
        currency=Currency.BTC,
        price=btc("0.0001").amount,
        drop=btc("0.00001").amount,
        floor=None,
        exact=True,
        at=NOW,
    )
    rules = ClockRules(creation=False, raised=True)
    ward.store.record_pass(make_pass(rules=rules, evidence="reprice 7: can_lower", steps=(step,)))

    lines = ward.look(after=timedelta(hours=5))["rules"]["details"]
    late = ward.look(after=timedelta(days=8))["rules"]["details"]

    evidence = "(last learnt 5 hours ago from: reprice 7: can_lower)"
    assert lines[:2] == [
        f"a creation does not start the 600 seconds {evidence}",
        f"a raise starts the 600 seconds {evidence}",
    ]
    assert lines[2].startswith("a lowering from 0.0001 BTC may go down by 0.00001 BTC (1 exact answer")
    assert late[2].startswith("a lowering in BTC is asked for anew")


def test_a_calendar_that_jumped(ward: Ward) -> None:
    """The daemon saw it, and the doctor tells for a day."""
    jumps = [{"at": "2026-03-01T11:00:00.000Z", "seconds": -3600.0}]
    ward.picture(
        vitals={"clock_jumps": jumps, "clock_lead_seconds": 0.3, "clock_lead_at": NOW.isoformat()}
    )

    found = ward.look()["clock"]

    assert found["state"] == "warning"
    assert "jumped by -3600 seconds" in found["finding"]
    assert ward.look(after=timedelta(days=2))["clock"]["state"] == "unknown"


def dated(lead: float, *, code: int = 0) -> httpx.MockTransport:
    """Return an exchange whose clock lies so many seconds ahead of NOW."""

    def answer(request: httpx.Request) -> httpx.Response:
        date = format_datetime(NOW + timedelta(seconds=lead), usegmt=True)
        body = {"code": code, "wallets": [], "orders": [], "servers": [], "limit": 5}
        return httpx.Response(200, json=body, headers={"date": date})

    return httpx.MockTransport(answer)


@pytest.mark.parametrize(
    ("lead", "state", "words"),
    [
        (1, "ok", "agree to within"),
        (130, "warning", "2 minutes behind"),
        (-90, "warning", "ahead of the exchange's"),
        (1500, "wrong", "25 minutes behind"),
    ],
)
def test_the_clock_against_the_exchanges(ward: Ward, lead: float, state: str, words: str) -> None:
    """By the header of its answers; no more than ten minutes may lie between the two."""
    ward.lease.release()

    found = ward.look(transport=dated(lead))["clock"]

    assert (found["state"], words in found["finding"]) == (state, True)


def test_a_token_that_is_refused(ward: Ward) -> None:
    """Everywhere, with one request for each thing that is read."""
    ward.lease.release()

    found = ward.look(transport=dated(0, code=3))

    assert found["token"]["state"] == "wrong"
    assert found["token"]["finding"] == "The exchange refuses the token."
    assert found["exchange"]["state"] == "ok"


def test_an_exchange_that_fails_is_not_asked_for_ever(ward: Ward) -> None:
    """Two answers that cannot be read are enough."""
    ward.lease.release()
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(502, text="<html>")

    found = ward.look(transport=httpx.MockTransport(answer))

    assert len(asked) == 2
    assert found["exchange"]["state"] == "wrong"
    assert found["token"]["state"] == "unknown"


@pytest.mark.parametrize(
    "damage",
    [
        'UPDATE account_state SET snapshot = \'{"targets": 7, "vitals": [1], "requests": "x"}\'',
        'UPDATE account_state SET snapshot = \'{"at": "yesterday"}\'',
        "UPDATE orders SET kind = 'gift'",
        "UPDATE orders SET access = '[]'",
        "UPDATE intents SET state = 'odd'",
        "UPDATE orders SET price = 'much'",
        "UPDATE lease SET expires_at = 'soon'",
    ],
)
def test_a_forged_row_is_a_finding(ward: Ward, damage: str) -> None:
    """What is no value ends no check but the one that needs it."""
    ward.store.settle((), [make_holding(7)], at=NOW)
    place(ward.store)
    ward.picture()
    with transaction(ward.store._engine, writing=True) as connection:
        connection.execute(text(damage))

    report = _forged(ward)

    assert any(state in {"wrong", "unknown"} for state in report.values())
    assert report["configuration"] == "ok"


def _forged(ward: Ward) -> dict[str, str]:
    report = asyncio.run(examine(ward.config, ward.environ, VirtualClock(NOW), offline=True))
    return {each.name: each.state.value for each in report.findings}


def test_a_database_that_is_not_whole(ward: Ward) -> None:
    """What its own check finds is told."""
    engine = open_engine(ward.folder / "bidder.db")
    with engine.connect() as connection:
        raw = connection.connection.cursor()
        raw.execute("PRAGMA foreign_keys=OFF")
        raw.execute(
            "INSERT INTO order_prices (account, order_id, at, price, currency)"
            " VALUES ('main', 99, '2026-03-01 12:00:00', '1', 'bitcoin')"
        )
        raw.close()
    engine.dispose()

    found = ward.look()["database"]

    assert found["state"] == "wrong"
    assert "a row of order_prices refers to none of orders" in found["details"]


@given(states=st.lists(st.sampled_from(list(State)), max_size=6))
def test_the_worst_state_counts(states: list[State]) -> None:
    """In the order in which they are declared."""
    findings = [Finding(name="x", state=state, finding="x", remedy="y") for state in states]
    order = list(State)

    assert worst(findings) is max(states, key=order.index, default=State.OK)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 seconds"), (1, "1 second"), (119, "119 seconds"), (120, "2 minutes"), (-7200, "2 hours")],
)
def test_spans_for_the_eye(seconds: int, shown: str) -> None:
    """In a unit of which there are at least two."""
    assert span(timedelta(seconds=seconds)) == shown


def test_a_token_that_is_a_word_leaves_the_report_its_own(ward: Ward) -> None:
    """Names, states and fields are the program's words, whatever word a secret is; text is not."""
    ward.picture()
    ward.environ["UNIT_TOKEN"] = "daemon"

    found = ward.look(after=timedelta(seconds=5))

    assert found["daemon"]["state"] == "ok"
    assert found["daemon"]["finding"].startswith("A [hidden] is at work")

    ward.environ["UNIT_TOKEN"] = "state"
    assert {each["state"] for each in ward.look().values()} <= {"ok", "warning", "wrong", "unknown"}
