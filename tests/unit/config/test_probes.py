"""The ``probe`` section of a strategy: what it comes to, and each mistake in it."""

import ipaddress
from collections.abc import Callable
from datetime import timedelta

import pytest

from bidder.config import Settings
from bidder.domain.probe import Probe, ProbeKind, Then

Load = Callable[..., Settings]
Errors = Callable[..., tuple[str, ...]]


def probing(probe: str) -> str:
    """Return a small configuration whose strategy has this probe, on line 7."""
    return f"""\
rates: {{BTC: 69000, CLORE: 0.011}}
strategies:
  - name: one
    ceiling: {{usd: 3.50}}
    servers: {{gpu: RTX 3090}}
    launch: {{image: ubuntu, ports: {{22: tcp, 8888: http}}}}
    probe: {probe}
"""


def test_a_port_is_enough(load: Load) -> None:
    """Everything else is usual; without the section nothing is probed."""
    (target,) = load(probing("{port: 22}")).policy.targets
    assert target.probe == Probe(port="22")
    (target,) = load(probing("").replace("    probe: \n", "")).policy.targets
    assert target.probe is None


def test_every_key_is_taken_up(load: Load) -> None:
    """As the owner wrote it."""
    written = (
        "{port: 8888, kind: http, path: '/api?x=1', expect: 200 - 204, every: 30s, timeout: 2s,"
        " dead_after: 5m, grace: 1h, then: replace, allow_networks: [10.8.0.0/24, 'fd00::/64']}"
    )
    (target,) = load(probing(written)).policy.targets
    assert target.probe == Probe(
        port="8888",
        kind=ProbeKind.HTTP,
        path="/api?x=1",
        expect=(200, 204),
        every=timedelta(seconds=30),
        timeout=timedelta(seconds=2),
        dead_after=timedelta(minutes=5),
        grace=timedelta(hours=1),
        then=Then.REPLACE,
        allow_networks=(ipaddress.ip_network("10.8.0.0/24"), ipaddress.ip_network("fd00::/64")),
    )


def test_on_paper_there_is_nothing_to_probe(load: Load) -> None:
    """A warning, because the owner may mean to go live with it."""
    assert "on paper there is no workload to probe" in load(probing("{port: 22}")).warnings[0]
    assert load("mode: live\n" + probing("{port: 22}")).warnings == ()


@pytest.mark.parametrize(
    ("probe", "error"),
    [
        ("{kind: tcp}", "7: strategies[0].probe.port: is required; name one of the ports of launch"),
        ("{}", "7: strategies[0].probe.port: is required"),
        ("22", "7: strategies[0].probe: keys and values are wanted here"),
        (
            "{port: 23}",
            "probe.port: is not forwarded (got '23'); add it to launch.ports, or name one that is there",
        ),
        ("{port: 8888}", "probe.port: is forwarded as http (got '8888'); write kind: http"),
        ("{port: 0}", "probe.port: is out of range"),
        ("{port: 22, kind: udp}", "probe.kind: is none of the known words (got 'udp')"),
        ("{port: 22, path: /}", "probe.path: belongs to kind: http; write kind: http, or remove it"),
        ("{port: 22, expect: 200}", "probe.expect: belongs to kind: http"),
        ("{port: 22, kind: http, path: api}", "probe.path: is not the path of a URL (got 'api')"),
        ('{port: 22, kind: http, path: "/a b"}', "probe.path: is not the path of a URL"),
        ('{port: 22, kind: http, path: "/a\\r\\nb"}', "probe.path: is not the path of a URL"),
        ("{port: 22, kind: http, expect: ok}", "probe.expect: names no HTTP statuses (got 'ok')"),
        ("{port: 22, kind: http, expect: 399-200}", "probe.expect: names no HTTP statuses"),
        ("{port: 22, every: 3s}", "probe.timeout: is longer than every (got '5s')"),
        ("{port: 22, dead_after: 119s}", "probe.dead_after: is shorter than two probes, one each 1m"),
        ("{port: 22, then: cancel}", "write one of: report, replace"),
        ("{port: 22, allow_networks: 10.8.0.1/24}", "allow_networks: is not a network"),
        ("{port: 22, allow_networks: [0.0.0.0/0]}", "allow_networks[0]: is too wide (got '0.0.0.0/0')"),
        ("{port: 22, allow_networks: ['::/0']}", "is too wide (got '::/0')"),
        ("{port: 22, alow_networks: x}", "unknown key; did you mean 'allow_networks'?"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(errors: Errors, probe: str, error: str) -> None:
    """One line, with file, line, key and value."""
    (found,) = errors(probing(probe))
    assert error in found
