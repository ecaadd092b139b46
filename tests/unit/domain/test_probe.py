"""What a run of probes comes to, and where a workload is knocked at."""

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW, ORDER, at
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain.market import Access
from bidder.domain.probe import Outcome, Place, Probe, Pulse, Sign, State, places_of

PROBE = Probe(port="22", dead_after=timedelta(minutes=10), grace=timedelta(minutes=15))
MINUTE = 60


def after(*outcomes: tuple[float, Outcome], probe: Probe = PROBE) -> Pulse:
    """Return the pulse of an order that began to run at NOW, after probes at so many seconds."""
    pulse = Pulse(began_at=NOW)
    for seconds, outcome in outcomes:
        pulse = pulse.after(Sign(order=ORDER, at=at(seconds), outcome=outcome), probe)
    return pulse


def minutely(first: int, last: int, outcome: Outcome = Outcome.SILENT) -> list[tuple[float, Outcome]]:
    """Return one probe in each minute, from the first to the last."""
    return [(minute * MINUTE, outcome) for minute in range(first, last + 1)]


def test_what_answered_once_is_dead_when_it_has_been_silent_for_long_enough() -> None:
    """Not a probe earlier, and its grace is over with its first answer."""
    alive = (0, Outcome.ALIVE)
    assert after(alive).state(PROBE) is State.ALIVE
    assert after(alive, *minutely(1, 10)).state(PROBE) is State.FAILING
    dead = after(alive, *minutely(1, 11))
    assert dead.state(PROBE) is State.DEAD
    assert dead.dead_since == at(MINUTE)
    assert after(alive, *minutely(1, 11), (720, Outcome.ALIVE)).state(PROBE) is State.ALIVE


def test_what_never_answered_has_its_grace_first() -> None:
    """Images are large: the time until it is dead begins after the grace."""
    assert after(*minutely(0, 14)).state(PROBE) is State.STARTING
    assert after(*minutely(0, 24)).state(PROBE) is State.FAILING
    assert after(*minutely(0, 25)).state(PROBE) is State.DEAD


def test_a_silence_of_our_own_proves_nothing() -> None:
    """A machine that slept between two failed probes has not seen the workload dead meanwhile."""
    slept = after((0, Outcome.ALIVE), (60, Outcome.SILENT), (3600, Outcome.SILENT))
    assert slept.state(PROBE) is State.FAILING
    assert slept.dead_since == at(3600)


def test_on_the_word_of_an_earlier_process_nothing_is_dead() -> None:
    """Whatever it counted, one probe of our own decides: dead since as long, or alive."""
    recalled = replace(after((0, Outcome.ALIVE), *minutely(1, 20)), recalled=True)
    assert recalled.state(PROBE) is State.FAILING
    still = recalled.after(Sign(order=ORDER, at=at(21 * MINUTE), outcome=Outcome.SILENT), PROBE)
    assert still.state(PROBE) is State.DEAD
    assert still.dead_since == at(MINUTE)
    again = recalled.after(Sign(order=ORDER, at=at(21 * MINUTE), outcome=Outcome.ALIVE), PROBE)
    assert again.state(PROBE) is State.ALIVE


@given(
    probes=st.lists(st.tuples(st.integers(1, 200), st.sampled_from(Outcome)), min_size=1, max_size=60),
    dead_after=st.integers(2, 30),
    grace=st.integers(0, 30),
)
def test_dead_is_only_what_was_found_so_from_end_to_end(
    probes: list[tuple[int, Outcome]], dead_after: int, grace: int
) -> None:
    """Whatever is found when: no sign of life for ``dead_after``, and none at all before the grace."""
    probe = Probe(port="22", dead_after=timedelta(minutes=dead_after), grace=timedelta(minutes=grace))
    pulse, second, seen = Pulse(began_at=NOW), 0, []
    for gap, outcome in probes:
        second += gap
        seen.append((second, outcome))
        pulse = pulse.after(Sign(order=ORDER, at=at(second), outcome=outcome), probe)
    answered = [s for s, outcome in seen if outcome is Outcome.ALIVE]
    assert pulse.alive_at == (at(answered[-1]) if answered else None)
    if pulse.state(probe) is State.DEAD:
        since = answered[-1] if answered else grace * MINUTE
        # The first failed probe came after that, and the latest so much later.
        silent = [s for s, _ in seen if s >= since and (s > since or not answered)]
        assert silent[-1] - silent[0] >= dead_after * MINUTE
        assert pulse.dead_since is not None
        assert pulse.dead_since >= at(silent[0])


ACCESS = Access(
    pub_cluster=("n1.c1.example.net", "n2.c1.example.net", "n3.c1.example.net"),
    tcp_ports=("22:10000", "80:10001"),
    http_port="8888",
)


def test_a_port_is_reached_as_the_exchange_forwards_it() -> None:
    """TCP ports at a public one, the HTTP port behind the host's HTTPS; two hosts are enough."""
    assert places_of(ACCESS, "22") == (
        Place(host="n1.c1.example.net", port=10000),
        Place(host="n2.c1.example.net", port=10000),
    )
    assert places_of(ACCESS, "8888")[0] == Place(host="n1.c1.example.net", port=443, tls=True)
    assert places_of(ACCESS, "23") == ()


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "a/../b",
        "a@b",
        "a\r\nb",
        "[::1]",
        "fe80::1%eth0",
        "-a",
        "a:80",
        "ä.example",
        "a" * 254,
    ],
)
def test_a_host_that_is_no_name_and_no_address_is_no_place(host: str) -> None:
    """Nothing of an answer gets into a URL or a header unless it is a plain name or address."""
    assert places_of(Access(pub_cluster=(host,), tcp_ports=("22:10000",)), "22") == ()


@pytest.mark.parametrize(
    "pair", ["22", "22:", ":22", "22:0", "22:65536", "22:-1", "22:1e3", "22:1 ", "22:10000\n", "22:١٢"]
)
def test_a_port_that_makes_no_sense_is_no_place(pair: str) -> None:
    """The exchange's word is read strictly."""
    assert places_of(Access(pub_cluster=("a.example",), tcp_ports=(pair,)), "22") == ()


@given(
    hosts=st.lists(st.text(max_size=30), max_size=4),
    pairs=st.lists(st.text(max_size=12), max_size=4),
    http_port=st.none() | st.text(max_size=6),
)
def test_any_answer_comes_to_places_or_to_none(
    hosts: list[str], pairs: list[str], http_port: str | None
) -> None:
    """Whatever stands there, what comes out is plain text and a port."""
    access = Access(pub_cluster=tuple(hosts), tcp_ports=tuple(pairs), http_port=http_port)
    for place in places_of(access, "22"):
        assert place.host.isascii()
        assert not set(place.host) & set(" /@?#%[]\\\r\n\t")
        assert 1 <= place.port <= 65535
