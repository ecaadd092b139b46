"""The store keeps what it is given, and nothing twice."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from store_values import (
    ACCOUNT,
    NOW,
    at,
    btc,
    make_book,
    make_decision,
    make_holding,
    make_pass,
    place,
    repriced,
)

from bidder.domain.actions import Decision, PlaceBid, Reason
from bidder.domain.costs import Cost
from bidder.domain.ids import AccountName, OrderId, ServerId
from bidder.domain.intents import Intent, IntentKind, IntentState, Settled, Verdict
from bidder.domain.market import Wallet
from bidder.domain.money import Currency, Money, Rates
from bidder.domain.policy import Launch, Mode, Retention
from bidder.domain.price_rules import ClockEvent, ClockRules, LoweringClock, StepSample
from bidder.domain.view import Cancelled, Created, Raised
from bidder.errors import IntentOpen, RateLimited, ServerTaken, StoreFailed
from bidder.store import tables
from bidder.store.commands import post_request, withdraw_request
from bidder.store.engine import transaction
from bidder.store.queries import Queries
from bidder.store.records import DecisionRecord, Looked, Memory, Over
from bidder.store.store import Store


def count(engine: Engine, table: str) -> int:
    """Return the number of rows in a table."""
    with transaction(engine, writing=False) as connection:
        return connection.execute(
            select(func.count()).select_from(tables.metadata.tables[table])
        ).scalar_one()


def decisions(queries: Queries) -> tuple[DecisionRecord, ...]:
    """Return all that was decided, oldest first."""
    return queries.decisions_between(at(-86400), at(86400), Mode.LIVE)


def withdraw(store: Store, *, at: datetime) -> Intent:
    """Write down the cancellation of order 7."""
    return store.open_intent(
        kind=IntentKind.WITHDRAW,
        server=make_holding().order.server,
        target="a",
        order=OrderId(7),
        price=None,
        previous_price=None,
        known_orders=frozenset({OrderId(7)}),
        at=at,
    )


def test_empty_store_remembers_nothing(store: Store) -> None:
    """A first start finds an empty memory."""
    assert store.load(NOW) == Memory()


def test_holding_comes_back_as_it_was(store: Store, engine: Engine) -> None:
    """Every field of a live order survives a restart, to the last digit of its spend."""
    clock = LoweringClock(created_at=NOW, raised_at=at(1), lowered_at=at(2), opens_at=at(3))
    holding = make_holding(2**60, clock=clock, outbid_since=at(4), missing_since=at(5), missing_reads=2)
    store.settle((), [holding], at=NOW)

    assert Store(engine, ACCOUNT).load(NOW).holdings == (holding,)


def test_unchanged_holding_is_not_written(store: Store, engine: Engine) -> None:
    """Seeing an order again costs no write until a minute has passed."""
    holding = make_holding()
    store.settle((), [holding], at=NOW)
    store.settle((), [replace(holding, last_seen_at=at(30))], at=at(30))

    assert Store(engine, ACCOUNT).load(NOW).holdings[0].last_seen_at == NOW

    store.settle((), [replace(holding, last_seen_at=at(60))], at=at(60))

    assert Store(engine, ACCOUNT).load(NOW).holdings[0].last_seen_at == at(60)


def test_each_new_price_is_history(store: Store, engine: Engine, queries: Queries) -> None:
    """An order's prices are kept with their moments, over a restart too."""
    holding = make_holding(price=btc("0.00003"))
    store.settle((), [holding], at=NOW)
    store.settle((), [replace(holding, active=False)], at=at(1))
    Store(engine, ACCOUNT).settle((), [repriced(holding, btc("0.00002"))], at=at(2))

    assert queries.prices_of(OrderId(7)) == ((NOW, btc("0.00003")), (at(2), btc("0.00002")))


def test_ended_order_is_kept_with_its_cause(store: Store, queries: Queries) -> None:
    """An ended order leaves the memory and stays in the accounts."""
    store.settle((), [make_holding()], at=NOW)
    store.settle((), (), at=at(9), over=[Over(order=OrderId(7), at=at(9), cause="expired")])

    assert store.load(NOW).holdings == ()
    (ended,) = queries.orders(ended=True)
    assert (ended.end_cause, ended.holding.ended_at) == ("expired", at(9))


