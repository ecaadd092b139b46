"""The simulated exchange: ten endpoints over the market, with the real one's shapes and refusals.

A pure state machine. It reads no clock: every request comes with the moment of its arrival, and
the market is played up to that moment first. It imports nothing of the player's (price rules,
client, strategies), so that a misreading of the API cannot pass on both sides.
"""

import itertools
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any

from bidder.domain.money import Currency
from bidder.sim import answers, bodies, shapes
from bidder.sim.answers import Answer, Request
from bidder.sim.auction import Order, Stall
from bidder.sim.billing import shown
from bidder.sim.crowd import Crowd
from bidder.sim.limits import Limits
from bidder.sim.market import BelowFloor, Market, PriceRefusal, StepTooLarge, TooSoon, seconds_until
from bidder.sim.moments import DAY, MINUTE, micros, moment, span
from bidder.sim.rivals import Rivals
from bidder.sim.rules import Rules
from bidder.sim.weather import Weather
from bidder.sim.world import World

_PREFIX = "/v1/"
_MAX_HOSTED = 16


class Observer:
    """Sees the account's requests and their answers; does nothing unless overridden."""

    def arrived(self, at: int) -> None:
        """Take note of a request, whatever becomes of it."""

    def answered(self, endpoint: str, answer: Answer, at: int) -> None:
        """Take note of an answer."""

    def price_refused(self, order: Order, refusal: PriceRefusal, at: int) -> None:
        """Take note of a refused new price."""

    def rates_sent(self, rates: Mapping[str, Decimal]) -> None:
        """Take note that an answer with these rates is on its way to the account."""

    def answer_lost(self) -> None:
        """Take note that the last answer never got there."""


