"""What leaves: plain decimals, the exchange's spelling, nothing that was not asked for."""

import json
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain.actions import PlaceBid, RentOnDemand
from bidder.domain.ids import ServerId
from bidder.domain.launch_rules import check_launch
from bidder.domain.money import Currency, Price
from bidder.domain.policy import Launch
from bidder.exchange import requests

PLAIN = Launch(image="cloreai/ubuntu20.04-jupyter")
PRICES = st.decimals(
    min_value=Decimal("1e-12"), max_value=Decimal("1e9"), allow_nan=False, allow_infinity=False
)


def place(launch: Launch, price: str = "0.000001") -> PlaceBid:
    """Return a bid on server 6."""
    return PlaceBid(
        server=ServerId(6), price=Price(Decimal(price), Currency.BTC), target="t", launch=launch
    )


def test_a_spot_order_as_documented() -> None:
    """The sample request of the documentation, field by field."""
    launch = Launch(
        image="cloreai/ubuntu20.04-jupyter",
        ports=(("22", "tcp"), ("8888", "http")),
        env=(("VARIABLE_NAME", "VARIABLE_VALUE"),),
        jupyter_token="hoZluOjbCOQ5D5yH7R",
        ssh_password="Hpcj08ZaOpCbTmn1Eu",
        command="#!/bin/sh\napt update -y && apt install htop",
    )
    body = json.loads(requests.encode(requests.creation(place(launch))), parse_float=Decimal)
    assert body == {
        "currency": "bitcoin",
        "image": "cloreai/ubuntu20.04-jupyter",
        "renting_server": 6,
        "type": "spot",
        "spotprice": Decimal("0.000001"),
        "ports": {"22": "tcp", "8888": "http"},
        "env": {"VARIABLE_NAME": "VARIABLE_VALUE"},
        "jupyter_token": "hoZluOjbCOQ5D5yH7R",
        "ssh_password": "Hpcj08ZaOpCbTmn1Eu",
        "command": "#!/bin/sh\napt update -y && apt install htop",
    }
    assert check_launch(launch) == ()


def test_an_on_demand_order_names_the_price_it_starts_at() -> None:
    """``required_price`` instead of ``spotprice``; what is not set is not sent."""
    action = RentOnDemand(
        server=ServerId(6), price=Price(Decimal("1.5"), Currency.BTC), target="t", launch=PLAIN
    )
    body = json.loads(requests.encode(requests.creation(action)))
    assert body == {
        "currency": "bitcoin",
        "image": PLAIN.image,
        "renting_server": 6,
        "type": "on-demand",
        "required_price": 1.5,
    }


@given(PRICES)
def test_a_price_leaves_as_a_plain_decimal_literal(amount: Decimal) -> None:
    """Never an exponent, never a float's tail, and read back as the same number."""
    body = requests.encode({"order_id": 1, "desired_price": amount}).decode()
    literal = body.split('"desired_price":')[1].rstrip("}")
    assert re.fullmatch(r"\d+(\.\d+)?", literal)
    assert Decimal(literal) == amount


@given(st.text(max_size=60))
def test_text_is_encoded_as_json(text: str) -> None:
    """Quotes, control characters and any script arrive as they are."""
    body = requests.encode({"name": text})
    assert json.loads(body) == {"name": text}


LIMITS = {
    "five ports pass": (Launch(image="a", ports=tuple((str(n), "tcp") for n in range(1, 6))), None),
    "six do not": (Launch(image="a", ports=tuple((str(n), "tcp") for n in range(1, 7))), "ports"),
    "a port of 0": (Launch(image="a", ports=(("0", "tcp"),)), "ports"),
    "a port too high": (Launch(image="a", ports=(("65536", "tcp"),)), "ports"),
    "udp": (Launch(image="a", ports=(("53", "udp"),)), "ports"),
    "name at the limit": (Launch(image="a", env=(("n" * 128, "v"),)), None),
    "name too long": (Launch(image="a", env=(("n" * 129, "v"),)), "env"),
    "value at the limit": (Launch(image="a", env=(("n", "v" * 1536),)), None),
    "value too long": (Launch(image="a", env=(("n", "v" * 1537),)), "env.n"),
    "whole too long": (Launch(image="a", env=tuple((f"n{i}", "v" * 1500) for i in range(8))), "env"),
    "an ampersand": (Launch(image="a", env=(("n", "a&b"),)), "env.n"),
    "password at the limit": (Launch(image="a", ssh_password="p" * 32), None),
    "password too long": (Launch(image="a", ssh_password="p" * 33), "ssh_password"),
    "password empty": (Launch(image="a", ssh_password=""), "ssh_password"),
    "password with !": (Launch(image="a", ssh_password="hello!"), "ssh_password"),
    "password with é": (Launch(image="a", ssh_password="é"), "ssh_password"),
    "password of what is allowed": (Launch(image="a", ssh_password="aZ09 -=.@+/"), None),
    "token too long": (Launch(image="a", jupyter_token="t" * 33), "jupyter_token"),
    "key at the limit": (Launch(image="a", ssh_key="k" * 3072), None),
    "key too long": (Launch(image="a", ssh_key="k" * 3073), "ssh_key"),
    "no image": (Launch(image=""), "image"),
    "image with a space": (Launch(image="a b"), "image"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_of_the_documentation_is_checked_before_sending(name: str) -> None:
    """At the limit it passes, above it one problem names the key, and quotes no value."""
    launch, key = LIMITS[name]
    problems = check_launch(launch)
    assert [problem[0] for problem in problems] == ([] if key is None else [key])
    assert "hello!" not in str(problems)


def test_what_runs_is_not_in_the_repr() -> None:
    """Passwords, keys, environment and command stay out of logs by construction."""
    launch = Launch(
        image="a",
        env=(("K", "canary-1"),),
        ssh_password="canary-2",
        ssh_key="canary-3",
        jupyter_token="canary-4",
        command="canary-5",
    )
    assert "canary" not in repr(launch)
    assert "canary" not in repr(place(launch))
