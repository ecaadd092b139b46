"""Generated worlds look like the recorded marketplace; recorded ones load; bad files say why."""

import gzip
from collections import Counter
from decimal import Decimal
from pathlib import Path
from random import Random
from statistics import quantiles

import msgspec
import pytest
from unit.sim.desk import BTC, CLORE, START, Desk

from bidder.errors import BadInput
from bidder.sim.exchange import SimExchange
from bidder.sim.generate import floor_ratio, generate
from bidder.sim.world import World, load_marketplace

RECORDED = Path(__file__).parents[3].parent / "shared/data/clore_marketplace_2024-05-21.json.gz"


@pytest.fixture(scope="module")
def world() -> World:
    return generate(7, 3000)


def test_a_world_depends_on_its_seed_only() -> None:
    """Same seed, same world; another seed, another one."""
    assert generate(3, 50) == generate(3, 50)
    assert generate(3, 50) != generate(4, 50)


def test_floor_ratios_follow_the_recorded_shares(world: World) -> None:
    """5th percentile 0.60, 25th 0.84, median 0.95, 75th 1.0, 95th 1.03."""
    ratios = [
        float(listing.floor[CLORE] / listing.on_demand[CLORE])
        for listing in world.listings
        if listing.on_demand.get(CLORE, 0) > 5
    ]
    cuts = quantiles(ratios, n=20)

    for place, expected in ((0, 0.60), (4, 0.84), (9, 0.95), (14, 1.0), (18, 1.03)):
        assert cuts[place] == pytest.approx(expected, abs=0.03)
    assert sum(ratio > 1 for ratio in ratios) > len(ratios) * 0.05


def test_the_ratio_itself_has_the_recorded_quantiles() -> None:
    """Before any rounding to a host's digits."""
    chance = Random(1)
    cuts = quantiles([floor_ratio(chance) for _ in range(20_000)], n=20)

    assert [round(cuts[place], 2) for place in (4, 9, 14)] == pytest.approx([0.84, 0.95, 1.0], abs=0.01)


def test_the_usual_mess_is_there(world: World) -> None:
    """Placeholders, currencies not allowed, new servers, odd fields, rentals, mrl."""
    listings = world.listings
    count = len(listings)
    placeholder = sum(listing.on_demand[BTC] == Decimal("0.01") for listing in listings)
    forbidden = sum(any(not item.takes(coin) for coin in item.on_demand) for item in listings)
    assert 0.03 < placeholder / count < 0.09
    assert 0.06 < forbidden / count < 0.14
    assert Counter(listing.mrl_hours for listing in listings).most_common(1)[0][0] == 72
    assert all(6 <= listing.mrl_hours <= 1440 for listing in listings)
    assert any(listing.extras["rating"]["cnt"] == 0 for listing in listings)
    assert any(listing.extras["reliability"] == 0 for listing in listings)
    assert {"gpu_array", "gigaspot", "oc"} <= {name for item in listings for name in item.extras}
    assert 0.25 < sum(listing.rented for listing in listings) / count < 0.45
    assert len({listing.gpu()[1] for listing in listings}) > 15
    assert all(
        listing.gpu()[0] == len(listing.specs["pl"])
        for listing in listings
        if "x " in listing.specs["gpu"]
    )


def test_a_small_world_has_competition_within_a_model() -> None:
    """Sixty servers of a handful of models."""
    models = Counter(listing.gpu()[1] for listing in generate(1, 60).listings)

    assert len(models) <= 6
    assert models["NVIDIA GeForce RTX 4090"] >= 10


@pytest.mark.skipif(not RECORDED.exists(), reason=f"needs the recorded marketplace at {RECORDED}")
def test_the_recorded_marketplace_goes_through_unchanged() -> None:
    """What was recorded is what the simulator's marketplace answers at its start."""
    recorded = msgspec.json.decode(gzip.decompress(RECORDED.read_bytes()))
    desk = Desk(world=load_marketplace(RECORDED))

    answer = msgspec.json.decode(desk.raw("GET", "marketplace").body)

    assert answer["servers"][:-1] == recorded["servers"]
    assert answer["my_servers"] == [answer["servers"][-1]["id"]]


@pytest.mark.skipif(not RECORDED.exists(), reason=f"needs the recorded marketplace at {RECORDED}")
def test_the_recorded_marketplace_can_be_played() -> None:
    """Six hours with rivals; every book can be read."""
    exchange = SimExchange(load_marketplace(RECORDED), seed=1, start=START)
    exchange.market.advance(exchange.market.at + 6 * 3600 * 10**6)

    running = sum(stall.active is not None for stall in exchange.market.stalls.values())
    assert running > 500


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.json", b"{", "not JSON: .*; name a recorded `marketplace` answer"),
        ("a.json", b"[]", "servers"),
        ("a.json", b'{"servers": {}}', "servers"),
        ("a.json", b'{"servers": []}', "no server"),
        ("a.json", b'{"servers": [1]}', r"servers\[0\]: not an object"),
        ("a.json", b'{"servers": [{"id": 1, "owner": 1, "mrl": 1}]}', "price"),
        ("a.json", b'{"servers": [{"id": "1", "price": {}}]}', '"id" is not a whole number'),
        (
            "a.json",
            b'{"servers": [{"id": 1, "owner": 1, "mrl": 1, "price": {"spot": {"bitcoin": "1"}}}]}',
            r"price.spot.bitcoin: not a price",
        ),
        (
            "a.json",
            b'{"servers": [' + b",".join([b'{"id":1,"owner":1,"mrl":1,"price":{}}'] * 2) + b"]}",
            "twice",
        ),
        ("a.json.gz", b"{}", "cannot be read"),
        ("a.json", b"\xff\xfe\x00", "not JSON"),
    ],
)
def test_a_bad_file_is_named_with_its_problem(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    """One line that says which file and what is wrong with it."""
    file = tmp_path / name
    file.write_bytes(content)

    with pytest.raises(BadInput, match=problem) as caught:
        load_marketplace(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    """So is a directory."""
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(BadInput, match="cannot be read"):
            load_marketplace(path)


def test_placeholders_and_empty_prices_load(tmp_path: Path) -> None:
    """Null prices, a floor beside the price, unknown fields: all were met."""
    file = tmp_path / "m.json"
    file.write_bytes(
        b'{"servers":[{"id":5,"owner":1,"mrl":24,"price":{"on_demand":{"bitcoin":0.01,"usd":null}},'
        b'"spot":{"bitcoin":1e-6},"rented":false,"specs":{"gpu":"4x Tesla P40"},"new":{"a":1}}]}'
    )

    listing = load_marketplace(file).listings[0]
    assert (listing.gpu(), listing.floor[BTC]) == ((4, "Tesla P40"), Decimal("0.000001"))
    assert (dict(listing.on_demand), dict(listing.extras)) == (
        {BTC: Decimal("0.01")},
        {"new": {"a": 1}, "spot": {"bitcoin": Decimal("1e-6")}},
    )
