"""What the demo shows: a live table on a terminal, plain lines where there is none."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, assert_never

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bidder.app import snapshot
from bidder.app.report import Acted, PassReport, Result
from bidder.domain.actions import PlaceBid, RentOnDemand, Reprice, Withdraw
from bidder.domain.money import plain
from bidder.domain.policy import Policy

if TYPE_CHECKING:
    from pathlib import Path

    from bidder.demo.scaled import Match

_REFRESH = 4  # pictures per second of the machine's time
_LAST_DEEDS = 10
_PLAIN_EVERY = 1800.0  # seconds of exchange time between two plain pictures


class Show:
    """The audience's side of a demo."""

    def __init__(self, *, quiet: bool) -> None:
        """Show nothing at all when ``quiet``."""
        self._console = Console(highlight=False)
        self._quiet = quiet
        self._animated = self._console.is_terminal and not quiet
        self._deeds: deque[str] = deque(maxlen=_LAST_DEEDS)
        self._live: Live | None = None
        self._match: Match | None = None
        self._policy: Policy | None = None
        self._shown_at = -1e9
        self._last: PassReport | None = None

    def begin(self, match: "Match", policy: Policy, servers: int) -> None:
        """Announce the match."""
        self._match, self._policy = match, policy
        if self._quiet:
            return
        names = ", ".join(f"{t.want} x {t.name} up to {t.ceiling.price}/GPU" for t in policy.targets)
        self._say(
            f"Simulated exchange with {servers} servers, {match.hours:g} hours of its time at"
            f" {match.clock.speed:g} times the usual speed."
        )
        self._say(f"Wanted: {names} per day.")

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the match while the block lasts."""
        if not self._animated:
            yield
            return
        with Live(
            get_renderable=self._picture,
            console=self._console,
            refresh_per_second=_REFRESH,
            transient=False,
        ) as live:
            self._live = live
            yield
        self._live = None

    def on_pass(self, report: PassReport) -> None:
        """Take note of one pass."""
        self._last = report
        if self._quiet:
            return
        if report.acted is not None:
            deed = f"{report.at:%H:%M:%S}  {describe(report.acted)}"
            self._deeds.append(deed)
            if not self._animated:
                self._say(deed)
        if self._animated or self._match is None:
            return
        now = self._match.clock.monotonic()
        if now - self._shown_at >= _PLAIN_EVERY:
            self._shown_at = now
            for line in self._lines(report):
                self._say(line)

    def kept(self, config: "Path") -> None:
        """Say what can be looked at now."""
        self._say(f"What it recorded: bidder report -c {config}; bidder history -c {config} --daily.")

    def summary(self, report: dict[str, Any]) -> None:
        """Print what the referee counted."""
        table = Table(title=f"The referee's account of {report['simulated_hours']:.2f} hours")
        for column in ("target", "wanted", "held", "could be had", "paid/GPU-day", "on demand"):
            table.add_column(column, justify="left" if column == "target" else "right")
        for target in report["targets"]:
            table.add_row(
                target["name"],
                str(target["want"]),
                f"{target['held_share']:.1%}",
                f"{target['attainable_share']:.1%}",
                _dollars(target["mean_price_per_gpu_day_usd"]),
                _dollars(target["on_demand_price_per_gpu_day_usd"]),
            )
        self._console.print(table)
        refused = report.get("refusals") or {}
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(refused.items())) or "none"
        self._say(
            f"Requests {report['requests']} ({report['requests_per_second']:.2f} per second);"
            f" refusals: {kinds}."
        )
        self._say(
            f"Orders created {report['orders_created']}; spent {_dollars(report['spend_usd'])}"
            f" and {_dollars(report['fees_usd'])} in fees."
        )
        self._say(
            f"Bids above a ceiling {report['ceiling_breaches']}, double orders"
            f" {report['double_orders']}, lowerings too early {report['early_lowerings']},"
            f" refused for pace {report['rate_limit_refusals']}."
        )

    def _say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    def _picture(self) -> Group:
        if self._last is None or self._match is None:
            return Group(Text("starting"))
        taken = self._snapshot(self._last)
        table = Table(expand=True, title=self._headline(taken))
        for column in (
            "target",
            "server",
            "GPUs",
            "state",
            "our bid",
            "best rival",
            "floor",
            "lower in",
            "spent",
        ):
            table.add_column(column, no_wrap=True)
        for target in taken["targets"]:
            label = f"{target['name']} {target['held']}/{target['want']}"
            for order in target["orders"]:
                table.add_row(
                    label,
                    str(order["server"]),
                    str(order["gpus"] or ""),
                    _state(order["active"]),
                    _amount(order["bid"]),
                    _amount(order["rival"]),
                    _amount(order["floor"]),
                    _wait(order["seconds_to_lowering"]),
                    _rough(order["spend"]),
                )
                label = ""
            if label:
                reasons = {d["reason"] for d in target["decisions"]}
                table.add_row(label, "", "", ", ".join(sorted(reasons)), *[""] * 5)
        return Group(table, Text("Last deeds"), *(Text("  " + deed) for deed in self._deeds))

    def _headline(self, taken: dict[str, Any]) -> str:
        assert self._match is not None
        left = (self._match.ends_at - self._match.clock.now()).total_seconds()
        requests = taken["requests"]
        return (
            f"{self._match.clock.now():%H:%M} exchange time, {max(0.0, left) / 3600:.1f} h left"
            f" | request budget used {requests['budget_use']:.0%}"
            f" | committed {_amount(taken['committed_usd_per_day'])}/day"
        )

    def _lines(self, report: PassReport) -> list[str]:
        taken = self._snapshot(report)
        lines = []
        for target in taken["targets"]:
            lines.append(f"{report.at:%H:%M:%S}  {target['name']}: {target['held']} of {target['want']}")
            lines.extend(
                f"          server {order['server']}: bid {_amount(order['bid'])},"
                f" rival {_amount(order['rival'])}, floor {_amount(order['floor'])},"
                f" lowering in {_wait(order['seconds_to_lowering'])}, spent {_amount(order['spend'])}"
                for order in target["orders"]
            )
        use = taken["requests"]["budget_use"]
        lines.append(f"          request budget used: {use:.0%}")
        return lines

    def _snapshot(self, report: PassReport) -> dict[str, Any]:
        assert self._match is not None
        assert self._policy is not None
        trader = self._match.app.trader
        return snapshot.take(report, trader.view, self._policy, trader.client.limiter)


def describe(acted: Acted) -> str:
    """Return one deed as a person would say it."""
    action, reason = acted.action, acted.decision.reason.value.replace("_", " ")
    target = acted.decision.target or "a person's order"
    match action:
        case PlaceBid(server=server, price=price):
            deed = f"bid {price} on server {server}"
        case RentOnDemand(server=server, price=price):
            deed = f"rent server {server} at {price}"
        case Reprice(server=server, price=price, current=current):
            verb = "lower" if price < current else "raise"
            deed = f"{verb} {current} to {price} on server {server}"
        case Withdraw(order=order, server=server):
            deed = f"cancel order {order} on server {server}"
        case _:
            assert_never(action)
    outcome = "" if acted.result is Result.OK else f" [{acted.result.value}: {acted.error}]"
    rival = acted.decision.facts.get("rival")
    because = f"{reason}, best rival {rival}" if rival else reason
    return f"{target}: {deed} ({because}){outcome}"


def _state(active: bool | None) -> str:  # noqa: FBT001 - three-valued, straight from the snapshot
    if active is None:
        return "new"
    return "running" if active else "outbid"


def _amount(value: dict[str, Any] | None) -> str:
    if value is None:
        return "-"
    # For the eye only: what is spent has twenty digits.
    shown = round(Decimal(value["amount"]), 8)
    return f"{plain(shown)} {value['currency']}"


def _rough(value: dict[str, Any] | None) -> str:
    if value is None:
        return "-"
    amount = Decimal(value["amount"])
    digits = max(2, 2 - amount.adjusted()) if amount else 0
    return f"{plain(round(amount, digits))} {value['currency']}"


def _wait(seconds: float) -> str:
    return "open" if seconds <= 0 else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _dollars(text: str | None) -> str:
    return "-" if text is None else f"${float(text):.4f}"
