"""One writer per account, whatever happens to clocks and processes."""

import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from store_values import ACCOUNT, NOW, at, make_holding, make_pass, place

from bidder.domain.ids import AccountName
from bidder.domain.policy import Retention
from bidder.errors import LeaseHeld, LeaseLost
from bidder.store.engine import open_engine
from bidder.store.lease import Holder, Lease
from bidder.store.queries import Queries
from bidder.store.records import Over
from bidder.store.schema import upgrade
from bidder.store.store import Store

ELSEWHERE = Holder(host="elsewhere", pid=1, boot="b", namespace="n", started="1")


def elsewhere(engine: Engine) -> Lease:
    """Return a lease asked for by a process that we cannot look at."""
    return Lease(engine, ACCOUNT, holder=ELSEWHERE)


def test_lease_is_held_until_it_expires(engine: Engine) -> None:
    """A second process is told who holds it and until when, and gets in at that moment."""
    elsewhere(engine).acquire(NOW)
    second = Lease(engine, ACCOUNT)

    with pytest.raises(LeaseHeld, match=r"process 1 on elsewhere.*12:00:30"):
        second.acquire(at(29))
    assert second.acquire(at(30)) == 2


def test_accounts_have_leases_of_their_own(engine: Engine) -> None:
    """Two accounts in one database do not disturb each other."""
    elsewhere(engine).acquire(NOW)

    assert Lease(engine, AccountName("other")).acquire(NOW) == 1


def test_renewed_lease_lasts_longer(engine: Engine) -> None:
    """A heartbeat moves the end."""
    first = elsewhere(engine)
    first.acquire(NOW)
    first.renew(at(20))

    with pytest.raises(LeaseHeld):
        Lease(engine, ACCOUNT).acquire(at(49))


def test_released_lease_is_free_at_once(engine: Engine, queries: Queries) -> None:
    """After an orderly end nobody waits, and the numbers go on growing."""
    first = elsewhere(engine)
    first.acquire(NOW)
    first.release()

    assert queries.lease() is None
    assert Lease(engine, ACCOUNT).acquire(at(1)) == 2


def test_lost_lease_is_noticed_at_the_heartbeat(engine: Engine) -> None:
    """Who slept past the end and was replaced stops; its release takes nothing from the new one."""
    first, second = elsewhere(engine), Lease(engine, ACCOUNT)
    first.acquire(NOW)
    second.acquire(at(31))

    with pytest.raises(LeaseLost):
        first.renew(at(32))
    first.release()
    second.renew(at(33))


def test_lease_that_nobody_took_is_renewed_late(engine: Engine) -> None:
    """A laptop that slept six hours goes on where nobody took its place."""
    first = elsewhere(engine)
    first.acquire(NOW)
    first.renew(NOW + timedelta(hours=6))

    with pytest.raises(LeaseHeld):
        Lease(engine, ACCOUNT).acquire(NOW + timedelta(hours=6, seconds=29))


def test_replaced_daemon_can_write_nothing(engine: Engine) -> None:
    """Every write of a daemon that was replaced is refused in its own transaction."""
    first = elsewhere(engine)
    stale = Store(engine, ACCOUNT, fencing=first.acquire(NOW))
    intent = place(stale)
    stale.settle((), [make_holding()], at=NOW)
    fresh = Store(engine, ACCOUNT, fencing=Lease(engine, ACCOUNT).acquire(at(31)))
    before = fresh.load(NOW)

    writes: list[Any] = [
        lambda: place(stale, server=300),
        lambda: stale.answer_intent(intent, accepted=True, at=at(32)),
        lambda: stale.settle([], [make_holding(active=False)], at=at(32)),
        lambda: stale.settle((), [make_holding(9)], at=at(32)),
        lambda: stale.settle(
            (), (), at=at(32), over=[Over(order=make_holding().order.order, at=at(32), cause="x")]
        ),
        lambda: stale.record_pass(make_pass()),
        lambda: stale.set_paused(paused=True, at=at(32)),
        lambda: stale.finish_request(1, outcome="x", at=at(32)),
        lambda: stale.tidy(at(32), Retention()),
    ]
    for write in writes:
        with pytest.raises(LeaseLost):
            write()
    assert fresh.load(NOW) == before


