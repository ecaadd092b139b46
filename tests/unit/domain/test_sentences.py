"""Every decision can be told in one sentence, whatever facts came with it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.domain import sentences
from bidder.domain.actions import Reason

FACTS = st.dictionaries(
    st.sampled_from(["rival", "floor", "ceiling", "needed", "rail", "limit", "live", "refusal", "cap"]),
    st.one_of(st.none(), st.text(max_size=9), st.integers(), st.booleans()),
)


@settings(deadline=None)
@given(
    reason=st.sampled_from(Reason),
    facts=FACTS,
    action=st.sampled_from([None, "place", "rent", "reprice", "withdraw"]),
)
def test_any_decision_is_one_sentence(
    reason: Reason, facts: dict[str, str | int | None], action: str | None
) -> None:
    """It begins with a capital, ends with a full stop, and has no gap where a fact is missing."""
    text = sentences.tell(reason.value, facts, action=action, price="2 USD", previous="3 USD")

    assert text[0].isupper()
    assert text.endswith(".")
    assert "The reason was" not in text, "each reason has words of its own"


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_says_something_else(reason: Reason) -> None:
    """No two reasons read alike, and none needs a fact to be a sentence."""
    others = [sentences.tell(other.value, {}) for other in Reason if other is not reason]

    assert sentences.tell(reason.value, {}) not in others


def test_facts_and_deed_are_in_the_sentence() -> None:
    """What it rested on, what was done, at which price."""
    facts = {"rival": "1.9 USD", "ceiling": "5 USD", "needed": None}
    text = sentences.tell("outbid", facts, action="reprice", price="1.91 USD", previous="1.5 USD")

    assert text == (
        "A rival had the server and a higher bid wins it back (the rival bids 1.9 USD, the ceiling is"
        " 5 USD): the bid went from 1.5 USD to 1.91 USD per day."
    )


@pytest.mark.parametrize("action", ["place", "rent", "reprice", "withdraw"])
def test_what_was_only_asked_for_is_not_told_as_done(action: str) -> None:
    """The exchange refused it, or nobody knows."""
    done = sentences.tell("outbid", {}, action=action, price="2 USD", previous="3 USD")
    asked = sentences.tell("outbid", {}, action=action, price="2 USD", previous="3 USD", done=False)

    assert asked.split(": ")[0] == done.split(": ")[0]
    assert asked != done


def test_wait_says_how_long() -> None:
    """A hold that changes by itself names the moment."""
    due = datetime(2026, 3, 1, 12, 10, tzinfo=UTC)

    assert sentences.tell("clock", {}, due=due).endswith("nothing was sent until 12:10:00 UTC.")


def test_reason_of_a_newer_program_is_shown() -> None:
    """A reason that is not known is no error."""
    assert sentences.tell("whim", {}).startswith("The reason was 'whim'")
