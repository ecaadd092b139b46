"""``python -m benchmarks.plots``: draw what each strategy did on one generated market, for its page."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import escape
from pathlib import Path
from random import Random

from bidder.backtest.auction import Period
from bidder.backtest.compare import Comparison, Question, compare_on
from bidder.backtest.runner import Run
from bidder.backtest.traces import Trace

_PAGES = Path(__file__).parents[1] / "docs" / "strategies"
_SEED = 11
_START = datetime(2026, 1, 1, tzinfo=UTC)
_LEARNT, _SHOWN = timedelta(days=14), timedelta(days=2)
_VALUE = Decimal("0.14")
_WIDTH, _HEIGHT, _STRIP, _TITLE = 900, 150, 9, 18
# One picture a page.
_PICTURES = {
    **{
        name: (name,)
        for name in (
            *("track", "fixed", "adaptive", "min_bid", "top_plus_tick", "track_recreate"),
            *("autopilot", "autospotting"),
        )
    },
    "nicehash": ("nicehash", "nicehash_literal"),
}


def market(seed: int = _SEED) -> Trace:
    """Return a made-up market: a price that keeps for minutes and wanders, and rivals who pass by."""
    chance = Random(seed)
    moments, prices = [], []
    at, base, passing, until = _START, 0.1, 0.0, _START
    end = _START + _LEARNT + _SHOWN
    while at < end:
        base = min(max(base * (1 + chance.gauss(0, 0.012)), 0.05), 0.13)
        if at >= until:
            passing = 0.0
            if chance.random() < 0.03:
                passing = chance.choice((0.01, 0.03, 0.03, 0.2))
                until = at + timedelta(minutes=chance.randint(5, 120))
        moments.append(at)
        prices.append(Decimal(str(round(base + passing, 4))))
        at += timedelta(minutes=chance.randint(3, 12))
    return Trace(market="generated", moments=tuple(moments), prices=tuple(prices), end=end)


def drawn(found: Comparison, names: tuple[str, ...]) -> str:
    """Return one picture of the named runs, one below the other."""
    runs = {run.strategy: run for run in found.runs}
    each = _HEIGHT + _STRIP + (_TITLE if len(names) > 1 else 0)
    parts = [
        part
        for number, name in enumerate(names)
        for part in _run(runs[name], found, number * each, titled=len(names) > 1)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {each * len(names)}">'
        "<style>path{fill:none;stroke-width:1.3}text{font:13px sans-serif}</style>"
        f'<rect width="{_WIDTH}" height="{each * len(names)}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _run(run: Run, found: Comparison, top: int, *, titled: bool) -> Iterator[str]:
    if titled:
        ratio = found.ratio(run)
        share = "" if ratio is None else f", {ratio:.0%} of the optimum"
        yield f'<text x="4" y="{top + 13}">{escape(run.strategy)}{share}</text>'
        top += _TITLE
    value = _upwards(found.terms.value, found)
    yield f'<path d="M0 {top + value}H{_WIDTH}" stroke="#a00" stroke-dasharray="4"/>'
    yield f'<path d="{_line(run, found, top, rival=True)}" stroke="#aaa"/>'
    yield f'<path d="{_line(run, found, top, rival=False)}" stroke="#0b6e4f"/>'
    for begin, end in _held(run.periods):
        left = _across(begin, found)
        wide = round(_across(end, found) - left, 1)
        yield f'<rect x="{left}" y="{top + _HEIGHT}" width="{wide}" height="{_STRIP}" fill="#0b6e4f"/>'


def _line(run: Run, found: Comparison, top: int, *, rival: bool) -> str:
    """Return the stairs of a price; a break where no bid stood."""
    path, last = "", None
    for period in run.periods:
        price = period.rival if rival else period.bid
        if price == last:
            continue
        across = _across(period.start, found)
        if price is not None:
            upwards = round(top + _upwards(price, found), 1)
            path += f"M{across} {upwards}" if last is None else f"H{across}V{upwards}"
        elif last is not None:
            path += f"H{across}"
        last = price
    return path + (f"H{_WIDTH}" if last is not None else "")


def _held(periods: tuple[Period, ...]) -> Iterator[tuple[datetime, datetime]]:
    begin = end = None
    for period in periods:
        if period.running and begin is not None and period.start == end:
            end = period.end
            continue
        if begin is not None and end is not None:
            yield begin, end
        begin, end = (period.start, period.end) if period.running else (None, None)
    if begin is not None and end is not None:
        yield begin, end


def _across(at: datetime, found: Comparison) -> float:
    return round((at - found.trace.start) / (found.trace.end - found.trace.start) * _WIDTH, 1)


def _upwards(price: Decimal, found: Comparison) -> float:
    # What lies far above the value would flatten all that matters.
    highest = found.terms.value * Decimal("1.15")
    return round(_HEIGHT * (1 - float(min(price / highest, Decimal(1)))), 1)


def main() -> None:
    """Draw all pictures."""
    names = tuple(name for picture in _PICTURES.values() for name in picture)
    question = Question(value=_VALUE, start=_START + _LEARNT, strategies=names)
    found = compare_on(market(), question, keep_periods=True)
    for page, shown in _PICTURES.items():
        (_PAGES / f"{page}.svg").write_text(drawn(found, shown), encoding="utf-8")
    for run in found.ordered():
        print(f"{run['strategy']:18} {run['utility_ratio']:.3f} held {run['held_share']:.1%}")


if __name__ == "__main__":
    main()
