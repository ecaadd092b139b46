"""What is held and what it costs, in a few figures: the status line, the metrics and the page agree."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from bidder.app.report import PassReport
from bidder.domain import selection, wanted
from bidder.domain.ids import on_paper
from bidder.domain.policy import Mode, Policy
from bidder.domain.view import Holding, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One moment. Amounts are in USD per day without fees; None where a rate is missing.

    With ``paper`` all that is held, paid and saved is so on paper only; nothing of the account's real
    orders is in it.
    ``waiting`` are bids that stand but do not run. ``on_demand_usd`` is what the running servers
    would cost on demand; it counts those for which such a price is known, as ``compared_usd`` does.
    """

    mode: str
    paper: bool
    paused: bool
    settled: bool
    want: int
    held: int
    waiting: int
    in_doubt: int
    paying_usd: Decimal | None
    compared_usd: Decimal
    on_demand_usd: Decimal

    @property
    def saving_usd(self) -> Decimal:
        """Return what is saved per day against renting the same servers on demand."""
        return self.on_demand_usd - self.compared_usd


def summarise(view: View, policy: Policy) -> Summary:
    """Return the figures of what is known now."""
    paper = policy.mode is Mode.PAPER
    ours = [h for number, h in view.holdings.items() if h.ours and on_paper(number) is paper]
    running = [holding for holding in ours if holding.runs]
    compared, on_demand = _against_on_demand(running, view, policy)
    return Summary(
        mode=policy.mode.value,
        paper=paper,
        paused=view.paused,
        settled=view.orders_at is not None and view.completed_at is not None,
        want=wanted.of_all(policy, view),
        held=len(running),
        waiting=len(ours) - len(running),
        in_doubt=len(view.intents),
        paying_usd=_usd(running, view),
        compared_usd=compared,
        on_demand_usd=on_demand,
    )


def line(summary: Summary, report: PassReport) -> str:
    """Return the summary as one line for a person."""
    if not summary.settled:
        problem = "" if report.observed is None else report.observed.error
        return "starting: our orders are not read yet" + (f" ({problem})" if problem else "")
    paying = "?" if summary.paying_usd is None else f"{summary.paying_usd:.2f}"
    doing = "paused" if summary.paused else summary.mode
    if summary.paper:
        parts = [
            f"{doing}: holds {summary.held} of {summary.want} servers on paper",
            f"would pay {paying} USD per day",
        ]
    else:
        parts = [
            f"{doing}: holds {summary.held} of {summary.want} servers",
            f"pays {paying} USD per day",
        ]
    if summary.waiting:
        parts.append(f"{summary.waiting} bids wait")
    if summary.in_doubt:
        parts.append(f"{summary.in_doubt} requests not settled")
    if report.observed is not None and report.observed.error:
        parts.append(f"last read failed: {report.observed.error}")
    return ", ".join(parts)


def _usd(holdings: Iterable[Holding], view: View) -> Decimal | None:
    total = Decimal(0)
    for holding in holdings:
        price = holding.order.price
        if not view.rates.knows(price.currency):
            return None
        total += view.rates.to_usd(price)
    return total


def against_on_demand(holding: Holding, view: View, policy: Policy) -> tuple[Decimal, Decimal] | None:
    """Return what a running order costs, and its server on demand, in USD per day without fees.

    On demand in a currency that its target may pay with, or that of its bid. None where no such price
    or no rate is known: then it cannot be said what is saved.
    """
    listing = view.marketplace.listings.get(holding.order.server)
    target = None if holding.target is None else policy.target(holding.target)
    price = holding.order.price
    if listing is None or target is None or not view.rates.knows(price.currency):
        return None
    payable = selection.payable(target, view.wallets) | {price.currency}
    other = listing.on_demand_usd(view.rates, payable)
    return None if other is None else (view.rates.to_usd(price), view.rates.to_usd(other))


def _against_on_demand(
    running: Iterable[Holding], view: View, policy: Policy
) -> tuple[Decimal, Decimal]:
    found = [against_on_demand(holding, view, policy) for holding in running]
    known = [each for each in found if each is not None]
    zero = Decimal(0)
    return sum((paid for paid, _ in known), zero), sum((other for _, other in known), zero)
