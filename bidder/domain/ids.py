"""Identifiers that must never be mixed up: a server's number never fits where an order's goes.

The exchange's numbers are never negative; orders that exist on paper only are numbered from -1
downwards. So the number alone tells the two apart, in every table, log line and command.
"""

from typing import NewType

ServerId = NewType("ServerId", int)
OrderId = NewType("OrderId", int)
AccountName = NewType("AccountName", str)


def on_paper(order: OrderId) -> bool:
    """Return whether an order exists on paper only."""
    return order < 0


def spelled(order: OrderId) -> str:
    """Return an order's number as people read and write it: ``P3`` for the third one on paper."""
    return f"P{-order}" if on_paper(order) else str(order)


def parse_order(text: str) -> OrderId | None:
    """Return the order that ``text`` spells (``4711``, ``P3``, ``-3``); None where it spells none."""
    sign, digits = (-1, text[1:]) if text[:1] in {"P", "p", "-"} else (1, text)
    usable = digits.isascii() and digits.isdigit() and len(digits) <= 18
    return OrderId(sign * int(digits)) if usable else None
