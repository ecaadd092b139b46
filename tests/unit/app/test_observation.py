"""What the daemon sees, written and read again."""

import base64
import json
import zlib
from dataclasses import replace

import pytest
from builders import NOW, make_holding, make_listing, make_policy, make_view
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.domain.worlds import policies, views

from bidder.app import observation
from bidder.app.observation import NotReadable, Observation
from bidder.domain.policy import Mode
from bidder.domain.stances import School, Shadow, Watched
from bidder.domain.unread import Endpoint, Subject, Unreads


def packed(document: object) -> str:
    """Return any JSON as an answer would be packed."""
    return base64.b85encode(zlib.compress(json.dumps(document).encode())).decode()


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_what_was_written_is_read_to_the_last_digit(data: st.DataObject) -> None:
    """Every price, moment and memory, in whatever state the account is."""
    view = data.draw(views(data.draw(policies())))
    seen = Observation(at=NOW, mode=data.draw(st.sampled_from(Mode)), view=view)
    assert observation.read(observation.written(seen)) == seen


def test_what_adaptive_strategies_have_learnt_is_part_of_it() -> None:
    """They decide by it."""
    watched = Watched(at=1.5, rival=2.25, shadows=(Shadow(bid=0.1, opens=7.0, running=True), Shadow()))
    school = School(at=3.0, servers={make_listing().server: watched})
    view = replace(make_view(make_policy(), holdings=[make_holding()]), schools={"render": school})
    seen = Observation(at=NOW, mode=Mode.LIVE, view=view)
    assert observation.read(observation.written(seen)).view.schools == {"render": school}


def test_the_reads_that_fail_are_part_of_it() -> None:
    """By them a server is passed over, or a person told."""
    book = Subject(endpoint=Endpoint.BOOK, server=make_listing().server)
    unread = Unreads().failed(book, NOW).answered(Subject(endpoint=Endpoint.WALLETS), NOW)
    seen = Observation(at=NOW, mode=Mode.LIVE, view=replace(make_view(make_policy()), unread=unread))
    assert observation.read(observation.written(seen)).view.unread == unread


@pytest.mark.parametrize(
    "text",
    ["", 'no base 85 "', "abcde", packed([]), packed({"at": 1}), packed(["x", "live", []])],
    ids=["nothing", "other letters", "not compressed", "no parts", "an object", "other parts"],
)
def test_another_versions_answer_is_refused(text: str) -> None:
    """With a remedy, and never with half a view."""
    with pytest.raises(NotReadable, match="restart the daemon"):
        observation.read(text)


def test_an_answer_that_swells_is_refused() -> None:
    """A few kilobytes must not become gigabytes."""
    text = base64.b85encode(zlib.compress(b" " * 60_000_000, 1)).decode()
    with pytest.raises(NotReadable):
        observation.read(text)
