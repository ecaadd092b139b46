"""The referee's counts, each provoked on purpose, and its integrals reckoned by hand."""

from decimal import Decimal
from typing import Any

import pytest
from unit.sim.desk import BTC, CLORE, SERVER, TOKEN, Desk, make_listing, make_world

from bidder.errors import BadInput
from bidder.sim.answers import Request
from bidder.sim.referee import Referee
from bidder.sim.rules import Rules
from bidder.sim.targets import RefereeTarget, targets_from

LAX = Rules(visibility_delay_seconds=(0, 0), creation_starts_clock=False)


def make_target(**changes: Any) -> RefereeTarget:
    """Return a target for one server at 0.00003 BTC at most."""
    ceiling = changes.pop("ceiling", {"amount": "0.00003", "currency": "bitcoin"})
    return targets_from([{"name": "one", "ceiling": ceiling, **changes}])[0]


def judged(rules: Rules = LAX, *targets: RefereeTarget, servers: int = 1) -> tuple[Desk, Referee]:
    listings = [make_listing(SERVER + place) for place in range(servers)]
    desk = Desk(rules, make_world(*listings))
    return desk, Referee(desk.exchange, targets or (make_target(),))


def verdict(desk: Desk, referee: Referee) -> dict[str, Any]:
    return referee.report(desk.now)


def test_the_report_has_exactly_the_promised_keys() -> None:
    """They stand in the documents; more may come, none may go."""
    desk, referee = judged()

    report = verdict(desk, referee)

    promised = {
        "simulated_hours",
        "requests",
        "requests_per_second",
        "rate_limit_refusals",
        "early_lowerings",
        "clock_probes",
        "step_refusals",
        "ceiling_breaches",
        "double_orders",
        "orders_created",
        "fees_usd",
        "targets",
    }
    assert promised <= set(report)
    assert {
        "name",
        "want",
        "held_share",
        "attainable_share",
        "mean_price_per_gpu_day_usd",
        "on_demand_price_per_gpu_day_usd",
    } <= set(report["targets"][0])


def test_requests_count_refused_ones_too() -> None:
    """And code 5 is counted apart."""
    desk, referee = judged()
    desk.get("wallets")
    desk.raw("GET", "wallets")
    desk.wait(3599)

    report = verdict(desk, referee)
    assert (report["requests"], report["rate_limit_refusals"]) == (2, 1)
    assert report["requests_per_second"] == pytest.approx(2 / 3600, abs=1e-6)
    assert (report["simulated_hours"], report["refusals"]) == (1.0, {"over_limit": 1})


def test_a_step_refusal_is_counted() -> None:
    """exceeded_max_step."""
    desk, referee = judged()
    desk.bid("0.00002")
    desk.reprice("0.00001")

    assert verdict(desk, referee)["step_refusals"] == 1


def test_the_first_refusal_after_a_creation_is_a_probe_the_second_is_early() -> None:
    """Nobody can know whether creation starts the clock before having tried."""
    desk, referee = judged(Rules(visibility_delay_seconds=(0, 0)))
    desk.bid("0.00002")
    desk.reprice("0.0000195")
    assert [verdict(desk, referee)[k] for k in ("clock_probes", "early_lowerings")] == [1, 0]

    desk.reprice("0.0000195")
    assert [verdict(desk, referee)[k] for k in ("clock_probes", "early_lowerings")] == [1, 1]


def test_a_refusal_of_a_request_that_was_held_back_on_its_way_counts_as_nothing() -> None:
    """Whoever sent it has given up waiting, and learns nothing from it."""
    desk, referee = judged(Rules(visibility_delay_seconds=(0, 0)))
    desk.bid("0.00002")
    order = desk.order().order_id
    late = Request(
        method="POST",
        path="/v1/set_spot_price",
        headers={"auth": TOKEN},
        body=b'{"order_id": %d, "desired_price": 0.0000195}' % order,
    )
    assert desk.exchange.repeat(late, late=True).error == "can_lower_every_600_seconds"
    assert [verdict(desk, referee)[k] for k in ("clock_probes", "early_lowerings")] == [0, 0]

    desk.reprice("0.0000195")
    assert [verdict(desk, referee)[k] for k in ("clock_probes", "early_lowerings")] == [1, 0]


def test_creation_and_raise_have_a_probe_each() -> None:
    """At most two in all."""
    desk, referee = judged(Rules(visibility_delay_seconds=(0, 0), raise_starts_clock=True))
    desk.bid("0.00002")
    desk.reprice("0.0000195")
    desk.reprice("0.000021")
    desk.reprice("0.0000205")

    assert [verdict(desk, referee)[k] for k in ("clock_probes", "early_lowerings")] == [2, 0]


