"""From status, headers and bytes to a yes, a typed refusal, or doubt."""

import json
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder import errors
from bidder.errors import InDoubt, RateLimited, Refused
from bidder.exchange import answers

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SEED = Path(__file__).parents[2] / "fixtures" / "seed"


def refusal(body: dict[str, Any] | bytes, status: int = 200, **headers: str) -> Refused:
    """Return the refusal that an answer is."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Refused) as caught:
        answers.check("set_spot_price", status, headers, content, NOW)
    return caught.value


@pytest.mark.parametrize("path", sorted(SEED.glob("*.json")), ids=lambda path: path.stem)
def test_every_documented_answer_is_a_yes_or_its_own_refusal(path: Path) -> None:
    """Code 0 passes; the two documented refusals are typed and carry their number."""
    body = path.read_bytes()
    match path.stem:
        case "exceeded_max_step":
            error = refusal(body)
            assert isinstance(error, errors.StepExceeded)
            assert error.max_step == Decimal("0.0000032")
        case "can_lower_every_600_seconds":
            wait = refusal(body)
            assert isinstance(wait, errors.LoweredTooSoon)
            assert wait.time_to_lowering == 513
        case _:
            answers.check("any", 200, {}, body, NOW)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"code": 2}, errors.InvalidRequest),
        ({"code": 3}, errors.InvalidToken),
        ({"code": 4}, errors.InvalidEndpoint),
        ({"code": 5}, errors.RateLimited),
        ({"code": 6, "error": "exceeded_max_step", "max_step": 1e-6}, errors.StepExceeded),
        ({"code": 6, "error": "can_lower_every_600_seconds"}, errors.LoweredTooSoon),
        ({"code": 6, "error": "too_low_price", "min_price": 0.5}, errors.PriceTooLow),
        ({"code": 6, "error": "server-already-rented"}, errors.ServerTaken),
        ({"code": 6, "error": "already-rented"}, errors.ServerTaken),
        ({"code": 6, "error": "server-offline"}, errors.ServerOffline),
        ({"code": 6, "error": "currency-not-allowed"}, errors.CurrencyNotAllowed),
        ({"code": 6, "error": "not_enough_balance"}, errors.NotEnoughBalance),
        ({"code": 6, "error": "amount_too_low"}, errors.PriceTooLow),
        ({"code": 6, "error": "server-dont-exist"}, errors.ServerOffline),
        ({"code": 6, "error": "machine-is-on-gigaspot"}, errors.ServerBarred),
        ({"code": 6, "error": "cant_rent_from_yourself"}, errors.ServerBarred),
        ({"code": 6, "error": "you_already_have_spot_order"}, errors.OrderExists),
        ({"code": 6, "error": "order_dont_exist"}, errors.OrderGone),
        ({"code": 6, "error": "order_not_active"}, errors.OrderGone),
        ({"code": 6, "error": "a new one"}, errors.OtherRefusal),
        ({"code": 6}, errors.OtherRefusal),
        ({"code": 77}, errors.OtherRefusal),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_every_refusal_has_its_type_whatever_the_status(
    body: dict[str, Any], kind: type[Refused], status: int
) -> None:
    """The code decides, not the HTTP status, unless that is a server's error."""
    assert type(refusal(body, status)) is kind


def test_refusals_carry_their_numbers_exactly() -> None:
    """No float touches a price on its way in."""
    error = refusal(b'{"code":6,"error":"exceeded_max_step","max_step":0.00000319999999999999999}')
    assert isinstance(error, errors.StepExceeded)
    assert str(error.max_step) == "0.00000319999999999999999"
    low = refusal(b'{"code":6,"error":"too_low_price","min_price":4.2e-7}')
    assert isinstance(low, errors.PriceTooLow)
    assert low.min_price == Decimal("0.00000042")


