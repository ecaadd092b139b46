"""The daily summary, whatever the calendar does."""

from datetime import timedelta
from decimal import Decimal

from builders import NOW, clore, make_holding, make_listing, make_policy, make_target, make_view, usd

from bidder.app.day_told import DayTold
from bidder.app.summary import summarise
from bidder.domain.policy import Ceiling, DeadlineParams


def test_a_clock_that_was_set_back_costs_no_summaries() -> None:
    """What comes afterwards is counted anew, from then on, and told at the next midnight."""
    told, policy = DayTold(), make_policy()
    view = make_view(policy)
    moments = [NOW + timedelta(days=30, minutes=5 * n) for n in range(3)]
    moments += [NOW + timedelta(minutes=5 * n) for n in range(12 * 24)]
    (notice,) = (each for now in moments for each in told.notices(now, view, policy))
    assert notice.at.date() == NOW.date() + timedelta(days=1)
    assert notice.title.startswith(f"since {NOW:%Y-%m-%d %H:%M}")


def test_what_is_saved_is_what_the_status_says() -> None:
    """Against a price that can be paid; a server with none that is known saves nothing."""
    policy = make_policy()
    dear = make_listing(on_demand=[usd("10"), clore("50")])  # 1 USD in CLORE, which is not payable
    held = [make_holding(1), make_holding(2, server=102, price=usd("3"))]
    view = make_view(policy, dear, holdings=held)
    told = DayTold()
    # From noon on, so that half of each daily rate has run up by midnight.
    moments = [NOW + timedelta(minutes=5 * n) for n in range(12 * 12 + 1)]
    (notice,) = (each for now in moments for each in told.notices(now, view, policy))
    summary = summarise(view, policy)
    assert notice.facts["saved_usd"] == f"{summary.saving_usd / 2:.4f}" == "4.0000"
    assert notice.facts["paid_usd"] == "2.5000"
    assert notice.text.endswith(
        "on demand what came to 1.00 of it would have been 5.00 USD: 4.00 (80%) saved."
    )


def test_a_job_that_is_done_wants_no_servers() -> None:
    """The share of what was wanted speaks of the others."""
    ceiling = Ceiling(price=usd("4"))
    done = DeadlineParams(gpu_hours=Decimal(9), by=NOW + timedelta(days=9), on_demand_ceiling=ceiling)
    policy, told = make_policy(make_target(), make_target("job", want=3, params=done)), DayTold()
    computed = {"job": timedelta(hours=9)}
    view = make_view(policy, make_listing(), holdings=[make_holding(1)], computed=computed)
    moments = [NOW + timedelta(minutes=5 * n) for n in range(12 * 12 + 1)]
    (notice,) = (each for now in moments for each in told.notices(now, view, policy))
    assert notice.facts["held_share"] == 1


def test_a_summary_says_how_much_of_the_day_it_counted() -> None:
    """A process that was started at eleven at night tells of one hour, and does not call it a day."""
    policy, told = make_policy(), DayTold()
    view = make_view(policy, make_listing(), holdings=[make_holding(1)])
    eleven = NOW + timedelta(hours=11)
    moments = [eleven + timedelta(minutes=5 * n) for n in range(13)]
    moments += [eleven + timedelta(hours=1, minutes=5 * n) for n in range(1, 12 * 24 + 1)]
    late, whole = (each for now in moments for each in told.notices(now, view, policy))

    assert late.text.startswith("Counted 1.0 of 24 hours: ")
    assert (late.facts["since"], late.facts["counted_hours"]) == ("2026-03-01T23:00:00+00:00", "1.00")
    assert whole.text.startswith("The bids that ran came to 2.00 USD")
    assert whole.facts["counted_hours"] == "24.00"