def test_the_final_spend_of_an_order_that_ends_in_the_same_read_is_kept(
    store: Store, queries: Queries
) -> None:
    """What is written of the holding is what was known before; the bill is the last word."""
    holding = make_holding()
    store.settle((), [holding], at=NOW)
    spent = holding.order.spend
    final = replace(holding.order, spend=Money(spent.amount + 1, spent.currency))
    moved = replace(holding, active=False)
    over = [Over(order=OrderId(7), at=at(9), cause="expired")]
    store.settle((), [moved], at=at(9), over=over, finals=[final])

    (ended,) = queries.orders(ended=True)
    assert ended.holding.order.spend == final.spend


def test_what_ended_orders_computed_is_known_again_by_target(store: Store, engine: Engine) -> None:
    """Both orders ran three hours on two GPUs; a person's order is of no target, a live one its own."""
    strangers = make_holding(9, target=None)
    store.settle((), [make_holding(7), make_holding(8), strangers, make_holding(10)], at=NOW)
    for order in (7, 8, 9):
        store.settle((), (), at=NOW, over=[Over(order=OrderId(order), at=NOW, cause="withdrawn")])

    assert Store(engine, ACCOUNT).load(at(10**8)).computed == {"a": timedelta(hours=12)}


def test_what_ended_by_a_clock_that_was_ahead_has_cost_this_day_and_month(
    store: Store, engine: Engine
) -> None:
    """A month that has not begun says nothing of the present one: its mark hides nothing of it."""
    march_end, april = NOW.replace(day=31), NOW.replace(month=4, day=1, hour=1)
    cost = Cost(usd=Decimal(9), at=april, before_day=Decimal(8), before_month=Decimal(8))
    ended = make_holding(7, cost=cost)
    store.settle((), [ended], at=april)
    over = [Over(order=OrderId(7), at=april, cause="expired")]
    store.settle((), (), at=april, over=over, finals=[replace(ended.order, expired=True)])

    spent = Store(engine, ACCOUNT).load(march_end).spent["a"]
    assert (spent.at, spent.day, spent.month) == (march_end, Decimal(9), Decimal(9))


def test_order_that_reappears_is_live_again(store: Store, queries: Queries) -> None:
    """An order that was believed to be over and shows up again is live, without a cause of its end."""
    store.settle((), [make_holding()], at=NOW)
    store.settle((), (), at=at(9), over=[Over(order=OrderId(7), at=at(9), cause="gone")])
    store.settle((), [make_holding(last_seen_at=at(20))], at=at(20))

    assert [record.end_cause for record in queries.orders()] == [None]


def test_an_ended_order_is_its_targets_until_its_bill_is_final(store: Store, engine: Engine) -> None:
    """Should it turn out to run after all, also after a restart it is known whose it is."""
    store.settle((), [make_holding()], at=NOW)
    store.settle((), (), at=at(9), over=[Over(order=OrderId(7), at=at(9), cause="vanished")])

    closing = Store(engine, ACCOUNT).load(at(10)).closing
    assert closing == {7: replace(make_holding(), ended_at=at(9))}


def test_an_accepted_cancellation_is_remembered_until_its_order_is_over(
    store: Store, engine: Engine
) -> None:
    """Should it run on, also after a restart it is known that it was to go, and how often."""
    store.settle((), [make_holding()], at=NOW)
    for later in (1, 2):
        intent = withdraw(store, at=at(later))
        over = [Over(order=OrderId(7), at=at(later), cause="withdrawn")]
        store.end_intent(intent, IntentState.DONE, at=at(later), over=over)
    assert Store(engine, ACCOUNT).load(at(3)).cancelled == {7: Cancelled(at=at(2), times=2)}

    store.settle((), (), at=at(9), finals=[replace(make_holding().order, expired=True)])
    assert Store(engine, ACCOUNT).load(at(10)).cancelled == {}