@pytest.mark.parametrize("value", ["null", "-1", '"x"', "1e400", "[]", "{}", "true"])
def test_a_number_that_makes_no_sense_does_not_hide_the_refusal(value: str) -> None:
    """What the code says is certain; the number is then unknown or within bounds."""
    step = refusal(f'{{"code":6,"error":"exceeded_max_step","max_step":{value}}}'.encode())
    assert step.code == 6
    if isinstance(step, errors.StepExceeded):
        assert step.max_step is None or step.max_step >= 0
    wait = refusal(
        f'{{"code":6,"error":"can_lower_every_600_seconds","time_to_lowering":{value}}}'.encode()
    )
    if isinstance(wait, errors.LoweredTooSoon) and wait.time_to_lowering is not None:
        assert 0 <= wait.time_to_lowering < math.inf


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b'{"code":'),
        (200, b"{}"),
        (200, b"[]"),
        (200, b"null"),
        (200, b'{"code":null}'),
        (200, b'{"code":"0"}'),
        (200, b'{"code":0.5}'),
        (200, b'{"code":NaN}'),
        (200, b"<html>busy</html>"),
        (200, b'{"code":1}'),
        (500, b'{"code":1}'),
        (500, b'{"code":0}'),
        (502, b"<html>Bad gateway</html>"),
        (403, b"<html>Forbidden</html>"),
        (403, b'{"code":0}'),
        (520, b""),
        (524, b"<html></html>"),
        (503, b'{"code":6,"error":"not_enough_balance"}'),
        (200, b"\xff\xfe\x00"),
    ],
)
def test_what_cannot_be_read_is_doubt(status: int, body: bytes) -> None:
    """Never a guess: it may have been carried out."""
    with pytest.raises(InDoubt):
        answers.check("create_order", status, {}, body, NOW)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("0.5", 0.5),
        ("-4", 0.0),
        ("999999999", 300.0),
        ("299", 299.0),
        ("86400", 300.0),
        ("nan", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 99 Foo 2015", None),
    ],
)
@pytest.mark.parametrize(("status", "body"), [(429, b""), (200, b'{"code":5}'), (429, b"<html>")])
def test_too_many_requests_are_recognised_by_status_or_code(
    header: str | None, seconds: float | None, status: int, body: bytes
) -> None:
    """With ``Retry-After`` as a number or a date, and without."""
    headers = {} if header is None else {"retry-after": header}
    with pytest.raises(RateLimited) as caught:
        answers.check("wallets", status, headers, body, NOW)
    assert caught.value.retry_after_seconds == seconds


@pytest.mark.parametrize("code", [0, 1])
def test_too_many_requests_that_were_carried_out_all_the_same_are_doubt(code: int) -> None:
    """Taken for not sent, an order that was made would be ordered once more."""
    with pytest.raises(InDoubt):
        answers.check("create_order", 429, {}, json.dumps({"code": code}).encode(), NOW)


def test_a_moment_to_retry_after_counts_from_the_answers_own_date() -> None:
    """Both are the exchange's: how far our own calendar lies from its does not matter."""
    headers = {
        "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT",
        "date": "Wed, 21 Oct 2015 07:28:00 GMT",
    }
    with pytest.raises(RateLimited) as caught:
        answers.check("wallets", 429, headers, b"", NOW)
    assert caught.value.retry_after_seconds == 30.0


def test_a_moment_to_retry_after_counts_from_our_own_time_where_the_answer_has_none() -> None:
    """In scaled and virtual time that is years from the machine's."""
    headers = {"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}
    with pytest.raises(RateLimited) as caught:
        answers.check("wallets", 429, headers, b"", NOW)
    assert caught.value.retry_after_seconds == 30.0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@given(
    st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries(
        {"code": st.integers(-3, 9) | JSON},
        optional={"error": JSON, "max_step": JSON, "min_price": JSON},
    ).map(lambda value: json.dumps(value).encode()),
    st.integers(100, 599),
    st.dictionaries(st.just("retry-after"), st.text(max_size=30)),
)
def test_nothing_but_the_three_families_leaves(
    body: bytes, status: int, headers: dict[str, str]
) -> None:
    """Whatever a proxy says: a yes, a refusal or doubt."""
    said = None
    try:
        answers.check("my_orders", status, headers, body, NOW)
    except (Refused, InDoubt) as exc:
        said = str(exc)
    if said is None:
        assert json.loads(body)["code"] == 0
        assert status < 400
    else:
        assert "\n" not in said


@given(st.text(max_size=400))
def test_text_from_outside_is_made_harmless(text: str) -> None:
    """A refusal's words reach terminals and logs: no control characters, bounded length."""
    error = refusal({"code": 6, "error": text})
    shown = error.error or ""
    assert len(shown) <= 200
    assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in str(error))


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        ("Mon, 05 Jan 2026 13:00:00 GMT", timedelta(hours=1)),
        ("Sun, 04 Jan 2026 12:00:00 GMT", timedelta(days=-1)),
        ("Mon, 05 Jan 2026 12:01:30 GMT", timedelta(0)),
        ("Mon, 05 Jan 1026 12:00:00 GMT", timedelta(0)),
        ("yesterday", timedelta(0)),
        ("", timedelta(0)),
        (None, timedelta(0)),
    ],
)
def test_the_exchanges_clock_is_known_by_its_date(date: str | None, ahead: timedelta) -> None:
    """Where it differs by more than caches explain, and by no more than clocks do."""
    assert answers.clock_ahead(date, datetime(2026, 1, 5, 12, tzinfo=UTC)) == ahead
