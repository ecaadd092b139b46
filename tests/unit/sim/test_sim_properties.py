"""What holds whatever anybody does: one winner per server, and every coin accounted for."""

from decimal import Decimal, localcontext
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.sim.desk import BTC, CLORE, Desk, make_listing, make_world

from bidder.domain.money import EXACT
from bidder.sim.billing import amount
from bidder.sim.rules import Rules

SERVERS = (6, 7)

READS = ("wallets", "my_servers", "server_config", "marketplace", "my_orders", "spot_marketplace")
WRITES = ("set_server_settings", "set_spot_price", "cancel_order", "create_order")
FIELDS = ("type", "spotprice", "ports", "env", "id", "order_id", "desired_price", "name", "mrl")

moves = st.lists(
    st.tuples(
        st.sampled_from(
            ("bid", "rent", "reprice", "cancel", "rival", "leave", "rented", "power", "rate", "wait")
        ),
        st.sampled_from(SERVERS),
        st.integers(0, 40),
        st.sampled_from((BTC, CLORE)),
    ),
    max_size=25,
)
rules = st.builds(
    Rules,
    billing=st.sampled_from(("full_minutes", "begun_minutes", "pro_rata")),
    outbid=st.sampled_from(("waits", "expires")),
    displaced=st.sampled_from(("waits", "expires")),
    tie=st.sampled_from(("earlier_price", "earlier_offer", "incumbent")),
    visibility_delay_seconds=st.just((0.0, 0.0)),
)


def make_move(desk: Desk, move: tuple[str, int, int, str]) -> None:
    name, server, size, currency = move
    price = str(Decimal("0.00001") + size * Decimal("1e-6") if currency == BTC else Decimal(6 + size))
    own = list(desk.market.live.values())
    rivals = [offer for offer in desk.stall(server).offers if not offer.mine]
    match name:
        case "bid":
            desk.bid(price, server, currency)
        case "rent":
            desk.rent(server, currency)
        case "reprice" if own:
            desk.reprice(
                price if own[size % len(own)].currency == currency else "9",
                own[size % len(own)].order_id,
            )
        case "cancel" if own:
            desk.cancel(own[size % len(own)].order_id)
        case "rival":
            desk.rival_bids(price, server, currency)
        case "leave" if rivals:
            desk.market.end(rivals[size % len(rivals)], "left")
        case "rented":
            desk.stranger_rents(rented=size % 2 == 0, server=server)
        case "power":
            desk.power(online=size % 2 == 0, server=server)
        case "rate":
            rates = {**desk.market.rates, CLORE: Decimal(1 + size) / 100}
            desk.market.move_rates(rates)
        case "wait":
            desk.wait(size * 37.123)


def check_books(desk: Desk) -> None:
    for stall in desk.market.stalls.values():
        running = [offer for offer in stall.offers if offer.active]
        tenant = stall.tenant
        assert len(running) <= 1
        assert stall.active in (running or [tenant if tenant and tenant.active else None])
        if not stall.open_to_bids:
            assert not running
        elif stall.offers:
            best = max(offer.price * desk.market.rates[offer.currency] for offer in stall.offers)
            assert running[0].price * desk.market.rates[running[0].currency] == best


def check_money(desk: Desk) -> None:
    desk.market.charge_all()
    wallets = desk.market.wallets
    for currency in (BTC, CLORE):
        orders = [order for order in desk.market.own.values() if order.currency == currency]
        charged = sum(order.charged * (100 + order.fee_percent) / 100 for order in orders)
        fees = sum((order.creation_fee for order in orders), Decimal(0))
        assert wallets.charged.get(currency, Decimal(0)) == charged
        with localcontext(EXACT):
            expected = wallets.deposits[currency] - fees - amount(Decimal(charged))
        assert wallets.balance(currency) == expected


@settings(max_examples=120, deadline=None)
@given(moves=moves, rules=rules)
def test_one_winner_per_server_and_every_coin_accounted_for(moves: Any, rules: Rules) -> None:
    """After any sequence of moves, under any rules."""
    desk = Desk(rules, make_world(make_listing(6), make_listing(7)))
    for move in moves:
        make_move(desk, move)
        check_books(desk)
    check_money(desk)


@settings(max_examples=60, deadline=None)
@given(moves=moves)
def test_a_waiting_order_is_never_charged(moves: Any) -> None:
    """Spend grows only while an order runs."""
    desk = Desk(
        Rules(visibility_delay_seconds=(0, 0), billing="pro_rata"),
        make_world(make_listing(6), make_listing(7)),
    )
    for move in moves:
        make_move(desk, move)
        desk.market.charge_all()
        idle = {o.order_id: o.charged for o in desk.market.own.values() if not o.active}
        desk.wait(100)
        desk.market.charge_all()
        for order_id, charged in idle.items():
            if not desk.market.own[order_id].active:
                assert desk.market.own[order_id].charged == charged


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(("GET", "POST")),
    endpoint=st.sampled_from((*READS, *WRITES)),
    query=st.text(max_size=20),
    body=st.one_of(
        st.binary(max_size=40),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ("type", "spotprice", "ports", "env", "id", "order_id", "desired_price", "name")
                    ),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=6,
        ),
    ),
)
def test_whatever_is_sent_an_answer_comes_back(
    method: str, endpoint: str, query: str, body: Any
) -> None:
    """Codes, never exceptions."""
    desk = Desk()
    if isinstance(body, bytes):
        answer = desk.raw(method, endpoint, query=query, content=body)
    else:
        answer = desk.raw(method, endpoint, body, query=query)

    assert answer.code in range(7)