def test_an_accepted_cancellation_is_kept_as_long_as_it_counts(store: Store, engine: Engine) -> None:
    """However short the owner's retention is: forgotten, it would be tried each two minutes again."""
    store.settle((), [make_holding()], at=NOW)
    for later in (1, 2):
        store.end_intent(withdraw(store, at=at(later)), IntentState.DONE, at=at(later))
    almost = NOW + timedelta(days=3)
    while store.tidy(almost, Retention(raw=timedelta(days=2))):
        pass
    assert Store(engine, ACCOUNT).load(almost).cancelled == {7: Cancelled(at=at(2), times=2)}
    while store.tidy(NOW + timedelta(days=5), Retention(raw=timedelta(days=2))):
        pass
    assert count(engine, "intents") == 0


def test_a_cancellation_in_doubt_is_no_accepted_one(store: Store, engine: Engine) -> None:
    """It may not have come through: what becomes of its order is decided anew."""
    store.settle((), [make_holding()], at=NOW)
    intent = withdraw(store, at=at(1))
    store.settle([Verdict(intent=intent, settled=Settled.CONFIRMED)], (), at=at(200))
    assert Store(engine, ACCOUNT).load(at(201)).cancelled == {}


def test_a_lost_creation_is_remembered_for_a_day_and_its_order_may_turn_up(
    store: Store, engine: Engine
) -> None:
    """Which order came of it is kept, and it is looked for no more; a change is no creation."""
    intent = place(store)
    store.settle([Verdict(intent=intent, settled=Settled.LOST)], (), at=at(200))
    change = withdraw(store, at=at(300))
    store.settle([Verdict(intent=change, settled=Settled.NOT_DONE)], (), at=at(400))
    (lost,) = Store(engine, ACCOUNT).load(at(500)).lost
    assert lost == replace(intent, state=IntentState.LOST)
    assert Store(engine, ACCOUNT).load(at(90_000)).lost == ()

    found = Verdict(intent=lost, settled=Settled.ADOPTED, orders=(OrderId(9),))
    store.settle([found], [make_holding(9)], at=at(600))
    assert Store(engine, ACCOUNT).load(at(700)).lost == ()
    with pytest.raises(StoreFailed):
        store.settle([found], (), at=at(800))


def test_intent_is_there_when_open_intent_returns(store: Store, engine: Engine) -> None:
    """What is about to be sent is read back exactly by another process's store."""
    intent = place(store)

    assert Store(engine, ACCOUNT).load(NOW).intents == (intent,)


def test_creation_is_counted_with_its_intent(store: Store) -> None:
    """An attempt to create counts for the breaker and the spacing before it is sent."""
    place(store, at=at(5))
    memory = store.load(at(6))

    assert memory.creations == (Created(server=ServerId(107), at=at(5)),)
    assert (memory.last_creation_at, memory.last_request_at) == (at(5), at(5))


def test_attempt_that_was_not_sent_does_not_count(store: Store) -> None:
    """A request that never left is no creation."""
    store.end_intent(place(store), IntentState.NOT_SENT, at=at(1))

    assert store.load(at(2)).creations == ()


def test_attempt_that_was_not_even_looked_at_does_not_count(store: Store) -> None:
    """One that was refused for another reason does: the exchange has judged it."""
    for refusal, counted in ((RateLimited(endpoint="create_order"), 0), (ServerTaken(), 1)):
        store.end_intent(place(store), IntentState.REFUSED, at=at(1), note=str(refusal))

        assert len(store.load(at(2)).creations) == counted


def test_second_open_intent_on_a_server_is_refused(store: Store) -> None:
    """One unfinished request per server; the refusal leaves the first one as it was."""
    first = place(store)

    with pytest.raises(IntentOpen, match="107"):
        place(store)
    assert store.load(NOW).intents == (first,)


def test_intents_of_other_servers_and_accounts_do_not_collide(store: Store, engine: Engine) -> None:
    """The rule is per server and account."""
    place(store)
    place(store, server=108)
    place(Store(engine, AccountName("other")))

    assert len(store.load(NOW).intents) == 2


