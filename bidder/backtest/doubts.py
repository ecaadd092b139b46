"""What makes a trace doubtful, although it can be used: said beside every result that rests on it.

Rejected: to refuse such a file. A price often stays for hours, and nothing in a file tells a market
that was quiet from one that nobody watched.
"""

from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median_low

from bidder.backtest.traces import Trace
from bidder.config.values import spelled

_LONG = timedelta(days=1)
# Files with a row for each change of the price have quiet hours, but not so many of them.
_TIMES_THE_USUAL = 20
# Nor is any market quiet for so long, however few rows there are to judge by.
_TOO_LONG = timedelta(days=30)
_HOUR, _MINUTE, _SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def doubts(trace: Trace, remedy: str) -> tuple[str, ...]:
    """Return what should make one hesitate about a trace, as sentences; ``remedy`` leaves time out."""
    if trace.file is None:
        # The daemon's own record keeps no row where nothing changes, so that a gap says nothing.
        return ()
    where = f"{trace.file}: {trace.market}"
    found = []
    moments = (*trace.moments, trace.end)
    gaps = [after - before for before, after in pairwise(moments) if after > before]
    usual, longest = median_low(gaps), max(gaps)
    if longest >= _TOO_LONG or (longest > _LONG and longest > _TIMES_THE_USUAL * usual):
        after = moments[gaps.index(longest)]
        found.append(
            f"{where} has no price for {_told(longest)} after {after.isoformat()} (usually one every"
            f" {_told(usual)}), and the one before is taken to have held; {remedy} if it did not"
        )
    if trace.twice:
        others = "" if len(trace.twice) == 1 else f" and at {len(trace.twice) - 1} other moments"
        found.append(
            f"{where} has different prices for {trace.twice[0].isoformat()}{others}, and the last row of"
            " each counts; remove the others"
        )
    return tuple(found)


def unread(trace: Trace, grid: timedelta, pause: timedelta) -> tuple[str, ...]:
    """Return a sentence where prices begin and end between two moments of the grid, which reads none.

    The grid that it names divides ``pause``, the time between two lowerings, as every grid must.
    """
    spans = _spans(trace)
    # The first moment of the grid at or after a price's beginning comes too late for it.
    missed = [
        (at, until) for at, until in spans if trace.start - (trace.start - at) // grid * grid >= until
    ]
    if not missed:
        return ()
    where = trace.market if trace.file is None else f"{trace.file}: {trace.market}"
    # Of all, as another grid may fall between the ends of what this one happens to read.
    remedy = _finer(min(until - at for at, until in spans), grid, pause)
    told = (
        f"{where} has {len(missed)} of {len(spans)} prices, the first at {missed[0][0].isoformat()},"
        f" between two moments of the grid, {spelled(grid)} apart, and they never count; {remedy}"
    )
    return (told,)


def _spans(trace: Trace) -> list[tuple[datetime, datetime]]:
    """Return from when until when each price holds; two rows of the same price are one."""
    starts = [
        at
        for number, (at, price) in enumerate(zip(trace.moments, trace.prices, strict=True))
        if number == 0 or price != trace.prices[number - 1]
    ]
    # A file's last row only says until when the one before it held.
    return [(at, until) for at, until in pairwise((*starts, trace.end)) if until > at]


def _finer(shortest: timedelta, grid: timedelta, pause: timedelta) -> str:
    """Return what to do about prices that hold as briefly as this."""
    if grid <= _SECOND:
        return "no grid is finer, so leave out what holds for less than a second"
    sizes = [size for size in range(1, grid // _SECOND) if not pause % (size * _SECOND)]
    size = max((size for size in sizes if size * _SECOND <= shortest), default=1)
    reads = "all" if size * _SECOND <= shortest else "more"
    return f"a backtest with --grid-seconds {size} reads {reads} of them"


def _told(span: timedelta) -> str:
    """Return a duration, no finer than is of interest."""
    fine = next((size for size in (_HOUR, _MINUTE) if span >= 2 * size), _SECOND)
    return spelled(max(1, round(span / fine)) * fine)
