"""What the probes of workloads showed, on each kind of database."""

from dataclasses import replace

from sqlalchemy import Engine
from store_values import ACCOUNT, NOW, at

from bidder.domain.ids import AccountName, OrderId
from bidder.domain.policy import Mode
from bidder.domain.probe import Pulse
from bidder.store.records import PassRecord, PulseRecord
from bidder.store.store import Store

FULL = PulseRecord(
    order=OrderId(7),
    pulse=Pulse(
        began_at=at(-900),
        alive_at=at(-600),
        probed_at=at(-5),
        dead_since=at(-300),
        blind=True,
        detail="no answer within 5 s",
    ),
    probe="digest",
    told=at(-60),
)
BARE = PulseRecord(order=OrderId(8), pulse=Pulse(began_at=NOW), probe="other")


def written(store: Store, *records: PulseRecord, of: set[int] | None) -> None:
    """Record a pass in which these pulses changed and these orders have one."""
    every = None if of is None else frozenset(map(OrderId, of))
    store.record_pass(PassRecord(pass_id=1, at=NOW, pulses=records, pulses_of=every))


def remembered(store: Store) -> list[PulseRecord]:
    """Return what a restart finds, as of this process."""
    return [replace(r, pulse=replace(r.pulse, recalled=False)) for r in store.load(NOW).pulses]


def test_everything_that_is_known_comes_back_as_an_earlier_processs(engine: Engine) -> None:
    """Each field, and the mark that it must be knocked at once more."""
    store = Store(engine, ACCOUNT)
    written(store, FULL, BARE, of={7, 8})
    assert remembered(store) == [FULL, BARE]
    assert all(record.pulse.recalled for record in store.load(NOW).pulses)


def test_only_what_changed_is_written_and_what_is_over_goes(engine: Engine) -> None:
    """A pass without news leaves them, one with news leaves those that it does not name."""
    store = Store(engine, ACCOUNT)
    written(store, FULL, BARE, of={7, 8})
    written(store, of=None)
    later = replace(BARE, pulse=replace(BARE.pulse, alive_at=at(10), probed_at=at(10)))
    written(store, later, of={7, 8})
    assert remembered(store) == [FULL, later]
    written(store, of={8})
    assert remembered(store) == [later]
    written(store, of=set())
    assert remembered(store) == []


def test_another_accounts_and_those_beside_a_daemon_on_paper_are_left_alone(engine: Engine) -> None:
    """On paper there is no workload: nothing is remembered of any, and nothing forgotten."""
    store, other = Store(engine, ACCOUNT), Store(engine, AccountName("other"))
    written(store, FULL, of={7})
    written(other, BARE, of={8})
    paper = Store(engine, ACCOUNT, mode=Mode.PAPER)
    written(paper, of=set())
    assert paper.load(NOW).pulses == ()
    assert (remembered(store), remembered(other)) == ([FULL], [BARE])
