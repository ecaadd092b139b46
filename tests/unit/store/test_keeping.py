"""What decisions rest on, packed: the same text back, and nothing else."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select
from store_values import NOW

from bidder.domain.ids import AccountName
from bidder.domain.policy import Retention
from bidder.store import housekeeping, keeping, tables
from bidder.store.engine import open_engine, transaction
from bidder.store.schema import upgrade
from bidder.store.store import Store

ASCII = st.text(st.characters(max_codepoint=126))


@given(ASCII)
def test_a_text_comes_back(text: str) -> None:
    """Whatever it is."""
    assert keeping.unpack(keeping.pack(text)) == text


@given(ASCII, st.data())
def test_a_changed_byte_never_becomes_another_text(text: str, data: st.DataObject) -> None:
    """It is refused, save where it lies in bits that mean nothing."""
    body = bytearray(keeping.pack(text))
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(keeping.Unpackable):
        assert keeping.unpack(bytes(body)) == text


@pytest.mark.parametrize(
    "body", [b"", b"\0", b"\1", b"\1x", keeping.pack("abc")[:-1], keeping.pack("a") + b"x"]
)
def test_what_was_not_packed_here_is_refused(body: bytes) -> None:
    """Cut short, longer, or of another version."""
    with pytest.raises(keeping.Unpackable):
        keeping.unpack(body)


def test_what_was_packed_long_ago_can_be_read() -> None:
    """The dictionary must never change: this was packed with its first version."""
    assert (
        keeping.unpack(bytes.fromhex("0178f9b191749fc3e8292332193cc66b01dd9f0b40"))
        == '{"o":"Position","needed":{"d":"1.5"}}'
    )


def test_a_busy_account_keeps_the_newest_only() -> None:
    """However young the others are."""
    engine = open_engine("sqlite://")
    upgrade(engine)
    account = AccountName("main")
    rows = [
        {"decision_id": number, "account": account, "at": NOW, "body": b"x"}
        for number in range(1, housekeeping.MOST_INPUTS + 8)
    ]
    with transaction(engine, writing=True) as connection:
        connection.execute(insert(tables.decision_inputs), rows)
    store = Store(engine, account)
    while store.tidy(NOW, Retention()):
        pass
    with transaction(engine, writing=False) as connection:
        kept = connection.execute(select(tables.decision_inputs.c.decision_id)).scalars().all()
    engine.dispose()

    assert min(kept) == 8
    assert len(kept) == housekeeping.MOST_INPUTS
