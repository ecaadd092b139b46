"""A decision as a person would say it: one sentence from its reason, its facts and its deed."""

from collections.abc import Mapping
from datetime import datetime

from bidder.domain.actions import Fact, Reason

# Of `adaptive` against a rival that answers.
_ROOM = "{room} above what is needed, because bids here were answered within the hour"
# What happened, and what may be added where the facts say it.
_TOLD: Mapping[Reason, tuple[str, tuple[str, ...]]] = {
    Reason.EMPTY_SLOT: (
        "A server was missing and this one was the cheapest that fits",
        (
            "{floor} is the least it takes",
            "the best rival bids {rival}",
            "the ceiling is {ceiling}",
            "on {cheaper_declined} cheaper ones the strategy would not bid",
        ),
    ),
    Reason.OUTBID: (
        "A rival had the server and a higher bid wins it back",
        ("the rival bids {rival}", "the ceiling is {ceiling}", _ROOM),
    ),
    Reason.MARK_DOWN: (
        "The server was ours for more than it takes",
        ("the best rival bids {rival}", "the floor is {floor}", _ROOM),
    ),
    Reason.ABOVE_CEILING: ("The bid stood above its ceiling", ("the ceiling is {ceiling}",)),
    Reason.FIXED_PRICE: ("The bid was not at the price that the strategy names", ()),
    Reason.MOVE: (
        "Another server was the better deal",
        (
            "server {to_server} takes {to_bid} per day",
            "in {horizon_hours} hours it saves {saving_usd} USD per GPU, the change costs {churn_usd}",
            "order {from_order} stays until the new one runs",
        ),
    ),
    Reason.WAR: (
        "Each raise was answered, so the server was left to its rivals",
        ("server {to_server} takes {to_bid} per day",),
    ),
    Reason.RECREATE: ("Ordering anew was cheaper than walking the bid down step by step", ()),
    Reason.RENEW: (
        "The order was about to end and its successor was due",
        ("the bid needed is {needed}",),
    ),
    Reason.SURPLUS: ("There were more orders than wanted and this one was the most dispensable", ()),
    Reason.UNWANTED: (
        "The configuration allows no bid there any more, and this one did not run",
        ("it does not allow the {ruled_out}",),
    ),
    Reason.STILL_ALIVE: (
        "The exchange had accepted its cancellation and let it run all the same",
        ("it was cancelled at {cancelled_at}", "{times} times so far"),
    ),
    Reason.SERVER_LOST: (
        "The server was lost for good: rented on demand, offline or gone",
        ("server {to_server} takes {to_bid} per day",),
    ),
    Reason.WORKLOAD_DEAD: (
        "The server was paid and its workload gave no sign of life",
        ("none since {dead_since}", "{found}", "{kept}"),
    ),
    Reason.WORKLOAD_ALIVE: ("The workload answered again", ("silent since {dead_since}",)),
    Reason.DEADLINE: (
        "The job had to compute on demand to be in time",
        ("{gpu_hours_left} GPU-hours are left", "{slack_minutes} minutes are to spare"),
    ),
    Reason.SPOT_AGAIN: ("A spot server ran again, so the on-demand one was not needed any more", ()),
    Reason.SLACK: (
        "The job had time to wait for spot servers",
        (
            "{gpu_hours_left} GPU-hours are left",
            "{slack_minutes} minutes are to spare",
            "{net_stopped_by} would keep it from renting on demand",
        ),
    ),
    Reason.JOB_DONE: ("The job had all of its GPU-hours", ("they are {gpu_hours}",)),
    Reason.ORDERED: ("You asked for it", ()),
    Reason.SHUTDOWN: ("The daemon stopped and was to leave no order behind", ()),
    Reason.BUDGET_SPENT: (
        "A budget was spent, as far as can be risked",
        ("{budget}", "{spent_usd} of {budget_usd} USD", "it is filled up again at {until}"),
    ),
    Reason.UNATTENDED: (
        "The daemon was silent for too long, and `bidder guard` looked after its orders",
        ("since {silent_since}", "down to {aim} was asked for", "an {kind} order cannot be lowered"),
    ),
    Reason.WINNING: (
        "The server was ours and no lower bid was worth its turn",
        ("the best rival bids {rival}", "the floor is {floor}", _ROOM),
    ),
    Reason.CLOCK: (
        "The bid was higher than needed, but the exchange allows one lowering in ten minutes",
        ("{needed} would be enough", _ROOM),
    ),
    Reason.PATIENCE: (
        "The bid was left as it was for a moment, in case the market settles by itself",
        ("the rival bids {rival}",),
    ),
    Reason.HANDOVER: ("The bid was the highest, and the exchange had yet to let it run", ()),
    Reason.CONFIRMING: ("A rival seemed to have the server; a second look had to agree first", ()),
    Reason.WAR_PAUSE: (
        "A bidding war was cooling off",
        ("{raises} raises were answered", "server {looking_at} was looked at meanwhile"),
    ),
    Reason.TOO_EXPENSIVE: (
        "What it takes was above the ceiling",
        ("{needed} is needed", "the cheapest is {cheapest}", "the ceiling is {ceiling}"),
    ),
    Reason.PACED: (
        "The budget has to last, and this was too dear for it at present",
        (
            "{needed} is needed",
            "the ceiling is lowered to {ceiling} for the time being",
            "a dollar counts as 1 + {multiplier}",
            "{target_rate_usd} USD per day would last",
        ),
    ),
    Reason.NOT_WORTH_IT: ("The server could be won, but too near its value to be worth a start", ()),
    Reason.NO_CANDIDATE: (
        "No server on the marketplace fits below the ceiling",
        ("{on_demand_ceiling} on demand",),
    ),
    Reason.STALE: (
        "What was known was too old to act on, so the market was looked at first",
        (
            "an exchange rate had jumped at {rates_jumped_at}, maybe by mistake",
            "an exchange rate had not been told since the start at {rates_recalled_at}",
        ),
    ),
    Reason.NO_RATE: ("An exchange rate was missing", ("none is known for {currency}",)),
    Reason.IN_DOUBT: ("An earlier request's outcome was not known yet", ()),
    Reason.FROZEN: (
        "The daemon could not decide this by itself, so a person must look",
        ("order {other_order} is on the same server", "it was cancelled {times} times and ran on"),
    ),
    Reason.PENDING: ("The new order was accepted and not listed yet", ()),
    Reason.UNAVAILABLE: (
        "The server was not to be had just then: rented on demand, offline or hidden",
        (),
    ),
    Reason.ON_DEMAND_CHEAPER: (
        "The bid would have reached what the host asks on demand",
        ("that is {on_demand}", "that is {cap}"),
    ),
    Reason.NO_BALANCE: (
        "The wallet did not carry it",
        (
            "it holds {balance}",
            "something is to stay in it, and how much {unknown_balance} it holds is not known",
        ),
    ),
    Reason.CHURN: (
        "There had been too many new orders lately",
        (
            "{creations_last_hour} within the hour",
            "{creations_on_server_last_hour} on this server within the hour",
        ),
    ),
    Reason.RAIL: (
        "One of your limits forbade it",
        ("the limit is {rail}", "it allows {limit_usd} USD", "it would be {would_be_usd} USD"),
    ),
    Reason.ORDER_LIMIT: ("The account may not have more orders", ("{live} of {limit} are live",)),
    Reason.PAUSED: ("Trading was paused", ()),
    Reason.REFUSED: (
        "The exchange had refused this shortly before",
        ("it said: {refusal}", "nothing as dear is paid in {currency} meanwhile"),
    ),
    Reason.STRATEGY_FAILED: (
        "Your own strategy gave no answer that can be used",
        ("{strategy}: {problem}",),
    ),
}


