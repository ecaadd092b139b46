"""The daily summary, whatever the calendar does."""

from datetime import timedelta

from builders import NOW, make_policy, make_view

from bidder.app.day_told import DayTold


def test_a_clock_that_was_set_back_costs_no_summaries() -> None:
    """What comes afterwards is counted anew, from then on, and told at the next midnight."""
    told, policy = DayTold(), make_policy()
    view = make_view(policy)
    moments = [NOW + timedelta(days=30, minutes=5 * n) for n in range(3)]
    moments += [NOW + timedelta(minutes=5 * n) for n in range(12 * 24)]
    (notice,) = (each for now in moments for each in told.notices(now, view, policy))
    assert notice.at.date() == NOW.date() + timedelta(days=1)
    assert notice.title.startswith(f"since {NOW:%Y-%m-%d %H:%M}")