def test_ambiguous_intent_blocks_its_server(store: Store) -> None:
    """A server whose outcome a person must judge takes no further request."""
    verdict = Verdict(intent=place(store), settled=Settled.AMBIGUOUS, orders=(OrderId(8), OrderId(9)))
    (frozen,) = store.settle([verdict], [], at=at(1))

    assert frozen.state is IntentState.AMBIGUOUS
    with pytest.raises(IntentOpen):
        place(store)


def test_beside_an_ambiguous_intent_one_order_may_be_withdrawn(store: Store) -> None:
    """The owner says which of its orders goes; nothing else may be sent, nor a second one meanwhile."""
    verdict = Verdict(intent=place(store), settled=Settled.AMBIGUOUS, orders=(OrderId(8), OrderId(9)))
    (frozen,) = store.settle([verdict], [], at=at(1))
    withdrawing: dict[str, Any] = {"kind": IntentKind.WITHDRAW, "price": None}
    sent = place(store, **withdrawing, order=OrderId(8))

    assert store.load(at(2)).intents == (frozen, sent)
    for changes in ({**withdrawing, "order": OrderId(9)}, {"kind": IntentKind.REPRICE}, {}):
        with pytest.raises(IntentOpen):
            place(store, **changes)


def test_answered_creation_stays_open(store: Store) -> None:
    """An accepted creation waits for its order to be seen."""
    store.answer_intent(place(store), accepted=True, at=at(1))
    (intent,) = store.load(NOW).intents

    assert (intent.accepted, intent.ended_at, intent.state) == (True, at(1), IntentState.OPEN)


def test_accepted_reprice_and_its_clock_are_one_transaction(store: Store, queries: Queries) -> None:
    """When a lowering is done, its order's price and clock are stored with it."""
    holding = make_holding()
    store.settle((), [holding], at=NOW)
    intent = place(store, kind=IntentKind.REPRICE, order=OrderId(7), price=btc("0.00002"))
    lowered = repriced(holding, btc("0.00002"), clock=LoweringClock().after(ClockEvent.LOWERING, at(1)))
    store.end_intent(intent, IntentState.DONE, at=at(1), holdings=[lowered])

    memory = store.load(NOW)
    assert (memory.intents, memory.holdings) == ((), (lowered,))
    assert queries.prices_of(OrderId(7))[-1] == (at(1), btc("0.00002"))


def test_failure_in_the_middle_undoes_everything(store: Store) -> None:
    """A holding that cannot be stored leaves its intent open."""
    intent = place(store)
    impossible = make_holding(2**70)

    with pytest.raises(StoreFailed, match="too large"):
        store.end_intent(intent, IntentState.DONE, at=at(1), holdings=[impossible])
    assert store.load(NOW).intents == (intent,)


def test_closed_intent_cannot_be_closed_again(store: Store) -> None:
    """A second outcome for the same request is an error, not an overwrite."""
    intent = place(store)
    store.end_intent(intent, IntentState.REFUSED, at=at(1))

    with pytest.raises(StoreFailed, match="not open"):
        store.end_intent(intent, IntentState.DONE, at=at(2))


@pytest.mark.parametrize(
    ("settled", "state"),
    [
        (Settled.ADOPTED, IntentState.DONE),
        (Settled.CONFIRMED, IntentState.DONE),
        (Settled.NOT_DONE, IntentState.LOST),
        (Settled.LOST, IntentState.LOST),
    ],
)
def test_verdict_closes_the_intent(
    store: Store, queries: Queries, settled: Settled, state: IntentState
) -> None:
    """A settled intent frees its server and remembers the order it led to."""
    verdict = Verdict(intent=place(store), settled=settled, orders=(OrderId(7),))
    holding = make_holding()

    assert store.settle([verdict], [holding], at=at(1)) == ()
    assert store.load(NOW).holdings == (holding,)
    if settled is Settled.ADOPTED:
        assert [intent.state for intent in queries.intents_of(OrderId(7))] == [state]
    place(store)


def test_empty_read_is_counted(store: Store) -> None:
    """A read that could have shown the order counts, over a restart too."""
    verdict = Verdict(intent=place(store), settled=Settled.UNKNOWN, counts_as_empty=True)
    unfinished = store.settle([verdict], [], at=at(1))

    assert [intent.empty_reads for intent in unfinished] == [1]
    assert store.load(NOW).intents == unfinished


