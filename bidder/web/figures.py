"""The figures of one moment, as gauges: from the same snapshot that ``bidder status`` shows."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from bidder.domain import wanted
from bidder.domain.intents import IntentState
from bidder.domain.money import Currency, Rates
from bidder.domain.policy import Mode
from bidder.domain.probe import State
from bidder.domain.regret import Regret
from bidder.store.records import SpendTotal
from bidder.web.source import Moment, Source


def figures(source: Source) -> Iterator[Metric]:
    """Yield the figures of the latest moment, and whether the daemon is alive and trades."""
    summary = source.summary()
    yield _one("bidder_ready", "1 while the daemon trades, as /readyz says.", not source.not_trading())
    yield _one("bidder_paused", "1 while trading is paused by command.", summary.paused)
    yield _one(
        "bidder_stalled_seconds",
        "For how long a pass has been overdue or hung; the watchdog bites from 180 to 225.",
        source.daemon.stalled_seconds(),
    )
    yield _one("bidder_intents_in_doubt", "Requests whose outcome is not settled.", summary.in_doubt)
    named = prefix(paper=summary.paper)
    yield _one(
        f"{named}_paying_usd_per_day", "What runs now costs so much, without fees.", summary.paying_usd
    )
    yield _one(
        f"{named}_saving_usd_per_day", "What runs now saves against on-demand.", summary.saving_usd
    )
    for mode in Mode:
        yield from _spend(mode, [total for total in source.spend() if total.mode is mode])
    for mode in Mode:
        yield from _regrets(mode, [each for each in source.regretted() if each.mode is mode])
    if source.moment is not None:
        yield from _of_moment(source.moment, source)


def prefix(*, paper: bool) -> str:
    """Return what the names of figures of money and orders start with.

    Names of their own, and not a label: whoever sums up a figure must never add paper to money.
    """
    return "bidder_paper" if paper else "bidder"


def _of_moment(moment: Moment, source: Source) -> Iterator[Metric]:
    view, report = moment.view, moment.report
    policy = moment.policy
    info = {"version": version("bidder"), "account": policy.account, "mode": policy.mode.value}
    yield InfoMetricFamily("bidder", "The daemon.", value=info)
    frozen = sum(1 for intent in view.intents if intent.state is IntentState.AMBIGUOUS)
    yield _one("bidder_intents_frozen", "Ambiguous requests; a person must look.", frozen)
    yield _one("bidder_last_pass_timestamp_seconds", "When a pass last ended.", report.at.timestamp())
    read_at = None if view.orders_at is None else view.orders_at.timestamp()
    yield _one("bidder_orders_read_timestamp_seconds", "When our orders were last read.", read_at)
    yield _one("bidder_servers_known", "Servers on the marketplace.", len(view.marketplace.listings))
    standing = len(report.standing)
    yield _one("bidder_alarms", "Alarms that were raised and whose cause lasts.", standing)
    picture = source.picture()
    assert picture is not None
    budget = picture["requests"]["budget_use"]
    yield _one("bidder_request_budget_use_ratio", "Share of one request per second in use.", budget)
    paper = policy.mode is Mode.PAPER
    for named, key in (
        ("bidder", "committed_usd_per_day"),
        *([("bidder_paper", "paper_committed_usd_per_day")] if paper else []),
    ):
        committed = picture[key]
        yield _one(
            f"{named}_committed_usd_per_day",
            "All bids together, if all ran.",
            None if committed is None else Decimal(committed["amount"]),
        )
    yield from _budgets(picture["budgets"], prefix(paper=paper))
    yield from _unattended(picture, paper=paper)
    reasons = Counter(decision.reason.value for decision in report.decisions)
    decisions = GaugeMetricFamily(
        "bidder_decisions", "Decisions of the latest pass, by reason.", labels=["reason"]
    )
    for reason, count in reasons.items():
        decisions.add_metric([reason], count)
    yield decisions
    yield _wanted(moment)
    yield from _positions(picture, view.rates, prefix(paper=paper))
    balances = GaugeMetricFamily("bidder_wallet_balance", "Balance.", labels=["currency"])
    for wallet in view.wallets.values():
        if wallet.balance is not None:
            balances.add_metric([wallet.currency.short], float(wallet.balance.amount))
    yield balances


def _budgets(shown: Sequence[dict[str, Any]], named: str) -> Iterator[Metric]:
    """Yield what each budget allows, what is spent of it, and its multiplier."""
    families = {
        key: GaugeMetricFamily(f"{named}_budget_{name}", text, labels=["target", "period"])
        for key, name, text in (
            ("limit", "limit_usd", "The most that may be spent in the period, fees included."),
            ("spent", "spent_usd", "Spent in the period, as the exchange says, fees included."),
            ("target_per_day", "target_usd_per_day", "The rate at which it lasts until its end."),
            ("per_day", "running_usd_per_day", "The rate at which it goes now."),
        )
    }
    multiplier = GaugeMetricFamily(
        f"{named}_budget_multiplier",
        "Ceilings are divided by 1 + this; 0 where the budget does not bind.",
        labels=["target", "period"],
    )
    for each in shown:
        labels = [each["target"] or "", each["period"]]
        for key, family in families.items():
            if each[key] is not None:
                family.add_metric(labels, float(each[key]["amount"]))
        if each["multiplier"] is not None:
            multiplier.add_metric(labels, each["multiplier"])
    yield from families.values()
    yield multiplier


def _unattended(picture: dict[str, Any], *, paper: bool) -> Iterator[Metric]:
    """Yield the dead man's bound, as ``bidder status`` shows it, and its limit where there is one."""
    limit = picture["if_unattended"]["limit"]
    for named, key in (
        ("bidder", "if_unattended"),
        *([("bidder_paper", "paper_if_unattended")] if paper else []),
    ):
        usd = picture[key]["usd"]
        yield _one(
            f"{named}_unattended_usd",
            "What could still be spent if the daemon died now.",
            None if usd is None else Decimal(usd["amount"]),
        )
    yield _one(
        "bidder_unattended_limit_usd",
        "Above this bound nothing is ordered or raised.",
        None if limit is None else Decimal(limit["amount"]),
    )