def test_a_refusal_after_a_lowering_is_always_early() -> None:
    """That rule is written down."""
    desk, referee = judged()
    desk.bid("0.00002")
    desk.reprice("0.0000195")
    desk.reprice("0.000019")

    assert [verdict(desk, referee)[k] for k in ("clock_probes", "early_lowerings")] == [0, 1]


def test_a_creation_or_raise_above_the_ceiling_is_a_breach() -> None:
    """At the ceiling it is none; a refused one is none either."""
    desk, referee = judged()
    desk.bid("0.00003")
    desk.reprice("0.0000300001")
    desk.cancel()
    desk.bid("0.00004")
    desk.bid("0.000001")

    assert verdict(desk, referee)["ceiling_breaches"] == 2


def test_a_ceiling_per_gpu_counts_the_gpus() -> None:
    """1 USD per GPU-day allows 2 USD for a server of two."""
    target = make_target(ceiling={"amount": "1", "currency": "USD", "per": "gpu"})
    desk, referee = judged(LAX, target)
    desk.bid("20", currency=CLORE)
    desk.reprice("20.01")

    assert verdict(desk, referee)["ceiling_breaches"] == 1


def test_the_ceiling_goes_by_the_rates_that_were_delivered() -> None:
    """Not by rates which the account has not seen yet, nor by an answer that was lost."""
    target = make_target(ceiling={"amount": "2", "currency": "USD"})
    desk, referee = judged(LAX, target)
    desk.get("spot_marketplace", f"market={SERVER}")
    desk.market.move_rates({**desk.market.rates, CLORE: Decimal("0.2")})
    desk.bid("20", currency=CLORE)
    assert verdict(desk, referee)["ceiling_breaches"] == 0

    desk.get("spot_marketplace", f"market={SERVER}")
    desk.exchange.lose_answer()
    desk.get("wallets")
    desk.exchange.lose_answer()
    desk.reprice("19")
    assert verdict(desk, referee)["ceiling_breaches"] == 0

    desk.get("spot_marketplace", f"market={SERVER}")
    desk.reprice("19.5")
    assert verdict(desk, referee)["ceiling_breaches"] == 1


def test_a_rate_that_lifts_a_standing_bid_is_no_breach() -> None:
    """The bid was fine when it was made."""
    target = make_target(ceiling={"amount": "2", "currency": "USD"})
    desk, referee = judged(LAX, target)
    desk.bid("20", currency=CLORE)
    desk.market.move_rates({**desk.market.rates, CLORE: Decimal("0.2")})
    desk.get("spot_marketplace", f"market={SERVER}")

    assert verdict(desk, referee)["ceiling_breaches"] == 0


def test_two_orders_on_one_server_are_a_double() -> None:
    """Active or waiting."""
    desk, referee = judged(LAX, make_target(want=2), servers=2)
    desk.bid("0.00002")
    desk.bid("0.00001")

    assert verdict(desk, referee)["double_orders"] == 1


def test_more_orders_than_wanted_are_a_double() -> None:
    """On different servers too; one that ended does not count."""
    desk, referee = judged(LAX, make_target(), servers=2)
    desk.bid("0.00002", SERVER)
    desk.cancel()
    desk.bid("0.00002", SERVER)
    assert verdict(desk, referee)["double_orders"] == 0

    desk.bid("0.00002", SERVER + 1)
    assert verdict(desk, referee)["double_orders"] == 1


@pytest.mark.parametrize(("overlap", "doubles"), [(True, 0), (False, 1)])
def test_a_renewal_may_overlap_where_the_owner_allows_it(overlap: bool, doubles: int) -> None:
    """Within the time before the end, and one successor only."""
    target = make_target(renew_before_seconds=3600, renew_overlap=overlap)
    desk, referee = judged(LAX, target, servers=3)
    desk.bid("0.00002", SERVER)
    desk.wait(72 * 3600 + 60)
    desk.bid("0.00002", SERVER + 1)
    assert verdict(desk, referee)["double_orders"] == doubles

    desk.bid("0.00002", SERVER + 2)
    assert verdict(desk, referee)["double_orders"] == doubles + 1


def test_held_share_runs_from_the_first_accepted_request() -> None:
    """An hour before it does not count; half of the hour after it was held."""
    desk, referee = judged()
    desk.wait(3600)
    desk.raw("GET", "wallets", token="wrong")
    desk.wait(1800)
    desk.raw("GET", "wallets")
    desk.wait(1795)
    desk.bid("0.00002")
    desk.wait(1800)

    target = verdict(desk, referee)["targets"][0]
    assert target["held_share"] == 0.5
    assert target["attainable_share"] == 1.0


def test_held_share_counts_each_wanted_server_once() -> None:
    """Two wanted, one held half the time: a quarter."""
    desk, referee = judged(LAX, make_target(want=2), servers=2)
    desk.raw("GET", "wallets")
    desk.wait(1795)
    desk.bid("0.00002")
    desk.wait(1800)

    assert verdict(desk, referee)["targets"][0]["held_share"] == 0.25