def test_pass_is_remembered(store: Store, engine: Engine, queries: Queries) -> None:
    """What a pass learnt is there at the next start."""
    step = StepSample(
        currency=Currency.BTC,
        price=Decimal("0.00003"),
        drop=Decimal("0.000001"),
        floor=None,
        exact=True,
        at=NOW,
    )
    wallet = Wallet(currency=Currency.BTC, balance=Money.parse("0.5", Currency.BTC), deposit="bc1")
    raised = Raised(server=ServerId(107), order=OrderId(7), rival=OrderId(9), at=NOW)
    store.record_pass(
        make_pass(
            41,
            holdings=(make_holding(),),
            wallets={Currency.BTC: wallet},
            rates=Rates({Currency.BTC: Decimal("65000.125")}),
            rules=ClockRules(creation=False),
            evidence="a lowering 30 s after the creation was accepted",
            steps=(step,),
            raises=(raised,),
            last_request_at=at(-1),
            last_creation_at=at(-9),
            order_limit=20,
            creation_fee_usd=Decimal("0.05"),
            snapshot={"held": 1},
        )
    )

    assert Store(engine, ACCOUNT).load(NOW) == Memory(
        holdings=(make_holding(),),
        rules=ClockRules(creation=False),
        steps=(step,),
        raises=(raised,),
        wallets={Currency.BTC: wallet},
        rates=Rates({Currency.BTC: Decimal("65000.125")}),
        creation_fee_usd=Decimal("0.05"),
        order_limit=20,
        last_request_at=at(-1),
        last_creation_at=at(-9),
        last_pass_at=NOW,
        last_pass_id=41,
    )
    snapshot = queries.snapshot()
    assert snapshot is not None
    assert (snapshot.pass_id, snapshot.values) == (41, {"held": 1})


def test_only_changes_are_written(store: Store, engine: Engine) -> None:
    """A second equal pass, in the same process or after a restart, adds no row."""
    same: dict[str, Any] = {
        "decisions": (make_decision(), make_decision(order=None, server=None, action=None, price=None)),
        "books": (make_book(),),
        "rates": Rates({Currency.BTC: Decimal(65000)}),
        "wallets": {Currency.BTC: Wallet(currency=Currency.BTC, balance=None)},
    }
    names = ("decisions", "books", "rates", "wallets")
    store.record_pass(make_pass(1, 0, **same))
    before = [count(engine, name) for name in names]
    store.record_pass(make_pass(2, 1, **same))
    restarted = Store(engine, ACCOUNT)
    restarted.record_pass(make_pass(3, 2, **{**same, "books": (make_book(at=at(2)),)}))

    assert before == [2, 1, 1, 1]
    assert [count(engine, name) for name in names] == before


def test_changed_decision_and_book_are_written(store: Store, queries: Queries) -> None:
    """A new reason or price, or a moved rival, is a row."""
    store.record_pass(make_pass(1, 0, decisions=(make_decision(),), books=(make_book(),)))
    hold = make_decision(reason="winning", action=None, price=None)
    moved = make_book(best_rival=btc("0.00003"), at=at(1))
    store.record_pass(make_pass(2, 1, decisions=(hold,), books=(moved,)))

    assert [decision.reason for decision in decisions(queries)] == ["outbid", "winning"]
    first, second = make_book(until=at(1)), replace(moved, until=at(1))
    assert queries.market.history(ServerId(107)) == (first, second)
    assert queries.market.history(ServerId(107), since=at(1)) == (second,)


def test_how_long_each_book_was_looked_at_is_told_longest_first(store: Store, queries: Queries) -> None:
    """Of what stood before, only what was looked at since."""
    seen = ((0, 107, 1), (40, 107, 2), (60, 108, 1), (100, 108, 2))
    for number, (when, server, rivals) in enumerate(seen, 1):
        book = make_book(server=server, at=at(when), rivals=rivals)
        store.record_pass(make_pass(number, when, books=(book,)))

    assert queries.market.looked_at(at(30)) == (
        Looked(server=ServerId(108), begin=at(60), span=timedelta(seconds=40)),
        Looked(server=ServerId(107), begin=at(30), span=timedelta(seconds=10)),
    )


