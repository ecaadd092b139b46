"""Hours of trading under every rule that the exchange may have, judged by the simulator's referee."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from virtual import begin

from bidder.sim.rules import (
    Oddities,
    Rules,
    ShareOfFloor,
    ShareOfOnDemand,
    ShareOfPrice,
)

SPAN = timedelta(minutes=75)

RULES: Mapping[str, Rules] = {
    "as expected": Rules(),
    "outbid offers expire": Rules(outbid="expires", displaced="expires"),
    "a raise starts the clock": Rules(raise_starts_clock=True),
    "a creation does not": Rules(creation_starts_clock=False),
    "the step is a share of the price": Rules(
        step=ShareOfPrice(Decimal("0.05")), raise_starts_clock=True
    ),
    "the step is a share of the floor": Rules(
        step=ShareOfFloor(Decimal("0.02")), clock_before_step=False
    ),
    "the step is a share of on-demand": Rules(step=ShareOfOnDemand(Decimal("0.03"))),
    "orders are listed late": Rules(visibility_delay_seconds=(20, 60)),
    "late and expiring": Rules(visibility_delay_seconds=(20, 60), outbid="expires", displaced="expires"),
    "a least increment": Rules(least_increment_usd=Decimal("0.02"), tie="incumbent"),
    "sparse answers": Rules(
        oddities=Oddities(currency_on_offers="not_bitcoin", fee_fields=False, null_balance=True)
    ),
    "429 and begun minutes": Rules(
        refusal_status=429, retry_after_seconds=3, billing="begun_minutes", invalid_status=400
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_targets_are_held_without_a_single_foul(name: str) -> None:
    """Whatever the rules are: no refusal for pace, no early lowering, no breach, no double order."""
    day = begin(rules=RULES[name])
    report = day.run(SPAN)
    assert {key: report[key] for key in FOULS} == dict.fromkeys(FOULS, 0)
    assert report["clock_probes"] <= 2
    assert report["step_refusals"] <= 12
    assert report["unmatched_orders"] == 0
    for target in report["targets"]:
        assert target["held_share"] >= 0.9 * target["attainable_share"], target


FOULS = ("rate_limit_refusals", "early_lowerings", "ceiling_breaches", "double_orders")


@pytest.mark.parametrize("seed", [5, 6])
def test_a_slow_network_costs_no_refusal(seed: int) -> None:
    """Round trips that vary between 20 and 400 ms never make two requests arrive too close."""
    report = begin(seed=seed, one_way_seconds=(0.01, 0.2)).run(timedelta(minutes=45))
    assert report["rate_limit_refusals"] == 0
    assert report["requests_per_second"] > 0.7


def test_less_is_paid_than_on_demand() -> None:
    """What the auction is for: the mean price lies below the same servers' on-demand price."""
    for target in begin(seed=4).run(SPAN)["targets"]:
        paid = Decimal(target["mean_price_per_gpu_day_usd"])
        assert paid < Decimal(target["on_demand_price_per_gpu_day_usd"])


def test_a_recorded_marketplace_is_traded_the_same_way() -> None:
    """The real list of servers, with all that is odd in it."""
    recorded = _recorded()
    report = begin(marketplace=recorded, seed=1).run(timedelta(minutes=30))
    assert {key: report[key] for key in FOULS} == dict.fromkeys(FOULS, 0)
    for target in report["targets"]:
        assert target["held_share"] >= 0.9 * target["attainable_share"], target


def _recorded() -> Path:
    folder = Path(__file__).resolve().parents[3] / "shared" / "data"
    found = sorted(folder.glob("clore_marketplace_*.json.gz"))
    if not found:
        pytest.skip("no recorded marketplace answer is at hand")
    return found[0]
