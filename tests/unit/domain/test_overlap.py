"""Two strategies may share a server unless that is impossible; saying "no" must never be wrong."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.domain import selection
from bidder.domain.ids import ServerId
from bidder.domain.market import Listing, Specs
from bidder.domain.overlap import may_overlap
from bidder.domain.policy import Requirements


def ids(*numbers: int) -> frozenset[ServerId]:
    """Return server ids."""
    return frozenset(map(ServerId, numbers))


APART = [
    (Requirements(gpu_models=("RTX 3090",)), Requirements(gpu_models=("RTX 4090", "RTX 3080"))),
    (Requirements(gpu_models=("RTX 3080",)), Requirements(gpu_models=("RTX 3080 TI",), gpu_exact=False)),
    (Requirements(gpu_models=("RTX 30",), gpu_exact=False), Requirements(gpu_models=("RTX 3090",))),
    (Requirements(min_gpus=1, max_gpus=2), Requirements(min_gpus=3)),
    (Requirements(servers=ids(1, 2)), Requirements(servers=ids(3))),
    (Requirements(servers=ids(1, 2)), Requirements(exclude_servers=ids(1, 2, 3))),
    (Requirements(servers=ids(1, 2), exclude_servers=ids(2)), Requirements(servers=ids(2))),
    (Requirements(countries=frozenset({"DE"})), Requirements(countries=frozenset({"FR"}))),
    (Requirements(countries=frozenset({"DE"})), Requirements(exclude_countries=frozenset({"DE"}))),
]
TOGETHER = [
    (Requirements(), Requirements()),
    (Requirements(gpu_models=("RTX 3090",)), Requirements()),
    (Requirements(gpu_models=("RTX 3080",), gpu_exact=False), Requirements(gpu_models=("RTX 3080 TI",))),
    (Requirements(min_gpus=1, max_gpus=2), Requirements(min_gpus=2)),
    (Requirements(min_ram_gb=1), Requirements(min_ram_gb=100)),
    (Requirements(min_mrl=timedelta(hours=1)), Requirements(min_mrl=timedelta(hours=100))),
    (Requirements(servers=ids(1, 2)), Requirements(servers=ids(2, 3))),
    (Requirements(servers=ids(1)), Requirements(gpu_models=("RTX 3090",))),
    (Requirements(countries=frozenset({"DE", "FR"})), Requirements(exclude_countries=frozenset({"DE"}))),
    (Requirements(exclude_owners=frozenset({1})), Requirements(exclude_owners=frozenset({2}))),
]


@pytest.mark.parametrize(("one", "two"), APART)
def test_apart(one: Requirements, two: Requirements) -> None:
    """No server can satisfy both, in either order."""
    assert not may_overlap(one, two)
    assert not may_overlap(two, one)


@pytest.mark.parametrize(("one", "two"), TOGETHER)
def test_together(one: Requirements, two: Requirements) -> None:
    """Some server could satisfy both, in either order."""
    assert may_overlap(one, two)
    assert may_overlap(two, one)


_models = st.sampled_from(["RTX 3080", "RTX 3080 TI", "RTX 3090", "RTX", "A100", "A100-SXM4"])
_countries = st.frozensets(st.sampled_from(["DE", "FR", "NO"]), max_size=2)
_numbers = st.integers(1, 4).map(ServerId)


@st.composite
def requirements(draw: st.DrawFn) -> Requirements:
    """Return requirements from a small world, so that they often meet and often do not."""
    return Requirements(
        gpu_models=tuple(draw(st.lists(_models, max_size=2))),
        gpu_exact=draw(st.booleans()),
        min_gpus=draw(st.integers(1, 3)),
        max_gpus=draw(st.none() | st.integers(1, 4)),
        min_ram_gb=draw(st.none() | st.floats(1, 3)),
        countries=draw(_countries),
        exclude_countries=draw(_countries),
        min_reliability=draw(st.none() | st.floats(0, 1)),
        allow_new=draw(st.booleans()),
        servers=draw(st.none() | st.frozensets(_numbers, max_size=3)),
        exclude_servers=draw(st.frozensets(_numbers, max_size=2)),
        exclude_owners=draw(st.frozensets(st.integers(1, 2), max_size=1)),
    )


@st.composite
def listings(draw: st.DrawFn) -> Listing:
    """Return a server of the same small world."""
    return Listing(
        server=draw(_numbers),
        on_demand={},
        spot_floor={},
        rented=False,
        mrl=timedelta(hours=24),
        specs=Specs(
            gpu_model=draw(_models | st.just("")),
            gpu_count=draw(st.integers(0, 4)),
            ram_gb=draw(st.none() | st.floats(0, 4)),
            country=draw(st.sampled_from(["", "DE", "FR", "NO"])),
        ),
        owner=draw(st.none() | st.integers(1, 3)),
        reliability=draw(st.none() | st.floats(0, 1)),
    )


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(one=requirements(), two=requirements(), listing=listings())
def test_servers_that_match_both_are_never_denied(
    one: Requirements, two: Requirements, listing: Listing
) -> None:
    """Whenever a server qualifies for both, the two may overlap."""
    if selection.qualifies(listing, one) and selection.qualifies(listing, two):
        assert may_overlap(one, two)


@given(one=requirements(), two=requirements())
def test_order_does_not_matter(one: Requirements, two: Requirements) -> None:
    """The question is symmetric."""
    assert may_overlap(one, two) == may_overlap(two, one)