def test_rate_and_wallet_that_vanish_are_forgotten(store: Store, engine: Engine) -> None:
    """A currency that the exchange no longer names has no rate and no balance."""
    btc_wallet = {Currency.BTC: Wallet(currency=Currency.BTC, balance=None)}
    store.record_pass(make_pass(1, rates=Rates({Currency.BTC: Decimal(65000)}), wallets=btc_wallet))
    store.record_pass(make_pass(2, 1, rates=Rates(), wallets={}))

    memory = Store(engine, ACCOUNT).load(NOW)
    assert (memory.rates, memory.wallets) == (Rates(), {})


def test_failed_pass_leaves_no_false_memory(store: Store, queries: Queries) -> None:
    """What a failed transaction would have written is written by the next one."""
    with pytest.raises(StoreFailed):
        store.record_pass(make_pass(1, decisions=(make_decision(),), holdings=(make_holding(2**70),)))
    store.record_pass(make_pass(2, 1, decisions=(make_decision(),)))

    assert len(decisions(queries)) == 1


def test_what_was_long_forgotten_is_still_not_written_twice(store: Store, engine: Engine) -> None:
    """Of thousands of orders and servers only the latest are kept in mind; the rest is looked up."""

    def record(number: int, *about: int) -> None:
        decisions = tuple(make_decision(order=OrderId(each)) for each in about)
        store.record_pass(
            make_pass(number, number, decisions=decisions, books=tuple(map(make_book, about)))
        )

    for number in range(15):
        record(number, *range(number * 100, number * 100 + 100))
    record(20, 0, 700, 1499)

    assert (count(engine, "decisions"), count(engine, "books")) == (1500, 1500)


def test_explain_finds_the_decision_before_the_order(store: Store, queries: Queries) -> None:
    """The decisions of an order begin with the one that created it, with its facts."""
    bid = make_decision(reason="empty_slot", action=IntentKind.PLACE, order=None, previous_price=None)
    store.record_pass(make_pass(1, -1, decisions=(bid,)))
    verdict = Verdict(intent=place(store), settled=Settled.ADOPTED, orders=(OrderId(7),))
    store.settle([verdict], [make_holding()], at=at(1))
    store.record_pass(make_pass(2, 5, decisions=(make_decision(),)))

    found = queries.decisions_for_order(OrderId(7))
    assert [decision.reason for decision in found] == ["empty_slot", "outbid"]
    assert found[1] == make_decision(at=at(5), pass_id=2)


def test_explain_finds_what_was_tried_in_vain_before(store: Store, queries: Queries) -> None:
    """Creations on the same server that were refused before the one that made the order."""
    store.end_intent(place(store), IntentState.REFUSED, at=at(1))
    store.end_intent(place(store, server=200), IntentState.REFUSED, at=at(1))
    made = place(store, at=at(2))
    store.settle(
        [Verdict(intent=made, settled=Settled.ADOPTED, orders=(OrderId(7),))],
        [make_holding()],
        at=at(3),
    )
    store.end_intent(place(store, at=at(4)), IntentState.REFUSED, at=at(5))

    (vain,) = queries.attempts_before(OrderId(7))
    assert (vain.server, vain.state, vain.opened_at) == (107, IntentState.REFUSED, NOW)
    assert queries.attempts_before(OrderId(8)) == ()


def test_launch_never_reaches_the_store() -> None:
    """A decision is stripped of what it would launch before the store sees it."""
    launch = Launch(image="img", env=(("KEY", "canary-7"),), ssh_password="canary-8", command="canary-9")
    bid = PlaceBid(server=ServerId(1), price=btc("0.1"), target="a", launch=launch)
    record = DecisionRecord.of(Decision(target="a", reason=Reason.EMPTY_SLOT, action=bid))

    assert "canary" not in str(record)
    assert not any(isinstance(getattr(record, name), Launch | PlaceBid) for name in record.__slots__)