def test_attainable_is_what_the_ceiling_can_win() -> None:
    """Not a rented server, an offline one, nor one where a rival bids as much as the ceiling."""
    desk, referee = judged()
    desk.raw("GET", "wallets")
    desk.wait(600)
    desk.stranger_rents()
    desk.wait(600)
    desk.stranger_rents(rented=False)
    rival = desk.rival_bids("0.00003")
    desk.wait(600)
    desk.market.end(rival, "left")
    desk.power(online=False)
    desk.wait(600)
    desk.power(online=True)
    desk.stall().floor.update({BTC: Decimal("0.00005"), CLORE: Decimal(50)})
    desk.market.set_prices(desk.stall())
    desk.wait(600)

    assert verdict(desk, referee)["targets"][0]["attainable_share"] == 0.2


def test_attainable_needs_as_many_as_wanted() -> None:
    """One of two is not enough; our own running order does not make a server unattainable."""
    desk, referee = judged(LAX, make_target(want=2), servers=2)
    desk.bid("0.00002")
    desk.wait(600)
    desk.stranger_rents(server=SERVER + 1)
    desk.wait(600)

    assert verdict(desk, referee)["targets"][0]["attainable_share"] == 0.5


def test_prices_are_per_gpu_day_and_weighted_by_time() -> None:
    """A day of two GPUs at 0.00002 BTC of 60,000 USD, beside the cheaper on-demand price."""
    desk, referee = judged()
    desk.bid("0.000016")
    desk.wait(86400)

    target = verdict(desk, referee)["targets"][0]
    paid = Decimal(target["mean_price_per_gpu_day_usd"])
    beside = Decimal(target["on_demand_price_per_gpu_day_usd"])
    # The rates wander a little over the day.
    assert abs(paid - Decimal("0.48")) < Decimal("0.04")
    assert abs(beside - Decimal("0.6")) < Decimal("0.08")
    assert Decimal(target["spend_usd"]) == pytest.approx(2 * paid)


def test_fees_are_those_on_creation_and_those_on_spend() -> None:
    """1e-7 BTC and 2.5 % of ten minutes at 14.4 CLORE per day."""
    desk, referee = judged(LAX, make_target(ceiling={"amount": "5", "currency": "USD"}))
    desk.bid("14.4", currency=CLORE)
    desk.wait(240)
    desk.cancel()

    report = verdict(desk, referee)
    assert report["fees_usd"] == "0.0061"
    assert report["spend_usd"] == "0.004"
    assert report["orders_created"] == 1


def test_an_order_that_no_target_asks_for_is_shown() -> None:
    """It is no target's, but it is counted."""
    desk, referee = judged(LAX, make_target(gpu_models=["RTX 4090"]))
    desk.bid("0.00002")

    assert verdict(desk, referee)["unmatched_orders"] == 1


@pytest.mark.parametrize(
    ("wish", "matches"),
    [
        ({"gpu_models": ["rtx3090"]}, True),
        ({"gpu_models": ["4090", "RTX-3090"]}, True),
        ({"gpu_models": ["4090"]}, False),
        ({"min_gpus": 2, "max_gpus": 2}, True),
        ({"min_gpus": 3}, False),
        ({"max_gpus": 1}, False),
        ({"min_gpu_memory_gb": 24, "min_ram_gb": 62, "min_disk_gb": 247}, True),
        ({"min_gpu_memory_gb": 25}, False),
        ({"min_ram_gb": "62.7"}, False),
        ({"min_disk_gb": 248}, False),
        ({"countries": ["cz", "DE"]}, True),
        ({"countries": ["DE"]}, False),
        ({"min_reliability": "0.99"}, True),
        ({"min_reliability": "0.991"}, False),
        ({"min_mrl_hours": 73}, True),
        ({"min_mrl_hours": 74}, False),
        ({"servers": [SERVER]}, True),
        ({"servers": []}, False),
        ({"exclude": [SERVER]}, False),
        ({"currencies": ["CLORE"]}, True),
        ({"currencies": ["USD"]}, False),
    ],
)
def test_which_servers_a_target_means(wish: dict[str, Any], matches: bool) -> None:
    """The referee's own reading of the owner's limits."""
    assert make_target(**wish).matches(make_listing()) is matches


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        [{"name": "x"}],
        [{"name": "x", "ceiling": {"amount": "x", "currency": "USD"}}],
        [{"name": "x", "ceiling": {"amount": "0", "currency": "USD"}}],
        [{"name": "x", "ceiling": {"amount": "1", "currency": "USD"}, "want": 0}],
        [{"name": "x", "ceiling": {"amount": "1", "currency": "USD"}, "wnat": 1}],
    ],
)
def test_bad_targets_are_bad_input(value: object) -> None:
    """With a message, not with a traceback."""
    with pytest.raises(BadInput):
        targets_from(value)
