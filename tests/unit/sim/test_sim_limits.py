"""One request per second and one creation per five, by arrival; tokens and endpoints."""

import pytest
from unit.sim.desk import TOKEN, Desk, decoded

from bidder.sim.rules import Rules


def codes(desk: Desk, *waits: float, endpoint: str = "wallets", method: str = "GET") -> list[int]:
    """Send once after each wait and return the answers' codes."""
    seen = []
    for seconds in waits:
        desk.wait(seconds)
        body: object = {} if method == "POST" else None
        seen.append(decoded(desk.raw(method, endpoint, body))["code"])
    return seen


def test_a_second_is_judged_to_the_millisecond() -> None:
    """0.999 s after the last accepted request is too soon, 1.0 s is not."""
    assert codes(Desk(), 0, 0.999, 0.001, 1.0, 0.9999) == [0, 5, 0, 0, 5]


def test_a_refused_arrival_may_restart_the_second() -> None:
    """By default it does not; a rule makes it so."""
    strict = Desk(Rules(refused_request_restarts_second=True))

    assert codes(strict, 0, 0.9, 0.9, 1.0) == [0, 5, 5, 0]


def test_all_endpoints_share_the_second() -> None:
    """The budget is the key's, not the endpoint's."""
    desk = Desk()
    assert codes(desk, 0) == [0]
    assert codes(desk, 0.5, endpoint="my_orders") == [5]


def test_creations_keep_five_seconds_from_the_last_attempt() -> None:
    """A refused attempt counts, also one refused for its rate."""
    desk = Desk()

    assert codes(desk, 0, 4.999, 4.999, 5.0, endpoint="create_order", method="POST") == [2, 5, 5, 2]
    assert codes(desk, 0.5) == [5]


def test_creation_spacing_may_ignore_refused_attempts() -> None:
    """A rule lets only admitted attempts count."""
    desk = Desk(Rules(refused_creation_restarts_spacing=False))

    assert codes(desk, 0, 4, 1, endpoint="create_order", method="POST") == [2, 5, 2]


def test_over_the_limit_may_answer_429_with_retry_after() -> None:
    """Status and header are rules of the scenario."""
    desk = Desk(Rules(refusal_status=429, retry_after_seconds=3))
    desk.raw("GET", "wallets")

    answer = desk.raw("GET", "wallets")

    assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, 5, "3")


@pytest.mark.parametrize("token", [None, "wrong", "Bearer " + TOKEN])
def test_a_wrong_token_is_code_3(token: str | None) -> None:
    """Everything but the marketplace needs the token."""
    answer = Desk().raw("GET", "wallets", token=token)

    assert (answer.status, decoded(answer)) == (200, {"code": 3})


def test_the_marketplace_works_without_a_token_but_not_with_a_wrong_one() -> None:
    """Without a token the answer lacks my_servers."""
    desk = Desk()
    assert set(decoded(desk.raw("GET", "marketplace", token=None))) == {"servers", "code"}
    desk.wait(1)

    assert decoded(desk.raw("GET", "marketplace", token="wrong"))["code"] == 3


@pytest.mark.parametrize(
    ("method", "endpoint", "prefix"),
    [("GET", "nothing", "/v1/"), ("GET", "create_order", "/v1/"), ("GET", "wallets", "/v2/")],
)
def test_an_unknown_endpoint_is_code_4(method: str, endpoint: str, prefix: str) -> None:
    """Also a known one by the wrong method or under another version."""
    assert decoded(Desk().raw(method, endpoint, prefix=prefix))["code"] == 4


def test_a_stranger_cannot_use_up_our_second() -> None:
    """Requests with another token are limited apart."""
    desk = Desk()
    desk.raw("GET", "wallets", token="wrong")

    assert decoded(desk.raw("GET", "wallets"))["code"] == 0
