"""Values of the domain as text: exact, the same each time, and without anything secret."""

import math
from datetime import timedelta
from decimal import Decimal
from ipaddress import ip_network

import pytest
from builders import NOW, make_policy, make_target, usd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.domain.worlds import policies, views

from bidder.domain import canonical, evidence, planning
from bidder.domain.actions import Reason
from bidder.domain.money import Currency, Price
from bidder.domain.policy import Ceiling, DeadlineParams, Launch, Per, TrackParams
from bidder.domain.probe import Probe

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

SIMPLE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False)
    | st.decimals(allow_nan=False)
    | st.timedeltas()
    | st.datetimes(timezones=st.just(NOW.tzinfo))
    | st.sampled_from((Reason.OUTBID, Currency.BTC, Currency("ärger")))
)
VALUES = st.recursive(
    SIMPLE,
    lambda inner: (
        st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner) | st.frozensets(st.text())
    ),
    max_leaves=12,
)


@SLOW
@given(VALUES)
def test_any_value_comes_back(value: object) -> None:
    """Of the same kind, digit for digit."""
    text = canonical.dump(value)
    back = canonical.load(text)

    assert back == value
    assert type(back) is type(value)
    assert canonical.dump(back) == text


def test_zeros_and_oddities_are_kept() -> None:
    """2 and 2.00 are the same amount and not the same text; no number is lost."""
    for value in (Decimal("2.00"), Decimal(2), Decimal("1E+3"), Decimal("-0")):
        assert str(canonical.load(canonical.dump(value))) == str(value)
    assert math.isnan(canonical.load(canonical.dump(float("nan"))))
    assert canonical.load(canonical.dump(float("-inf"))) == float("-inf")
    assert type(canonical.load(canonical.dump(1.0))) is float
    assert type(canonical.load(canonical.dump(True))) is bool


@SLOW
@given(st.data())
def test_whatever_is_decided_can_be_asked_again(data: st.DataObject) -> None:
    """In any world and for any strategy: the same answer from the text of the inputs alone."""
    policy = data.draw(policies())
    view = data.draw(views(policy))
    then = canonical.load(evidence.configuration(policy))
    for decision in planning.plan(view, policy, NOW):
        kept = evidence.written(decision.asked)
        if kept is not None:
            answer, _ = evidence.asked_again(kept, then, lambda params: params)
            assert answer == kept.answer


def test_a_policy_is_written_without_secrets() -> None:
    """What a launch holds besides image and ports is not there, and not missed."""
    launch = Launch(image="a/b", env=(("KEY", "hunter2"),), ssh_key="hunter2", command="hunter2")
    text = evidence.configuration(make_policy(make_target(launch=launch)))

    assert "hunter2" not in text
    assert canonical.load(text) == make_policy(make_target(launch=Launch(image="a/b")))


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", '{"x":1}', '{"d":"x"}', '{"t":1e999}', '{"o":"Nobody"}', '{"o":"Price","amount":1}'),
        *(
            '{"o":"Price"}',
            '{"e":["Reason","nothing"]}',
            '{"e":["os","x"]}',
            '{"g":"one"}',
            '{"a":1,"b":2}',
        ),
        *("[" * 100_000, '{"o":"Price","amount":{"d":"NaN"},"currency":{"c":"USD"}}', '{"o":["Price"]}'),
    ],
)
def test_what_is_no_text_of_ours_is_refused(text: str) -> None:
    """With one kind of error, whatever it is."""
    with pytest.raises(canonical.Unreadable):
        canonical.load(text)


def test_what_is_no_value_is_not_written() -> None:
    """Rather than something that could not be read back."""
    with pytest.raises(TypeError):
        canonical.dump(object())
    assert canonical.load(canonical.dump(Price(Decimal(1), Currency.USD))) == Price(
        Decimal(1), Currency.USD
    )


def test_the_hash_is_of_every_character() -> None:
    """One more zero is another hash."""
    one, other = (canonical.digest(canonical.dump(Decimal(text))) for text in ("1.0", "1.00"))

    assert one != other
    assert canonical.dump(timedelta(days=1)) == '{"s":86400000000}'


def test_a_target_with_a_probe_and_a_job_comes_back() -> None:
    """Networks, moments and all: what cannot be written would end the pass that decided by it."""
    probe = Probe(port="22", allow_networks=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")))
    job = DeadlineParams(
        gpu_hours=Decimal("40.50"), by=NOW, on_demand_ceiling=Ceiling(price=usd("9.00"), per=Per.GPU)
    )
    target = make_target(probe=probe, params=job)
    assert canonical.load(canonical.dump(target)).probe == probe
    assert canonical.load(canonical.dump(target)).params == job


def test_settings_that_are_kept_elsewhere_now_can_still_be_read() -> None:
    """What an earlier version wrote of moves in the settings of `track`."""
    written = canonical.dump(TrackParams())
    before = written[:-1] + ',"move_saving":{"d":"0.10"},"move_running":false}'
    assert canonical.load(before) == TrackParams()
    with pytest.raises(canonical.Unreadable):
        canonical.load(written[:-1] + ',"unheard_of":1}')