def _wanted(moment: Moment) -> Metric:
    family = GaugeMetricFamily("bidder_servers_wanted", "Servers wanted.", labels=["target"])
    for target in moment.policy.targets:
        if target.enabled:
            family.add_metric([target.name], wanted.servers(target, moment.view))
    return family


def _positions(picture: dict[str, Any], rates: Rates, named: str) -> Iterator[Metric]:
    positions = GaugeMetricFamily(
        f"{named}_positions", "Orders, by whether they run.", labels=["target", "state"]
    )
    prices = {
        name: GaugeMetricFamily(
            f"{named}_{name}_usd_per_day", text, labels=["target", "server", "order"]
        )
        for name, text in (
            ("bid", "Our bid."),
            ("rival", "The best rival's bid on the same server."),
            ("ceiling", "The most that may be bid for this order."),
        )
    }
    workloads = GaugeMetricFamily(
        "bidder_workloads", "Probed workloads, by how they are.", labels=["target", "state"]
    )
    for target in picture["targets"]:
        name, orders = target["name"], target["orders"]
        probed = Counter(each["workload"]["state"] for each in orders if each["workload"] is not None)
        for state in State:
            workloads.add_metric([name, state.value], probed[state.value])
        positions.add_metric([name, "running"], target["held"])
        positions.add_metric([name, "waiting"], len(orders) - target["held"])
        for order in orders:
            for kind, metric in prices.items():
                usd = _usd(order[kind], rates)
                if usd is not None:
                    metric.add_metric([name, str(order["server"]), str(order["order"])], usd)
    yield positions
    yield workloads
    yield from prices.values()


def _spend(mode: Mode, totals: Sequence[SpendTotal]) -> Iterator[Metric]:
    labels, named = ["target", "currency"], prefix(paper=mode is Mode.PAPER)
    spend = GaugeMetricFamily(
        f"{named}_spend", "Spent by live and ended orders, without fees.", labels=labels
    )
    fees = GaugeMetricFamily(f"{named}_fees", "The exchange's percentage on that.", labels=labels)
    created = GaugeMetricFamily(f"{named}_creation_fees", "Paid for creating orders.", labels=labels)
    for total in totals:
        target = total.target or ""
        spend.add_metric([target, total.spend.currency.short], float(total.spend.amount))
        fees.add_metric([target, total.fees.currency.short], float(total.fees.amount))
        paid_in = total.creation_fees.currency.short
        created.add_metric([target, paid_in], float(total.creation_fees.amount))
    yield from (spend, fees, created)


def _regrets(mode: Mode, found: Sequence[Regret]) -> Iterator[Metric]:
    """Yield what the latest day that was measured cost, beside the best that was possible."""
    if not found:
        return
    named = f"{prefix(paper=mode is Mode.PAPER)}_regret"
    figures: tuple[tuple[str, str, Callable[[Regret], float | Decimal | None]], ...] = (
        ("paid_ratio", "Price paid per server and day over the optimum's.", lambda r: r.paid_ratio),
        ("held_ratio", "Share of the wanted time that was held.", lambda r: r.held_share),
        (
            "best_held_ratio",
            "Share of the wanted time that the optimum would have held.",
            lambda r: r.best_held_share,
        ),
        ("usd", "What the optimum would have been worth more, that day.", lambda r: r.usd),
        (
            "day_timestamp_seconds",
            "When the day began that was measured last.",
            lambda r: r.begin.timestamp(),
        ),
    )
    for name, text, figure in figures:
        family = GaugeMetricFamily(f"{named}_{name}", text, labels=["target"])
        for regret in found:
            value = figure(regret)
            if value is not None:
                family.add_metric([regret.target], float(value))
        yield family


def _usd(shown: dict[str, Any] | None, rates: Rates) -> float | None:
    if shown is None:
        return None
    rate = rates.usd_per_unit.get(Currency.named(shown["currency"]))
    return None if rate is None else float(Decimal(shown["amount"]) * rate)


def _one(name: str, text: str, value: float | Decimal | None) -> Metric:
    family = GaugeMetricFamily(name, text)
    if value is not None:
        family.add_metric([], float(value))
    return family
