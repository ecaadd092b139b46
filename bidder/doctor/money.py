"""The money: how long the wallets last, and what could be spent if nobody were there."""

from datetime import timedelta
from decimal import Decimal

from bidder.doctor.case import Case, unread
from bidder.doctor.findings import Fact, Finding, State, listed, span
from bidder.domain import exposure, runway
from bidder.domain.market import Wallet
from bidder.domain.money import EXACT, Money, plain
from bidder.domain.view import Holding, View
from bidder.errors import NoRate

_SHORT = timedelta(days=3)
_OVER = timedelta(hours=1)


def wallets(case: Case) -> Finding:
    """Judge how long each wallet lasts at the present spend."""
    known = _known(case)
    if known is None:
        return unread("wallets")
    if not known:
        return Finding(
            name="wallets",
            state=State.UNKNOWN,
            finding="The wallets have not been read yet.",
            remedy="start the daemon with a token; it reads them every ten minutes",
        )
    spending = runway.spending_per_day(_live(case))
    lasting = runway.lasting(known, spending)
    details: list[str] = []
    facts: dict[str, Fact] = {}
    for wallet in known:
        if wallet.balance is None:
            continue
        per_day = spending.get(wallet.currency, Decimal(0))
        line = f"{wallet.currency.short}: {_text(wallet.balance)}"
        days: Decimal | None = None
        if per_day > 0:
            days = EXACT.divide(wallet.balance.amount, per_day)
            lasts = span(lasting[wallet.currency])
            line += f", at {_text(Money(per_day, wallet.currency))} per day with fees: {lasts}"
        details.append(line)
        facts[f"{wallet.currency.short}_balance"] = plain(wallet.balance.amount)
        facts[f"{wallet.currency.short}_per_day"] = plain(round(per_day, 12))
        facts[f"{wallet.currency.short}_days"] = None if days is None else round(float(days), 2)
    if case.records is None:
        return Finding(
            name="wallets",
            state=State.UNKNOWN,
            finding="The balances are known, but not without the database what is being spent.",
            remedy="see the finding about the database",
            details=tuple(details),
            facts=facts,
        )
    if not lasting:
        return Finding(
            name="wallets",
            state=State.OK,
            finding="Nothing is being spent at present.",
            details=tuple(details),
            facts=facts,
        )
    shortest = min(lasting, key=lambda currency: lasting[currency])
    left = lasting[shortest]
    state = State.OK
    if left < max(_SHORT, case.settings.policy.rails.min_runway):
        state = State.WRONG if left < _OVER else State.WARNING
    return Finding(
        name="wallets",
        state=state,
        finding=f"The wallet {shortest.short} lasts {span(left)} at the present bids.",
        remedy="" if state is State.OK else f"pay in {shortest.short}; orders end when it is empty",
        details=tuple(details),
        facts=facts,
    )


def _known(case: Case) -> tuple[Wallet, ...] | None:
    if case.readings.wallets is not None:
        return case.readings.wallets
    return None if case.records is None else case.records.wallets


def _live(case: Case) -> tuple[Holding, ...]:
    return () if case.records is None else case.records.memory.holdings


def unattended(case: Case) -> Finding:
    """Judge the most that could still be spent if the daemon died now."""
    records = case.records
    if records is None:
        return unread("unattended")
    memory, policy = records.memory, case.settings.policy
    view = View(
        holdings={holding.order.order: holding for holding in memory.holdings},
        intents=memory.intents,
        wallets={wallet.currency: wallet for wallet in _known(case) or ()},
        rates=memory.rates.over(policy.static_rates),
        creation_fee_usd=memory.creation_fee_usd or Decimal(0),
    )
    bound = {c: money for c, money in exposure.if_unattended(view, case.now).items() if money.amount}
    limit = policy.rails.max_usd_if_unattended
    parts = listed(_text(money) for _, money in sorted(bound.items())) or "nothing"
    try:
        worth: Decimal | None = exposure.worth(bound, view)
    except NoRate:
        worth = None
    facts = {
        "usd": None if worth is None else plain(round(worth, 2)),
        "limit_usd": None if limit is None else plain(limit),
        **{f"{currency.short}": plain(money.amount) for currency, money in bound.items()},
    }
    value = "" if worth is None or not bound else f", worth {round(worth, 2)} USD"
    start = "If" if case.live else "On paper only: if"
    finding = f"{start} the daemon died now, at most {parts}{value} could still be spent"
    if worth is None:
        return Finding(
            name="unattended",
            state=State.UNKNOWN,
            finding=f"{finding}; without a rate it cannot be held against a limit.",
            remedy="give a rate under `rates` in the configuration",
            facts=facts,
        )
    if limit is None:
        return Finding(name="unattended", state=State.OK, finding=f"{finding}.", facts=facts)
    over = worth > limit
    return Finding(
        name="unattended",
        state=State.WARNING if over else State.OK,
        finding=f"{finding}, {'above' if over else 'within'} the limit of {plain(limit)} USD.",
        remedy="cancel orders, or raise rails.max_usd_if_unattended; until then nothing is ordered"
        if over
        else "",
        facts=facts,
    )


def _text(money: Money) -> str:
    return f"{plain(round(money.amount, 8))} {money.currency.short}"
