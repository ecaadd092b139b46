"""``bidder report``: what was paid against the best that was possible, and what cost most."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bidder.cli.failures import ExitCode
from bidder.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile

if TYPE_CHECKING:
    from bidder.domain.policy import Policy
    from bidder.domain.regret import Regret
    from bidder.store.queries import Queries

_DAY = timedelta(days=1)
_ALL = "all"
_COLUMNS = (
    "strategy",
    "paid a day",
    "optimum",
    "times",
    "held",
    "optimum",
    "starts",
    "optimum",
    "paid USD",
    "lost USD",
)


def report(
    config: ConfigFile = DEFAULT_CONFIG,
    days: Annotated[
        int, typer.Option(min=1, max=3660, help="How many days, up to the latest that was recorded.")
    ] = 7,
    as_json: AsJson = False,
) -> int:
    """Say what was paid against an all-knowing bidder, and which three decisions cost most.

    Needs no running daemon. Days that the daemon measured are read, others are reckoned now.
    """
    from bidder.cli import output
    from bidder.cli.opening import read_settings
    from bidder.wiring import open_queries

    settings = read_settings(config)
    with open_queries(settings) as queries:
        found = look(queries, settings.policy, days, datetime.now(UTC))
    document = {"account": settings.account, **_document(found)}
    if as_json:
        output.say_json(document)
    else:
        _show(document)
    return ExitCode.DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The regrets of some days, each of one day; ``unknown`` says what cannot be known, in sentences."""

    begin: datetime | None
    end: datetime | None
    regrets: tuple["Regret", ...] = ()
    unmeasured: Mapping[str, str]
    unknown: tuple[str, ...]


def look(queries: "Queries", policy: "Policy", days: int, now: datetime) -> Found:
    """Return what the last ``days`` days with a record came to; those not kept yet are reckoned."""
    from bidder.backtest import meter
    from bidder.backtest.left_out import left_out

    span = queries.market.read_span()
    newest = queries.latest_regrets()
    ends = [*(regret.end for regret in newest), *([] if span is None else [span[1]])]
    if not ends:
        return Found(
            begin=None,
            end=None,
            unmeasured={},
            unknown=("Nothing is recorded yet: `bidder run` records what it sees.",),
        )
    end = min(max(ends), now)
    last = _midnight(end - timedelta(microseconds=1))
    begin = last - (days - 1) * _DAY
    regrets = list(queries.regrets(begin, end))
    kept = {regret.begin for regret in regrets}
    looked = set(kept)
    whys: dict[str, str] = {}
    empty = 0
    for number in range(days):
        day = begin + number * _DAY
        if day in kept:
            continue
        if span is None or day + _DAY <= span[0]:
            empty += 1
            continue
        measured = meter.measure(queries, policy, day, min(day + _DAY, _whole_minute(end)))
        regrets += measured.regrets
        whys.update(measured.unmeasured)
        empty += not measured.regrets
        if measured.regrets or measured.unmeasured:
            looked.add(day)
    unmeasured = left_out(queries.orders_between(begin, end), regrets, policy, whys, looked)
    return Found(
        begin=begin,
        end=end,
        regrets=tuple(sorted(regrets, key=lambda regret: regret.begin)),
        unmeasured=unmeasured,
        unknown=_unknown(regrets, days, empty),
    )


def _unknown(regrets: Iterable["Regret"], days: int, empty: int) -> tuple[str, ...]:
    from bidder.domain.regret import together

    said = []
    if empty:
        said.append(f"Of {empty} of {days} days there is no record of a server that fits.")
    for whole in together(regrets, target=_ALL):
        share = whole.known_share
        if share is not None and share < 0.999:
            paper = " on paper" if whole.mode.value == "paper" else ""
            hours, most = (each / timedelta(hours=1) for each in _unwatched(whole))
            said.append(
                f"Nobody looked in {hours:.1f} of {most:.1f} hours in which servers were wanted{paper}:"
                " what was held and paid then counts for neither side."
            )
    said.append(
        "Prices are known only as far as books were read: a cheaper server that nobody looked at"
        " is not missed, and how rivals would have answered other bids nobody knows."
    )
    return tuple(said)


def _unwatched(whole: "Regret") -> tuple[timedelta, timedelta]:
    return whole.unwatched, whole.unwatched + whole.wanted


