"""What decisions rest on, packed small: inputs for a while, configurations for good."""

import zlib
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select

from bidder.domain import canonical
from bidder.domain.evidence import Evidence
from bidder.store import tables
from bidder.store.words import WORDS

# Says which dictionary a body was packed with.
_WITH_WORDS: Final = b"\1"
_LARGEST: Final = 4 * 1024 * 1024


class Unpackable(Exception):
    """The stored bytes are not what was stored."""


def inputs(connection: Connection, account: str, decision: int, kept: Evidence, at: datetime) -> None:
    """Keep what a decision's strategy was asked, and what it said."""
    body = pack(f"{kept.inputs}\n{kept.answer}")
    values = {"decision_id": decision, "account": account, "at": at, "body": body}
    connection.execute(insert(tables.decision_inputs), values)


def configuration(
    connection: Connection, account: str, text: str, at: datetime, known: tuple[str, int] | None
) -> tuple[str, int]:
    """Return a configuration's text and number, writing it down where it is new."""
    if known is not None and known[0] == text:
        return known
    table, digest = tables.configurations, canonical.digest(text)
    mine = (table.c.account == account) & (table.c.sha256 == digest)
    number = connection.execute(select(table.c.id).where(mine)).scalar()
    if number is None:
        values = {"account": account, "sha256": digest, "at": at, "body": pack(text)}
        key = connection.execute(insert(table), values).inserted_primary_key
        assert key is not None
        number = key[0]
    return text, int(number)


def evidence_of(body: bytes) -> Evidence:
    """Return what was kept; raises Unpackable."""
    asked, newline, said = unpack(body).partition("\n")
    if not newline:
        raise Unpackable("there is no answer beside the inputs")
    return Evidence(inputs=asked, answer=said)


def pack(text: str) -> bytes:
    """Return a text of ASCII packed."""
    packer = zlib.compressobj(9, zdict=WORDS)
    return _WITH_WORDS + packer.compress(text.encode("ascii")) + packer.flush()


def unpack(body: bytes) -> str:
    """Return a packed text; raises Unpackable."""
    if body[:1] != _WITH_WORDS:
        raise Unpackable("it was packed by another version")
    opened = zlib.decompressobj(zdict=WORDS)
    try:
        text = opened.decompress(body[1:], _LARGEST)
        if not opened.eof or opened.unused_data or opened.unconsumed_tail:
            raise Unpackable("it is cut short, or longer than it was")
        return text.decode("ascii")
    except (zlib.error, UnicodeDecodeError) as exc:
        raise Unpackable(f"it cannot be unpacked: {exc}"[:120]) from None
