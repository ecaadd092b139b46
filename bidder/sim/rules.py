"""What the simulated exchange does where the marketplace's documents are silent.

Everything that the API page marks *unknown* is a field here, with the default that the simulator
uses and the reason for it. The player never sees these values: it has to learn them from answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Literal

_TEN_DIGITS = Decimal("1e-10")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """A price may go down by at most a fixed amount per lowering (API page, section 4).

    ``amounts`` are per currency and day. A currency that is not listed gets the amount worth
    ``others_usd`` at the rates that the exchange started with, so that it stays fixed.
    """

    amounts: Mapping[str, Decimal] = field(default_factory=lambda: {"bitcoin": Decimal("0.000001")})
    others_usd: Decimal = Decimal("0.069")


@dataclass(frozen=True, slots=True)
class ShareOfPrice:
    """A price may go down by at most this share of itself."""

    share: Decimal = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class ShareOfFloor:
    """A price may go down by at most this share of the server's lowest allowed bid."""

    share: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class ShareOfOnDemand:
    """A price may go down by at most this share of the server's on-demand price."""

    share: Decimal = Decimal("0.1")


StepRule = Fixed | ShareOfPrice | ShareOfFloor | ShareOfOnDemand


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddities:
    """Deviations from the documented shapes that callers have met; each can be switched on."""

    currency_on_offers: Literal["always", "not_bitcoin", "never"] = "always"
    rates_in_books: bool = True
    null_balance: bool = False  # one wallet's balance is null
    connected_as_text: bool = False  # my_servers' `connected` as the documents' table has it
    spot_beside_price: bool = False  # servers[x].spot as the documents' table has it
    fee_fields: bool = True  # my_orders carries `fee` and `p`
    order_specs: bool = True  # my_orders carries `specs`
    offline_listed: bool = True  # an offline server stays in the marketplace answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One scenario's rules. Seconds are the exchange's own; percentages are of the spend."""

    # Limits (section 1), judged by arrival on the exchange's own clock.
    request_spacing_seconds: float = 1.0
    creation_spacing_seconds: float = 5.0
    refused_request_restarts_second: bool = False
    refused_creation_restarts_spacing: bool = True  # "from its last attempt"
    refusal_status: int = 200  # HTTP status of code 5; 429 was met too
    retry_after_seconds: int | None = None
    database_error_status: int = 200  # HTTP status of code 1; 500 was met too
    invalid_status: int = 200  # HTTP status of codes 2, 3 and 4

    # Lowering (section 4).
    lowering_pause_seconds: float = 600.0
    step: StepRule = field(default_factory=Fixed)
    creation_starts_clock: bool = True
    raise_starts_clock: bool = False
    clock_before_step: bool = True  # which refusal a lowering gets that is too soon and too far
    time_to_lowering_decimals: int = 3  # rounded up, so that waiting as told always suffices

    # The auction (section 3).
    outbid: Literal["waits", "expires"] = "waits"
    displaced: Literal["waits", "expires"] = "waits"  # by an on-demand rental or an outage
    tie: Literal["earlier_price", "earlier_offer", "incumbent"] = "earlier_price"
    least_increment_usd: Decimal = Decimal(0)
    bids_while_rented: Literal["refused", "wait"] = "refused"
    # From the bid that wins, or the moment in which a server comes free, until `active` follows; who ran
    # before runs on meanwhile where he still may.
    handover_seconds: float = 0.0

    # Money.
    spot_fee_percent: Decimal = Decimal("2.5")
    on_demand_fee_percent: Decimal = Decimal(5)
    spot_creation_fee_btc: Decimal = Decimal("1e-7")  # or its worth in the order's currency
    on_demand_creation_fee_btc: Decimal = Decimal("3e-7")
    billing: Literal["full_minutes", "begun_minutes", "pro_rata"] = "full_minutes"
    balance_minutes: int = 60  # how long a wallet must be able to pay for a new order

    # Orders.
    orders_limit: int = 120
    visibility_delay_seconds: tuple[float, float] = (0.5, 4.0)  # until a new order is listed
    completed_reach_seconds: float | None = None  # how far back return_completed looks; None: all

    oddities: Oddities = field(default_factory=Oddities)


def lowest_settable(
    rule: StepRule,
    *,
    price: Decimal,
    currency: str,
    floor: Decimal,
    on_demand: Decimal,
    usd_per_unit: Decimal,
) -> Decimal:
    """Return the lowest price that the step rule alone allows from ``price``, per day.

    ``usd_per_unit`` is the rate that the exchange started with.
    """
    amount: Decimal
    match rule:
        case Fixed():
            amount = rule.amounts.get(currency) or two_digits(rule.others_usd / usd_per_unit)
        case ShareOfPrice():
            amount = price * rule.share
        case ShareOfFloor():
            amount = floor * rule.share
        case ShareOfOnDemand():
            amount = on_demand * rule.share
    lowest = price - amount
    if lowest.as_tuple().exponent < -10:  # type: ignore[operator]  # prices are finite here
        lowest = lowest.quantize(_TEN_DIGITS, ROUND_CEILING)
    return max(Decimal(0), lowest)


def two_digits(value: Decimal) -> Decimal:
    """Return ``value`` rounded to two significant digits, as a plain number."""
    if value == 0:
        return value
    return round(value, 1 - value.adjusted())
