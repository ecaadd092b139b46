"""Every limit of ``create_order`` is checked before anything is sent, at its exact edge."""

import json
from dataclasses import replace
from typing import Any

import pytest
from builders import LAUNCH
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain import launch_rules
from bidder.domain.policy import Launch

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5+/= me@home"


def whole_env(length: int) -> tuple[tuple[str, str], ...]:
    """Return eight variables that are ``length`` characters long as one line of JSON."""
    full = [(f"B{i}", "v" * 1536) for i in range(7)]
    left = length - len(json.dumps(dict([*full, ("B7", "")]), separators=(",", ":")))
    return (*full, ("B7", "v" * left))


FINE: list[dict[str, Any]] = [
    {"image": "cloreai/ubuntu20.04-jupyter"},
    {"image": "ubuntu"},
    {"image": "ubuntu:22.04"},
    {"image": "registry.example.com:5000/team/app:v1.2_3"},
    {"image": "ghcr.io/owner/app@sha256:" + "0" * 64},
    {"ports": tuple((str(port), "tcp") for port in (22, 80, 443, 8080, 65535))},
    {"ports": (("22", "tcp"), ("8888", "http"))},
    {"env": (("A" * 128, "v" * 1536),)},
    {"env": (("EMPTY", ""),)},
    {"env": whole_env(12_000)},
    {"jupyter_token": "x" * 32},
    {"ssh_password": "x" * 32},
    {"ssh_password": "a Z0-=.@+/"},
    {"ssh_key": KEY},
    {"ssh_key": "x" * 3072},
    {"command": "apt-get update && echo 'ready' > /tmp/state"},
]
BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("image", {"image": ""}),
    ("image", {"image": "Ubuntu"}),
    ("image", {"image": "ubuntu:bad tag"}),
    ("image", {"image": "a/" * 300 + "b"}),
    ("ports", {"ports": tuple((str(port), "tcp") for port in (22, 80, 443, 8080, 8081, 8082))}),
    ("ports", {"ports": (("0", "tcp"),)}),
    ("ports", {"ports": (("65536", "tcp"),)}),
    ("ports", {"ports": (("ssh", "tcp"),)}),
    ("ports", {"ports": (("-1", "tcp"),)}),
    ("ports", {"ports": (("22", "udp"),)}),
    ("ports", {"ports": (("22", "tcp"), ("22", "http"))}),
    ("ports", {"ports": (("80", "http"), ("81", "http"))}),
    ("env", {"env": (("A" * 129, "v"),)}),
    ("env", {"env": (("", "v"),)}),
    ("env", {"env": (("A", "a\x00b"),)}),
    ("env.A", {"env": (("A", "v" * 1537),)}),
    ("env.A", {"env": (("A", "one&two"),)}),
    ("env", {"env": whole_env(12_001)}),
    ("jupyter_token", {"jupyter_token": "x" * 33}),
    ("jupyter_token", {"jupyter_token": ""}),
    ("ssh_password", {"ssh_password": "x" * 33}),
    ("ssh_key", {"ssh_key": "x" * 3073}),
    ("command", {"command": "a\x00b"}),
    ("command", {"command": "x" * 64_001}),
]


@pytest.mark.parametrize("changes", FINE, ids=lambda c: next(iter(c)))
def test_what_the_exchange_takes_has_no_problem(changes: dict[str, Any]) -> None:
    """Up to and including each limit."""
    assert launch_rules.check_launch(replace(LAUNCH, **changes)) == ()


@pytest.mark.parametrize(("key", "changes"), BROKEN)
def test_one_step_beyond_a_limit_is_named_by_its_key(key: str, changes: dict[str, Any]) -> None:
    """With what is wrong and a remedy."""
    problems = launch_rules.check_launch(replace(LAUNCH, **changes))
    assert [problem[0] for problem in problems] == [key]
    assert all(problem[1] and problem[2] for problem in problems)


@pytest.mark.parametrize("field", ["ssh_password", "ssh_key", "jupyter_token"])
@pytest.mark.parametrize("character", [*"_!#$%&*()[]{}<>?;:'\"\\|~^`,", "ä", "\u00a0", "１"])
def test_a_character_that_the_exchange_forbids_is_found(field: str, character: str) -> None:
    """The API's own list, and nothing that merely looks like a letter or a space."""
    changes: dict[str, Any] = {field: f"a{character}b"}
    launch = replace(LAUNCH, **changes)
    assert [problem[0] for problem in launch_rules.check_launch(launch)] == [field]


def test_every_problem_is_told_at_once() -> None:
    """The owner mends the file in one go."""
    launch = Launch(image="Bad Image", ports=(("0", "udp"),), ssh_password="_", command="\x00")
    keys = [problem[0] for problem in launch_rules.check_launch(launch)]
    assert keys == ["image", "ports", "ports", "ssh_password", "command"]


_SECRETS = st.text(min_size=1, max_size=40).map(lambda text: f"<{text}>")


@given(secret=_SECRETS)
def test_no_problem_quotes_a_secret(secret: str) -> None:
    """Problems are printed and logged."""
    launch = Launch(
        image="ubuntu",
        env=(("NAME", f"{secret}&"),),
        ssh_password=f"{secret}_",
        ssh_key=f"{secret}_",
        jupyter_token=f"{secret}_",
        command=f"{secret}\x00",
    )
    told = launch_rules.check_launch(launch)
    assert len(told) >= 4
    assert all(secret not in part for problem in told for part in problem)
