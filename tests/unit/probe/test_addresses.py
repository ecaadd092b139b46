"""Which addresses may be knocked at: public ones, and what the owner allows."""

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bidder.probe.addresses import Forbidden, addresses_of, permitted, plain

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)

INNER = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254"),
    *("169.254.169.254", "172.16.0.1", "192.0.0.1", "192.168.1.1", "198.18.0.1", "203.0.113.5"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
    # IPv4 within IPv6: mapped, compatible, 6to4, Teredo, and by a gateway.
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "::127.0.0.1"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", "64:ff9b:1::1"),
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "193.0.6.139", "2606:4700:4700::1111", "::ffff:8.8.8.8"),
    *("2002:808:808::1", "64:ff9b::8.8.8.8"),
]


@pytest.mark.parametrize("address", INNER)
def test_inner_addresses_are_refused(address: str) -> None:
    """Loopback, private, link-local and its metadata service, multicast, in every spelling."""
    assert not permitted(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_not(address: str) -> None:
    """Also where a gateway carries them."""
    assert permitted(ipaddress.ip_address(address))


@given(st.ip_addresses())
@example(ipaddress.ip_address("::ffff:10.1.2.3"))
def test_what_is_permitted_is_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """By Python's registry of addresses, after unwrapping."""
    address = plain(address)
    carried = address.sixtofour if isinstance(address, ipaddress.IPv6Address) else None
    if permitted(address) and carried is not None:
        assert permitted(carried)
    elif permitted(address) and address not in ipaddress.ip_network("64:ff9b::/96"):
        assert address.is_global
        assert not address.is_multicast


def test_the_owner_may_allow_a_network_of_his_own() -> None:
    """That one, in whatever spelling, and nothing beside it."""
    assert permitted(ipaddress.ip_address("127.0.0.9"), LOOPBACK)
    assert permitted(ipaddress.ip_address("::ffff:127.0.0.9"), LOOPBACK)
    assert not permitted(ipaddress.ip_address("::1"), LOOPBACK)
    assert not permitted(ipaddress.ip_address("10.0.0.1"), LOOPBACK)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0"),
        *("0.0.0.0", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "169.254.169.254"),
    ],
)
async def test_no_spelling_of_an_inner_address_gets_through(host: str) -> None:
    """What counts is what it resolves to: names, decimal and octal numbers, short forms."""
    with pytest.raises(Forbidden):
        await addresses_of(host, ())


async def test_a_name_is_judged_by_its_addresses() -> None:
    """``localhost`` is loopback by any name, and once loopback is allowed it may be probed."""
    assert ipaddress.ip_address("127.0.0.1") in await addresses_of("localhost", LOOPBACK)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "a" * 70, "fe80::1%nowhere"])
async def test_a_name_that_leads_nowhere_is_an_os_error(host: str) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(OSError):
        await addresses_of(host, ())
