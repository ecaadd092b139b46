"""What happens to servers whoever bids: strangers rent them, hosts lose power and change prices.

Each server has its own source of chance, so that what a player does on one server never changes
the fate of another: two strategies under the same seed meet the same weather.
"""

from decimal import Decimal
from random import Random

from bidder.domain.money import Currency
from bidder.sim.auction import Stall
from bidder.sim.generate import host_price
from bidder.sim.market import Market
from bidder.sim.moments import HOUR, MINUTE

_RATES_EVERY = 5 * MINUTE
# One step's standard deviation; over a day (288 steps) about 2 % for bitcoin and 4 % for CLORE.
_RATE_NOISE = {Currency.BTC: 0.0012, Currency.CLORE: 0.0024}
_FLOOR_EVERY_HOURS = 36.0
_OUTAGE_EVERY_HOURS = 24 * 15.0


class Weather:
    """Schedules, for every server, rentals by strangers, outages and new prices."""

    def __init__(self, market: Market, seed: int, *, calm: bool) -> None:
        """Start the weather; ``calm`` leaves only the currency rates moving."""
        self._market = market
        self._rate_chance = Random(f"rates/{seed}")
        market.schedule(market.at + _RATES_EVERY, self._move_rates)
        if calm:
            return
        for stall in market.stalls.values():
            _ServerWeather(market, stall, Random(f"weather/{seed}/{stall.server_id}"))

    def _move_rates(self, at: int) -> None:
        market = self._market
        market.schedule(at + _RATES_EVERY, self._move_rates)
        rates = dict(market.rates)
        for currency, noise in _RATE_NOISE.items():
            if currency in rates:
                factor = Decimal(repr(round(self._rate_chance.lognormvariate(0, noise), 6)))
                # Six significant digits, as exchanges print rates.
                moved = rates[currency] * factor
                rates[str(currency)] = round(moved, 5 - moved.adjusted())
        market.move_rates(rates)


class _ServerWeather:
    """One server's fate."""

    def __init__(self, market: Market, stall: Stall, chance: Random) -> None:
        self._market = market
        self._stall = stall
        self._chance = chance
        self._gap_hours = chance.uniform(12, 48)
        if stall.rented:
            # Long rentals are over-represented among those found running.
            market.schedule(self._in(chance.expovariate(1 / 18)), self._vacate)
        else:
            market.schedule(self._in(chance.expovariate(1 / self._gap_hours)), self._rent)
        market.schedule(self._in(chance.expovariate(1 / _OUTAGE_EVERY_HOURS)), self._fail)
        market.schedule(self._in(chance.expovariate(1 / _FLOOR_EVERY_HOURS)), self._reprice)

    def _in(self, hours: float) -> int:
        return self._market.at + max(MINUTE, round(hours * HOUR))

    def _rent(self, at: int) -> None:  # noqa: ARG002 - an event's signature
        chance, stall = self._chance, self._stall
        hours = chance.lognormvariate(1.1, 0.8)
        if stall.tenant is None and stall.online and stall.visibility == "public":
            self._market.schedule(self._in(hours), self._vacate)
            self._market.set_rented(stall, rented=True)
            return
        self._market.schedule(self._in(hours), self._rent)

    def _vacate(self, at: int) -> None:  # noqa: ARG002 - an event's signature
        self._market.schedule(self._in(self._chance.expovariate(1 / self._gap_hours)), self._rent)
        self._market.set_rented(self._stall, rented=False)

    def _fail(self, at: int) -> None:  # noqa: ARG002 - an event's signature
        self._market.schedule(self._in(self._chance.lognormvariate(-1.2, 0.8)), self._recover)
        self._market.set_online(self._stall, online=False)

    def _recover(self, at: int) -> None:  # noqa: ARG002 - an event's signature
        hours = self._chance.expovariate(1 / _OUTAGE_EVERY_HOURS)
        self._market.schedule(self._in(hours), self._fail)
        self._market.set_online(self._stall, online=True)

    def _reprice(self, at: int) -> None:  # noqa: ARG002 - an event's signature
        chance, stall = self._chance, self._stall
        self._market.schedule(self._in(chance.expovariate(1 / _FLOOR_EVERY_HOURS)), self._reprice)
        factor = chance.uniform(0.94, 1.06)
        if stall.hosted_by_us:
            return
        for currency, floor in stall.floor.items():
            rate = self._market.start_rates.get(currency)
            placeholder = currency == Currency.BTC and floor >= Decimal("0.01")
            if rate is not None and floor > 0 and not placeholder:
                stall.floor[currency] = host_price(float(floor * rate) * factor, currency, rate)
        self._market.set_prices(stall)
