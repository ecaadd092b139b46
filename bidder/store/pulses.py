"""What the probes of workloads showed: rows that live as long as their order runs."""

from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select

from bidder.domain.ids import OrderId
from bidder.domain.probe import Pulse
from bidder.store import tables
from bidder.store.records import PassRecord, PulseRecord

_TABLE: Final = tables.pulses
_INSERT: Final = insert(_TABLE)


def write(connection: Connection, account: str, record: PassRecord) -> None:
    """Write the pulses that changed, and forget those of orders that have none any more."""
    if record.pulses_of is None:
        return
    stay = record.pulses_of - {each.order for each in record.pulses}
    mine = _TABLE.c.account == account
    connection.execute(delete(_TABLE).where(mine, _TABLE.c.order_id.not_in(stay)))
    if record.pulses:
        connection.execute(_INSERT, [_row(account, each) for each in record.pulses])


def load(connection: Connection, account: str) -> tuple[PulseRecord, ...]:
    """Return what the last daemon knew."""
    statement = select(_TABLE).where(_TABLE.c.account == account).order_by(_TABLE.c.order_id)
    return tuple(_record(row) for row in connection.execute(statement))


def _row(account: str, record: PulseRecord) -> dict[str, Any]:
    pulse = record.pulse
    return {
        "account": account,
        "order_id": record.order,
        "probe": record.probe,
        "began_at": pulse.began_at,
        "alive_at": pulse.alive_at,
        "probed_at": pulse.probed_at,
        "dead_since": pulse.dead_since,
        "blind": pulse.blind,
        "detail": pulse.detail,
        "told": record.told,
    }


def _record(row: Any) -> PulseRecord:
    pulse = Pulse(
        began_at=row.began_at,
        alive_at=row.alive_at,
        probed_at=row.probed_at,
        dead_since=row.dead_since,
        blind=row.blind,
        detail=row.detail,
        recalled=True,
    )
    return PulseRecord(order=OrderId(row.order_id), pulse=pulse, probe=row.probe, told=row.told)
