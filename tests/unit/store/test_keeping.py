"""What decisions rest on, packed: the same text back, and nothing else."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.store import keeping

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
