"""What a decision to hold says to a person: why nothing is done, and what he can do about it."""

from collections.abc import Mapping

from bidder.domain.actions import Decision, Reason
from bidder.domain.view import InVain

# What the exchange says may be long; a title is read at a glance.
_LONGEST = 120

# Why a bid stands idle without being in anybody's way, and what an owner can do about it.
IDLE: Mapping[Reason, str] = {
    Reason.SERVER_LOST: "its server is rented on demand, offline or gone, and no better one is to be"
    " had; a higher `ceiling` or wider `servers` leave more to choose from",
    Reason.UNAVAILABLE: "its server is rented on demand, offline or hidden, and no better one is to be"
    " had; a higher `ceiling` or wider `servers` leave more to choose from",
    Reason.ON_DEMAND_CHEAPER: "to win it would take more than the server costs on demand: renting it on"
    " demand yourself is cheaper now",
    Reason.NOT_WORTH_IT: "it could be won, but too near the `ceiling` to be worth a start; raise that,"
    " or wait for the price to fall",
    Reason.WAR_PAUSE: "a rival there answers each raise; a higher `ceiling` or wider `servers` leave"
    " more to choose from",
}


def obstacle(decision: Decision) -> str:
    """Return what is in the way, by a decision that nothing can be done."""
    frozen = decision.reason is Reason.FROZEN
    text = _subject(decision)
    if "other_order" in decision.facts:
        text += f", orders {decision.order} and {decision.facts['other_order']}; cancel one"
    if "unexplained_order" in decision.facts:
        text += (
            f", order {decision.facts['unexplained_order']} looks like one of its own, but"
            " nothing here explains it; set `adopt: true`, or cancel it"
        )
    if frozen and "cancelled_at" in decision.facts:
        text += (
            f", order {decision.order} runs on although it was cancelled"
            f" {decision.facts['times']} times; cancel it by hand"
        )
    if decision.reason is Reason.STRATEGY_FAILED:
        text += (
            f", {decision.facts.get('strategy')}: {decision.facts.get('problem')};"
            " its bids stay as they are until it answers"
        )
    if decision.reason is Reason.NO_RATE:
        text += "; the exchange has told none so far: name it under `rates` in the configuration"
    if "refusal" in decision.facts:
        text += f" ({_short(str(decision.facts['refusal']))})"
    return text + _kept(decision)


def idleness(decision: Decision, *, running: int, want: int) -> str:
    """Return why a strategy has fewer servers than it wants although nothing is in its way."""
    advice = IDLE[decision.reason]
    return f"{_subject(decision)}, {running} of {want} run; {advice}{_kept(decision)}"


# Why a job could not rent, where no rail of the owner's forbids it.
_NO_RENTAL: Mapping[str, str] = {
    Reason.NO_CANDIDATE.value: "no free server costs less than its `on_demand_ceiling`",
    Reason.NO_BALANCE.value: "no wallet carries one",
    Reason.ORDER_LIMIT.value: "the account may have no more orders",
}


def without_net(decision: Decision) -> str:
    """Return why a job that waits for spot servers could not rent on demand when it must."""
    what = str(decision.facts["net_stopped_by"])
    why = _NO_RENTAL.get(what, f"the rail `{what}` forbids it")
    return (
        f"strategy {decision.target}: it waits for spot servers, and if none is to be had in time it"
        f" cannot rent on demand: {why}"
    )


def in_vain(target: str, known: InVain) -> str:
    """Return how many creations of a target in a row made no order, and what the exchange said last."""
    said = f"; the last one: {_short(known.says)}" if known.says else ""
    return f"strategy {target}: {known.count} creations in a row made no order{said}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _subject(decision: Decision) -> str:
    where = "" if decision.server is None else f" on server {decision.server}"
    return f"strategy {decision.target}{where}: {decision.reason.value}"


def _kept(decision: Decision) -> str:
    if "kept_by" not in decision.facts:
        return ""
    return f", and {decision.facts['kept_by']} keeps it from another server"
