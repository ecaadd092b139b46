"""What trading cost against what an all-knowing bidder would have paid, as values that add up.

Money is in USD without the exchange's percentage. A worth weighs the price against the time held: the
owner's value of the time that ran, less the bids, the starts and the creations.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain.ids import OrderId, ServerId
from bidder.domain.money import EXACT, Currency
from bidder.domain.policy import Mode

# So many of the decisions that cost most are told.
TOLD = 3
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costly:
    """One decision, as a sentence, and what it cost against the best that was possible then, in USD.

    ``better``: when and what the best would have been, as the end of a sentence.
    """

    at: datetime
    target: str
    sentence: str
    better: str
    usd: Decimal
    server: ServerId | None = None
    order: OrderId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one way to bid came to: how long it held servers, what that cost, and what it was worth."""

    held: timedelta = timedelta(0)
    paid: Decimal = Decimal(0)
    starts: int = 0
    creations: int = 0
    worth: Decimal = Decimal(0)

    def plus(self, other: "Tally") -> "Tally":
        """Return both together."""
        return Tally(
            held=self.held + other.held,
            paid=EXACT.add(self.paid, other.paid),
            starts=self.starts + other.starts,
            creations=self.creations + other.creations,
            worth=EXACT.add(self.worth, other.worth),
        )

    @property
    def per_day(self) -> Decimal | None:
        """Return the price of a server for a day of running, in USD; None where none ran."""
        if self.held <= timedelta(0):
            return None
        return self.paid / Decimal(repr(self.held / _DAY))


@dataclass(frozen=True, slots=True, kw_only=True)
class Regret:
    """One target over one span: what was done, beside the best that was possible.

    ``wanted`` is the time of all wanted servers in which anything was watched, ``unwatched`` the rest
    of the span, of which nothing is known. ``coins`` is what was paid by currency. ``costly`` are the
    decisions that cost most, worst first. ``compared`` is, of a sum, what was paid and what the same
    time would have cost at the optimum's mean price of its own strategy and day.
    """

    begin: datetime
    end: datetime
    mode: Mode
    target: str
    wanted: timedelta = timedelta(0)
    unwatched: timedelta = timedelta(0)
    ours: Tally = Tally()
    best: Tally = Tally()
    coins: Mapping[Currency, Decimal] = field(default_factory=dict)
    costly: tuple[Costly, ...] = ()
    compared: tuple[Decimal, Decimal] | None = None

    @property
    def usd(self) -> Decimal:
        """Return what the best would have been worth more; never below 0 but for rounding."""
        return EXACT.subtract(self.best.worth, self.ours.worth)

    @property
    def paid_ratio(self) -> float | None:
        """Return how many times the best price per server and day was paid; None where none ran.

        Of a sum each strategy's day is compared with its own best price, over those that have both: mean
        prices of a cheap and a dear strategy, held for different shares of the time, say nothing.
        """
        paid, best = _compared(self)
        return float(paid / best) if best else None

    @property
    def held_share(self) -> float | None:
        """Return the share of the wanted time that was held; None where nothing was watched."""
        return _share(self.ours.held, self.wanted)

    @property
    def best_held_share(self) -> float | None:
        """Return the share of the wanted time that the best would have held."""
        return _share(self.best.held, self.wanted)

    @property
    def known_share(self) -> float | None:
        """Return the share of the span in which anything was watched."""
        return _share(self.wanted, self.wanted + self.unwatched)

    def plus(self, other: "Regret") -> "Regret":
        """Return both together, under this one's name."""
        coins = dict(self.coins)
        for currency, amount in other.coins.items():
            coins[currency] = EXACT.add(coins.get(currency, Decimal(0)), amount)
        (paid, best), (other_paid, other_best) = _compared(self), _compared(other)
        costly = sorted((*self.costly, *other.costly), key=lambda each: (-each.usd, each.at))
        return replace(
            self,
            begin=min(self.begin, other.begin),
            end=max(self.end, other.end),
            wanted=self.wanted + other.wanted,
            unwatched=self.unwatched + other.unwatched,
            ours=self.ours.plus(other.ours),
            best=self.best.plus(other.best),
            coins=coins,
            costly=tuple(costly[:TOLD]),
            compared=(EXACT.add(paid, other_paid), EXACT.add(best, other_best)),
        )


def together(regrets: Iterable[Regret], *, target: str | None = None) -> tuple[Regret, ...]:
    """Return one regret for each mode and target; with a name, one for each mode under that name."""
    found: dict[tuple[Mode, str], Regret] = {}
    for regret in regrets:
        key = (regret.mode, regret.target if target is None else target)
        named = replace(regret, target=key[1])
        found[key] = found[key].plus(named) if key in found else named
    return tuple(found.values())


def headline(regret: Regret) -> str:
    """Return the regret as a sentence."""
    if regret.wanted <= timedelta(0):
        return "nothing was watched, so nothing can be said"
    held, best = regret.held_share or 0.0, regret.best_held_share or 0.0
    shares = f"at {held:.1%} of the time held ({best:.1%} would have been best)"
    if regret.ours.per_day is None:
        return f"nothing ran; the best would have held {best:.1%} of the time: {_lost(regret.usd)}"
    if regret.paid_ratio is None:
        return f"what ran was not worth its starts {shares}: {_lost(regret.usd)}"
    return f"paid {regret.paid_ratio:.3f} times the optimum {shares}: {_lost(regret.usd)}"


def _lost(usd: Decimal) -> str:
    return f"{max(usd, Decimal(0)):.4f} USD of worth were lost"


def _share(part: timedelta, whole: timedelta) -> float | None:
    # What is renewed stands twice for a moment: more than all is not held.
    return min(part / whole, 1.0) if whole > timedelta(0) else None


def _compared(regret: Regret) -> tuple[Decimal, Decimal]:
    if regret.compared is not None:
        return regret.compared
    best = regret.best.per_day
    if regret.ours.per_day is None or not best:
        return Decimal(0), Decimal(0)
    return regret.ours.paid, best * Decimal(repr(regret.ours.held / _DAY))