# Of whatever stays where it is although it would leave.
_KEPT = "{kept_by} keeps it from server {kept_from}"


def tell(
    reason: str,
    facts: Mapping[str, Fact],
    *,
    action: str | None = None,
    price: str | None = None,
    previous: str | None = None,
    due: datetime | None = None,
    done: bool = True,
) -> str:
    """Return the sentence; a reason that this program does not know is shown as it is stored.

    Not ``done`` is what was asked of the exchange and did not happen, or may not have.
    """
    try:
        opening, additions = _TOLD[Reason(reason)]
    except ValueError:
        opening, additions = f"The reason was {reason!r}", ()
    known = {name: fact for name, fact in facts.items() if fact is not None}
    added = [each for each in (*additions, _KEPT) if _names(each) <= known.keys()]
    said = ", ".join(text.format_map(known) for text in added)
    aside = f" ({said})" if said else ""
    until = "" if due is None or action is not None else f" until {due:%H:%M:%S} UTC"
    deed = _deed(action, price, previous) if done else _asked(action, price, previous)
    return f"{opening}{aside}: {deed}{until}."


def _names(text: str) -> set[str]:
    return {part.split("}", 1)[0] for part in text.split("{")[1:]}


def _deed(action: str | None, price: str | None, previous: str | None) -> str:
    match action:
        case None:
            return "nothing was sent"
        case "place":
            return f"a bid of {price} per day was placed"
        case "rent":
            return f"the server was rented on demand for {price} per day"
        case "reprice":
            return f"the bid went from {previous} to {price} per day"
        case _:
            return "the order was cancelled"


def _asked(action: str | None, price: str | None, previous: str | None) -> str:
    match action:
        case None:
            return "nothing was sent"
        case "place":
            return f"a bid of {price} per day was asked for"
        case "rent":
            return f"a rental on demand for {price} per day was asked for"
        case "reprice":
            return f"the bid was to go from {previous} to {price} per day"
        case _:
            return "the order was to be cancelled"