def _document(found: Found) -> dict[str, Any]:
    from bidder.app.snapshot import moment
    from bidder.domain.regret import together

    by_day: dict[datetime, list[Regret]] = {}
    for regret in found.regrets:
        by_day.setdefault(regret.begin, []).append(regret)
    return {
        "from": moment(found.begin),
        "to": moment(found.end),
        "total": [_regret(each) for each in together(found.regrets, target=_ALL)],
        "targets": [_regret(each) for each in together(found.regrets)],
        "days": [
            _regret(each) for regrets in by_day.values() for each in together(regrets, target=_ALL)
        ],
        "unmeasured": [{"target": name, "why": why} for name, why in found.unmeasured.items()],
        "unknown": list(found.unknown),
    }


def _regret(regret: "Regret") -> dict[str, Any]:
    from bidder.app import snapshot
    from bidder.domain.ids import on_paper
    from bidder.domain.money import Money, plain
    from bidder.domain.regret import headline

    return {
        "mode": regret.mode.value,
        "target": regret.target,
        "from": snapshot.moment(regret.begin),
        "to": snapshot.moment(regret.end),
        "summary": headline(regret),
        "wanted_seconds": regret.wanted.total_seconds(),
        "unwatched_seconds": regret.unwatched.total_seconds(),
        "paid_ratio": _rounded(regret.paid_ratio),
        "held_share": _rounded(regret.held_share),
        "best_held_share": _rounded(regret.best_held_share),
        "paid_usd_per_day": _amount(regret.ours.per_day),
        "best_usd_per_day": _amount(regret.best.per_day),
        "paid_usd": _amount(regret.ours.paid),
        "best_paid_usd": _amount(regret.best.paid),
        "paid": [
            snapshot.money(Money(round(amount, 12), currency))
            for currency, amount in regret.coins.items()
        ],
        "starts": regret.ours.starts,
        "best_starts": regret.best.starts,
        "creations": regret.ours.creations,
        "best_creations": regret.best.creations,
        "worth_usd": _amount(regret.ours.worth),
        "best_worth_usd": _amount(regret.best.worth),
        "regret_usd": _amount(regret.usd),
        "costly": [
            {
                "at": snapshot.moment(each.at),
                "target": each.target,
                "server": each.server,
                "order": each.order,
                "paper": each.order is not None and on_paper(each.order),
                "decision": each.sentence,
                "better": f"The best {each.better}.",
                "cost_usd": plain(each.usd),
            }
            for each in regret.costly
        ],
    }


def _show(document: dict[str, Any]) -> None:
    from bidder.cli import output

    if document["from"] is not None:
        output.say(f"{output.when(document['from'])} to {output.when(document['to'])} UTC")
    for total in document["total"]:
        output.say(f"{'On paper: ' if total['mode'] == 'paper' else ''}{total['summary']}.")
    output.table(_COLUMNS, [_row(each) for each in document["targets"]])
    if len(document["days"]) > 1:
        rows = [(each["from"][:10], *_row(each)[1:]) for each in document["days"]]
        output.table(("day", *_COLUMNS[1:]), rows)
    for total in document["total"]:
        for costly in total["costly"]:
            where = f"server {costly['server']}, " if costly["server"] is not None else ""
            output.say(
                f"{output.when(costly['at'])} {costly['target']}: {where}lost"
                f" {_short(costly['cost_usd'])} USD. {costly['decision']} {costly['better']}"
            )
    for each in document["unmeasured"]:
        output.say(f"{each['target']} is not measured: {each['why']}.")
    for line in document["unknown"]:
        output.say(line)


def _row(each: Mapping[str, Any]) -> Sequence[str]:
    from bidder.cli import output

    paper = " (paper)" if each["mode"] == "paper" else ""
    return (
        f"{each['target']}{paper}",
        _short(each["paid_usd_per_day"]),
        _short(each["best_usd_per_day"]),
        output.text(each["paid_ratio"]),
        _percent(each["held_share"]),
        _percent(each["best_held_share"]),
        str(each["starts"]),
        str(each["best_starts"]),
        _short(each["paid_usd"]),
        _short(each["regret_usd"]),
    )


def _short(amount: str | None) -> str:
    return "-" if amount is None else f"{Decimal(amount):.4f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _amount(amount: Decimal | None) -> str | None:
    from bidder.domain.money import plain

    return None if amount is None else plain(round(amount, 6))


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _whole_minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
