"""``python -m benchmarks.moves``: draw which servers an order is moved to, for the page about that.

The whole daemon holds one server of a generated market for a day, once with moves and once without.
Both meet the same strangers; what these answer to our bids differs.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from html import escape
from pathlib import Path

from bidder.app.report import PassReport
from bidder.backtest.account import Account
from bidder.clock import VirtualClock
from bidder.demo.virtual import build_virtual, run_for
from bidder.domain.ids import AccountName
from bidder.domain.market import gpu_model
from bidder.domain.money import Currency, Price
from bidder.domain.policy import (
    Ceiling,
    Launch,
    Mode,
    Moving,
    Per,
    Policy,
    Requirements,
    Target,
    TrackParams,
)
from bidder.sim.auction import Stall, highest_rival_usd
from bidder.sim.exchange import SimExchange
from bidder.sim.moments import micros
from bidder.sim.server import build_exchange
from bidder.telemetry import configure_logging
from bidder.wiring import open_database

_PICTURE = Path(__file__).parents[1] / "docs" / "strategies" / "portfolio.svg"
_SEED, _SERVERS, _RIVALS = 5, 120, 30
_HOURS = 24
_SAMPLE = timedelta(minutes=2)
_CEILING = Decimal("0.9")  # of what such a server costs on demand
_WIDTH, _HEIGHT, _TITLE, _VISIBLE = 900, 190, 20, 0.8
# Another colour for each server that was held, in the order of the moves.
_COLOURS = ("#0b6e4f", "#1f5fa8", "#b5651d", "#7b3fa0", "#a8204a", "#5f6f00")


@dataclass(slots=True, kw_only=True)
class Sample:
    """One moment: what each server that fits takes, and what we pay where we run; USD per GPU-day."""

    at: float  # share of the whole
    needed: dict[int, float]
    ours: dict[int, float]


@dataclass(slots=True, kw_only=True)
class Film:
    """What was seen in one run, and what it cost: USD per day held, fees and creations included."""

    title: str
    samples: list[Sample] = field(default_factory=list)
    paid: float = 0.0
    held: float = 0.0  # share of the time
    creations: int = 0

    def said(self) -> str:
        """Return its title."""
        cost = f"{self.paid:.2f} USD per day held"
        return f"{self.title}: {cost}, {self.held:.1%} held, {self.creations} orders"


def filmed(moving: Moving, title: str, hours: float = _HOURS) -> Film:
    """Let the daemon hold one server for so many hours, and return what there was to see."""
    exchange = build_exchange(seed=_SEED, servers=_SERVERS, crowd=_RIVALS)
    account = Account.watching(exchange)
    model = _usual_model(exchange)
    clock, film, span = VirtualClock(exchange.start), Film(title=title), timedelta(hours=hours)
    engine = open_database("sqlite://")
    app = build_virtual(_policy(exchange, model, moving), exchange, engine, clock)
    taken = exchange.start - _SAMPLE

    def look(_: PassReport) -> None:
        nonlocal taken
        if exchange.now - taken >= _SAMPLE:
            taken = exchange.now
            film.samples.append(_sample(exchange, model, (taken - exchange.start) / span))

    asyncio.run(run_for(app, clock, span, on_pass=look))
    engine.dispose()
    end = max(exchange.start + span, exchange.now)
    exchange.advance(end)
    account.close(micros(end))
    film.held = account.held / (micros(end) - micros(exchange.start))
    film.paid = float(account.paid + account.fees) / (film.held * (span / timedelta(days=1)))
    film.creations = account.creations
    return film


def drawn(films: tuple[Film, ...]) -> str:
    """Return one picture of the runs, one below the other, to one scale."""
    highest = 1.1 * max(price for film in films for s in film.samples for price in s.ours.values())
    each = _TITLE + _HEIGHT
    parts = [part for number, film in enumerate(films) for part in _film(film, number * each, highest)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {each * len(films)}">'
        "<style>path{fill:none}text{font:13px sans-serif}</style>"
        f'<rect width="{_WIDTH}" height="{each * len(films)}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _film(film: Film, top: int, highest: float) -> Iterator[str]:
    yield f'<text x="4" y="{top + 14}">{escape(film.said())}</text>'
    top += _TITLE
    servers = sorted({server for sample in film.samples for server in sample.needed})
    for server in servers:
        path = _line([(s.at, s.needed.get(server)) for s in film.samples], top, highest)
        if path:
            yield f'<path d="{path}" stroke="#ccc" stroke-width="1"/>'
    held = list(dict.fromkeys(server for sample in film.samples for server in sample.ours))
    for number, server in enumerate(held):
        path = _line([(s.at, s.ours.get(server)) for s in film.samples], top, highest)
        yield f'<path d="{path}" stroke="{_COLOURS[number % len(_COLOURS)]}" stroke-width="2.2"/>'


def _line(points: list[tuple[float, float | None]], top: int, highest: float) -> str:
    """Return the stairs of a price; a break where there is none, or one beyond the picture."""
    path, last = "", None
    for at, price in points:
        shown = None
        if price is not None and price <= highest:
            shown = round(top + _HEIGHT * (1 - price / highest), 1)
        # Where only the rate of its currency moved nobody would see it.
        if shown == last or (shown is not None and last is not None and abs(shown - last) < _VISIBLE):
            continue
        across = round(at * _WIDTH, 1)
        if shown is None:
            path += f"H{across}"
        else:
            path += f"M{across} {shown}" if last is None else f"H{across}V{shown}"
        last = shown
    return path + (f"H{_WIDTH}" if last is not None else "")


def _sample(exchange: SimExchange, model: str, at: float) -> Sample:
    market = exchange.market
    needed, ours = {}, {}
    for stall in market.stalls.values():
        gpus = stall.listing.gpu()[0]
        if not _fits(stall, model):
            continue
        running = next((offer for offer in stall.offers if offer.mine and offer.active), None)
        if running is not None:
            ours[stall.server_id] = float(market.usd(running.price, running.currency) / gpus)
        elif stall.online and not stall.rented:
            needed[stall.server_id] = float(_least(exchange, stall) / gpus)
    return Sample(at=at, needed=needed, ours=ours)


def _least(exchange: SimExchange, stall: Stall) -> Decimal:
    rates = exchange.market.rates
    floors = [price * rates[coin] for coin, price in stall.floor.items() if coin in rates]
    return max(min(floors), highest_rival_usd(stall, rates) or Decimal(0))


def _fits(stall: Stall, model: str) -> bool:
    return gpu_model(stall.listing.gpu()[1]) == model and stall.open_to_bids


def _usual_model(exchange: SimExchange) -> str:
    """Return the GPU model that most servers with spot bidding have."""
    counts: dict[str, int] = {}
    for stall in exchange.market.stalls.values():
        if stall.open_to_bids:
            name = gpu_model(stall.listing.gpu()[1])
            counts[name] = counts.get(name, 0) + 1
    return max(counts, key=lambda name: (counts[name], name))


def _policy(exchange: SimExchange, model: str, moving: Moving) -> Policy:
    asked = sorted(
        min(exchange.market.usd(price, coin) for coin, price in stall.on_demand.items())
        / stall.listing.gpu()[0]
        for stall in exchange.market.stalls.values()
        if _fits(stall, model)
    )
    ceiling = Ceiling(
        price=Price(round(asked[len(asked) // 2] * _CEILING, 4), Currency.USD), per=Per.GPU
    )
    target = Target(
        name="one",
        want=1,
        ceiling=ceiling,
        value=ceiling,
        launch=Launch(image="cloreai/ubuntu20.04-jupyter"),
        requirements=Requirements(gpu_models=(model,)),
        params=TrackParams(),
        currencies=(Currency.BTC, Currency.CLORE),
        moving=moving,
    )
    return Policy(account=AccountName("moves"), mode=Mode.LIVE, targets=(target,))


def main() -> None:
    """Draw the picture."""
    configure_logging("critical", "console")
    films = (
        filmed(replace(Moving(), running=True), "move.running: true"),
        filmed(Moving(), "move.running: false"),
    )
    _PICTURE.write_text(drawn(films), encoding="utf-8")
    for film in films:
        print(film.said())


if __name__ == "__main__":
    main()