def test_released_lease_lets_nobody_write(engine: Engine) -> None:
    """After giving the lease back a store writes no more."""
    lease = elsewhere(engine)
    store = Store(engine, ACCOUNT, fencing=lease.acquire(NOW))
    lease.release()

    with pytest.raises(LeaseLost):
        place(store)


def test_clock_set_back_does_not_lock_the_account(engine: Engine) -> None:
    """A lease from "tomorrow" lasts one term from now, unless its holder renews it."""
    first = elsewhere(engine)
    first.acquire(NOW + timedelta(days=1))

    with pytest.raises(LeaseHeld):
        Lease(engine, ACCOUNT).acquire(NOW)
    with pytest.raises(LeaseHeld):
        Lease(engine, ACCOUNT).acquire(at(29))
    assert Lease(engine, ACCOUNT).acquire(at(30)) == 2


def test_living_holder_survives_a_clock_set_back(engine: Engine) -> None:
    """Cutting a lease back takes nothing from a holder that goes on renewing."""
    first = elsewhere(engine)
    first.acquire(NOW + timedelta(hours=1))
    with pytest.raises(LeaseHeld):
        Lease(engine, ACCOUNT).acquire(NOW)
    first.renew(at(10))

    with pytest.raises(LeaseHeld):
        Lease(engine, ACCOUNT).acquire(at(35))


def test_whether_a_holder_keeps_others_out_depends_on_who_looks(
    engine: Engine, queries: Queries
) -> None:
    """On its own machine a dead one is known to be dead; from elsewhere nobody can tell."""
    gone = replace(Holder.here(), pid=2**22 + 1, boot="b", namespace="n", started="1")
    Lease(engine, ACCOUNT, holder=gone).acquire(NOW)

    assert queries.lease(at(1), seen_from=replace(ELSEWHERE, boot="b", namespace="n")) is None
    assert queries.lease(at(1), seen_from=replace(ELSEWHERE, boot="another")) is not None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_dead_process_on_this_machine_is_not_waited_for(engine: Engine) -> None:
    """After a SIGKILL the next start gets in at once."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    dead = replace(
        Holder.here(), pid=child.pid, started=Path(f"/proc/{child.pid}/stat").read_text().split()[21]
    )
    Lease(engine, ACCOUNT, holder=dead).acquire(NOW)
    with pytest.raises(LeaseHeld):
        Lease(engine, ACCOUNT).acquire(at(1))
    child.kill()
    child.wait()

    assert Lease(engine, ACCOUNT).acquire(at(2)) == 2


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("change", [{"boot": "another"}, {"namespace": "another"}, {"boot": ""}])
def test_process_that_cannot_be_looked_at_is_not_called_dead(change: dict[str, str]) -> None:
    """On another machine, or in another container, a number says nothing."""
    here = Holder.here()

    assert not replace(here, pid=2**22 + 1, **change).is_gone(seen_from=here)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_number_given_out_again_is_not_the_same_process() -> None:
    """A process of the same number that started at another moment is another one."""
    here = Holder.here()

    assert replace(here, started="1").is_gone(seen_from=here)
    assert not here.is_gone(seen_from=replace(here, pid=os.getpid() + 1))


def _race(url: str, start: Any, results: Any) -> None:
    engine = open_engine(url)
    holder = Holder(host="racer", pid=os.getpid())
    start.wait()
    try:
        results.put(Lease(engine, ACCOUNT, holder=holder).acquire(NOW))
    except LeaseHeld:
        results.put(None)
    finally:
        engine.dispose()


@pytest.mark.parametrize("kind", ["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_exactly_one_of_many_processes_wins(
    kind: str, file_url: str, request: pytest.FixtureRequest
) -> None:
    """Processes that ask at the same moment do not both get the lease."""
    url: str = request.getfixturevalue("postgres_url") if kind == "postgres" else file_url
    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()
    spawn = multiprocessing.get_context("spawn")
    start, results = spawn.Barrier(4), spawn.Queue()
    racers = [spawn.Process(target=_race, args=(url, start, results)) for _ in range(4)]
    for racer in racers:
        racer.start()
    outcomes = [results.get(timeout=30) for _ in racers]
    for racer in racers:
        racer.join()

    assert sorted(outcomes, key=str) == [1, None, None, None]
