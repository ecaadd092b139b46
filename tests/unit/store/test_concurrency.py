"""What is committed survives a kill; readers and a writer do not disturb each other."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from store_values import ACCOUNT, NOW, at, btc, make_book, make_decision, make_holding, make_pass, place

from bidder.domain.ids import OrderId
from bidder.domain.intents import IntentState
from bidder.domain.policy import Launch, Mode
from bidder.errors import IntentOpen
from bidder.store.engine import open_engine
from bidder.store.queries import Queries
from bidder.store.records import DecisionRecord
from bidder.store.schema import upgrade
from bidder.store.store import Store

# Opens one intent and says so; then dies in the middle of a transaction that opens a second one.
_DIES = """
import os, signal, sys
from sqlalchemy import event
from bidder.store.engine import open_engine
from bidder.store.schema import upgrade
from bidder.store.store import Store
from store_values import ACCOUNT, place

engine = open_engine(sys.argv[1])
upgrade(engine)
store = Store(engine, ACCOUNT)
place(store, server=1)
seen = 0

def die(*_):
    global seen
    seen += 1
    if seen == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(engine, "after_cursor_execute", die)
event.listen(engine, "commit", die)
place(store, server=2)
"""


@pytest.mark.parametrize("kind", ["file", pytest.param("postgres", marks=pytest.mark.postgres)])
@pytest.mark.parametrize("statement", range(1, 6))
def test_kill_between_statements(
    kind: str, statement: int, file_url: str, request: pytest.FixtureRequest
) -> None:
    """After a kill the committed intent is there, and the other one wholly or not at all."""
    url: str = request.getfixturevalue("postgres_url") if kind == "postgres" else file_url
    died = subprocess.run(
        [sys.executable, "-c", _DIES, url, str(statement)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    engine = open_engine(url)
    upgrade(engine)
    memory = Store(engine, ACCOUNT).load(NOW)
    engine.dispose()

    killed = died.returncode == -signal.SIGKILL
    assert killed or died.returncode == 0
    assert [intent.server for intent in memory.intents] == ([1] if killed else [1, 2])
    assert len(memory.creations) == len(memory.intents)


def test_some_statement_was_reached() -> None:
    """The kill test above means something: a transaction has at least three statements to die after."""
    engine = open_engine("sqlite://")
    upgrade(engine)
    from sqlalchemy import event

    seen: list[object] = []
    event.listen(engine, "after_cursor_execute", lambda *rest: seen.append(rest))
    place(Store(engine, ACCOUNT))
    engine.dispose()

    assert len(seen) >= 3


@pytest.mark.parametrize("kind", ["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_readers_see_whole_transactions_while_a_writer_writes(
    kind: str, file_url: str, request: pytest.FixtureRequest
) -> None:
    """Commands that read beside a busy daemon neither fail nor see half of a pass."""
    url: str = request.getfixturevalue("postgres_url") if kind == "postgres" else file_url
    engine = open_engine(url)
    upgrade(engine)
    queries, torn, failures = Queries(engine, ACCOUNT), [], []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                snapshot = queries.snapshot()
                if snapshot is not None and snapshot.values["pass"] != snapshot.pass_id:
                    torn.append(snapshot)
                queries.orders()
                queries.decisions_between(NOW, at(3600), Mode.LIVE)
                queries.spend_totals()
        except Exception as exc:  # noqa: BLE001 - whatever it is fails the test
            failures.append(exc)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    store = Store(engine, ACCOUNT)
    for number in range(1, 80):
        store.record_pass(
            make_pass(
                number,
                number,
                holdings=(make_holding(price=btc(f"0.{number:08d}")),),
                books=(make_book(rivals=number),),
                snapshot={"pass": number},
            )
        )
    stop.set()
    for reader in readers:
        reader.join()
    engine.dispose()

    assert (torn, failures) == ([], [])
    assert len(queries.prices_of(OrderId(7))) == 79
    engine.dispose()


@pytest.mark.parametrize("kind", ["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_of_racing_stores_one_opens_the_intent(
    kind: str, file_url: str, request: pytest.FixtureRequest
) -> None:
    """Even without a lease two writers cannot both open an intent on one server."""
    url: str = request.getfixturevalue("postgres_url") if kind == "postgres" else file_url
    engine = open_engine(url)
    upgrade(engine)
    outcomes: list[bool] = []
    barrier = threading.Barrier(4)

    def race() -> None:
        store = Store(engine, ACCOUNT)
        barrier.wait()
        try:
            place(store)
            outcomes.append(True)
        except IntentOpen:
            outcomes.append(False)

    racers = [threading.Thread(target=race) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    engine.dispose()

    assert sorted(outcomes) == [False, False, False, True]


def test_no_secret_is_in_the_file(tmp_path: Path) -> None:
    """What a server runs is nowhere in the database: not in its file, not in its log."""
    from bidder.domain.actions import Decision, PlaceBid, Reason
    from bidder.domain.ids import ServerId

    launch = Launch(
        image="img",
        env=(("TOKEN", "canary-env"),),
        jupyter_token="canary-jupyter",
        ssh_key="canary-key",
        ssh_password="canary-password",
        command="canary-command",
    )
    bid = PlaceBid(server=ServerId(1), price=btc("0.1"), target="a", launch=launch)
    decision = Decision(target="a", reason=Reason.EMPTY_SLOT, action=bid, facts={"seen": "witness"})
    engine = open_engine(tmp_path / "bidder.db")
    upgrade(engine)
    store = Store(engine, ACCOUNT)
    store.record_pass(make_pass(decisions=(DecisionRecord.of(decision), make_decision())))
    store.end_intent(place(store), IntentState.REFUSED, at=at(1), note="refused")
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    engine.dispose()

    assert b"witness" in kept
    assert b"canary" not in kept