class SimExchange:
    """One account's view of a simulated marketplace."""

    def __init__(
        self,
        world: World,
        rules: Rules | None = None,
        *,
        seed: int = 1,
        start: datetime,
        token: str = "sim-token",  # noqa: S107 - the simulator's own, no secret
        rivals: bool = True,
        crowd: int | None = None,
    ) -> None:
        """Open the exchange at ``start``; without ``rivals`` only the rates move.

        With ``crowd`` there are that many rivals, who go from server to server; otherwise each server
        draws its own.
        """
        self.rules = rules or Rules()
        self.seed = seed
        self.start = start
        self.token = token
        self._world = world
        self._rivals, self._crowd = rivals, crowd
        self.market = Market(world, self.rules, micros(start))
        Weather(self.market, seed, calm=not rivals)
        if rivals and crowd is not None:
            Crowd(self.market, seed, crowd)
        elif rivals:
            Rivals(self.market, seed)
        self.observers: list[Observer] = []
        self._limits = Limits(self.rules)
        self._anonymous = Limits(self.rules)
        self._chance = Random(f"account/{seed}")
        self._port = itertools.count(10_000)
        # Where the order of a server really leads, and where those of the others do; None: nowhere.
        self.workloads: dict[int, tuple[str, int]] = {}
        self.workload: tuple[str, int] | None = None
        self.repeating = False  # whether what happens now was asked for by the wire alone
        self.unheard = False  # whether nobody is left to hear what comes of it
        self._endpoints: dict[tuple[str, str], Callable[[Request], Answer]] = {
            ("GET", "wallets"): self._wallets,
            ("GET", "my_servers"): self._my_servers,
            ("GET", "server_config"): self._server_config,
            ("GET", "marketplace"): self._marketplace,
            ("GET", "my_orders"): self._my_orders,
            ("GET", "spot_marketplace"): self._spot_marketplace,
            ("POST", "set_server_settings"): self._set_server_settings,
            ("POST", "set_spot_price"): self._set_spot_price,
            ("POST", "cancel_order"): self._cancel_order,
            ("POST", "create_order"): self._create_order,
        }

    def restarted(self) -> "SimExchange":
        """Return the same exchange as it was at its start."""
        again = SimExchange(
            self._world,
            self.rules,
            seed=self.seed,
            start=self.start,
            token=self.token,
            rivals=self._rivals,
            crowd=self._crowd,
        )
        again.workloads, again.workload = self.workloads, self.workload
        return again

    @property
    def now(self) -> datetime:
        """Return the moment up to which everything has happened."""
        return moment(self.market.at)

    def advance(self, now: datetime) -> None:
        """Play everything that happens up to ``now``; an earlier moment changes nothing."""
        self.market.advance(micros(now))

    def handle(self, request: Request, now: datetime) -> Answer:
        """Return the answer to a request that arrives at ``now``, having carried it out."""
        self.advance(now)
        at = self.market.at
        for observer in self.observers:
            observer.arrived(at)
        endpoint = request.path.removeprefix(_PREFIX).strip("/")
        answer = self._answer(request, endpoint)
        for observer in self.observers:
            observer.answered(endpoint, answer, at)
        return answer

    def repeat(self, request: Request, *, late: bool = False) -> Answer:
        """Carry a request out a second time, as a proxy that repeats it would; counted nowhere.

        With ``late`` it is the first time all the same: the request was held back on its way, and
        whoever sent it has given up waiting.
        """
        endpoint = request.path.removeprefix(_PREFIX).strip("/")
        handler = self._endpoints.get((request.method, endpoint))
        if handler is None or request.headers.get("auth") != self.token:
            return answers.failed(answers.INVALID_ENDPOINT, self.rules.invalid_status)
        self.repeating, self.unheard = not late, late
        try:
            return handler(request)
        except bodies.Invalid:
            return answers.failed(answers.INVALID_INPUT, self.rules.invalid_status)
        finally:
            self.repeating = self.unheard = False

    def swallow(self, now: datetime) -> None:
        """Count a request that arrived but never reached the exchange's logic (a fault in front)."""
        self.advance(now)
        for observer in self.observers:
            observer.arrived(self.market.at)

    def lose_answer(self) -> None:
        """Take note that the last answer did not reach the account."""
        for observer in self.observers:
            observer.answer_lost()

    def ground_truth(self) -> list[dict[str, Any]]:
        """Return every order of the account as it really is, listed or not; for crash tests."""
        return [
            {
                "id": order.order_id,
                "server": order.server_id,
                "currency": order.currency,
                "price": str(order.price),
                "spot": order.spot,
                "live": order.live,
                "active": order.active,
                "created_at": moment(order.created_at).isoformat(),
                "ended_at": None if order.ended_at is None else moment(order.ended_at).isoformat(),
                "end_reason": order.end_reason or None,
                "spend": str(shown(order.charged)),
            }
            for order in self.market.own.values()
        ]

    def _answer(self, request: Request, endpoint: str) -> Answer:
        rules, at = self.rules, self.market.at
        token = request.headers.get("auth")
        limits = self._limits if token == self.token else self._anonymous
        if not limits.admits(at, creation=endpoint == "create_order"):
            retry = rules.retry_after_seconds
            headers = {} if retry is None else {"retry-after": str(retry)}
            return answers.failed(answers.OVER_LIMIT, rules.refusal_status, headers)
        handler = self._endpoints.get((request.method, endpoint))
        if handler is None or not request.path.startswith(_PREFIX):
            return answers.failed(answers.INVALID_ENDPOINT, rules.invalid_status)
        if token != self.token and (token is not None or endpoint != "marketplace"):
            return answers.failed(answers.INVALID_TOKEN, rules.invalid_status)
        try:
            return handler(request)
        except bodies.Invalid:
            return answers.failed(answers.INVALID_INPUT, rules.invalid_status)

    # Reading

    def _wallets(self, _: Request) -> Answer:
        market = self.market
        market.charge_all()
        wallets = []
        for place, currency in enumerate(market.wallets.deposits):
            null = self.rules.oddities.null_balance and place == len(market.wallets.deposits) - 1
            balance = max(Decimal(0), market.wallets.balance(currency))
            wallets.append(
                {
                    "name": currency,
                    "deposit": f"sim1q{self.seed:08x}{place:032x}",
                    "balance": None if null else shapes.balance_shown(balance),
                    "withdrawal_fee": Decimal("0.0001") if currency == Currency.BTC else Decimal(1),
                }
            )
        return answers.good(wallets=wallets)

    def _my_servers(self, _: Request) -> Answer:
        servers = []
        for rig, stall in self.market.hosted.values():
            servers.append(shapes.hosted_entry(rig, stall, self.rules.oddities))
        return answers.good(servers=servers, limit=_MAX_HOSTED)

    def _server_config(self, request: Request) -> Answer:
        name = bodies.text(bodies.fields_of(request), "server_name")
        if name not in self.market.hosted:
            return answers.refused("server_not_found")
        rig, stall = self.market.hosted[name]
        config = shapes.hosted_config(rig, stall)
        return answers.good(config=config, creation_completed=stall is not None)

    def _marketplace(self, request: Request) -> Answer:
        oddities = self.rules.oddities
        fragments = []
        for stall in self.market.stalls.values():
            if stall.visibility != "public" or not (stall.online or oddities.offline_listed):
                continue
            if stall.fragment is None:
                stall.fragment = shapes.fragment(stall, oddities)
            fragments.append(stall.fragment)
        parts = [b'{"servers":[', b",".join(fragments), b"]"]
        if request.headers.get("auth") == self.token:
            own = [stall.server_id for _, stall in self.market.hosted.values() if stall is not None]
            parts += [b',"my_servers":', answers.encoded(own)]
        parts.append(b',"code":0}')
        return Answer(status=200, body=b"".join(parts))

    def _my_orders(self, request: Request) -> Answer:
        market, rules = self.market, self.rules
        market.charge_all()
        ended = request.parameter("return_completed") == "true"
        since = 0
        if rules.completed_reach_seconds is not None:
            since = market.at - span(rules.completed_reach_seconds)
        orders = market.own if ended else market.live
        listed = [
            shapes.order_entry(
                order,
                market.stalls[order.server_id],
                rules.oddities,
                self.workloads.get(order.server_id, self.workload),
            )
            for order in reversed(orders.values())
            if order.listed_from <= market.at and (order.ended_at is None or order.ended_at >= since)
        ]
        return answers.good(orders=listed, limit=rules.orders_limit)

    def _spot_marketplace(self, request: Request) -> Answer:
        market, oddities = self.market, self.rules.oddities
        asked = request.parameter("market") or ""
        if not (asked.isascii() and asked.isdigit() and len(asked) < 20):
            raise bodies.Invalid("market")
        stall = market.stalls.get(int(asked))
        if stall is None:
            return answers.good(market=None, exists=False)
        book = shapes.book(stall, oddities)
        if oddities.rates_in_books:
            book["currency_rates_in_usd"] = market.rates
            for observer in self.observers:
                observer.rates_sent(dict(market.rates))
        return answers.good(market=book, exists=True)

    # Changing

    def _set_server_settings(self, request: Request) -> Answer:
        settings = bodies.settings(bodies.fields_of(request))
        if settings.name not in self.market.hosted:
            return answers.refused("server_not_found")
        _, stall = self.market.hosted[settings.name]
        if stall is None:
            return answers.refused("server_not_connected")
        stall.visibility = "public" if settings.availability else "hidden"
        stall.mrl_hours = settings.mrl_hours
        stall.on_demand[str(Currency.BTC)] = settings.on_demand
        stall.floor[str(Currency.BTC)] = settings.spot
        self.market.set_prices(stall)
        return answers.good()

    def _set_spot_price(self, request: Request) -> Answer:
        body = bodies.fields_of(request)
        order = self.market.own.get(bodies.integer(body, "order_id"))
        price = bodies.positive(body, "desired_price")
        if order is None:
            return answers.refused("order_not_found")
        if not order.live:
            return answers.refused("order_already_ended")
        if not order.spot:
            return answers.refused("not_a_spot_order")
        refusal = self.market.set_price(order, price)
        if refusal is None:
            return answers.good()
        for observer in self.observers:
            observer.price_refused(order, refusal, self.market.at)
        match refusal:
            case TooSoon():
                decimals = self.rules.time_to_lowering_decimals
                wait = seconds_until(refusal.opens_at, self.market.at, decimals)
                return answers.refused("can_lower_every_600_seconds", time_to_lowering=wait)
            case StepTooLarge():
                return answers.refused("exceeded_max_step", max_step=refusal.lowest)
            case BelowFloor():
                return answers.refused("too_low_price", min_price=refusal.floor)

    def _cancel_order(self, request: Request) -> Answer:
        body = bodies.fields_of(request)
        bodies.issue(body)
        order = self.market.own.get(bodies.integer(body, "id"))
        if order is None:
            return answers.refused("order_not_found")
        if not order.live:
            return answers.refused("order_already_ended")
        self.market.end(order, "cancelled")
        return answers.good()

    def _create_order(self, request: Request) -> Answer:
        creation = bodies.creation(bodies.fields_of(request))
        if any("&" in value for value in creation.env.values()):
            return answers.failed(answers.DATABASE_ERROR, self.rules.database_error_status)
        stall = self.market.stalls.get(creation.server_id)
        if stall is None:
            return answers.refused("server-not-found")
        refusal = self._creation_refusal(creation, stall)
        if refusal is not None:
            return refusal
        market = self.market
        spot = creation.price is not None
        price = creation.price if creation.price is not None else stall.on_demand[creation.currency]
        if not self._can_pay(creation.currency, price, spot=spot):
            return answers.refused("not_enough_balance")
        order = market.admit(stall, currency=creation.currency, price=price, spot=spot, mine=True)
        order.image = creation.image
        order.tcp_ports = tuple(f"{port}:{next(self._port)}" for port in creation.tcp_ports)
        order.http_port = creation.http_port
        order.listed_from = market.at + span(self._chance.uniform(*self.rules.visibility_delay_seconds))
        market.open_own(order, stall)
        return answers.good()

    def _creation_refusal(self, creation: bodies.Creation, stall: Stall) -> Answer | None:
        rules, currency = self.rules, creation.currency
        spot = creation.price is not None
        if stall.hosted_by_us:
            return answers.refused("cannot-rent-own-server")
        if stall.listing.gigaspot:
            return answers.refused("machine-is-on-gigaspot")
        if stall.visibility != "public":
            return answers.refused("server-not-public")
        if not stall.online:
            return answers.refused("server-offline")
        if stall.rented and not (spot and rules.bids_while_rented == "wait"):
            return answers.refused("server-already-rented")
        asked = (stall.floor if spot else stall.on_demand).get(currency, Decimal(0))
        if not stall.listing.takes(currency) or asked <= 0 or currency not in self.market.rates:
            return answers.refused("currency-not-allowed")
        if creation.price is not None and creation.price < asked:
            return answers.refused("too_low_price", min_price=asked)
        if creation.required_price is not None and creation.required_price != asked:
            return answers.refused("required-price-mismatch")
        if len(self.market.live) >= rules.orders_limit:
            return answers.refused("orders_limit_reached")
        return None

    def _can_pay(self, currency: str, price: Decimal, *, spot: bool) -> bool:
        rules, market = self.rules, self.market
        market.charge_all()
        fee_btc = rules.spot_creation_fee_btc if spot else rules.on_demand_creation_fee_btc
        needed = market.creation_fee(fee_btc, currency)
        needed += price * rules.balance_minutes * MINUTE / DAY
        return market.wallets.balance(currency) >= needed
