"""How notices look as they are handed out."""

import pytest
from builders import NOW

from bidder.domain.notices import Event, Level, Notice, marked
from bidder.domain.policy import Mode

FACTS = {"order": 7}


@pytest.mark.parametrize("event", Event)
def test_on_paper_every_notice_but_of_outages_is_marked(event: Event) -> None:
    """An outage is an outage; nobody must take what is on paper for his server."""
    notice = Notice(event=event, level=Level.INFO, at=NOW, title="won", text="", facts=FACTS)
    outage = event in {Event.UNREACHABLE, Event.DATABASE}

    assert marked(notice, Mode.LIVE) is notice
    found = marked(notice, Mode.PAPER)
    assert found.title == ("won" if outage else "ON PAPER: won")
    assert found.facts == (FACTS if outage else {**FACTS, "paper": True})
