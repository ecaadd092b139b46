"""The regrets of whole days: rows that were reckoned once and are read for as long as they are kept."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, delete, insert

from bidder.domain.ids import OrderId, ServerId
from bidder.domain.money import Currency, plain
from bidder.domain.policy import Mode
from bidder.domain.regret import Costly, Regret, Tally
from bidder.store import rows, tables


def write(connection: Connection, account: str, day: datetime, found: Iterable[Regret]) -> None:
    """Keep a day's regrets, instead of any that are there already."""
    table = tables.regrets
    connection.execute(delete(table).where(table.c.account == account, table.c.at == day))
    for regret in found:
        connection.execute(insert(table), _values(account, regret))


def regret_of(row: Row[Any]) -> Regret:
    """Return the regret in a row."""
    return Regret(
        begin=row.at,
        end=row.until,
        mode=Mode(row.mode),
        target=row.target,
        wanted=row.wanted,
        unwatched=row.unwatched,
        ours=_tally_of(row, "ours"),
        best=_tally_of(row, "best"),
        coins={Currency(name): Decimal(amount) for name, amount in row.coins.items()},
        costly=tuple(_costly_of(each) for each in row.costly),
    )


def _values(account: str, regret: Regret) -> dict[str, Any]:
    return {
        "account": account,
        "at": regret.begin,
        "until": regret.end,
        "mode": regret.mode.value,
        "target": regret.target,
        "wanted": regret.wanted,
        "unwatched": regret.unwatched,
        **_tally("ours", regret.ours),
        **_tally("best", regret.best),
        "coins": {str(currency): plain(amount) for currency, amount in regret.coins.items()},
        "costly": [
            {
                "at": each.at.isoformat(),
                "target": each.target,
                "sentence": each.sentence,
                "better": each.better,
                "usd": plain(each.usd),
                "server": each.server,
                "order": each.order,
            }
            for each in regret.costly
        ],
    }


def _tally(whose: str, tally: Tally) -> dict[str, Any]:
    return {
        f"{whose}_held": tally.held,
        f"{whose}_paid": rows.fitting(tally.paid),
        f"{whose}_starts": tally.starts,
        f"{whose}_creations": tally.creations,
        f"{whose}_worth": float(tally.worth),
    }


def _tally_of(row: Row[Any], whose: str) -> Tally:
    values = row._mapping  # noqa: SLF001 - public, named so that no column hides it
    return Tally(
        held=values[f"{whose}_held"],
        paid=values[f"{whose}_paid"],
        starts=values[f"{whose}_starts"],
        creations=values[f"{whose}_creations"],
        worth=round(Decimal(repr(values[f"{whose}_worth"])), 9),
    )


def _costly_of(kept: dict[str, Any]) -> Costly:
    server, order = kept["server"], kept["order"]
    return Costly(
        at=datetime.fromisoformat(kept["at"]),
        target=kept["target"],
        sentence=kept["sentence"],
        better=kept["better"],
        usd=Decimal(kept["usd"]),
        server=None if server is None else ServerId(server),
        order=None if order is None else OrderId(order),
    )
