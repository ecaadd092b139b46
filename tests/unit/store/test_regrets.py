"""What a day cost, kept and read back, on each kind of database."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from store_values import NOW

from bidder.domain.ids import OrderId, ServerId
from bidder.domain.money import Currency
from bidder.domain.policy import Mode, Retention
from bidder.domain.regret import Costly, Regret, Tally
from bidder.store.queries import Queries
from bidder.store.store import Store

DAY = timedelta(days=1)
MIDNIGHT = NOW.replace(hour=0)


def make_regret(target: str = "a", **changes: object) -> Regret:
    """Return a regret with something in every field, worth less than nothing."""
    regret = Regret(
        begin=MIDNIGHT,
        end=MIDNIGHT + DAY,
        mode=Mode.LIVE,
        target=target,
        wanted=timedelta(hours=40),
        unwatched=timedelta(hours=8),
        ours=Tally(
            held=timedelta(hours=30), paid=Decimal("4.1"), starts=9, creations=3, worth=Decimal("-0.25")
        ),
        best=Tally(
            held=timedelta(hours=31), paid=Decimal("3.9"), starts=2, creations=1, worth=Decimal("0.75")
        ),
        coins={Currency.BTC: Decimal("0.0000012"), Currency.CLORE: Decimal(17)},
        costly=(
            Costly(
                at=NOW,
                target=target,
                sentence="You asked for it: the order was cancelled.",
                better="at 12:00 UTC was to wait",
                usd=Decimal("0.5"),
                server=ServerId(1),
                order=OrderId(-3),
            ),
        ),
    )
    return replace(regret, **changes)  # type: ignore[arg-type]


def test_a_day_comes_back_as_it_was(store: Store, queries: Queries) -> None:
    """Digit for digit, and a day that is measured again replaces itself."""
    store.save_regrets(MIDNIGHT, [make_regret(starts) for starts in ("a", "b")])
    assert queries.regrets(MIDNIGHT, NOW) == (make_regret("a"), make_regret("b"))
    store.save_regrets(MIDNIGHT, [make_regret("c")])
    assert queries.regrets(MIDNIGHT, NOW) == (make_regret("c"),)


def test_the_latest_day_is_found(store: Store, queries: Queries) -> None:
    """All of its strategies, and nothing of the days before."""
    assert queries.latest_regrets() == ()
    for back in (2, 1, 0):
        begin = MIDNIGHT - back * DAY
        store.save_regrets(begin, [make_regret(begin=begin, end=begin + DAY)])
    assert queries.latest_regrets() == (make_regret(),)
    assert len(queries.regrets(MIDNIGHT - DAY, NOW)) == 2


def test_days_go_with_the_daily_summaries(store: Store, queries: Queries) -> None:
    """They are kept for ever unless the owner limits that."""
    store.save_regrets(MIDNIGHT, [make_regret()])
    later = NOW + 400 * DAY
    while store.tidy(later, Retention()):
        pass
    assert len(queries.latest_regrets()) == 1
    while store.tidy(later, Retention(daily=timedelta(days=399))):
        pass
    assert queries.latest_regrets() == ()