def test_command_travels_to_the_daemon_and_back(store: Store, engine: Engine, queries: Queries) -> None:
    """A posted command is seen once, carried out, and its outcome read."""
    number = post_request(engine, ACCOUNT, "cancel", {"order": 2**60}, at=NOW)
    (request,) = store.open_requests()

    assert (request.id, request.kind, request.argument) == (number, "cancel", {"order": 2**60})
    assert store.finish_request(number, outcome="cancelled", at=at(1))
    assert store.open_requests() == ()
    done = queries.request(number)
    assert done is not None
    assert (done.outcome, done.done_at) == ("cancelled", at(1))


def test_withdrawn_command_is_not_carried_out(store: Store, engine: Engine) -> None:
    """Whoever gives up waiting takes the command back, unless it is done."""
    number = post_request(engine, ACCOUNT, "cancel_all", at=NOW)

    assert withdraw_request(engine, ACCOUNT, number, at=at(1))
    assert store.open_requests() == ()
    assert not store.finish_request(number, outcome="done", at=at(2))


def test_pause_survives_a_restart(store: Store, engine: Engine) -> None:
    """A paused account is paused until resumed."""
    store.set_paused(paused=True, at=NOW, note="ordered")
    assert Store(engine, ACCOUNT).load(NOW).paused

    store.set_paused(paused=False, at=at(1))
    assert not Store(engine, ACCOUNT).load(NOW).paused


def test_spend_is_added_up_exactly(store: Store, queries: Queries) -> None:
    """Totals are per target and currency, over live and ended orders, without a float's tail."""
    tiny = Money.parse("0.00000000694444444444444445", Currency.BTC)
    store.settle((), [make_holding(1, spend=tiny), make_holding(2, spend=tiny)], at=NOW)
    store.settle((), (), at=at(1), over=[Over(order=OrderId(1), at=at(1), cause="expired")])
    totals = {(t.target, t.currency): t for t in queries.spend_totals()}

    assert totals["a", Currency.BTC].spend.amount == Decimal("0.0000000138888888888888889")
    assert totals["a", Currency.BTC].fees.amount == Decimal("0.0000000003472222222222222225")
    assert totals["a", Currency.USD].creation_fees.amount == Decimal("0.1")


def test_prune_spares_what_lives(store: Store, engine: Engine, queries: Queries) -> None:
    """Old history goes; live orders, open intents and each server's last book stay."""
    store.settle((), [make_holding(7), make_holding(8)], at=NOW)
    store.settle((), (), at=at(1), over=[Over(order=OrderId(8), at=at(1), cause="expired")])
    place(store)
    store.end_intent(place(store, server=200), IntentState.REFUSED, at=at(1))
    post_request(engine, ACCOUNT, "cancel", 1, at=NOW)
    store.finish_request(post_request(engine, ACCOUNT, "pause", at=NOW), outcome="ok", at=at(1))
    store.record_pass(
        make_pass(decisions=(make_decision(), make_decision(order=OrderId(8))), books=(make_book(),))
    )
    store.record_pass(make_pass(2, 1, books=(make_book(rivals=3, at=at(1)),)))
    names = ("books", "decisions", "order_prices", "intents", "requests")
    before = {name: count(engine, name) for name in names}
    later = NOW + timedelta(days=40)
    while store.tidy(later, Retention(raw=timedelta(days=30))):
        pass

    assert {name: before[name] - count(engine, name) for name in names} == dict.fromkeys(names, 1)
    assert [book.rivals for book in queries.market.history()] == [3]
    assert [decision.order for decision in decisions(queries)] == [7]
    assert len(store.load(NOW).intents) == len(store.load(NOW).holdings) == 1
    assert len(store.open_requests()) == 1


def test_strange_text_is_survived(store: Store) -> None:
    """NUL, half characters and endless names from the exchange break nothing."""
    odd = replace(make_holding().order, image="a\0b\ud800" + "x" * 9000)
    store.settle((), [replace(make_holding(), order=odd)], at=NOW)
    rates = Rates({Currency("\0💰\udfff" + "y" * 9000): Decimal(2)})
    store.record_pass(make_pass(rates=rates, decisions=(make_decision(facts={"a": "\0\ud800"}),)))

    assert store.load(NOW).holdings[0].order.image.startswith("a�b?x")
